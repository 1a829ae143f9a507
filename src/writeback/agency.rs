//! What the agency says: switch, fence, release requests; and whether ledger and legacy system agree.

use super::stats::Status;
use super::{Stopped, Turn, Worker};
use crate::decide::{Agreement, Event};
use crate::domain::Timestamp;
use crate::durable::Answer;
use crate::legacy::{Agency, Control, Fence, LegacyErrorKind, LegacyWrite, ReleaseRequest};

/// The agency's side as it was last read.
pub(super) struct Standing {
    pub(super) control: Control,
    /// The desk knows `control`.
    control_told: bool,
    pub(super) fence_open: bool,
    /// The fence was compared with the ledger since this connection was opened, at this instant.
    compared_at: Option<Timestamp>,
    is_foreign: bool,
    asked_at: Option<Timestamp>,
    pub(super) releases: Vec<ReleaseRequest>,
    /// Something happened since the desk was asked about the releases.
    releases_moved: bool,
    /// The desk knows that a full cut is through.
    full_cut_told: bool,
}

impl Default for Standing {
    fn default() -> Standing {
        Standing {
            control: Control::Run,
            control_told: false,
            fence_open: true,
            compared_at: None,
            is_foreign: false,
            asked_at: None,
            releases: Vec::new(),
            releases_moved: false,
            full_cut_told: false,
        }
    }
}

impl Standing {
    /// Nothing read over an earlier connection counts.
    pub(super) fn forget(&mut self) {
        self.asked_at = None;
        self.compared_at = None;
    }

    /// The next turn asks again.
    pub(super) fn ask_anew(&mut self) {
        self.asked_at = None;
    }

    pub(super) fn look_at_releases(&mut self) {
        self.releases_moved = true;
    }

    pub(super) fn may_write(&self) -> bool {
        self.asked_at.is_some()
            && self.compared_at.is_some()
            && self.control != Control::Stop
            && self.fence_open
            && !self.is_foreign
    }

    /// Switch and fence were read over this connection.
    pub(super) fn is_read(&self) -> bool {
        self.asked_at.is_some()
    }

    pub(super) fn is_fenced(&self) -> bool {
        !self.fence_open
    }

    pub(super) fn status(&self) -> Status {
        if !self.fence_open {
            return Status::Fenced;
        }
        if self.is_foreign {
            return Status::Halted { kind: LegacyErrorKind::Halt, message: FOREIGN.to_owned() };
        }
        match self.control {
            Control::Run => Status::Running,
            Control::Drain => Status::Draining,
            Control::Stop => Status::StoppedByAgency,
        }
    }
}

const FOREIGN: &str = "the legacy system was written to by a ledger that is not this one: either this is the wrong data \
                       folder or the wrong legacy system, or two bridges write to it; nothing is written until SB_FENCE \
                       names an op of this ledger";

impl Worker {
    /// `Some` = the agency could not be asked; nothing may be written then.
    pub(super) fn ask_agency(&mut self, port: &mut dyn LegacyWrite, now: Timestamp) -> Result<Option<Turn>, Stopped> {
        if self.hold.as_ref().is_some_and(|hold| hold.is_quiet) {
            return Ok(None);
        }
        let every = i64::try_from(self.settings.control_interval_ms).unwrap_or(i64::MAX);
        // A clock that was set back must not keep the switch unasked.
        if self.standing.asked_at.is_some_and(|at| (0..every).contains(&now.since_ms(at))) {
            return Ok(None);
        }
        match port.agency() {
            Ok(Agency { control, fence, releases }) => {
                self.is_connected = true;
                self.switched(control)?;
                self.fenced(fence);
                self.compare(fence, now)?;
                self.tell_full_cut()?;
                self.standing.releases = releases;
                self.standing.releases_moved = true;
                self.standing.asked_at = Some(now);
                if self.hold.is_none() && self.outbox.is_empty() {
                    self.well();
                }
                Ok(None)
            }
            Err(error) => {
                self.standing.asked_at = None;
                Ok(Some(self.troubled(&error, now)))
            }
        }
    }

    fn switched(&mut self, control: Control) -> Result<(), Stopped> {
        if control != self.standing.control {
            tracing::warn!(from = self.standing.control.code(), to = control.code(), "the agency's switch was turned");
            self.standing.control_told = false;
        }
        self.standing.control = control;
        if !self.standing.control_told {
            self.submit(vec![Event::Switch { control }])?;
            self.standing.control_told = true;
        }
        Ok(())
    }

