//! `slotbridge ledger export`: entries as NDJSON, one a line, as they stand in the ledger.

use std::io::Write;
use std::path::Path;

use super::{LedgerError, LedgerReader};
use crate::domain::Position;

/// Entries that are read at a time.
const PAGE: usize = 4_096;

/// Writes every entry after `after` and returns how many there were.
pub fn export(dir: &Path, after: Position, out: &mut dyn Write) -> Result<u64, LedgerError> {
    let reader = LedgerReader::open(dir)?;
    let (mut after, mut written) = (after, 0);
    loop {
        let page = reader.read_entries(after, PAGE)?;
        let Some(last) = page.last() else { break };
        after = last.last();
        for entry in &page {
            serde_json::to_writer(&mut *out, entry)
                .map_err(std::io::Error::from)
                .and_then(|()| out.write_all(b"\n"))
                .map_err(LedgerError::file("cannot write the export of", dir))?;
        }
        written += page.len() as u64;
    }
    out.flush().map_err(LedgerError::file("cannot write the export of", dir))?;
    Ok(written)
}
