//! A mapping compiled against the layout of its object: column names are indexes, tables are maps.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value as Json;

use crate::domain::{ObjectName, PartnerId, PersonRef, SlotKey, Timestamp, Value, time::MINUTE_MS};
use crate::mapping::catalogue::Derived;
use crate::mapping::transform::{Scalar, TokenScope};
use crate::mapping::{Class, ColumnType, FeedKind, FeedMapping, Layout, MappingSet, Object, Role, Transform};

use super::transform::{
    bucket, by_table, is_mobile, keep, number, plain, round_num, round_time, time, top_bottom, whole,
};
use super::{AssignToken, Closure, Guard, Issue, IssueKind, Record, Seal, Subject, Watch, digest};

/// Longest public id without its prefix, as of keys.
const KEY_MAX: usize = 60;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    #[error("{partner} has no active {feed} mapping")]
    NoMapping { partner: PartnerId, feed: &'static str },
    #[error("{mapping}: {part} does not stand in the catalogue or the tables")]
    Missing { mapping: String, part: String },
}

/// Who assigns numbers. Without a port, fields that need it are issues.
#[derive(Clone, Default)]
pub struct Ports {
    pub seal: Option<Arc<dyn Seal>>,
    pub tokens: Option<Arc<dyn AssignToken>>,
    /// Canaries and alarm of the projectors' guards.
    pub watch: Watch,
}

/// One partner's view of one object. Cheap to share; holds no data.
pub struct Projector {
    partner: PartnerId,
    kind: FeedKind,
    object: ObjectName,
    mapping_id: Arc<str>,
    mapping_version: u32,
    content_digest: Arc<str>,
    approval_digest: Arc<str>,
    tick_ms: u32,
    cutoff_ms: Option<i64>,
    retention_days: u32,
    partner_retention_days: u32,
    purpose: Arc<str>,
    prefix: Arc<str>,
    id: Read,
    filters: Vec<(Arc<str>, Read, Vec<Arc<str>>)>,
    fields: Vec<FieldPlan>,
    small: Option<Small>,
    ports: Ports,
    guard: Arc<Guard>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Read {
    At(usize),
    Derived(Derived),
}

struct FieldPlan {
    name: Arc<str>,
    /// `None` for a constant.
    read: Option<Read>,
    kind: ColumnType,
    class: Class,
    /// Scope of assigned numbers.
    scope: Arc<str>,
    step: Step,
}

enum Step {
    Const(Json),
    Keep(Arc<str>),
    Table(BTreeMap<Arc<str>, Arc<str>>),
    Bucket(Vec<i64>, Vec<Arc<str>>),
    RoundTime(i64),
    RoundNum(i64),
    TopBottom(i64, i64),
    TokenRandom(u32),
    PersonToken,
}

/// Slots of few places tell only whether they are bookable.
struct Small {
    capacity_at: usize,
    capacity_max: i64,
    tick_ms: u32,
}

impl Projector {
    /// Compiles the active mapping of a partner and kind. Add `with_ports` where fields need assigned numbers.
    pub fn compile(set: &MappingSet, partner: &PartnerId, kind: FeedKind) -> Result<Projector, CompileError> {
        let mapping = set
            .feed(partner, kind)
            .ok_or_else(|| CompileError::NoMapping { partner: partner.clone(), feed: kind.code() })?;
        let compiler = Compiler::new(set, partner, mapping)?;
        let closure = Closure::of(set, partner, kind).ok_or_else(|| missing(mapping, "a closure"))?;
        let guard = Guard::of(&closure).ok_or_else(|| missing(mapping, "what the guard expects"))?;
        let role = set.partner(partner).map(|p| p.role);
        let rule = &set.policy().small_slots;
        let exempt = role.is_some_and(|role| rule.exempt_roles.contains(&role));
        let capacity_at = compiler.layout.as_ref().and_then(|l| l.at_role(Role::Capacity));
        let small = match capacity_at {
            Some(capacity_at) if kind == FeedKind::Slots && !exempt && rule.capacity_max > 0 => {
                Some(Small { capacity_at, capacity_max: i64::from(rule.capacity_max), tick_ms: rule.tick_ms })
            }
            _ => None,
        };
        let filters = mapping.filters.iter().map(|filter| {
            let name = filter.column.get_ref();
            let allowed = filter.allowed().into_iter().map(Arc::from).collect();
            Ok((Arc::from(name.as_str()), compiler.read(name)?, allowed))
        });
        let published = mapping.fields.iter().filter(|f| f.transform.op() != crate::mapping::Op::Drop);
        Ok(Projector {
            partner: partner.clone(),
            kind,
            object: mapping.source.object.get_ref().clone(),
            mapping_id: Arc::from(mapping.id.get_ref().as_str()),
            mapping_version: mapping.version,
            content_digest: Arc::from(digest::content_digest(set, partner, mapping, small.is_some())),
            approval_digest: Arc::from(closure.digest()),
            tick_ms: *mapping.feed.tick_ms.get_ref(),
            cutoff_ms: mapping.feed.cutoff_min.as_ref().map(|min| i64::from(*min.get_ref()) * MINUTE_MS),
            retention_days: mapping.retention.bridge_max.get_ref().0,
            partner_retention_days: mapping.retention.partner_max.get_ref().0,
            purpose: Arc::from(mapping.purpose.code.get_ref().as_str()),
            prefix: Arc::from(mapping.feed.id.prefix()),
            id: compiler.read(mapping.feed.id.source.get_ref())?,
            filters: filters.collect::<Result<_, CompileError>>()?,
            fields: published.map(|field| compiler.field(field)).collect::<Result<_, _>>()?,
            small,
            ports: Ports::default(),
            guard: Arc::new(guard),
        })
    }

