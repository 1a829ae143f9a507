//! `demo`.

use std::path::PathBuf;

use super::{Exit, Failed, Out};
use crate::config::{Body, Maintained, PersonConstraint};
use crate::demo::{self, DemoFailed, Ended, Legacy, Options, TrafficWanted};
use crate::domain::AllotmentMode;

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
    /// What stands for the agency's system: `sqlite`, the embedded one; development builds have `oracle-double` too.
    #[arg(long, default_value = "sqlite", value_name = "KIND", value_parser = legacy)]
    legacy: Legacy,
    /// Where units come from: on_request, quota, counter, remaining, capacity, count_rows.
    #[arg(long, default_value = "counter", value_parser = mode)]
    mode: AllotmentMode,
    /// Who keeps the counter: application, trigger.
    #[arg(long, default_value = "application", value_name = "WHO", value_parser = maintained)]
    maintained: Maintained,
    /// How the Oracle adapter writes: sql, procedure.
    #[arg(long, default_value = "sql", value_parser = body)]
    body: Body,
    /// The agency recounts its counters, saves stale screens and edits capacities meanwhile.
    #[arg(long)]
    vices: bool,
    /// Sessions die, commits go unacknowledged, the listener goes down, a password is refused; with `oracle-double` only.
    #[arg(long, hide = cfg!(not(debug_assertions)))]
    faults: bool,
    /// Port on 127.0.0.1; 0: any free one.
    #[arg(long, default_value_t = 0)]
    port: u16,
}

fn legacy(text: &str) -> Result<Legacy, String> {
    match text {
        "sqlite" => Ok(Legacy::Sqlite),
        #[cfg(debug_assertions)]
        "oracle-double" => Ok(Legacy::OracleDouble),
        #[cfg(not(debug_assertions))]
        "oracle-double" => Err("the Oracle double is a tool for tests and not part of a release build; \
                                run it from a development build: cargo run -- demo --legacy oracle-double"
            .to_owned()),
        _ => Err("use sqlite".to_owned()),
    }
}

fn mode(text: &str) -> Result<AllotmentMode, String> {
    let mut sells = AllotmentMode::ALL.into_iter().filter(|mode| *mode != AllotmentMode::None);
    let known = sells.clone().find(|mode| mode.code() == text);
    known
        .ok_or_else(|| format!("use one of {}", sells.by_ref().map(AllotmentMode::code).collect::<Vec<_>>().join(", ")))
}

fn maintained(text: &str) -> Result<Maintained, String> {
    let known = [Maintained::Application, Maintained::Trigger].into_iter().find(|who| who.code() == text);
    known.ok_or_else(|| "use application or trigger".to_owned())
}

fn body(text: &str) -> Result<Body, String> {
    match text {
        "sql" => Ok(Body::Sql),
        "procedure" => Ok(Body::Procedure),
        _ => Err("use sql or procedure".to_owned()),
    }
}

pub fn demo(args: DemoArgs, out: &mut Out) -> Result<Exit, Failed> {
    if args.faults && args.legacy == Legacy::Sqlite {
        let message = "--faults needs --legacy oracle-double";
        return Err(Failed::new(Exit::Wrong, "faults", message, "leave --faults out: the embedded system has none"));
    }
    let options = Options {
        dir: args.dir,
        slots: args.slots,
        people: args.people,
        seed: args.seed,
        seconds: args.seconds,
        traffic: if args.no_traffic { TrafficWanted::No } else { TrafficWanted::Yes },
        import: args.import,
        person_constraint: args.person_constraint,
        legacy: args.legacy,
        mode: args.mode,
        maintained: args.maintained,
        body: args.body,
        vices: args.vices,
        faults: args.faults,
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
        DemoFailed::NoDouble => (Exit::Io, "no_double", "build it: cargo build -p fake-oracle"),
        DemoFailed::Unproved { .. } => (Exit::Wrong, "mode_not_proved", "choose another mode, or another seed"),
        DemoFailed::Import { .. } => (Exit::Wrong, "import", "name a folder with $bulk-publish, or a CoWIN JSON file"),
        DemoFailed::File { .. } => (Exit::Io, "io", "check the folder and the space left"),
        DemoFailed::Start(error) => return super::run::start_failed(error),
        _ => (Exit::Defect, "demo", "run it again with SLOTBRIDGE_LOG=debug and report it"),
    };
    Failed::new(exit, code, error, try_).because(error)
}
