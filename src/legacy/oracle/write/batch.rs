//! Body `sql`: one transaction of ops. Every op has its id inserted first and its answer stored last, and a savepoint
//! between, so that an op that the legacy system refuses leaves its answer and nothing else.
//!
//! Invariants: the fence row is locked before anything else, so that one transaction of the bridge, or the agency's
//! script, runs at a time; the slot row is locked before its numbers are read; nothing is awaited in between. A
//! transaction answers all its ops or none: there is no giving up half-way, so the bound on time is a bound on ops
//! (`MAX_OPS`, and the caller's smaller batches), at `STATEMENTS_MAX` statements an op.

use super::link::{Binds, Link, Row};
use super::slot::SlotState;
use super::trouble::{Trouble, halt, operator, schema};
use super::{KEY_BYTES_MAX, RULE_CHARSET, Settings};
use crate::domain::{AllotmentMode, OpId};
use crate::legacy::oracle::catalogue::Entry;
use crate::legacy::oracle::error::{Code, ErrorClass, Failure};
use crate::legacy::oracle::sql_write as sql;
use crate::legacy::stored::{body_hash, decode, encode};
use crate::legacy::{Control, LegacyOp, OpReply, OpRequest};

/// Unique constraint violated.
pub(super) const ORA_UNIQUE: u32 = 1;

pub(super) struct Batch<'a> {
    pub(super) link: &'a mut dyn Link,
    pub(super) settings: &'a Settings,
    pub(super) draining: bool,
    /// Ops that were not known.
    pub(super) fresh: u64,
}

/// The fence row as it is locked.
struct Locked {
    incarnation: Option<String>,
    last_op: Option<OpId>,
    applied: u64,
}

