//! The mappings that ship with the program, embedded; a test holds the list against the folder. Who signed them for the
//! demonstration stands apart: a deployment names officers of its own.

macro_rules! embedded {
    ($($path:literal),* $(,)?) => {
        /// Path below `mappings/` and content.
        pub const MAPPINGS: &[(&str, &str)] = &[$(($path, include_str!(concat!("../../mappings/", $path)))),*];
    };
}

embedded![
    "README.md",
    "RULES.md",
    "audit/sites.toml",
    "audit/slots.toml",
    "catalog.toml",
    "kakao/bookings.toml",
    "kakao/eligibility.toml",
    "kakao/sites.toml",
    "kakao/slots.toml",
    "naver/bookings.toml",
    "naver/eligibility.toml",
    "naver/sites.toml",
    "naver/slots.toml",
    "partners.toml",
    "policy.toml",
    "tables/slot_status.csv",
    "tables/yes_no.csv",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_mapping_is_embedded() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("mappings");
        let files = crate::mapping_files::read_folder(&folder).unwrap();
        let names: Vec<&str> = files.keys().map(String::as_str).collect();
        let mut embedded: Vec<&str> = MAPPINGS.iter().chain(super::super::APPROVALS).map(|(path, _)| *path).collect();
        embedded.sort_unstable();
        assert_eq!(embedded, names);
    }
}
