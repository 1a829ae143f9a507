//! Every class of the error table at each step where it can occur: what the worker or the lane does about it, how it is
//! counted, and that once the fault is gone each op has had its effect exactly once and each row has arrived.
#![cfg(feature = "oracle")]
#![allow(dead_code)] // the contract's kit has more than is needed here

#[path = "oracle_errors_parts/bridge.rs"]
mod bridge;
mod capture_support;
#[path = "oracle_errors_parts/codes.rs"]
mod codes;
#[path = "legacy_contract_parts/harness.rs"]
mod harness;
#[path = "oracle_kit/mod.rs"]
mod kit;
#[path = "legacy_contract_parts/oracle.rs"]
mod oracle;
#[path = "oracle_errors_parts/reading.rs"]
mod reading;
#[path = "oracle_errors_parts/secrets.rs"]
mod secrets;
#[path = "legacy_contract_parts/shorthand.rs"]
mod shorthand;
#[path = "oracle_errors_parts/writing.rs"]
mod writing;
