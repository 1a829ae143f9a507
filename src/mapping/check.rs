//! Checks of one mapping against catalogue, policy, partners and tables.
//!
//! Only what a mapping needs in order to mean something and to leak nothing; the full linter (wording, statistics,
//! legal basis) is another module's.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use toml::Spanned;

use crate::domain::PartnerId;

use super::catalogue::{Catalogue, Class, Column, ColumnType, Object, Role};
use super::error::RuleId;
use super::feed_mapping::{FeedKind, FeedMapping, Field, Mode};
use super::load::Problems;
use super::policy::{Partner, Policy};
use super::table::Table;
use super::transform::{Op, Transform, is_prefix};

pub(super) struct Context<'a> {
    pub catalogue: &'a Catalogue,
    pub policy: &'a Policy,
    pub partners: &'a BTreeMap<PartnerId, Partner>,
    pub tables: &'a BTreeMap<String, Table>,
    /// Tables that are there and could not be read: reported once, not by everyone who names them.
    pub broken: &'a BTreeSet<String>,
}

/// RPDE needs deleted items for so long.
const TOMBSTONE_DAYS_MIN: u32 = 7;

pub(super) fn check_mapping(
    problems: &mut Problems<'_>,
    context: &Context<'_>,
    file: &str,
    folder: &PartnerId,
    kind: FeedKind,
    mapping: &FeedMapping,
) {
    let mut check = Check { problems, context, file };
    check.identity(folder, kind, mapping);
    check.feed_section(kind, mapping);
    let name = mapping.source.object.get_ref();
    let Some(object) = context.catalogue.object(name.as_str()) else {
        let what = format!("there is no object ‘{name}’");
        check.add(mapping.source.object.span(), RuleId::Unknown, what, "objects stand in catalog.toml");
        return;
    };
    if name.as_str() != kind.object() {
        let what = format!("a {} feed is about the object ‘{}’", kind.code(), kind.object());
        check.add(mapping.source.object.span(), RuleId::Place, what, "correct source.object");
        return;
    }
    check.key(object, mapping);
    let partner = context.partners.get(folder);
    check.filters(object, mapping, partner);
    let mut names = BTreeSet::new();
    for field in &mapping.fields {
        if !names.insert(field.name.get_ref()) {
            let what = format!("the field ‘{}’ stands twice", field.name.get_ref());
            check.add(field.name.span(), RuleId::Duplicate, what, "rename or remove one");
        }
        check.field(object, field, partner);
    }
    check.decisions(object, mapping);
}

struct Check<'a, 'p, 't> {
    problems: &'a mut Problems<'t>,
    context: &'p Context<'p>,
    file: &'p str,
}

