//! The off switch (91, 94, 95) run for real, statement by statement as the scripts have them, on tables made by the
//! scripts' own DDL. SQLite stands in for the server: what differs in spelling is respelled in `respelled`, nothing else.

#[path = "deploy_oracle_parts/script.rs"]
#[allow(dead_code, reason = "the linter of the scripts uses the rest")]
mod script;

use rusqlite::{Connection, params};
use script::{settings, statements};

/// The agency's tables as the interface shows them, and the bridge's own.
struct Agency {
    db: Connection,
    mode: &'static str,
    /// The server's clock, in days.
    now: f64,
}

const MINUTE: f64 = 1.0 / 1440.0;

/// How SQLite spells it. Days as numbers, so that date arithmetic is Oracle's.
fn respelled(sql: &str, now: f64) -> Option<String> {
    if sql.starts_with("ALTER") || sql.starts_with("CREATE SEQUENCE") || sql.contains("VIEW SB_ESCROW_V") {
        return None;
    }
    let sql = sql.split("\nFOR UPDATE").next().unwrap_or(sql);
    let sql = sql.replace(" FROM DUAL", "").replace("SYSDATE", &format!("{now:.9}")).replace("5/86400", "5.0/86400");
    Some(sql)
}

impl Agency {
    fn new(mode: &'static str) -> Agency {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch(
            "CREATE TABLE SB_SLOT_W (SLOT_ID TEXT PRIMARY KEY, STATUS TEXT, CAPACITY INT, BOOKED_CNT INT, REMAIN_CNT INT,
               QUOTA_CNT INT, UPD_DT REAL);
             CREATE TABLE SB_BOOKING_W (RESV_NO TEXT PRIMARY KEY, SLOT_ID TEXT, STATUS TEXT, OP_ID TEXT, UPD_DT REAL);",
        )
        .unwrap();
        let mut agency = Agency { db, mode, now: 1_000.0 };
        for sql in statements("40_bridge_tables.sql", &settings(&[("SB_MODE", mode)])) {
            if !sql.starts_with("SELECT") {
                agency.one(&sql).unwrap();
            }
        }
        agency.run("95_run.sql", &[]).unwrap();
        agency
    }

    fn one(&mut self, sql: &str) -> Result<(), rusqlite::Error> {
        let Some(sql) = respelled(sql, self.now) else { return Ok(()) };
        if sql == "COMMIT" && self.db.is_autocommit() {
            return Ok(());
        }
        let mut statement = self.db.prepare(&sql).unwrap_or_else(|error| panic!("{error}: {sql}"));
        let mut rows = statement.query([])?;
        while rows.next()?.is_some() {}
        Ok(())
    }

    /// Runs a script; the first error rolls back and ends it, as `WHENEVER SQLERROR EXIT FAILURE ROLLBACK` does.
    fn run(&mut self, name: &str, changed: &[(&str, &str)]) -> Result<(), String> {
        let mut all = vec![("SB_MODE", self.mode)];
        all.extend(changed);
        for sql in statements(name, &settings(&all)) {
            if self.db.is_autocommit() {
                self.db.execute_batch("BEGIN").unwrap();
            }
            if let Err(error) = self.one(&sql) {
                self.db.execute_batch("ROLLBACK").unwrap();
                return Err(error.to_string());
            }
        }
        if !self.db.is_autocommit() {
            self.db.execute_batch("COMMIT").unwrap();
        }
        Ok(())
    }

    /// A slot with `reserved` reservations, `units` in escrow and `lost` of them eroded.
    fn slot(&self, id: &str, total: i64, reserved: i64, units: i64, lost: i64) {
        let booked = reserved + units - lost;
        let (capacity, seen) = match self.mode {
            "capacity" => (total - units + lost, Some(total - units)),
            _ => (total, None),
        };
        self.db
            .execute(
                "INSERT INTO SB_SLOT_W VALUES (?1, 'OPEN', ?2, ?3, ?4, ?5, 0)",
                params![id, capacity, booked, total - booked, units],
            )
            .unwrap();
        self.db.execute("INSERT INTO SB_ESCROW VALUES (?1, ?2, NULL, ?3)", params![id, units, seen]).unwrap();
        for n in 0..reserved {
            self.booking(&format!("R{id}{n}"), id, if n == 0 { "D" } else { "A" }, None);
        }
        self.booking(&format!("C{id}"), id, "C", None);
        if self.mode == "count_rows" {
            for n in 0..units - lost {
                self.booking(&format!("P{id}{n}"), id, "A", Some(format!("op#{n}")));
            }
        }
    }

    fn booking(&self, number: &str, slot: &str, status: &str, op: Option<String>) {
        self.db
            .execute("INSERT INTO SB_BOOKING_W VALUES (?1, ?2, ?3, ?4, 0)", params![number, slot, status, op])
            .unwrap();
    }

    fn list(&self, source: &str, rows: &[(&str, i64)], sum: i64) {
        for (slot, units) in rows.iter().chain([&("*", sum)]) {
            let sql = "INSERT INTO SB_UNAPPLIED (SLOT_ID, UNITS, LOADED_AT, SOURCE_CD) VALUES (?1, ?2, ?3, ?4)";
            self.db.execute(sql, params![slot, units, self.now, source]).unwrap();
        }
    }

    fn beat(&self, unapplied: i64) {
        let sql = "UPDATE SB_HEARTBEAT SET UNAPPLIED = ?1, BEAT_AT = ?2";
        assert_eq!(self.db.execute(sql, params![unapplied, self.now]).unwrap(), 1);
    }

    /// Places that native selling finds in a slot, and units still in escrow.
    fn left(&self, slot: &str) -> (i64, i64) {
        let free = match self.mode {
            "remaining" => "S.REMAIN_CNT",
            "capacity" | "count_rows" => {
                "S.CAPACITY - (SELECT COUNT(*) FROM SB_BOOKING_W B WHERE B.SLOT_ID = S.SLOT_ID AND B.STATUS <> 'C')"
            }
            _ => "S.CAPACITY - S.BOOKED_CNT",
        };
        let sql =
            format!("SELECT {free}, E.UNITS FROM SB_SLOT_W S JOIN SB_ESCROW E USING (SLOT_ID) WHERE SLOT_ID = ?1");
        self.db.query_row(&sql, [slot], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
    }

    fn word(&self, sql: &str) -> String {
        self.db.query_row(sql, [], |row| row.get(0)).unwrap()
    }
}

