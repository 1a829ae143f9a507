//! slotbridge
pub mod admin;
pub mod cli;
pub mod config;
pub mod decide;
pub mod demo;
pub mod domain;
pub mod durable;
pub mod feed;
pub mod intake;
pub mod ledger;
pub mod legacy;
pub mod mapping;
pub mod mapping_files;
pub mod privacy;
pub mod publish;
pub mod telemetry;
pub mod view;
