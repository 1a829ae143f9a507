//! Everybody who does something while the demonstration runs, and the one who keeps recounting.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::agency::{self, Edits, Habits};
use super::dice::Dice;
use super::native::{Sales, sell};
use super::show::Around;
use super::{Demo, Options, TrafficWanted};
use crate::domain::AllotmentMode;
use crate::legacy::sqlite::native::Selling;
use crate::legacy::sqlite::recount::recount;

/// Users that book at once, a partner.
const DESKS: u64 = 6;
/// Time between two requests of one of them: six a partner give some 300 requests/s together.
const PACE: Duration = Duration::from_millis(25);
const NATIVE_THREADS: u64 = 2;
const NATIVE_PACE: Duration = Duration::from_millis(30);
/// A recount reads the whole database: at most a tenth of the time.
const RECOUNT_SHARE: u32 = 10;
const RECOUNT_PAUSE: Duration = Duration::from_secs(1);

/// What the last recount found.
#[derive(Debug, Clone, Copy)]
struct Recounted {
    oversold: usize,
    booked_twice: usize,
}

pub struct Traffic {
    pub wanted: TrafficWanted,
    stop: CancellationToken,
    partners: TaskTracker,
    native: Vec<JoinHandle<()>>,
    judge: Option<JoinHandle<()>>,
    recounted: Arc<Mutex<Option<Recounted>>>,
    pub sales: Arc<Sales>,
    pub edits: Arc<Edits>,
    pub habits: Habits,
    /// Faults are injected.
    pub faults: bool,
}

impl Traffic {
    pub fn start(demo: &Demo, options: &Options) -> Traffic {
        let stop = CancellationToken::new();
        let mut traffic = Traffic {
            wanted: options.traffic,
            stop: stop.clone(),
            partners: TaskTracker::new(),
            native: Vec::new(),
            judge: None,
            recounted: Arc::default(),
            sales: Arc::default(),
            edits: Arc::default(),
            habits: Habits { assigns_quota: options.mode == AllotmentMode::Quota, has_vices: options.vices },
            faults: options.faults && options.traffic == TrafficWanted::Yes,
        };
        traffic.judge = Some(traffic.recount(demo));
        if options.traffic == TrafficWanted::Yes {
            for (at, partner) in (0u64..).zip(&demo.partners) {
                for desk in 0..DESKS {
                    let dice = Dice::new(options.seed ^ (1_000 + 100 * at + desk));
                    let trading = partner.clone().trade(dice, PACE, stop.clone());
                    traffic.partners.spawn_on(trading, demo.runtime.handle());
                }
            }
            traffic.open_counters(demo, options);
            traffic.open_office(demo, options);
            if let Some(double) = demo.stage.double.as_ref().filter(|_| options.faults) {
                let dice = Dice::new(options.seed ^ 4_000);
                let (condition, tally) = (demo.daemon.condition.clone(), demo.tally.clone());
                traffic.native.push(double.disturb(condition, dice, tally, stop.clone()));
            }
        }
        traffic.partners.close();
        traffic
    }

    fn open_counters(&mut self, demo: &Demo, options: &Options) {
        for thread in 0..NATIVE_THREADS {
            let (path, people, tally) = (demo.stage.legacy.clone(), demo.reach.clone(), demo.tally.clone());
            let (sales, stop, selling) = (self.sales.clone(), self.stop.clone(), Selling::of(demo.stage.design));
            let dice = Dice::new(options.seed ^ (2_000 + thread));
            self.native.push(std::thread::spawn(move || {
                sell((&path, selling), &people, dice, NATIVE_PACE, &sales, &tally, &stop);
            }));
        }
    }

    fn open_office(&mut self, demo: &Demo, options: &Options) {
        let habits = self.habits;
        if !habits.any() {
            return;
        }
        let (path, tally, edits) = (demo.stage.legacy.clone(), demo.tally.clone(), self.edits.clone());
        let (stop, selling) = (self.stop.clone(), Selling::of(demo.stage.design));
        let dice = Dice::new(options.seed ^ 3_000);
        self.native.push(std::thread::spawn(move || {
            agency::work(&path, selling, habits, dice, &edits, &tally, &stop);
        }));
    }

    fn recount(&self, demo: &Demo) -> JoinHandle<()> {
        let (path, tally) = (demo.stage.legacy.clone(), demo.tally.clone());
        let (found, stop) = (self.recounted.clone(), self.stop.clone());
        std::thread::spawn(move || {
            while !stop.is_cancelled() {
                let began = Instant::now();
                match recount(&path) {
                    Ok(counted) => {
                        let counted =
                            Recounted { oversold: counted.oversold.len(), booked_twice: counted.booked_twice.len() };
                        *found.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(counted);
                    }
                    Err(error) => tally.fault(format!("recount: {error}")),
                }
                let pause = RECOUNT_PAUSE.max(began.elapsed() * RECOUNT_SHARE);
                let until = Instant::now() + pause;
                while Instant::now() < until && !stop.is_cancelled() {
                    std::thread::sleep(Duration::from_millis(50));
                }
            }
        })
    }

    pub fn around(&self, demo: &Demo) -> Around {
        let condition = &demo.daemon.condition;
        let (capture, writeback) = condition.statements();
        let recounted = *self.recounted.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        Around {
            statements: capture + writeback,
            writeback_lag_ms: condition.writeback_lag_ms(),
            waiting_ops: condition.writeback().waiting,
            oversold: recounted.map(|counted| counted.oversold),
            booked_twice: recounted.map(|counted| counted.booked_twice),
            native: self.sales.booked.load(Ordering::Relaxed),
        }
    }

    /// Ends all traffic. Requests in flight are answered first.
    pub fn stop(&mut self, demo: &Demo) {
        self.stop.cancel();
        demo.runtime.block_on(self.partners.wait());
        for thread in self.native.drain(..).chain(self.judge.take()) {
            if thread.join().is_err() {
                demo.tally.fault("a thread of the demonstration panicked".to_owned());
            }
        }
    }
}
