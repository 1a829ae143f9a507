//! In place of `double.rs` where the Oracle double is not part of the program: there is never one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio_util::sync::CancellationToken;

use super::DemoFailed;
use super::dice::Dice;
use super::tally::Tally;
use crate::app::Condition;
use crate::config::Config;

pub enum Double {}

impl Double {
    pub fn configure(&self, _config: &mut Config) {
        match *self {}
    }

    pub fn disturb(&self, _: Arc<Condition>, _: Dice, _: Arc<Tally>, _: CancellationToken) -> JoinHandle<()> {
        match *self {}
    }

    pub fn struck(&self) -> BTreeMap<&'static str, u64> {
        match *self {}
    }

    pub fn calm(&self) -> Result<(), DemoFailed> {
        match *self {}
    }
}
