//! The last look at what is about to leave: typed values against shapes of personal data and canaries, and what was
//! rendered of them against the approved set of fields (rules L801 to L803).
//!
//! Owns the expectation: which fields, in which order, of which JSON type, null or not, and out of which set where it
//! is closed. It is derived from the approved closure alone, by other code than the one that renders, so that a defect
//! there is not repeated here. Does not stop anything: whoever emits asks, and emits nothing after a `Hit`.
//!
//! Invariants: a hit names a rule and a declared field, never a value, and never a name that the closure does not have;
//! nothing here allocates for a record that passes, except to read the day of a rounded time.
//!
//! Exempt from the shapes of personal data: closed sets, which were read when they were approved; what the bridge makes
//! up itself (numbers of bookings, codes of states, cursors), which would only ever be a false alarm; and the partner's
//! own reference, which its one reader wrote and the intake has judged. Nothing is exempt from canaries but numbers.

use std::sync::Arc;

use serde_json::Value as Json;

use crate::domain::time::HOUR_MS;
use crate::domain::{PartnerId, Timestamp};
use crate::mapping::pattern::{self, Pattern};
use crate::mapping::policy::GuardLimits;
use crate::mapping::{FeedKind, Op};

pub use super::canaries::{BadCanary, CANARIES_MAX, CANARY_BYTES_MIN, Canaries};
use super::expected::{Expected, Look, Shape, look};
use super::guard_bytes;
use super::{Closure, Record};

/// Field of a hit that is about no field of the mapping.
const ALL_FIELDS: &str = "*";

/// What was broken. Row jumps are the publisher's to notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GuardRule {
    /// L801: a value shaped like personal data.
    Pattern,
    /// L802: a text that was planted where nobody publishes from.
    Canary,
    /// L803: not the approved fields.
    Schema,
    /// L804: far more or fewer rows than before.
    RowJump,
}

impl GuardRule {
    pub const ALL: [GuardRule; 4] = [GuardRule::Pattern, GuardRule::Canary, GuardRule::Schema, GuardRule::RowJump];

    /// The linter's id, also the label of the metric.
    pub fn id(self) -> &'static str {
        match self {
            GuardRule::Pattern => "L801",
            GuardRule::Canary => "L802",
            GuardRule::Schema => "L803",
            GuardRule::RowJump => "L804",
        }
    }
}

/// Something that must not leave was about to. Holds no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: field {field}: {what}", rule.id())]
pub struct Hit {
    pub rule: GuardRule,
    /// A declared field, `id`, or `*`.
    pub field: Arc<str>,
    pub what: &'static str,
}

/// Is told of every hit, on the thread that was about to emit. Must not wait.
pub trait Alarm: Send + Sync {
    /// `feed` is none where a person token was stopped.
    fn raised(&self, partner: &PartnerId, feed: Option<FeedKind>, hit: &Hit);
}

/// What all guards of a daemon share.
#[derive(Clone, Default)]
pub struct Watch {
    pub canaries: Arc<Canaries>,
    pub alarm: Option<Arc<dyn Alarm>>,
}

/// The expectation of one mapping. Cheap to ask; shared by every route.
#[derive(Clone)]
pub struct Guard {
    partner: PartnerId,
    kind: FeedKind,
    prefix: Arc<str>,
    id_look: Look,
    fields: Arc<[Expected]>,
    limits: GuardLimits,
    watch: Watch,
}

impl Guard {
    /// Of what was approved. `None` where the closure lacks a column or a table that its mapping names.
    pub fn of(closure: &Closure) -> Option<Guard> {
        let mapping = &closure.mapping;
        let published = mapping.fields.iter().filter(|field| field.transform.op() != Op::Drop);
        let fields = published.map(|field| Expected::of(closure, field));
        let id = closure.object.column(mapping.feed.id.source.get_ref())?;
        Some(Guard {
            partner: closure.partner_id().clone(),
            kind: closure.kind(),
            prefix: Arc::from(mapping.feed.id.prefix()),
            id_look: look(closure, id),
            fields: fields.collect::<Option<_>>()?,
            limits: closure.policy.guards.clone(),
            watch: Watch::default(),
        })
    }

    pub fn with_watch(self, watch: Watch) -> Guard {
        Guard { watch, ..self }
    }

    /// As replies are rendered: without person tokens.
    pub fn for_replies(self) -> Guard {
        let fields = self.fields.iter().filter(|field| field.shape != Shape::PersonToken).cloned().collect();
        Guard { fields, ..self }
    }

    pub fn limits(&self) -> &GuardLimits {
        &self.limits
    }

