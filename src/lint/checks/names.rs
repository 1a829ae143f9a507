//! L111, L204, L302: what stands in the files letter by letter.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::lint::judge::Judge;
use crate::mapping::pattern;

pub(in crate::lint) fn check(judge: &mut Judge<'_>) {
    let public = public_words(judge);
    for (name, text) in &judge.parts.texts {
        for span in look_alikes(text) {
            let ko = "다른 문자 체계의 글자가 섞인 낱말입니다.";
            judge.say_at("L111", name, span, ko, "the word mixes letters that look like others");
        }
        // A consent text says whom to call.
        if name.starts_with("consents/") {
            continue;
        }
        // The scanner is bounded; a file is read in lines.
        let mut start = 0;
        for line in text.split_inclusive('\n') {
            for found in pattern::find(line) {
                let span = start + found.span.start..start + found.span.end;
                let ko = format!("{} 모양의 값입니다.", found.pattern.ko());
                judge.say_at("L204", name, span, ko, format!("shaped like {}", found.pattern.en()));
            }
            if let Some(span) = secret(line, &public) {
                let ko = "키나 비밀번호로 보이는 값입니다.";
                judge.say_at(
                    "L302",
                    name,
                    start + span.start..start + span.end,
                    ko,
                    "looks like a key, salt or password",
                );
            }
            start += line.len();
        }
    }
}

/// Scripts whose letters are taken for Latin ones.
fn is_look_alike(c: char) -> bool {
    matches!(u32::from(c),
        0x0250..=0x02AF | 0x0370..=0x03FF | 0x0400..=0x052F | 0x0530..=0x058F | 0x10A0..=0x10FF | 0x13A0..=0x13FF
        | 0x1D00..=0x1D7F | 0x2100..=0x214F | 0x2160..=0x2188 | 0x2C60..=0x2C7F | 0xA640..=0xA69F | 0xAB30..=0xABBF
        | 0xFF10..=0xFF19 | 0xFF21..=0xFF3A | 0xFF3F | 0xFF41..=0xFF5A | 0x10400..=0x1044F | 0x1D400..=0x1D7FF)
}

/// Words that hold such a letter. A sign of its own (`α`, `℃`, `№`) is none.
fn look_alikes(text: &str) -> Vec<Range<usize>> {
    if text.is_ascii() {
        return Vec::new();
    }
    let mut found = Vec::new();
    let mut start = 0;
    for word in text.split_inclusive(|c: char| !(c.is_alphanumeric() || c == '_' || is_look_alike(c))) {
        let bare = word.trim_end_matches(|c: char| !(c.is_alphanumeric() || c == '_' || is_look_alike(c)));
        let letters = bare.chars().filter(|c| is_look_alike(*c)).count();
        let others = bare.chars().any(|c| c.is_ascii_alphanumeric() || c == '_');
        if letters > 1 || (letters == 1 && others) {
            found.push(start..start + bare.len());
        }
        start += word.len();
    }
    found
}

/// Words that look like keys and are meant to be read: public keys, pins.
fn public_words(judge: &Judge<'_>) -> BTreeSet<String> {
    let partners = judge.parts.partners.iter().flat_map(|partners| &partners.partners);
    let of_partner = partners.flat_map(|partner| {
        partner.certificate_pins.iter().chain(partner.lookup.get_ref().receipt_public_key.as_ref()).cloned()
    });
    let issuers = judge.parts.policy.iter().flat_map(|policy| &policy.receipts.issuers);
    of_partner.chain(issuers.map(|issuer| issuer.public_key.clone())).collect()
}

/// 128 bits in hex.
const HEX_MIN: usize = 32;
/// 240 bits in base64; no word of a file is so long.
const BASE64_MIN: usize = 40;
const SECRET_WORDS: [&str; 8] = ["salt", "secret", "password", "passwd", "passphrase", "pepper", "솔트", "비밀번호"];

fn secret(line: &str, public: &BTreeSet<String>) -> Option<Range<usize>> {
    if let Some(at) = line.find("PRIVATE KEY-----") {
        return Some(at..at + "PRIVATE KEY-----".len());
    }
    let lower = line.to_ascii_lowercase();
    for word in SECRET_WORDS {
        let Some(at) = lower.find(word) else { continue };
        let rest =
            lower[at + word.len()..].trim_start_matches(|c: char| c.is_ascii_alphanumeric() || "_ \"'".contains(c));
        let value = rest.strip_prefix(['=', ':']).map(str::trim).unwrap_or("");
        if value.trim_matches(['"', '\'']).chars().count() >= 4 {
            return Some(at..line.trim_end().len());
        }
    }
    let is_word = |c: char| c.is_ascii_alphanumeric() || "+/=_-".contains(c);
    let mut start = 0;
    for piece in line.split_inclusive(|c: char| !is_word(c)) {
        let word = piece.trim_end_matches(|c: char| !is_word(c));
        if looks_random(word) && !public.contains(word) {
            return Some(start..start + word.len());
        }
        start += piece.len();
    }
    None
}

fn looks_random(word: &str) -> bool {
    let has = |is: fn(&u8) -> bool| word.bytes().any(|b| is(&b));
    let is_hex = word.bytes().all(|b| b.is_ascii_hexdigit());
    (is_hex && word.len() >= HEX_MIN && has(u8::is_ascii_digit) && has(u8::is_ascii_alphabetic))
        || (word.len() >= BASE64_MIN
            && has(u8::is_ascii_digit)
            && has(u8::is_ascii_uppercase)
            && has(u8::is_ascii_lowercase))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn look_alikes_are_found_and_signs_are_not() {
        for text in ["SL\u{041e}T_ID", "\u{0422}\u{0415}L", "ＴＥＬ", "name = \"ｓite\"", "\u{1D400}B"] {
            assert_eq!(look_alikes(text).len(), 1, "{text}");
        }
        for text in ["SLOT_ID", "회차 번호", "α 변이", "2 ℃", "가-힣", "１"] {
            assert!(look_alikes(text).is_empty(), "{text}");
        }
    }

    #[test]
    fn secrets_are_found_and_public_keys_are_not() {
        let none = BTreeSet::new();
        let key = "mOYB3XhnaQk9v8Lw5tU1rZp0cE7sDg2fHjKxNqWyVbT";
        for line in
            ["salt = \"abcd1234\"", "# password: hunter22", &format!("x = \"{key}\""), "-----BEGIN PRIVATE KEY-----"]
        {
            assert!(secret(line, &none).is_some(), "{line}");
        }
        assert!(secret(&format!("public_key = \"{key}\""), &BTreeSet::from([key.to_owned()])).is_none());
        for line in
            ["# no secret is kept here", "id = \"naver.slots\"", "why = { en = \"Names the slot when booking\" }"]
        {
            assert!(secret(line, &none).is_none(), "{line}");
        }
    }
}
