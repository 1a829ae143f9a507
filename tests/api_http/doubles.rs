//! A bridge without ledger and legacy system: answers are scripted by the slot that is asked for.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use bytes::Bytes;
use serde_json::json;
use slotbridge::answer::{Answers, Place, Project};
use slotbridge::clock::Clock;
use slotbridge::decide::{Alternative, Ask, BookAsk, Event, Outcome, Refused};
use slotbridge::domain::{
    BookingId, BookingStatus, BookingView, EndReason, PartnerId, PersonNo, PersonRef, Position, Refusal, Row, Secret,
    SeriesId, SiteKey, SlotKey, SlotVersion, SlotView, Sync as Written, Timestamp, Touched,
};
use slotbridge::durable::{Answer, Consumer, Durable, KnownKey, ReadFailed, Render, Replies, StoredReply, Submission};
use slotbridge::intake::{Bounds, Intake, Macs, OpenToken, Opened};
use slotbridge::privacy::Record;
use slotbridge::publish::api::{FeedError, FeedInfo, FeedSource, Freshness, Page, PageQuery, Snapshot};
use slotbridge::publish::{Hold, Served};
use slotbridge::serve::{
    About, Access, Answered, Api, Consent, Door, Health, Partners, Parts, PersonTokens, ReceiptFault, RecordAccess,
    RecordFailed, SealFailed, SealedToken, Settings, SignedConsent, Synthetic, TokenAccess, TokenLimits, bearer_digest,
    run,
};
use slotbridge::view::{Fill, PollMark, View};
use tokio::sync::mpsc::Receiver;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// 2026-11-22T20:00:01+09:00
pub const NOW: Timestamp = Timestamp(1_795_345_201_000);

pub fn naver() -> PartnerId {
    PartnerId::new("naver").unwrap()
}

pub struct FixedClock(pub AtomicI64);

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

/// Publishes every slot whose key does not begin with `hidden`.
struct Mapping;

impl Project for Mapping {
    fn slot_key(&self, public_id: &str) -> Option<SlotKey> {
        SlotKey::new(public_id.strip_prefix("s-")?).ok()
    }

    fn slot(&self, slot: &SlotView, _: Timestamp) -> Option<Record> {
        let fields = vec![
            ("start".into(), json!(slot.start.rfc3339())),
            ("site_id".into(), json!(format!("site-{}", slot.site))),
            ("remaining_bucket".into(), json!(if slot.remaining == 0 { "0" } else { "1-4" })),
        ];
        let is_public = !slot.key.as_str().starts_with("hidden");
        is_public.then(|| Record { id: format!("s-{}", slot.key).into(), fields })
    }

    fn booking(&self, booking: &BookingView) -> Option<Record> {
        let mut fields = vec![
            ("status".into(), json!(booking.status.code())),
            ("sync".into(), json!(booking.sync.code())),
            ("slot_id".into(), json!(format!("s-{}", booking.slot))),
        ];
        if let Some(reference) = &booking.partner_ref {
            fields.push(("partner_ref".into(), json!(reference)));
        }
        Some(Record { id: booking.id.to_string().into(), fields })
    }
}

#[derive(Default)]
pub struct Kept(Mutex<BTreeMap<Position, StoredReply>>);

impl Replies for Kept {
    fn reply(&self, entry: Position) -> Result<Option<StoredReply>, ReadFailed> {
        Ok(self.0.lock().unwrap().get(&entry).cloned())
    }
}

pub struct Tokens;

impl OpenToken for Tokens {
    fn open(&self, partner: &PartnerId, text: &str) -> Opened {
        let own = format!("ppt1.{partner}.booking.2611.");
        match text.strip_prefix(&own) {
            Some("person") => Opened::Person(PersonRef::Known(PersonNo(7))),
            Some("other") => Opened::Person(PersonRef::Known(PersonNo(8))),
            Some("nobody") => Opened::Person(PersonRef::Nobody(99)),
            Some("old") => Opened::Expired,
            Some(other) => match other.strip_prefix('p').and_then(|number| number.parse().ok()) {
                Some(number) => Opened::Person(PersonRef::Known(PersonNo(number))),
                None => Opened::Unknown,
            },
            None => Opened::Unknown,
        }
    }
}

