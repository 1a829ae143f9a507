//! Identifiers. A number or a text that names something is a type of its own, so that a person number can
//! never be passed where a slot is meant.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

/// Why a text is not an identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    #[error("{kind} is empty or longer than {max} characters")]
    Length { kind: &'static str, max: usize },
    #[error("{kind} holds a character outside {allowed}")]
    Character { kind: &'static str, allowed: &'static str },
    #[error("not a {kind}")]
    Shape { kind: &'static str },
}

/// A place in the one sequence of the ledger: starts at 1, never reused, below 2^53 so that JSON readers keep it exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Position(pub u64);

impl Position {
    /// Before the first entry.
    pub const ZERO: Position = Position(0);
    /// The largest position: 2^53 − 1.
    pub const MAX: Position = Position((1 << 53) - 1);

    pub fn next(self) -> Position {
        Position(self.0 + 1)
    }

    pub fn plus(self, count: u64) -> Position {
        Position(self.0 + count)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Bridge-assigned number of a legacy person; append-only, never reused, kept in the register.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PersonNo(pub u32);

/// Whom a token names. `Nobody` is a synthetic number (56 bits): well-formed, never bookable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum PersonRef {
    Known(PersonNo),
    Nobody(u64),
}

/// Bridge-assigned number of a cohort code; kept in the register.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CohortNo(pub u8);

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $max:literal, $allowed:literal, $test:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            pub fn new(text: &str) -> Result<Self, IdError> {
                if text.is_empty() || text.len() > $max {
                    return Err(IdError::Length { kind: $kind, max: $max });
                }
                let allowed: fn(u8) -> bool = $test;
                if !text.bytes().all(allowed) {
                    return Err(IdError::Character { kind: $kind, allowed: $allowed });
                }
                Ok($name(Arc::from(text)))
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                $name::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                $name::new(&text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0.to_string()
            }
        }
    };
}

fn key_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'.' || b == b'-'
}

fn name_byte(b: u8) -> bool {
    b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_'
}

text_id!(
    /// Legacy key of a slot.
    SlotKey, "slot key", 60, "A-Z a-z 0-9 . -", key_byte
);
text_id!(
    /// Legacy key of a site.
    SiteKey, "site key", 60, "A-Z a-z 0-9 . -", key_byte
);
text_id!(
    /// Legacy key of a reservation row.
    ReservationKey, "reservation key", 60, "A-Z a-z 0-9 . -", key_byte
);
text_id!(
    /// Key of a published row that has no meaning to the desk (a cohort rule, say).
    ItemKey, "item key", 60, "A-Z a-z 0-9 . -", key_byte
);
text_id!(
    /// A private platform: `naver`, `kakao`.
    PartnerId, "partner id", 32, "a-z 0-9 - _", name_byte
);
text_id!(
    /// A vaccination series; a person has at most one active booking in each.
    SeriesId, "series", 32, "a-z 0-9 - _", name_byte
);
text_id!(
    /// An object of the catalogue: `slot`, `site`, `person`, `reservation`, `booking`, `cohort_rule`.
    ObjectName, "object name", 32, "a-z 0-9 - _", name_byte
);

/// Digest (32 bits) of what defines a slot materially: time, place, product, dose. Changes when one of them does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SlotVersion(pub u32);

/// Life of a ledger between restores; random, chosen when the ledger is made or restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Incarnation(pub u64);

/// Names a write-back for ever: 16 hex digits of the incarnation, 16 of the position of the entry that asked for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct OpId {
    pub incarnation: Incarnation,
    pub position: Position,
}

impl fmt::Display for OpId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}{:016x}", self.incarnation.0, self.position.0)
    }
}

impl FromStr for OpId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let shape = IdError::Shape { kind: "op id" };
        if text.len() != 32 || !text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
            return Err(shape);
        }
        let number = |part: &str| u64::from_str_radix(part, 16).map_err(|_| IdError::Shape { kind: "op id" });
        Ok(OpId { incarnation: Incarnation(number(&text[..16])?), position: Position(number(&text[16..])?) })
    }
}

impl TryFrom<String> for OpId {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<OpId> for String {
    fn from(id: OpId) -> String {
        id.to_string()
    }
}

/// A booking: the position of the entry that made it, shown as `b-` and lower-case Crockford base 32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BookingId(pub Position);

const CROCKFORD: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

impl fmt::Display for BookingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut digits = [0u8; 13];
        let mut at = digits.len();
        let mut rest = self.0.0;
        loop {
            at -= 1;
            digits[at] = CROCKFORD[(rest & 31) as usize];
            rest >>= 5;
            if rest == 0 {
                break;
            }
        }
        f.write_str("b-")?;
        f.write_str(std::str::from_utf8(&digits[at..]).expect("the alphabet is ASCII"))
    }
}

