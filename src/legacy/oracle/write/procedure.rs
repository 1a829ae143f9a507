//! Body `procedure`: the agency's package `SB_API` does what body `sql` does, and answers in the words of `stored`.
//!
//! The package keeps the promises of body `sql` itself: it locks the fence, inserts the op's id first, sets its own
//! savepoint, and answers a rule of the legacy system as `legacy_rule ORA-nnnnn`. An error that it lets through has left
//! no stored answer, so it never answers an op: the transaction ends.

use super::batch::{admitted, control, count, fence_op, known_reply, rule};
use super::link::{Binds, Link};
use super::trouble::{Trouble, halt, schema};
use super::{KEY_BYTES_MAX, RULE_CHARSET, Settings};
use crate::domain::SlotKey;
use crate::legacy::oracle::error::{ErrorClass, Failure};
use crate::legacy::oracle::sql_write as sql;
use crate::legacy::oracle::values::Bind;
use crate::legacy::stored::{body_hash, decode};
use crate::legacy::{Agency, Fence, LegacyOp, OpReply, OpRequest, RELEASES_MAX, ReleaseRequest, Unbacked};

/// `RUN`, `OPEN` and the like.
const WORD_BYTES: u32 = 32;
const HASH_BYTES: u32 = 64;
/// As `SB_APPLIED.RESULT`.
const RESULT_BYTES: u32 = 200;
/// `RELEASES_MAX` lines of a number, a bar and a slot key.
const RELEASES_BYTES: u32 = 4_000;

/// All but the commit. The replies, and how many ops are applied then.
pub(super) fn run(
    link: &mut dyn Link,
    settings: &Settings,
    ops: &[OpRequest],
) -> Result<(Vec<OpReply>, Option<u64>), Trouble> {
    let outs = link.call(&sql::API_OPEN, &[("P_STATE", Bind::Out(WORD_BYTES)), ("P_TOKEN", Bind::Out(WORD_BYTES))])?;
    admitted(out(&outs, 0), out(&outs, 1))?;
    let mut fresh = 0_i64;
    let replies = ops.iter().map(|op| once(link, settings, op, &mut fresh)).collect::<Result<Vec<_>, _>>()?;
    let newest = ops.iter().map(|op| op.id).max_by_key(|id| id.position);
    let Some(newest) = newest.filter(|_| !settings.leaves_fence) else { return Ok((replies, None)) };
    let (incarnation, op) = (format!("{:016x}", newest.incarnation.0), newest.to_string());
    let outs = link.call(
        &sql::API_CLOSE,
        &[
            ("P_INCARNATION", incarnation.as_str().into()),
            ("P_LAST_OP", op.as_str().into()),
            ("P_FRESH", fresh.into()),
            ("P_APPLIED_CNT", Bind::Out(WORD_BYTES)),
        ],
    )?;
    Ok((replies, Some(count(whole(&outs, 0))?)))
}

/// The parameters of an op that its kind has.
#[derive(Default)]
struct Words<'a> {
    kind: &'static str,
    units: Option<i64>,
    person: Option<&'a str>,
    series: Option<&'a str>,
    convert: Option<String>,
    unbacked: Option<&'static str>,
}

impl Words<'_> {
    fn of(what: &LegacyOp) -> Words<'_> {
        match what {
            LegacyOp::Take { units } => Words { kind: "TAKE", units: Some(i64::from(*units)), ..Words::default() },
            LegacyOp::Return { units } => Words { kind: "RETURN", units: Some(i64::from(*units)), ..Words::default() },
            LegacyOp::Mend { sold } => Words { kind: "MEND", units: Some(i64::from(*sold)), ..Words::default() },
            LegacyOp::Convert { person, series, unbacked } => Words {
                kind: "CONVERT",
                person: Some(&person.0),
                series: Some(series.as_str()),
                unbacked: Some(match unbacked {
                    Unbacked::Refuse => "REFUSE",
                    Unbacked::Honour => "HONOUR",
                }),
                ..Words::default()
            },
            LegacyOp::Place { person, series } => {
                Words { kind: "PLACE", person: Some(&person.0), series: Some(series.as_str()), ..Words::default() }
            }
            LegacyOp::Cancel { convert } => {
                Words { kind: "CANCEL", convert: Some(convert.to_string()), ..Words::default() }
            }
        }
    }
}

