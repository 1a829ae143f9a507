//! What an adapter must bring for the contract suite, the legacy systems that it is run on, and the adapters there are.
//!
//! The legacy system is always a file of the embedded example: the agency's hands (`NativeSeller`, SQL) and the judge
//! (`Recount`) work on the file, only `reader` and `writer` are the adapter's.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use slotbridge::domain::{AllotmentMode, SlotKey, Timestamp};
use slotbridge::legacy::sqlite::native::{MadeBy, NativeSeller, Selling};
use slotbridge::legacy::sqlite::recount::{Recount, recount};
use slotbridge::legacy::sqlite::{
    Design, Maintained, PersonConstraint, Settings, SqliteRead, SqliteWrite, generate, schema,
};
use slotbridge::legacy::{LegacyOp, LegacyRead, LegacyWrite, OpReply, OpRequest, PersonKey};

use crate::shorthand::op_id;

/// How the legacy system counts, and so what the bridge may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Setting {
    pub mode: AllotmentMode,
    pub maintained: Maintained,
    pub constraint: PersonConstraint,
    /// The application counts reservations where it could keep `BOOKED_CNT` (mode `on_request`).
    pub counts_rows: bool,
}

impl Setting {
    /// Can units lie in escrow?
    pub fn escrows(&self) -> bool {
        self.mode.takes() || self.mode == AllotmentMode::Quota
    }

    /// Does selling natively change the slot row?
    pub fn row_changes(&self) -> bool {
        !self.counts_rows && !matches!(self.mode, AllotmentMode::Capacity | AllotmentMode::CountRows)
    }

    fn design(&self) -> Design {
        Design { mode: self.mode, maintained: self.maintained, person_constraint: self.constraint }
    }
}

const fn setting(mode: AllotmentMode, maintained: Maintained, constraint: PersonConstraint) -> Setting {
    Setting { mode, maintained, constraint, counts_rows: false }
}

const fn counting(constraint: PersonConstraint) -> Setting {
    Setting { counts_rows: true, ..setting(AllotmentMode::OnRequest, Maintained::Application, constraint) }
}

pub const SETTINGS: [Setting; 22] = {
    use AllotmentMode::*;
    use Maintained::*;
    use PersonConstraint::{None as Recheck, RowLock, UniqueIndex};
    [
        setting(Counter, Application, UniqueIndex),
        setting(Counter, Application, RowLock),
        setting(Counter, Application, Recheck),
        setting(Counter, Trigger, UniqueIndex),
        setting(Counter, Trigger, Recheck),
        setting(Remaining, Application, UniqueIndex),
        setting(Remaining, Application, RowLock),
        setting(Remaining, Trigger, UniqueIndex),
        setting(Remaining, Trigger, RowLock),
        setting(Capacity, Application, UniqueIndex),
        setting(Capacity, Application, RowLock),
        setting(Capacity, Application, Recheck),
        setting(CountRows, Application, UniqueIndex),
        setting(CountRows, Application, RowLock),
        setting(Quota, Application, UniqueIndex),
        setting(Quota, Application, Recheck),
        setting(Quota, Trigger, UniqueIndex),
        setting(OnRequest, Application, UniqueIndex),
        setting(OnRequest, Application, RowLock),
        setting(OnRequest, Trigger, UniqueIndex),
        counting(UniqueIndex),
        counting(Recheck),
    ]
};

type Adapter = fn(Legacy) -> Box<dyn Harness>;
const ADAPTERS: &[Adapter] = &[
    |legacy| Box::new(Embedded(legacy)),
    #[cfg(feature = "oracle")]
    |legacy| Box::new(crate::oracle::OnOracle::new(legacy, slotbridge::legacy::oracle::write::Body::Sql)),
    #[cfg(feature = "oracle")]
    |legacy| Box::new(crate::oracle::OnOracle::new(legacy, slotbridge::legacy::oracle::write::Body::Procedure)),
];

/// What the suite needs of an adapter.
pub trait Harness: Sync {
    fn legacy(&self) -> &Legacy;
    fn reader(&self) -> Box<dyn LegacyRead>;
    fn writer(&self) -> Box<dyn LegacyWrite>;
}

/// The embedded adapter.
struct Embedded(Legacy);

