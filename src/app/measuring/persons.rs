//! Rows of persons: read, put through the mapping, counted.
//!
//! A row is forgotten as soon as its combination of label, external knowledge and reason is counted; what is kept grows
//! with the number of combinations, which is bounded. The mapping is applied once a combination of the columns that it
//! reads, not once a row: persons are many, cohorts few.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use super::{MeasureFailed, Measuring};
use crate::domain::{PartnerId, Row, Value};
use crate::legacy::LegacyRead;
use crate::mapping::{ColumnType, FeedKind, FeedMapping, Layout, MappingSet, Op, Role, Transform};
use crate::privacy::risk::{Cube, LabelAxis, RiskError, RiskReport, Rule, Shape};
use crate::privacy::{Projector, Subject};

/// The object whose rows are persons.
pub(super) const OBJECT: &str = "person";
/// Bound of different combinations, about 100 MiB of them.
const COMBINATIONS_MAX: usize = 1 << 21;
/// Standing of a person who may book, in the column with the role `status`.
const ACTIVE: &str = "ACTIVE";

pub(super) fn measure(
    reader: &mut dyn LegacyRead,
    set: &MappingSet,
    (partner, kind): (&PartnerId, FeedKind),
    measuring: &Measuring,
) -> Result<RiskReport, MeasureFailed> {
    let Some(mapping) = set.feed(partner, kind) else {
        return Err(MeasureFailed::Shape { mapping: partner.to_string(), what: "it is not there".to_owned() });
    };
    let mut counting = Counting::new(set, partner, kind, mapping)?;
    let mut after: Option<String> = None;
    loop {
        let (mut rows, mut last, mut full) = (0u32, None, Ok(()));
        reader.page(&counting.layout.clone(), after.as_deref(), measuring.page_rows_max, &mut |values| {
            rows += 1;
            let row = Row(values.into_boxed_slice());
            last = counting.key(&row).or(last.take());
            if full.is_ok() {
                full = counting.row(row, measuring);
            }
            Ok(())
        })?;
        full?;
        // Pages are in the order of the key; one that does not go on would go on for ever.
        if rows < measuring.page_rows_max || last.is_none() || last == after {
            break;
        }
        after = last;
    }
    counting.report(set)
}

/// Texts and tuples by number.
struct Numbers<T> {
    of: HashMap<T, u32>,
    all: Vec<T>,
}

impl<T: Eq + Hash + Clone> Numbers<T> {
    fn new() -> Numbers<T> {
        Numbers { of: HashMap::new(), all: Vec::new() }
    }

    fn number(&mut self, value: T) -> u32 {
        if let Some(known) = self.of.get(&value) {
            return *known;
        }
        let number = self.all.len() as u32;
        self.all.push(value.clone());
        self.of.insert(value, number);
        number
    }
}

/// What the mapping makes of one combination of the columns that it reads.
#[derive(Debug, Clone, Copy)]
enum Seen {
    /// A filter leaves it out.
    NotIn,
    Unreadable,
    Label(u32),
}

struct Counting<'a> {
    mapping: &'a FeedMapping,
    layout: Layout,
    projector: Projector,
    /// Columns that decide what is published.
    read: Vec<usize>,
    quasi: Vec<usize>,
    seen: HashMap<Vec<Value>, Seen>,
    labels: Numbers<Vec<String>>,
    quasi_texts: Vec<Numbers<String>>,
    known: Numbers<Vec<u32>>,
    reasons: Numbers<Vec<Value>>,
    rows: HashMap<(u32, u32, u32), u32>,
    unreadable: u64,
}

