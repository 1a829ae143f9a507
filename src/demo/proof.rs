//! The proof that a mode keeps native selling out, which Oracle wants before the daemon starts: `allotment prove`'s own
//! machinery on a canary slot, with the agency's own application as the one who tries.

use std::path::Path;

use super::{DemoFailed, stage};
use crate::app::{Proof, Proving, Verdict};
use crate::config::Config;
use crate::domain::SlotKey;
use crate::legacy::sqlite::Design;
use crate::legacy::sqlite::generate::{self, Standing};
use crate::legacy::sqlite::native::{NativeOutcome, NativeSeller, Selling};

/// Persons who try. Those who may not book for another reason prove nothing.
const TRIES: u32 = 40;

/// Takes a slot whole, has people try to book it natively, gives it back. What comes of it is in the data folder.
pub fn prove(config: &Config, legacy: &Path, design: Design, plan: &generate::Plan) -> Result<Proof, DemoFailed> {
    let mode = config.allotment.mode;
    let failed = |cause: String| DemoFailed::Unproved { mode, cause };
    let people = plan.people.min(TRIES);
    stage::load_people(legacy, design, plan, people)?;
    let mut seller = NativeSeller::open(legacy, Selling::of(design))?;
    // The last of many: nobody wants it soon.
    let canary = seller.open_slots(u32::MAX)?.pop().ok_or_else(|| failed("there is no open slot".to_owned()))?;
    let slot = SlotKey::new(&canary).map_err(|error| failed(error.to_string()))?;
    let (mut proving, _) = Proving::begin(config).map_err(|error| failed(error.to_string()))?;
    proving.take(&slot, mode).map_err(|error| failed(error.to_string()))?;
    let left = proving.canary(&slot).map_err(|error| failed(error.to_string()))?.left;
    let mut refused = 0;
    for number in 1..=people {
        let person = generate::person(plan.seed, number, stage::born(plan));
        if person.standing == Standing::Active && seller.book(&canary, &person.key)? == NativeOutcome::Full {
            refused += 1;
        }
    }
    let proof = proving.finish(refused, left).map_err(|error| failed(error.to_string()))?;
    if proof.verdict == Verdict::Proved { Ok(proof) } else { Err(failed(proof.verdict.code().to_owned())) }
}

/// The proof in words.
pub fn words(proof: &Proof) -> String {
    format!(
        "mode {} is {} on the canary slot {}: {} unit(s) taken, {} native bookings tried and refused, all returned",
        proof.mode.code(),
        proof.verdict.code(),
        proof.slot,
        proof.units,
        proof.refused
    )
}