    pub fn with_ports(self, ports: Ports) -> Projector {
        let guard = Arc::new(Guard::clone(&self.guard).with_watch(ports.watch.clone()));
        Projector { ports, guard, ..self }
    }

    /// The mapping for replies, which are stored for ever: without its person tokens, which must not be.
    pub fn for_replies(self) -> Projector {
        let fields = self.fields.into_iter().filter(|field| !matches!(field.step, Step::PersonToken)).collect();
        let guard = Arc::new(Guard::clone(&self.guard).for_replies());
        Projector { fields, ports: Ports { seal: None, ..self.ports }, guard, ..self }
    }

    /// What judges the records before they leave.
    pub fn guard(&self) -> &Arc<Guard> {
        &self.guard
    }

    pub fn partner(&self) -> &PartnerId {
        &self.partner
    }

    pub fn kind(&self) -> FeedKind {
        self.kind
    }

    pub fn object(&self) -> &ObjectName {
        &self.object
    }

    pub fn mapping_id(&self) -> &str {
        &self.mapping_id
    }

    pub fn mapping_version(&self) -> u32 {
        self.mapping_version
    }

    /// Hex SHA-256. Projectors of the same digest give the same bytes of the same data.
    pub fn content_digest(&self) -> &str {
        &self.content_digest
    }

    /// Hex SHA-256 over everything that an approval covers.
    pub fn approval_digest(&self) -> &str {
        &self.approval_digest
    }

    pub fn tick_ms(&self) -> u32 {
        self.tick_ms
    }

    /// How often a change of this subject may be published: small slots wait longer.
    pub fn tick_ms_of(&self, subject: Subject<'_>) -> u32 {
        match &self.small {
            Some(small) if self.is_small(subject) => small.tick_ms.max(self.tick_ms),
            _ => self.tick_ms,
        }
    }

    /// How long the bridge keeps tombstones.
    pub fn retention_days(&self) -> u32 {
        self.retention_days
    }

    /// How long the partner may keep an item.
    pub fn partner_retention_days(&self) -> u32 {
        self.partner_retention_days
    }

    /// The public id of a key of this feed's object.
    pub fn public_id(&self, key: &SlotKey) -> String {
        format!("{}{key}", self.prefix)
    }

    /// The slot that a partner names by a public id.
    pub fn slot_key(&self, public_id: &str) -> Option<SlotKey> {
        SlotKey::new(public_id.strip_prefix(&*self.prefix)?).ok()
    }

    /// When a slot leaves the feed because its start is near.
    pub fn leaves_at(&self, subject: Subject<'_>) -> Option<Timestamp> {
        match subject {
            Subject::Slot(slot) => self.cutoff_ms.map(|ms| slot.start.plus_ms(-ms)),
            _ => None,
        }
    }

    /// Is the slot one of so few places that its number is not told?
    pub fn is_small(&self, subject: Subject<'_>) -> bool {
        match (&self.small, subject) {
            (Some(small), Subject::Slot(slot)) => {
                slot.row.get(small.capacity_at).as_int().is_none_or(|capacity| capacity <= small.capacity_max)
            }
            _ => false,
        }
    }

