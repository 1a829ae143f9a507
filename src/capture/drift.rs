//! Is the interface view still as the catalogue declares it? If not, its object is halted, and nothing else.
//!
//! Invariants: a halted object is not polled by any lane, its cut group with it, and what was published of it stays;
//! a halt ends by itself when the columns fit again.

use std::time::{Duration, Instant};

use super::{Capture, CaptureError, locked};
use crate::domain::ObjectName;
use crate::legacy::{LegacyErrorKind, LegacyRead};
use crate::mapping::{ColumnType, Layout};

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

/// The first difference between what a layout declares and what the dictionary says. Names and types only.
pub fn drift(layout: &Layout, live: &[(String, String)]) -> Option<String> {
    if live.is_empty() {
        return Some(format!("there is no view {}", layout.view));
    }
    for column in &layout.columns {
        let Some((_, stated)) = live.iter().find(|(name, _)| name.eq_ignore_ascii_case(&column.name)) else {
            return Some(format!("{} has no column {}", layout.view, column.name));
        };
        if !fits(column.kind, stated) {
            let declared = format!("{:?}", column.kind).to_lowercase();
            return Some(format!("{}.{} is declared {declared} and is {stated}", layout.view, column.name));
        }
    }
    None
}

/// By families of types. A number is read as a text where the catalogue wants one; nothing else changes its family.
/// A type that is not stated (an expression of the embedded system) and its untyped TEXT fit everything.
fn fits(kind: ColumnType, stated: &str) -> bool {
    let stated = stated.to_ascii_uppercase();
    let is = |names: &[&str]| names.iter().any(|name| stated.starts_with(name));
    if stated.is_empty() || stated == "TEXT" {
        return true;
    }
    let is_number =
        is(&["NUMBER", "INT", "FLOAT", "REAL", "DEC", "NUMERIC", "BINARY_FLOAT", "BINARY_DOUBLE", "SMALLINT"]);
    match kind {
        ColumnType::Text => is_number || is(&["VARCHAR", "NVARCHAR", "CHAR", "NCHAR"]),
        ColumnType::Integer | ColumnType::Decimal => is_number,
        ColumnType::Time => is(&["DATE", "TIMESTAMP"]),
    }
}

impl Capture {
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
                    if let Some(why) = drift(&plan.layout, &live) {
                        return Ok(Some(why));
                    }
                }
                Err(error) if error.kind == LegacyErrorKind::Schema => return Ok(Some(error.to_string())),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_compared_by_family() {
        use ColumnType::{Decimal, Integer, Text, Time};
        for (kind, stated, is_fit) in [
            (Text, "VARCHAR2(60)", true),
            (Text, "CHAR", true),
            (Text, "NUMBER", true),
            (Text, "DATE", false),
            (Text, "BLOB", false),
            (Integer, "NUMBER(6)", true),
            (Integer, "VARCHAR2", false),
            (Decimal, "BINARY_DOUBLE", true),
            (Decimal, "CLOB", false),
            (Time, "DATE", true),
            (Time, "TIMESTAMP(6)", true),
            (Time, "NUMBER", false),
            (Time, "TEXT", true),
            (Integer, "", true),
        ] {
            assert_eq!(fits(kind, stated), is_fit, "{kind:?} of {stated}");
        }
    }
}