    fn fenced(&mut self, fence: Fence) {
        match (self.standing.fence_open, fence.open) {
            (true, false) => tracing::error!(
                "the agency has fenced the bridge off (SB_FENCE): nothing is written until the fence is open again"
            ),
            (false, true) => tracing::warn!("the fence is open again; write-back goes on"),
            _ => {}
        }
        // What was returned behind the fence is compared anew before anything is written.
        if fence.open && !self.standing.fence_open {
            self.standing.compared_at = None;
        }
        self.standing.fence_open = fence.open;
    }

    /// The desk hears once that everything was read.
    fn tell_full_cut(&mut self) -> Result<(), Stopped> {
        if !self.standing.full_cut_told && (self.around.full_cut)() {
            self.submit(vec![Event::Settled])?;
            self.standing.full_cut_told = true;
        }
        Ok(())
    }

    /// Rules 28 and 32: once a connection, and again while the legacy system looks foreign.
    fn compare(&mut self, fence: Fence, now: Timestamp) -> Result<(), Stopped> {
        let again = i64::try_from(self.settings.operator_retry_ms).unwrap_or(i64::MAX);
        let is_settled = |at: Timestamp| !self.standing.is_foreign || (0..again).contains(&now.since_ms(at));
        if self.standing.compared_at.is_some_and(is_settled) && !(self.around.wants_fence)() {
            return Ok(());
        }
        let ours = fence.last_op.is_none_or(|op| self.lives.holds(op));
        let event = Event::Fence { ticket: 0, last_op: fence.last_op, applied: fence.applied, ours };
        let Some(Answer::Fenced { agreement }) = self.submit(vec![event])?.pop() else {
            self.halt(LegacyErrorKind::Halt, "the desk did not answer a fence with an agreement".to_owned(), now);
            return Ok(());
        };
        self.agreed(agreement);
        self.standing.compared_at = Some(now);
        Ok(())
    }

    fn agreed(&mut self, agreement: Agreement) {
        let was_foreign = std::mem::replace(&mut self.standing.is_foreign, agreement == Agreement::Foreign);
        let how = match agreement {
            Agreement::Level => {
                if was_foreign {
                    tracing::warn!("ledger and legacy system belong together again; write-back goes on");
                }
                return;
            }
            Agreement::LegacyBehind { again } => {
                tracing::error!(
                    again,
                    "the legacy system is behind the ledger: it was restored to an earlier point. Refills stop, the ops \
                     that it lost are driven again, and bookings that no longer fit are reported as an overrun: compare \
                     them with the agency's own record"
                );
                "legacy_behind"
            }
            Agreement::LedgerBehind => {
                tracing::error!(
                    "the ledger is behind the legacy system: the ledger was restored from a backup. The legacy system \
                     holds bookings that the ledger does not know: they must be imported before partners book again"
                );
                "ledger_behind"
            }
            Agreement::Foreign => {
                if !was_foreign {
                    tracing::error!("{FOREIGN}");
                }
                "foreign"
            }
        };
        self.tell(|stats| *stats.disagreements.entry(how).or_default() += 1);
    }

    /// Has the desk give back what the agency wants, and says so to the agency once it has.
    pub(super) fn release(&mut self, port: &mut dyn LegacyWrite, now: Timestamp) -> Result<Option<Turn>, Stopped> {
        if self.standing.releases.is_empty() || !self.standing.releases_moved {
            return Ok(None);
        }
        self.standing.releases_moved = false;
        let requests = std::mem::take(&mut self.standing.releases);
        let ask = |request: &ReleaseRequest| Event::GiveBack { ticket: 0, slot: request.slot.clone() };
        let answers = self.submit(requests.iter().map(ask).collect())?;
        for (request, answer) in requests.into_iter().zip(answers) {
            match answer {
                Answer::GivenBack { left: 0 } => match port.released(request.id) {
                    Ok(()) => tracing::info!(request = request.id, "a release request of the agency is carried out"),
                    Err(error) => return Ok(Some(self.troubled(&error, now))),
                },
                Answer::GivenBack { left } => {
                    tracing::debug!(request = request.id, left, "units are on their way back");
                    self.standing.releases.push(request);
                }
                _ => {
                    let message = "the desk did not answer a release with what is left".to_owned();
                    self.halt(LegacyErrorKind::Halt, message, now);
                    return Ok(Some(Turn::Worked));
                }
            }
        }
        Ok(None)
    }
}