    /// What the partner sees of the subject. `None`: the filters leave it out, or it is past its cutoff.
    ///
    /// # Errors
    /// A value that a transform cannot handle; nothing of the subject may be published then.
    pub fn record(&self, subject: Subject<'_>, now: Timestamp) -> Result<Option<Record>, Issue> {
        if self.leaves_at(subject).is_some_and(|at| now >= at) {
            return Ok(None);
        }
        for (column, read, allowed) in &self.filters {
            let value = self.value(*read, subject).map_err(|kind| issue(column, kind))?;
            if !plain(&value).is_some_and(|text| allowed.contains(&text)) {
                return Ok(None);
            }
        }
        let id_field: Arc<str> = Arc::from("id");
        let id = self.value(self.id, subject).and_then(|v| self.id_text(&v)).map_err(|kind| issue(&id_field, kind))?;
        let mut fields = Vec::with_capacity(self.fields.len());
        for field in &self.fields {
            let value = self.field(field, subject).map_err(|kind| issue(&field.name, kind))?;
            fields.push((field.name.clone(), value));
        }
        Ok(Some(Record { id, fields }))
    }

    fn id_text(&self, value: &Value) -> Result<Arc<str>, IssueKind> {
        let Value::Text(key) = value else { return Err(IssueKind::BadKey) };
        let fits = !key.is_empty()
            && key.len() <= KEY_MAX
            && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-');
        if !fits {
            return Err(IssueKind::BadKey);
        }
        Ok(if self.prefix.is_empty() { key.clone() } else { Arc::from(format!("{}{key}", self.prefix)) })
    }

    fn field(&self, field: &FieldPlan, subject: Subject<'_>) -> Result<Json, IssueKind> {
        let read = match (&field.step, field.read) {
            (Step::Const(value), _) => return Ok(value.clone()),
            (_, None) => return Err(IssueKind::WrongSubject),
            (_, Some(read)) => read,
        };
        if matches!(field.step, Step::PersonToken) {
            return self.person_token(subject);
        }
        let value = self.value(read, subject)?;
        if read == Read::Derived(Derived::Free) && self.is_small(subject) {
            return Ok(Json::from(if whole(&value)? > 0 { "1+" } else { "0" }));
        }
        if matches!(*value, Value::Null) {
            return Ok(Json::Null);
        }
        if field.class == Class::OrgPublic && value.as_text().is_some_and(is_mobile) {
            return Err(IssueKind::MobileNumber);
        }
        match &field.step {
            Step::Const(_) | Step::PersonToken => Err(IssueKind::WrongSubject),
            Step::Keep(prefix) => keep(&value, field.kind, prefix),
            Step::Table(pairs) => by_table(&value, pairs),
            Step::Bucket(edges, labels) => {
                bucket(whole(&value)?, edges, labels).map(|l| Json::from(&**l)).ok_or(IssueKind::OutOfRange)
            }
            Step::RoundTime(step) => Ok(Json::from(round_time(time(&value)?, *step).rfc3339())),
            Step::RoundNum(step) => number(round_num(whole(&value)?, *step)),
            Step::TopBottom(low, high) => number(top_bottom(whole(&value)?, *low, *high)),
            Step::TokenRandom(bits) => {
                let text = plain(&value).ok_or(IssueKind::WrongType)?;
                let tokens = self.ports.tokens.as_ref().ok_or(IssueKind::Port)?;
                tokens.assigned(&field.scope, &text, *bits).map(Json::from).map_err(|_| IssueKind::Port)
            }
        }
    }

    fn person_token(&self, subject: Subject<'_>) -> Result<Json, IssueKind> {
        let Subject::Booking(booking) = subject else { return Err(IssueKind::WrongSubject) };
        let seal = self.ports.seal.as_ref().ok_or(IssueKind::Port)?;
        let token = seal.seal(&self.partner, &self.purpose, PersonRef::Known(booking.person));
        token.map(Json::from).map_err(|_| IssueKind::Port)
    }

    fn value<'s>(&self, read: Read, subject: Subject<'s>) -> Result<Cow<'s, Value>, IssueKind> {
        match (read, subject) {
            (Read::At(at), Subject::Slot(slot)) => Ok(Cow::Borrowed(slot.row.get(at))),
            (Read::At(at), Subject::Item { row, .. }) => Ok(Cow::Borrowed(row.get(at))),
            (Read::Derived(derived), subject) => derived_value(derived, subject).map(Cow::Owned),
            (Read::At(_), Subject::Booking(_)) => Err(IssueKind::WrongSubject),
        }
    }
}

fn issue(field: &Arc<str>, kind: IssueKind) -> Issue {
    Issue { field: field.clone(), kind }
}

