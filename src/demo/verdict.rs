//! The end of a demonstration: what the ledger, the legacy database and the partners' answers say, held against each
//! other. Computed from data alone; the daemon's own opinion of itself is not asked.

use std::collections::{BTreeMap, BTreeSet};

use super::agency::Edited;
use super::codes::is_conflict;
use super::tally::Seen;
use super::told::{InLegacy, Told, frozen, replay, sold_into_overruns};
use crate::decide::{Entry, Totals};
use crate::domain::{BookingId, EndReason, PersonNo, Position, SeriesId};
use crate::ledger::Report;
use crate::legacy::import::Comparison;
use crate::legacy::sqlite::recount::{Miscounted, Oversold, Recount, ReservationStatus};

/// At least this share of booking requests meets a real conflict, or the run was too quiet to prove anything.
const CONFLICTS_PERCENT_MIN: u64 = 5;
/// Examples shown of what is wrong.
const EXAMPLES_MAX: usize = 5;

/// One statement of the verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub what: &'static str,
    pub count: u64,
    /// `None`: stated, not judged.
    pub is_right: Option<bool>,
    pub examples: Vec<String>,
}

#[derive(Debug, Clone, Default)]
pub struct Verdict {
    pub findings: Vec<Finding>,
    /// Ended bookings by reason.
    pub ended: BTreeMap<&'static str, u64>,
    pub refused: BTreeMap<String, u64>,
    /// Faults that struck, by kind.
    pub faults: BTreeMap<&'static str, u64>,
}

/// What an acknowledged booking's partner reads of it in its bookings feed at the end.
pub type FeedStates = BTreeMap<BookingId, String>;

/// Everything that is held against each other.
pub struct Evidence<'a> {
    pub entries: &'a [Entry],
    /// Op id of an entry's position, as the legacy system knows it.
    pub op_id: &'a dyn Fn(Position) -> String,
    pub recount: &'a Recount,
    pub seen: &'a Seen,
    /// By partner; empty where the feeds were not read.
    pub feeds: &'a BTreeMap<String, FeedStates>,
    /// The ledger's own hashes, computed anew.
    pub chain: &'a Report,
    /// Of an import with what was published of it, taken before anybody booked.
    pub comparison: Option<&'a Comparison>,
    /// Without traffic there is nothing to contend.
    pub contention_expected: bool,
    pub beside: &'a Beside,
}

/// What else befell the run: the agency's own edits, and faults.
#[derive(Debug, Clone, Default)]
pub struct Beside {
    /// Slots that the agency edited past its own booking code.
    pub edited: BTreeMap<String, Edited>,
    /// Is the bridge to mend book-keeping that falls short of its escrow? On request it has none.
    pub mends: bool,
    /// Edits by kind.
    pub edits: Vec<(&'static str, u64)>,
    /// Of the desk.
    pub totals: Totals,
    pub faults: BTreeMap<&'static str, u64>,
    pub faults_expected: bool,
    /// Statements of write-back on the legacy system.
    pub statements: u64,
}

fn above(slot: &Oversold) -> i64 {
    slot.reserved + slot.escrow - slot.capacity
}

impl Beside {
    /// Can the agency's own edits alone have made the slot so full?
    fn explains(&self, slot: &Oversold) -> bool {
        self.edited.get(&slot.slot).is_some_and(|edited| above(slot) <= edited.spoiled)
    }
}

impl Verdict {
    pub fn is_right(&self) -> bool {
        self.findings.iter().all(|finding| finding.is_right != Some(false))
    }

    fn state(&mut self, what: &'static str, count: u64) {
        self.findings.push(Finding { what, count, is_right: None, examples: Vec::new() });
    }

