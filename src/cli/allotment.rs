//! `allotment show|prove`: which modes are in use, which are proved, and how one is proved.

use std::io::BufRead;
use std::time::{Duration, Instant};

use clap::Subcommand;
use comfy_table::{Table, presets};

use super::{ConfigFile, Exit, Failed, Out};
use crate::app::{Files, Proof, ProofFailed, Proofs, ProveFailed, Proving, Verdict};
use crate::config::{self, Config};
use crate::domain::{AllotmentMode, SlotKey};

#[derive(Debug, Subcommand)]
pub enum AllotmentCommand {
    /// Modes in use and the proofs there are.
    Show(ConfigFile),
    /// Take every unit of a canary slot, let somebody try to book it natively, give everything back, record the result.
    /// The daemon must not run meanwhile.
    Prove(ProveArgs),
}

#[derive(Debug, clap::Args)]
pub struct ProveArgs {
    #[command(flatten)]
    file: ConfigFile,
    /// Canary slot: open, with places left, and of no interest to anybody.
    #[arg(long)]
    slot: SlotKey,
    /// Mode to prove, instead of allotment.mode.
    #[arg(long, value_parser = mode)]
    mode: Option<AllotmentMode>,
    /// Wait so long for native bookings instead of asking on the terminal.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(0..=240))]
    minutes: Option<u64>,
    /// So many native bookings are tried while it waits, and every one must be refused; for scripts.
    #[arg(long, value_name = "N", requires = "minutes")]
    expect_refused: Option<u32>,
}

fn mode(text: &str) -> Result<AllotmentMode, String> {
    let known = AllotmentMode::ALL.into_iter().find(|mode| mode.code() == text);
    known.ok_or_else(|| format!("use one of {}", AllotmentMode::ALL.map(AllotmentMode::code).join(", ")))
}

pub fn allotment(command: &AllotmentCommand, out: &mut Out) -> Result<Exit, Failed> {
    match command {
        AllotmentCommand::Show(file) => show(&config::load(&file.config)?.config, out),
        AllotmentCommand::Prove(args) => prove(args, out),
    }
}

fn show(config: &Config, out: &mut Out) -> Result<Exit, Failed> {
    let proofs = Proofs::read(&Files::of(&config.daemon.data_dir)).map_err(|error| proof_failed(&error))?;
    let by = config.allotment.maintained_by;
    let modes = config.allotment.modes();
    let standing = |mode: AllotmentMode| match proofs.verdict(mode, by) {
        _ if !mode.takes() => "needs no proof",
        Some(proof) => proof.verdict.code(),
        None => "not proved",
    };
    if out.is_json() {
        let modes: Vec<_> = modes
            .iter()
            .map(|(key, mode)| serde_json::json!({ "key": key, "mode": mode, "standing": standing(*mode) }))
            .collect();
        out.value(&serde_json::json!({ "maintained_by": by, "modes": modes, "proofs": proofs.0 }));
        return Ok(Exit::Done);
    }
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_header(["key", "mode", "standing"]);
    for (key, mode) in &modes {
        table.add_row([key.as_str(), mode.code(), standing(*mode)]);
    }
    out.line(&format!("{table}\n"));
    let mut table = Table::new();
    let header = ["at", "mode", "counter kept by", "slot", "units", "refused", "native before", "after", "verdict"];
    table.load_style(presets::UTF8_FULL_CONDENSED).set_header(header);
    for proof in &proofs.0 {
        table.add_row(row(proof));
    }
    out.line(&table.to_string());
    Ok(Exit::Done)
}

fn row(proof: &Proof) -> [String; 9] {
    [
        proof.at.rfc3339(),
        proof.mode.code().to_owned(),
        proof.maintained_by.code().to_owned(),
        proof.slot.to_string(),
        proof.units.to_string(),
        proof.refused.to_string(),
        proof.native_before.to_string(),
        proof.native_after.to_string(),
        proof.verdict.code().to_owned(),
    ]
}

