//! What a deployment believes: whose signatures count before a mapping publishes.
//!
//! Invariant: nothing in the configuration makes a signature superfluous once a genesis stands there.

use std::collections::BTreeMap;

use super::in_force::{Judge, Unjudged};
use crate::approval::{Approvals, Demonstration, Trust};
use crate::config::Config;

/// How the versions in force are found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Approving {
    /// By officers' signatures.
    Signed(Trust),
    /// Whatever stands in the folder is in force: folders that no officer was ever named for.
    Unsigned,
}

impl Approving {
    /// Of a service: officers of the demonstration are not believed, even if listed.
    pub fn of_service(config: &Config) -> Approving {
        Approving::of(config, Demonstration::Refused)
    }

    pub fn of_demonstration(config: &Config) -> Approving {
        Approving::of(config, Demonstration::Accepted)
    }

    // The one place that decides about folders without a genesis.
    fn of(config: &Config, demonstration: Demonstration) -> Approving {
        match &config.mappings.genesis {
            Some(genesis) => {
                let (origin, genesis) = (config.daemon.origin.clone(), Some(genesis.clone()));
                Approving::Signed(Trust { origin, genesis, demonstration })
            }
            None => Approving::Unsigned,
        }
    }

    /// Over the files of a mappings folder.
    pub fn judge(&self, files: &BTreeMap<String, Vec<u8>>) -> Box<dyn Judge> {
        match self {
            Approving::Signed(trust) => Box::new(Approvals::read(files, trust)),
            Approving::Unsigned => Box::new(Unjudged),
        }
    }
}
