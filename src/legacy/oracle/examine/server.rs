//! The server itself: its clock and its undo.

use std::time::Duration;

use super::super::sql::{self, Statement};
use super::super::{Account, Session};
use super::{Look, hint, told};
use crate::clock::{Clock, SystemClock};
use crate::legacy::finding::{Finding, Level};

/// How far the server's clock may be from ours: the shortest overlap of a hint is 3 s.
const CLOCK_MS_MAX: i64 = 2_000;

const UNDO: Statement<'static> =
    Statement { id: "check.undo", text: "SELECT VALUE FROM V$PARAMETER WHERE NAME = 'undo_retention'" };

impl Look<'_> {
    pub(super) fn clock(&mut self, session: &mut Session, account: Account) {
        let place = format!("instance {} ({})", session.identity().instance, account.code());
        let before = SystemClock.now();
        let read = session.rows(sql::READ_CLOCK, &[]);
        let after = SystemClock.now();
        let theirs = read.as_ref().ok().and_then(|rows| rows.first()?.get(1)?.time());
        let finding = match (read, theirs) {
            (Err(failure), _) => Finding::of(
                "oracle.clock",
                Level::Unknown,
                format!("{place}: {}", told(&failure)),
                "the clock could not be read",
                hint(&failure),
            ),
            (Ok(_), None) => Finding::of(
                "oracle.clock",
                Level::Unknown,
                format!("{place}: no readable clock"),
                "SYSTIMESTAMP came back as something else",
                "look at the server's time zone settings",
            ),
            (Ok(_), Some(theirs)) => {
                // The reading lies between the two of ours.
                let off = if theirs < before { theirs.since_ms(before) } else { theirs.since_ms(after).max(0) };
                if off.abs() <= CLOCK_MS_MAX {
                    Finding::fine("oracle.clock", format!("{place}: {off} ms off ours"))
                } else {
                    Finding::of(
                        "oracle.clock",
                        Level::Wrong,
                        format!("{place}: {off} ms off ours"),
                        "hints by time miss changes when clocks differ by more than their overlap",
                        "synchronise both hosts by NTP; on RAC every node",
                    )
                }
            }
        };
        self.add(finding);
    }

    /// A cut needs its snapshot for as long as it reads.
    pub(super) fn undo_retention(&mut self, session: &mut Session) {
        let cut_s = self.expected.cut_max.as_secs();
        let read = session.rows(UNDO, &[]);
        let seconds = read.as_ref().ok().and_then(|rows| rows.first()?.first()?.int());
        let finding = match (read, seconds) {
            (Ok(_), Some(seconds)) if Duration::from_secs(seconds.unsigned_abs()) >= self.expected.cut_max * 2 => {
                Finding::fine("oracle.undo", format!("undo_retention {seconds} s"))
            }
            (Ok(_), Some(seconds)) => Finding::of(
                "oracle.undo",
                Level::Wrong,
                format!("undo_retention is {seconds} s"),
                format!("cuts may take {cut_s} s and should not take more than half of it (ORA-01555)"),
                "raise undo_retention and the undo tablespace, or make cuts shorter (section [capture])",
            ),
            (Ok(_), None) => Finding::of(
                "oracle.undo",
                Level::Unknown,
                "undo_retention is not stated",
                "V$PARAMETER has no such row for this account",
                "ask the DBA: SHOW PARAMETER undo_retention",
            ),
            (Err(failure), _) => Finding::of(
                "oracle.undo",
                Level::Unknown,
                format!("undo_retention: {}", told(&failure)),
                "the read account may not see V$PARAMETER",
                "GRANT SELECT ON SYS.V_$PARAMETER to the read accounts, or ask the DBA: SHOW PARAMETER undo_retention",
            ),
        };
        self.add(finding);
    }
}
