//! What a deployment believes: whose signatures count before a mapping publishes.
//!
//! Invariant: nothing in the configuration makes a signature superfluous. Without a genesis nobody is believed, so nothing
//! is in force and nothing is published.

use std::collections::BTreeMap;

use crate::approval::{Approvals, Demonstration, Trust};
use crate::config::Config;

use super::in_force::Judge;

/// By whose signatures the versions in force are found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approving(Trust);

impl Approving {
    /// Of a service: officers of the demonstration are not believed, even if listed.
    pub fn of_service(config: &Config) -> Approving {
        Approving::of(config, Demonstration::Refused)
    }

    pub fn of_demonstration(config: &Config) -> Approving {
        Approving::of(config, Demonstration::Accepted)
    }

    fn of(config: &Config, demonstration: Demonstration) -> Approving {
        let (origin, genesis) = (config.daemon.origin.clone(), config.mappings.genesis.clone());
        Approving(Trust { origin, genesis, demonstration })
    }

    /// Over the files of a mappings folder.
    pub fn judge(&self, files: &BTreeMap<String, Vec<u8>>) -> Box<dyn Judge> {
        Box::new(Approvals::read(files, &self.0))
    }
}