impl Check<'_, '_, '_> {
    fn add(&mut self, span: std::ops::Range<usize>, rule: RuleId, what: impl Into<String>, help: impl Into<String>) {
        self.problems.add(self.file, span, rule, what, help);
    }

    fn identity(&mut self, folder: &PartnerId, kind: FeedKind, mapping: &FeedMapping) {
        if *mapping.format.get_ref() != 1 {
            self.add(mapping.format.span(), RuleId::Shape, "format must be 1", "this version reads format 1 only");
        }
        let partner = &mapping.partner.id;
        if partner.get_ref() != folder {
            let what = format!("the mapping stands in the folder of ‘{folder}’");
            self.add(partner.span(), RuleId::Place, what, "move the file or correct partner.id");
        } else if !self.context.partners.contains_key(folder) {
            let what = format!("there is no partner ‘{folder}’");
            self.add(partner.span(), RuleId::Unknown, what, "partners stand in partners.toml");
        }
        let id = format!("{folder}.{}", kind.code());
        if *mapping.id.get_ref() != id {
            self.add(mapping.id.span(), RuleId::Place, format!("the id of this file is ‘{id}’"), "correct id");
        }
        if *mapping.feed.kind.get_ref() != kind {
            let what = format!("the file is named after the kind ‘{}’", kind.code());
            self.add(mapping.feed.kind.span(), RuleId::Place, what, "rename the file or correct feed.kind");
        }
        let purpose = &mapping.purpose.code;
        if !self.context.policy.purposes.iter().any(|p| p.code == *purpose.get_ref()) {
            let what = format!("‘{}’ is not a purpose of the policy", purpose.get_ref());
            self.add(purpose.span(), RuleId::Unknown, what, "purposes are a closed list in policy.toml");
        }
    }

    fn feed_section(&mut self, kind: FeedKind, mapping: &FeedMapping) {
        let limits = &self.context.policy.limits;
        let tick = &mapping.feed.tick_ms;
        if !(limits.tick_ms_min..=limits.tick_ms_max).contains(tick.get_ref()) {
            let what = format!("the policy allows ticks of {} to {} ms", limits.tick_ms_min, limits.tick_ms_max);
            self.add(tick.span(), RuleId::Limit, what, "correct tick_ms");
        }
        if let Some(cutoff) = mapping.feed.cutoff_min.as_ref().filter(|_| kind != FeedKind::Slots) {
            self.add(cutoff.span(), RuleId::Shape, "only slots have a cutoff", "remove cutoff_min");
        }
        match (&mapping.feed.mode, kind) {
            (None, FeedKind::Eligibility) => {
                let what = "an eligibility feed needs a mode";
                self.add(mapping.feed.kind.span(), RuleId::Shape, what, "add mode = \"rules\"");
            }
            (Some(mode), FeedKind::Eligibility) if *mode.get_ref() != Mode::Rules => {
                let help = "use mode = \"rules\": cohort rules are published and no person is in the feed";
                self.add(mode.span(), RuleId::NotBuilt, "this mode is not built yet", help);
            }
            (Some(mode), other) if other != FeedKind::Eligibility => {
                self.add(mode.span(), RuleId::Shape, "only eligibility feeds have a mode", "remove mode");
            }
            _ => {}
        }
        let retention = &mapping.retention;
        if retention.bridge_max.get_ref().0 < TOMBSTONE_DAYS_MIN {
            let what = format!("deleted items must stay visible for {TOMBSTONE_DAYS_MIN} days");
            self.add(retention.bridge_max.span(), RuleId::Retention, what, "use P7D or more");
        }
        let days_max = limits.partner_retention_days_max;
        if retention.partner_max.get_ref().0 > days_max {
            let what = format!("the policy lets partners keep items for {days_max} days at most");
            self.add(retention.partner_max.span(), RuleId::Retention, what, "shorten partner_max");
        }
    }

    fn column<'o>(&mut self, object: &'o Object, name: &Spanned<String>) -> Option<&'o Column> {
        let column = object.column(name.get_ref());
        if column.is_none() {
            let what = format!("{} has no column ‘{}’", object.name, name.get_ref());
            self.add(name.span(), RuleId::Unknown, what, "columns stand in catalog.toml, in capitals");
        }
        column
    }

    fn key(&mut self, object: &Object, mapping: &FeedMapping) {
        let rule = &mapping.feed.id;
        if let Some(column) = self.column(object, &rule.source) {
            if !matches!(column.class, Class::Public | Class::Operational) {
                let what = format!("{} is {} and cannot name items", column.name, column.class.code());
                let help = "id.source must be a column of class public or operational";
                self.add(rule.source.span(), RuleId::KeyClass, what, help);
            }
            let names_rows = column.role == Some(Role::Key) || (column.derived && column.name == "BOOKING_ID");
            if !names_rows || !matches!(column.kind, ColumnType::Text) {
                let help = "id.source is the text column with the role `key`: what bookings accept";
                self.add(rule.source.span(), RuleId::KeyClass, format!("{} does not name items", column.name), help);
            }
        }
        if let Some(prefix) = rule.prefix.as_ref().filter(|p| !is_prefix(p.get_ref())) {
            let what = "a prefix is at most 8 characters of A-Z a-z 0-9 . -";
            self.add(prefix.span(), RuleId::Shape, what, "correct id.prefix");
        }
    }

    fn filters(&mut self, object: &Object, mapping: &FeedMapping, partner: Option<&Partner>) {
        for filter in &mapping.filters {
            if filter.equals.is_some() == filter.one_of.is_some() || filter.allowed().is_empty() {
                let what = "a filter has either `equals` or a non-empty `in`";
                self.add(filter.column.span(), RuleId::Shape, what, "write in = [\"…\"] or equals = \"…\"");
            }
            let Some(column) = self.column(object, &filter.column) else { continue };
            // Being in the feed tells the column's value, so a filter publishes what `keep` would.
            if !matches!(column.class, Class::Public | Class::Operational | Class::OrgPublic) {
                let what = format!("{} is {}: a filter on it would tell its value", column.name, column.class.code());
                self.add(filter.column.span(), RuleId::Forbidden, what, "filter on public or operational columns");
            }
            self.never_told(column, filter.column.span());
            let restricted = partner
                .and_then(|p| self.context.policy.restriction(object.name.as_str(), &column.name, Op::Keep, p.role));
            if let Some(restriction) = restricted {
                let what = format!("the policy restricts {}: a filter on it would tell its value", column.name);
                self.add(filter.column.span(), RuleId::Forbidden, what, restriction.reason.en.clone());
            }
            if !matches!(column.kind, ColumnType::Text | ColumnType::Integer) {
                let what = "filters compare texts and whole numbers";
                self.add(filter.column.span(), RuleId::Forbidden, what, "choose another column");
            }
        }
    }

    fn field(&mut self, object: &Object, field: &Field, partner: Option<&Partner>) {
        let name = field.name.get_ref();
        let shaped = name.len() <= 40
            && name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if !shaped {
            let what = "a field's name is lower-case letters, digits and _";
            self.add(field.name.span(), RuleId::Shape, what, "rename it");
        }
        if field.why.ko.trim().is_empty() || field.why.en.trim().is_empty() {
            let what = format!("‘{name}’ does not say why it is needed");
            self.add(field.name.span(), RuleId::Shape, what, "fill in why.ko and why.en");
        }
        let op = field.transform.op();
        let op_span = field.transform.op.span();
        match field.transform.meaning() {
            Ok(meaning) => self.tables(field, &meaning),
            Err(bad) => {
                let rule = if bad.not_built { RuleId::NotBuilt } else { RuleId::Shape };
                self.add(bad.span, rule, bad.what, bad.help);
            }
        }
        let Some(source) = &field.source else {
            if op != Op::Const {
                let what = format!("`{}` reads a column", op.code());
                self.add(op_span, RuleId::Shape, what, "add source = \"…\"");
            }
            return;
        };
        if op == Op::Const {
            self.add(source.span(), RuleId::Shape, "`const` reads no column", "remove source");
            return;
        }
        let Some(column) = self.column(object, source) else { return };
        if op != Op::Drop {
            self.never_told(column, source.span());
        }
        if !self.context.policy.allows(column.class, op) {
            let allowed: Vec<&str> = Op::allowed_at_most(column.class)
                .iter()
                .filter(|op| self.context.policy.allows(column.class, **op))
                .map(|op| op.code())
                .collect();
            let what = format!("{} is {}: `{}` is forbidden", column.name, column.class.code(), op.code());
            let help = format!("allowed for this class: {}; or list the column under [[withheld]]", allowed.join(", "));
            self.add(op_span.clone(), RuleId::Forbidden, what, help);
        } else if !op.reads(column.kind) {
            let what = format!("`{}` cannot read {}: the column has another type", op.code(), column.name);
            self.add(op_span.clone(), RuleId::Forbidden, what, "choose a transform for the column's type");
        }
        let has_prefix = field.transform.prefix.as_ref().filter(|p| !p.get_ref().is_empty());
        if let Some(prefix) = has_prefix.filter(|_| column.kind != ColumnType::Text) {
            self.add(prefix.span(), RuleId::Shape, "only a text takes a prefix", "remove prefix");
        }
        self.policy_of_column(object, column, field, partner);
    }

    /// A commit number tells nothing about a slot and much about the database.
    fn never_told(&mut self, column: &Column, span: Range<usize>) {
        if column.role == Some(Role::RowScn) {
            let what = format!("{} is a commit number of the legacy system and is never published", column.name);
            self.add(span, RuleId::Forbidden, what, "remove the field or the filter");
        }
    }

    fn policy_of_column(&mut self, object: &Object, column: &Column, field: &Field, partner: Option<&Partner>) {
        let Some(role) = partner.map(|p| p.role) else { return };
        let op = field.transform.op();
        let policy = self.context.policy;
        if let Some(restriction) = policy.restriction(object.name.as_str(), &column.name, op, role) {
            let what = format!("the policy forbids `{}` on {} for this partner", op.code(), column.name);
            let ops = restriction.transforms.iter().filter(|op| **op != Op::Drop).map(|op| op.code());
            let ops: Vec<&str> = std::iter::once("drop").chain(ops).collect();
            let help = format!("allowed: {}; reason: {}", ops.join(", "), restriction.reason.en);
            self.add(field.transform.op.span(), RuleId::Forbidden, what, help);
        }
        if object.name.as_str() == "slot" && column.name == "FREE" {
            let wanted = if op == Op::Keep { "remaining" } else { "remaining_bucket" };
            if op != Op::Drop && field.name.get_ref() != wanted {
                let what = format!("what is left, under `{}`, is named ‘{wanted}’", op.code());
                self.add(field.name.span(), RuleId::Shape, what, "rename the field");
            }
        }
    }

    fn tables(&mut self, field: &Field, meaning: &Transform) {
        let spec = &field.transform;
        let (path, columns, at) = match meaning {
            Transform::Enum { table } => (format!("tables/{table}"), Vec::new(), &spec.table),
            Transform::Lookup { table, key, value } => (format!("tables/{table}"), vec![key, value], &spec.table),
            Transform::Generalize { hierarchy, level } => {
                (format!("hierarchies/{hierarchy}"), vec![level], &spec.hierarchy)
            }
            _ => return,
        };
        let span = at.as_ref().map_or(spec.op.span(), Spanned::span);
        if self.context.broken.contains(&path) {
            return;
        }
        let Some(table) = self.context.tables.get(&path) else {
            let what = format!("there is no {path}.csv");
            self.add(span, RuleId::MissingTable, what, "add the file or correct the name");
            return;
        };
        for column in columns.into_iter().filter(|c| !table.columns.contains(c)) {
            let what = format!("{path}.csv has no column ‘{column}’");
            let help = format!("its columns are: {}", table.columns.join(", "));
            self.add(span.clone(), RuleId::MissingTable, what, help);
        }
    }

    /// Default deny: every column of the object is decided about.
    fn decisions(&mut self, object: &Object, mapping: &FeedMapping) {
        let mut decided: BTreeSet<&str> = BTreeSet::from([mapping.feed.id.source.get_ref().as_str()]);
        decided.extend(mapping.filters.iter().map(|f| f.column.get_ref().as_str()));
        let published: BTreeSet<&str> =
            mapping.fields.iter().filter_map(|f| f.source.as_ref()).map(|s| s.get_ref().as_str()).collect();
        decided.extend(&published);
        let mut withheld = BTreeSet::new();
        for column in mapping.withheld.iter().flat_map(|w| &w.columns) {
            self.column(object, column);
            if published.contains(column.get_ref().as_str()) || !withheld.insert(column.get_ref().as_str()) {
                let what = format!("{} is decided about twice", column.get_ref());
                self.add(column.span(), RuleId::Duplicate, what, "publish it or withhold it, once");
            }
        }
        let open: Vec<&str> = object
            .columns
            .iter()
            .filter(|c| {
                !c.is_operational() && !decided.contains(c.name.as_str()) && !withheld.contains(c.name.as_str())
            })
            .map(|c| c.name.as_str())
            .collect();
        if !open.is_empty() {
            let what = format!("nothing is said about {}", open.join(", "));
            let quoted: Vec<String> = open.iter().map(|c| format!("\"{c}\"")).collect();
            let help = format!(
                "publish each in a [[field]], or add [[withheld]] columns = [{}] and a reason",
                quoted.join(", ")
            );
            self.add(mapping.source.object.span(), RuleId::Undecided, what, help);
        }
    }
}
