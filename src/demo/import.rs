//! A real publication as the demonstration's legacy system.

use std::path::Path;

use rusqlite::Connection;

use super::DemoFailed;
use crate::domain::Timestamp;

/// Loads a folder with SMART Scheduling Links or a file with a CoWIN answer; returns a report in words.
pub fn import(_connection: &mut Connection, _source: &Path, _now: Timestamp) -> Result<String, DemoFailed> {
    Err(DemoFailed::Import { cause: "imports are not there yet".to_owned() })
}