const HOLDING: [&str; 5] = ["counter", "remaining", "capacity", "quota", "count_rows"];

#[test]
fn free_units_go_back_and_units_of_unapplied_bookings_stay_in_every_mode() {
    for mode in HOLDING {
        let mut agency = Agency::new(mode);
        agency.slot("S1", 10, 4, 3, 0);
        agency.slot("S2", 10, 2, 5, 0);
        agency.slot("S3", 10, 0, 2, 0);
        agency.run("91_stop.sql", &[]).unwrap();
        agency.now += MINUTE;
        agency.list("LEDGER", &[("S2", 2), ("S3", 7)], 9);
        let before = [agency.left("S1"), agency.left("S2"), agency.left("S3")];
        assert_eq!(before, [(3, 3), (3, 5), (8, 2)], "{mode}");
        agency.run("94_return_orphans.sql", &[]).unwrap();
        let after = [agency.left("S1"), agency.left("S2"), agency.left("S3")];
        assert_eq!(after, [(6, 0), (6, 2), (8, 2)], "{mode}");
        assert_eq!(agency.word("SELECT TOKEN FROM SB_FENCE"), "CLOSED");
        agency.run("94_return_orphans.sql", &[]).unwrap();
        let again = [agency.left("S1"), agency.left("S2"), agency.left("S3")];
        assert_eq!(again, after, "{mode}: a second run changes nothing");
    }
}

