//! The legacy ports with an eye on them: errors by class and side.
//!
//! Around every connection whatever the adapter, so that no error of either side goes uncounted. Changes nothing of
//! what passes.

use std::sync::Arc;

use crate::domain::Value;
use crate::legacy::{
    Agency, CutInfo, Heartbeat, Hint, LegacyError, LegacyRead, LegacyWrite, OpReply, OpRequest, RowSink,
};
use crate::mapping::Layout;
use crate::telemetry::Metrics;

pub struct CountedRead {
    pub inner: Box<dyn LegacyRead>,
    pub metrics: Arc<Metrics>,
}

impl CountedRead {
    fn counted<T>(&self, done: Result<T, LegacyError>) -> Result<T, LegacyError> {
        done.inspect_err(|error| self.metrics.legacy_failed(error.class, "read"))
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
        let done = self.inner.page(layout, after, rows_max, sink);
        self.counted(done)
    }

    fn hinted(&mut self, layout: &Layout, hint: &Hint<'_>, sink: &mut RowSink<'_>) -> Result<CutInfo, LegacyError> {
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
