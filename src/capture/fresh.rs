//! How fresh what was read is: the marks of each object, and the lag of the connection that is read.
//!
//! Invariant: a mark is never later than the truth. It is the moment before the poll, less the lag of a standby, and
//! only polls that see every change of their object move it.

use super::stats::Poll;
use super::{Capture, CaptureError, locked};
use crate::domain::{ObjectName, Position, Timestamp};
use crate::legacy::LegacyRead;

/// The lag is asked for at most so often: it costs a statement, and moves slowly.
const LAG_INTERVAL_MS: u64 = 1_000;

#[derive(Debug, Default)]
pub(super) struct Lag {
    read_at: Option<Timestamp>,
    ms: u64,
}

impl Capture {
    /// A poll of these objects that began at `started_at` is durable as a whole.
    pub(super) fn mark(&self, objects: &[ObjectName], started_at: Timestamp, last: Option<Position>, poll: Poll) {
        if !poll.sees_all_changes() {
            return;
        }
        let lag_ms = i64::try_from(locked(&self.lag).ms).unwrap_or(i64::MAX);
        let started_at = started_at.plus_ms(-lag_ms);
        let mut marks = locked(&self.marks);
        for object in objects {
            let mark = marks.entry(object.clone()).or_default();
            mark.started_at = mark.started_at.max(started_at);
            mark.position = mark.position.max(last.unwrap_or_else(|| self.view.durable()));
            if matches!(poll, Poll::Full | Poll::Persons) {
                mark.full_at = mark.full_at.max(started_at);
            }
            self.view.set_mark_of(object, *mark);
        }
    }

    /// Asks a standby how far it is behind. Before the poll that it is for, so that it is never too small.
    pub(super) fn read_lag(&self, reader: &mut dyn LegacyRead) -> Result<(), CaptureError> {
        let now = self.clock.now();
        // Also when the clock was set back.
        let is_known = |at: Timestamp| now.since_ms(at).unsigned_abs() < LAG_INTERVAL_MS;
        if locked(&self.lag).read_at.is_some_and(is_known) {
            return Ok(());
        }
        let ms = reader.lag_ms().inspect_err(|_| locked(&self.stats).reads_lag = true)?;
        *locked(&self.lag) = Lag { read_at: Some(now), ms };
        let ms_max = self.settings.read_lag_ms_max;
        let lags = ms > ms_max;
        let mut stats = locked(&self.stats);
        stats.read_lag_ms = ms;
        let before = std::mem::replace(&mut stats.reads_lag, lags);
        drop(stats);
        match (before, lags) {
            (false, true) => tracing::warn!(lag_ms = ms, ms_max, "the standby lags; no more units are taken"),
            (true, false) => tracing::info!(lag_ms = ms, "the standby has caught up"),
            _ => {}
        }
        Ok(())
    }

    /// Is what is read too old to take units by? As long as nobody could tell, it is: what is asked for may be long sold.
    pub fn reads_lag(&self) -> bool {
        locked(&self.lag).read_at.is_none() || locked(&self.stats).reads_lag
    }
}
