//! The database character set: what it can store, what its bytes are, what a client is shown.

use std::borrow::Cow;

use encoding_rs::EUC_KR;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Charset {
    /// CP949.
    Korean,
    /// Seven bits, into which applications of the 1990s wrote EUC-KR bytes.
    Ascii,
    Utf8,
}

impl Charset {
    pub fn named(name: &str) -> Charset {
        match name {
            "US7ASCII" => Charset::Ascii,
            "AL32UTF8" | "UTF8" => Charset::Utf8,
            _ => Charset::Korean,
        }
    }

    pub fn oci_id(self) -> u16 {
        match self {
            Charset::Korean => 846,
            Charset::Ascii => 1,
            Charset::Utf8 => 873,
        }
    }

    pub fn bytes(self, text: &str) -> Cow<'_, [u8]> {
        match self {
            Charset::Utf8 => Cow::Borrowed(text.as_bytes()),
            _ if text.is_ascii() => Cow::Borrowed(text.as_bytes()),
            _ => Cow::Owned(
                text.chars()
                    .flat_map(|c| {
                        let mut buffer = [0u8; 4];
                        let (bytes, _, unmappable) = EUC_KR.encode(c.encode_utf8(&mut buffer));
                        if unmappable { b"?".to_vec() } else { bytes.into_owned() }
                    })
                    .collect(),
            ),
        }
    }

    pub fn length(self, text: &str) -> usize {
        if text.is_ascii() { text.len() } else { self.bytes(text).len() }
    }

    pub fn text(self, bytes: &[u8]) -> String {
        match self {
            Charset::Utf8 => String::from_utf8_lossy(bytes).into_owned(),
            _ => EUC_KR.decode_without_bom_handling(bytes).0.into_owned(),
        }
    }

    /// What arrives from a client: a character that the set does not have becomes `?`.
    pub fn stored<'a>(self, text: &'a str) -> Cow<'a, str> {
        match self {
            _ if text.is_ascii() => Cow::Borrowed(text),
            Charset::Utf8 => Cow::Borrowed(text),
            Charset::Ascii => Cow::Owned(text.chars().map(|c| if c.is_ascii() { c } else { '?' }).collect()),
            Charset::Korean => Cow::Owned(self.text(&self.bytes(text))),
        }
    }

    /// What a client is shown: from US7ASCII a `?` for each byte with the eighth bit.
    pub fn shown<'a>(self, text: &'a str) -> Cow<'a, str> {
        match self {
            Charset::Ascii => {
                let bytes = self.bytes(text);
                Cow::Owned(bytes.iter().map(|b| if b.is_ascii() { char::from(*b) } else { '?' }).collect())
            }
            _ => Cow::Borrowed(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_korean_syllable_is_two_bytes_and_an_emoji_a_question_mark() {
        assert_eq!(Charset::Korean.length("홍길동a"), 7);
        assert_eq!(Charset::Korean.stored("홍\u{1f600}a"), "홍?a");
        // Hangul outside KS X 1001 is CP949's extension.
        assert_eq!(Charset::Korean.stored("똠"), "똠");
    }

    #[test]
    fn seven_bits_show_question_marks_and_keep_the_bytes() {
        assert_eq!(Charset::Ascii.shown("a홍"), "a??");
        assert_eq!(Charset::Ascii.bytes("홍").as_ref(), [0xc8, 0xab]);
        assert_eq!(Charset::Ascii.text(&[0xc8, 0xab]), "홍");
    }
}
