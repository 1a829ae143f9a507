//! The catalogue: every column of every legacy object that the bridge may read, classed once.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::domain::ObjectName;

/// `catalog.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalogue {
    pub format: u32,
    #[serde(rename = "object")]
    pub objects: Vec<Object>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Object {
    pub name: ObjectName,
    /// Interface view in the legacy system (`SB_SLOT`); none for objects that only the desk knows (`booking`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub view: Option<String>,
    pub label: Text2,
    #[serde(rename = "column", default)]
    pub columns: Vec<Column>,
}

/// Korean and English.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Text2 {
    pub ko: String,
    pub en: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// Upper-case name in the view, or of a derived column.
    pub name: String,
    #[serde(rename = "type")]
    pub kind: ColumnType,
    pub label: Text2,
    pub class: Class,
    /// What the bridge itself uses the column for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// Computed by the desk; never in a SELECT.
    #[serde(default)]
    pub derived: bool,
    /// A change of it is a material change of the slot.
    #[serde(default)]
    pub material: bool,
    /// Needed for class `org_public`: where the agency publishes the value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColumnType {
    Text,
    Integer,
    Decimal,
    Time,
}

/// Class of a column (mappings, Classes). The order is not a ranking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    UniqueId,
    Direct,
    LinkageId,
    InternalId,
    Sensitive,
    SensitiveInferable,
    Quasi,
    FreeText,
    OrgPublic,
    Operational,
    Public,
}

impl Class {
    pub fn code(self) -> &'static str {
        match self {
            Class::UniqueId => "unique_id",
            Class::Direct => "direct",
            Class::LinkageId => "linkage_id",
            Class::InternalId => "internal_id",
            Class::Sensitive => "sensitive",
            Class::SensitiveInferable => "sensitive_inferable",
            Class::Quasi => "quasi",
            Class::FreeText => "free_text",
            Class::OrgPublic => "org_public",
            Class::Operational => "operational",
            Class::Public => "public",
        }
    }
}

/// A column that the desk computes: a value of a `SlotView` or `BookingView`, never of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Derived {
    /// Published remaining of an open slot, 0 of another.
    Free,
    /// `Y` or `N`: is `Free` above 0?
    Bookable,
    /// 8 hex digits.
    SlotVersion,
    BookingId,
    BookingStatus,
    BookingSync,
    BookingSlot,
    BookingSeries,
    BookingSlotVersion,
    PartnerRef,
    LegacyRef,
    EndReason,
    BookedAt,
    ChangedAt,
    CommittedCursor,
    /// The booking's person number; only `person_token` may read it.
    BookingPerson,
}

impl Derived {
    /// The derived column of that name and its type; `None` where the desk computes no such thing.
    pub fn find(object: &str, column: &str) -> Option<(Derived, ColumnType)> {
        use ColumnType::{Integer, Text, Time};
        Some(match (object, column) {
            ("slot", "FREE") => (Derived::Free, Integer),
            ("slot", "BOOKABLE") => (Derived::Bookable, Text),
            ("slot", "VERSION") => (Derived::SlotVersion, Text),
            ("booking", "BOOKING_ID") => (Derived::BookingId, Text),
            ("booking", "STATUS") => (Derived::BookingStatus, Text),
            ("booking", "SYNC") => (Derived::BookingSync, Text),
            ("booking", "SLOT_ID") => (Derived::BookingSlot, Text),
            ("booking", "SERIES") => (Derived::BookingSeries, Text),
            ("booking", "SLOT_VERSION") => (Derived::BookingSlotVersion, Text),
            ("booking", "PARTNER_REF") => (Derived::PartnerRef, Text),
            ("booking", "LEGACY_REF") => (Derived::LegacyRef, Text),
            ("booking", "REASON") => (Derived::EndReason, Text),
            ("booking", "BOOKED_AT") => (Derived::BookedAt, Time),
            ("booking", "CHANGED_AT") => (Derived::ChangedAt, Time),
            ("booking", "COMMITTED_CURSOR") => (Derived::CommittedCursor, Integer),
            ("booking", "PERSON_NO") => (Derived::BookingPerson, Integer),
            _ => return None,
        })
    }
}

