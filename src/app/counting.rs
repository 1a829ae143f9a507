//! The legacy ports with an eye on them: errors by class and side, and how far a standby lags.
//!
//! Around every connection whatever the adapter, so that no error of either side goes uncounted. Changes nothing of
//! what passes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::domain::Value;
use crate::legacy::{
    Agency, CutInfo, Heartbeat, Hint, LegacyError, LegacyRead, LegacyWrite, OpReply, OpRequest, RowSink,
};
use crate::mapping::Layout;
use crate::telemetry::Metrics;

/// A standby's lag is asked for at most this often a connection.
const LAG_EVERY: Duration = Duration::from_secs(1);

/// Until the lag was looked at for the first time it counts as too far for so long, and no longer: where nothing is
/// ever read that way, refills must not stop for good.
const UNKNOWN_MAX: Duration = Duration::from_secs(60);
/// Nobody has looked yet.
const UNKNOWN: u64 = u64::MAX;
/// Somebody has looked, in vain.
const FAILED: u64 = u64::MAX - 1;

/// How far reads lag. A look that failed counts as too far: a refill would be asked for by what may be long sold.
#[derive(Clone)]
pub struct ReadLag {
    ms: Arc<AtomicU64>,
    max_ms: Option<u64>,
    since: Instant,
}

impl ReadLag {
    /// `None`: reads and writes are one database.
    pub fn new(max_ms: Option<u64>) -> ReadLag {
        ReadLag { ms: Arc::new(AtomicU64::new(UNKNOWN)), max_ms, since: Instant::now() }
    }

    pub fn is_too_far(&self) -> bool {
        self.was_too_far(Instant::now())
    }

    fn was_too_far(&self, now: Instant) -> bool {
        self.max_ms.is_some_and(|max| match self.ms.load(Ordering::Relaxed) {
            UNKNOWN => now.saturating_duration_since(self.since) < UNKNOWN_MAX,
            ms => ms > max,
        })
    }
}

pub struct CountedRead {
    pub inner: Box<dyn LegacyRead>,
    pub metrics: Arc<Metrics>,
    pub lag: ReadLag,
    pub lag_due: Instant,
}

impl CountedRead {
    fn counted<T>(&self, done: Result<T, LegacyError>) -> Result<T, LegacyError> {
        done.inspect_err(|error| self.metrics.legacy_failed(error.class, "read"))
    }

    fn look_at_lag(&mut self) {
        if self.lag.max_ms.is_none() || Instant::now() < self.lag_due {
            return;
        }
        self.lag_due = Instant::now() + LAG_EVERY;
        let lag_ms = self.inner.lag_ms();
        let lag_ms = self.counted(lag_ms);
        if let Err(error) = &lag_ms {
            tracing::warn!(class = error.class, %error, "nobody can tell how far the standby lags; refills stop");
        }
        let lag_ms = lag_ms.unwrap_or(FAILED);
        self.lag.ms.store(lag_ms, Ordering::Relaxed);
        self.metrics.counted.read_lag_ms.set(i64::try_from(lag_ms).unwrap_or(i64::MAX));
    }
}

impl LegacyRead for CountedRead {
    fn columns(&mut self, view: &str) -> Result<Vec<(String, String)>, LegacyError> {
        let done = self.inner.columns(view);
        self.counted(done)
    }

    fn cut(
        &mut self,
        layouts: &[&Layout],
        sink: &mut dyn FnMut(usize, Vec<Value>) -> Result<(), LegacyError>,
    ) -> Result<CutInfo, LegacyError> {
        self.look_at_lag();
        let done = self.inner.cut(layouts, sink);
        self.counted(done)
    }

    fn page(
        &mut self,
        layout: &Layout,
        after: Option<&str>,
        rows_max: u32,
        sink: &mut RowSink<'_>,
    ) -> Result<CutInfo, LegacyError> {
        self.look_at_lag();
        let done = self.inner.page(layout, after, rows_max, sink);
        self.counted(done)
    }

    fn hinted(&mut self, layout: &Layout, hint: &Hint<'_>, sink: &mut RowSink<'_>) -> Result<CutInfo, LegacyError> {
        self.look_at_lag();
        let done = self.inner.hinted(layout, hint, sink);
        self.counted(done)
    }

    fn password_days(&mut self) -> Result<Option<i64>, LegacyError> {
        let done = self.inner.password_days();
        self.counted(done)
    }

    fn lag_ms(&mut self) -> Result<u64, LegacyError> {
        let done = self.inner.lag_ms();
        self.counted(done)
    }

