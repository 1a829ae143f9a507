//! `mappings risk`: reads the legacy system as it is now, puts its rows through the mappings and has `privacy::risk`
//! count what leaves. Reads only, writes nothing, keeps no row.
//!
//! Persons are read in pages, each in a transaction of its own, as capture reads them: one cut of tens of millions of
//! rows would need more undo than the server keeps. Rows that come or go meanwhile are off by as much.

mod persons;
mod slots;
#[cfg(test)]
mod tests;

use crate::config::{Config, LegacyKind};
use crate::domain::{PartnerId, Timestamp};
use crate::legacy::{LegacyError, LegacyErrorKind, LegacyRead};
use crate::mapping::feed_mapping::Field;
use crate::mapping::{Class, FeedKind, FeedMapping, MappingSet, MappingStatus, Mode, Op};
use crate::privacy::CompileError;
use crate::privacy::risk::{RiskError, RiskReports};

use super::StartFailed;
use super::backend::Backend;

/// What was found.
#[derive(Debug, Default)]
pub struct Measured {
    pub reports: RiskReports,
    /// Mappings that there is nothing to measure of: no person and no slot is in them.
    pub without_persons: Vec<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum MeasureFailed {
    #[error("there is no mapping {id:?}")]
    NoMapping { id: String, known: Vec<String> },
    #[error("the legacy system cannot be reached")]
    Start(#[from] StartFailed),
    #[error("the legacy system could not be read")]
    Legacy(#[from] LegacyError),
    #[error("{mapping} cannot be applied")]
    Compile { mapping: String, source: CompileError },
    #[error("{mapping} cannot be counted")]
    Risk { mapping: String, source: RiskError },
    #[error("{mapping}: {what}")]
    Shape { mapping: String, what: String },
}

impl MeasureFailed {
    pub fn code(&self) -> &'static str {
        match self {
            MeasureFailed::NoMapping { .. } => "no_mapping",
            MeasureFailed::Start(_) => "start",
            MeasureFailed::Legacy(error) => error.class,
            MeasureFailed::Compile { .. } => "compile",
            MeasureFailed::Risk { .. } => "risk",
            MeasureFailed::Shape { .. } => "shape",
        }
    }
}

/// How rows are read.
#[derive(Debug, Clone, Copy)]
pub struct Measuring {
    pub page_rows_max: u32,
    /// Cutoffs of slots are judged at this instant.
    pub now: Timestamp,
}

/// Measures every mapping, or `only` the one of that id, whatever its status: officers read the figures before they
/// sign.
///
/// # Errors
/// No such mapping, a legacy system that cannot be read, or more combinations than are counted.
pub fn measure(
    config: &Config,
    set: &MappingSet,
    only: Option<&str>,
    now: Timestamp,
) -> Result<Measured, MeasureFailed> {
    let asked = asked(set, only)?;
    let measuring = Measuring { page_rows_max: config.capture.persons_page_rows, now };
    if !asked.iter().any(|(_, _, mapping)| has_figures(set, mapping)) {
        // Nothing to read: the legacy system is left alone.
        let ids = asked.iter().map(|(.., mapping)| mapping.id.get_ref().clone());
        return Ok(Measured { without_persons: ids.collect(), ..Measured::default() });
    }
    let mut reader = opened(config)?;
    measuring.all(&mut *reader, set, only)
}

fn opened(config: &Config) -> Result<Box<dyn LegacyRead>, MeasureFailed> {
    let is_missing = config.legacy.kind == LegacyKind::Sqlite && !config.legacy.path.exists();
    if is_missing {
        // Opening would make an empty file.
        let what = format!("{} is not there", config.legacy.path.display());
        return Err(LegacyError::new(LegacyErrorKind::Operator, what).into());
    }
    Ok((Backend::of(config)?.read)()?)
}

type Asked<'a> = (&'a PartnerId, FeedKind, &'a FeedMapping);

fn asked<'a>(set: &'a MappingSet, only: Option<&str>) -> Result<Vec<Asked<'a>>, MeasureFailed> {
    let is_asked = |mapping: &FeedMapping| only.is_none_or(|id| mapping.id.get_ref() == id);
    let asked: Vec<Asked<'_>> = set.mappings().filter(|(.., mapping)| is_asked(mapping)).collect();
    match only.filter(|_| asked.is_empty()) {
        None => Ok(asked),
        Some(id) => {
            let known = set.mappings().map(|(.., mapping)| mapping.id.get_ref().clone()).collect();
            Err(MeasureFailed::NoMapping { id: id.to_owned(), known })
        }
    }
}

