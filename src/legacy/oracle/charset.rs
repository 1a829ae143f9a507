//! What the server's character set can hold, known before anything is written.
//!
//! The client library converts what it can and replaces the rest by `?` without an error, so a text is checked here.

use encoding_rs::EUC_KR;

/// `NLS_CHARACTERSET` of the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Charset {
    /// KO16MSWIN949: CP949, all 11,172 syllables.
    Cp949,
    /// KO16KSC5601: EUC-KR proper, 2,350 syllables.
    EucKr,
    /// AL32UTF8.
    Utf8,
    /// UTF8 of before 2001: characters beyond the first plane take six bytes.
    Cesu8,
    /// US7ASCII used as declared.
    Ascii,
    /// US7ASCII that holds CP949 bytes (`raw_cp949`).
    RawCp949,
    /// Any other; only ASCII is sure.
    Other,
}

impl Charset {
    pub fn of_server(name: &str) -> Charset {
        match name {
            "KO16MSWIN949" => Charset::Cp949,
            "KO16KSC5601" => Charset::EucKr,
            "AL32UTF8" => Charset::Utf8,
            "UTF8" => Charset::Cesu8,
            "US7ASCII" => Charset::Ascii,
            _ => Charset::Other,
        }
    }

    /// Bytes that the text takes on the server, for the limits of VARCHAR2; `None`: it cannot be held.
    pub fn bytes(self, text: &str) -> Option<usize> {
        match self {
            Charset::Utf8 => Some(text.len()),
            Charset::Cesu8 => Some(text.chars().map(|c| if c.len_utf8() == 4 { 6 } else { c.len_utf8() }).sum()),
            Charset::Ascii | Charset::Other => text.is_ascii().then_some(text.len()),
            Charset::Cp949 | Charset::RawCp949 => encoded(text).map(|bytes| bytes.len()),
            Charset::EucKr => encoded(text).filter(|bytes| is_euc_kr(bytes)).map(|bytes| bytes.len()),
        }
    }

    pub fn holds(self, text: &str) -> bool {
        self.bytes(text).is_some()
    }
}

/// CP949 bytes; ASCII is itself.
fn encoded(text: &str) -> Option<Vec<u8>> {
    let (bytes, _, lossy) = EUC_KR.encode(text);
    (!lossy).then(|| bytes.into_owned())
}

/// No syllable of Microsoft's extension: both bytes are in the upper half from A1 on.
fn is_euc_kr(bytes: &[u8]) -> bool {
    let mut rest = bytes.iter();
    while let Some(lead) = rest.next() {
        if !lead.is_ascii() && (*lead < 0xa1 || rest.next().is_none_or(|trail| *trail < 0xa1)) {
            return false;
        }
    }
    true
}

/// Text of raw CP949 bytes; `None`: they are not CP949.
pub fn decode_cp949(bytes: &[u8]) -> Option<std::borrow::Cow<'_, str>> {
    EUC_KR.decode_without_bom_handling_and_without_replacement(bytes)
}

/// The bytes to bind where the server must not convert.
pub fn encode_cp949(text: &str) -> Option<Vec<u8>> {
    encoded(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_server_holds_what_its_character_set_has() {
        // Text, and its bytes on KO16MSWIN949, KO16KSC5601, AL32UTF8, UTF8, US7ASCII.
        let table = [
            ("plain", Some(5), Some(5), Some(5), Some(5), Some(5)),
            ("가나", Some(4), Some(4), Some(6), Some(6), None),
            ("뷁", Some(2), None, Some(3), Some(3), None),
            ("똠방각하", Some(8), None, Some(12), Some(12), None),
            ("李", Some(2), Some(2), Some(3), Some(3), None),
            ("é", None, None, Some(2), Some(2), None),
            ("😀", None, None, Some(4), Some(6), None),
            ("", Some(0), Some(0), Some(0), Some(0), Some(0)),
        ];
        for (text, cp949, ksc, utf8, cesu8, ascii) in table {
            let told = ["KO16MSWIN949", "KO16KSC5601", "AL32UTF8", "UTF8", "US7ASCII"]
                .map(|name| Charset::of_server(name).bytes(text));
            assert_eq!(told, [cp949, ksc, utf8, cesu8, ascii], "{text}");
        }
        assert_eq!(Charset::of_server("WE8ISO8859P1"), Charset::Other);
        assert!(Charset::RawCp949.holds("똠") && !Charset::Other.holds("가"));
    }

    #[test]
    fn raw_bytes_are_read_as_cp949() {
        for text in ["서울특별시 중구", "똠방각하 뷁", "A-1", ""] {
            let bytes = encode_cp949(text).unwrap();
            assert_eq!(decode_cp949(&bytes).as_deref(), Some(text));
        }
        assert_eq!(decode_cp949(&[0xb0]), None);
        assert_eq!(decode_cp949(&[0xff, 0xff]), None);
    }
}
