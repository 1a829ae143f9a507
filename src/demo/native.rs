//! The agency's own counter: sells and cancels in the legacy system while partners book the same slots.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::dice::Dice;
use super::tally::Tally;
use crate::legacy::sqlite::generate::person_key;
use crate::legacy::sqlite::native::{MadeBy, NativeOutcome, NativeSeller, Selling};
use crate::legacy::{LegacyError, LegacyErrorKind};

/// How the counter was used.
#[derive(Debug, Default)]
pub struct Sales {
    pub booked: AtomicU64,
    pub cancelled: AtomicU64,
    /// Reservations of the bridge that a clerk cancelled.
    pub cancelled_of_bridge: AtomicU64,
    pub refused: AtomicU64,
    pub closed: AtomicU64,
}

/// Slots that the counter looks at: the soonest ones, as partners do.
const LISTED: u32 = 300;
const LIST_EVERY: Duration = Duration::from_millis(500);

/// Sells until `stop`, one transaction each `pace`.
pub fn sell(
    (path, selling): (&Path, Selling),
    people: &AtomicU32,
    mut dice: Dice,
    pace: Duration,
    sales: &Sales,
    tally: &Arc<Tally>,
    stop: &CancellationToken,
) {
    let mut seller = match NativeSeller::open(path, selling) {
        Ok(seller) => seller,
        Err(error) => return tally.fault(format!("native counter: {error}")),
    };
    let mut window = Window { slots: Vec::new(), listed_at: None, closed: None, mine: Vec::new() };
    while !stop.is_cancelled() {
        match window.act(&mut seller, people.load(Ordering::Relaxed), &mut dice, sales) {
            Ok(()) => {}
            Err(error) if error.kind == LegacyErrorKind::Retry => {}
            Err(error) => return tally.fault(format!("native counter: {error}")),
        }
        std::thread::sleep(pace);
    }
    if let Some(slot) = window.closed
        && let Err(error) = seller.reopen_slot(&slot)
    {
        tally.fault(format!("native counter: {error}"));
    }
}

struct Window {
    slots: Vec<String>,
    listed_at: Option<Instant>,
    closed: Option<String>,
    mine: Vec<String>,
}

impl Window {
    fn act(
        &mut self,
        seller: &mut NativeSeller,
        people: u32,
        dice: &mut Dice,
        sales: &Sales,
    ) -> Result<(), LegacyError> {
        if self.listed_at.is_none_or(|at| at.elapsed() > LIST_EVERY) {
            self.slots = seller.open_slots(LISTED)?;
            self.listed_at = Some(Instant::now());
            if let Some(slot) = self.closed.take() {
                seller.reopen_slot(&slot)?;
            }
        }
        if self.slots.is_empty() {
            return Ok(());
        }
        let slot = self.slots[dice.below(self.slots.len())].clone();
        if dice.one_in(300) && self.closed.is_none() {
            seller.close_slot(&slot)?;
            self.closed = Some(slot);
            sales.closed.fetch_add(1, Ordering::Relaxed);
        } else if dice.one_in(5) && !self.mine.is_empty() {
            let mine = self.mine.swap_remove(dice.below(self.mine.len()));
            count(&seller.cancel(&mine)?, &sales.cancelled, sales);
        } else if dice.one_in(60) {
            let after = format!("R{:011}", dice.below(1_000_000));
            if let Some(theirs) =
                seller.active(MadeBy::Bridge, &after, 1)?.first().or(seller.active(MadeBy::Bridge, "", 1)?.first())
            {
                count(&seller.cancel(theirs)?, &sales.cancelled_of_bridge, sales);
            }
        } else {
            let person = person_key(1 + dice.below(people as usize) as u32);
            let outcome = seller.book(&slot, &person)?;
            if let NativeOutcome::Booked { resv_no } = &outcome {
                self.mine.push(resv_no.clone());
            }
            count(&outcome, &sales.booked, sales);
        }
        Ok(())
    }
}

fn count(outcome: &NativeOutcome, done: &AtomicU64, sales: &Sales) {
    let counter = match outcome {
        NativeOutcome::Booked { .. } | NativeOutcome::Cancelled => done,
        _ => &sales.refused,
    };
    counter.fetch_add(1, Ordering::Relaxed);
}
