//! The SCN layer: which commit last touched a row of the slot and reservation tables.
//!
//! SQLite has no ORA_ROWSCN, so triggers keep a growing number beside the row, in the file itself, so that the agency's
//! own programs move it too. Writers are serial, so numbers given inside transactions are in the order of commits.

use rusqlite::Connection;

/// Tables, their keys, and the view whose copy gets a column ROW_SCN.
const WATCHED: [(&str, &str, &str, &str); 2] =
    [("TB_SLOT", "SLOT_NO", "SB_SLOT", "SLOT_ID"), ("TB_RESV", "RESV_NO", "SB_BOOKING", "RESV_NO")];

/// `block`: so many rows, by the order of their first change, share a number as rows of a block do.
pub fn install(path: &str, block: u32) -> rusqlite::Result<()> {
    let mut connection = Connection::open(path)?;
    connection.busy_timeout(std::time::Duration::from_secs(30))?;
    let block = block.max(1);
    let tx = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    tx.execute_batch(
        "CREATE TABLE IF NOT EXISTS FAKE_SCN_NOW (ONE INTEGER PRIMARY KEY CHECK (ONE = 1), SCN INTEGER NOT NULL);
         INSERT OR IGNORE INTO FAKE_SCN_NOW VALUES (1, 1000);
         CREATE TABLE IF NOT EXISTS FAKE_SCN (NO INTEGER PRIMARY KEY, TAB TEXT NOT NULL, KEY TEXT NOT NULL,
           SCN INTEGER NOT NULL);
         CREATE UNIQUE INDEX IF NOT EXISTS FAKE_SCN_KEY ON FAKE_SCN (TAB, KEY);",
    )?;
    for (table, key, _, _) in WATCHED {
        tx.execute_batch(&format!(
            "INSERT OR IGNORE INTO FAKE_SCN (TAB, KEY, SCN) SELECT '{table}', {key}, 1000 FROM {table};"
        ))?;
        // A block's rows are a range of NO, so that the update finds them by the primary key.
        let own = format!("(SELECT NO FROM FAKE_SCN WHERE TAB = '{table}' AND KEY = NEW.{key})");
        for event in ["INSERT", "UPDATE"] {
            tx.execute_batch(&format!(
                "DROP TRIGGER IF EXISTS FAKE_SCN_{event}_{table};
                 CREATE TRIGGER FAKE_SCN_{event}_{table} AFTER {event} ON {table} BEGIN
                   UPDATE FAKE_SCN_NOW SET SCN = SCN + 1;
                   INSERT INTO FAKE_SCN (TAB, KEY, SCN) SELECT '{table}', NEW.{key}, 0
                     WHERE NOT EXISTS (SELECT 1 FROM FAKE_SCN WHERE TAB = '{table}' AND KEY = NEW.{key});
                   UPDATE FAKE_SCN SET SCN = (SELECT SCN FROM FAKE_SCN_NOW)
                     WHERE NO BETWEEN {own} / {block} * {block} AND {own} / {block} * {block} + {block} - 1
                       AND TAB = '{table}';
                 END;"
            ))?;
        }
    }
    tx.commit()
}

/// Temporary views of the session: the named columns, and ROW_SCN.
pub fn views(connection: &Connection) -> rusqlite::Result<()> {
    for (table, _, view, key) in WATCHED {
        let there = "SELECT COUNT(*) FROM main.sqlite_master WHERE type = 'view' AND name = ?1";
        let there: i64 = connection.query_row(there, [view], |row| row.get(0))?;
        if there == 1 {
            connection.execute_batch(&format!(
                "DROP VIEW IF EXISTS temp.{view};
                 CREATE TEMP VIEW {view} AS SELECT V.*, (SELECT S.SCN FROM main.FAKE_SCN S WHERE S.TAB = '{table}'
                   AND S.KEY = V.{key}) AS ROW_SCN FROM main.{view} V;"
            ))?;
        }
    }
    Ok(())
}
