//! A legacy row becomes a fact, by the roles of its columns. A row that cannot is refused with column and reason,
//! never with its value; nothing here panics on what a row holds.

use std::sync::Arc;

use ring::digest;

use super::CaptureError;
use crate::domain::geo::Place;
use crate::domain::{
    Fact, ItemKey, ObjectName, OpId, PersonNo, ReservationFact, ReservationKey, Row, SeriesId, SiteFact, SiteKey,
    SlotFact, SlotKey, SlotStatus, SlotVersion, Timestamp, Value,
};
use crate::mapping::catalogue::ColumnType;
use crate::mapping::{Layout, Role};

/// Part of every hash: raised when the conversion changes, so that each row is then taken anew.
const CONVERSION: u8 = 1;

/// What the bridge makes of an object's rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Site,
    Slot,
    Reservation,
    Person,
    /// Published, without meaning to the desk.
    Item,
}

impl Kind {
    fn of(object: &ObjectName) -> Kind {
        match object.as_str() {
            "site" => Kind::Site,
            "slot" => Kind::Slot,
            "reservation" => Kind::Reservation,
            "person" => Kind::Person,
            _ => Kind::Item,
        }
    }

    /// Order in which facts reach the desk: what others name comes first.
    pub fn rank(self) -> u8 {
        match self {
            Kind::Site => 0,
            Kind::Slot => 1,
            Kind::Item => 2,
            Kind::Person => 3,
            Kind::Reservation => 4,
        }
    }

    fn needed(self) -> &'static [Role] {
        match self {
            Kind::Site | Kind::Item => &[Role::Key],
            Kind::Slot => {
                &[Role::Key, Role::Site, Role::Series, Role::Start, Role::Status, Role::Capacity, Role::Native]
            }
            Kind::Reservation => &[Role::Key, Role::Person, Role::Slot, Role::Series, Role::Status],
            Kind::Person => &[Role::Key, Role::Status],
        }
    }
}

/// Why a value could not be used. Never holds the value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub column: Arc<str>,
    pub why: &'static str,
}

/// A row that is left out: the fact known before stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadRow {
    /// The key, where it has the shape of one.
    pub key: Option<Box<str>>,
    pub fault: Fault,
}

#[derive(Debug)]
pub struct Converted {
    pub key: Box<str>,
    pub fact: Fact,
    /// Columns that were left empty because their value has no meaning (a latitude of 370 degrees).
    pub blanked: Vec<Fault>,
}

/// A person row: what goes to the register, the CI table and the desk, each its part.
pub struct PersonRow {
    pub key: Arc<str>,
    pub cohort: Option<Arc<str>>,
    pub ci: Option<Arc<str>>,
    pub bookable: bool,
}

/// How rows of one object are read.
#[derive(Debug, Clone)]
pub struct Plan {
    pub layout: Layout,
    pub kind: Kind,
    seed: digest::Digest,
}

impl Plan {
    pub fn new(layout: &Layout) -> Result<Plan, CaptureError> {
        let kind = Kind::of(&layout.object);
        if let Some(role) = kind.needed().iter().find(|role| layout.at_role(**role).is_none()) {
            return Err(CaptureError::Role { object: layout.object.clone(), role: *role });
        }
        let seed = digest::digest(&digest::SHA256, format!("{CONVERSION}\n{}", columns_text(layout)).as_bytes());
        Ok(Plan { layout: layout.clone(), kind, seed })
    }

    /// First 64 bits of SHA-256 over conversion, columns and encoded fact; never 0.
    pub fn hash(&self, body: &[u8]) -> i64 {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(self.seed.as_ref());
        context.update(body);
        let mut first = [0; 8];
        first.copy_from_slice(&context.finish().as_ref()[..8]);
        match i64::from_be_bytes(first) {
            0 => 1,
            hash => hash,
        }
    }

