//! Numbers for samples: made with a key that everybody can read here.

use std::sync::Arc;

use crate::domain::{PartnerId, PersonRef};
use crate::privacy::{AssignToken, NotAssigned, Ports, Seal, sha256_hex};

/// Worth nothing. Real keys are files of the agency's key folder and never come here.
const THROW_AWAY: &str = "slotbridge sample key, published, worthless";

pub fn throw_away() -> Ports {
    Ports { seal: Some(Arc::new(ThrowAway)), tokens: Some(Arc::new(ThrowAway)), ..Ports::default() }
}

struct ThrowAway;

impl Seal for ThrowAway {
    fn seal(&self, partner: &PartnerId, purpose: &str, person: PersonRef) -> Result<String, NotAssigned> {
        let sealed = sha256_hex(format!("{THROW_AWAY}\n{partner}\n{purpose}\n{person:?}").as_bytes());
        Ok(format!("sample.{partner}.{purpose}.{}", &sealed[..32]))
    }
}

impl AssignToken for ThrowAway {
    fn assigned(&self, scope: &str, value: &str, bits: u32) -> Result<String, NotAssigned> {
        let assigned = sha256_hex(format!("{THROW_AWAY}\n{scope}\n{value}").as_bytes());
        let digits = (bits / 4) as usize;
        assigned.get(..digits).map(str::to_owned).ok_or(NotAssigned)
    }
}
