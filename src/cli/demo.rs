//! `demo`.

use std::path::PathBuf;

use super::{Exit, Failed, Out};
use crate::config::PersonConstraint;
use crate::demo::{self, DemoFailed, Ended, Options, TrafficWanted};

#[derive(Debug, clap::Args)]
pub struct DemoArgs {
    /// Keep everything in this (empty) folder instead of a temporary one.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Slots of the example legacy system.
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u32).range(1..=5_000_000))]
    slots: u32,
    /// Persons of the example legacy system; loaded behind the running daemon.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(100..=60_000_000))]
    people: u32,
    /// The same seed makes the same sites, slots and persons.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Seconds of traffic, then a verdict. Without it, until interrupted.
    #[arg(long = "for", value_name = "SECS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: Option<u64>,
    /// Leave it idle, to try it by hand.
    #[arg(long)]
    no_traffic: bool,
    /// Run on a real publication: a folder of SMART Scheduling Links, or a file with a CoWIN answer.
    #[arg(long, value_name = "PATH")]
    import: Option<PathBuf>,
    /// Does the legacy system refuse a second active reservation of a person by itself?
    #[arg(long, value_enum, default_value_t = PersonConstraint::Unique)]
    person_constraint: PersonConstraint,
    /// Port on 127.0.0.1; 0: any free one.
    #[arg(long, default_value_t = 0)]
    port: u16,
}

pub fn demo(args: DemoArgs, out: &mut Out) -> Result<Exit, Failed> {
    let options = Options {
        dir: args.dir,
        slots: args.slots,
        people: args.people,
        seed: args.seed,
        seconds: args.seconds,
        traffic: if args.no_traffic { TrafficWanted::No } else { TrafficWanted::Yes },
        import: args.import,
        person_constraint: args.person_constraint,
        port: args.port,
    };
    match demo::run(&options, out) {
        Ok(Ended::Right) => Ok(Exit::Done),
        Ok(Ended::Wrong) => Ok(Exit::Wrong),
        Err(error) => Err(failed(&error)),
    }
}

fn failed(error: &DemoFailed) -> Failed {
    let (exit, code, try_) = match error {
        DemoFailed::NotEmpty { .. } => (Exit::Exists, "not_empty", "name an empty folder, or none"),
        DemoFailed::Port { .. } => (Exit::Io, "port", "leave --port out to take any free one"),
        DemoFailed::Import { .. } => (Exit::Wrong, "import", "name a folder with $bulk-publish, or a CoWIN JSON file"),
        DemoFailed::File { .. } => (Exit::Io, "io", "check the folder and the space left"),
        DemoFailed::Start(error) => return super::run::start_failed(error),
        _ => (Exit::Defect, "demo", "run it again with SLOTBRIDGE_LOG=debug and report it"),
    };
    Failed::new(exit, code, error, try_).because(error)
}
