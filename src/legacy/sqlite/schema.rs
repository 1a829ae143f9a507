//! The example legacy schema: tables as an agency would have them, the interface views `SB_*` and the bridge's tables.
//!
//! Invariant: nothing outside this folder names a table; capture reads views, and only columns of a `Layout`.

use std::path::Path;

use rusqlite::{Connection, params};

use super::{Maintained, PersonConstraint, failure, open_connection};
use crate::domain::AllotmentMode;
use crate::legacy::{LegacyError, LegacyErrorKind};

/// Version of the interface schema, in `SB_META`.
pub const VERSION: i64 = 3;
const TABLES: &str = include_str!("schema.sql");
const UNIQUE_PERSON: &str = "CREATE UNIQUE INDEX UX_RESV_ACTIVE ON TB_RESV (PSN_NO, SERIES_CD) WHERE STAT_CD = 'A'";

/// How the agency's application keeps count, and so which views its DBA writes for the bridge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Design {
    /// The mode of most slots. Which others the file can do as well: `Books::can_do`.
    pub mode: AllotmentMode,
    /// Who keeps `BOOKED_CNT` or `REMAIN_CNT`, where one is kept.
    pub maintained: Maintained,
    pub person_constraint: PersonConstraint,
}

/// The demonstration's: a booked counter that the application keeps.
impl From<PersonConstraint> for Design {
    fn from(person_constraint: PersonConstraint) -> Design {
        Design { mode: AllotmentMode::Counter, maintained: Maintained::Application, person_constraint }
    }
}

/// What tells the application that a slot is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Books {
    /// `BOOKED_CNT`; where it is NULL, the reservations are counted.
    Booked,
    /// `REMAIN_CNT`.
    Remaining,
    /// Reservations are counted against `CAPA_CNT`, which the bridge lowers.
    Capacity,
    /// Reservations are counted against `CAPA_CNT`, which is left alone.
    Rows,
}

impl Books {
    pub(super) fn of(mode: AllotmentMode) -> Books {
        match mode {
            AllotmentMode::None | AllotmentMode::OnRequest | AllotmentMode::Quota | AllotmentMode::Counter => {
                Books::Booked
            }
            AllotmentMode::Remaining => Books::Remaining,
            AllotmentMode::Capacity => Books::Capacity,
            AllotmentMode::CountRows => Books::Rows,
        }
    }

    /// May slots of this mode lie in such a file? Where reservations are counted, a place can also be asked for singly.
    pub(super) fn can_do(self, mode: AllotmentMode) -> bool {
        match mode {
            AllotmentMode::None => false,
            AllotmentMode::OnRequest => self != Books::Remaining,
            _ => Books::of(mode) == self,
        }
    }

    /// `CAPACITY` of `SB_SLOT`: the agency's total.
    fn total(self) -> &'static str {
        match self {
            Books::Booked | Books::Remaining | Books::Rows => "T.CAPA_CNT",
            // An edited capacity is the new total.
            Books::Capacity => {
                "CASE WHEN COALESCE(E.SEEN_CNT, T.CAPA_CNT) = T.CAPA_CNT\n    \
                 THEN T.CAPA_CNT + COALESCE(E.UNITS, 0) ELSE T.CAPA_CNT END"
            }
        }
    }

    /// `BOOKED_CNT` of `SB_SLOT`: sold or in escrow, by the application's own book-keeping.
    fn booked(self) -> &'static str {
        match self {
            Books::Booked => "T.BOOKED_CNT",
            Books::Remaining => "T.CAPA_CNT - T.REMAIN_CNT",
            Books::Capacity => {
                "(SELECT COUNT(*) FROM TB_RESV R WHERE R.SLOT_NO = T.SLOT_NO AND R.STAT_CD <> 'C')\n    \
                 + CASE WHEN COALESCE(E.SEEN_CNT, T.CAPA_CNT) = T.CAPA_CNT THEN COALESCE(E.UNITS, 0) ELSE 0 END"
            }
            Books::Rows => "(SELECT COUNT(*) FROM TB_RESV R WHERE R.SLOT_NO = T.SLOT_NO AND R.STAT_CD <> 'C')",
        }
    }

    /// What `SB_BOOKING` leaves out.
    fn named(self) -> &'static str {
        match self {
            Books::Booked | Books::Remaining | Books::Capacity => "",
            Books::Rows => " WHERE T.IF_OP_ID IS NULL OR T.IF_OP_ID NOT LIKE '%#%'",
        }
    }

    /// One unit of a slot is sold, and one is free again, as the application or its trigger writes it.
    pub(super) fn column_changes(self) -> Option<(&'static str, &'static str)> {
        match self {
            Books::Booked => Some(("BOOKED_CNT = BOOKED_CNT + 1", "BOOKED_CNT = BOOKED_CNT - 1")),
            Books::Remaining => Some(("REMAIN_CNT = REMAIN_CNT - 1", "REMAIN_CNT = REMAIN_CNT + 1")),
            Books::Capacity | Books::Rows => None,
        }
    }
}

