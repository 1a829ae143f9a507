//! `LegacyWrite` over Oracle 11.2: one session, one transaction of ops at a time, in one of two bodies.
//!
//! Invariants: an op's id, its effect and its answer are one transaction; the session that a failure has put in doubt is
//! dropped, never asked whether the commit happened: the same ops are run again on another session, where the insert
//! of the id waits for the dead transaction and then either succeeds or finds the answer. Nothing is retried here, and
//! no second session is opened: another one may be on a database that lost transactions, so the caller opens a new
//! writer and compares the fence before it writes. The caller knows how often and when.
//!
//! Not here: the error table (`error`), how a session comes to be (`session`), the agency's package.

mod batch;
mod link;
mod named;
mod procedure;
mod slot;
mod trouble;
mod units;

use std::sync::Arc;

#[cfg(test)]
pub(super) use link::placeholders;

use self::batch::{Batch, control, count, fence_op};
use self::link::{Binds, Link, SessionLink};
use self::trouble::{Trouble, halt, schema};
use super::Oracle;
use super::catalogue::Entry;
use super::error::{ErrorClass, Failure, Step};
use super::session::Session;
use super::settings::Account;
use super::sql_write as sql;
use crate::domain::SlotKey;
pub use crate::legacy::sqlite::write::{
    RULE_PERSON_MISSING, RULE_PLACEHOLDER_MISSING, RULE_RESERVATION_DONE, RULE_RESERVATION_MISSING,
};
pub use crate::legacy::sqlite::{Maintained, PersonConstraint};
use crate::legacy::{
    Agency, Fence, Heartbeat, LegacyError, LegacyErrorKind, LegacyWrite, MAX_OPS, OpReply, OpRequest, RELEASES_MAX,
    ReleaseRequest,
};

/// Code of a `LegacyRule` reply: the server's character set does not have the text, or it is too long there.
pub const RULE_CHARSET: &str = "charset";
/// Most bytes of a person key, a series or a remark that any statement binds.
const KEY_BYTES_MAX: usize = 200;

/// Who carries out what an op asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Body {
    /// The bridge, by the statements of the catalogue.
    #[default]
    Sql,
    /// The agency's package `SB_API`; the write account has no right but to execute it.
    Procedure,
}

#[derive(Debug, Clone)]
pub struct Settings {
    pub body: Body,
    pub maintained: Maintained,
    pub person_constraint: PersonConstraint,
    /// Remark of the reservations that the bridge makes; empty: NULL.
    pub memo: String,
    /// Ops leave `SB_FENCE` as it is (`LegacyWrite::leave_fence`).
    pub leaves_fence: bool,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            body: Body::Sql,
            maintained: Maintained::Application,
            person_constraint: PersonConstraint::UniqueIndex,
            memo: "제휴사 예약".to_owned(),
            leaves_fence: false,
        }
    }
}

pub struct OracleWrite {
    settings: Settings,
    /// `None` once it was lost.
    session: Option<Session>,
    /// `SB_FENCE.APPLIED_CNT` as of the newest commit.
    applied: u64,
    /// Statements of the session that is gone.
    statements: u64,
}

impl OracleWrite {
    /// Logs on, so that what is wrong with the account is known at the start.
    pub fn open(oracle: Arc<Oracle>, settings: Settings) -> Result<OracleWrite, LegacyError> {
        let session = Session::open(&oracle, Account::Write)?;
        let mut writer = OracleWrite { settings, session: Some(session), applied: 0, statements: 0 };
        let memo = writer.settings.memo.clone();
        let bytes = SessionLink(writer.session()?).bytes(&memo);
        if bytes.is_none_or(|bytes| bytes > KEY_BYTES_MAX) {
            let message = "the remark for the bridge's reservations is too long for the server, or its character set \
                           does not have all of it";
            return Err(LegacyError::new(LegacyErrorKind::Operator, message));
        }
        Ok(writer)
    }

    /// The session, while it may be used.
    fn session(&mut self) -> Result<&mut Session, LegacyError> {
        if let Some(gone) = self.session.take_if(|session| !session.is_usable()) {
            self.statements += gone.statements();
        }
        self.session.as_mut().ok_or_else(|| {
            let words = "the session may not be used after what failed on it: another one is opened";
            Failure::own(ErrorClass::ConnectionLost, Step::Execute, "session", words).into()
        })
    }

    /// One transaction: `work` and a commit, or nothing.
    fn transaction<T>(
        &mut self,
        work: impl FnOnce(&mut dyn Link, &Settings) -> Result<T, Trouble>,
    ) -> Result<T, LegacyError> {
        let settings = self.settings.clone();
        let session = self.session()?;
        match work(&mut SessionLink(session), &settings) {
            Ok(done) => {
                // A commit that failed is never followed by anything on its session.
                session.commit()?;
                Ok(done)
            }
            Err(trouble) => {
                if session.is_usable() {
                    // Whatever this says: if it failed, the session is not used again and the server rolls back.
                    let _ = session.rollback();
                }
                Err(trouble.into())
            }
        }
    }
}

