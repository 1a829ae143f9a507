//! What an adapter must bring for the contract suite, the adapters there are, and shorthand for ops and layouts.

use std::path::PathBuf;
use std::sync::Arc;

use slotbridge::domain::{AllotmentMode, Incarnation, ObjectName, OpId, Position, SeriesId, SlotKey, Timestamp, Value};
use slotbridge::legacy::sqlite::native::{NativeSeller, Selling};
use slotbridge::legacy::sqlite::recount::{Recount, recount};
use slotbridge::legacy::sqlite::{PersonConstraint, Settings, SqliteRead, SqliteWrite, generate, schema};
use slotbridge::legacy::{Hint, LegacyOp, LegacyRead, LegacyWrite, OpReply, OpRequest, PersonKey, Unbacked};
use slotbridge::mapping::Layout;
use slotbridge::mapping::catalogue::{ColumnType, LayoutColumn, Role};

/// What the suite needs of an adapter: ports, and the hands of the agency to set up and disturb.
pub trait Harness: Sync {
    fn reader(&self) -> Box<dyn LegacyRead>;
    fn writer(&self) -> Box<dyn LegacyWrite>;
    fn native(&self) -> NativeSeller;
    fn recount(&self) -> Recount;
    fn takes(&self) -> bool;
    /// An open slot without reservations and escrow, with that capacity.
    fn empty_slot(&self, capacity: u32) -> SlotKey;
    /// Units in escrow whatever the mode: taken, or assigned by the agency.
    fn escrow(&self, slot: &SlotKey, units: u32, op: u64);
    /// Sets the slot's remark; `None` = NULL.
    fn set_remark(&self, slot: &SlotKey, remark: Option<&str>);
    /// Persons without any reservation who may book, in order.
    fn free_person(&self, n: u32) -> PersonKey;
}

struct Sqlite {
    _folder: tempfile::TempDir,
    settings: Settings,
}

const PEOPLE: u32 = 1_000;
const SEED: u64 = 11;

impl Sqlite {
    fn new(allotment: AllotmentMode, person_constraint: PersonConstraint) -> Sqlite {
        let folder = tempfile::tempdir().unwrap();
        let path: PathBuf = folder.path().join("legacy.db");
        let mut connection = schema::create(&path, person_constraint).unwrap();
        let now = Timestamp(1_795_345_200_000);
        let plan = generate::Plan { sites: 40, slots: 200, people: PEOPLE, ..generate::Plan::new(SEED, now) };
        generate::sites_and_slots(&mut connection, &plan).unwrap();
        generate::persons(&mut connection, &plan, &mut |_, _| {}).unwrap();
        Sqlite { _folder: folder, settings: Settings { allotment, person_constraint, ..Settings::new(&path) } }
    }

    fn sql(&self, sql: &str, bound: impl rusqlite::Params) -> usize {
        let connection = rusqlite::Connection::open(&self.settings.path).unwrap();
        connection.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
        connection.execute(sql, bound).unwrap()
    }
}

