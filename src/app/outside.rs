//! What is reached from outside the process: listeners, the admin socket, jobs.

use std::sync::Arc;

use crate::admin;
use crate::clock::Clock;
use crate::config::Config;
use crate::evidence::Evidence;
use crate::serve::{self, Api, ServerFiles};
use crate::writeback::Orders;

use super::control::{Control, Snapshots};
use super::evident::{self, Signing, Witnessed};
use super::files::Files;
use super::jobs::{self, Planned};
use super::meter::Condition;
use super::reload::Reloader;
use super::threads::Threads;
use super::{Capturing, Poller, StartFailed, observe};

/// Refused keys leave the readers' memory after so long, as the desk forgets them.
const REFUSED_KEEP_MS: i64 = 24 * 3_600_000;

/// What is reached from outside the process.
pub struct Outside<'a> {
    pub config: &'a Config,
    pub files: &'a Files,
    pub condition: &'a Arc<Condition>,
    pub clock: &'a Arc<dyn Clock>,
    pub orders: Orders,
    pub reloader: &'a Arc<Reloader>,
    pub evidence: &'a Arc<Evidence>,
    pub signing: &'a Arc<Signing>,
}

/// Addresses that were bound, and the jobs.
pub struct Served {
    pub jobs: tokio_cron_scheduler::JobScheduler,
    pub partners_http: Option<std::net::SocketAddr>,
    pub partners_tls: Option<std::net::SocketAddr>,
    pub observe: std::net::SocketAddr,
}

impl Outside<'_> {
    /// Listens, serves and schedules. What serves is put into `threads`, so that a start that fails can stop it.
    pub async fn open(
        &self,
        api: Arc<Api>,
        snapshots: Snapshots,
        capturing: Arc<Capturing>,
        threads: &mut Threads,
    ) -> Result<Served, StartFailed> {
        let (listen, stop) = (&self.config.listen, threads.stop.clone());
        let mut doors = Vec::new();
        if let Some(address) = listen.partners_http {
            doors.push(serve::Door::loopback(address).await?);
        }
        let partners_http = doors.first().and_then(|door| door.address().ok());
        if let (Some(address), Some(certificate), Some(key), Some(client_ca)) =
            (listen.partners_tls, &listen.tls_certificate_file, &listen.tls_key_file, &listen.client_ca_file)
        {
            let files =
                ServerFiles { certificate: certificate.clone(), key: key.clone(), client_ca: client_ca.clone() };
            doors.push(serve::Door::network(address, serve::server_config(&files)?).await?);
        }
        let tls_door = doors.get(usize::from(partners_http.is_some()));
        let partners_tls = tls_door.and_then(|door| door.address().ok());
        let (observe, observing) = observe::serve(listen.observe, self.condition.clone(), stop.clone())
            .await
            .map_err(|source| StartFailed::Observe { address: listen.observe, source })?;
        let control = Control {
            condition: self.condition.clone(),
            door: snapshots.door.clone(),
            snapshots: snapshots.clone(),
            orders: self.orders.clone(),
            reloader: self.reloader.clone(),
            poller: Poller(Some(capturing.clone())),
        };
        let view = self.condition.view.clone();
        let witnessed = Witnessed {
            commands: control,
            evidence: self.evidence.clone(),
            clock: self.clock.clone(),
            position: Box::new(move || view.durable()),
        };
        let admin = admin::serve(&self.files.socket, Arc::new(witnessed), stop.clone())
            .map_err(|source| StartFailed::Socket { path: self.files.socket.clone(), source })?;
        threads.serving =
            vec![tokio::spawn(serve::run(api, doors, stop.clone())), tokio::spawn(observing), tokio::spawn(admin)];
        let jobs =
            jobs::start(self.planned(snapshots, capturing), &self.files.jobs, &self.condition.metrics, self.clock)
                .await?;
        Ok(Served { jobs, partners_http, partners_tls, observe })
    }

    fn planned(&self, snapshots: Snapshots, capturing: Arc<Capturing>) -> Vec<Planned> {
        let jobs = &self.config.jobs;
        let (view, clock) = (self.condition.view.clone(), self.clock.clone());
        let (signing, evidence) = (self.signing.clone(), self.evidence.clone());
        let (config, now) = (self.config.clone(), self.clock.clone());
        let cut: jobs::Work = Arc::new(move || {
            capturing.poll_now();
            Ok(())
        });
        let purge: jobs::Work = Arc::new(move || {
            view.forget_refused_before(clock.now().plus_ms(-REFUSED_KEEP_MS));
            Ok(())
        });
        vec![
            Planned { name: "full_cut", at: jobs.full_cut.clone(), work: cut },
            Planned {
                name: "ledger_snapshot",
                at: jobs.ledger_snapshot.clone(),
                work: Arc::new(move || snapshots.write().map(|_| ())),
            },
            Planned { name: "purge", at: jobs.purge.clone(), work: purge },
            Planned {
                name: "evidence_checkpoint",
                at: jobs.evidence_checkpoint.clone(),
                work: Arc::new(move || signing.sign()),
            },
            Planned {
                name: "evidence_retention",
                at: jobs.evidence_retention.clone(),
                work: Arc::new(move || evident::retain(&evidence, &config, now.now())),
            },
        ]
    }
}
