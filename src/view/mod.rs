//! What readers may see: durable state only, filled by the committer after each batch.
//!
//! Never decides. Readers take a short lock; the committer's write lock covers one batch.

mod ci;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tokio::sync::watch;

use crate::domain::{
    BookingId, BookingView, KeyMac, ObjectName, PartnerId, PersonNo, Position, Row, SlotKey, SlotView, Timestamp,
    Touched,
};
use crate::durable::{Consumer, Durable, KnownKey};

pub use ci::{CiTable, CiTableBuilder};

/// A published row that is neither slot nor booking: a site, a cohort rule.
#[derive(Debug, Clone)]
pub struct ItemView {
    pub row: Arc<Row>,
    pub position: Position,
}

/// A poll whose changes are all durable at `position`; a feed that reached it is as fresh as `started_at`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PollMark {
    pub started_at: Timestamp,
    pub position: Position,
    /// Start of the latest full cycle that is durable.
    pub full_at: Timestamp,
}

#[derive(Default)]
struct Marks {
    slot: PollMark,
    others: HashMap<ObjectName, PollMark, foldhash::fast::FixedState>,
    paces_ms: HashMap<ObjectName, u64, foldhash::fast::FixedState>,
}

const SLOT: &str = "slot";
/// Bookings are the desk's own and are there at once; what the legacy system may do to them shows in reservations.
const BOOKING: &str = "booking";
const RESERVATION: &str = "reservation";

#[derive(Default)]
struct Tables {
    slots: HashMap<SlotKey, Arc<SlotView>, foldhash::fast::FixedState>,
    items: HashMap<(ObjectName, Arc<str>), ItemView, foldhash::fast::FixedState>,
    bookings: HashMap<BookingId, Arc<BookingView>, foldhash::fast::FixedState>,
    by_person: HashMap<(PartnerId, PersonNo), BTreeSet<BookingId>, foldhash::fast::FixedState>,
    by_partner_ref: HashMap<(PartnerId, Arc<str>), BTreeSet<BookingId>, foldhash::fast::FixedState>,
    keys: HashMap<KeyMac, KnownKey, foldhash::fast::FixedState>,
}

pub struct View {
    tables: RwLock<Tables>,
    durable: watch::Sender<Position>,
    marks: RwLock<Marks>,
    ci: arc_swap::ArcSwapOption<CiTable>,
}

impl Default for View {
    fn default() -> View {
        View {
            tables: RwLock::default(),
            durable: watch::channel(Position::ZERO).0,
            marks: RwLock::default(),
            ci: arc_swap::ArcSwapOption::empty(),
        }
    }
}

impl View {
    fn read(&self) -> RwLockReadGuard<'_, Tables> {
        self.tables.read().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn write(&self) -> RwLockWriteGuard<'_, Tables> {
        self.tables.write().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    pub fn slot(&self, key: &SlotKey) -> Option<Arc<SlotView>> {
        self.read().slots.get(key).cloned()
    }

    pub fn item(&self, object: &ObjectName, key: &str) -> Option<ItemView> {
        self.read().items.get(&(object.clone(), Arc::from(key))).cloned()
    }

    /// A booking of this partner; another's reads as unknown.
    pub fn booking(&self, partner: &PartnerId, id: BookingId) -> Option<Arc<BookingView>> {
        self.read().bookings.get(&id).filter(|b| b.partner == *partner).cloned()
    }

    /// Bookings of one person with this partner, oldest first.
    pub fn bookings_of_person(&self, partner: &PartnerId, person: PersonNo) -> Vec<Arc<BookingView>> {
        let tables = self.read();
        let ids = tables.by_person.get(&(partner.clone(), person));
        ids.into_iter().flatten().filter_map(|id| tables.bookings.get(id).cloned()).collect()
    }

    /// Bookings with this partner reference, oldest first.
    pub fn bookings_of_ref(&self, partner: &PartnerId, partner_ref: &str) -> Vec<Arc<BookingView>> {
        let tables = self.read();
        let ids = tables.by_partner_ref.get(&(partner.clone(), Arc::from(partner_ref)));
        ids.into_iter().flatten().filter_map(|id| tables.bookings.get(id).cloned()).collect()
    }

    pub fn key(&self, key: &KeyMac) -> Option<KnownKey> {
        self.read().keys.get(key).copied()
    }