/// Code tables: group, code, name.
const CODES: [(&str, &str, &str); 17] = [
    ("SLOT_STAT", "1", "예약가능"),
    ("SLOT_STAT", "9", "마감"),
    ("RESV_STAT", "A", "예약"),
    ("RESV_STAT", "C", "취소"),
    ("RESV_STAT", "D", "접종완료"),
    ("PSN_STAT", "0", "정상"),
    ("PSN_STAT", "1", "사망"),
    ("PSN_STAT", "2", "접종완료"),
    ("PSN_STAT", "3", "제외"),
    ("PSN_STAT", "8", "대체"),
    ("VCN", "PF", "화이자"),
    ("VCN", "MD", "모더나"),
    ("VCN", "AZ", "아스트라제네카"),
    ("VCN", "JS", "얀센"),
    ("VCN", "NV", "노바백스"),
    ("SEX", "M", "남"),
    ("SEX", "F", "여"),
];

/// Makes the schema in a new file, or opens a file that has it. WAL, so that readers never block sellers.
/// A file with another schema version or design is refused.
pub fn create(path: &Path, design: impl Into<Design>) -> Result<Connection, LegacyError> {
    let design = design.into();
    let mut connection = open_connection(path, super::BUSY_TIMEOUT_MS)?;
    let made: bool = connection
        .query_row("SELECT COUNT(*) FROM sqlite_master WHERE name = 'SB_META'", [], |row| row.get(0))
        .map_err(failure)?;
    if made {
        let had = Meta::read(&connection)?;
        let wanted = Meta::of(design);
        if had != wanted {
            return Err(had.refused(&wanted));
        }
        return Ok(connection);
    }
    connection.execute_batch("PRAGMA journal_mode = WAL").map_err(failure)?;
    let tx = connection.transaction().map_err(failure)?;
    let books = Books::of(design.mode);
    let text =
        TABLES.replace("{TOTAL}", books.total()).replace("{BOOKED}", books.booked()).replace("{NAMED}", books.named());
    tx.execute_batch(&text).map_err(failure)?;
    if design.person_constraint == PersonConstraint::UniqueIndex {
        tx.execute_batch(UNIQUE_PERSON).map_err(failure)?;
    }
    if let (Maintained::Trigger, Some((sold, freed))) = (design.maintained, books.column_changes()) {
        tx.execute_batch(&triggers(sold, freed)).map_err(failure)?;
    }
    let meta = Meta::of(design);
    tx.execute(
        "INSERT INTO SB_META VALUES (?1, ?2, ?3, ?4)",
        params![meta.version, meta.person_constraint, meta.mode, meta.maintained],
    )
    .map_err(failure)?;
    for (sort, (group, code, name)) in CODES.iter().enumerate() {
        tx.execute("INSERT INTO TB_CODE VALUES (?1, ?2, ?3, ?4, 'Y')", params![group, code, name, sort as i64])
            .map_err(failure)?;
    }
    tx.commit().map_err(failure)?;
    Ok(connection)
}

/// `BOOKED_CNT` and `REMAIN_CNT` of a new slot row as SQL, of which `sold` places are sold: what the file's application
/// keeps, and nothing where it counts reservations.
pub(crate) fn counts_sql(capacity: &str, sold: &str) -> (String, String) {
    let mode = "(SELECT MODE_CD FROM SB_META)";
    (
        format!("CASE WHEN {mode} IN ('capacity', 'count_rows') THEN NULL ELSE {sold} END"),
        format!("CASE WHEN {mode} = 'remaining' THEN {capacity} - {sold} ELSE 0 END"),
    )
}