/// What the bridge uses a column for. Each role stands at most once in an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Key of the row; a legacy text.
    Key,
    /// When the row was last changed; drives the `timestamp` hint.
    UpdatedAt,
    Latitude,
    Longitude,
    Site,
    Series,
    Start,
    Status,
    Capacity,
    Native,
    Counter,
    EscrowUnits,
    LastOp,
    OpensAt,
    Ci,
    Cohort,
    Person,
    Slot,
    Op,
    /// Class of a slot, by which the agency chooses how the bridge comes to its units.
    Class,
    /// Commit number of the row's latest change (`ORA_ROWSCN`); drives the `rowscn` hint and is no part of the fact:
    /// it may move with a neighbour in the same block.
    RowScn,
}

/// Order of the columns of a fetched row: the SELECT list is exactly this, so an undeclared column is never read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    pub object: ObjectName,
    pub view: String,
    pub columns: Vec<LayoutColumn>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayoutColumn {
    pub name: Arc<str>,
    pub kind: ColumnType,
    pub role: Option<Role>,
    pub material: bool,
}

impl Object {
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|c| c.name == name)
    }
}

/// Differences that a text names; a view that was exchanged as a whole has dozens.
const DRIFT_NAMED_MAX: usize = 4;
/// Longest name that Oracle 11.2 knows.
const NAME_MAX: usize = 30;

impl Object {
    /// How the view differs from what is declared, in one line; `None`: not at all. Every column counts, whether it is
    /// fetched or not: a new one may be what an old one meant, a renamed one is a missing and a new one. `live`: names
    /// and types of the dictionary.
    pub fn drift(&self, live: &[(String, String)]) -> Option<String> {
        let view = self.view.as_deref()?;
        if live.is_empty() {
            return Some(format!("there is no view {view}"));
        }
        let declared = || self.columns.iter().filter(|column| !column.derived);
        let mut found = Vec::new();
        for column in declared() {
            match live.iter().find(|(name, _)| name.eq_ignore_ascii_case(&column.name)) {
                None => found.push(format!("{} is missing", column.name)),
                Some((_, stated)) if !column.kind.fits(stated) => {
                    found.push(format!("{} is declared {} and is {}", column.name, column.kind.code(), shown(stated)));
                }
                Some(_) => {}
            }
        }
        let is_known = |name: &str| declared().any(|column| column.name.eq_ignore_ascii_case(name));
        let new = live.iter().filter(|(name, _)| !is_known(name));
        found.extend(new.map(|(name, _)| format!("{} is not in the catalogue", shown(name))));
        if found.len() > DRIFT_NAMED_MAX {
            let more = found.len() - DRIFT_NAMED_MAX;
            found.truncate(DRIFT_NAMED_MAX);
            found.push(format!("and {more} more"));
        }
        (!found.is_empty()).then(|| format!("{view}: {}", found.join("; ")))
    }
}

/// A name or type of the dictionary for a log: whoever made the view may have written anything there.
fn shown(text: &str) -> String {
    let plain = |c: char| if c.is_alphanumeric() || "_$#(), ".contains(c) { c } else { '?' };
    text.chars().take(NAME_MAX).map(plain).collect()
}

impl ColumnType {
    pub fn code(self) -> &'static str {
        match self {
            ColumnType::Text => "text",
            ColumnType::Integer => "integer",
            ColumnType::Decimal => "decimal",
            ColumnType::Time => "time",
        }
    }

    /// By families of types. A number is read as a text where the catalogue wants one; nothing else changes its
    /// family. A type that is not stated (an expression of the embedded system) fits everything; its TEXT, which has
    /// no type for instants, fits texts and times.
    pub fn fits(self, stated: &str) -> bool {
        let stated = stated.to_ascii_uppercase();
        let is = |names: &[&str]| names.iter().any(|name| stated.starts_with(name));
        if stated.is_empty() {
            return true;
        }
        let is_number = is(&["NUM", "INT", "FLOAT", "REAL", "DEC", "BINARY_FLOAT", "BINARY_DOUBLE", "SMALLINT"]);
        match self {
            ColumnType::Text => is_number || is(&["VARCHAR", "NVARCHAR", "CHAR", "NCHAR", "TEXT", "RAW"]),
            ColumnType::Integer | ColumnType::Decimal => is_number,
            ColumnType::Time => is(&["DATE", "TIMESTAMP", "TEXT"]),
        }
    }
}