    /// Everything that can be published, in order of position. For start-up and full compares; copies handles only.
    pub fn everything(&self) -> Vec<Touched> {
        let tables = self.read();
        let slots = tables.slots.values().cloned().map(Touched::Slot);
        let bookings = tables.bookings.values().cloned().map(Touched::Booking);
        let items = tables.items.iter().map(|((object, key), item)| Touched::Item {
            object: object.clone(),
            key: key.clone(),
            row: Some(item.row.clone()),
            position: item.position,
        });
        let mut all: Vec<Touched> = slots.chain(bookings).chain(items).collect();
        drop(tables);
        all.sort_by_key(Touched::position);
        all
    }

    pub fn counts(&self) -> (usize, usize, usize) {
        let tables = self.read();
        (tables.slots.len(), tables.bookings.len(), tables.items.len())
    }

    /// The position that is durable and visible here.
    pub fn durable(&self) -> Position {
        *self.durable.borrow()
    }

    pub fn watch_durable(&self) -> watch::Receiver<Position> {
        self.durable.subscribe()
    }

    /// How fresh slots are: what most answers are about.
    pub fn mark(&self) -> PollMark {
        self.marks().slot
    }

    /// How fresh the rows of an object are; all zero before its first poll.
    pub fn mark_of(&self, object: &ObjectName) -> PollMark {
        let marks = self.marks();
        let of = |name: &str| marks.others.iter().find(|(object, _)| object.as_str() == name).map(|(_, mark)| *mark);
        match object.as_str() {
            SLOT => marks.slot,
            BOOKING => of(RESERVATION).unwrap_or(marks.slot),
            name => of(name).unwrap_or_default(),
        }
    }

    fn marks(&self) -> RwLockReadGuard<'_, Marks> {
        self.marks.read().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Told by capture after a poll of slots whose facts are durable.
    pub fn set_mark(&self, mark: PollMark) {
        self.marks.write().unwrap_or_else(|poisoned| poisoned.into_inner()).slot = mark;
    }

    /// Told by capture after a poll of the object whose facts are durable.
    pub fn set_mark_of(&self, object: &ObjectName, mark: PollMark) {
        if object.as_str() == SLOT {
            return self.set_mark(mark);
        }
        let mut marks = self.marks.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        marks.others.insert(object.clone(), mark);
    }

    /// From one poll that sees every change of the object to the next, in milliseconds; 0 where nobody said.
    pub fn pace_of_ms(&self, object: &ObjectName) -> u64 {
        let marks = self.marks();
        let of = |name: &str| marks.paces_ms.iter().find(|(object, _)| object.as_str() == name).map(|(_, ms)| *ms);
        let name = if object.as_str() == BOOKING { RESERVATION } else { object.as_str() };
        of(name).unwrap_or(0)
    }

    pub fn set_pace_of_ms(&self, object: &ObjectName, pace_ms: u64) {
        let mut marks = self.marks.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        marks.paces_ms.insert(object.clone(), pace_ms);
    }

    /// `None` until the table is loaded.
    pub fn ci(&self) -> Option<Arc<CiTable>> {
        self.ci.load_full()
    }

    pub fn set_ci(&self, table: CiTable) {
        self.ci.store(Some(Arc::new(table)));
    }

    /// Refused keys older than 24 h are forgotten, as the desk forgets them.
    pub fn forget_refused_before(&self, at: Timestamp) {
        self.write().keys.retain(|_, known| known.accepted || known.at >= at);
    }
}

/// The view as the committer's consumer.
pub struct Fill(pub Arc<View>);

impl Consumer for Fill {
    fn durable(&mut self, batch: &Arc<Durable>) {
        let mut tables = self.0.write();
        for touched in &batch.touched {
            tables.apply(touched);
        }
        for known in &batch.keys {
            tables.keys.insert(known.key, *known);
        }
        drop(tables);
        self.0.durable.send_replace(batch.last);
    }
}

impl Tables {
    fn apply(&mut self, touched: &Touched) {
        match touched {
            Touched::Slot(slot) => {
                self.slots.insert(slot.key.clone(), slot.clone());
            }
            Touched::SlotGone(key, _) => {
                self.slots.remove(key);
            }
            Touched::Booking(booking) => {
                let person = (booking.partner.clone(), booking.person);
                self.by_person.entry(person).or_default().insert(booking.id);
                if let Some(reference) = &booking.partner_ref {
                    let reference = (booking.partner.clone(), reference.clone());
                    self.by_partner_ref.entry(reference).or_default().insert(booking.id);
                }
                self.bookings.insert(booking.id, booking.clone());
            }
            Touched::Item { object, key, row: Some(row), position } => {
                let item = ItemView { row: row.clone(), position: *position };
                self.items.insert((object.clone(), key.clone()), item);
            }
            Touched::Item { object, key, row: None, .. } => {
                self.items.remove(&(object.clone(), key.clone()));
            }
        }
    }
}
