//! Digests that name what is published (content) and what was approved (approval).

use std::collections::BTreeMap;
use std::fmt::Write as _;

use ring::digest::{SHA256, digest};
use serde_json::{Value, json};

use crate::domain::PartnerId;
use crate::mapping::{FeedMapping, MappingSet, Op, Table, Transform};

pub fn sha256_hex(bytes: &[u8]) -> String {
    let mut hex = String::with_capacity(64);
    for byte in digest(&SHA256, bytes).as_ref() {
        write!(hex, "{byte:02x}").expect("writing to a String cannot fail");
    }
    hex
}

/// RFC 8785 for values whose numbers are whole: members sorted, no white space.
pub fn canonical_json(value: &Value) -> String {
    let mut text = String::new();
    write_canonical(value, &mut text);
    text
}

fn write_canonical(value: &Value, text: &mut String) {
    match value {
        Value::Array(items) => {
            text.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    text.push(',');
                }
                write_canonical(item, text);
            }
            text.push(']');
        }
        Value::Object(members) => {
            let mut sorted: Vec<(&String, &Value)> = members.iter().collect();
            sorted.sort_by(|a, b| a.0.encode_utf16().cmp(b.0.encode_utf16()));
            text.push('{');
            for (at, (name, member)) in sorted.into_iter().enumerate() {
                if at > 0 {
                    text.push(',');
                }
                text.push_str(&Value::from(name.as_str()).to_string());
                text.push(':');
                write_canonical(member, text);
            }
            text.push('}');
        }
        scalar => text.push_str(&scalar.to_string()),
    }
}

/// The tables that the mapping's transforms read, by path.
pub(super) fn tables(set: &MappingSet, meanings: &[Transform]) -> BTreeMap<String, Table> {
    let mut found = BTreeMap::new();
    for meaning in meanings {
        let (path, table) = match meaning {
            Transform::Enum { table } | Transform::Lookup { table, .. } => {
                (format!("tables/{table}"), set.table(table))
            }
            Transform::Generalize { hierarchy, .. } => (format!("hierarchies/{hierarchy}"), set.hierarchy(hierarchy)),
            _ => continue,
        };
        found.extend(table.map(|table| (path, table.clone())));
    }
    found
}

pub(super) fn meanings(mapping: &FeedMapping) -> Vec<Transform> {
    mapping.fields.iter().filter_map(|f| f.transform.meaning().ok()).collect()
}

/// Names the bytes: mappings of the same content digest publish the same bytes of the same data, whoever the partner.
/// Fields keyed by partner put the partner into the digest.
pub(super) fn content_digest(set: &MappingSet, partner: &PartnerId, mapping: &FeedMapping, has_small: bool) -> String {
    let published = mapping.fields.iter().filter(|f| f.transform.op() != Op::Drop);
    let fields: Vec<Value> = published
        .map(|f| json!({ "name": f.name, "source": f.source, "transform": f.transform.meaning().ok() }))
        .collect();
    let mut filters: Vec<Value> = mapping
        .filters
        .iter()
        .map(|f| {
            let mut allowed = f.allowed();
            allowed.sort_unstable();
            json!({ "column": f.column, "in": allowed })
        })
        .collect();
    filters.sort_by_key(Value::to_string);
    let meanings = meanings(mapping);
    let is_keyed = meanings.iter().any(|m| {
        let scope = crate::mapping::transform::TokenScope::Partner;
        matches!(m, Transform::PersonToken) || matches!(m, Transform::TokenRandom { scope: s, .. } if *s == scope)
    });
    let small = &set.policy().small_slots;
    let content = json!({
        "kind": mapping.feed.kind,
        "object": mapping.source.object,
        "id": { "source": mapping.feed.id.source, "prefix": mapping.feed.id.prefix() },
        "filters": filters,
        "fields": fields,
        "tables": tables(set, &meanings),
        "tick_ms": mapping.feed.tick_ms,
        "cutoff_min": mapping.feed.cutoff_min,
        "small_slots": has_small.then(|| json!({ "capacity_max": small.capacity_max, "tick_ms": small.tick_ms })),
        "partner": is_keyed.then_some(partner),
    });
    sha256_hex(canonical_json(&content).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_json_does_not_depend_on_the_order_of_members() {
        let a: Value = serde_json::from_str(r#"{"b":[1,{"d":null,"c":"\u0007é"}],"a":true}"#).unwrap();
        assert_eq!(canonical_json(&a), r#"{"a":true,"b":[1,{"c":"\u0007é","d":null}]}"#);
        assert_eq!(sha256_hex(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