    fn none(&mut self, what: &'static str, wrong: Vec<String>) {
        let count = wrong.len() as u64;
        let examples = wrong.into_iter().take(EXAMPLES_MAX).collect();
        self.findings.push(Finding { what, count, is_right: Some(count == 0), examples });
    }
}

pub fn judge(evidence: &Evidence<'_>) -> Verdict {
    let bookings = replay(evidence.entries);
    let (refused, faults) = (evidence.seen.refused.clone(), evidence.beside.faults.clone());
    let mut verdict = Verdict { refused, faults, ..Verdict::default() };
    if let Some(comparison) = evidence.comparison {
        imported(comparison, &mut verdict);
    }
    count_requests(evidence, &mut verdict);
    pending(evidence, &bookings, &mut verdict);
    legacy_alone(evidence, &mut verdict);
    ledger_alone(evidence.chain, &bookings, &mut verdict);
    acknowledged(evidence, &bookings, &mut verdict);
    both(evidence, &bookings, &mut verdict);
    beside(evidence, &bookings, &mut verdict);
    feeds(evidence, &bookings, &mut verdict);
    for told in bookings.values() {
        if let Some(reason) = told.ended {
            *verdict.ended.entry(reason_code(reason)).or_default() += 1;
        }
    }
    verdict
}

fn reason_code(reason: EndReason) -> &'static str {
    match reason {
        EndReason::PartnerCancelled => "cancelled_by_partner",
        EndReason::LegacyCancelled => "cancelled_by_agency",
        EndReason::PersonBookedNatively => "displaced_person_booked_natively",
        EndReason::LegacyRefused => "displaced_refused_by_legacy",
        EndReason::NoPlace => "no_place_on_request",
        EndReason::CapacityCut => "displaced_capacity_cut",
    }
}

fn count_requests(evidence: &Evidence<'_>, verdict: &mut Verdict) {
    let seen = evidence.seen;
    let refused: u64 = seen.refused.iter().filter(|(code, _)| is_conflict(code)).map(|(_, n)| n).sum();
    // On request, the legacy system itself refuses.
    let conflicts = refused + seen.not_taken.len() as u64;
    verdict.state("booking requests answered", seen.requests);
    verdict.findings.push(Finding {
        what: "bookings acknowledged (201, or read as booked after a 202)",
        count: seen.acknowledged.len() as u64,
        // A run in which nothing was booked proves nothing.
        is_right: evidence.contention_expected.then_some(!seen.acknowledged.is_empty()),
        examples: Vec::new(),
    });
    verdict.state("refused for a conflict", conflicts);
    verdict.state("repeated keys answered the same, byte for byte", seen.repeats);
    verdict.findings.push(Finding {
        what: "answers outside the contract",
        count: seen.fault_count,
        is_right: Some(seen.fault_count == 0),
        examples: seen.faults.iter().take(EXAMPLES_MAX).cloned().collect(),
    });
    if evidence.contention_expected {
        let percent = (conflicts * 100).checked_div(seen.requests).unwrap_or(0);
        verdict.findings.push(Finding {
            what: "percent of requests refused for a conflict (at least 5)",
            count: percent,
            // While the legacy system is down, most of what is asked waits for units.
            is_right: Some(percent >= CONFLICTS_PERCENT_MIN || (evidence.beside.faults_expected && conflicts > 0)),
            examples: Vec::new(),
        });
    }
}

/// On request: every 202 came to an end, and to the one that the ledger says.
fn pending(evidence: &Evidence<'_>, bookings: &BTreeMap<BookingId, Told>, verdict: &mut Verdict) {
    let seen = evidence.seen;
    let ended: u64 = seen.pending_ended.values().sum();
    if ended == 0 && seen.pending.is_empty() {
        return;
    }
    verdict.state("accepted as pending (202)", ended + seen.pending.len() as u64);
    verdict.state("pending, then booked", seen.pending_ended.get("booked").copied().unwrap_or(0));
    verdict.state("pending, then refused by the legacy system", seen.not_taken.len() as u64);
    verdict.none("pending without an end", seen.pending.keys().map(BookingId::to_string).collect());
    let ends = [EndReason::NoPlace, EndReason::PersonBookedNatively, EndReason::LegacyRefused];
    let is_refused = |id: &BookingId| {
        let told = bookings.get(id);
        told.is_some_and(|t| t.in_legacy == InLegacy::Absent && t.ended.is_some_and(|reason| ends.contains(&reason)))
    };
    let unlike = seen.not_taken.iter().filter(|booking| !is_refused(&booking.id));
    verdict.none("refused on request, but not so in the ledger", unlike.map(|b| b.id.to_string()).collect());
}