impl Harness for Embedded {
    fn legacy(&self) -> &Legacy {
        &self.0
    }
    fn reader(&self) -> Box<dyn LegacyRead> {
        Box::new(SqliteRead::open(&self.0.path).unwrap())
    }
    fn writer(&self) -> Box<dyn LegacyWrite> {
        Box::new(SqliteWrite::open(&self.0.settings()).unwrap())
    }
}

impl<'h> dyn Harness + 'h {
    pub fn mode(&self) -> AllotmentMode {
        self.legacy().setting.mode
    }

    pub fn bridge(&self) -> Bridge {
        Bridge { writer: self.writer(), mode: self.mode() }
    }

    /// An op in the setting's mode.
    pub fn request(&self, position: u64, slot: &SlotKey, what: LegacyOp) -> OpRequest {
        OpRequest { id: op_id(position), slot: slot.clone(), mode: self.mode(), what }
    }

    /// Units in escrow whatever the mode: taken, or assigned by the agency.
    pub fn escrow(&self, slot: &SlotKey, units: u32, op: u64) {
        if self.mode().takes() {
            assert_eq!(self.bridge().apply(op, slot, LegacyOp::Take { units }), OpReply::Taken { units });
        } else {
            assert_eq!(self.native().assign_quota(slot.as_str(), units).unwrap(), units);
        }
    }

    /// A slot whose escrow the legacy system's own book-keeping has forgotten, as each kind of system forgets it.
    pub fn eroded_slot(&self, capacity: u32, escrow: u32, op: u64) -> SlotKey {
        let slot = self.empty_slot(capacity);
        let mut native = self.native();
        let screen = native.open_screen(slot.as_str()).unwrap().unwrap();
        self.escrow(&slot, escrow, op);
        match self.mode() {
            AllotmentMode::Capacity => assert!(native.save_screen(&screen).unwrap()),
            AllotmentMode::CountRows => {
                let rows = native.active(MadeBy::Placeholder, "", 1_000).unwrap();
                assert_eq!(rows.len(), escrow as usize);
                rows.iter().for_each(|resv_no| drop(native.cancel(resv_no).unwrap()));
            }
            _ => assert!(native.nightly_recount().unwrap() >= 1),
        }
        slot
    }

    pub fn native(&self) -> NativeSeller {
        NativeSeller::open(&self.legacy().path, self.legacy().selling()).unwrap()
    }

    pub fn recount(&self) -> Recount {
        recount(&self.legacy().path).unwrap()
    }

    /// An open slot without reservations and escrow, with that capacity.
    pub fn empty_slot(&self, capacity: u32) -> SlotKey {
        self.legacy().empty_slot(capacity)
    }

    pub fn free_person(&self, n: u32) -> PersonKey {
        self.legacy().free_person(n)
    }
}

/// A writer whose ops have the setting's mode.
pub struct Bridge {
    pub writer: Box<dyn LegacyWrite>,
    mode: AllotmentMode,
}

impl Bridge {
    pub fn apply(&mut self, position: u64, slot: &SlotKey, what: LegacyOp) -> OpReply {
        let op = OpRequest { id: op_id(position), slot: slot.clone(), mode: self.mode, what };
        self.writer.apply(&[op]).unwrap().remove(0)
    }
}

/// A legacy system: its file, and how it counts.
pub struct Legacy {
    folder: tempfile::TempDir,
    pub path: PathBuf,
    pub setting: Setting,
}

const PEOPLE: u32 = 1_000;
const SEED: u64 = 11;
/// Slots that are there beside those of a test.
pub const SLOTS: u32 = 40;
/// Persons of the placeholder pool.
pub const PLACEHOLDERS: u32 = 120;

impl Legacy {
    /// Copied from a file that is made once for each setting.
    pub fn new(setting: Setting) -> Legacy {
        static MADE: Mutex<Option<HashMap<Setting, Vec<u8>>>> = Mutex::new(None);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("legacy.db");
        let legacy = Legacy { folder, path, setting };
        let mut made = MADE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let bytes = made.get_or_insert_default().entry(setting).or_insert_with(|| {
            legacy.make();
            std::fs::read(&legacy.path).unwrap()
        });
        std::fs::write(&legacy.path, bytes).unwrap();
        legacy
    }