fn derived_value(derived: Derived, subject: Subject<'_>) -> Result<Value, IssueKind> {
    let optional = |text: Option<&str>| text.map_or(Value::Null, Value::text);
    match subject {
        Subject::Slot(slot) => {
            let free = if slot.open { slot.remaining } else { 0 };
            match derived {
                Derived::Free => Ok(Value::Int(i64::from(free))),
                Derived::Bookable => Ok(Value::text(if free > 0 { "Y" } else { "N" })),
                Derived::SlotVersion => Ok(Value::text(&format!("{:08x}", slot.version.0))),
                _ => Err(IssueKind::WrongSubject),
            }
        }
        Subject::Booking(b) => Ok(match derived {
            Derived::BookingId => Value::text(&b.id.to_string()),
            Derived::BookingStatus => Value::text(b.status.code()),
            Derived::BookingSync => Value::text(b.sync.code()),
            Derived::BookingSlot => Value::text(b.slot.as_str()),
            Derived::BookingSeries => Value::text(b.series.as_str()),
            Derived::BookingSlotVersion => Value::text(&format!("{:08x}", b.slot_version.0)),
            Derived::PartnerRef => optional(b.partner_ref.as_deref()),
            Derived::LegacyRef => optional(b.legacy_ref.as_deref()),
            Derived::EndReason => optional(b.reason.map(|r| r.public_code())),
            Derived::BookedAt => Value::Time(b.booked_at),
            Derived::ChangedAt => Value::Time(b.changed_at),
            Derived::CommittedCursor => Value::Int(i64::try_from(b.position.0).unwrap_or(i64::MAX)),
            Derived::BookingPerson | Derived::Free | Derived::Bookable | Derived::SlotVersion => {
                return Err(IssueKind::WrongSubject);
            }
        }),
        Subject::Item { .. } => Err(IssueKind::WrongSubject),
    }
}

struct Compiler<'a> {
    set: &'a MappingSet,
    partner: &'a PartnerId,
    mapping: &'a FeedMapping,
    object: &'a Object,
    /// `None` for objects that only the desk knows.
    layout: Option<Layout>,
}

impl<'a> Compiler<'a> {
    fn new(set: &'a MappingSet, partner: &'a PartnerId, mapping: &'a FeedMapping) -> Result<Self, CompileError> {
        let name = mapping.source.object.get_ref().as_str();
        let object = set.catalogue().object(name).ok_or_else(|| missing(mapping, name))?;
        Ok(Compiler { set, partner, mapping, object, layout: set.layout(name) })
    }

    fn read(&self, column: &str) -> Result<Read, CompileError> {
        let missing = || missing(self.mapping, column);
        let declared = self.object.column(column).ok_or_else(missing)?;
        if declared.derived {
            let (derived, _) = Derived::find(self.object.name.as_str(), column).ok_or_else(missing)?;
            return Ok(Read::Derived(derived));
        }
        self.layout.as_ref().and_then(|l| l.at_name(column)).map(Read::At).ok_or_else(missing)
    }

    fn field(&self, field: &crate::mapping::feed_mapping::Field) -> Result<FieldPlan, CompileError> {
        let name = field.name.get_ref().as_str();
        let meaning = field.transform.meaning().map_err(|_| missing(self.mapping, name))?;
        let source = field.source.as_ref().map(|s| s.get_ref().as_str());
        let column = source.and_then(|s| self.object.column(s));
        let mut scope = format!("*/{}.{}", self.object.name, source.unwrap_or_default());
        let pairs = self.set.pairs(&meaning);
        let step = match meaning {
            Transform::Drop => return Err(missing(self.mapping, name)),
            Transform::Const { value } => Step::Const(match value {
                Scalar::Bool(b) => Json::from(b),
                Scalar::Int(n) => Json::from(n),
                Scalar::Text(text) => Json::from(text),
            }),
            Transform::Keep { prefix } => Step::Keep(Arc::from(prefix)),
            Transform::Enum { .. } | Transform::Lookup { .. } | Transform::Generalize { .. } => {
                Step::Table(pairs.ok_or_else(|| missing(self.mapping, name))?)
            }
            Transform::Bucket { edges, labels } => {
                Step::Bucket(edges, labels.iter().map(|l| Arc::from(l.as_str())).collect())
            }
            Transform::RoundTime { step_ms } => Step::RoundTime(step_ms),
            Transform::RoundNum { step } => Step::RoundNum(step),
            Transform::TopBottom { low, high } => Step::TopBottom(low, high),
            Transform::TokenRandom { bits, scope: shared } => {
                if shared == TokenScope::Partner {
                    scope = format!("{}{}", self.partner, scope.trim_start_matches('*'));
                }
                Step::TokenRandom(bits)
            }
            Transform::PersonToken => Step::PersonToken,
        };
        Ok(FieldPlan {
            name: Arc::from(name),
            read: source.map(|s| self.read(s)).transpose()?,
            kind: column.map_or(ColumnType::Text, |c| c.kind),
            class: column.map_or(Class::Public, |c| c.class),
            scope: Arc::from(scope),
            step,
        })
    }
}

fn missing(mapping: &FeedMapping, part: &str) -> CompileError {
    CompileError::Missing { mapping: mapping.id.get_ref().clone(), part: part.to_owned() }
}
