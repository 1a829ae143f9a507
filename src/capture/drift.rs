//! Is the interface view still as the catalogue declares it? If not, its object is halted, and nothing else.
//!
//! Two answers, for two purposes. Whether a *fetched* column is gone or of another type decides whether the object can
//! be read at all: if not, it is not polled. Whether *anything* of the view differs, columns included that are never
//! fetched, decides whether its feeds may be published: whoever listens (`watch_columns`) is told, and polling goes on
//! where it can, for the desk's sake.
//!
//! Invariants: a halted object is not polled by any lane, its cut group with it, and what was published of it stays;
//! a halt ends by itself when the columns fit again; no row is read for a comparison.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::{Capture, CaptureError, locked};
use crate::domain::ObjectName;
use crate::legacy::{LegacyErrorKind, LegacyRead};
use crate::mapping::{Layout, Object};

/// From one look at the columns of a halted object to the next.
const RECHECK: Duration = Duration::from_secs(60);
/// A full cut looks at the columns first, unless that was done so lately.
const CHECK: Duration = Duration::from_secs(600);

/// Why an object is not polled, and when its columns are looked at next.
#[derive(Debug, Clone)]
pub(super) struct Halt {
    pub why: String,
    next_check: Instant,
}

/// Told after every look at an object's columns: how they differ from the catalogue, or that they do not.
pub type TellDrift = Box<dyn Fn(&ObjectName, Option<&str>) + Send + Sync>;

/// Whole objects against the dictionary.
#[derive(Default)]
pub(super) struct Watch {
    objects: Vec<Object>,
    tell: Option<TellDrift>,
    /// What the dictionary said last.
    live: BTreeMap<ObjectName, Live>,
    /// Called once each object was looked at, or could not be.
    looked: Option<Box<dyn FnOnce() + Send>>,
}

type Live = Vec<(String, String)>;

impl Watch {
    fn judge(&self, name: &ObjectName) -> Option<String> {
        let object = self.objects.iter().find(|object| object.name == *name)?;
        object.drift(self.live.get(name)?)
    }

    fn tell(&self, name: &ObjectName) {
        if let (Some(tell), true) = (&self.tell, self.live.contains_key(name)) {
            tell(name, self.judge(name).as_deref());
        }
    }
}

/// The first difference between what a layout declares and what the dictionary says. Names and types only.
pub fn drift(layout: &Layout, live: &[(String, String)]) -> Option<String> {
    if live.is_empty() {
        return Some(format!("there is no view {}", layout.view));
    }
    for column in &layout.columns {
        let Some((_, stated)) = live.iter().find(|(name, _)| name.eq_ignore_ascii_case(&column.name)) else {
            return Some(format!("{} has no column {}", layout.view, column.name));
        };
        if !column.kind.fits(stated) {
            let declared = column.kind.code();
            return Some(format!("{}.{} is declared {declared} and is {stated}", layout.view, column.name));
        }
    }
    None
}

impl Capture {
    /// Compares the views of these objects as wholes from the start on and tells of each look. Before `start`.
    /// `looked`: called once, when every object has had its first look or the legacy system could not be reached; what
    /// must not be published over a drifted view waits for it.
    pub fn watch_columns(&self, objects: &[Object], tell: TellDrift, looked: Box<dyn FnOnce() + Send>) {
        let objects: Vec<Object> = objects.iter().filter(|object| object.view.is_some()).cloned().collect();
        *locked(&self.watch) = Watch { objects, tell: Some(tell), live: BTreeMap::new(), looked: Some(looked) };
    }

    /// Another catalogue is in force: what was seen last is compared with it at once.
    pub fn set_catalogue(&self, objects: &[Object]) {
        let mut watch = locked(&self.watch);
        watch.objects = objects.iter().filter(|object| object.view.is_some()).cloned().collect();
        watch.objects.iter().for_each(|object| watch.tell(&object.name));
    }

    pub(super) fn watched(&self) -> Vec<ObjectName> {
        locked(&self.watch).objects.iter().map(|object| object.name.clone()).collect()
    }

    /// Objects whose views differ from the catalogue, and how.
    pub(super) fn drifted(&self) -> BTreeMap<ObjectName, String> {
        let watch = locked(&self.watch);
        let judged = watch.live.keys().map(|name| (name.clone(), watch.judge(name)));
        judged.filter_map(|(name, why)| Some((name, why?))).collect()
    }