    /// Judges the typed values of a record before they are rendered.
    ///
    /// # Errors
    /// The first thing that must not leave; the alarm was told.
    pub fn record(&self, record: &Record) -> Result<(), Hit> {
        self.told(Some(self.kind), self.look_at(record))
    }

    /// Judges the rendered data of an item: exactly the approved fields, in their order, and nothing else.
    ///
    /// # Errors
    /// As `record`.
    pub fn item(&self, data: &[u8]) -> Result<(), Hit> {
        self.told(Some(self.kind), guard_bytes::object(data, &self.fields).map_err(schema))
    }

    /// Judges an object of an answer: the members in `around` are the bridge's own, the others the approved fields,
    /// without those that `around` names. A member that is no plain value comes as `None`.
    ///
    /// # Errors
    /// As `record`.
    pub fn answer<'m>(
        &self,
        members: impl Iterator<Item = (&'m str, Option<&'m Json>)>,
        around: &[&str],
    ) -> Result<(), Hit> {
        self.told(Some(self.kind), self.members(members, around))
    }

    /// Judges a person token that is about to be given out, and nothing but a token.
    ///
    /// # Errors
    /// As `record`.
    pub fn token(&self, text: &str) -> Result<(), Hit> {
        let broken = || Hit { rule: GuardRule::Schema, field: Arc::from("person"), what: "not a person token" };
        self.told(None, if is_person_token(text) { Ok(()) } else { Err(broken()) })
    }

    fn told(&self, feed: Option<FeedKind>, judged: Result<(), Hit>) -> Result<(), Hit> {
        judged.inspect_err(|hit| {
            if let Some(alarm) = &self.watch.alarm {
                alarm.raised(&self.partner, feed, hit);
            }
        })
    }

    fn look_at(&self, record: &Record) -> Result<(), Hit> {
        self.id(&record.id)?;
        if record.fields.len() != self.fields.len() {
            return Err(schema(None));
        }
        for (expected, (name, value)) in self.fields.iter().zip(&record.fields) {
            if *name != expected.name {
                return Err(schema(Some(expected)));
            }
            self.value(expected, value)?;
        }
        Ok(())
    }

    fn members<'m>(
        &self,
        members: impl Iterator<Item = (&'m str, Option<&'m Json>)>,
        around: &[&str],
    ) -> Result<(), Hit> {
        let mut fields = self.fields.iter().filter(|field| !around.contains(&&*field.name));
        for (name, value) in members {
            if around.contains(&name) {
                match value {
                    Some(Json::Number(number)) if !number.is_f64() => {}
                    Some(Json::String(text)) => self.id(text)?,
                    _ => return Err(schema(None)),
                }
                continue;
            }
            let expected = fields.next().ok_or_else(|| schema(None))?;
            if name != &*expected.name {
                return Err(schema(Some(expected)));
            }
            self.value(expected, value.ok_or_else(|| schema(Some(expected)))?)?;
        }
        match fields.next() {
            None => Ok(()),
            missing => Err(schema(missing)),
        }
    }

    /// A public id: the feed's prefix and what ids are made of.
    fn id(&self, id: &str) -> Result<(), Hit> {
        let field = || Arc::from("id");
        let is_id = |text: &str| {
            (1..=60).contains(&text.len())
                && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
        };
        if !id.strip_prefix(&*self.prefix).is_some_and(is_id) {
            return Err(Hit { rule: GuardRule::Schema, field: field(), what: "not an id of this feed" });
        }
        self.text(id, self.id_look).map_err(|(rule, what)| Hit { rule, field: field(), what })
    }

    fn value(&self, expected: &Expected, value: &Json) -> Result<(), Hit> {
        let found = |(rule, what)| Hit { rule, field: expected.name.clone(), what };
        let fits = match value {
            Json::Null => expected.may_be_null,
            Json::String(text) if expected.small.contains(&&**text) => true,
            value => match (&expected.shape, value) {
                (Shape::Exact(only, _), value) => value == only,
                (Shape::Text { prefix, look }, Json::String(text)) => {
                    self.text(text, *look).map_err(found)?;
                    text.len() <= pattern::TEXT_BYTES_MAX && text.starts_with(&**prefix)
                }
                (Shape::Whole { step, low, high, look }, Json::Number(number)) => match number.as_i64() {
                    Some(whole) => {
                        no_personal_number(whole, *look).map_err(found)?;
                        (low..=high).contains(&&whole) && whole.rem_euclid(*step) == 0
                    }
                    None => false,
                },
                (Shape::Decimal, Json::Number(number)) => {
                    let whole = number.as_f64().filter(|n| n.fract() == 0.0 && n.abs() < 9e15);
                    no_personal_number(whole.map_or(0, |n| n as i64), Look::All).map_err(found)?;
                    true
                }
                (shape, Json::String(text)) => text_fits(shape, text),
                _ => false,
            },
        };
        if fits { Ok(()) } else { Err(schema(Some(expected))) }
    }

    fn text(&self, text: &str, look: Look) -> Result<(), Broken> {
        if self.watch.canaries.is_in(text) {
            return Err((GuardRule::Canary, "holds a canary"));
        }
        match look {
            Look::None => Ok(()),
            Look::All => pattern::first(text).map_or(Ok(()), |found| Err(shaped(found))),
            Look::SitePhone => {
                let found = pattern::find(text).into_iter().find(|found| found.pattern != Pattern::Telephone);
                found.map_or(Ok(()), |found| Err(shaped(found.pattern)))
            }
        }
    }
}