impl PersonTokens for Tokens {
    fn check_receipt(&self, _: &PartnerId, receipt: &str, _: About<'_>, _: Timestamp) -> Result<Consent, ReceiptFault> {
        match receipt {
            "forged" => Err(ReceiptFault::Invalid),
            "old" => Err(ReceiptFault::Expired),
            _ => Ok(Consent { single: receipt.to_owned(), signed: SignedConsent::ByIssuer }),
        }
    }

    fn synthetic(&self, _: &PartnerId, _: &[u8], _: Timestamp) -> Result<Synthetic, SealFailed> {
        Ok(Synthetic { number: 99, before: None })
    }

    fn seal(&self, partner: &PartnerId, person: PersonRef, now: Timestamp) -> Result<SealedToken, SealFailed> {
        let name = if matches!(person, PersonRef::Known(_)) { "person" } else { "nobody" };
        let text = format!("ppt1.{partner}.booking.2611.{name}");
        Ok(SealedToken { text, epoch: 2611, expires_at: now.plus_ms(86_400_000) })
    }

    fn limits(&self, _: &PartnerId) -> TokenLimits {
        TokenLimits { day_max: 10, epoch_max: 100 }
    }
}

#[derive(Default)]
pub struct Evidence {
    pub records: Mutex<Vec<TokenAccess>>,
    pub is_broken: AtomicBool,
}

impl RecordAccess for Evidence {
    fn token_given(&self, access: &TokenAccess) -> Result<(), RecordFailed> {
        if self.is_broken.load(Ordering::SeqCst) {
            return Err(RecordFailed { cause: "disk".into() });
        }
        self.records.lock().unwrap().push(access.clone());
        Ok(())
    }
}