    /// Text of the person key of a reservation row.
    pub fn person_key<'a>(&self, row: &'a [Value]) -> Option<&'a str> {
        let at = self.layout.at_role(Role::Person)?;
        row.get(at)?.as_text()
    }

    pub fn fact(&self, mut row: Vec<Value>, person: &dyn Fn(&str) -> Option<PersonNo>) -> Result<Converted, BadRow> {
        // It may move with a neighbour in the same block, and is no content.
        if let Some(number) = self.layout.at_role(Role::RowScn).and_then(|at| row.get_mut(at)) {
            *number = Value::Null;
        }
        let row = Fields { plan: self, row: Row(row.into_boxed_slice()) };
        let key = row.key()?;
        if let Some(fault) = row.unreadable() {
            return Err(BadRow { key: Some(key), fault });
        }
        let mut blanked = Vec::new();
        let fact = match self.kind {
            Kind::Site => row.site(&key, &mut blanked),
            Kind::Slot => row.slot(&key, &mut blanked),
            Kind::Reservation => row.reservation(&key, person),
            Kind::Person | Kind::Item => row.item(&key),
        };
        match fact {
            Ok(fact) => Ok(Converted { key, fact, blanked }),
            Err(fault) => Err(BadRow { key: Some(key), fault }),
        }
    }

    /// A row of the person register. A fault never names the key.
    pub fn person(&self, row: Vec<Value>) -> Result<PersonRow, Fault> {
        let row = Fields { plan: self, row: Row(row.into_boxed_slice()) };
        if let Some(fault) = row.unreadable() {
            return Err(fault);
        }
        let text = |role| match row.value(role) {
            Value::Text(text) if !text.is_empty() => Some(text.clone()),
            _ => None,
        };
        let key = text(Role::Key).filter(|key| key.len() <= crate::register::KEY_MAX);
        Ok(PersonRow {
            key: key.ok_or_else(|| row.fault(Role::Key, "empty, too long or not a text"))?,
            cohort: text(Role::Cohort),
            ci: text(Role::Ci),
            bookable: row.value(Role::Status).as_text() == Some("ACTIVE"),
        })
    }

    /// What the desk is told when the row is gone.
    pub fn gone(&self, key: &str) -> Option<Fact> {
        Some(match self.kind {
            Kind::Site => Fact::SiteGone(SiteKey::new(key).ok()?),
            Kind::Slot => Fact::SlotGone(SlotKey::new(key).ok()?),
            Kind::Reservation => Fact::ReservationGone(ReservationKey::new(key).ok()?),
            Kind::Person => return None,
            Kind::Item => Fact::Item { object: self.layout.object.clone(), key: ItemKey::new(key).ok()?, row: None },
        })
    }
}

/// Names and types of a layout's columns, one a line.
pub fn columns_text(layout: &Layout) -> String {
    layout.columns.iter().map(|c| format!("{} {:?} {:?} {}\n", c.name, c.kind, c.role, c.material)).collect()
}

struct Fields<'a> {
    plan: &'a Plan,
    row: Row,
}