impl LegacyWrite for OracleWrite {
    fn apply(&mut self, ops: &[OpRequest]) -> Result<Vec<OpReply>, LegacyError> {
        if ops.len() > MAX_OPS {
            return Err(halt(format!("{} ops in one transaction, at most {MAX_OPS}", ops.len())).into());
        }
        let (replies, applied) = self.transaction(|link, settings| match settings.body {
            Body::Sql => Batch { link, settings, draining: false, fresh: 0 }.run(ops),
            Body::Procedure => procedure::run(link, settings, ops),
        })?;
        self.applied = applied.unwrap_or(self.applied);
        Ok(replies)
    }

    fn applied(&self) -> u64 {
        self.applied
    }

    fn agency(&mut self) -> Result<Agency, LegacyError> {
        let body = self.settings.body;
        let session = self.session()?;
        let told = match body {
            Body::Sql => agency(&mut SessionLink(session)),
            Body::Procedure => procedure::agency(&mut SessionLink(session)),
        };
        told.map_err(Trouble::into)
    }

    fn released(&mut self, request: u64) -> Result<(), LegacyError> {
        let request = i64::try_from(request).map_err(|_| LegacyError::from(halt("a release request above 2^63")))?;
        let binds = [("P_REQUEST_ID", request.into())];
        self.transaction(|link, settings| match settings.body {
            Body::Sql => changed(link, &sql::RELEASE_DONE, &binds).map(|_| ()),
            Body::Procedure => procedure::tell(link, &sql::API_RELEASED, &binds),
        })
    }

    fn heartbeat(&mut self, beat: Heartbeat) -> Result<(), LegacyError> {
        let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX).into();
        let binds = [
            ("P_POSITION", number(beat.position)),
            ("P_UNAPPLIED", number(beat.unapplied)),
            ("P_FREE_UNITS", number(beat.free_units)),
        ];
        self.transaction(|link, settings| match settings.body {
            Body::Sql if changed(link, &sql::BEAT_AGAIN, &binds)? == 0 => {
                changed(link, &sql::BEAT_FIRST, &binds).map(|_| ())
            }
            Body::Sql => Ok(()),
            Body::Procedure => procedure::tell(link, &sql::API_BEAT, &binds),
        })
    }

    /// With body `procedure` the DBA's own job does it: the account has no right to.
    fn forget_applied(&mut self, days: u32, rows_max: u32) -> Result<u64, LegacyError> {
        let binds = [("P_DAYS", i64::from(days).into()), ("P_ROWS", i64::from(rows_max).into())];
        self.transaction(|link, settings| match settings.body {
            Body::Sql => changed(link, &sql::APPLIED_FORGET, &binds),
            Body::Procedure => Ok(0),
        })
    }

    fn password_days(&mut self) -> Result<Option<i64>, LegacyError> {
        Ok(self.session()?.expiry_days()?)
    }

    fn leave_fence(&mut self) -> bool {
        self.settings.leaves_fence = true;
        true
    }

    fn statements(&self) -> u64 {
        self.statements + self.session.as_ref().map_or(0, Session::statements)
    }
}

fn changed(link: &mut dyn Link, entry: &'static Entry, binds: Binds<'_>) -> Result<u64, Trouble> {
    Ok(link.change(entry, binds)?)
}

fn agency(link: &mut dyn Link) -> Result<Agency, Trouble> {
    let state = link.rows(&sql::AGENCY_STATE, &[])?.into_iter().next();
    let state = state.ok_or_else(|| schema("SB_CONTROL or SB_FENCE has no row"))?;
    let rows_max = i64::try_from(RELEASES_MAX).unwrap_or(i64::MAX);
    let rows = link.rows(&sql::AGENCY_RELEASES, &[("P_ROWS", rows_max.into())])?;
    let releases = rows.iter().map(|row| {
        let id = row.int(0).and_then(|id| u64::try_from(id).ok());
        let slot = row.text(1).map(SlotKey::new).transpose().ok();
        id.zip(slot).map(|(id, slot)| ReleaseRequest { id, slot })
    });
    Ok(Agency {
        control: control(state.text(0))?,
        fence: Fence {
            last_op: fence_op(state.text(2))?,
            applied: count(state.int(3))?,
            open: state.text(1) == Some("OPEN"),
        },
        releases: releases.collect::<Option<_>>().ok_or_else(|| schema("SB_RELEASE_REQUEST: not a request"))?,
    })
}

#[cfg(test)]
mod tests;
