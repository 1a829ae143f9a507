//! `allotment prove`: takes everything that a canary slot has left, lets somebody try to book it natively, and gives it
//! back. The daemon must not run: the data folder is locked.
//!
//! What is about to be written is noted in the data folder first. A run that a crash cut short is finished by the next
//! one, whatever slot that names: its ops have ids of their own life and are repeated as they were, so units are
//! returned once and never twice. The ops are no part of the ledger, so `SB_FENCE` is left as it is
//! (`LegacyWrite::leave_fence`); an adapter that cannot leave it is not used.

use std::path::PathBuf;

use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};

use super::backend::Backend;
use super::files::Files;
use super::proofs::write_whole;
use super::{Proof, ProofFailed, Proofs, StartFailed, Verdict, compiled};
use crate::admin::DataLock;
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::domain::{AllotmentMode, Incarnation, OpId, Position, SlotKey, Value};
use crate::legacy::{
    Control, Hint, LegacyError, LegacyErrorKind, LegacyOp, LegacyRead, LegacyWrite, OpReply, OpRequest,
};
use crate::mapping::{Layout, Role};

const FILE: &str = "allotment-prove.json";
/// How often an op is repeated whose connection was lost.
const TRIES_MAX: u32 = 5;
/// How often an escrow that was eroded meanwhile is mended before giving up.
const MENDS_MAX: u32 = 3;

