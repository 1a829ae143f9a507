//! Rows a second of a full cut of slots, a layer at a time.
//!
//! The layers are runs of their own: the driver alone with its rows dropped unread by us, the adapter with its rows
//! dropped, and the whole of capture into a mirror. What a layer adds is the difference to the one below it.

use std::time::Instant;

use slotbridge::capture::{Lane, Settings};
use slotbridge::legacy::LegacyRead;
use slotbridge::legacy::sqlite::SqliteRead;

use super::{Town, layout, layouts, object, processor_ms};

#[derive(Debug, Clone, Copy)]
pub struct Speed {
    pub rows: u64,
    pub seconds: f64,
    /// Of this process and of the double's server.
    pub own_ms: u64,
    pub server_ms: u64,
}

impl Speed {
    pub fn per_s(&self) -> f64 {
        self.rows as f64 / self.seconds
    }

    pub fn own_us_per_row(&self) -> f64 {
        self.own_ms as f64 * 1_000.0 / self.rows.max(1) as f64
    }
}

fn timed(town: &Town, work: impl FnOnce() -> u64) -> Speed {
    let processes = [std::process::id(), town.server.process()];
    let before = processes.map(processor_ms);
    let began = Instant::now();
    let rows = work();
    let seconds = began.elapsed().as_secs_f64();
    let after = processes.map(processor_ms);
    Speed { rows, seconds, own_ms: after[0] - before[0], server_ms: after[1] - before[1] }
}

/// A slot table of so many rows, all columns filled as the generator fills them.
pub fn multiply_slots(native: &rusqlite::Connection, slots: u32) {
    let had: u32 = native.query_row("SELECT COUNT(*) FROM TB_SLOT", [], |row| row.get(0)).expect("slots");
    native
        .execute_batch(&format!(
            "CREATE TEMP TABLE MANY AS SELECT * FROM main.TB_SLOT;
             WITH RECURSIVE N(N) AS (SELECT 1 UNION ALL SELECT N + 1 FROM N WHERE N < {})
             INSERT INTO main.TB_SLOT SELECT M.SLOT_NO || '-' || N.N, M.SITE_NO, M.SERIES_CD, M.RSV_DT, M.DUR_MI,
               M.VCN_CD, M.DOSE_NO, M.MIN_AGE, M.STAT_CD, M.CAPA_CNT, M.BOOKED_CNT, M.EXT_QUOTA_CNT, M.OPEN_DT,
               M.CHRG_NM, M.RMK, M.REG_DT, M.UPD_DT, M.REMAIN_CNT FROM MANY M, N;
             DROP TABLE MANY",
            slots / had.max(1) - 1
        ))
        .expect("more slots");
}

pub struct Speeds {
    pub columns: usize,
    /// The driver with the same text and array size; its rows are not looked at.
    pub driver: Speed,
    pub adapter: Speed,
    /// The first full cut into an empty mirror, and a second one that finds nothing new.
    pub capture_first: Speed,
    pub capture_again: Speed,
    pub sqlite_adapter: Speed,
    pub sqlite_capture_first: Speed,
    pub sqlite_capture_again: Speed,
}

pub fn measure(town: &Town) -> Speeds {
    let slots = layout("slot");
    let columns = slots.columns.len();
    let drop_rows = |reader: &mut dyn LegacyRead| {
        let mut rows = 0;
        reader
            .cut(&[&slots], &mut |_, _| {
                rows += 1;
                Ok(())
            })
            .expect("a cut");
        rows
    };
    let names: Vec<String> = slots.columns.iter().map(|column| format!("\"{}\"", column.name)).collect();
    let text = format!("SELECT {} FROM \"SB_SLOT\"", names.join(", "));
    let connection = town.server.connect("SB_READ", "secret");
    let driver = timed(town, || {
        let mut statement =
            connection.statement(&text).fetch_array_size(1_000).prefetch_rows(0).build().expect("a statement");
        statement.query(&[]).expect("rows").inspect(|row| assert!(row.is_ok(), "a row")).count() as u64
    });
    drop(connection);
    let mut oracle = town.reader();
    let mut sqlite = SqliteRead::open(&town.file).expect("the file");
    let adapter = timed(town, || drop_rows(&mut oracle));
    let sqlite_adapter = timed(town, || drop_rows(&mut sqlite));
    let [capture_first, capture_again] = captured(town, &mut oracle);
    let [sqlite_capture_first, sqlite_capture_again] = captured(town, &mut sqlite);
    Speeds {
        columns,
        driver,
        adapter,
        capture_first,
        capture_again,
        sqlite_adapter,
        sqlite_capture_first,
        sqlite_capture_again,
    }
}

fn captured(town: &Town, reader: &mut dyn LegacyRead) -> [Speed; 2] {
    let mut read = layouts();
    read.retain(|layout| layout.object.as_str() == "slot");
    let (_folder, capture) = town.capture(read, Settings::default());
    let mut lane = Lane::new(&capture).expect("a lane");
    [(); 2].map(|()| timed(town, || lane.full(&[object("slot")], reader).expect("a full cut").rows))
}
