//! slotbridge
pub mod decide;
pub mod domain;
pub mod durable;
pub mod feed;
pub mod intake;
pub mod legacy;
pub mod mapping;
pub mod privacy;
pub mod publish;
pub mod view;