/// `fresh` counts the ops that were not known.
fn once(link: &mut dyn Link, settings: &Settings, op: &OpRequest, fresh: &mut i64) -> Result<OpReply, Trouble> {
    let (id, hash) = (op.id.to_string(), body_hash(op));
    let words = Words::of(&op.what);
    let fits = |text: &str| link.bytes(text).is_some_and(|bytes| bytes <= KEY_BYTES_MAX);
    if !words.person.is_none_or(fits) || !words.series.is_none_or(fits) {
        // Nothing was called, so nothing is stored: the same text is refused the same way whenever it comes.
        return Ok(rule(RULE_CHARSET));
    }
    let outs = link.call(
        &sql::API_APPLY,
        &[
            ("P_OP_ID", id.as_str().into()),
            ("P_BODY_HASH", hash.as_str().into()),
            ("P_MODE", op.mode.code().into()),
            ("P_MAINTAINED", settings.maintained.code().into()),
            ("P_CONSTRAINT", settings.person_constraint.code().into()),
            ("P_KIND", words.kind.into()),
            ("P_SLOT_ID", op.slot.as_str().into()),
            ("P_UNITS", words.units.into()),
            ("P_PERSON_ID", words.person.into()),
            ("P_SERIES_CD", words.series.into()),
            ("P_CONVERT_OP", words.convert.as_deref().into()),
            ("P_UNBACKED", words.unbacked.into()),
            ("P_KNOWN_HASH", Bind::Out(HASH_BYTES)),
            ("P_RESULT", Bind::Out(RESULT_BYTES)),
        ],
    );
    let outs = outs.map_err(|failure| let_through(&id, failure))?;
    match (out(&outs, 0), out(&outs, 1)) {
        (Some(stored), result) => known_reply(&id, &hash, Some(stored), result),
        (None, result) => {
            *fresh += 1;
            let reply = result.and_then(decode);
            reply.ok_or_else(|| halt(format!("SB_API.APPLY_OP answered op {id} with something else than a result")))
        }
    }
}

/// An answer that the package should have given as its result.
fn let_through(id: &str, failure: Failure) -> Trouble {
    match failure.class {
        ErrorClass::Business | ErrorClass::LegacyRule => {
            halt(format!("SB_API.APPLY_OP let {} through and stored no answer for op {id}", failure.code))
        }
        _ => failure.into(),
    }
}

pub(super) fn agency(link: &mut dyn Link) -> Result<Agency, Trouble> {
    let outs = link.call(
        &sql::API_AGENCY,
        &[
            ("P_STATE", Bind::Out(WORD_BYTES)),
            ("P_TOKEN", Bind::Out(WORD_BYTES)),
            ("P_INCARNATION", Bind::Out(WORD_BYTES)),
            ("P_LAST_OP", Bind::Out(WORD_BYTES)),
            ("P_APPLIED_CNT", Bind::Out(WORD_BYTES)),
            ("P_RELEASES", Bind::Out(RELEASES_BYTES)),
        ],
    )?;
    let releases = out(&outs, 5).unwrap_or_default().lines().take(RELEASES_MAX).map(release).collect::<Option<_>>();
    Ok(Agency {
        control: control(out(&outs, 0))?,
        fence: Fence {
            last_op: fence_op(out(&outs, 3))?,
            applied: count(whole(&outs, 4))?,
            open: out(&outs, 1) == Some("OPEN"),
        },
        releases: releases.ok_or_else(|| schema("SB_API.AGENCY: a release request is not id|slot"))?,
    })
}

/// `id|slot`, `*` = every slot.
fn release(line: &str) -> Option<ReleaseRequest> {
    let (id, slot) = line.trim().split_once('|')?;
    let slot = match slot {
        "*" => None,
        slot => Some(SlotKey::new(slot).ok()?),
    };
    Some(ReleaseRequest { id: id.parse().ok()?, slot })
}

/// `RELEASED` and `HEARTBEAT`: nothing comes back.
pub(super) fn tell(
    link: &mut dyn Link,
    entry: &'static crate::legacy::oracle::catalogue::Entry,
    binds: Binds<'_>,
) -> Result<(), Trouble> {
    link.call(entry, binds)?;
    Ok(())
}

fn whole(outs: &[Option<String>], at: usize) -> Option<i64> {
    out(outs, at)?.trim().parse().ok()
}

fn out(outs: &[Option<String>], at: usize) -> Option<&str> {
    outs.get(at)?.as_deref().filter(|text| !text.is_empty())
}