impl Harness for Sqlite {
    fn reader(&self) -> Box<dyn LegacyRead> {
        Box::new(SqliteRead::open(&self.settings.path).unwrap())
    }
    fn writer(&self) -> Box<dyn LegacyWrite> {
        Box::new(SqliteWrite::open(&self.settings).unwrap())
    }
    fn native(&self) -> NativeSeller {
        NativeSeller::open(&self.settings.path, Selling::Counter).unwrap()
    }
    fn recount(&self) -> Recount {
        recount(&self.settings.path).unwrap()
    }
    fn takes(&self) -> bool {
        self.settings.allotment == AllotmentMode::Counter
    }
    fn empty_slot(&self, capacity: u32) -> SlotKey {
        static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
        let key = format!("T{}", NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
        self.sql(
            "INSERT INTO TB_SLOT SELECT ?1, SITE_NO, 'covid19-1', RSV_DT, DUR_MI, VCN_CD, DOSE_NO, MIN_AGE, '1', ?2, \
             0, 0, NULL, CHRG_NM, RMK, REG_DT, UPD_DT, 0 FROM TB_SLOT LIMIT 1",
            rusqlite::params![key, capacity],
        );
        SlotKey::new(&key).unwrap()
    }
    fn escrow(&self, slot: &SlotKey, units: u32, op: u64) {
        if self.takes() {
            let reply = apply(&mut *self.writer(), op, slot, LegacyOp::Take { units });
            assert_eq!(reply, OpReply::Taken { units });
        } else {
            assert_eq!(self.native().assign_quota(slot.as_str(), units).unwrap(), units);
        }
    }
    fn set_remark(&self, slot: &SlotKey, remark: Option<&str>) {
        self.sql("UPDATE TB_SLOT SET RMK = ?2 WHERE SLOT_NO = ?1", rusqlite::params![slot.as_str(), remark]);
    }
    fn free_person(&self, n: u32) -> PersonKey {
        let fits = |number: &u32| number % 25 != 1 && generate::standing(SEED, *number) == generate::Standing::Active;
        let number = (1..=PEOPLE).filter(fits).nth(n as usize).unwrap();
        PersonKey(generate::person_key(number).into())
    }
}

const ALL: [(AllotmentMode, PersonConstraint); 4] = [
    (AllotmentMode::Counter, PersonConstraint::UniqueIndex),
    (AllotmentMode::Counter, PersonConstraint::None),
    (AllotmentMode::Quota, PersonConstraint::UniqueIndex),
    (AllotmentMode::Quota, PersonConstraint::None),
];

pub fn on_every_adapter(check: fn(&dyn Harness)) {
    for (allotment, constraint) in ALL {
        check(&Sqlite::new(allotment, constraint));
    }
}

pub fn op_id(position: u64) -> OpId {
    OpId { incarnation: Incarnation(0xfeed), position: Position(position) }
}

pub fn request(position: u64, slot: &SlotKey, what: LegacyOp) -> OpRequest {
    OpRequest { id: op_id(position), slot: slot.clone(), mode: AllotmentMode::Counter, what }
}

pub fn apply(writer: &mut dyn LegacyWrite, position: u64, slot: &SlotKey, what: LegacyOp) -> OpReply {
    writer.apply(&[request(position, slot, what)]).unwrap().remove(0)
}

pub fn convert(person: &PersonKey) -> LegacyOp {
    LegacyOp::Convert {
        person: person.clone(),
        series: SeriesId::new("covid19-1").unwrap(),
        unbacked: Unbacked::Refuse,
    }
}

pub fn layout(object: &str, view: &str, columns: &[(&str, ColumnType, Option<Role>)]) -> Layout {
    Layout {
        object: ObjectName::new(object).unwrap(),
        view: view.to_owned(),
        columns: columns
            .iter()
            .map(|(name, kind, role)| LayoutColumn {
                name: Arc::from(*name),
                kind: *kind,
                role: *role,
                material: false,
            })
            .collect(),
    }
}

pub fn slots() -> Layout {
    use ColumnType::*;
    let columns = [
        ("SLOT_ID", Text, Some(Role::Key)),
        ("CAPACITY", Integer, Some(Role::Capacity)),
        ("BOOKED_CNT", Integer, Some(Role::Counter)),
        ("NATIVE_CNT", Integer, Some(Role::Native)),
        ("ESCROW_UNITS", Integer, Some(Role::EscrowUnits)),
        ("ESCROW_LAST_OP", Text, Some(Role::LastOp)),
        ("STATUS", Text, Some(Role::Status)),
        ("SLOT_DT", Time, Some(Role::Start)),
        ("MEMO", Text, None),
        ("UPD_DT", Time, Some(Role::UpdatedAt)),
    ];
    layout("slot", "SB_SLOT", &columns)
}

pub fn bookings() -> Layout {
    use ColumnType::*;
    let columns = [
        ("RESV_NO", Text, Some(Role::Key)),
        ("SLOT_ID", Text, Some(Role::Slot)),
        ("STATUS", Text, Some(Role::Status)),
        ("OP_ID", Text, Some(Role::Op)),
        ("UPD_DT", Time, Some(Role::UpdatedAt)),
    ];
    layout("reservation", "SB_BOOKING", &columns)
}

pub fn row_of(reader: &mut dyn LegacyRead, slot: &SlotKey) -> Vec<Value> {
    let mut found = Vec::new();
    reader
        .hinted(&slots(), &Hint::Keys(&[slot.as_str()]), &mut |row| {
            found.push(row);
            Ok(())
        })
        .unwrap();
    assert_eq!(found.len(), 1);
    found.remove(0)
}

/// Capacity, counter, native, escrow.
pub fn numbers(row: &[Value]) -> (i64, i64, i64, i64) {
    let n = |at: usize| row[at].as_int().unwrap();
    (n(1), n(2), n(3), n(4))
}