fn imported(comparison: &Comparison, verdict: &mut Verdict) {
    verdict.state("imported: records of the input", comparison.records);
    verdict.state("imported: published and equal", comparison.records_equal);
    verdict.state("imported: not usable or repeated, each reported", comparison.records_noted);
    verdict.findings.push(Finding {
        what: "imported: differences between published and input",
        count: comparison.differences_count,
        is_right: Some(comparison.is_equal()),
        examples: comparison
            .differences
            .iter()
            .take(EXAMPLES_MAX)
            .map(|d| format!("{} {}", d.place, d.field))
            .collect(),
    });
}

fn legacy_alone(evidence: &Evidence<'_>, verdict: &mut Verdict) {
    let (recount, edited) = (evidence.recount, &evidence.beside.edited);
    verdict.state("legacy: reservations made natively", recount.native);
    verdict.state("legacy: reservations made by the bridge", recount.bridge);
    let ours = recount.oversold.iter().filter(|slot| !evidence.beside.explains(slot));
    let oversold = ours.map(|slot| {
        let Oversold { slot, capacity, reserved, escrow } = slot;
        let spoiled = edited.get(slot).map_or(0, |edited| edited.spoiled);
        format!("slot {slot}: capacity {capacity}, reserved {reserved}, escrow {escrow}, spoiled {spoiled}")
    });
    verdict.none("legacy: slots oversold", oversold.collect());
    let twice = recount.booked_twice.iter().map(|twice| twice.reservations.join(" and "));
    verdict.none("legacy: persons with two active bookings", twice.collect());
    // Too high a counter costs the agency places that nobody sells; too low a one is mended.
    let is_theirs =
        |slot: &&Miscounted| edited.contains_key(&slot.slot) && (slot.kept > slot.wanted || !evidence.beside.mends);
    let ours = recount.miscounted_slots.iter().filter(|slot| !is_theirs(slot));
    let miscounted = ours.map(|slot| format!("slot {}: counter {}, wanted {}", slot.slot, slot.kept, slot.wanted));
    verdict.none("legacy: slots whose counter is wrong", miscounted.collect());
    let standing = recount.by_op.values().filter(|row| row.status != ReservationStatus::Cancelled).count() as u64;
    verdict.findings.push(Finding {
        what: "legacy: reservations that an op made twice",
        count: recount.bridge.saturating_sub(standing),
        // Fewer than the ops say is a booking that is missing, which is found elsewhere.
        is_right: Some(recount.bridge <= standing),
        examples: Vec::new(),
    });
}

/// The agency's own edits and what they cost, told apart from what the bridge did; and faults.
fn beside(evidence: &Evidence<'_>, bookings: &BTreeMap<BookingId, Told>, verdict: &mut Verdict) {
    let (recount, beside) = (evidence.recount, evidence.beside);
    let refused = |told: &&Told| told.ended == Some(EndReason::LegacyRefused);
    let is_edited = |slot: &str| beside.edited.contains_key(slot);
    let ours = bookings.iter().filter(|(_, told)| refused(told) && !is_edited(told.slot.as_str()));
    verdict.none(
        "bookings that the legacy system refused where nobody edited",
        ours.map(|(id, _)| id.to_string()).collect(),
    );
    let sold = sold_into_overruns(evidence.entries);
    verdict.none(
        "bookings sold into a slot known to be overrun or frozen",
        sold.iter().map(BookingId::to_string).collect(),
    );
    if beside.edits.iter().any(|(_, count)| *count > 0) {
        for (what, count) in &beside.edits {
            verdict.state(what, *count);
        }
        verdict.state("agency: slots that it edited", beside.edited.len() as u64);
        let theirs: Vec<_> = recount.oversold.iter().filter(|slot| beside.explains(slot)).collect();
        let units: i64 = theirs.iter().map(|slot| above(slot)).sum();
        verdict.state("what the agency's own edits cost: slots oversold", theirs.len() as u64);
        verdict.state("what the agency's own edits cost: units oversold", units.unsigned_abs());
        let wrong = recount.miscounted_slots.iter().filter(|slot| is_edited(&slot.slot)).count();
        verdict.state("what the agency's own edits cost: counters still wrong", wrong as u64);
        let displaced = bookings.values().filter(refused).filter(|told| is_edited(told.slot.as_str())).count();
        verdict.state("what the agency's own edits cost: bookings displaced", displaced as u64);
    }
    verdict.state("desk: slots mended", beside.totals.mended);
    verdict.state("desk: units lost at mends", beside.totals.lost);
    verdict.state("desk: bookings above the room there is", beside.totals.overrun);
    verdict.none("desk: slots still frozen", (0..frozen(evidence.entries)).map(|_| "eroded".to_owned()).collect());
    if beside.faults_expected {
        let struck = beside.faults.values().sum();
        verdict.findings.push(Finding {
            what: "faults injected that struck",
            count: struck,
            is_right: Some(struck > 0),
            examples: Vec::new(),
        });
    }
    verdict.state("write-back: statements on the legacy system", beside.statements);
    let written = recount.by_op.len() as u64;
    verdict.state(
        "write-back: statements per 100 bookings written",
        (beside.statements * 100).checked_div(written).unwrap_or(0),
    );
}

