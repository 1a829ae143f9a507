//! The agency beside its counter: who assigns quota, and who edits as clerks and nightly jobs do. What is edited is
//! noted by slot, so that the verdict can tell what the agency's own edits cost from what the bridge did.
//!
//! Vices are bounded a slot: each mend of a slot that is spoiled again waits twice as long as the one before, and the
//! run has to end.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::dice::Dice;
use super::tally::Tally;
use crate::legacy::sqlite::native::{NativeSeller, Screen, Selling};
use crate::legacy::{LegacyError, LegacyErrorKind};

/// Slots that clerks look at: the soonest ones, as everybody does.
const LISTED: u32 = 120;
const LIST_EVERY: Duration = Duration::from_millis(500);
const PACE: Duration = Duration::from_millis(60);
/// So long a clerk leaves a screen open before saving it.
const SCREEN_OPEN: Duration = Duration::from_millis(600);
const SCREENS_MAX: usize = 6;
/// Edits of one slot.
const EDITS_MAX: u32 = 2;
/// The first recount; each next one after twice the time, and no more than `RECOUNTS_MAX`.
const RECOUNT_FIRST: Duration = Duration::from_millis(1_500);
const RECOUNTS_MAX: u64 = 6;
/// Slots that are given quota before anybody books.
const QUOTA_FIRST: u32 = 400;

/// What the agency did to a slot past its own booking code.
#[derive(Debug, Clone, Copy, Default)]
pub struct Edited {
    pub times: u32,
    /// By so many units its edits can have made the slot oversold.
    pub spoiled: i64,
}

/// What the agency edited.
#[derive(Debug, Default)]
pub struct Edits {
    slots: Mutex<BTreeMap<String, Edited>>,
    pub recounts: AtomicU64,
    /// Slots whose counter a recount changed.
    pub recounted: AtomicU64,
    pub stale_screens: AtomicU64,
    pub capacities: AtomicU64,
    pub assigned: AtomicU64,
}

impl Edits {
    /// Slots that the agency edited.
    pub fn slots(&self) -> MutexGuard<'_, BTreeMap<String, Edited>> {
        self.slots.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn note(&self, slot: &str) {
        self.slots().entry(slot.to_owned()).or_default().times += 1;
    }

    fn note_spoiled(&self, seller: &mut NativeSeller) {
        let mut slots = self.slots();
        for (slot, units) in seller.take_spoiled() {
            slots.entry(slot).or_default().spoiled += units;
        }
    }

    fn may_edit(&self, slot: &str) -> bool {
        self.slots().get(slot).is_none_or(|edited| edited.times < EDITS_MAX)
    }
}

/// What the agency does beside selling.
#[derive(Debug, Clone, Copy)]
pub struct Habits {
    pub assigns_quota: bool,
    pub has_vices: bool,
}

impl Habits {
    pub fn any(self) -> bool {
        self.assigns_quota || self.has_vices
    }
}

/// Half of what the soonest slots have left is the partners', before anybody books. Returns how many units.
pub fn assign_first_quota(path: &Path, selling: Selling) -> Result<u64, LegacyError> {
    let mut seller = NativeSeller::open(path, selling)?;
    let mut units = 0;
    for slot in seller.open_slots(QUOTA_FIRST)? {
        let left = seller.open_screen(&slot)?.map_or(0, |screen| screen.left());
        units += u64::from(seller.assign_quota(&slot, u32::try_from(left / 2).unwrap_or(0))?);
    }
    Ok(units)
}

/// Works until `stop`.
pub fn work(
    path: &Path,
    selling: Selling,
    habits: Habits,
    mut dice: Dice,
    edits: &Edits,
    tally: &Arc<Tally>,
    stop: &CancellationToken,
) {
    let mut seller = match NativeSeller::open(path, selling) {
        Ok(seller) => seller,
        Err(error) => return tally.fault(format!("agency: {error}")),
    };
    let now = Instant::now();
    let mut office = Office {
        slots: Vec::new(),
        listed_at: None,
        screens: Vec::new(),
        recount_at: now + RECOUNT_FIRST,
        recount_after: RECOUNT_FIRST * 2,
    };
    while !stop.is_cancelled() {
        match office.act(&mut seller, habits, &mut dice, edits) {
            Ok(()) => {}
            Err(error) if error.kind == LegacyErrorKind::Retry => {}
            Err(error) => return tally.fault(format!("agency: {error}")),
        }
        std::thread::sleep(PACE);
    }
}

struct Office {
    slots: Vec<String>,
    listed_at: Option<Instant>,
    screens: Vec<(Instant, Screen)>,
    recount_at: Instant,
    recount_after: Duration,
}

impl Office {
    fn act(
        &mut self,
        seller: &mut NativeSeller,
        habits: Habits,
        dice: &mut Dice,
        edits: &Edits,
    ) -> Result<(), LegacyError> {
        if self.listed_at.is_none_or(|at| at.elapsed() > LIST_EVERY) {
            self.slots = seller.open_slots(LISTED)?;
            self.listed_at = Some(Instant::now());
        }
        if habits.has_vices
            && Instant::now() >= self.recount_at
            && edits.recounts.load(Ordering::Relaxed) < RECOUNTS_MAX
        {
            return self.recount(seller, edits);
        }
        if habits.has_vices
            && let Some(at) = self.screens.iter().position(|(opened, _)| opened.elapsed() > SCREEN_OPEN)
        {
            let (_, screen) = self.screens.swap_remove(at);
            edits.note(&screen.slot);
            seller.save_screen(&screen)?;
            edits.note_spoiled(seller);
            edits.stale_screens.fetch_add(1, Ordering::Relaxed);
            return Ok(());
        }
        if self.slots.is_empty() {
            return Ok(());
        }
        let slot = self.slots[dice.below(self.slots.len())].clone();
        if habits.assigns_quota && (!habits.has_vices || dice.one_in(2)) {
            let units = seller.assign_quota(&slot, 1 + dice.below(3) as u32)?;
            edits.assigned.fetch_add(u64::from(units), Ordering::Relaxed);
        } else if habits.has_vices && edits.may_edit(&slot) {
            let Some(screen) = seller.open_screen(&slot)? else { return Ok(()) };
            if dice.one_in(2) && self.screens.len() < SCREENS_MAX {
                self.screens.push((Instant::now(), screen));
            } else {
                self.set_capacity(seller, &screen, dice, edits)?;
            }
        }
        Ok(())
    }

    /// More often less than more: a clinic has lost a nurse.
    fn set_capacity(
        &mut self,
        seller: &mut NativeSeller,
        screen: &Screen,
        dice: &mut Dice,
        edits: &Edits,
    ) -> Result<(), LegacyError> {
        let by = 1 + dice.below(3) as i64;
        let capacity = if dice.one_in(3) { screen.capacity + by } else { (screen.capacity - by).max(0) };
        edits.note(&screen.slot);
        seller.set_capacity(&screen.slot, u32::try_from(capacity).unwrap_or(0))?;
        edits.note_spoiled(seller);
        edits.capacities.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn recount(&mut self, seller: &mut NativeSeller, edits: &Edits) -> Result<(), LegacyError> {
        let changed = seller.nightly_recount_of()?;
        changed.iter().for_each(|slot| edits.note(slot));
        edits.note_spoiled(seller);
        edits.recounted.fetch_add(changed.len() as u64, Ordering::Relaxed);
        edits.recounts.fetch_add(1, Ordering::Relaxed);
        self.recount_at = Instant::now() + self.recount_after;
        self.recount_after *= 2;
        Ok(())
    }
}
