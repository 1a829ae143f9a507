//! The shipped mappings, for tests. Compiled in, so that tests of pure modules read no file.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::domain::{Row, Value};

use super::{MappingError, MappingSet, load};

macro_rules! shipped {
    ($($path:literal),* $(,)?) => {
        [$(($path, include_str!(concat!("../../mappings/", $path)))),*]
    };
}

/// The shipped folder as `load` takes it.
pub fn shipped_files() -> BTreeMap<String, Vec<u8>> {
    let files = shipped![
        "catalog.toml",
        "policy.toml",
        "partners.toml",
        "naver/sites.toml",
        "naver/slots.toml",
        "naver/eligibility.toml",
        "naver/bookings.toml",
        "kakao/sites.toml",
        "kakao/slots.toml",
        "kakao/eligibility.toml",
        "kakao/bookings.toml",
        "audit/sites.toml",
        "audit/slots.toml",
        "tables/slot_status.csv",
        "tables/yes_no.csv",
    ];
    files.into_iter().map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec())).collect()
}

pub fn shipped() -> MappingSet {
    load(&shipped_files()).expect("the shipped mappings load")
}

/// The shipped folder with `from` replaced by `to` in the named files, once each; `from` must stand there.
pub fn edited_files(edits: &[(&str, &str, &str)]) -> BTreeMap<String, Vec<u8>> {
    let mut files = shipped_files();
    for (file, from, to) in edits {
        let text = String::from_utf8(files[*file].clone()).expect("shipped files are UTF-8");
        assert!(text.contains(from), "{file} does not hold {from}");
        files.insert((*file).to_owned(), text.replacen(from, to, 1).into_bytes());
    }
    files
}

/// Loads `edited_files`.
pub fn load_edited(edits: &[(&str, &str, &str)]) -> Result<MappingSet, Vec<MappingError>> {
    load(&edited_files(edits))
}

/// A row of an object as capture would bring it: the named columns, everything else NULL.
pub fn row(set: &MappingSet, object: &str, values: &[(&str, Value)]) -> Arc<Row> {
    let layout = set.layout(object).expect("the object has a view");
    for (name, _) in values {
        assert!(layout.at_name(name).is_some(), "{name} is not fetched");
    }
    let value = |name: &str| values.iter().find(|(n, _)| *n == name).map_or(Value::Null, |(_, value)| value.clone());
    Arc::new(Row(layout.columns.iter().map(|column| value(&column.name)).collect()))
}