impl FromStr for BookingId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let shape = || IdError::Shape { kind: "booking id" };
        let digits = text.strip_prefix("b-").ok_or_else(shape)?;
        if digits.is_empty() || digits.len() > 11 || (digits.len() > 1 && digits.starts_with('0')) {
            return Err(shape());
        }
        let mut value: u64 = 0;
        for byte in digits.bytes() {
            let digit = CROCKFORD.iter().position(|c| *c == byte).ok_or_else(shape)?;
            value = (value << 5) | digit as u64;
        }
        if value == 0 || value > Position::MAX.0 {
            return Err(shape());
        }
        Ok(BookingId(Position(value)))
    }
}

/// First 16 bytes of HMAC-SHA-256 over partner and request key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct KeyMac(#[serde(with = "hex")] pub [u8; 16]);

/// First 8 bytes of HMAC-SHA-256 over method, path and parsed members of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BodyMac(#[serde(with = "hex")] pub [u8; 8]);

/// First 16 bytes of HMAC-SHA-256 over a consent receipt; makes it single-use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ReceiptMac(#[serde(with = "hex")] pub [u8; 16]);

/// MACs as lower-case hex where people read them (the ledger's JSON), as bytes elsewhere (snapshots).
mod hex {
    use serde::{Deserialize, Deserializer, Serializer, de::Error, ser::SerializeTuple};

    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    /// The longest MAC kept.
    const BYTES_MAX: usize = 16;

    pub fn serialize<S: Serializer, const N: usize>(bytes: &[u8; N], serializer: S) -> Result<S::Ok, S::Error> {
        if !serializer.is_human_readable() {
            let mut tuple = serializer.serialize_tuple(N)?;
            bytes.iter().try_for_each(|byte| tuple.serialize_element(byte))?;
            return tuple.end();
        }
        let mut text = [0u8; 2 * BYTES_MAX];
        for (at, byte) in bytes.iter().enumerate() {
            text[2 * at] = DIGITS[usize::from(byte >> 4)];
            text[2 * at + 1] = DIGITS[usize::from(byte & 15)];
        }
        serializer.serialize_str(std::str::from_utf8(&text[..2 * N]).expect("hex digits are ASCII"))
    }

    pub fn deserialize<'de, D: Deserializer<'de>, const N: usize>(deserializer: D) -> Result<[u8; N], D::Error> {
        let mut bytes = [0u8; N];
        if !deserializer.is_human_readable() {
            struct Bytes<const N: usize>;
            impl<'de, const N: usize> serde::de::Visitor<'de> for Bytes<N> {
                type Value = [u8; N];
                fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    write!(f, "{N} bytes")
                }
                fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<[u8; N], A::Error> {
                    let mut bytes = [0u8; N];
                    for byte in &mut bytes {
                        *byte = seq.next_element()?.ok_or_else(|| A::Error::custom("too few bytes"))?;
                    }
                    Ok(bytes)
                }
            }
            return deserializer.deserialize_tuple(N, Bytes::<N>);
        }
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        if text.len() != 2 * N || !text.is_ascii() {
            return Err(D::Error::custom("not the hex digits of a MAC"));
        }
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).map_err(D::Error::custom)?;
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_booking_id_reads_back(n in 1u64..(1 << 53)) {
            let id = BookingId(Position(n));
            prop_assert_eq!(id.to_string().parse::<BookingId>(), Ok(id));
        }

        #[test]
        fn an_op_id_reads_back(i in any::<u64>(), n in 1u64..(1 << 53)) {
            let id = OpId { incarnation: Incarnation(i), position: Position(n) };
            prop_assert_eq!(id.to_string().parse::<OpId>(), Ok(id));
        }

        #[test]
        fn no_text_makes_an_id_panic(text in ".{0,40}") {
            let _ = text.parse::<BookingId>();
            let _ = text.parse::<OpId>();
            let _ = SlotKey::new(&text);
        }
    }

    #[test]
    fn a_mac_reads_back_as_hex_and_as_bytes() {
        let mac = KeyMac(*b"0123456789abcdef");
        assert_eq!(serde_json::to_string(&mac).unwrap(), "\"30313233343536373839616263646566\"");
        assert_eq!(serde_json::from_str::<KeyMac>(&serde_json::to_string(&mac).unwrap()).unwrap(), mac);
        let bytes = postcard::to_allocvec(&mac).unwrap();
        assert_eq!((bytes.len(), postcard::from_bytes::<KeyMac>(&bytes).unwrap()), (16, mac));
        assert!(serde_json::from_str::<BodyMac>("\"zz\"").is_err());
    }

    #[test]
    fn a_booking_id_has_one_spelling() {
        assert!("b-0".parse::<BookingId>().is_err());
        assert!("b-01".parse::<BookingId>().is_err());
        assert!("b-U".parse::<BookingId>().is_err());
        assert!("h-1".parse::<BookingId>().is_err());
        assert_eq!("b-10".parse::<BookingId>().map(|b| b.0), Ok(Position(32)));
    }

    #[test]
    fn a_slot_key_refuses_what_a_url_could_misread() {
        assert!(SlotKey::new("90812").is_ok());
        assert!(SlotKey::new("A-1.b").is_ok());
        assert!(SlotKey::new("a/b").is_err());
        assert!(SlotKey::new("가").is_err());
        assert!(SlotKey::new(&"x".repeat(61)).is_err());
    }
}
