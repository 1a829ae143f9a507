//! Jobs at set times. Each runs alone: a turn that comes while the last one still works is skipped and said so.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};

use crate::clock::Clock;
use crate::telemetry::metrics::{self, Metrics};

/// What a job does, on a thread that may block. The message of a failure says what to do.
pub type Work = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// One job: name, cron line in UTC, work.
pub struct Planned {
    pub name: &'static str,
    pub at: String,
    pub work: Work,
}

struct Turn {
    name: &'static str,
    work: Work,
    busy: AtomicBool,
    /// Where the last success stands, durable.
    record: PathBuf,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
}

/// Starts the scheduler. Last successes are kept in `dir`, a file a job.
pub async fn start(
    planned: Vec<Planned>,
    dir: &Path,
    metrics: &Arc<Metrics>,
    clock: &Arc<dyn Clock>,
) -> Result<JobScheduler, JobSchedulerError> {
    let scheduler = JobScheduler::new().await?;
    for job in planned {
        let turn = Arc::new(Turn {
            name: job.name,
            work: job.work,
            busy: AtomicBool::new(false),
            record: dir.join(job.name),
            metrics: metrics.clone(),
            clock: clock.clone(),
        });
        turn.recall();
        let run = move |_, _| -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> { Box::pin(turn.clone().run()) };
        scheduler.add(Job::new_async(job.at.as_str(), run)?).await?;
    }
    scheduler.start().await?;
    Ok(scheduler)
}

impl Turn {
    async fn run(self: Arc<Self>) {
        if self.busy.swap(true, Ordering::AcqRel) {
            return tracing::warn!(job = self.name, "the job is still at work; this turn is skipped");
        }
        let turn = self.clone();
        let done = tokio::task::spawn_blocking(move || (turn.work)()).await;
        match done {
            Ok(Ok(())) => self.succeeded(),
            Ok(Err(cause)) => tracing::error!(job = self.name, cause, "a job failed; it runs again at its next time"),
            Err(_) => tracing::error!(job = self.name, "a job panicked; it runs again at its next time"),
        }
        self.busy.store(false, Ordering::Release);
    }

    fn succeeded(&self) {
        let seconds = self.clock.now().0 / 1_000;
        self.show(seconds);
        let kept = self.record.parent().map_or(Ok(()), std::fs::create_dir_all);
        if let Err(error) = kept.and_then(|()| std::fs::write(&self.record, format!("{seconds}\n"))) {
            tracing::warn!(job = self.name, %error, "the job's success could not be recorded");
        }
    }

    fn recall(&self) {
        let recorded = std::fs::read_to_string(&self.record).ok().and_then(|text| text.trim().parse().ok());
        if let Some(seconds) = recorded {
            self.show(seconds);
        }
    }

    fn show(&self, seconds: i64) {
        let labels = metrics::Job { job: self.name.to_owned() };
        self.metrics.counted.job_success_at.get_or_create(&labels).set(seconds as f64);
    }
}