fn has_figures(set: &MappingSet, mapping: &FeedMapping) -> bool {
    holds_persons(set, mapping) || *mapping.feed.kind.get_ref() == FeedKind::Slots
}

/// Is a row of the feed about one person each?
fn holds_persons(set: &MappingSet, mapping: &FeedMapping) -> bool {
    let object = mapping.source.object.get_ref().as_str();
    let class = |field: &Field| {
        let source = field.source.as_ref()?;
        Some(set.catalogue().object(object)?.column(source.get_ref())?.class)
    };
    let published = mapping.fields.iter().filter(|field| field.transform.op() != Op::Drop);
    object == persons::OBJECT
        || mapping.risk.is_some()
        || mapping.fields.iter().any(|field| field.inside.is_some())
        || mapping.feed.mode.as_ref().is_some_and(|mode| *mode.get_ref() != Mode::Rules)
        || published.filter_map(class).any(|class| matches!(class, Class::Quasi | Class::SensitiveInferable))
}

impl Measuring {
    /// Over a connection that the caller opened.
    ///
    /// # Errors
    /// As `measure`.
    pub fn all(
        &self,
        reader: &mut dyn LegacyRead,
        set: &MappingSet,
        only: Option<&str>,
    ) -> Result<Measured, MeasureFailed> {
        let mut measured = Measured::default();
        for asked in asked(set, only)? {
            self.one(reader, set, asked, &mut measured)?;
        }
        Ok(measured)
    }

    fn one(
        &self,
        reader: &mut dyn LegacyRead,
        set: &MappingSet,
        (partner, kind, mapping): Asked<'_>,
        measured: &mut Measured,
    ) -> Result<(), MeasureFailed> {
        if holds_persons(set, mapping) {
            let alone = alone(set, partner, kind, mapping);
            measured.reports.reports.push(persons::measure(reader, &alone, (partner, kind), self)?);
        } else if kind == FeedKind::Slots {
            let alone = alone(set, partner, kind, mapping);
            measured.reports.slots.push(slots::measure(reader, &alone, (partner, kind), self)?);
        } else {
            measured.without_persons.push(mapping.id.get_ref().clone());
        }
        Ok(())
    }
}

/// The set with this mapping alone, active, and without the fields that name a row: what is fetched is what it reads,
/// and what is published is what is counted.
fn alone(set: &MappingSet, partner: &PartnerId, kind: FeedKind, mapping: &FeedMapping) -> MappingSet {
    let mut mapping = FeedMapping { status: MappingStatus::Active, ..mapping.clone() };
    let names = |field: &Field| matches!(field.transform.op(), Op::PersonToken | Op::TokenRandom | Op::OprfIndex);
    mapping.fields.retain(|field| !names(field));
    let partners = set.partner(partner).map(|entry| (partner.clone(), entry.clone()));
    let tables = set.tables().map(|(path, table)| (path.to_owned(), table.clone()));
    MappingSet::assemble(
        set.catalogue().clone(),
        set.policy().clone(),
        partners.into_iter().collect(),
        std::iter::once(((partner.clone(), kind), mapping)).collect(),
        tables.collect(),
        std::collections::BTreeMap::new(),
        None,
    )
}
