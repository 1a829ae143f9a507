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