fn prove(args: &ProveArgs, out: &mut Out) -> Result<Exit, Failed> {
    let config = config::load(&args.file.config)?.config;
    let mode = args.mode.unwrap_or(config.allotment.mode);
    let (mut proving, returned) = Proving::begin(&config).map_err(|error| failed(&error))?;
    if let Some(units) = returned.filter(|_| !out.is_json()) {
        out.line(&format!("an earlier run had been cut short; its {units} unit(s) are returned"));
    }
    let units = proving.take(&args.slot, mode).map_err(|error| failed(&error))?;
    let taken = proving.canary(&args.slot).map_err(|error| failed(&error))?;
    if !out.is_json() {
        out.line(&format!(
            "{units} unit(s) of slot {} are taken in mode {}; the legacy system has {} left for native selling.\n\
             Now try to book the slot in the agency's own screens, as a citizen and as a clinic would, at least once \
             each.\nEvery attempt must be refused. Units are returned at the end, whatever happens.",
            args.slot,
            mode.code(),
            taken.left.map_or_else(|| "an unknown number".to_owned(), |left| left.to_string()),
        ));
    }
    let refused = waited(args, out);
    let proof = proving.finish(refused, taken.left).map_err(|error| failed(&error))?;
    if out.is_json() {
        let value = serde_json::to_value(&proof).map_err(|error| {
            Failed::new(Exit::Defect, "defect", "the proof could not be shown", "report it").because(&error)
        })?;
        out.value(&value);
    } else {
        out.line(&told(&proof));
    }
    Ok(if proof.verdict == Verdict::Proved { Exit::Done } else { Exit::Wrong })
}

/// Until the time is over or the operator says so. Returns how many attempts were refused.
fn waited(args: &ProveArgs, out: &mut Out) -> u32 {
    if let Some(minutes) = args.minutes {
        let until = Instant::now() + Duration::from_secs(minutes * 60);
        while let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            std::thread::sleep(left.min(Duration::from_secs(1)));
        }
        return args.expect_refused.unwrap_or(0);
    }
    out.line("How many native bookings were tried and refused? (a number, then Enter)");
    let mut line = String::new();
    // A terminal that is gone has seen no attempt.
    let _ = std::io::stdin().lock().read_line(&mut line);
    line.trim().parse().unwrap_or(0)
}

fn told(proof: &Proof) -> String {
    let what = match proof.verdict {
        Verdict::Proved => "proved: no native booking got a unit that the bridge held",
        Verdict::Refuted => {
            "refuted: native selling got through although everything was taken; do not use this mode, see the table of \
             modes for one that fits"
        }
        Verdict::Untried => "nothing follows: nobody tried, or native selling had units left; run it again",
    };
    let (before, after) = (proof.native_before, proof.native_after);
    format!("{} unit(s) are dealt with; native reservations before {before}, after {after}\n{what}", proof.units)
}

fn proof_failed(error: &ProofFailed) -> Failed {
    Failed::new(Exit::Io, error.code(), error, error.next_step()).because(error)
}

fn failed(error: &ProveFailed) -> Failed {
    let again = "run the same command again: units that it still holds are returned first";
    match error {
        ProveFailed::Start(error) => super::run::start_failed(error),
        ProveFailed::Proofs(error) => proof_failed(error),
        ProveFailed::Legacy(error) => Failed::new(Exit::Io, error.class, error, again).because(error),
        ProveFailed::NothingToProve { .. } => {
            Failed::new(Exit::Wrong, "nothing_to_prove", error, "such a mode may be used without a proof")
        }
        ProveFailed::NoSlot { .. } | ProveFailed::NothingLeft { .. } => {
            Failed::new(Exit::Wrong, "no_canary", error, "name an open slot with places left")
        }
        ProveFailed::NotAllowed { .. } => Failed::new(
            Exit::Wrong,
            "not_allowed",
            error,
            "ask the agency to turn its switch to RUN and open the fence",
        ),
        ProveFailed::Fence => Failed::new(Exit::Defect, "fence", error, "use a newer version"),
        ProveFailed::Catalogue => {
            Failed::new(Exit::Config, "catalogue", error, "declare the roles capacity and native on object slot")
        }
        ProveFailed::Answer { .. } => Failed::new(Exit::Wrong, "answer", error, again),
        ProveFailed::Random => Failed::new(Exit::Io, "random", error, again),
    }
}
