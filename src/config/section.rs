//! A section of the file as a struct: fields, defaults, and the sentences of the reference from one text.
//!
//! `tables` are keys that are sections of their own in the file; each documents itself.

/// A key as the reference shows it.
#[derive(Debug, Clone, Copy)]
pub struct KeyDoc {
    pub name: &'static str,
    pub doc: &'static [&'static str],
    /// TOML of the value that a commented file suggests where there is no default.
    pub example: Option<&'static str>,
}

/// A section as the reference shows it.
#[derive(Debug, Clone, Copy)]
pub struct SectionDoc {
    pub path: &'static str,
    pub doc: &'static [&'static str],
    pub keys: &'static [KeyDoc],
}

macro_rules! example {
    () => {
        None
    };
    ($text:literal) => {
        Some($text)
    };
}

macro_rules! section {
    ($(#[doc = $section_doc:literal])+ $name:ident at $path:literal {
        $($(#[doc = $key_doc:literal])+ $key:ident: $kind:ty = $default:expr $(, eg $eg:literal)?;)*
    } $(tables {
        $($(#[doc = $table_doc:literal])+ $table:ident: $table_kind:ty;)*
    })?) => {
        $(#[doc = $section_doc])+
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct $name {
            $($(#[doc = $key_doc])+ pub $key: $kind,)*
            $($($(#[doc = $table_doc])+ pub $table: $table_kind,)*)?
        }

        impl Default for $name {
            fn default() -> $name {
                $name { $($key: $default,)* $($($table: Default::default(),)*)? }
            }
        }

        impl $name {
            pub(in crate::config) const DOC: $crate::config::section::SectionDoc = $crate::config::section::SectionDoc {
                path: $path,
                doc: &[$($section_doc),+],
                keys: &[$($crate::config::section::KeyDoc { name: stringify!($key), doc: &[$($key_doc),+], example: $crate::config::section::example!($($eg)?) },)*],
            };
        }
    };
}

pub(super) use {example, section};