    fn statements(&self) -> u64 {
        self.inner.statements()
    }
}

pub struct CountedWrite {
    pub inner: Box<dyn LegacyWrite>,
    pub metrics: Arc<Metrics>,
}

impl CountedWrite {
    fn counted<T>(&self, done: Result<T, LegacyError>) -> Result<T, LegacyError> {
        done.inspect_err(|error| self.metrics.legacy_failed(error.class, "write"))
    }
}

impl LegacyWrite for CountedWrite {
    fn apply(&mut self, ops: &[OpRequest]) -> Result<Vec<OpReply>, LegacyError> {
        let done = self.inner.apply(ops);
        self.counted(done)
    }

    fn agency(&mut self) -> Result<Agency, LegacyError> {
        let done = self.inner.agency();
        self.counted(done)
    }

    fn released(&mut self, request: u64) -> Result<(), LegacyError> {
        let done = self.inner.released(request);
        self.counted(done)
    }

    fn heartbeat(&mut self, beat: Heartbeat) -> Result<(), LegacyError> {
        let done = self.inner.heartbeat(beat);
        self.counted(done)
    }

    fn forget_applied(&mut self, days: u32, rows_max: u32) -> Result<u64, LegacyError> {
        let done = self.inner.forget_applied(days, rows_max);
        self.counted(done)
    }

    fn password_days(&mut self) -> Result<Option<i64>, LegacyError> {
        let done = self.inner.password_days();
        self.counted(done)
    }

    fn leave_fence(&mut self) -> bool {
        self.inner.leave_fence()
    }

    fn statements(&self) -> u64 {
        self.inner.statements()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ObjectName, Timestamp};

    #[test]
    fn an_unknown_lag_is_too_far_for_a_minute_and_no_standby_never_lags() {
        let lag = ReadLag::new(Some(5_000));
        assert!(lag.is_too_far());
        assert!(lag.was_too_far(lag.since + Duration::from_millis(59_999)));
        assert!(!lag.was_too_far(lag.since + UNKNOWN_MAX));
        for (ms, is_too_far) in [(5_000, false), (5_001, true), (FAILED, true)] {
            lag.ms.store(ms, Ordering::Relaxed);
            assert_eq!(lag.was_too_far(lag.since + UNKNOWN_MAX), is_too_far);
        }
        assert!(!ReadLag::new(None).is_too_far());
    }

    /// A standby of a second's lag without a row.
    struct Standby;

    impl LegacyRead for Standby {
        fn columns(&mut self, _: &str) -> Result<Vec<(String, String)>, LegacyError> {
            Ok(Vec::new())
        }

        fn cut(
            &mut self,
            _: &[&Layout],
            _: &mut dyn FnMut(usize, Vec<Value>) -> Result<(), LegacyError>,
        ) -> Result<CutInfo, LegacyError> {
            Ok(CutInfo { as_of: Timestamp(0), rows: 0, scn_max: None })
        }

        fn page(&mut self, _: &Layout, _: Option<&str>, _: u32, _: &mut RowSink<'_>) -> Result<CutInfo, LegacyError> {
            self.cut(&[], &mut |_, _| Ok(()))
        }

        fn hinted(&mut self, _: &Layout, _: &Hint<'_>, _: &mut RowSink<'_>) -> Result<CutInfo, LegacyError> {
            self.cut(&[], &mut |_, _| Ok(()))
        }

        fn lag_ms(&mut self) -> Result<u64, LegacyError> {
            Ok(1_000)
        }

        fn statements(&self) -> u64 {
            0
        }
    }

    #[test]
    fn every_read_looks_at_the_lag() {
        let layout = Layout { object: ObjectName::new("slot").unwrap(), view: "V".to_owned(), columns: Vec::new() };
        let reads: [fn(&mut CountedRead, &Layout); 3] = [
            |read, layout| assert!(read.cut(&[layout], &mut |_, _| Ok(())).is_ok()),
            |read, layout| assert!(read.page(layout, None, 1, &mut |_| Ok(())).is_ok()),
            |read, layout| assert!(read.hinted(layout, &Hint::Keys(&[]), &mut |_| Ok(())).is_ok()),
        ];
        for read in reads {
            let lag = ReadLag::new(Some(5_000));
            let metrics = Arc::new(Metrics::default());
            let mut counted =
                CountedRead { inner: Box::new(Standby), metrics, lag: lag.clone(), lag_due: Instant::now() };
            read(&mut counted, &layout);
            assert_eq!(lag.ms.load(Ordering::Relaxed), 1_000);
        }
    }
}