impl Fields<'_> {
    fn value(&self, role: Role) -> &Value {
        match self.plan.layout.at_role(role) {
            Some(at) => self.row.get(at),
            None => &Value::Null,
        }
    }

    fn fault(&self, role: Role, why: &'static str) -> Fault {
        let at = self.plan.layout.at_role(role).unwrap_or(0);
        let column = self.plan.layout.columns.get(at).map_or_else(|| Arc::from("?"), |column| column.name.clone());
        Fault { column, why }
    }

    /// A column whose value the adapter could not read: a time where none belongs, or none where one does.
    fn unreadable(&self) -> Option<Fault> {
        let mut columns = self.plan.layout.columns.iter().zip(self.row.0.iter());
        let is_time = |value: &Value| matches!(value, Value::Time(_));
        let (column, _) = columns
            .find(|(column, value)| **value != Value::Null && is_time(value) != (column.kind == ColumnType::Time))?;
        Some(Fault { column: column.name.clone(), why: "not of the declared type" })
    }

    fn text(&self, role: Role) -> Result<&str, Fault> {
        match self.value(role) {
            Value::Null => Err(self.fault(role, "empty")),
            value => value.as_text().ok_or_else(|| self.fault(role, "not a text")),
        }
    }

    fn count(&self, role: Role) -> Result<u32, Fault> {
        match self.value(role) {
            Value::Null => Err(self.fault(role, "empty")),
            value => {
                let count = value.as_int().and_then(|n| u32::try_from(n).ok());
                count.ok_or_else(|| self.fault(role, "not a whole number of 0 or more"))
            }
        }
    }

    fn time(&self, role: Role) -> Result<Option<Timestamp>, Fault> {
        match self.value(role) {
            Value::Null => Ok(None),
            value => value.as_time().map(Some).ok_or_else(|| self.fault(role, "not a time")),
        }
    }

    fn op(&self, role: Role) -> Result<Option<OpId>, Fault> {
        match self.value(role) {
            Value::Null => Ok(None),
            Value::Text(text) if text.is_empty() => Ok(None),
            value => {
                let op = value.as_text().and_then(|text| text.parse().ok());
                op.map(Some).ok_or_else(|| self.fault(role, "not an op id"))
            }
        }
    }

    /// Every key of the bridge has the same shape, so any of the id types can judge it.
    fn key(&self) -> Result<Box<str>, BadRow> {
        let bad = |why| BadRow { key: None, fault: self.fault(Role::Key, why) };
        match self.value(Role::Key) {
            Value::Null => Err(bad("empty")),
            Value::Int(number) if *number >= 0 => Ok(number.to_string().into_boxed_str()),
            value => {
                let text = value.as_text().ok_or_else(|| bad("not a text"))?;
                let key = ItemKey::new(text).map_err(|_| bad("not 1 to 60 of A-Z a-z 0-9 . -"))?;
                Ok(Box::from(key.as_str()))
            }
        }
    }

    fn site(self, key: &str, blanked: &mut Vec<Fault>) -> Result<Fact, Fault> {
        let (lat, lon) = (self.value(Role::Latitude), self.value(Role::Longitude));
        let place = match (lat, lon) {
            (Value::Null, _) | (_, Value::Null) => None,
            (lat, lon) => {
                let place = lat.as_degrees().zip(lon.as_degrees()).and_then(|(lat, lon)| Place::from_degrees(lat, lon));
                if place.is_none() {
                    blanked.push(self.fault(Role::Latitude, "not a place on earth"));
                }
                place
            }
        };
        let site = SiteKey::new(key).map_err(|_| self.fault(Role::Key, "not a key"))?;
        Ok(Fact::Site(SiteFact { key: site, place, row: Arc::new(self.row) }))
    }

    fn slot(self, key: &str, blanked: &mut Vec<Fault>) -> Result<Fact, Fault> {
        let status = match self.text(Role::Status)? {
            "OPEN" => SlotStatus::Open,
            "CLOSED" => SlotStatus::Closed,
            // Nothing is sold in a state that nobody explained.
            _ => {
                blanked.push(self.fault(Role::Status, "neither OPEN nor CLOSED; taken as CLOSED"));
                SlotStatus::Closed
            }
        };
        let counter = match self.value(Role::Counter) {
            Value::Null => None,
            _ => Some(self.count(Role::Counter)?),
        };
        let escrow_units = match self.value(Role::EscrowUnits) {
            Value::Null => 0,
            _ => self.count(Role::EscrowUnits)?,
        };
        let series = SeriesId::new(self.text(Role::Series)?);
        let site = SiteKey::new(self.text(Role::Site)?);
        Ok(Fact::Slot(SlotFact {
            key: SlotKey::new(key).map_err(|_| self.fault(Role::Key, "not a key"))?,
            site: site.map_err(|_| self.fault(Role::Site, "not a site key"))?,
            series: series.map_err(|_| self.fault(Role::Series, "not 1 to 32 of a-z 0-9 - _"))?,
            start: self.time(Role::Start)?.ok_or_else(|| self.fault(Role::Start, "empty"))?,
            status,
            capacity: self.count(Role::Capacity)?,
            native: self.count(Role::Native)?,
            counter,
            escrow_units,
            last_op: self.op(Role::LastOp)?,
            opens_at: self.time(Role::OpensAt)?,
            class: self.class(),
            version: self.version(),
            row: Arc::new(self.row),
        }))
    }

    /// A code, also where the legacy system numbers its classes.
    fn class(&self) -> Option<Arc<str>> {
        match self.value(Role::Class) {
            Value::Text(code) | Value::Decimal(code) => Some(code.clone()),
            Value::Int(code) => Some(code.to_string().into()),
            Value::Null | Value::Time(_) => None,
        }
    }

    fn version(&self) -> SlotVersion {
        let mut context = digest::Context::new(&digest::SHA256);
        for (column, value) in self.plan.layout.columns.iter().zip(self.row.0.iter()).filter(|(c, _)| c.material) {
            let text = match value {
                Value::Null => String::from("-"),
                Value::Int(n) => format!("i{n}"),
                Value::Decimal(text) | Value::Text(text) => format!("t{text}"),
                Value::Time(at) => format!("m{}", at.0),
            };
            context.update(format!("{}\0{}\0{text}\0", column.name, text.len()).as_bytes());
        }
        let hash = context.finish();
        SlotVersion(hash.as_ref()[..4].iter().fold(0, |word, byte| word << 8 | u32::from(*byte)))
    }

    fn reservation(self, key: &str, person: &dyn Fn(&str) -> Option<PersonNo>) -> Result<Fact, Fault> {
        let person = person(self.text(Role::Person)?);
        let slot = SlotKey::new(self.text(Role::Slot)?);
        let series = SeriesId::new(self.text(Role::Series)?);
        Ok(Fact::Reservation(ReservationFact {
            key: ReservationKey::new(key).map_err(|_| self.fault(Role::Key, "not a key"))?,
            person: person.ok_or_else(|| self.fault(Role::Person, "empty or too long"))?,
            slot: slot.map_err(|_| self.fault(Role::Slot, "not a slot key"))?,
            series: series.map_err(|_| self.fault(Role::Series, "not 1 to 32 of a-z 0-9 - _"))?,
            // A reservation that is done (D) keeps its place and its person; only C is an end.
            active: self.text(Role::Status)? != "C",
            op: self.op(Role::Op)?,
        }))
    }

    fn item(self, key: &str) -> Result<Fact, Fault> {
        let item = ItemKey::new(key).map_err(|_| self.fault(Role::Key, "not a key"))?;
        Ok(Fact::Item { object: self.plan.layout.object.clone(), key: item, row: Some(Arc::new(self.row)) })
    }
}
