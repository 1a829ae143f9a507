//! Checks between mappings: one thing has one public name, whoever reads it and wherever it stands.

use std::collections::BTreeMap;

use super::error::RuleId;
use super::feed_mapping::{FeedKind, FeedMapping};
use super::load::{Drawn, Problems};
use super::transform::Op;

/// Columns that hold another object's key.
const REFERENCES: [(FeedKind, &str, FeedKind); 2] =
    [(FeedKind::Slots, "SITE_ID", FeedKind::Sites), (FeedKind::Bookings, "SLOT_ID", FeedKind::Slots)];

pub(super) fn check_across(problems: &mut Problems<'_>, mappings: &[Drawn]) {
    let mut first_of: BTreeMap<FeedKind, (&str, &FeedMapping)> = BTreeMap::new();
    for Drawn { file, kind, mapping, .. } in mappings {
        let (other, first) = *first_of.entry(*kind).or_insert((file, mapping));
        let (id, expected) = (&mapping.feed.id, &first.feed.id);
        if id.prefix() != expected.prefix() || id.source != expected.source {
            let span = id.prefix.as_ref().map_or(id.source.span(), |p| p.span());
            let what = format!("items are named otherwise than in {other}");
            problems.add(file, span, RuleId::KeyClass, what, "ids are equal for all partners");
        }
    }
    for Drawn { file, partner, kind, mapping } in mappings {
        for (_, column, to) in REFERENCES.iter().filter(|(from, ..)| from == kind) {
            let Some(target) = mappings.iter().find(|other| other.partner == *partner && other.kind == *to) else {
                continue;
            };
            let target = &target.mapping;
            let fields = mapping.fields.iter().filter(|f| f.transform.op() == Op::Keep);
            for field in fields.filter(|f| f.source.as_ref().is_some_and(|s| s.get_ref() == column)) {
                let prefix = field.transform.prefix.as_ref();
                if prefix.map_or("", |p| p.get_ref()) != target.feed.id.prefix() {
                    let span = prefix.map_or(field.transform.op.span(), |p| p.span());
                    let what =
                        format!("the {} feed names these with the prefix ‘{}’", to.code(), target.feed.id.prefix());
                    problems.add(file, span, RuleId::KeyClass, what, "use the same prefix");
                }
            }
        }
    }
}
