//! What `SB_APPLIED` holds of an op: a digest of its body and its answer as text. Shared by all adapters, so that one
//! may be replaced by another over the same tables.

use super::{LegacyOp, OpReply, OpRequest, Unbacked};

/// SHA-256 over the op's words, 64 hexadecimal digits. The mode is not among them: it may be changed by the agency while
/// an op is in doubt.
pub fn body_hash(op: &OpRequest) -> String {
    let slot = &op.slot;
    let words = match &op.what {
        LegacyOp::Take { units } => format!("take\n{slot}\n{units}"),
        LegacyOp::Return { units } => format!("return\n{slot}\n{units}"),
        // Whether it is honoured is not part of it: the same booking, refused or done once.
        LegacyOp::Convert { person, series, unbacked: Unbacked::Refuse | Unbacked::Honour } => {
            format!("convert\n{slot}\n{}\n{series}", person.0)
        }
        LegacyOp::Place { person, series } => format!("place\n{slot}\n{}\n{series}", person.0),
        LegacyOp::Cancel { convert } => format!("cancel\n{slot}\n{convert}"),
        LegacyOp::Mend { sold } => format!("mend\n{slot}\n{sold}"),
    };
    let digest = ring::digest::digest(&ring::digest::SHA256, words.as_bytes());
    digest.as_ref().iter().map(|b| format!("{b:02x}")).collect()
}

/// The answer as `SB_APPLIED.RESULT` keeps it, at most 200 bytes for a legacy reference of at most 40.
pub fn encode(reply: &OpReply) -> String {
    match reply {
        OpReply::Taken { units } => format!("taken {units}"),
        OpReply::Returned { units } => format!("returned {units}"),
        OpReply::Converted { legacy_ref, over: false } => format!("converted {legacy_ref}"),
        OpReply::Converted { legacy_ref, over: true } => format!("converted_over {legacy_ref}"),
        OpReply::TurnedBack => "turned_back".to_owned(),
        OpReply::GivenUp => "given_up".to_owned(),
        OpReply::AlreadyCancelled => "already_cancelled".to_owned(),
        OpReply::NoPlace => "no_place".to_owned(),
        OpReply::Mended { added, lost, over } => format!("mended {added} {lost} {over}"),
        OpReply::PersonBooked => "person_booked".to_owned(),
        OpReply::SlotMissing => "slot_missing".to_owned(),
        OpReply::EscrowEroded => "escrow_eroded".to_owned(),
        OpReply::LegacyRule { code } => format!("legacy_rule {code}"),
    }
}

/// A rule whose code has not the shape of one: what stands there may be a row's value, and codes are logged.
const OTHER: &str = "other";
const CODE_BYTES_MAX: usize = 40;

fn is_code(text: &str) -> bool {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
    (1..=CODE_BYTES_MAX).contains(&text.len()) && text.bytes().all(is_plain)
}

/// `None`: not a text of `encode`.
pub fn decode(text: &str) -> Option<OpReply> {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    Some(match word {
        "taken" => OpReply::Taken { units: rest.parse().ok()? },
        "returned" => OpReply::Returned { units: rest.parse().ok()? },
        "converted" => OpReply::Converted { legacy_ref: rest.into(), over: false },
        "converted_over" => OpReply::Converted { legacy_ref: rest.into(), over: true },
        "turned_back" => OpReply::TurnedBack,
        "given_up" => OpReply::GivenUp,
        "already_cancelled" => OpReply::AlreadyCancelled,
        "no_place" => OpReply::NoPlace,
        "mended" => {
            let mut numbers = rest.split(' ').map(str::parse);
            let mut next = || numbers.next()?.ok();
            OpReply::Mended { added: next()?, lost: next()?, over: next()? }
        }
        "person_booked" => OpReply::PersonBooked,
        "slot_missing" => OpReply::SlotMissing,
        "escrow_eroded" => OpReply::EscrowEroded,
        "legacy_rule" => OpReply::LegacyRule { code: if is_code(rest) { rest } else { OTHER }.to_owned() },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_reply_reads_back() {
        let replies = [
            OpReply::Taken { units: 3 },
            OpReply::Returned { units: 0 },
            OpReply::Converted { legacy_ref: "R0000000001".into(), over: false },
            OpReply::Converted { legacy_ref: "R0000000002".into(), over: true },
            OpReply::TurnedBack,
            OpReply::GivenUp,
            OpReply::AlreadyCancelled,
            OpReply::NoPlace,
            OpReply::Mended { added: 1, lost: 2, over: 3 },
            OpReply::PersonBooked,
            OpReply::SlotMissing,
            OpReply::EscrowEroded,
            OpReply::LegacyRule { code: "person_missing".to_owned() },
        ];
        for reply in replies {
            assert_eq!(decode(&encode(&reply)), Some(reply));
        }
        for odd in ["", "no bookings for P000123", "홍길동", "a;b", "A".repeat(41).as_str()] {
            let told = decode(&format!("legacy_rule {odd}"));
            assert_eq!(told, Some(OpReply::LegacyRule { code: "other".to_owned() }), "{odd}");
        }
        assert_eq!(decode("legacy_rule ORA-20001"), Some(OpReply::LegacyRule { code: "ORA-20001".to_owned() }));
        for text in ["", "gone", "taken", "taken -1", "mended 1 2"] {
            assert_eq!(decode(text), None, "{text}");
        }
    }
}