fn ledger_alone(chain: &Report, bookings: &BTreeMap<BookingId, Told>, verdict: &mut Verdict) {
    verdict.state("ledger: entries", chain.entries);
    verdict.none("ledger: damaged places", chain.damage.iter().map(ToString::to_string).collect());
    let mut active: BTreeMap<(PersonNo, &SeriesId), Vec<BookingId>> = BTreeMap::new();
    for (id, told) in bookings {
        if told.ended.is_none() {
            active.entry((told.person, &told.series)).or_default().push(*id);
        }
    }
    let count: usize = active.values().map(Vec::len).sum();
    verdict.state("ledger: bookings active", count as u64);
    let twice = active.values().filter(|ids| ids.len() > 1).map(|ids| format!("{ids:?}"));
    verdict.none("ledger: persons with two active bookings", twice.collect());
}

fn acknowledged(evidence: &Evidence<'_>, bookings: &BTreeMap<BookingId, Told>, verdict: &mut Verdict) {
    let mut lost = Vec::new();
    let mut twice = Vec::new();
    let mut ids = BTreeSet::new();
    for acknowledged in &evidence.seen.acknowledged {
        if !ids.insert(acknowledged.id) {
            twice.push(acknowledged.id.to_string());
        }
        let is_there = bookings.get(&acknowledged.id).is_some_and(|told| {
            told.partner.as_str() == acknowledged.partner
                && acknowledged.slot_id.strip_prefix("s-") == Some(told.slot.as_str())
        });
        if !is_there {
            lost.push(acknowledged.id.to_string());
        }
    }
    verdict.none("acknowledged bookings that the ledger does not have", lost);
    verdict.none("booking ids given out twice", twice);
    let undone = evidence.seen.cancels.iter().filter(|id| bookings.get(id).is_none_or(|told| told.ended.is_none()));
    verdict.none("acknowledged cancels without effect", undone.map(BookingId::to_string).collect());
}

/// Every booking is active in both or ended in both.
fn both(evidence: &Evidence<'_>, bookings: &BTreeMap<BookingId, Told>, verdict: &mut Verdict) {
    let mut differ = Vec::new();
    let mut waiting = Vec::new();
    let mut known = BTreeSet::new();
    let (mut active, mut ended) = (0, 0);
    for (id, told) in bookings {
        let op = (evidence.op_id)(told.op);
        let reservation = evidence.recount.by_op.get(&op);
        known.insert(op);
        let stands = match reservation.map(|reservation| reservation.status) {
            None => InLegacy::Absent,
            Some(ReservationStatus::Cancelled) => InLegacy::Cancelled,
            Some(ReservationStatus::Active | ReservationStatus::Done) => InLegacy::Active,
        };
        if told.in_legacy == InLegacy::Waiting || (told.ended.is_some() && told.in_legacy == InLegacy::Active) {
            waiting.push(id.to_string());
            continue;
        }
        let same_slot = reservation.is_none_or(|reservation| reservation.slot == told.slot.as_str());
        let agrees = told.in_legacy == stands && told.ended.is_none() == (stands == InLegacy::Active) && same_slot;
        if !agrees {
            differ.push(format!("{id}: ledger {:?} {:?}, legacy {stands:?}", told.ended, told.in_legacy));
        } else if told.ended.is_none() {
            active += 1;
        } else {
            ended += 1;
        }
    }
    verdict.state("active in ledger and legacy", active);
    verdict.state("ended in ledger and legacy", ended);
    verdict.none("write-backs still waiting", waiting);
    verdict.none("bookings on which ledger and legacy differ", differ);
    let strangers = evidence.recount.by_op.keys().filter(|op| !known.contains(*op)).cloned();
    verdict.none("legacy reservations that the ledger does not know", strangers.collect());
}

