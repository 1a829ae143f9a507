//! A loaded, checked set of mappings.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::domain::{ObjectName, PartnerId};

use super::catalogue::{Catalogue, Layout, LayoutColumn, Object};
use super::feed_mapping::{FeedKind, FeedMapping, MappingStatus};
use super::policy::{Partner, Policy};
use super::table::Table;
use super::transform::Transform;

#[derive(Debug, Clone)]
pub struct MappingSet {
    pub(super) catalogue: Catalogue,
    pub(super) policy: Policy,
    pub(super) partners: BTreeMap<PartnerId, Partner>,
    pub(super) feeds: BTreeMap<(PartnerId, FeedKind), FeedMapping>,
    /// By path in the folder without ending: `tables/slot_status`, `hierarchies/region`.
    pub(super) tables: BTreeMap<String, Table>,
    /// Texts by path: `consents/booking.ko.md`.
    pub(super) consents: BTreeMap<String, Arc<str>>,
    /// Digest of the officers' roster in force; none until the caller says so.
    pub(super) roster: Option<String>,
    /// Orders of columns that stand whatever the mappings would ask for.
    pub(super) pinned: BTreeMap<ObjectName, Layout>,
}

impl MappingSet {
    /// A set out of parts that were loaded and judged before, for instance approved ones.
    pub fn assemble(
        catalogue: Catalogue,
        policy: Policy,
        partners: BTreeMap<PartnerId, Partner>,
        feeds: BTreeMap<(PartnerId, FeedKind), FeedMapping>,
        tables: BTreeMap<String, Table>,
        consents: BTreeMap<String, Arc<str>>,
        roster: Option<String>,
    ) -> MappingSet {
        MappingSet { catalogue, policy, partners, feeds, tables, consents, roster, pinned: BTreeMap::new() }
    }

    /// The set over rows that are fetched already in these orders of columns.
    pub fn with_layouts(self, layouts: impl IntoIterator<Item = Layout>) -> MappingSet {
        let pinned = layouts.into_iter().map(|layout| (layout.object.clone(), layout)).collect();
        MappingSet { pinned, ..self }
    }

    /// The set under a roster of officers, which approval digests cover.
    pub fn with_roster(self, roster: Option<String>) -> MappingSet {
        MappingSet { roster, ..self }
    }

    pub fn roster(&self) -> Option<&str> {
        self.roster.as_deref()
    }

    /// `consents/<name>.ko.md`.
    pub fn consent(&self, name: &str) -> Option<&Arc<str>> {
        self.consents.get(&format!("consents/{name}.ko.md"))
    }

    pub fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// In order of id.
    pub fn partners(&self) -> impl Iterator<Item = &PartnerId> {
        self.partners.keys()
    }

    pub fn partner(&self, id: &PartnerId) -> Option<&Partner> {
        self.partners.get(id)
    }

    /// The partner's active mapping of that kind.
    pub fn feed(&self, partner: &PartnerId, kind: FeedKind) -> Option<&FeedMapping> {
        self.feeds.get(&(partner.clone(), kind)).filter(|m| m.status == MappingStatus::Active)
    }

    /// The partner's mapping of that kind, whatever its status.
    pub fn mapping(&self, partner: &PartnerId, kind: FeedKind) -> Option<&FeedMapping> {
        self.feeds.get(&(partner.clone(), kind))
    }

    /// Every mapping, drafts and retired ones included.
    pub fn mappings(&self) -> impl Iterator<Item = (&PartnerId, FeedKind, &FeedMapping)> {
        self.feeds.iter().map(|((partner, kind), mapping)| (partner, *kind, mapping))
    }

    /// Active mappings, by partner and kind.
    pub fn feeds(&self) -> impl Iterator<Item = (&PartnerId, FeedKind, &FeedMapping)> {
        let active = self.feeds.iter().filter(|(_, m)| m.status == MappingStatus::Active);
        active.map(|((partner, kind), mapping)| (partner, *kind, mapping))
    }

    /// Every table and hierarchy, by path in the folder without ending.
    pub fn tables(&self) -> impl Iterator<Item = (&str, &Table)> {
        self.tables.iter().map(|(path, table)| (path.as_str(), table))
    }

    /// `tables/<name>.csv`.
    pub fn table(&self, name: &str) -> Option<&Table> {
        self.tables.get(&format!("tables/{name}"))
    }

    /// `hierarchies/<name>.csv`.
    pub fn hierarchy(&self, name: &str) -> Option<&Table> {
        self.tables.get(&format!("hierarchies/{name}"))
    }

    /// The pairs that a table transform maps by; `None` for the other transforms or where a table is missing.
    pub fn pairs(&self, transform: &Transform) -> Option<BTreeMap<Arc<str>, Arc<str>>> {
        match transform {
            Transform::Enum { table } => {
                let table = self.table(table)?;
                table.pairs(table.columns.first()?, table.columns.get(1)?)
            }
            Transform::Lookup { table, key, value } => self.table(table)?.pairs(key, value),
            Transform::Generalize { hierarchy, level } => {
                let table = self.hierarchy(hierarchy)?;
                table.pairs(table.columns.first()?, level)
            }
            _ => None,
        }
    }

    /// What is fetched of every object that has a view: columns with an operational role, material columns, and those
    /// that an active mapping reads or counts k over, in the catalogue's order. Nothing else is ever in a SELECT.
    pub fn layouts(&self) -> Vec<Layout> {
        self.catalogue.objects.iter().filter_map(|object| self.layout_of(object)).collect()
    }

    pub fn layout(&self, object: &str) -> Option<Layout> {
        self.catalogue.object(object).and_then(|object| self.layout_of(object))
    }

    fn layout_of(&self, object: &Object) -> Option<Layout> {
        if let Some(pinned) = self.pinned.get(&object.name) {
            return Some(pinned.clone());
        }
        let view = object.view.clone()?;
        let columns = object.columns.iter().filter(|column| {
            !column.derived && (column.is_operational() || self.feeds().any(|(_, _, m)| reads(m, object, &column.name)))
        });
        let columns = columns.map(|column| LayoutColumn {
            name: Arc::from(column.name.as_str()),
            kind: column.kind,
            role: column.role,
            material: column.material,
        });
        Some(Layout { object: object.name.clone(), view, columns: columns.collect() })
    }
}

fn reads(mapping: &FeedMapping, object: &Object, column: &str) -> bool {
    let fields = mapping.fields.iter().filter(|f| f.transform.op() != super::transform::Op::Drop);
    *mapping.source.object.get_ref() == object.name
        && (mapping.feed.id.source.get_ref() == column
            || mapping.filters.iter().any(|f| f.column.get_ref() == column)
            || mapping.risk.iter().flat_map(|risk| &risk.quasi).any(|name| name.get_ref() == column)
            || fields.filter_map(|f| f.source.as_ref()).any(|s| s.get_ref() == column))
}
