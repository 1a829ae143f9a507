//! slotbridge
pub mod decide;
pub mod domain;
pub mod durable;
pub mod intake;
pub mod keys;
pub mod legacy;
pub mod mapping;
pub mod mapping_files;
pub mod privacy;
pub mod publish;
pub mod view;
