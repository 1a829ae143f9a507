//! `partner test`: one round of everything.

use serde_json::json;

use super::args::{Choice, Link, Person, StoreDir};
use super::bookings::effort;
use super::{Exit, Failed, Out, run};
use crate::partner::eligible::Birth;
use crate::partner::round::Round;
use crate::partner::secret_file;

#[derive(Debug, clap::Args)]
pub struct TestArgs {
    #[command(flatten)]
    pub link: Link,
    #[command(flatten)]
    pub store: StoreDir,
    #[command(flatten)]
    pub person: Person,
    /// The user's year of birth.
    #[arg(long, value_name = "YEAR", value_parser = clap::value_parser!(u16).range(1880..=2200))]
    pub born: Option<u16>,
    #[command(flatten)]
    pub choice: Choice,
}

pub fn test(args: &TestArgs, out: &mut Out) -> Result<Exit, Failed> {
    let mut steps = Vec::new();
    let done = run(async {
        let (bridge, store) = (args.link.bridge()?, args.store.open(&args.link.url)?);
        let (ci, issuer) = (secret_file::text(&args.person.ci_file)?, args.person.receipt.issuer()?);
        let round = Round {
            bridge: &bridge,
            store: &store,
            key_file: &args.link.key_file,
            ci_file: &args.person.ci_file,
            partner: &args.person.partner,
            ci: &ci,
            issuer: &issuer,
            birth: args.born.map(|year| Birth { year }),
            wanted: args.choice.wanted(),
            effort: effort(true),
        };
        let told = |step: &crate::partner::round::Step| {
            if out.is_json() {
                steps.push(step.clone());
            } else {
                out.line(&format!("{:<9} {}\n          {}", step.step, step.found, step.curl));
            }
        };
        round.run(told).await
    });
    done?;
    if out.is_json() {
        out.value(&json!({ "steps": steps, "passed": true }));
    } else {
        out.line("passed");
    }
    Ok(Exit::Done)
}
