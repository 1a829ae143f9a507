//! The shipped mappings, for tests. Compiled in, so that tests of pure modules read no file.

use std::collections::BTreeMap;

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

/// Loads the shipped folder after replacing `from` by `to` in one file; `from` must stand there.
pub fn load_edited(file: &str, from: &str, to: &str) -> Result<MappingSet, Vec<MappingError>> {
    let mut files = shipped_files();
    let text = String::from_utf8(files[file].clone()).expect("shipped files are UTF-8");
    assert!(text.contains(from), "{file} does not hold {from}");
    files.insert(file.to_owned(), text.replacen(from, to, 1).into_bytes());
    load(&files)
}
