//! The example legacy schema: tables as an agency would have them, the interface views `SB_*` and the bridge's tables.
//!
//! Invariant: nothing outside this folder names a table; capture reads views, and only columns of a `Layout`.

use std::path::Path;

use rusqlite::{Connection, params};

use super::{PersonConstraint, failure, open_connection};
use crate::legacy::{LegacyError, LegacyErrorKind};

/// Version of the interface schema, in `SB_META`.
pub const VERSION: i64 = 1;
const TABLES: &str = include_str!("schema.sql");
const UNIQUE_PERSON: &str = "CREATE UNIQUE INDEX UX_RESV_ACTIVE ON TB_RESV (PSN_NO, SERIES_CD) WHERE STAT_CD = 'A'";

/// Code tables: group, code, name.
const CODES: [(&str, &str, &str); 16] = [
    ("SLOT_STAT", "1", "예약가능"),
    ("SLOT_STAT", "9", "마감"),
    ("RESV_STAT", "A", "예약"),
    ("RESV_STAT", "C", "취소"),
    ("RESV_STAT", "D", "접종완료"),
    ("PSN_STAT", "0", "정상"),
    ("PSN_STAT", "1", "사망"),
    ("PSN_STAT", "2", "접종완료"),
    ("PSN_STAT", "3", "제외"),
    ("VCN", "PF", "화이자"),
    ("VCN", "MD", "모더나"),
    ("VCN", "AZ", "아스트라제네카"),
    ("VCN", "JS", "얀센"),
    ("VCN", "NV", "노바백스"),
    ("SEX", "M", "남"),
    ("SEX", "F", "여"),
];

/// Makes the schema in a new file, or opens a file that has it. WAL, so that readers never block sellers.
/// A file with another schema version or another person constraint is refused.
pub fn create(path: &Path, constraint: PersonConstraint) -> Result<Connection, LegacyError> {
    let mut connection = open_connection(path, super::BUSY_TIMEOUT_MS)?;
    let made: bool = connection
        .query_row("SELECT COUNT(*) FROM sqlite_master WHERE name = 'SB_META'", [], |row| row.get(0))
        .map_err(failure)?;
    if made {
        let (version, had): (i64, String) = connection
            .query_row("SELECT VERSION, PERSON_CONSTRAINT FROM SB_META", [], |row| Ok((row.get(0)?, row.get(1)?)))
            .map_err(failure)?;
        if version != VERSION || had != constraint.code() {
            let message = format!(
                "the file holds interface schema {version} with person constraint {had}, wanted {VERSION} with {}",
                constraint.code()
            );
            return Err(LegacyError::new(LegacyErrorKind::Operator, message));
        }
        return Ok(connection);
    }
    connection.execute_batch("PRAGMA journal_mode = WAL").map_err(failure)?;
    let tx = connection.transaction().map_err(failure)?;
    tx.execute_batch(TABLES).map_err(failure)?;
    if constraint == PersonConstraint::UniqueIndex {
        tx.execute_batch(UNIQUE_PERSON).map_err(failure)?;
    }
    tx.execute("INSERT INTO SB_META VALUES (?1, ?2)", params![VERSION, constraint.code()]).map_err(failure)?;
    for (sort, (group, code, name)) in CODES.iter().enumerate() {
        tx.execute("INSERT INTO TB_CODE VALUES (?1, ?2, ?3, ?4, 'Y')", params![group, code, name, sort as i64])
            .map_err(failure)?;
    }
    tx.commit().map_err(failure)?;
    Ok(connection)
}
