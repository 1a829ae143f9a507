//! Everything that one approval covers, in one value: what is compared, stated, signed and put into force.
//!
//! Invariants: a closure read back from its JSON has the digest that it was written with; its digest changes when
//! anything in it does. The digest is SHA-256 over `slotbridge-mapping-v1\n` and the RFC 8785 form of the typed model
//! with every default written out, so that a comment or an order of keys in a file changes nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::digest::{canonical_json, meanings, sha256_hex, tables};
use crate::domain::PartnerId;
use crate::mapping::{Basis, Catalogue, FeedKind, FeedMapping, MappingSet, Object, Partner, Policy, Table};

/// Separates approval digests from every other SHA-256, and from those of later formats.
const PREFIX: &str = "slotbridge-mapping-v1\n";
/// Bound of a closure's JSON: every part of it is bounded by its file.
pub const CLOSURE_BYTES_MAX: usize = 4 * 1024 * 1024;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Closure {
    pub mapping: FeedMapping,
    /// The catalogue's rows of the mapping's object.
    pub object: Object,
    pub policy: Policy,
    pub partner: Partner,
    /// Tables and hierarchies that the fields read, by path.
    #[serde(default)]
    pub tables: BTreeMap<String, Table>,
    /// Consent text, by path.
    #[serde(default)]
    pub consents: BTreeMap<String, Arc<str>>,
    /// Digest of the officers' roster.
    #[serde(default)]
    pub roster: Option<String>,
}

/// The bytes are not a closure that this version can read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a closure: {what}")]
pub struct BadClosure {
    pub what: String,
}

impl Closure {
    /// Of a mapping of the set, whatever its status; `None` where the set has no such mapping, object or partner.
    pub fn of(set: &MappingSet, partner: &PartnerId, kind: FeedKind) -> Option<Closure> {
        let mapping = set.mapping(partner, kind)?;
        let consent = mapping.legal.consent.as_ref().and_then(|name| {
            let path = format!("consents/{}.ko.md", name.get_ref());
            Some((path, set.consent(name.get_ref())?.clone()))
        });
        Some(Closure {
            mapping: mapping.clone(),
            object: set.catalogue().object(mapping.source.object.get_ref().as_str())?.clone(),
            policy: set.policy().clone(),
            partner: set.partner(partner)?.clone(),
            tables: tables(set, &meanings(mapping)),
            consents: consent.into_iter().collect(),
            roster: set.roster().map(str::to_owned),
        })
    }

    /// RFC 8785.
    pub fn to_json(&self) -> String {
        canonical_json(&serde_json::to_value(self).expect("a closure has only text keys"))
    }

    /// Hex SHA-256.
    pub fn digest(&self) -> String {
        sha256_hex(format!("{PREFIX}{}", self.to_json()).as_bytes())
    }

    /// Reads what `to_json` wrote. Only its shape is checked: whoever reads compares the digest.
    ///
    /// # Errors
    /// Too large, not JSON, or of another shape.
    pub fn from_json(bytes: &[u8]) -> Result<Closure, BadClosure> {
        let bad = |what: String| BadClosure { what };
        if bytes.len() > CLOSURE_BYTES_MAX {
            return Err(bad(format!("larger than {CLOSURE_BYTES_MAX} bytes")));
        }
        let mut value: Value = serde_json::from_slice(bytes).map_err(|error| bad(error.to_string()))?;
        drop_nulls(&mut value);
        // By way of TOML, whose places in the text the types keep.
        let text = toml::to_string(&value).map_err(|error| bad(error.to_string()))?;
        toml::from_str(&text).map_err(|error| bad(error.message().to_owned()))
    }

    pub fn kind(&self) -> FeedKind {
        *self.mapping.feed.kind.get_ref()
    }

    pub fn partner_id(&self) -> &PartnerId {
        self.partner.id.get_ref()
    }

    /// `naver.slots`.
    pub fn id(&self) -> &str {
        self.mapping.id.get_ref()
    }

    /// Is what it publishes about persons? Such feeds stop where others may stay as they were.
    pub fn is_personal(&self) -> bool {
        self.mapping.legal.basis != Basis::NotPersonal
    }

    /// The closure as a set of one mapping, to be compiled.
    pub fn to_set(&self) -> MappingSet {
        let partner = self.partner_id().clone();
        MappingSet::assemble(
            Catalogue { format: 1, objects: vec![self.object.clone()] },
            self.policy.clone(),
            BTreeMap::from([(partner.clone(), self.partner.clone())]),
            BTreeMap::from([((partner, self.kind()), self.mapping.clone())]),
            self.tables.clone(),
            self.consents.clone(),
            self.roster.clone(),
        )
    }
}

fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|_, member| !member.is_null());
            members.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::testing::{load_edited, shipped};

    #[test]
    fn a_closure_read_back_is_the_same_and_compiles_alone() {
        let set = shipped();
        for (partner, kind, _) in set.mappings() {
            let closure = Closure::of(&set, partner, kind).unwrap();
            let again = Closure::from_json(closure.to_json().as_bytes()).unwrap();
            assert_eq!(again.to_json(), closure.to_json());
            assert_eq!(again.digest(), closure.digest());
            let alone = crate::privacy::Projector::compile(&again.to_set(), partner, kind).unwrap();
            let whole = crate::privacy::Projector::compile(&set, partner, kind).unwrap();
            assert_eq!(alone.approval_digest(), closure.digest());
            assert_eq!(alone.content_digest(), whole.content_digest());
        }
        assert!(Closure::from_json(b"{\"mapping\":{}}").is_err());
    }

    #[test]
    fn the_digest_covers_the_roster_and_not_a_comment() {
        let naver = PartnerId::new("naver").unwrap();
        let digest = |set: &MappingSet| Closure::of(set, &naver, FeedKind::Slots).unwrap().digest();
        let before = digest(&shipped());
        let commented = load_edited(&[("naver/slots.toml", "format = 1", "# a word\nformat = 1")]).unwrap();
        assert_eq!(digest(&commented), before);
        assert_ne!(digest(&shipped().with_roster(Some("00".into()))), before);
    }
}
