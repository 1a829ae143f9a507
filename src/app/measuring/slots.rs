//! Slots of few places: how many there are, and that their bytes tell only 예약 가능 / 마감.
//!
//! Judged by the bytes themselves: a small slot is put through the mapping with every number of places that it could
//! have left, and more than two different records tell more than that.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{MeasureFailed, Measuring};
use crate::domain::{PartnerId, Position, Row, SeriesId, SiteKey, SlotKey, SlotVersion, SlotView, Timestamp, Value};
use crate::legacy::LegacyRead;
use crate::mapping::{FeedKind, Layout, MappingSet, Role};
use crate::privacy::risk::SlotRisk;
use crate::privacy::{Projector, Subject};

/// Numbers of places that are tried of a slot whose capacity is not known.
const TRIED_UNKNOWN: u32 = 20;

pub(super) fn measure(
    reader: &mut dyn LegacyRead,
    set: &MappingSet,
    (partner, kind): (&PartnerId, FeedKind),
    measuring: &Measuring,
) -> Result<SlotRisk, MeasureFailed> {
    let Some(mapping) = set.feed(partner, kind) else {
        return Err(MeasureFailed::Shape { mapping: partner.to_string(), what: "it is not there".to_owned() });
    };
    let id = mapping.id.get_ref().clone();
    let projector = Projector::compile(set, partner, kind)
        .map_err(|source| MeasureFailed::Compile { mapping: id.clone(), source })?;
    let layout = set.layout("slot").filter(|layout| layout.at_role(Role::Capacity).is_some());
    let layout = layout.ok_or_else(|| MeasureFailed::Shape {
        mapping: id.clone(),
        what: "the catalogue's slot has no column with the role capacity".to_owned(),
    })?;
    let rule = &set.policy().small_slots;
    let mut risk = SlotRisk {
        mapping: id,
        version: mapping.version,
        capacity_max: rule.capacity_max,
        tick_ms: rule.tick_ms.max(*mapping.feed.tick_ms.get_ref()),
        is_exempt: set.partner(partner).is_some_and(|entry| rule.exempt_roles.contains(&entry.role)),
        ..SlotRisk::default()
    };
    reader.cut(&[&layout], &mut |_, values| {
        count(&mut risk, &projector, &layout, values, measuring.now);
        Ok(())
    })?;
    Ok(risk)
}

/// Rows that capture could not use either are passed over: they are in no feed.
fn count(risk: &mut SlotRisk, projector: &Projector, layout: &Layout, values: Vec<Value>, now: Timestamp) {
    let Some(mut slot) = view(layout, values) else { return };
    let capacity = layout.at_role(Role::Capacity).map(|at| slot.row.get(at)).and_then(Value::as_int);
    let Ok(Some(first)) = projector.record(Subject::Slot(&slot), now) else { return };
    risk.slots += 1;
    if capacity.is_some_and(|capacity| capacity > i64::from(risk.capacity_max)) {
        return;
    }
    risk.small += 1;
    let most = capacity.map_or(TRIED_UNKNOWN, |capacity| u32::try_from(capacity).unwrap_or(0));
    let mut told = BTreeSet::from([first.to_json()]);
    for remaining in 0..=most {
        slot.remaining = remaining;
        if let Ok(Some(record)) = projector.record(Subject::Slot(&slot), now) {
            told.insert(record.to_json());
        }
    }
    risk.telling += u64::from(told.len() > 2);
}

fn view(layout: &Layout, values: Vec<Value>) -> Option<SlotView> {
    let row = Row(values.into_boxed_slice());
    let of = |role| layout.at_role(role).map(|at| row.get(at));
    let (key, site) = (of(Role::Key)?.as_text()?, of(Role::Site)?.as_text()?);
    let (series, start) = (of(Role::Series)?.as_text()?, of(Role::Start)?.as_time()?);
    Some(SlotView {
        key: SlotKey::new(key).ok()?,
        site: SiteKey::new(site).ok()?,
        series: SeriesId::new(series).ok()?,
        start,
        version: SlotVersion(0),
        remaining: 0,
        open: true,
        row: Arc::new(row),
        position: Position(0),
    })
}
