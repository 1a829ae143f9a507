//! The deciding core, the real committer and simulated disk, legacy system and partners under one seed.
//!
//! The seed is printed first; a failing one prints the command that replays it. `SIM_SEED` fixes the first seed,
//! `SIM_BUDGET_SECS` how long seeds are tried (5 s by default), `SIM_RUNS` how many at least.

#[path = "sim/account.rs"]
mod account;
#[path = "sim/disk.rs"]
mod disk;
#[path = "sim/judge.rs"]
mod judge;
#[path = "sim/legacy.rs"]
mod legacy;
#[path = "sim/naive.rs"]
mod naive;
#[path = "sim/options.rs"]
mod options;
#[path = "sim/world.rs"]
mod world;

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use options::{Options, Plant};
use world::World;

fn env(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} must be a number")))
}

fn run(seed: u64, options: Options) -> Result<BTreeMap<&'static str, u64>, String> {
    let mut world = World::new(seed, options);
    world.safety_phase()?;
    world.liveness_phase()?;
    Ok(world.exercised)
}

#[test]
fn every_seed_keeps_every_invariant() {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as u64;
    let first = env("SIM_SEED").unwrap_or(now);
    let budget = Duration::from_secs(env("SIM_BUDGET_SECS").unwrap_or(5));
    let at_least = env("SIM_RUNS").unwrap_or(40);
    println!("simulation: first seed {first}, budget {budget:?}");
    let started = Instant::now();
    let mut total: BTreeMap<&'static str, u64> = BTreeMap::new();
    let mut runs = 0;
    // Rare things take more seeds: until each has happened, but not for ever.
    let rare = |total: &BTreeMap<&'static str, u64>, runs| runs < RUNS_MAX && missing(total).is_some();
    while runs < at_least || (env("SIM_SEED").is_none() && (started.elapsed() < budget || rare(&total, runs))) {
        let seed = first.wrapping_add(runs);
        match run(seed, Options::swarm(seed)) {
            Ok(exercised) => exercised.into_iter().for_each(|(what, n)| *total.entry(what).or_default() += n),
            Err(broken) => panic!(
                "seed {seed}: {broken}\n{:?}\nreplay: SIM_SEED={seed} SIM_RUNS=1 cargo test --test simulation every_seed -- --nocapture",
                Options::swarm(seed)
            ),
        }
        runs += 1;
        if env("SIM_SEED").is_some() && runs >= at_least {
            break;
        }
    }
    println!("simulation: {runs} seeds, exercised {total:#?}");
    if runs >= 40
        && let Some(what) = missing(&total)
    {
        panic!("{what} was never exercised in {runs} seeds");
    }
}

/// Seeds after which what never happened counts as unreachable: the rarest happens about once in 200.
const RUNS_MAX: u64 = 4_000;

fn missing(exercised: &BTreeMap<&'static str, u64>) -> Option<&'static str> {
    options::MUST_BE_EXERCISED.into_iter().find(|what| !exercised.contains_key(what))
}

/// Rules 28 and 32, over fixed seeds: a side that is restored to an earlier point comes level.
#[test]
fn a_restored_side_comes_level() {
    let mut failed = Vec::new();
    let mut total: BTreeMap<&'static str, u64> = BTreeMap::new();
    for seed in 0..RESTORED_SEEDS {
        match run(seed, Options::restored(seed)) {
            Ok(exercised) => exercised.into_iter().for_each(|(what, n)| *total.entry(what).or_default() += n),
            Err(broken) => failed.push((seed, broken.chars().take(200).collect::<String>())),
        }
    }
    println!("simulation: {RESTORED_SEEDS} seeds with a restored side, exercised {total:#?}");
    let seeds: Vec<u64> = failed.iter().map(|(seed, _)| *seed).collect();
    assert_eq!(seeds, RESTORED_OPEN, "{failed:#?}");
    assert!(total.contains_key("legacy_restored") && total.contains_key("ledger_restored"));
}

const RESTORED_SEEDS: u64 = 60;
/// Seeds in which the two sides still disagree at the end: defects that are open (README, Residual risks). A seed that is
/// mended makes the test above fail until it is taken from this list.
const RESTORED_OPEN: &[u64] = &[];

#[test]
fn the_same_seed_gives_the_same_run() {
    let one = run(42, Options::swarm(42)).unwrap();
    let two = run(42, Options::swarm(42)).unwrap();
    assert_eq!(one, two);
}

/// Planted faults of the core: each must be found, else the simulation proves nothing.
#[test]
fn a_unit_lost_from_the_account_is_found() {
    let found = (0..20).any(|seed| {
        let mut options = Options::swarm(seed);
        options.plant = Some(Plant::LoseTurnedBack);
        run(seed, options).is_err()
    });
    assert!(found, "a unit that is in the escrow and in nobody's account was not noticed");
}

#[test]
fn a_mend_whose_loss_is_ignored_is_found() {
    let found = (0..40).any(|seed| {
        let mut options = Options::swarm(seed);
        (options.plant, options.tamper_percent) = (Some(Plant::IgnoreLost), 30);
        run(seed, options).is_err()
    });
    assert!(found, "units that a mend gave up were sold on, and nobody noticed");
}

#[test]
fn a_lost_entry_is_found() {
    let found = (0..20).any(|seed| {
        let mut options = Options::swarm(seed);
        options.plant = Some(Plant::ForgetAnAppend);
        run(seed, options).is_err()
    });
    assert!(found, "a disk that forgets a synced batch was not noticed");
}