/// What partners read in their bookings feeds is what the ledger says.
fn feeds(evidence: &Evidence<'_>, bookings: &BTreeMap<BookingId, Told>, verdict: &mut Verdict) {
    if evidence.feeds.is_empty() {
        return;
    }
    let mut differ = Vec::new();
    for acknowledged in &evidence.seen.acknowledged {
        let shown = evidence.feeds.get(&acknowledged.partner).and_then(|states| states.get(&acknowledged.id));
        let ended = bookings.get(&acknowledged.id).and_then(|told| told.ended);
        let agrees = matches!(
            (shown.map(String::as_str), ended),
            (Some("booked"), None)
                | (Some("cancelling" | "cancelled"), Some(EndReason::PartnerCancelled | EndReason::LegacyCancelled))
                | (
                    Some("displaced"),
                    Some(EndReason::PersonBookedNatively | EndReason::LegacyRefused | EndReason::CapacityCut)
                )
        );
        if !agrees {
            differ.push(format!("{}: feed {shown:?}, ledger {ended:?}", acknowledged.id));
        }
    }
    for not_taken in &evidence.seen.not_taken {
        let shown = evidence.feeds.get(&not_taken.partner).and_then(|states| states.get(&not_taken.id));
        if shown.map(String::as_str) != Some("refused") {
            differ.push(format!("{}: feed {shown:?}, read as refused", not_taken.id));
        }
    }
    verdict.none("bookings that a partner's feed shows otherwise", differ);
}

impl Verdict {
    pub fn to_json(&self) -> serde_json::Value {
        let findings: Vec<_> = self
            .findings
            .iter()
            .map(|f| serde_json::json!({ "what": f.what, "count": f.count, "right": f.is_right, "examples": f.examples }))
            .collect();
        serde_json::json!({
            "right": self.is_right(), "findings": findings, "ended": self.ended, "refused": self.refused,
            "faults": self.faults,
        })
    }

    pub fn to_text(&self) -> String {
        let mut text = String::from("\nVerdict, from recounting the legacy database and the ledger\n");
        for finding in &self.findings {
            let mark = match finding.is_right {
                None => " ",
                Some(true) => "✓",
                Some(false) => "✗",
            };
            text.push_str(&format!("  {mark} {:>9}  {}\n", finding.count, finding.what));
            for example in &finding.examples {
                text.push_str(&format!("               {example}\n"));
            }
        }
        let listed = |title: &str, counts: Vec<(&str, u64)>| {
            let items: Vec<String> = counts.iter().map(|(name, count)| format!("{name} {count}")).collect();
            format!("  {title}: {}\n", if items.is_empty() { "none".to_owned() } else { items.join(", ") })
        };
        text.push_str(&listed("ended", self.ended.iter().map(|(name, count)| (*name, *count)).collect()));
        text.push_str(&listed("refused", self.refused.iter().map(|(name, count)| (name.as_str(), *count)).collect()));
        if !self.faults.is_empty() {
            text.push_str(&listed("faults", self.faults.iter().map(|(name, count)| (*name, *count)).collect()));
        }
        text.push_str(if self.is_right() {
            "RIGHT: nothing oversold, nobody booked twice, nothing lost\n"
        } else {
            "WRONG\n"
        });
        text
    }
}

#[cfg(test)]
mod tests;
