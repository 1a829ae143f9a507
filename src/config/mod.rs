//! `slotbridge.toml` as types: every key is documented where it is defined, and the reference is generated from that.
//!
//! Owns reading, defaults, the environment overrides and what can be judged from the file alone. Does not open
//! databases or sockets. Invariants: an unknown key is an error; secrets are named by file, never written in the file;
//! all problems of a file are reported together, each with its place; paths are relative to the file's folder.

mod load;
mod problem;
mod reference;
mod sections;
mod validate;

pub use load::{Loaded, OVERRIDES, load, load_text};
pub use problem::{Problem, Problems, Style};
pub use reference::{commented_file, reference};
pub use sections::{
    Capture, Config, Daemon, Desk, Environment, Intake, Jobs, Legacy, LegacyKind, LegacyMode, Listen, Log, LogFormat,
    Mappings, PersonConstraint, Publish, Secrets, Series, Writeback,
};