/// The agency's triggers, where they and not the application keep the counter.
fn triggers(sold: &str, freed: &str) -> String {
    let now = super::NOW_SQL;
    let set =
        |what: &str, row: &str| format!("UPDATE TB_SLOT SET {what}, UPD_DT = {now} WHERE SLOT_NO = {row}.SLOT_NO;");
    format!(
        "CREATE TRIGGER TR_RESV_INS AFTER INSERT ON TB_RESV WHEN NEW.STAT_CD <> 'C' BEGIN {} END;\n\
         CREATE TRIGGER TR_RESV_CAN AFTER UPDATE OF STAT_CD ON TB_RESV WHEN OLD.STAT_CD <> 'C' AND NEW.STAT_CD = 'C' \
         BEGIN {} END;\n\
         CREATE TRIGGER TR_RESV_DEL AFTER DELETE ON TB_RESV WHEN OLD.STAT_CD <> 'C' BEGIN {} END;\n",
        set(sold, "NEW"),
        set(freed, "NEW"),
        set(freed, "OLD")
    )
}

/// `SB_META`: what a file was made as.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Meta {
    pub version: i64,
    pub person_constraint: String,
    pub mode: String,
    pub maintained: String,
}

impl Meta {
    fn of(design: Design) -> Meta {
        Meta {
            version: VERSION,
            person_constraint: design.person_constraint.code().to_owned(),
            mode: design.mode.code().to_owned(),
            maintained: design.maintained.code().to_owned(),
        }
    }

    /// A file of an older version is refused here: it has not all the columns.
    pub(super) fn read(connection: &Connection) -> Result<Meta, LegacyError> {
        let version: i64 =
            connection.query_row("SELECT VERSION FROM SB_META", [], |row| row.get(0)).map_err(failure)?;
        if version != VERSION {
            let message = format!("the file holds interface schema {version}, wanted {VERSION}");
            return Err(LegacyError::new(LegacyErrorKind::Operator, message));
        }
        connection
            .query_row("SELECT VERSION, PERSON_CONSTRAINT, MODE_CD, MAINTAINED_BY FROM SB_META", [], |row| {
                Ok(Meta {
                    version: row.get(0)?,
                    person_constraint: row.get(1)?,
                    mode: row.get(2)?,
                    maintained: row.get(3)?,
                })
            })
            .map_err(failure)
    }

    /// How the file's application keeps count.
    pub(super) fn books(&self) -> Result<Books, LegacyError> {
        let mode = AllotmentMode::ALL.into_iter().find(|mode| mode.code() == self.mode);
        mode.map(Books::of).ok_or_else(|| {
            LegacyError::new(LegacyErrorKind::Operator, "SB_META names a mode that does not exist".to_owned())
        })
    }

    fn refused(&self, wanted: &Meta) -> LegacyError {
        let said = |meta: &Meta| {
            format!("{}, kept by {}, person constraint {}", meta.mode, meta.maintained, meta.person_constraint)
        };
        let message = format!("the file was made for {}; wanted {}", said(self), said(wanted));
        LegacyError::new(LegacyErrorKind::Operator, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every view of every body can be read, and every column has a stated type.
    #[test]
    fn each_design_makes_views_that_can_be_read() {
        let folder = tempfile::tempdir().expect("a folder");
        for mode in AllotmentMode::ALL {
            for maintained in [Maintained::Application, Maintained::Trigger] {
                let path = folder.path().join(format!("{}-{}.db", mode.code(), maintained.code()));
                let design = Design { mode, maintained, person_constraint: PersonConstraint::RowLock };
                let connection = create(&path, design).expect("a schema");
                let mut names = connection
                    .prepare("SELECT name FROM sqlite_master WHERE name LIKE 'SB\\_%' ESCAPE '\\'")
                    .expect("names");
                let names: Vec<String> =
                    names.query_map([], |r| r.get(0)).expect("rows").collect::<Result<_, _>>().expect("text");
                assert_eq!(names.len(), 18, "{names:?}");
                for name in names {
                    let untyped = format!("SELECT COUNT(*) FROM pragma_table_info('{name}') WHERE type = ''");
                    let untyped: i64 = connection.query_row(&untyped, [], |r| r.get(0)).expect("columns");
                    assert_eq!(untyped, 0, "{name}");
                    connection.execute_batch(&format!("SELECT * FROM {name}")).expect("rows of a view");
                }
                assert!(create(&path, design).is_ok(), "an existing file is opened as it is");
                let other = Design { mode: AllotmentMode::Quota, ..design };
                assert_eq!(create(&path, other).is_err(), mode != AllotmentMode::Quota);
            }
        }
    }
}