#[test]
fn an_eroded_slot_gives_back_only_what_is_left_and_is_never_oversold() {
    for mode in HOLDING {
        for lost in 0..=3 {
            for unapplied in 0..=3 {
                let mut agency = Agency::new(mode);
                agency.slot("S1", 9, 5, 3, lost);
                agency.run("91_stop.sql", &[]).unwrap();
                agency.now += MINUTE;
                agency.list("LEDGER", &[("S1", unapplied)], unapplied);
                let (free, _) = agency.left("S1");
                agency.run("94_return_orphans.sql", &[]).unwrap();
                let (after, kept) = agency.left("S1");
                assert_eq!(kept, unapplied, "{mode} {lost} {unapplied}");
                assert!(after >= free, "{mode} {lost} {unapplied}: native selling lost places");
                // What native selling may sell, what is reserved and what is kept never exceed the total, unless the
                // erosion itself had given more away already.
                let bound = (9 - 5 - unapplied).max(free);
                assert!(after <= bound, "{mode} {lost} {unapplied}: {after} of {bound}");
                if mode != "capacity" || lost == 0 {
                    assert_eq!(after, bound, "{mode} {lost} {unapplied}: something was not given back");
                }
            }
        }
    }
}

#[test]
fn without_a_list_nothing_is_returned_and_the_fence_stays_closed() {
    let mut agency = Agency::new("counter");
    agency.slot("S1", 10, 4, 3, 0);
    agency.run("91_stop.sql", &[]).unwrap();
    agency.now += MINUTE;
    let refused = agency.run("94_return_orphans.sql", &[]).unwrap_err();
    assert!(refused.contains("SB_94_UNAPPLIED_LIST_MISSING"), "{refused}");
    assert_eq!(agency.left("S1"), (3, 3));
    assert_eq!(agency.word("SELECT TOKEN FROM SB_FENCE"), "CLOSED");
}

#[test]
fn a_heartbeat_counts_only_from_after_the_stop() {
    let mut agency = Agency::new("counter");
    agency.slot("S1", 10, 4, 3, 0);
    agency.beat(0);
    agency.run("91_stop.sql", &[]).unwrap();
    agency.now += MINUTE;
    assert!(agency.run("94_return_orphans.sql", &[]).unwrap_err().contains("SB_94_UNAPPLIED_LIST_MISSING"));
    agency.beat(1);
    assert!(agency.run("94_return_orphans.sql", &[]).unwrap_err().contains("SB_94_UNAPPLIED_LIST_MISSING"));
    agency.beat(0);
    // A second stop keeps the time of the first.
    agency.run("91_stop.sql", &[]).unwrap();
    agency.run("94_return_orphans.sql", &[]).unwrap();
    assert_eq!(agency.left("S1"), (6, 0));
}

#[test]
fn a_list_from_before_the_stop_or_cut_short_is_refused() {
    let mut agency = Agency::new("counter");
    agency.slot("S1", 10, 4, 3, 0);
    agency.list("LEDGER", &[("S1", 1)], 1);
    agency.run("91_stop.sql", &[]).unwrap();
    agency.now += MINUTE;
    assert!(agency.run("94_return_orphans.sql", &[]).unwrap_err().contains("SB_94_UNAPPLIED_LIST_MISSING"));
    agency.db.execute("DELETE FROM SB_UNAPPLIED", []).unwrap();
    agency.list("LEDGER", &[("S1", 1)], 2);
    assert!(agency.run("94_return_orphans.sql", &[]).unwrap_err().contains("SB_94_LIST_IS_CUT_SHORT"));
    agency.db.execute("DELETE FROM SB_UNAPPLIED WHERE SLOT_ID = '*'", []).unwrap();
    assert!(agency.run("94_return_orphans.sql", &[]).unwrap_err().contains("SB_94_LIST_IS_CUT_SHORT"));
    assert_eq!(agency.left("S1"), (3, 3));
}