    fn make(&self) {
        let mut connection = schema::create(&self.path, self.setting.design()).unwrap();
        let now = Timestamp(1_795_345_200_000);
        let plan = generate::Plan { sites: 10, slots: SLOTS, people: PEOPLE, ..generate::Plan::new(SEED, now) };
        generate::sites_and_slots(&mut connection, &plan).unwrap();
        generate::persons(&mut connection, &plan, &mut |_, _| {}).unwrap();
        generate::placeholders(&mut connection, now, PLACEHOLDERS).unwrap();
        if self.setting.counts_rows {
            connection.execute("UPDATE TB_SLOT SET BOOKED_CNT = NULL", []).unwrap();
        }
    }

    pub fn settings(&self) -> Settings {
        Settings {
            allotment: self.setting.mode,
            maintained: self.setting.maintained,
            person_constraint: self.setting.constraint,
            ..Settings::new(&self.path)
        }
    }

    fn selling(&self) -> Selling {
        if self.setting.counts_rows { Selling::CountReservations } else { Selling::of(self.setting.design()) }
    }

    /// A path beside the file.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn sql(&self, sql: &str, bound: impl rusqlite::Params) -> usize {
        let connection = rusqlite::Connection::open(&self.path).unwrap();
        connection.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
        connection.execute(sql, bound).unwrap()
    }

    #[allow(dead_code)] // not every suite that has this kit counts by SQL
    pub fn number(&self, sql: &str) -> i64 {
        let connection = rusqlite::Connection::open(&self.path).unwrap();
        connection.query_row(sql, [], |row| row.get(0)).unwrap()
    }

    fn empty_slot(&self, capacity: u32) -> SlotKey {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let key = format!("T{}", NEXT.fetch_add(1, Relaxed));
        let remain = if self.setting.mode == AllotmentMode::Remaining { capacity } else { 0 };
        let booked = self.setting.row_changes().then_some(0);
        self.sql(
            "INSERT INTO TB_SLOT SELECT ?1, SITE_NO, 'covid19-1', RSV_DT, DUR_MI, VCN_CD, DOSE_NO, MIN_AGE, '1', ?2, \
             ?3, 0, NULL, CHRG_NM, RMK, REG_DT, UPD_DT, ?4 FROM TB_SLOT LIMIT 1",
            rusqlite::params![key, capacity, booked, remain],
        );
        SlotKey::new(&key).unwrap()
    }

    /// Sets the slot's remark; `None` = NULL.
    pub fn set_remark(&self, slot: &SlotKey, remark: Option<&str>) {
        self.sql("UPDATE TB_SLOT SET RMK = ?2 WHERE SLOT_NO = ?1", rusqlite::params![slot.as_str(), remark]);
    }

    /// An edit of an open slot that changes its stamp only.
    pub fn touch(&self, slot: &SlotKey) {
        let mut native = NativeSeller::open(&self.path, self.selling()).unwrap();
        assert!(native.reopen_slot(slot.as_str()).unwrap());
    }

    /// Forgets the slots of `empty_slot` and what was done with them.
    pub fn clear(&self) {
        self.sql("DELETE FROM TB_RESV WHERE SLOT_NO LIKE 'T%'", []);
        self.sql("DELETE FROM SB_ESCROW", []);
        self.sql("DELETE FROM TB_SLOT WHERE SLOT_NO LIKE 'T%'", []);
    }

    /// Persons without any reservation who may book, in order.
    fn free_person(&self, n: u32) -> PersonKey {
        let fits = |number: &u32| number % 25 != 1 && generate::standing(SEED, *number) == generate::Standing::Active;
        let number = (1..=PEOPLE).filter(fits).nth(n as usize).unwrap();
        PersonKey(generate::person_key(number).into())
    }
}

pub fn on_every_adapter(check: fn(&dyn Harness)) {
    on(|_| true, check);
}

/// Modes with units in escrow.
pub fn on_escrows(check: fn(&dyn Harness)) {
    on(Setting::escrows, check);
}

/// Every adapter on the legacy systems that `fits` picks; prints which, for the one that fails.
pub fn on(fits: fn(&Setting) -> bool, check: fn(&dyn Harness)) {
    for setting in SETTINGS.iter().filter(|setting| fits(setting)) {
        for (at, adapter) in ADAPTERS.iter().enumerate() {
            println!("adapter {at} on {setting:?}");
            check(&*adapter(Legacy::new(*setting)));
        }
    }
}