impl<'a> Counting<'a> {
    fn new(
        set: &'a MappingSet,
        partner: &PartnerId,
        kind: FeedKind,
        mapping: &'a FeedMapping,
    ) -> Result<Counting<'a>, MeasureFailed> {
        let id = mapping.id.get_ref();
        let shape = |what: &str| MeasureFailed::Shape { mapping: id.clone(), what: what.to_owned() };
        let layout = set.layout(mapping.source.object.get_ref().as_str());
        let layout = layout.ok_or_else(|| shape("its object has no view in the legacy system"))?;
        let projector = Projector::compile(set, partner, kind)
            .map_err(|source| MeasureFailed::Compile { mapping: id.clone(), source })?;
        let columns = mapping.filters.iter().map(|filter| &filter.column);
        let sources = mapping.fields.iter().filter(|field| field.transform.op() != Op::Drop);
        let columns = columns.chain(sources.filter_map(|field| field.source.as_ref()));
        let mut read: Vec<usize> = columns.filter_map(|name| layout.at_name(name.get_ref())).collect();
        read.sort_unstable();
        read.dedup();
        let quasi = mapping.risk.iter().flat_map(|risk| &risk.quasi).map(|name| {
            layout
                .at_name(name.get_ref())
                .ok_or_else(|| shape(&format!("quasi names {}: no such column", name.get_ref())))
        });
        let quasi: Vec<usize> = quasi.collect::<Result<_, _>>()?;
        Ok(Counting {
            mapping,
            projector,
            read,
            quasi_texts: quasi.iter().map(|_| Numbers::new()).collect(),
            quasi,
            layout,
            seen: HashMap::new(),
            labels: Numbers::new(),
            known: Numbers::new(),
            reasons: Numbers::new(),
            rows: HashMap::new(),
            unreadable: 0,
        })
    }

    fn key(&self, row: &Row) -> Option<String> {
        match row.get(self.layout.at_role(Role::Key)?) {
            Value::Int(number) => Some(number.to_string()),
            value => value.as_text().map(str::to_owned),
        }
    }

    fn row(&mut self, row: Row, measuring: &Measuring) -> Result<(), MeasureFailed> {
        if !self.is_in(&row) {
            return Ok(());
        }
        let read: Vec<Value> = self.read.iter().map(|at| row.get(*at).clone()).collect();
        let seen = match self.seen.get(&read) {
            Some(seen) => *seen,
            None => {
                let seen = self.look(&row, measuring);
                self.seen.insert(read.clone(), seen);
                seen
            }
        };
        let label = match seen {
            Seen::NotIn => return Ok(()),
            Seen::Unreadable => {
                self.unreadable += 1;
                return Ok(());
            }
            Seen::Label(label) => label,
        };
        let known = self.quasi.iter().zip(&mut self.quasi_texts).map(|(at, texts)| {
            let kind = self.layout.columns[*at].kind;
            texts.number(known(row.get(*at), kind))
        });
        let known: Vec<u32> = known.collect();
        let known = self.known.number(known);
        // The cohort is why somebody may book; without such a column, what the labels are made of.
        let reason = match self.layout.at_role(Role::Cohort) {
            Some(at) => vec![row.get(at).clone()],
            None => read,
        };
        let reason = self.reasons.number(reason);
        *self.rows.entry((label, known, reason)).or_default() += 1;
        if self.rows.len().max(self.seen.len()) > COMBINATIONS_MAX {
            let what = format!("more than {COMBINATIONS_MAX} different combinations; publish coarser labels");
            return Err(MeasureFailed::Shape { mapping: self.mapping.id.get_ref().clone(), what });
        }
        Ok(())
    }

    /// Persons who may not book are in no feed: counting them would make groups look larger than they are.
    fn is_in(&self, row: &Row) -> bool {
        if self.layout.object.as_str() != OBJECT {
            return true;
        }
        let of = |role| self.layout.at_role(role).map(|at| row.get(at));
        of(Role::Status).is_none_or(|status| status.as_text() == Some(ACTIVE))
            && of(Role::Cohort).is_none_or(|cohort| *cohort != Value::Null)
    }

    fn look(&mut self, row: &Row, measuring: &Measuring) -> Seen {
        let key = self.key(row).unwrap_or_default();
        match self.projector.record(Subject::Item { key: &key, row }, measuring.now) {
            Ok(None) => Seen::NotIn,
            Err(_) => Seen::Unreadable,
            Ok(Some(record)) => {
                let texts = record.fields.iter().map(|(_, value)| match value {
                    serde_json::Value::String(text) => text.clone(),
                    other => other.to_string(),
                });
                Seen::Label(self.labels.number(texts.collect()))
            }
        }
    }

    fn report(&self, set: &MappingSet) -> Result<RiskReport, MeasureFailed> {
        let id = self.mapping.id.get_ref();
        let risk = |source: RiskError| MeasureFailed::Risk { mapping: id.clone(), source };
        let axes = self.axes(set).map_err(risk)?;
        let codes: Vec<Vec<u32>> = self.labels.all.iter().map(|texts| codes(&axes, texts)).collect();
        let quasi = self.quasi_texts.iter().map(|texts| texts.all.len() as u32);
        let reasons = self.reasons.all.len() as u32;
        let shape = Shape::of_combinations(axes, codes.iter().cloned(), quasi.collect(), reasons).map_err(risk)?;
        let shape = Arc::new(shape);
        let mut cube = Cube::new(shape.clone());
        for ((label, known, reason), rows) in &self.rows {
            let row = shape.row(&codes[*label as usize], &self.known.all[*known as usize], *reason).map_err(risk)?;
            cube.add(row, *rows).map_err(risk)?;
        }
        let gate = cube.gate(&Rule::of(self.mapping.risk.as_ref(), &set.policy().risk));
        let report = gate.report(id, self.mapping.version, None);
        Ok(RiskReport { unreadable: self.unreadable, ..report })
    }

    fn axes(&self, set: &MappingSet) -> Result<Vec<LabelAxis>, RiskError> {
        let published = self.mapping.fields.iter().filter(|field| field.transform.op() != Op::Drop);
        let axes = published.enumerate().map(|(at, field)| {
            let mut texts: Vec<&str> = self.labels.all.iter().map(|texts| texts[at].as_str()).collect();
            texts.sort_unstable();
            texts.dedup();
            let name = field.name.get_ref();
            let hierarchy = match field.transform.meaning() {
                Ok(Transform::Generalize { hierarchy, level }) => set.hierarchy(&hierarchy).map(|table| (table, level)),
                _ => None,
            };
            match hierarchy {
                Some((table, level)) => LabelAxis::generalised(name, texts, table, &level),
                None => Ok(LabelAxis::plain(name, texts.into_iter().map(str::to_owned).collect())),
            }
        });
        axes.collect()
    }
}

fn codes(axes: &[LabelAxis], texts: &[String]) -> Vec<u32> {
    // Every text that occurs was given to its axis.
    texts.iter().zip(axes).map(|(text, axis)| axis.code(text).unwrap_or(u32::MAX)).collect()
}

/// What others may know: of an instant the year, of the rest the value.
fn known(value: &Value, kind: ColumnType) -> String {
    match value {
        Value::Null => String::new(),
        Value::Time(at) if kind == ColumnType::Time => at.rfc3339().chars().take(4).collect(),
        Value::Int(number) => number.to_string(),
        value => value.as_text().unwrap_or_default().to_owned(),
    }
}
