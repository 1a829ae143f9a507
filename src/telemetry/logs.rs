//! The log subscriber: text or JSON on standard error, a filter, a counter of ERROR lines.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicU64, Ordering};

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, fmt};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Text,
    Json,
}

#[derive(Debug, Clone)]
pub struct LogSettings {
    pub format: Format,
    /// `info`, or `level,module=level,…`.
    pub filter: String,
}

impl Default for LogSettings {
    fn default() -> LogSettings {
        // Info is a few lines a minute when nothing is wrong.
        LogSettings { format: Format::Text, filter: "info".to_owned() }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum LogsFailed {
    #[error("the log filter {filter:?} is not understood: {cause}")]
    Filter { filter: String, cause: String },
    #[error("logs were set up already")]
    Twice,
}

static ERROR_LINES: AtomicU64 = AtomicU64::new(0);

/// Lines at ERROR since the process began.
pub fn error_lines() -> u64 {
    ERROR_LINES.load(Ordering::Relaxed)
}

/// Sets the process's subscriber; once.
pub fn start_logs(settings: &LogSettings) -> Result<(), LogsFailed> {
    let filter = EnvFilter::try_new(&settings.filter)
        .map_err(|error| LogsFailed::Filter { filter: settings.filter.clone(), cause: error.to_string() })?;
    let lines = match settings.format {
        Format::Text => fmt::layer()
            .with_writer(std::io::stderr)
            .with_ansi(std::io::stderr().is_terminal())
            .with_filter(filter)
            .boxed(),
        Format::Json => {
            fmt::layer().json().flatten_event(true).with_writer(std::io::stderr).with_filter(filter).boxed()
        }
    };
    tracing_subscriber::registry().with(CountErrors).with(lines).try_init().map_err(|_| LogsFailed::Twice)
}

struct CountErrors;

impl<S: Subscriber> Layer<S> for CountErrors {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if *event.metadata().level() == Level::ERROR {
            ERROR_LINES.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_at_error_is_counted_and_one_at_warn_is_not() {
        let before = error_lines();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(CountErrors), || {
            tracing::warn!("not counted");
            tracing::error!("counted");
        });
        assert_eq!(error_lines(), before + 1);
    }

    #[test]
    fn a_wrong_filter_is_named() {
        let settings = LogSettings { filter: "slotbridge=loud".to_owned(), ..LogSettings::default() };
        let error = start_logs(&settings).unwrap_err().to_string();
        assert!(error.contains("slotbridge=loud"), "{error}");
    }
}
