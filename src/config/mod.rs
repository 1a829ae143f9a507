//! `slotbridge.toml` as types: every key is documented where it is defined, and the reference is generated from that.
//!
//! Owns reading, defaults, the environment overrides and what can be judged from the file alone. Does not open
//! databases or sockets. Invariants: an unknown key is an error; secrets are named by file, never written in the file;
//! all problems of a file are reported together, each with its place; paths are relative to the file's folder.

mod allotment;
mod load;
mod oracle;
mod problem;
mod reference;
mod section;
mod sections;
mod validate;
mod validate_legacy;

pub use allotment::{Allotment, AllotmentClass, CapacityCut, Maintained, NativeConflict, QuietWindow, WindowError};

pub use load::{Loaded, OVERRIDES, load, load_text};
pub use oracle::{Account, Body, Charset, Oracle};
pub use problem::{Problem, Problems, Style};
pub use reference::{commented_file, reference};
pub use sections::{
    Capture, Config, Daemon, Desk, Environment, EvidenceKept, HintKind, Intake, Jobs, Legacy, LegacyKind, Listen, Log,
    LogFormat, Mappings, PersonConstraint, Publish, Secrets, Series, Writeback,
};
