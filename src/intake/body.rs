//! Strict JSON: a body is exactly what the operation knows, or a fault that names the member and never a value.

use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, Deserializer, MapAccess, Visitor};

/// What is wrong with a request, before anything is decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub kind: FaultKind,
    /// Name of the member at fault, where it is one that may be repeated.
    pub member: Option<String>,
    /// What is allowed.
    pub allowed: Option<&'static str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    MalformedJson,
    InvalidUtf8,
    UnknownMember,
    DuplicateMember,
    MissingMember,
    WrongType,
    InvalidValue,
    PartnerRefPersonal,
    MissingKey,
    BadKey,
    UnknownPersonToken,
    PersonTokenExpired,
}

impl Fault {
    pub fn new(kind: FaultKind) -> Fault {
        Fault { kind, member: None, allowed: None }
    }

    pub fn at(kind: FaultKind, member: &str) -> Fault {
        Fault { kind, member: Some(member.to_owned()), allowed: None }
    }

    pub fn invalid(member: &str, allowed: &'static str) -> Fault {
        Fault { kind: FaultKind::InvalidValue, member: Some(member.to_owned()), allowed: Some(allowed) }
    }
}

/// Reads one JSON value and nothing after it.
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Fault> {
    if std::str::from_utf8(bytes).is_err() {
        return Err(Fault::new(FaultKind::InvalidUtf8));
    }
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let Members(value) = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        fault(&path, error.inner())
    })?;
    reader.end().map_err(|_| Fault::new(FaultKind::MalformedJson))?;
    Ok(value)
}

/// A type read from a JSON object only. Derived code would also take an array of the members in order.
pub(super) struct Members<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Members<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Members<T>, D::Error> {
        struct ObjectOnly<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectOnly<T> {
            type Value = Members<T>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Members<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Members)
            }
        }

        deserializer.deserialize_map(ObjectOnly(PhantomData))
    }
}

/// For optional members that are objects.
pub(super) fn optional_members<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Ok(Option::<Members<T>>::deserialize(deserializer)?.map(|Members(value)| value))
}

/// Serde's messages repeat values, so only their first words and the names between backticks are used.
fn fault(path: &str, error: &serde_json::Error) -> Fault {
    if !error.is_data() {
        return Fault::new(FaultKind::MalformedJson);
    }
    let message = error.to_string();
    let quoted = message.split('`').nth(1).filter(|name| is_word(name)).map(str::to_owned);
    let at = Some(path.to_owned()).filter(|path| is_word(path));
    let (kind, member) = match () {
        () if message.starts_with("unknown field") => (FaultKind::UnknownMember, quoted),
        () if message.starts_with("missing field") => (FaultKind::MissingMember, quoted),
        () if message.starts_with("duplicate field") => (FaultKind::DuplicateMember, quoted),
        () if message.starts_with("invalid type") => (FaultKind::WrongType, at),
        () => (FaultKind::InvalidValue, at),
    };
    Fault { kind, member, allowed: None }
}

/// A member's name is repeated only where it cannot carry a value: lower-case letters, `_`, and `.` and `[n]` of a path.
fn is_word(name: &str) -> bool {
    name.len() <= 40
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.split('.').all(|part| {
            let plain = part.find('[').map_or(part, |at| &part[..at]);
            plain.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
        })
        && name.bytes().filter(u8::is_ascii_digit).count() <= 3
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only parsed")]
    struct Body {
        count: u8,
        list: Vec<Inner>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only parsed")]
    struct Inner {
        name: String,
    }

    fn fault_of(text: &[u8]) -> (FaultKind, Option<String>) {
        let fault = parse::<Body>(text).unwrap_err();
        (fault.kind, fault.member)
    }

    #[test]
    fn a_fault_names_the_member() {
        let named = |kind, name: &str| (kind, Some(name.to_owned()));
        assert_eq!(fault_of(b"{"), (FaultKind::MalformedJson, None));
        assert_eq!(fault_of(b"{\"count\":1,\"list\":[]}x"), (FaultKind::MalformedJson, None));
        assert_eq!(fault_of(b"{\"count\":\"\xff\"}"), (FaultKind::InvalidUtf8, None));
        assert_eq!(fault_of(b"{\"count\":1}"), named(FaultKind::MissingMember, "list"));
        assert_eq!(fault_of(b"{\"count\":\"x\",\"list\":[]}"), named(FaultKind::WrongType, "count"));
        assert_eq!(fault_of(b"{\"count\":300,\"list\":[]}"), named(FaultKind::InvalidValue, "count"));
        assert_eq!(fault_of(b"{\"count\":1,\"count\":1,\"list\":[]}"), named(FaultKind::DuplicateMember, "count"));
        assert_eq!(fault_of(b"{\"surplus\":1}"), named(FaultKind::UnknownMember, "surplus"));
        assert_eq!(fault_of(b"{\"count\":1,\"list\":[{\"name\":1}]}"), named(FaultKind::WrongType, "list[0].name"));
    }

    #[test]
    fn a_member_name_that_could_be_a_number_of_a_person_is_not_repeated() {
        assert_eq!(fault_of(b"{\"010-1234-5678\":1}"), (FaultKind::UnknownMember, None));
        assert_eq!(fault_of("{\"홍길동\":1}".as_bytes()), (FaultKind::UnknownMember, None));
        assert_eq!(fault_of(b"{\"a`b\":1}"), (FaultKind::UnknownMember, Some("a".to_owned())));
    }

    #[test]
    fn deep_nesting_is_refused_and_does_not_overflow() {
        let deep = [b"{\"list\":".to_vec(), vec![b'['; 60_000]].concat();
        assert!(parse::<Body>(&deep).is_err());
    }
}
