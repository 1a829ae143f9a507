//! The parts of `oracle_daemon.rs`.

pub mod bridge;
pub mod dba;
mod restores;
mod switch;