    /// Looks at one object's columns and tells. Returns when to look again.
    pub(super) fn look(&self, name: &ObjectName, reader: &mut dyn LegacyRead) -> Result<Duration, CaptureError> {
        let watch = locked(&self.watch);
        let view = watch.objects.iter().find(|object| object.name == *name).and_then(|object| object.view.clone());
        drop(watch);
        let interval = Duration::from_millis(self.settings.columns_interval_ms);
        let Some(view) = view else { return Ok(interval) };
        let live = match reader.columns(&view) {
            Ok(live) => live,
            Err(error) if error.kind == LegacyErrorKind::Schema => Vec::new(),
            Err(error) => return Err(error.into()),
        };
        let is_drifted = self.seen(name, live);
        Ok(if is_drifted { interval.min(RECHECK) } else { interval })
    }

    /// The dictionary says so of an object. Returns whether it differs from the catalogue.
    fn seen(&self, name: &ObjectName, live: Live) -> bool {
        let mut watch = locked(&self.watch);
        watch.live.insert(name.clone(), live);
        watch.tell(name);
        let is_drifted = watch.judge(name).is_some();
        if watch.objects.iter().all(|object| watch.live.contains_key(&object.name)) {
            call(watch.looked.take());
        }
        is_drifted
    }

    /// A look was not possible: who waits for it waits no longer, since nothing can be read either.
    pub(super) fn not_looked(&self) {
        call(locked(&self.watch).looked.take());
    }

    /// The poll of one of the group's objects failed because the view is not as declared.
    pub(super) fn halt(&self, group: &[ObjectName], why: &str, now: Instant) {
        let mut halts = locked(&self.halts);
        let mut first = false;
        for object in group {
            let halt = Halt { why: why.to_owned(), next_check: now + RECHECK };
            first |= halts.insert(object.clone(), halt).is_none();
        }
        drop(halts);
        if first {
            let objects: Vec<&str> = group.iter().map(ObjectName::as_str).collect();
            tracing::error!(
                objects = objects.join(" "),
                why,
                "the legacy views are not as declared; these objects are halted until they are"
            );
        }
    }

    /// When a halted group may be looked at next; `None`: it is not halted, or no longer.
    pub(super) fn halted_until(
        &self,
        group: &[ObjectName],
        reader: &mut dyn LegacyRead,
        now: Instant,
    ) -> Result<Option<Instant>, CaptureError> {
        let next = |halts: &std::collections::BTreeMap<ObjectName, Halt>| {
            group.iter().filter_map(|object| halts.get(object)).map(|halt| halt.next_check).max()
        };
        let mut halts = locked(&self.halts);
        match next(&halts) {
            None => return Ok(None),
            Some(at) if at > now => return Ok(Some(at)),
            Some(_) => {}
        }
        // Before the look, so that other lanes do not look as well.
        for object in group {
            if let Some(halt) = halts.get_mut(object) {
                halt.next_check = now + RECHECK;
            }
        }
        drop(halts);
        if let Some(why) = self.drift_of(group, reader)? {
            self.halt(group, &why, now);
            return Ok(Some(now + RECHECK));
        }
        locked(&self.halts).retain(|object, _| !group.contains(object));
        let objects: Vec<&str> = group.iter().map(ObjectName::as_str).collect();
        tracing::info!(objects = objects.join(" "), "the legacy views fit again; these objects are polled again");
        Ok(None)
    }

    /// Before a full cut. `Some`: the views are not as declared, and the group is halted until then.
    pub(super) fn checked(
        &self,
        group: &[ObjectName],
        reader: &mut dyn LegacyRead,
        now: Instant,
    ) -> Result<Option<Instant>, CaptureError> {
        let is_fresh = |object: &ObjectName| locked(&self.checks).get(object).is_some_and(|at| now < *at + CHECK);
        if group.iter().all(is_fresh) {
            return Ok(None);
        }
        if let Some(why) = self.drift_of(group, reader)? {
            self.halt(group, &why, now);
            return Ok(Some(now + RECHECK));
        }
        locked(&self.checks).extend(group.iter().map(|object| (object.clone(), now)));
        Ok(None)
    }

    fn drift_of(&self, group: &[ObjectName], reader: &mut dyn LegacyRead) -> Result<Option<String>, CaptureError> {
        for plan in self.plans.iter().filter(|plan| group.contains(&plan.layout.object)) {
            match reader.columns(&plan.layout.view) {
                Ok(live) => {
                    self.seen(&plan.layout.object, live.clone());
                    if let Some(why) = drift(&plan.layout, &live) {
                        return Ok(Some(why));
                    }
                }
                Err(error) if error.kind == LegacyErrorKind::Schema => {
                    self.seen(&plan.layout.object, Vec::new());
                    return Ok(Some(error.to_string()));
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(None)
    }
}

fn call(waiting: Option<Box<dyn FnOnce() + Send>>) {
    if let Some(waiting) = waiting {
        waiting();
    }
}
