//! `mappings approve` and `mappings stop`: an officer reads the exact text and signs it, on the officer's own machine.
//!
//! Everything that the text says is found here, from the files: digest, verdict, sentences. A note that others signed
//! already is rendered again and must be the same. The key is opened last, after the text was read and confirmed.

use std::io::{BufRead, IsTerminal};
use std::path::PathBuf;

use clap::ValueEnum;
use serde_json::json;

use super::diff;
use super::export::{Placed, place};
use super::over::{About, Over, Place, Target, refused, write_whole};
use super::seen::Seen;
use crate::app;
use crate::approval::{Approvals, Choice, Decision, Deputy, Header, Note, Opinion, Roster, SignerName, Subject};
use crate::cli::passphrase::{self, PassphraseArgs};
use crate::cli::{Exit, Failed, Out};
use crate::clock::{Clock, SystemClock};
use crate::domain::Timestamp;
use crate::domain::time::DAY_MS;
use crate::keys::OfficerKey;
use crate::lint;

/// A year, which the office plans by.
const VALID_DAYS: u32 = 365;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Decided {
    /// 승인: of a mapping, the policy or the roster.
    #[value(alias = "승인")]
    Approve,
    /// 보완 요구: sent back with a reason.
    #[value(alias = "보완요구", alias = "보완")]
    Amend,
    /// 반려: refused with a reason.
    #[value(alias = "반려")]
    Reject,
    /// 제공 중지: at once, by any one officer.
    #[value(alias = "중지", alias = "제공중지")]
    Stop,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Opined {
    /// 적합
    #[value(alias = "적합")]
    Fit,
    /// 조건부 적합: does not publish until the condition is closed.
    #[value(alias = "조건부적합", alias = "조건부")]
    Conditional,
    /// 부적합
    #[value(alias = "부적합")]
    Unfit,
}

#[derive(Debug, clap::Args)]
pub struct SignArgs {
    #[command(flatten)]
    place: Place,
    /// Your key file.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    #[command(flatten)]
    passphrase: PassphraseArgs,
    /// Why; needed for everything but an unconditional yes.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// 전자문서 생산등록번호 of the agency's document system.
    #[arg(long, value_name = "NUMBER")]
    document_no: Option<String>,
    /// 검토번호; made of the day and the digest where it is not given.
    #[arg(long, value_name = "NUMBER")]
    review_no: Option<String>,
    /// Who drew it up, where the mapping does not say.
    #[arg(long, value_name = "OFFICER")]
    author: Option<String>,
    /// Where the note is written that goes back; over a bundle only, a folder gets it itself.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// What this machine remembers, instead of <KEY>.seen.
    #[arg(long, value_name = "DIR")]
    seen: Option<PathBuf>,
    /// Do not ask: I read the text.
    #[arg(long)]
    yes: bool,
}

#[derive(Debug, clap::Args)]
pub struct ApproveArgs {
    #[command(flatten)]
    target: Target,
    #[arg(long, value_enum, default_value = "approve")]
    decision: Decided,
    /// What you think of it; by default what goes with the decision.
    #[arg(long, value_enum)]
    opinion: Option<Opined>,
    /// Days that the approval holds; at most what the policy allows.
    #[arg(long, value_name = "DAYS", default_value_t = VALID_DAYS)]
    days: u32,
    /// 대결: the officer in whose role you sign, by a delegation in the roster.
    #[arg(long, value_name = "OFFICER")]
    deputy_of: Option<String>,
    /// A note that another officer signed: add your signature to the same text.
    #[arg(long, value_name = "NOTE", conflicts_with_all = ["decision", "opinion", "days", "deputy_of", "reason"])]
    note: Option<PathBuf>,
    #[command(flatten)]
    sign: SignArgs,
}

#[derive(Debug, clap::Args)]
pub struct StopArgs {
    /// Mapping, for instance naver.slots.
    #[arg(value_name = "MAPPING")]
    mapping: String,
    #[command(flatten)]
    sign: SignArgs,
}

pub fn approve(args: &ApproveArgs, out: &mut Out) -> Result<Exit, Failed> {
    let desk = Desk::open(&args.target, &args.sign)?;
    let text = match &args.note {
        Some(path) => desk.others(path)?,
        None => {
            let decision = match args.decision {
                Decided::Approve => desk.about.subject().yes(),
                Decided::Amend => Decision::Amend,
                Decided::Reject => Decision::Reject,
                Decided::Stop => Decision::Stop,
            };
            desk.linted(decision)?;
            let opinion = args.opinion.map_or_else(|| usual(decision), Opined::opinion);
            let deputy = args.deputy_of.clone();
            desk.drafted(&args.sign, decision, opinion, args.days, deputy)?
        }
    };
    desk.sign(&args.sign, text, out)
}

pub fn stop(args: &StopArgs, out: &mut Out) -> Result<Exit, Failed> {
    let target = Target { mapping: Some(args.mapping.clone()), policy: false, roster: false };
    let desk = Desk::open(&target, &args.sign)?;
    let text = desk.drafted(&args.sign, Decision::Stop, usual(Decision::Stop), VALID_DAYS, None)?;
    desk.sign(&args.sign, text, out)
}

impl Opined {
    fn opinion(self) -> Opinion {
        match self {
            Opined::Fit => Opinion::Fit,
            Opined::Conditional => Opinion::Conditional,
            Opined::Unfit => Opinion::Unfit,
        }
    }
}

fn usual(decision: Decision) -> Opinion {
    match decision {
        Decision::Approve | Decision::Roster | Decision::Policy => Opinion::Fit,
        Decision::Amend => Opinion::Conditional,
        Decision::Reject | Decision::Stop => Opinion::Unfit,
    }
}

/// Everything before the signature.
struct Desk {
    over: Over,
    seen: Seen,
    approvals: Approvals,
    about: About,
    signer: SignerName,
    now: Timestamp,
}

impl Desk {
    fn open(target: &Target, args: &SignArgs) -> Result<Desk, Failed> {
        let over = args.place.open()?;
        let seen = Seen::open(&args.key, args.seen.as_deref(), &over.trust)?;
        let id = target.mapping.clone().unwrap_or_else(|| if target.policy { "policy" } else { "officers" }.to_owned());
        let approvals = over.approvals(&seen.heads(&id));
        let about = About::of(target, &over, &approvals)?;
        let public = OfficerKey::public_of(&args.key).map_err(|error| passphrase::failed(&error))?;
        // Of a roster, those of the one before sign.
        let roster = match &about {
            About::Roster(roster) => roster.previous.as_deref().and_then(|before| approvals.roster_of(before)),
            About::Mapping(_) | About::Policy(_) => approvals.roster(),
        };
        let signer = roster.and_then(|roster| signer(roster, &public)).ok_or_else(|| {
            let message = format!("no officer of the roster in force has the key {public}");
            let try_ = "have it registered: `slotbridge officer register`, then `mappings approve --roster`";
            Failed::new(Exit::Wrong, "unknown_officer", message, try_)
        })?;
        Ok(Desk { over, seen, approvals, about, signer, now: SystemClock.now() })
    }

    /// What the linter denies is not signed; it may be refused.
    fn linted(&self, decision: Decision) -> Result<(), Failed> {
        if !decision.is_yes() || matches!(self.about, About::Roster(_)) {
            return Ok(());
        }
        let beside = lint::Beside { risk: None, standings: None, today: app::today() };
        let report = lint::lint(&self.over.files, beside);
        if report.denials == 0 && !report.is_incomplete {
            return Ok(());
        }
        let message = format!("the linter denies it: {} finding(s)", report.denials);
        let try_ = "have it corrected, or refuse it: --decision amend --reason …";
        let failed = Failed::new(Exit::Wrong, "lint_denies", message, try_);
        Err(Failed { causes: vec![lint::render::text(&report, false)], ..failed })
    }

    fn drafted(
        &self,
        args: &SignArgs,
        decision: Decision,
        opinion: Opinion,
        days: u32,
        deputy_of: Option<String>,
    ) -> Result<String, Failed> {
        let subject = self.about.subject();
        let named = match &self.about {
            About::Mapping(closure) => closure.mapping.author.as_ref().map(|author| author.get_ref().clone()),
            About::Roster(_) | About::Policy(_) => None,
        };
        // A stop needs nobody who drew it up.
        let stops = (decision == Decision::Stop).then(|| self.signer.officer.clone());
        let author = named.or_else(|| args.author.clone()).or(stops).ok_or_else(|| {
            let message = "it is not said who drew it up, and an author may not sign";
            Failed::new(Exit::Wrong, "author_missing", message, "name the officer or the person with --author")
        })?;
        let whole = Timestamp(self.now.0.div_euclid(1_000) * 1_000);
        let until = whole.plus_ms(i64::from(days) * DAY_MS);
        let review_no = args.review_no.clone().unwrap_or_else(|| {
            let (day, digest) = (self.now.rfc3339()[..10].replace('-', ""), subject.digest());
            format!("{day}-{}", &digest[..6])
        });
        let choice = Choice {
            decision,
            opinion,
            reason: args.reason.clone(),
            author,
            review_no,
            document_no: args.document_no.clone(),
            validity: (decision == Decision::Approve).then_some((whole, until)),
            deputy: deputy_of.map(|delegator| Deputy { delegator, delegate: self.signer.officer.clone() }),
        };
        let draft =
            self.approvals.draft(&self.over.files, &subject, &choice, self.now).map_err(|flaw| refused(&flaw))?;
        Ok(draft.text)
    }

    /// A note that others signed, if it is what this machine renders from the same files.
    fn others(&self, path: &std::path::Path) -> Result<String, Failed> {
        let bytes = std::fs::read(path).map_err(|error| Failed::io(path.display(), &error))?;
        let note = Note::parse(&bytes).map_err(|flaw| refused(&flaw))?;
        let subject = self.about.subject();
        let header = Header::parse(&note.text).map_err(|flaw| refused(&flaw))?;
        if header.digest != subject.digest() {
            let message = format!("the note is about {} and not {}", header.digest, subject.digest());
            return Err(Failed::new(
                Exit::Wrong,
                "other_version",
                message,
                "ask for the bundle that the note was made over",
            ));
        }
        place(&self.over, &self.approvals, &subject, &note)?;
        self.linted(header.decision)?;
        Ok(note.to_string())
    }

    fn sign(&self, args: &SignArgs, text: String, out: &mut Out) -> Result<Exit, Failed> {
        let subject = self.about.subject();
        let shown = Note::parse(text.as_bytes()).map_or_else(|_| text.clone(), |note| note.text);
        if !out.is_json() {
            out.text(&self.before(&shown));
        }
        confirmed(args, out)?;
        let key = args.passphrase.open(&args.key)?;
        let signature = key.sign(&shown);
        let note = self.approvals.add_signature(&text, &subject, &self.signer, &signature);
        let note = note.map_err(|flaw| refused(&flaw))?;
        let placed = place(&self.over, &self.approvals, &subject, &note)?;
        let written = self.write(args, &note, &placed)?;
        self.seen.keep(&self.over.trust, &self.approvals, &subject, &note)?;
        if out.is_json() {
            out.value(&json!({
                "subject": subject.id(), "digest": subject.digest(), "note": note.digest(), "text": note.text,
                "signer": self.signer.to_string(), "signatures": note.signatures.len(), "written": written,
                "standing": placed.standing,
            }));
        } else {
            out.line(&format!("\nsigned by {} ({} signature(s) under this text)", self.signer, note.signatures.len()));
            out.line(&format!("wrote {}", written.display()));
            out.line(&format!("{}: {}", subject.id(), placed.standing));
        }
        Ok(Exit::Done)
    }

    /// What the officer reads: where it came from, what differs from the officer's own last note, and the text.
    fn before(&self, text: &str) -> String {
        let mut told = String::new();
        let trust = &self.over.trust;
        if self.seen.is_new() {
            let genesis = trust.genesis.as_deref().unwrap_or("none");
            told.push_str(&format!("first signature with this key: it will sign for {} alone\n", trust.origin));
            told.push_str(&format!("  first roster {genesis}: compare it with what you were told\n"));
        }
        told.push_str(&self.since_last());
        told.push_str(&format!(
            "\n──── 서명할 글 / the exact text to be signed, as {} ────\n{text}──── 끝 / end ────\n",
            self.signer
        ));
        told
    }

    fn since_last(&self) -> String {
        let subject = self.about.subject();
        let Some((note, before)) = self.seen.last(subject.id()) else {
            return format!(
                "이 키로 {}에 서명한 적이 없음 / you have not signed about it with this key\n",
                subject.id()
            );
        };
        let mut told = String::new();
        let is_there = self.approvals.history(subject.id()).iter().any(|kept| kept.digest == note.digest());
        if !is_there {
            told.push_str("주의: 본인의 마지막 서명이 이 폴더에 없음 / your own last note is not in this folder\n");
        }
        if let (Subject::Mapping(after), Some(before)) = (subject, before) {
            let change = lint::compare(Some(&before), after);
            let (ko, en) = (change.verdict.ko(), change.verdict.code());
            told.push_str(&format!("본인의 마지막 서명본 대비 / against what you signed last: {ko} ({en})\n"));
            let moved: Vec<&lint::ChangeRow> = change.moved().collect();
            if !moved.is_empty() {
                told.push_str(&format!("{}\n", diff::table(&moved)));
            }
        }
        told
    }

    fn write(&self, args: &SignArgs, note: &Note, placed: &Placed) -> Result<PathBuf, Failed> {
        if let Some(dir) = self.over.dir.as_ref().filter(|_| args.out.is_none()) {
            placed.write(dir)?;
            return Ok(dir.join(&placed.note.0));
        }
        let name =
            || PathBuf::from(format!("{}-{}.note", self.about.subject().id(), &self.about.subject().digest()[..12]));
        let path = args.out.clone().unwrap_or_else(name);
        write_whole(&path, note.to_string().as_bytes())?;
        Ok(path)
    }
}

/// By its public key; a roster has a key once.
fn signer(roster: &Roster, public: &str) -> Option<SignerName> {
    roster.officers.iter().find_map(|officer| {
        let key = officer.keys.iter().find(|key| key.public.to_string() == public)?;
        Some(SignerName { officer: officer.id.clone(), key: key.name.clone() })
    })
}

fn confirmed(args: &SignArgs, out: &mut Out) -> Result<(), Failed> {
    if args.yes {
        return Ok(());
    }
    let not =
        |message: &str| Failed::new(Exit::Wrong, "not_confirmed", message, "read the text and type yes, or give --yes");
    if out.is_json() || !std::io::stdin().is_terminal() {
        return Err(not("nobody is there to confirm that the text was read"));
    }
    out.text("이 글에 서명합니까? yes를 입력 / sign this text? type yes: ");
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).map_err(|error| Failed::io("standard input", &error))?;
    if answer.trim() == "yes" { Ok(()) } else { Err(not("it was not confirmed; nothing was signed")) }
}
