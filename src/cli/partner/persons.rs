//! `partner token` and `partner eligible`.

use std::path::PathBuf;

use serde_json::json;

use super::args::{Person, StoreDir};
use super::{Exit, Failed, Out, args, failed, run};
use crate::clock::{Clock, SystemClock};
use crate::partner::eligible::{self, Birth, Window};
use crate::partner::person::{self, Wish};
use crate::partner::secret_file;

#[derive(Debug, clap::Args)]
pub struct TokenArgs {
    #[command(flatten)]
    pub link: args::Link,
    #[command(flatten)]
    pub person: Person,
    /// Which vaccination series the user consented to.
    #[arg(long, default_value = "covid19-1")]
    pub series: String,
    /// File with the CI of the guardian who acts for a child; mode 0600.
    #[arg(long, value_name = "FILE")]
    pub guardian_ci_file: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub struct EligibleArgs {
    #[command(flatten)]
    pub store: StoreDir,
    /// The bridge that the store was pulled from.
    #[arg(long, env = "SLOTBRIDGE_PARTNER_URL")]
    pub url: String,
    /// The verified user's year of birth.
    #[arg(long, value_name = "YEAR", value_parser = clap::value_parser!(u16).range(1880..=2200))]
    pub born: Option<u16>,
    /// File with the user's person token, to look it up where the feed `eligibility_tokens` was pulled.
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Which vaccination series.
    #[arg(long, default_value = "covid19-1")]
    pub series: String,
}

pub fn token(args: &TokenArgs, out: &mut Out) -> Result<Exit, Failed> {
    let token = run(async {
        let bridge = args.link.bridge()?;
        let (ci, issuer) = (secret_file::text(&args.person.ci_file)?, args.person.receipt.issuer()?);
        let guardian = args.guardian_ci_file.as_deref().map(secret_file::text).transpose()?;
        let guardian = guardian.as_ref().map(|text| text.as_str());
        let wish = Wish { partner: &args.person.partner, series: &args.series, ci: &ci, guardian, issuer: &issuer };
        person::token(&bridge, &wish).await
    })?;
    if out.is_json() {
        out.value(&json!(token));
    } else {
        // Alone on its line, so that it can be sent into a file.
        out.line(&token.person);
    }
    Ok(Exit::Done)
}

pub fn eligible(args: &EligibleArgs, out: &mut Out) -> Result<Exit, Failed> {
    let fail = |error| failed(&error);
    let store = args.store.open(&args.url).map_err(fail)?;
    let token = args.token_file.as_deref().map(secret_file::text).transpose().map_err(fail)?;
    let birth = args.born.map(|year| Birth { year });
    let token = token.as_ref().map(|text| text.as_str());
    let cohorts = eligible::cohorts(&store, &args.series, birth, token, SystemClock.now()).map_err(fail)?;
    let is_open = cohorts.iter().any(|cohort| cohort.window == Window::Open);
    if out.is_json() {
        out.value(&json!({ "open": is_open, "cohorts": cohorts, "may_try": true }));
        return Ok(Exit::Done);
    }
    for cohort in &cohorts {
        let name = cohort.name.as_deref().unwrap_or(&cohort.id);
        let (from, to) = (cohort.opens_at.as_deref().unwrap_or("–"), cohort.closes_at.as_deref().unwrap_or("–"));
        let now = match cohort.window {
            Window::Open => "may book now",
            Window::Later => "may book later",
            Window::Over => "over",
        };
        out.line(&format!("{name}: {now} ({from} … {to})"));
    }
    if !is_open {
        out.line("no cohort is open that is known here; let the user try, small groups are in no feed");
    }
    Ok(Exit::Done)
}
