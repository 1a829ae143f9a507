//! An op of the ledger in the legacy system's words, and the reply in the ledger's.

use super::Worker;
use crate::decide::{Given, OpResult, OpWhat, Rejection};
use crate::domain::{PersonNo, Position};
use crate::legacy::{LegacyOp, OpReply, OpRequest, PersonKey, Unbacked};

pub(super) enum Asked {
    Op(OpRequest),
    /// The register no longer knows whose op it is.
    Unlinked,
}

impl Worker {
    /// The error is the register's, in words.
    pub(super) fn asked(&self, given: &Given) -> Result<Asked, String> {
        let op = &given.op;
        let what = match &op.what {
            OpWhat::Take { units } => LegacyOp::Take { units: *units },
            OpWhat::Return { units } => LegacyOp::Return { units: *units },
            OpWhat::Mend { sold } => LegacyOp::Mend { sold: *sold },
            OpWhat::Convert { person, series, .. } => {
                let Some(person) = self.person(*person)? else { return Ok(Asked::Unlinked) };
                let unbacked = if given.honour { Unbacked::Honour } else { Unbacked::Refuse };
                LegacyOp::Convert { person, series: series.clone(), unbacked }
            }
            OpWhat::Place { person, series, .. } => {
                let Some(person) = self.person(*person)? else { return Ok(Asked::Unlinked) };
                LegacyOp::Place { person, series: series.clone() }
            }
            OpWhat::Cancel { convert, .. } => LegacyOp::Cancel { convert: self.lives.id(*convert) },
        };
        let (id, slot) = (self.lives.id(op.position), op.slot.clone());
        Ok(Asked::Op(OpRequest { id, slot, mode: given.mode, what }))
    }

    fn person(&self, person: PersonNo) -> Result<Option<PersonKey>, String> {
        let key = self.register.person_key(person).map_err(|error| error.to_string())?;
        Ok(key.map(PersonKey))
    }
}

pub(super) fn outcome(op: Position, reply: OpReply) -> OpResult {
    let rejected = |reason| OpResult::Rejected { reason };
    match reply {
        OpReply::Taken { units } => OpResult::Taken { units },
        OpReply::Returned { units } => OpResult::Returned { units },
        OpReply::Converted { legacy_ref, over } => OpResult::Converted { legacy_ref, over },
        OpReply::GivenUp => OpResult::GivenUp,
        OpReply::Mended { added, lost, over } => OpResult::Mended { added, lost, over },
        OpReply::NoPlace => rejected(Rejection::NoPlace),
        OpReply::TurnedBack => OpResult::TurnedBack,
        OpReply::AlreadyCancelled => OpResult::AlreadyCancelled,
        OpReply::PersonBooked => rejected(Rejection::PersonBooked),
        OpReply::SlotMissing => rejected(Rejection::SlotMissing),
        OpReply::EscrowEroded => rejected(Rejection::EscrowEroded),
        OpReply::LegacyRule { code } if code == "reservation_missing" => rejected(Rejection::ReservationMissing),
        OpReply::LegacyRule { code } if code == "reservation_done" => rejected(Rejection::ReservationDone),
        OpReply::LegacyRule { code } => {
            tracing::warn!(op = op.0, code, "a rule of the legacy system refused a write-back");
            rejected(Rejection::LegacyRule)
        }
    }
}

pub(super) fn code(result: &OpResult) -> &'static str {
    match result {
        OpResult::Taken { .. } => "taken",
        OpResult::Returned { .. } => "returned",
        OpResult::Converted { .. } => "converted",
        OpResult::TurnedBack => "turned_back",
        OpResult::GivenUp => "given_up",
        OpResult::Mended { .. } => "mended",
        OpResult::AlreadyCancelled => "already_cancelled",
        OpResult::Rejected { reason } => reason.code(),
    }
}
