//! slotbridge
pub mod capture;
pub mod clock;
pub mod decide;
pub mod domain;
pub mod durable;
pub mod evidence;
pub mod intake;
pub mod legacy;
pub mod mapping;
pub mod privacy;
pub mod publish;
pub mod register;
pub mod schedule;
pub mod view;
pub mod writeback;
