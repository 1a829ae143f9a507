//! The mappings that ship with the program, embedded; `tests` hold the list against the folder.

/// Path below `mappings/` and content.
pub const MAPPINGS: &[(&str, &str)] = &[];