#[derive(Debug, thiserror::Error)]
pub enum ProveFailed {
    #[error(transparent)]
    Start(#[from] StartFailed),
    #[error(transparent)]
    Proofs(#[from] ProofFailed),
    #[error(transparent)]
    Legacy(#[from] LegacyError),
    #[error("mode {} takes no units, so there is nothing to prove", mode.code())]
    NothingToProve { mode: AllotmentMode },
    #[error("the legacy system has no slot {slot}")]
    NoSlot { slot: SlotKey },
    #[error("slot {slot} has nothing left that could be taken, or is closed")]
    NothingLeft { slot: SlotKey },
    #[error("the agency's switch says {}, or the bridge is fenced off", control.code())]
    NotAllowed { control: Control },
    #[error("this adapter cannot leave SB_FENCE as it is")]
    Fence,
    #[error("the catalogue has no object slot with capacity and native count")]
    Catalogue,
    #[error("the legacy system answered {got} where {wanted} was expected")]
    Answer { wanted: &'static str, got: String },
    #[error("no random number could be had")]
    Random,
}

/// What is written down before it is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Run {
    /// Of the ops of this run.
    life: Incarnation,
    slot: SlotKey,
    mode: AllotmentMode,
    /// Units that the take asks for.
    wanted: u32,
    /// Units held; `None` before the take's answer is noted.
    held: Option<u32>,
    /// Position of the next op; noted before the op is sent.
    next: u64,
    /// The op that is on its way.
    sent: Option<Sent>,
}

impl Run {
    /// The op that was on its way is over.
    fn answered(&mut self, reply: &OpReply) {
        let held = self.held.unwrap_or(0);
        self.held = match (&self.sent, reply) {
            (Some(Sent::Take), OpReply::Taken { units }) => Some(*units),
            (Some(Sent::Take), OpReply::SlotMissing | OpReply::EscrowEroded) => Some(0),
            // With the slot its escrow is gone.
            (Some(Sent::Return { .. }), OpReply::Returned { .. } | OpReply::SlotMissing) => Some(0),
            (Some(Sent::Mend), OpReply::SlotMissing) => Some(0),
            (Some(Sent::Mend), OpReply::Mended { lost, .. }) => Some(held.saturating_sub(*lost)),
            _ => self.held,
        };
        (self.next, self.sent) = (self.next + 1, None);
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Sent {
    Take,
    Return { units: u32 },
    Mend,
}

/// The row of the canary slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Canary {
    pub capacity: i64,
    /// Active native reservations.
    pub native: i64,
    /// What native selling has left, where the legacy system keeps a counter.
    pub left: Option<i64>,
}

/// A run from the take to the return.
pub struct Proving {
    files: Files,
    config: Config,
    backend: Backend,
    layout: Layout,
    read: Box<dyn LegacyRead>,
    write: Box<dyn LegacyWrite>,
    run: Option<Run>,
    pub before: Option<Canary>,
    _lock: DataLock,
}

impl Proving {
    /// Opens everything, and finishes a run that was cut short. Returns how many units that one gave back.
    pub fn begin(config: &Config) -> Result<(Proving, Option<u32>), ProveFailed> {
        let files = Files::of(&config.daemon.data_dir);
        files.make().map_err(|source| StartFailed::Folder { path: files.dir.clone(), source })?;
        let lock = DataLock::take(&files.dir).map_err(StartFailed::from)?;
        let set = compiled::load(&config.mappings.dir).map_err(StartFailed::from)?;
        let layout = set.layouts().into_iter().find(|layout| layout.object.as_str() == "slot");
        let layout = layout.ok_or(ProveFailed::Catalogue)?;
        let backend = Backend::of(config)?;
        let (read, write) = ((backend.read)()?, open_write(&backend)?);
        let run = unfinished(&files)?;
        let mut proving =
            Proving { files, config: config.clone(), backend, layout, read, write, run, before: None, _lock: lock };
        let returned = if proving.run.is_some() { Some(proving.give_back()?) } else { None };
        Ok((proving, returned))
    }

    /// Takes everything that the slot has left. Returns how many units that are.
    pub fn take(&mut self, slot: &SlotKey, mode: AllotmentMode) -> Result<u32, ProveFailed> {
        if !mode.takes() {
            return Err(ProveFailed::NothingToProve { mode });
        }
        let agency = self.write.agency()?;
        if agency.control != Control::Run || !agency.fence.open {
            return Err(ProveFailed::NotAllowed { control: agency.control });
        }
        let before = self.canary(slot)?;
        let wanted = u32::try_from(before.capacity).unwrap_or(0).max(1);
        let mut life = [0; 8];
        SystemRandom::new().fill(&mut life).map_err(|_| ProveFailed::Random)?;
        let life = Incarnation(u64::from_be_bytes(life));
        self.before = Some(before);
        self.run = Some(Run { life, slot: slot.clone(), mode, wanted, held: None, next: 1, sent: None });
        let held = self.hold()?;
        if held == 0 {
            self.give_back()?;
            return Err(ProveFailed::NothingLeft { slot: slot.clone() });
        }
        Ok(held)
    }

    /// The canary slot as it stands.
    pub fn canary(&mut self, slot: &SlotKey) -> Result<Canary, ProveFailed> {
        let mut found = None;
        let at = |role| self.layout.columns.iter().position(|column| column.role == Some(role));
        let (Some(capacity), Some(native)) = (at(Role::Capacity), at(Role::Native)) else {
            return Err(ProveFailed::Catalogue);
        };
        let counter = at(Role::Counter);
        self.read.hinted(&self.layout, &Hint::Keys(&[slot.as_str()]), &mut |row| {
            let number = |at: usize| row.get(at).and_then(Value::as_int);
            let counter = counter.and_then(number);
            found = number(capacity).zip(number(native)).map(|(capacity, native)| Canary {
                capacity,
                native,
                left: counter.map(|counter| capacity - counter),
            });
            Ok(())
        })?;
        found.ok_or_else(|| ProveFailed::NoSlot { slot: slot.clone() })
    }

    /// Gives everything back and judges: `refused` native bookings were tried and refused.
    pub fn finish(&mut self, refused: u32, still_left: Option<i64>) -> Result<Proof, ProveFailed> {
        let Some((run, before)) = self.run.clone().zip(self.before) else { return Err(ProveFailed::Catalogue) };
        let after = self.canary(&run.slot);
        // Whatever is found out, the units go back first.
        self.give_back()?;
        let after = after?;
        let verdict = match (after.native > before.native, refused, still_left) {
            (true, ..) => Verdict::Refuted,
            (false, 1.., None | Some(0)) => Verdict::Proved,
            (false, ..) => Verdict::Untried,
        };
        let proof = Proof {
            mode: run.mode,
            maintained_by: self.config.allotment.maintained_by,
            slot: run.slot,
            units: run.held.unwrap_or(0),
            refused,
            native_before: before.native,
            native_after: after.native,
            verdict,
            at: SystemClock.now(),
        };
        Proofs::add(&self.files, proof.clone())?;
        Ok(proof)
    }

    /// The take, until its answer is noted.
    fn hold(&mut self) -> Result<u32, ProveFailed> {
        match self.send(Sent::Take)? {
            OpReply::Taken { units } => Ok(units),
            // Nothing was taken, and nothing is to be returned.
            OpReply::SlotMissing | OpReply::EscrowEroded => Ok(0),
            other => Err(unexpected("units", &other)),
        }
    }

    /// Returns what is held, mending first where the legacy system no longer covers it. Returns how many units.
    fn give_back(&mut self) -> Result<u32, ProveFailed> {
        let mut held = match self.run.as_ref().map(|run| run.held) {
            None => return Ok(0),
            Some(Some(held)) => held,
            Some(None) => self.hold()?,
        };
        for _ in 0..=MENDS_MAX {
            if held == 0 {
                break;
            }
            match self.send(Sent::Return { units: held })? {
                OpReply::Returned { .. } => {
                    self.clear()?;
                    return Ok(held);
                }
                OpReply::EscrowEroded => {}
                OpReply::SlotMissing => break,
                other => return Err(unexpected("a return", &other)),
            }
            match self.send(Sent::Mend)? {
                OpReply::Mended { .. } | OpReply::SlotMissing => {}
                other => return Err(unexpected("a mend", &other)),
            }
            held = self.run.as_ref().and_then(|run| run.held).unwrap_or(0);
        }
        let held = self.run.as_ref().and_then(|run| run.held).unwrap_or(0);
        if held > 0 {
            let got = "an eroded escrow again and again".to_owned();
            return Err(ProveFailed::Answer { wanted: "a return", got });
        }
        self.clear()?;
        Ok(0)
    }

    /// Notes the op, then runs it until its answer is known. An op that was on its way when a run was cut short is
    /// repeated under the id that it had. That it is over and what it left is one note: between two, a crash would have
    /// the op asked once more under the next id.
    fn send(&mut self, wanted: Sent) -> Result<OpReply, ProveFailed> {
        let is_repeated = self.run.as_ref().is_some_and(|run| run.sent.as_ref() == Some(&wanted));
        if !is_repeated {
            self.note(|run| {
                run.sent = Some(wanted.clone());
            })?;
        }
        let Some(run) = self.run.clone() else { return Err(ProveFailed::Catalogue) };
        let what = match wanted {
            Sent::Take => LegacyOp::Take { units: run.wanted },
            Sent::Return { units } => LegacyOp::Return { units },
            Sent::Mend => LegacyOp::Mend { sold: 0 },
        };
        let id = OpId { incarnation: run.life, position: Position(run.next) };
        let op = OpRequest { id, slot: run.slot, mode: run.mode, what };
        let mut tries = 0;
        let reply = loop {
            tries += 1;
            match self.write.apply(std::slice::from_ref(&op)) {
                Ok(replies) => break replies.into_iter().next(),
                Err(error) if tries < TRIES_MAX && error.kind.passes() => {
                    tracing::warn!(class = error.class, %error, "an op of the test is repeated");
                    if error.kind == LegacyErrorKind::Lost {
                        self.write = open_write(&self.backend)?;
                    }
                }
                Err(error) => return Err(error.into()),
            }
        };
        let reply = reply.ok_or(ProveFailed::Answer { wanted: "a reply", got: "none".to_owned() })?;
        self.note(|run| run.answered(&reply))?;
        Ok(reply)
    }

    fn note(&mut self, change: impl FnOnce(&mut Run)) -> Result<(), ProveFailed> {
        let Some(run) = &mut self.run else { return Ok(()) };
        change(run);
        Ok(write_whole(&self.files.dir.join(FILE), run)?)
    }

    fn clear(&mut self) -> Result<(), ProveFailed> {
        self.run = None;
        let path = self.files.dir.join(FILE);
        std::fs::remove_file(&path).map_err(|source| ProofFailed::Io { path, source })?;
        Ok(())
    }
}

fn open_write(backend: &Backend) -> Result<Box<dyn LegacyWrite>, ProveFailed> {
    let mut write = (backend.write)()?;
    if write.leave_fence() { Ok(write) } else { Err(ProveFailed::Fence) }
}

fn unfinished(files: &Files) -> Result<Option<Run>, ProofFailed> {
    let path: PathBuf = files.dir.join(FILE);
    match std::fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|source| ProofFailed::Shape { path, source }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(ProofFailed::Io { path, source }),
    }
}

fn unexpected(wanted: &'static str, got: &OpReply) -> ProveFailed {
    ProveFailed::Answer { wanted, got: crate::legacy::stored::encode(got) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever note a crash leaves behind, the next run repeats the op that was on its way, or goes on after it.
    #[test]
    fn each_note_says_what_is_held_with_what_is_over() {
        let run = |held, next, sent| {
            let slot = SlotKey::new("S1").unwrap();
            Run { life: Incarnation(7), slot, mode: AllotmentMode::Counter, wanted: 4, held, next, sent }
        };
        let back = || Some(Sent::Return { units: 3 });
        let mended = |lost| OpReply::Mended { added: 0, lost, over: 0 };
        for (sent, held, reply, left) in [
            (Some(Sent::Take), None, OpReply::Taken { units: 3 }, Some(3)),
            (Some(Sent::Take), None, OpReply::SlotMissing, Some(0)),
            (Some(Sent::Take), None, OpReply::NoPlace, None),
            (back(), Some(3), OpReply::Returned { units: 3 }, Some(0)),
            (back(), Some(3), OpReply::EscrowEroded, Some(3)),
            (back(), Some(3), OpReply::SlotMissing, Some(0)),
            (Some(Sent::Mend), Some(3), mended(1), Some(2)),
            (Some(Sent::Mend), Some(3), mended(9), Some(0)),
        ] {
            let mut noted = run(held, 5, sent);
            noted.answered(&reply);
            assert_eq!(noted, run(left, 6, None), "{reply:?}");
        }
    }
}
