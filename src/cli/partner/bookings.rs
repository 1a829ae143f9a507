//! `partner book`, `partner status` and `partner cancel`.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use super::args::{Choice, Link, StoreDir};
use super::{Exit, Failed, Out, run};
use crate::partner::book::{self, TRIES_MAX};
use crate::partner::choose::{self, Offer};
use crate::partner::{Booked, Effort, Order, PartnerError, Store, secret_file};

/// With --retry: requests with new keys after refusals, and the longest wait for more units.
const NEW_KEYS_MAX: u32 = 5;
const WAIT_MAX: Duration = Duration::from_secs(10);

#[derive(Debug, clap::Args)]
pub struct BookArgs {
    #[command(flatten)]
    pub link: Link,
    #[command(flatten)]
    pub store: StoreDir,
    /// File with the user's person token; mode 0600.
    #[arg(long, value_name = "FILE", required_unless_present = "resume")]
    pub token_file: Option<PathBuf>,
    #[command(flatten)]
    pub choice: Choice,
    /// The partner's own reference; never a personal number.
    #[arg(long, value_name = "REF")]
    pub partner_ref: Option<String>,
    /// After a refusal that allows it, try what it offers.
    #[arg(long)]
    pub retry: bool,
    /// Take up requests whose answer was never heard, with their keys; book nothing new.
    #[arg(long, conflicts_with_all = ["token_file", "retry"])]
    pub resume: bool,
}

#[derive(Debug, clap::Args)]
pub struct BookingArgs {
    /// Booking id, such as b-771.
    pub id: String,
    #[command(flatten)]
    pub link: Link,
}

pub fn effort(is_persistent: bool) -> Effort {
    let new_keys_max = if is_persistent { NEW_KEYS_MAX } else { 0 };
    Effort { tries_max: TRIES_MAX, new_keys_max, wait_max: WAIT_MAX }
}

pub fn book(args: &BookArgs, out: &mut Out) -> Result<Exit, Failed> {
    let done = run(async {
        let (bridge, store) = (args.link.bridge()?, args.store.open(&args.link.url)?);
        let Some(token_file) = &args.token_file else {
            return book::resume(&bridge, &store, TRIES_MAX).await;
        };
        let person = secret_file::text(token_file)?.to_string();
        let Offer { slot_id, series, .. } = offer(&store, &args.choice)?;
        let seen_cursor = store.standing("slots")?.map(|standing| standing.cursor);
        let (partner_ref, within_km) = (args.partner_ref.clone(), args.choice.within_km);
        let order = Order { slot_id, person, series, seen_cursor, partner_ref, within_km };
        Ok(vec![book::book(&bridge, &store, &order, effort(args.retry)).await?])
    })?;
    let is_done = done.iter().all(|one| matches!(one, Booked::Accepted { .. }));
    if out.is_json() {
        match done.as_slice() {
            [one] if !args.resume => out.value(&json!(one)),
            all => out.value(&json!({ "requests": all })),
        }
    } else {
        done.iter().for_each(|one| told(one, out));
    }
    Ok(if is_done { Exit::Done } else { Exit::Wrong })
}

/// The first that fits of what was pulled.
fn offer(store: &Store, choice: &Choice) -> Result<Offer, PartnerError> {
    let try_ = "pull sites and slots first, or ask for less";
    let nothing = || PartnerError::Nothing { what: "no bookable slot fits in what was pulled".to_owned(), try_ };
    choose::offers(store, &choice.wanted(), 1)?.into_iter().next().ok_or_else(nothing)
}

fn told(booked: &Booked, out: &mut Out) {
    match booked {
        Booked::Accepted { booking, key, refused_before } => {
            booking_line(booking, out);
            out.line(&format!("  Idempotency-Key {key}, after {refused_before} refusals"));
        }
        Booked::Refused { code, retry, problem, .. } => {
            out.line(&format!("refused: {code} (retry: {retry})"));
            if let Some(text) = problem["user_message"]["ko"].as_str() {
                out.line(&format!("  for the user: {text}"));
            }
            for other in problem["alternatives"].as_array().into_iter().flatten() {
                out.line(&format!("  free: {} {}", other["slot_id"], other["start"]));
            }
        }
        Booked::Unknown { key, code } => {
            out.line(&format!("not known ({code}): take it up with `partner book --resume`; key {key}"));
        }
    }
}

fn booking_line(booking: &Value, out: &mut Out) {
    let text = |name: &str| booking[name].as_str().unwrap_or("–").to_owned();
    out.line(&format!("{} {} sync {} slot {}", text("id"), text("status"), text("sync"), text("slot_id")));
}

pub fn status(args: &BookingArgs, out: &mut Out) -> Result<Exit, Failed> {
    let booking = run(async { book::status(&args.link.bridge()?, &args.id).await })?;
    shown(&booking, out)
}

pub fn cancel(args: &BookingArgs, out: &mut Out) -> Result<Exit, Failed> {
    let booking = run(async { book::cancel(&args.link.bridge()?, &args.id).await })?;
    shown(&booking, out)
}

fn shown(booking: &Value, out: &mut Out) -> Result<Exit, Failed> {
    if out.is_json() {
        out.value(booking)
    } else {
        booking_line(booking, out)
    }
    Ok(Exit::Done)
}
