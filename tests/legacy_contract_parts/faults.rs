//! A connection that fails as connections do, around any writer.

use slotbridge::legacy::{Agency, Heartbeat, LegacyError, LegacyErrorKind, LegacyWrite, OpReply, OpRequest};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The ops never arrive.
    LostRequest,
    /// The ops are committed and the answer is lost.
    LostReply,
}

/// Fails once, then passes everything on.
pub struct Faulty {
    pub inner: Box<dyn LegacyWrite>,
    pub next: Option<Fault>,
}

impl LegacyWrite for Faulty {
    fn apply(&mut self, ops: &[OpRequest]) -> Result<Vec<OpReply>, LegacyError> {
        let lost = |in_doubt| LegacyError { in_doubt, ..LegacyError::new(LegacyErrorKind::Lost, "lost by the test") };
        match self.next.take() {
            Some(Fault::LostRequest) => Err(lost(false)),
            Some(Fault::LostReply) => {
                self.inner.apply(ops)?;
                Err(lost(true))
            }
            None => self.inner.apply(ops),
        }
    }

    fn agency(&mut self) -> Result<Agency, LegacyError> {
        self.inner.agency()
    }

    fn released(&mut self, request: u64) -> Result<(), LegacyError> {
        self.inner.released(request)
    }

    fn heartbeat(&mut self, beat: Heartbeat) -> Result<(), LegacyError> {
        self.inner.heartbeat(beat)
    }

    fn statements(&self) -> u64 {
        self.inner.statements()
    }
}
