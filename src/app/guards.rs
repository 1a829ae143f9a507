//! What happens when a guard stops something: it is counted, and the feed it is about is held.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use super::StartFailed;
use crate::clock::Clock;
use crate::config::Config;
use crate::domain::PartnerId;
use crate::mapping::FeedKind;
use crate::privacy::{Alarm, Canaries, Hit, Watch};
use crate::publish::{Feeds, Hold, HoldReason, Served};
use crate::telemetry::Metrics;

/// Longer than any list of canaries.
const CANARY_FILE_BYTES_MAX: u64 = 64 * 1024;

/// The daemon's alarm. Holds are put on the board, which says so in the log, once.
pub struct Alarms {
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
    /// Opened after the mappings that the alarm belongs to.
    feeds: OnceLock<Arc<Feeds>>,
}

impl Alarms {
    pub fn new(metrics: Arc<Metrics>, clock: Arc<dyn Clock>) -> Alarms {
        Alarms { metrics, clock, feeds: OnceLock::new() }
    }

    pub fn holds(&self, feeds: Arc<Feeds>) {
        // Set once, when the feeds were opened; nothing is answered before.
        let _ = self.feeds.set(feeds);
    }
}

impl Alarm for Alarms {
    fn raised(&self, partner: &PartnerId, feed: Option<FeedKind>, hit: &Hit) {
        self.metrics.guard_hit(hit.rule.id(), feed.map_or("token", FeedKind::code));
        let Some(feed) = feed else {
            tracing::error!(partner = partner.as_str(), %hit, "a person token was not given out");
            return;
        };
        if let Some(feeds) = self.feeds.get() {
            let (reason, text, since) = (HoldReason::Guard, hit.to_string(), self.clock.now());
            feeds.hold(partner, feed.code(), Hold { reason, text, since, served: Served::LastState });
        }
    }
}

/// Canaries of the configured file, and who is told of hits.
pub fn watch(config: &Config, alarms: Arc<Alarms>) -> Result<Watch, StartFailed> {
    let canaries = match &config.mappings.canary_file {
        Some(file) => canaries(file)?,
        None => Canaries::default(),
    };
    Ok(Watch { canaries: Arc::new(canaries), alarm: Some(alarms) })
}

fn canaries(path: &Path) -> Result<Canaries, StartFailed> {
    let failed = |cause: String| StartFailed::Canaries { path: path.to_owned(), cause };
    let size = std::fs::metadata(path).map_err(|error| failed(error.to_string()))?.len();
    if size > CANARY_FILE_BYTES_MAX {
        return Err(failed(format!("larger than {CANARY_FILE_BYTES_MAX} bytes")));
    }
    let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
    Canaries::parse(&text).map_err(|error| failed(error.to_string()))
}