impl Batch<'_> {
    /// All but the commit. The replies, and how many ops are applied then.
    pub(super) fn run(&mut self, ops: &[OpRequest]) -> Result<(Vec<OpReply>, Option<u64>), Trouble> {
        let fence = self.fence()?;
        let replies = ops.iter().map(|op| self.once(op)).collect::<Result<Vec<_>, _>>()?;
        let newest = ops.iter().map(|op| op.id).max_by_key(|id| id.position);
        let Some(newest) = newest.filter(|_| !self.settings.leaves_fence) else { return Ok((replies, None)) };
        let (applied, newer) = (fence.applied + self.fresh, is_newer(newest, fence.last_op));
        if newer || self.fresh > 0 {
            let (incarnation, op) = match fence.last_op.filter(|_| !newer) {
                Some(last) => (fence.incarnation.unwrap_or_default(), last.to_string()),
                None => (format!("{:016x}", newest.incarnation.0), newest.to_string()),
            };
            let count = i64::try_from(applied).map_err(|_| schema("SB_FENCE.APPLIED_CNT is above 2^63"))?;
            let binds = [
                ("P_INCARNATION", incarnation.as_str().into()),
                ("P_OP_ID", op.as_str().into()),
                ("P_APPLIED_CNT", count.into()),
            ];
            self.one(&sql::BATCH_FENCE, &binds)?;
        }
        Ok((replies, Some(applied)))
    }

    fn fence(&mut self) -> Result<Locked, Trouble> {
        let row = self.row(&sql::BATCH_LOCK, &[])?.ok_or_else(|| schema("SB_FENCE has no row"))?;
        self.draining = admitted(row.text(0), row.text(1))? == Control::Drain;
        Ok(Locked {
            incarnation: row.text(2).map(str::to_owned),
            last_op: fence_op(row.text(3))?,
            applied: count(row.int(4))?,
        })
    }

    fn once(&mut self, op: &OpRequest) -> Result<OpReply, Trouble> {
        let (id, hash) = (op.id.to_string(), body_hash(op));
        let binds = [("P_OP_ID", id.as_str().into()), ("P_BODY_HASH", hash.as_str().into())];
        match self.link.change(&sql::OP_BEGIN, &binds) {
            Ok(_) => self.fresh += 1,
            Err(failure) if failure.is_ora(ORA_UNIQUE) => return self.known(&id, &hash),
            Err(failure) => return Err(failure.into()),
        }
        self.link.change(&sql::OP_SAVEPOINT, &[])?;
        let reply = match self.carry_out(op) {
            Ok(reply) => reply,
            Err(Trouble::Server(failure)) if answers(&failure) => {
                self.undo()?;
                rule(&failure.code.to_string())
            }
            Err(trouble) => return Err(trouble),
        };
        let result = encode(&reply);
        self.one(&sql::OP_END, &[("P_RESULT", result.as_str().into()), ("P_OP_ID", id.as_str().into())])?;
        Ok(reply)
    }

    /// The id was there: nothing happens again.
    fn known(&mut self, id: &str, hash: &str) -> Result<OpReply, Trouble> {
        let row = self.row(&sql::OP_KNOWN, &[("P_OP_ID", id.into())])?;
        let row = row.ok_or_else(|| halt(format!("op {id} is a duplicate and is not there")))?;
        known_reply(id, hash, row.text(0), row.text(1))
    }

    fn carry_out(&mut self, op: &OpRequest) -> Result<OpReply, Trouble> {
        match &op.what {
            LegacyOp::Take { units } => self.take(op, i64::from(*units)),
            LegacyOp::Return { units } => self.give_back(op, i64::from(*units)),
            LegacyOp::Mend { sold } => self.mend(op, *sold),
            LegacyOp::Convert { person, series, unbacked } if self.can_hold(&person.0, series.as_str()) => {
                self.convert(op, &person.0, series.as_str(), *unbacked)
            }
            LegacyOp::Place { person, series } if self.can_hold(&person.0, series.as_str()) => {
                self.place(op, &person.0, series.as_str())
            }
            LegacyOp::Convert { .. } | LegacyOp::Place { .. } => Ok(rule(RULE_CHARSET)),
            LegacyOp::Cancel { convert } => self.cancel(op, *convert),
        }
    }

    fn can_hold(&self, person: &str, series: &str) -> bool {
        [person, series].iter().all(|text| self.link.bytes(text).is_some_and(|bytes| bytes <= KEY_BYTES_MAX))
    }

    /// Locks the slot row; `None`: there is none.
    pub(super) fn slot(&mut self, op: &OpRequest) -> Result<Option<SlotState>, Trouble> {
        if op.mode == AllotmentMode::CountRows {
            return self.counted_slot(op);
        }
        self.state(&sql::SLOT_LOCK_STATE, op)
    }

    /// As `slot`, with counts that are read after the lock is had: exact also where native code adds a reservation
    /// under the slot row's lock without changing the row.
    pub(super) fn counted_slot(&mut self, op: &OpRequest) -> Result<Option<SlotState>, Trouble> {
        if self.row(&sql::SLOT_LOCK, &[("P_SLOT_ID", op.slot.as_str().into())])?.is_none() {
            return Ok(None);
        }
        self.state(&sql::SLOT_COUNTED, op)
    }

    fn state(&mut self, entry: &'static Entry, op: &OpRequest) -> Result<Option<SlotState>, Trouble> {
        let Some(row) = self.row(entry, &[("P_SLOT_ID", op.slot.as_str().into())])? else { return Ok(None) };
        let number = |at: usize, missing: &str| row.int(at).ok_or_else(|| schema(missing));
        let placeholders = number(8, "a count is not a number")?;
        Ok(Some(SlotState {
            open: row.int(0) == Some(1),
            capacity: number(1, "SB_SLOT_W.CAPACITY is not a whole number")?,
            booked: row.int(2),
            remain: row.int(3),
            series: row.text(4).unwrap_or_default().to_owned(),
            units: row.int(5),
            seen: row.int(6),
            reserved: number(7, "a count is not a number")? - placeholders,
            placeholders,
        }))
    }

    /// Moves units of the slot's escrow row; every op that moves one does.
    pub(super) fn escrow(
        &mut self,
        op: &OpRequest,
        slot: &SlotState,
        units: i64,
        seen: Option<i64>,
    ) -> Result<(), Trouble> {
        let id = op.id.to_string();
        let binds = [
            ("P_SLOT_ID", op.slot.as_str().into()),
            ("P_UNITS", units.into()),
            ("P_OP_ID", id.as_str().into()),
            ("P_SEEN_CNT", seen.into()),
        ];
        let entry = if slot.units.is_some() { &sql::ESCROW_MOVE } else { &sql::ESCROW_FIRST };
        self.one(entry, &binds)
    }

    /// Changes a column of the slot row; false: the entry's guard said no.
    pub(super) fn slot_units(&mut self, entry: &'static Entry, op: &OpRequest, units: i64) -> Result<bool, Trouble> {
        let binds = [("P_SLOT_ID", op.slot.as_str().into()), ("P_UNITS", units.into())];
        self.at_most_one(entry, &binds)
    }

    pub(super) fn undo(&mut self) -> Result<(), Trouble> {
        self.link.change(&sql::OP_UNDO, &[])?;
        Ok(())
    }

    pub(super) fn row(&mut self, entry: &'static Entry, binds: Binds<'_>) -> Result<Option<Row>, Trouble> {
        let mut rows = self.link.rows(entry, binds)?;
        match rows.len() {
            0 | 1 => Ok(rows.pop()),
            _ => Err(halt(format!("{} found more than one row", entry.id()))),
        }
    }

    /// A entry that must change one row.
    pub(super) fn one(&mut self, entry: &'static Entry, binds: Binds<'_>) -> Result<(), Trouble> {
        match self.at_most_one(entry, binds)? {
            true => Ok(()),
            false => Err(halt(format!("{} changed no row", entry.id()))),
        }
    }

    pub(super) fn at_most_one(&mut self, entry: &'static Entry, binds: Binds<'_>) -> Result<bool, Trouble> {
        match self.link.change(entry, binds)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(halt(format!("{} changed more than one row", entry.id()))),
        }
    }
}

