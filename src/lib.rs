//! slotbridge
pub mod answer;
pub mod clock;
pub mod decide;
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
pub mod serve;
pub mod view;