/// Texts of closed shapes, which need no search: they cannot hold anything else.
fn text_fits(shape: &Shape, text: &str) -> bool {
    match shape {
        Shape::Word => !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'),
        Shape::OneOf(set) => set.binary_search_by(|(known, _)| (**known).cmp(text)).is_ok(),
        Shape::Instant { step_ms } => is_instant(text.as_bytes()) && (*step_ms <= 1 || is_step(text, *step_ms)),
        Shape::Hex(digits) => {
            text.len() == *digits && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        }
        Shape::PersonToken => is_person_token(text),
        Shape::Exact(..) | Shape::Text { .. } | Shape::Whole { .. } | Shape::Decimal => false,
    }
}

fn schema(expected: Option<&Expected>) -> Hit {
    let field = expected.map_or_else(|| Arc::from(ALL_FIELDS), |expected| expected.name.clone());
    Hit { rule: GuardRule::Schema, field, what: "not as approved" }
}

/// A rule and what breaks it.
type Broken = (GuardRule, &'static str);

fn shaped(pattern: Pattern) -> Broken {
    let what = match pattern {
        Pattern::ResidentNumber => "is shaped like a resident registration number",
        Pattern::DriverLicence => "is shaped like a driver's licence number",
        Pattern::Mobile => "is shaped like a mobile number",
        Pattern::Telephone => "is shaped like a telephone number",
        Pattern::Email => "is shaped like an e-mail address",
        Pattern::Ci => "is shaped like a CI",
        Pattern::Di => "is shaped like a DI",
        Pattern::Card => "is shaped like a card number",
    };
    (GuardRule::Pattern, what)
}

fn no_personal_number(number: i64, look: Look) -> Result<(), Broken> {
    if look == Look::None || number.unsigned_abs() < 100_000_000_000 {
        return Ok(());
    }
    pattern::in_number(number).map_or(Ok(()), |found| Err(shaped(found)))
}

/// `2026-12-01T09:10:00+09:00`, or with milliseconds.
pub(super) fn is_instant(text: &[u8]) -> bool {
    const FORM: &[u8] = b"0000-00-00T00:00:00";
    let (at, rest) = text.split_at(text.len().min(FORM.len()));
    let fits = |form: &[u8], text: &[u8]| {
        form.len() == text.len()
            && form.iter().zip(text).all(|(f, b)| if *f == b'0' { b.is_ascii_digit() } else { f == b })
    };
    let zone = rest.strip_suffix(b"+09:00");
    fits(FORM, at) && zone.is_some_and(|ms| ms.is_empty() || fits(b".000", ms))
}

fn is_step(text: &str, step_ms: i64) -> bool {
    let at = Timestamp::parse_rfc3339(text);
    at.is_ok_and(|at| at.0.saturating_add(9 * HOUR_MS).rem_euclid(step_ms) == 0)
}

/// `pp1.<partner>.<purpose>.<epoch>.<32 characters of base64url>`, or `ppt1.`: eight bytes under a key and nothing else.
fn is_person_token(text: &str) -> bool {
    let mut parts = text.split('.');
    let mut next = || parts.next().unwrap_or_default();
    let (kind, partner, purpose, epoch, sealed) = (next(), next(), next(), next(), next());
    let is_name = |text: &str| {
        (1..=32).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-'))
    };
    matches!(kind, "pp1" | "ppt1")
        && is_name(partner)
        && is_name(purpose)
        && (1..=10).contains(&epoch.len())
        && epoch.bytes().all(|b| b.is_ascii_digit())
        && sealed.len() == 32
        && sealed.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
        && parts.next().is_none()
}
