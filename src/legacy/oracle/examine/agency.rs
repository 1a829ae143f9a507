//! The agency's tables for the bridge: switch, fence, person constraint.

use super::super::Session;
use super::super::sql::Statement;
use super::super::values::Cell;
use super::{Body, Look, hint, told};
use crate::legacy::finding::{Finding, Level};

const META: Statement<'static> = Statement { id: "check.meta", text: "SELECT VERSION, PERSON_CONSTRAINT FROM SB_META" };
const SWITCH: Statement<'static> =
    Statement { id: "check.switch", text: "SELECT C.STATE, F.TOKEN FROM SB_CONTROL C, SB_FENCE F" };
/// Version of the interface schema that this program knows.
const VERSION: i64 = 3;

impl Look<'_> {
    /// With body `procedure` the write account sees nothing of it but through SB_API.
    pub(super) fn agency(&mut self, session: &mut Session) {
        if self.expected.body == Body::Sql {
            self.switch(session);
            self.constraint(session);
        }
    }

    fn switch(&mut self, session: &mut Session) {
        let finding = match session.rows(SWITCH, &[]) {
            Err(failure) => unread("oracle.switch", "SB_CONTROL and SB_FENCE", &failure),
            Ok(rows) => judge_switch(text(rows.first(), 0), text(rows.first(), 1)),
        };
        self.add(finding);
    }

    /// Which detection of rule 10 exists.
    fn constraint(&mut self, session: &mut Session) {
        let wanted = self.expected.person_constraint;
        let finding = match session.rows(META, &[]) {
            Err(failure) => unread("oracle.person_constraint", "SB_META", &failure),
            Ok(rows) => {
                let version = rows.first().and_then(|row| row.first()?.int());
                let stated = text(rows.first(), 1);
                if version != Some(VERSION) {
                    let stated = version.map_or("nothing".to_owned(), |version| version.to_string());
                    Finding::of(
                        "oracle.schema_version",
                        Level::Wrong,
                        format!("SB_META says version {stated}, this program knows {VERSION}"),
                        "scripts and program are of different releases",
                        "run the scripts of deploy/oracle of this release",
                    )
                } else if stated != wanted {
                    Finding::of(
                        "oracle.person_constraint",
                        Level::Wrong,
                        format!("SB_META says {stated}, the configuration {wanted}"),
                        "write-back would look for native bookings in a way that this database does not support",
                        "set legacy.person_constraint to what the DBA states, or correct SB_META",
                    )
                } else {
                    Finding::fine("oracle.person_constraint", detection(wanted))
                }
            }
        };
        self.add(finding);
    }
}

fn unread(check: &'static str, what: &str, failure: &super::Failure) -> Finding {
    Finding::of(check, Level::Unknown, format!("{what}: {}", told(failure)), "it could not be read", hint(failure))
}

fn text(row: Option<&Vec<Cell>>, at: usize) -> &str {
    row.and_then(|row| row.get(at)?.text()).unwrap_or_default()
}

fn judge_switch(state: &str, token: &str) -> Finding {
    match (state, token) {
        ("RUN", "OPEN") => Finding::fine("oracle.switch", "the switch says RUN, the fence is open"),
        ("DRAIN" | "STOP", "OPEN") => Finding::of(
            "oracle.switch",
            Level::Note,
            format!("the switch says {state}"),
            "the agency has turned the bridge down",
            "when it may run: deploy/oracle/95_run.sql",
        ),
        (_, "CLOSED") => Finding::of(
            "oracle.switch",
            Level::Wrong,
            "the fence is closed",
            "script 94 has returned the bridge's units: it may not write any more",
            "see the DBA's guide on coming back after script 94",
        ),
        _ => Finding::of(
            "oracle.switch",
            Level::Wrong,
            "SB_CONTROL or SB_FENCE holds no row or another word",
            "deploy/oracle/40_bridge_tables.sql makes both",
            "run deploy/oracle/40_bridge_tables.sql",
        ),
    }
}

fn detection(constraint: &str) -> &'static str {
    match constraint {
        "unique_index" => "rule 10 is found by the legacy system's own unique constraint, at write-back",
        "row_lock" => "rule 10 is found by locking the row that native code locks, at write-back",
        _ => "rule 10 has no constraint: found by a look at write-back and one after the longest native transaction",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_fence_is_wrong_whatever_the_switch_says() {
        for (state, token, level) in [
            ("RUN", "OPEN", Level::Fine),
            ("DRAIN", "OPEN", Level::Note),
            ("STOP", "OPEN", Level::Note),
            ("RUN", "CLOSED", Level::Wrong),
            ("", "", Level::Wrong),
            ("run", "OPEN", Level::Wrong),
        ] {
            assert_eq!(judge_switch(state, token).level, level, "{state} {token}");
        }
    }
}