#[test]
fn the_list_of_an_older_ledger_is_refused() {
    let mut agency = Agency::new("counter");
    agency.slot("S1", 10, 4, 3, 0);
    agency.run("91_stop.sql", &[]).unwrap();
    agency.now += MINUTE;
    agency.db.execute("UPDATE SB_HEARTBEAT SET POSITION = 120, UNAPPLIED = 1", []).unwrap();
    agency.list("LEDGER", &[], 0);
    let note = "UPDATE SB_UNAPPLIED SET NOTE = ?1 WHERE SLOT_ID = '*'";
    agency.db.execute(note, ["position=99"]).unwrap();
    assert!(agency.run("94_return_orphans.sql", &[]).unwrap_err().contains("SB_94_LEDGER_IS_BEHIND"));
    assert_eq!(agency.left("S1"), (3, 3));
    agency.db.execute(note, ["position=120"]).unwrap();
    agency.run("94_return_orphans.sql", &[]).unwrap();
    assert_eq!(agency.left("S1"), (6, 0));
}

#[test]
fn without_the_ledger_every_partner_must_have_stated_its_bookings() {
    let mut agency = Agency::new("counter");
    agency.slot("S1", 10, 4, 3, 0);
    agency.db.execute_batch("INSERT INTO SB_PARTNER_LIST VALUES ('naver'), ('kakao')").unwrap();
    agency.run("91_stop.sql", &[]).unwrap();
    agency.now += MINUTE;
    agency.list("naver", &[("S1", 1)], 1);
    assert!(agency.run("94_return_orphans.sql", &[]).unwrap_err().contains("SB_94_UNAPPLIED_LIST_MISSING"));
    agency.list("kakao", &[("S1", 1)], 1);
    agency.run("94_return_orphans.sql", &[]).unwrap();
    assert_eq!(agency.left("S1"), (4, 2));
}

#[test]
fn a_mode_other_than_the_views_is_refused() {
    let mut agency = Agency::new("remaining");
    agency.slot("S1", 10, 4, 3, 0);
    agency.run("91_stop.sql", &[]).unwrap();
    agency.now += MINUTE;
    agency.beat(0);
    agency.mode = "counter";
    assert!(agency.run("94_return_orphans.sql", &[]).unwrap_err().contains("SB_94_MODE_IS_NOT_OF_SB_META"));
    for mode in ["on_request", "none"] {
        let mut agency = Agency::new(mode);
        agency.slot("S1", 10, 4, 3, 0);
        agency.run("91_stop.sql", &[]).unwrap();
        agency.now += MINUTE;
        agency.beat(0);
        assert!(agency.run("94_return_orphans.sql", &[]).unwrap_err().contains("SB_94_MODE_HOLDS_NO_UNITS"), "{mode}");
    }
}

#[test]
fn draining_never_wakes_a_stopped_bridge_and_running_again_needs_a_word_after_a_return() {
    let mut agency = Agency::new("counter");
    agency.slot("S1", 10, 4, 3, 0);
    let state = |agency: &Agency| agency.word("SELECT STATE FROM SB_CONTROL");
    assert_eq!(state(&agency), "RUN");
    agency.run("90_drain.sql", &[]).unwrap();
    assert_eq!(state(&agency), "DRAIN");
    agency.run("91_stop.sql", &[]).unwrap();
    agency.run("90_drain.sql", &[]).unwrap();
    assert_eq!(state(&agency), "STOP");
    agency.run("95_run.sql", &[]).unwrap();
    assert_eq!(state(&agency), "RUN");
    agency.run("91_stop.sql", &[]).unwrap();
    agency.now += MINUTE;
    agency.beat(0);
    agency.run("93_orphans_report.sql", &[]).unwrap();
    agency.run("94_return_orphans.sql", &[]).unwrap();
    assert!(agency.run("95_run.sql", &[]).unwrap_err().contains("SB_95_UNITS_WERE_RETURNED"));
    assert_eq!(state(&agency), "STOP");
    agency.run("95_run.sql", &[("SB_RECONCILED", "YES")]).unwrap();
    assert_eq!((state(&agency).as_str(), agency.word("SELECT TOKEN FROM SB_FENCE").as_str()), ("RUN", "OPEN"));
}