impl Column {
    /// Fetched for the bridge itself, whatever the mappings say.
    pub fn is_operational(&self) -> bool {
        self.role.is_some() || self.material
    }
}

impl Catalogue {
    pub fn object(&self, name: &str) -> Option<&Object> {
        self.objects.iter().find(|o| o.name.as_str() == name)
    }
}

impl Layout {
    pub fn at_role(&self, role: Role) -> Option<usize> {
        self.columns.iter().position(|c| c.role == Some(role))
    }

    pub fn at_name(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|c| &*c.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_compared_by_family() {
        use ColumnType::{Decimal, Integer, Text, Time};
        for (kind, stated, is_fit) in [
            (Text, "VARCHAR2(60)", true),
            (Text, "CHAR", true),
            (Text, "NUMBER", true),
            (Text, "DATE", false),
            (Text, "BLOB", false),
            (Text, "CLOB", false),
            (Integer, "NUMBER(6)", true),
            (Integer, "number(6)", true),
            (Integer, "VARCHAR2", false),
            (Integer, "TEXT", false),
            (Decimal, "BINARY_DOUBLE", true),
            (Decimal, "CLOB", false),
            (Time, "DATE", true),
            (Time, "TIMESTAMP(6)", true),
            (Time, "NUMBER", false),
            (Time, "TEXT", true),
            (Integer, "", true),
        ] {
            assert_eq!(kind.fits(stated), is_fit, "{kind:?} of {stated}");
        }
    }

    #[test]
    fn every_column_of_a_view_counts() {
        let set = crate::mapping::testing::shipped();
        let site = set.catalogue().object("site").unwrap();
        let stated = |column: &Column| match column.kind {
            ColumnType::Text => "VARCHAR2(60)",
            ColumnType::Integer | ColumnType::Decimal => "NUMBER",
            ColumnType::Time => "DATE",
        };
        let live: Vec<(String, String)> =
            site.columns.iter().map(|column| (column.name.to_lowercase(), stated(column).to_owned())).collect();
        type Change<'a> = &'a dyn Fn(&mut Vec<(String, String)>);
        let drift = |change: Change<'_>| {
            let mut live = live.clone();
            change(&mut live);
            site.drift(&live)
        };
        let at = |name: &str| site.columns.iter().position(|column| column.name == name).unwrap();
        assert_eq!(drift(&|_| ()), None);
        assert_eq!(drift(&|live| live.reverse()), None, "order means nothing");
        let says = |text: &str| Some(format!("SB_SITE: {text}"));
        assert_eq!(
            drift(&|live| live.push(("X\n\u{202e}Y".into(), "CLOB".into()))),
            says("X??Y is not in the catalogue")
        );
        assert_eq!(drift(&|live| drop(live.remove(at("MEMO")))), says("MEMO is missing"));
        let renamed = says("MANAGER_TEL is missing; MANAGER_TEL2 is not in the catalogue");
        assert_eq!(drift(&|live| live[at("MANAGER_TEL")].0 = "MANAGER_TEL2".into()), renamed);
        assert_eq!(drift(&|live| live[at("LAT")].1 = "CLOB".into()), says("LAT is declared decimal and is CLOB"));
        assert_eq!(drift(&|live| live.clear()), Some("there is no view SB_SITE".to_owned()));
        let many = drift(&|live| live.iter_mut().for_each(|(name, _)| name.push('2'))).unwrap();
        assert!(many.ends_with("; and 30 more"), "{many}");
        assert_eq!(set.catalogue().object("booking").unwrap().drift(&[]), None, "no view, nothing to compare");
    }
}