/// Does the failure of a entry answer its op? What the bridge's own tables refuse is a contradiction and does not.
/// A duplicate of the reservation's insert does not come here: the insert looks into it itself.
fn answers(failure: &Failure) -> bool {
    let own_table = failure.what == sql::ESCROW_MOVE.id() || failure.what == sql::ESCROW_FIRST.id();
    let is_rule = matches!(failure.class, ErrorClass::Business | ErrorClass::LegacyRule);
    is_rule && matches!(failure.code, Code::Ora(_)) && !own_table
}

pub(super) fn rule(code: &str) -> OpReply {
    OpReply::LegacyRule { code: code.to_owned() }
}

/// What a known op answers: what it answered then, if it is the same op.
pub(super) fn known_reply(
    id: &str,
    hash: &str,
    stored_hash: Option<&str>,
    result: Option<&str>,
) -> Result<OpReply, Trouble> {
    if stored_hash != Some(hash) {
        return Err(halt(format!("op {id} is known with another body")));
    }
    result.and_then(decode).ok_or_else(|| halt(format!("the stored result of op {id} cannot be read")))
}

/// May ops run? The switch first: it says more than the fence.
pub(super) fn admitted(state: Option<&str>, token: Option<&str>) -> Result<Control, Trouble> {
    let control = control(state)?;
    if control == Control::Stop {
        return Err(operator("the agency's switch SB_CONTROL says STOP"));
    }
    if token != Some("OPEN") {
        return Err(operator("the bridge is fenced off (SB_FENCE)"));
    }
    Ok(control)
}

pub(super) fn control(state: Option<&str>) -> Result<Control, Trouble> {
    match state {
        Some("RUN") => Ok(Control::Run),
        Some("DRAIN") => Ok(Control::Drain),
        Some("STOP") => Ok(Control::Stop),
        _ => Err(operator("SB_CONTROL holds something other than RUN, DRAIN or STOP")),
    }
}

pub(super) fn fence_op(text: Option<&str>) -> Result<Option<OpId>, Trouble> {
    let op = text.map(|text| text.parse()).transpose();
    op.map_err(|_| halt("SB_FENCE holds something that is not an op id"))
}

pub(super) fn count(number: Option<i64>) -> Result<u64, Trouble> {
    let count = number.and_then(|number| u64::try_from(number).ok());
    count.ok_or_else(|| schema("SB_FENCE.APPLIED_CNT is not a whole number"))
}

/// The fence never goes back, whichever life of the ledger an op is of: positions go on across lives.
pub(super) fn is_newer(op: OpId, fence: Option<OpId>) -> bool {
    fence.is_none_or(|fence| fence.position < op.position)
}
