//! What is to be published: one plan a partner and feed.

use std::sync::Arc;

use crate::domain::time::DAY_MS;
use crate::domain::{ObjectName, PartnerId, Position, Timestamp, Touched};
use crate::mapping::FeedKind;
use crate::privacy::{Guard, Projector, Record, Subject};

/// Turns a subject into what a partner sees. The projector of a mapping; tests have simpler ones.
pub trait RenderItem: Send + Sync {
    /// `None`: filtered out or past its cutoff.
    fn record(&self, subject: Subject<'_>, now: Timestamp) -> Result<Option<Record>, NotRendered>;
    /// When the subject leaves the feed by time alone.
    fn leaves_at(&self, subject: Subject<'_>) -> Option<Timestamp>;
    /// How often a change of this subject may be published, if more seldom than the feed ticks.
    fn pace_ms(&self, subject: Subject<'_>) -> Option<u32>;
}

impl RenderItem for Projector {
    fn record(&self, subject: Subject<'_>, now: Timestamp) -> Result<Option<Record>, NotRendered> {
        Projector::record(self, subject, now).map_err(|issue| NotRendered { code: issue.kind.code() })
    }

    fn leaves_at(&self, subject: Subject<'_>) -> Option<Timestamp> {
        Projector::leaves_at(self, subject)
    }

    fn pace_ms(&self, subject: Subject<'_>) -> Option<u32> {
        Some(self.tick_ms_of(subject)).filter(|pace| *pace > self.tick_ms())
    }
}

/// A row that the mapping cannot turn into a record. It is not published; it is counted, and named nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotRendered {
    pub code: &'static str,
}

/// One feed of one partner.
#[derive(Clone)]
pub struct FeedPlan {
    pub partner: PartnerId,
    /// Last segment of its path: `sites`, `slots`, `eligibility`, `bookings`.
    pub name: String,
    /// What its items are made of: `slot`, `booking`, `site`, `cohort_rule`.
    pub object: ObjectName,
    /// `kind` of its items.
    pub item_kind: String,
    pub mapping_id: String,
    pub mapping_version: u32,
    /// Hex SHA-256 of everything that shapes the content.
    pub content_digest: String,
    pub tick_ms: u32,
    /// How long tombstones are kept; at least `RETENTION_DAYS_MIN`.
    pub retention_days: u32,
    pub render: Arc<dyn RenderItem>,
    /// Judges what `render` gives; none only where there is no mapping, as in tests of the publisher.
    pub guard: Option<Arc<Guard>>,
}

/// RPDE keeps deleted items for at least 7 days.
pub(super) const RETENTION_DAYS_MIN: u32 = 7;

/// Stands for a content digest where the feed stays as it was; no SHA-256 is written so.
pub(super) const KEPT: &str = "kept";
/// Kept feeds are not ticked.
const KEPT_TICK_MS: u32 = 60_000;

/// Of a feed that is not rendered.
struct Nothing;

impl RenderItem for Nothing {
    fn record(&self, _: Subject<'_>, _: Timestamp) -> Result<Option<Record>, NotRendered> {
        Err(NotRendered { code: "not_in_force" })
    }

    fn leaves_at(&self, _: Subject<'_>) -> Option<Timestamp> {
        None
    }

    fn pace_ms(&self, _: Subject<'_>) -> Option<u32> {
        None
    }
}

/// Which subjects a feed is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    Slots,
    BookingsOf(PartnerId),
    Items(ObjectName),
}

impl FeedPlan {
    /// The feed that a compiled mapping describes.
    pub fn of(projector: Arc<Projector>) -> FeedPlan {
        FeedPlan {
            partner: projector.partner().clone(),
            name: projector.kind().code().to_owned(),
            object: projector.object().clone(),
            item_kind: projector.object().as_str().to_owned(),
            mapping_id: projector.mapping_id().to_owned(),
            mapping_version: projector.mapping_version(),
            content_digest: projector.content_digest().to_owned(),
            tick_ms: projector.tick_ms(),
            retention_days: projector.retention_days(),
            guard: Some(projector.guard().clone()),
            render: projector,
        }
    }

    /// A feed that stays as it was published last, whatever mapping that was: its mapping is not in force. Nothing is
    /// rendered for it; a feed that never was shows nothing.
    pub fn kept(partner: PartnerId, kind: FeedKind, mapping_id: &str, mapping_version: u32) -> FeedPlan {
        FeedPlan {
            partner,
            name: kind.code().to_owned(),
            object: ObjectName::new(kind.object()).expect("objects of kinds are names"),
            item_kind: kind.object().to_owned(),
            mapping_id: mapping_id.to_owned(),
            mapping_version,
            content_digest: KEPT.to_owned(),
            tick_ms: KEPT_TICK_MS,
            retention_days: RETENTION_DAYS_MIN,
            guard: None,
            render: Arc::new(Nothing),
        }
    }

    pub(super) fn is_kept(&self) -> bool {
        self.content_digest == KEPT
    }

    pub(super) fn retention_ms(&self) -> i64 {
        i64::from(self.retention_days.max(RETENTION_DAYS_MIN)) * DAY_MS
    }

    pub(super) fn source(&self) -> Source {
        match self.object.as_str() {
            "slot" => Source::Slots,
            "booking" => Source::BookingsOf(self.partner.clone()),
            _ => Source::Items(self.object.clone()),
        }
    }

    /// Whose feed it is in the store. Bookings are one partner's; what is the same for all is nobody's, and the content
    /// digest says what is the same.
    pub(super) fn owner(&self) -> &str {
        match self.source() {
            _ if self.is_kept() => self.partner.as_str(),
            Source::BookingsOf(_) => self.partner.as_str(),
            Source::Slots | Source::Items(_) => "",
        }
    }
}

impl Source {
    /// Key of the subject in the feed's store, if it is one of this feed's.
    pub(super) fn key(&self, touched: &Touched) -> Option<Arc<str>> {
        match (self, touched) {
            (Source::Slots, Touched::Slot(slot)) => Some(Arc::from(slot.key.as_str())),
            (Source::Slots, Touched::SlotGone(key, _)) => Some(Arc::from(key.as_str())),
            (Source::BookingsOf(partner), Touched::Booking(booking)) if booking.partner == *partner => {
                Some(Arc::from(booking.id.to_string()))
            }
            (Source::Items(wanted), Touched::Item { object, key, .. }) if object == wanted => Some(key.clone()),
            _ => None,
        }
    }
}

/// The subject, unless it is gone.
pub(super) fn subject(touched: &Touched) -> Option<Subject<'_>> {
    match touched {
        Touched::Slot(slot) => Some(Subject::Slot(slot)),
        Touched::Booking(booking) => Some(Subject::Booking(booking)),
        Touched::Item { key, row: Some(row), .. } => Some(Subject::Item { key, row }),
        Touched::SlotGone(..) | Touched::Item { row: None, .. } => None,
    }
}

/// A new state of one item. Without a number until one is reserved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    pub number: Option<Position>,
    pub key: Arc<str>,
    pub id: Arc<str>,
    pub data: Option<Box<[u8]>>,
    pub leaves_at: Option<Timestamp>,
}