/// Route, status and code of an answer.
pub type Line = (Option<String>, u16, Option<&'static str>);

#[derive(Default)]
pub struct Seen(pub Mutex<Vec<Line>>);

impl Health for Seen {
    fn not_ready(&self) -> Vec<String> {
        vec!["feeds: first tick".into()]
    }

    fn metrics(&self) -> String {
        "# EOF\n".into()
    }

    fn answered(&self, a: &Answered<'_>) {
        self.0.lock().unwrap().push((a.route.map(str::to_owned), a.status, a.code));
    }
}

/// One item with number 41; the watermark is 50 and cursors before 10 are expired. Moving `tick` makes item 60.
pub struct Feeds {
    pub tick: watch::Sender<Position>,
    pub held: Mutex<BTreeMap<String, Hold>>,
}

impl FeedSource for Feeds {
    fn feeds(&self, _: &PartnerId) -> Vec<FeedInfo> {
        vec![FeedInfo {
            name: "slots".into(),
            cursor: Position(50),
            items: 1,
            mapping_id: "naver-slots".into(),
            mapping_version: 3,
            content_digest: "ab".repeat(32),
            retention_days: 7,
            holds: self.holds(&naver(), "slots"),
        }]
    }

    fn page(&self, _: &PartnerId, feed: &str, query: PageQuery) -> Result<Page, FeedError> {
        if let Some(hold) = self.held.lock().unwrap().get(feed).filter(|hold| hold.served == Served::NotAtAll) {
            return Err(FeedError::Held { reason: hold.reason });
        }
        match (feed, query.after) {
            ("slots", Some(after)) if after < 10 => Err(FeedError::CursorExpired),
            ("slots", Some(after)) if (41..60).contains(&after) && *self.tick.borrow() >= Position(60) => {
                let body = Bytes::from_static(b"{\"next\":\"60\",\"items\":[{\"id\":\"s-2\"}]}");
                Ok(Page { body, etag: "\"second\"".into(), cursor: Position(60), is_last: false })
            }
            ("slots", Some(after)) if after >= 41 => {
                let body = Bytes::from(format!("{{\"next\":\"{after}\",\"items\":[]}}"));
                Ok(Page { body, etag: "\"last\"".into(), cursor: Position(50), is_last: true })
            }
            ("slots" | "bookings", _) => {
                let body = Bytes::from_static(b"{\"next\":\"41\",\"items\":[{\"id\":\"s-1\"}]}");
                Ok(Page { body, etag: "\"first\"".into(), cursor: Position(41), is_last: false })
            }
            ("broken", _) => Err(FeedError::Store { cause: "disk".into() }),
            ("panics", _) => panic!("scripted"),
            _ => Err(FeedError::UnknownFeed),
        }
    }

    fn snapshot(&self, _: &PartnerId, feed: &str) -> Result<Snapshot, FeedError> {
        match feed {
            "slots" => Ok(Snapshot { cursor: Position(50), body: Bytes::from_static(b"{\"id\":\"s-1\"}\n") }),
            _ => Err(FeedError::UnknownFeed),
        }
    }

    fn moved(&self, _: &PartnerId, _: &str) -> Option<watch::Receiver<Position>> {
        Some(self.tick.subscribe())
    }

    fn holds(&self, _: &PartnerId, feed: &str) -> Vec<Hold> {
        self.held.lock().unwrap().get(feed).cloned().into_iter().collect()
    }

    fn freshness(&self, _: &PartnerId, _: &str, now: Timestamp) -> Option<Freshness> {
        Some(Freshness { lag_ms: 140, slo_ms: 1_000, as_of: now.plus_ms(-140), full_age_s: 312 })
    }
}

pub struct Bridge {
    pub address: SocketAddr,
    pub asked: Arc<AtomicUsize>,
    pub seen: Arc<Seen>,
    pub evidence: Arc<Evidence>,
    pub intake: Intake,
    pub feeds: Arc<Feeds>,
    pub view: Arc<View>,
    pub clock: Arc<FixedClock>,
    pub partners: Arc<ArcSwap<Partners>>,
    pub stop: CancellationToken,
    pub running: Option<JoinHandle<()>>,
}

impl Drop for Bridge {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

pub fn slot(key: &str, remaining: u32) -> SlotView {
    SlotView {
        key: SlotKey::new(key).unwrap(),
        site: SiteKey::new("11").unwrap(),
        series: SeriesId::new("covid19-1").unwrap(),
        start: Timestamp::parse_rfc3339("2026-12-01T09:10:00+09:00").unwrap(),
        version: SlotVersion(0xab),
        remaining,
        open: true,
        row: Arc::new(Row(Box::new([]))),
        position: Position(5),
    }
}

/// Few, so that a test can fill the queue; with the real desk nothing waits long enough to notice.
const REQUESTS_MAX: usize = 64;

const SLOTS: [&str; 8] = ["1", "full", "closed", "barred", "late", "broken", "hidden", "own"];

pub fn answers(public_url: &str) -> Answers {
    let place =
        Place { problems_url: format!("{public_url}/problems"), help_url: "https://agency.example/help".into() };
    let mapping: Arc<dyn Project> = Arc::new(Mapping);
    let partners = ["naver", "kakao"].map(|p| (PartnerId::new(p).unwrap(), mapping.clone()));
    Answers { place, partners: partners.into() }
}

/// Starts a bridge on a free port of loopback.
pub async fn bridge(change: impl FnOnce(&mut Settings)) -> Bridge {
    start(change, None).await
}

pub async fn start(change: impl FnOnce(&mut Settings), door: Option<Door>) -> Bridge {
    start_over(change, door, scripted).await
}

/// What decides: takes the queue, fills the view, and says where stored replies are.
pub struct CoreParts {
    pub queue: Receiver<Submission>,
    pub view: Arc<View>,
    pub answers: Answers,
    pub asked: Arc<AtomicUsize>,
}

fn scripted(parts: CoreParts) -> Arc<dyn Replies> {
    let CoreParts { queue, view, answers, asked } = parts;
    let slots = SLOTS.map(|key| Touched::Slot(Arc::new(slot(key, 3))));
    let batch = Durable { first: Position(1), last: Position(5), at: NOW, touched: slots.into(), keys: Vec::new() };
    Fill(view.clone()).durable(&Arc::new(batch));
    let kept = Arc::new(Kept::default());
    tokio::spawn(Desk { answers, view, kept: kept.clone(), asked, at: 5 }.run(queue));
    kept
}

pub async fn start_over(
    change: impl FnOnce(&mut Settings),
    door: Option<Door>,
    core: impl FnOnce(CoreParts) -> Arc<dyn Replies>,
) -> Bridge {
    let mut settings = Settings { public_url: "https://bridge.example".into(), ..Settings::default() };
    change(&mut settings);
    let door = match door {
        Some(door) => door,
        None => Door::loopback("127.0.0.1:0".parse().unwrap()).await.unwrap(),
    };
    let address = door.address().unwrap();
    let (intake, queue) = Intake::new(Bounds { requests_max: REQUESTS_MAX, inner_max: 4 });
    let view = Arc::new(View::default());
    view.set_mark(PollMark { started_at: NOW.plus_ms(-140), position: Position(5), full_at: NOW.plus_ms(-312_000) });
    let answers = answers(&settings.public_url);
    let asked = Arc::new(AtomicUsize::new(0));
    let clock = Arc::new(FixedClock(AtomicI64::new(NOW.0)));
    let replies = core(CoreParts { queue, view: view.clone(), answers: answers.clone(), asked: asked.clone() });
    let access = |name: &str| Access {
        partner: PartnerId::new(name).unwrap(),
        bearer_sha256: vec![bearer_digest(&format!("test_{name}"))],
        names: vec![format!("urn:slotbridge:partner:{name}")],
        spki_sha256: Vec::new(),
    };
    let partners = Arc::new(ArcSwap::from_pointee(Partners(vec![access("naver"), access("kakao")])));
    let feeds = Arc::new(Feeds { tick: watch::channel(Position(50)).0, held: Mutex::default() });
    let (seen, evidence) = (Arc::new(Seen::default()), Arc::new(Evidence::default()));
    let api = Api::new(Parts {
        settings,
        view: view.clone(),
        intake: intake.clone(),
        feeds: feeds.clone(),
        replies,
        answers: Arc::new(ArcSwap::from_pointee(answers)),
        macs: Macs::new(&Secret::new(vec![1; 32])),
        tokens: Arc::new(Tokens),
        evidence: evidence.clone(),
        health: seen.clone(),
        clock: clock.clone(),
        partners: partners.clone(),
    });
    let stop = CancellationToken::new();
    let running = Some(tokio::spawn(run(api, vec![door], stop.clone())));
    Bridge { address, asked, seen, evidence, intake, feeds, view, clock, partners, stop, running }
}

fn text_of(body: &Bytes) -> &str {
    std::str::from_utf8(body).unwrap()
}

/// Answers as the slot's name says; a real reply is stored and made visible before it is sent.
struct Desk {
    answers: Answers,
    view: Arc<View>,
    kept: Arc<Kept>,
    asked: Arc<AtomicUsize>,
    at: u64,
}

impl Desk {
    async fn run(mut self, mut queue: Receiver<Submission>) {
        // Requests that are never answered; dropping them would say that the desk stopped.
        let mut held = Vec::new();
        while let Some(submission) = queue.recv().await {
            self.asked.fetch_add(1, Ordering::SeqCst);
            let Event::Request { partner, ask, .. } = submission.event else { continue };
            let answer = match &ask {
                Ask::Book(ask) if ask.slot.as_str() == "late" => {
                    held.push(submission.answer);
                    continue;
                }
                Ask::Book(ask) if ask.slot.as_str() == "broken" => Answer::NotDurable,
                Ask::Book(ask) => self.book(&partner, ask),
                Ask::Cancel { booking, if_match } => self.cancel(&partner, *booking, if_match.as_deref()),
                Ask::Token(_) => self.reply(&partner, &Outcome::TokenGiven, None, None),
            };
            let _ = submission.answer.expect("a request waits").send(answer);
        }
    }

    fn book(&mut self, partner: &PartnerId, ask: &BookAsk) -> Answer {
        let age_ms = NOW.since_ms(ask.first_sent_at);
        let refusal = match ask.slot.as_str() {
            _ if !(-60_000..=86_400_000).contains(&age_ms) => Some(Refusal::RequestTooOld),
            "full" => Some(Refusal::SlotFull),
            "closed" => Some(Refusal::SlotClosed),
            "barred" => Some(Refusal::NotBookable),
            "own" => Some(Refusal::PersonAlreadyBooked),
            _ => None,
        };
        self.at += 1;
        let position = Position(self.at);
        let known = |accepted| KnownKey { key: ask.key, body: ask.body, entry: position, at: NOW, accepted };
        let Some(code) = refusal else {
            let booking = BookingView {
                id: BookingId(position),
                partner: partner.clone(),
                person: PersonNo(7),
                series: ask.series.clone(),
                slot: ask.slot.clone(),
                slot_version: SlotVersion(0xab),
                status: BookingStatus::Booked,
                sync: Written::Queued,
                legacy_ref: None,
                partner_ref: ask.partner_ref.clone(),
                reason: None,
                booked_at: NOW,
                changed_at: NOW,
                position,
            };
            let slot = Arc::new(SlotView { position, remaining: 2, ..slot(ask.slot.as_str(), 2) });
            let outcome = Outcome::Booked { booking: booking.clone(), slot };
            return self.reply(partner, &outcome, Some(known(true)), Some(booking));
        };
        let is_about_slot = !matches!(code, Refusal::NotBookable | Refusal::RequestTooOld);
        let near = Alternative { slot: Arc::new(slot("1", 3)), distance_m: Some(120), place: None };
        let hidden = Alternative { slot: Arc::new(slot("hidden", 3)), distance_m: Some(1), place: None };
        let refused = Refused {
            code,
            slot: is_about_slot.then(|| Arc::new(slot(ask.slot.as_str(), 0))),
            seen_age_ms: ask.seen_cursor.map(|_| 412),
            retry_after_ms: (code == Refusal::SlotFull).then_some(800),
            opens_at: None,
            own_booking: (code == Refusal::PersonAlreadyBooked).then_some(BookingId(Position(771))),
            alternatives: if code == Refusal::SlotFull { vec![hidden, near] } else { Vec::new() },
        };
        let known = code.is_remembered().then(|| known(false));
        self.reply(partner, &Outcome::Refused(refused), known, None)
    }

    fn cancel(&mut self, partner: &PartnerId, id: BookingId, if_match: Option<&str>) -> Answer {
        let refused = |code| {
            let (slot, alternatives) = (None, Vec::new());
            let (seen_age_ms, retry_after_ms, opens_at, own_booking) = (None, None, None, None);
            Outcome::Refused(Refused { code, slot, seen_age_ms, retry_after_ms, opens_at, own_booking, alternatives })
        };
        let Some(booking) = self.view.booking(partner, id) else {
            return self.reply(partner, &refused(Refusal::UnknownBooking), None, None);
        };
        if if_match.is_some_and(|tag| tag != booking.etag()) {
            return self.reply(partner, &refused(Refusal::PreconditionFailed), None, None);
        }
        let mut booking = BookingView::clone(&booking);
        if booking.status == BookingStatus::Booked {
            self.at += 1;
            booking.status = BookingStatus::Cancelled;
            booking.sync = Written::None;
            booking.reason = Some(EndReason::PartnerCancelled);
            booking.position = Position(self.at);
        }
        self.reply(partner, &Outcome::Cancelled { booking: booking.clone() }, None, Some(booking))
    }

    fn reply(
        &mut self,
        partner: &PartnerId,
        outcome: &Outcome,
        known: Option<KnownKey>,
        booking: Option<BookingView>,
    ) -> Answer {
        let rendered = self.answers.render(partner, outcome);
        let (status, body) = (rendered.status, rendered.body);
        let durable = Position(self.at);
        if let Some(known) = known {
            let stored = StoredReply { entry: known.entry, status, body: body.clone() };
            self.kept.0.lock().unwrap().insert(known.entry, stored);
            if text_of(&body).contains("slot_closed") {
                // As if the refusal were older than the ledger keeps it.
                self.kept.0.lock().unwrap().remove(&known.entry);
            }
        }
        let touched = booking.map(|b| Touched::Booking(Arc::new(b))).into_iter().collect();
        let keys = known.into_iter().collect();
        let batch = Durable { first: durable, last: durable, at: NOW, touched, keys };
        Fill(self.view.clone()).durable(&Arc::new(batch));
        Answer::Reply { status, body, entry: known.map(|k| k.entry), durable, replay_of: None }
    }
}
