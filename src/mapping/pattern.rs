//! Values that are shaped like what must never leave: resident numbers, telephones, e-mail addresses, CI, DI, cards.
//!
//! Pure and without state: a text in, the places that are shaped so out. Judges shape only; whether a shape is in
//! order (a site's published telephone) is the caller's to say. Never answers with the value.
//!
//! A resident number's check digit says nothing: numbers given since October 2020 have none, so 13 digits that begin
//! with a day are enough. Against false alarms: a run of digits inside a word of letters and digits (a token in hex)
//! counts only when it is the word's only one, and separators must stand where people write them. Written by hand, not
//! as expressions: it runs on every published value, and a text without digits and `@` costs one pass over its bytes.

#[cfg(test)]
mod tests;

use std::ops::Range;

/// Bound of what is looked at in one text; values of feeds are far shorter.
pub const TEXT_BYTES_MAX: usize = 64 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pattern {
    /// 주민등록번호, 외국인등록번호: 13 digits that begin with a day; with the last six masked too.
    ResidentNumber,
    /// 운전면허번호: `11-12-123456-78`.
    DriverLicence,
    Mobile,
    /// A line number with its area code, written with separators. Often a site's, seldom a person's.
    Telephone,
    Email,
    /// 연계정보: 64 bytes as 88 characters of base64.
    Ci,
    /// 중복가입확인정보: 64 characters that begin as all of them do.
    Di,
    /// 15 or 16 digits with Luhn's check digit.
    Card,
}

impl Pattern {
    pub const ALL: [Pattern; 8] = [
        Pattern::ResidentNumber,
        Pattern::DriverLicence,
        Pattern::Mobile,
        Pattern::Telephone,
        Pattern::Email,
        Pattern::Ci,
        Pattern::Di,
        Pattern::Card,
    ];

    pub fn code(self) -> &'static str {
        match self {
            Pattern::ResidentNumber => "resident_number",
            Pattern::DriverLicence => "driver_licence",
            Pattern::Mobile => "mobile",
            Pattern::Telephone => "telephone",
            Pattern::Email => "email",
            Pattern::Ci => "ci",
            Pattern::Di => "di",
            Pattern::Card => "card",
        }
    }

    pub fn ko(self) -> &'static str {
        match self {
            Pattern::ResidentNumber => "주민등록번호",
            Pattern::DriverLicence => "운전면허번호",
            Pattern::Mobile => "휴대전화번호",
            Pattern::Telephone => "전화번호",
            Pattern::Email => "전자우편 주소",
            Pattern::Ci => "연계정보(CI)",
            Pattern::Di => "중복가입확인정보(DI)",
            Pattern::Card => "카드번호",
        }
    }

    pub fn en(self) -> &'static str {
        match self {
            Pattern::ResidentNumber => "a resident registration number",
            Pattern::DriverLicence => "a driver's licence number",
            Pattern::Mobile => "a mobile number",
            Pattern::Telephone => "a telephone number",
            Pattern::Email => "an e-mail address",
            Pattern::Ci => "a CI",
            Pattern::Di => "a DI",
            Pattern::Card => "a card number",
        }
    }
}

/// Where in the text, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub pattern: Pattern,
    pub span: Range<usize>,
}

/// Every place of the text that is shaped so, from left to right. A text without one allocates nothing.
pub fn find(text: &str) -> Vec<Found> {
    let text = bounded(text);
    if !worth_a_look(text) {
        return Vec::new();
    }
    if text.is_ascii() {
        return look(text.as_bytes(), |at| at);
    }
    let (folded, places) = fold(text);
    look(&folded, |at| places.get(at).copied().unwrap_or(text.len()))
}

/// The first of `find`.
pub fn first(text: &str) -> Option<Pattern> {
    find(text).first().map(|found| found.pattern)
}

/// A whole number as it would be written. Of resident numbers the leading zero of births from 2001 to 2009 is gone.
pub fn in_number(number: i64) -> Option<Pattern> {
    let digits = number.checked_abs()?.to_string();
    match digits.len() {
        12 if is_resident(format!("0{digits}").as_bytes()) => Some(Pattern::ResidentNumber),
        13 if is_resident(digits.as_bytes()) => Some(Pattern::ResidentNumber),
        15 | 16 if is_card(digits.as_bytes()) => Some(Pattern::Card),
        _ => None,
    }
}

fn bounded(text: &str) -> &str {
    let mut end = text.len().min(TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Seven digits (a masked resident number), an `@`, or long enough for a CI or DI; a text of other letters may fold.
fn worth_a_look(text: &str) -> bool {
    let digits = text.bytes().filter(u8::is_ascii_digit).take(7).count();
    digits == 7 || text.len() >= 64 || text.bytes().any(|b| b == b'@' || b == 0xEF)
}

/// Letters that are written wide or with other dashes as the ones they stand for; invisible ones are left out; others
/// become 0. Second: where each byte stood.
fn fold(text: &str) -> (Vec<u8>, Vec<usize>) {
    let mut folded = Vec::with_capacity(text.len());
    let mut places = Vec::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        let byte = match c {
            '\u{00AD}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{2069}' | '\u{FEFF}' => {
                continue;
            }
            '\u{FF01}'..='\u{FF5E}' => u8::try_from(u32::from(c) - 0xFEE0).unwrap_or(0),
            '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{FE63}' | '\u{30FC}' => b'-',
            '\u{00A0}' | '\u{2000}'..='\u{200A}' | '\u{202F}' | '\u{3000}' => b' ',
            '\u{00B7}' | '\u{30FB}' => b'.',
            c => u8::try_from(u32::from(c)).ok().filter(u8::is_ascii).unwrap_or(0),
        };
        folded.push(byte);
        places.push(at);
    }
    (folded, places)
}

fn look(text: &[u8], place: impl Fn(usize) -> usize) -> Vec<Found> {
    let mut found: Vec<Found> = Vec::new();
    let mut add = |pattern, span: Range<usize>| {
        found.push(Found { pattern, span: place(span.start)..place(span.end) });
    };
    let mut at = 0;
    while at < text.len() {
        if text[at].is_ascii_digit() {
            let (groups, end) = chain(text, at);
            let mut from = 0;
            while from < groups.len() {
                match shape(text, &groups[from..]) {
                    Some((pattern, used)) => {
                        add(pattern, groups[from].start..groups[from + used - 1].end);
                        from += used;
                    }
                    None => from += 1,
                }
            }
            at = end;
        } else {
            at += 1;
        }
    }
    for span in emails(text) {
        add(Pattern::Email, span);
    }
    for (pattern, span) in linkage(text) {
        add(pattern, span);
    }
    found.sort_by_key(|found| found.span.start);
    found
}

/// Runs of digits with separators between them, and where they end. Bounded by the text.
fn chain(text: &[u8], from: usize) -> (Vec<Range<usize>>, usize) {
    let mut groups = Vec::new();
    let mut at = from;
    loop {
        let start = at;
        while at < text.len() && text[at].is_ascii_digit() {
            at += 1;
        }
        groups.push(start..at);
        let mut next = at;
        while next < text.len() && next - at < SEPARATORS_MAX && is_separator(text[next]) {
            next += 1;
        }
        if next == at || next >= text.len() || !text[next].is_ascii_digit() {
            return (groups, at);
        }
        at = next;
    }
}

/// `) - ` is the longest that people write between two groups.
const SEPARATORS_MAX: usize = 4;

fn is_separator(byte: u8) -> bool {
    matches!(byte, b'-' | b' ' | b'.' | b'(' | b')' | b'_' | b'/')
}

/// The pattern that the first groups make, and how many of them.
fn shape(text: &[u8], groups: &[Range<usize>]) -> Option<(Pattern, usize)> {
    (1..=groups.len().min(5)).rev().find_map(|used| {
        let groups = &groups[..used];
        let last = groups.last()?.end;
        if !stands_alone(text, groups[0].start, last) {
            return None;
        }
        let digits: Vec<u8> = groups.iter().flat_map(|g| &text[g.clone()]).copied().collect();
        let lengths: Vec<usize> = groups.iter().map(Range::len).collect();
        let between = |at: usize| &text[groups[at].end..groups[at + 1].start];
        let pattern = match lengths.as_slice() {
            [13] if is_resident(&digits) => Pattern::ResidentNumber,
            // A decimal point is no separator of resident numbers.
            [6, 7] if between(0) != b"." && is_resident(&digits) => Pattern::ResidentNumber,
            [7] | [6, 1] if is_resident_head(&digits) && is_masked(&text[last..]) => Pattern::ResidentNumber,
            [2, 2, 6, 2] if is_licence(&digits) => Pattern::DriverLicence,
            [15] | [16] | [4, 4, 4, 4] | [4, 6, 5] if is_card(&digits) => Pattern::Card,
            lengths if is_mobile(lengths, &digits) => Pattern::Mobile,
            lengths if is_telephone(lengths, &digits) => Pattern::Telephone,
            _ => return None,
        };
        Some((pattern, used))
    })
}

/// No digits beyond letters on either side: a run in the middle of a hex token is chance.
fn stands_alone(text: &[u8], start: usize, end: usize) -> bool {
    let is_clean = |mut beside: &mut dyn Iterator<Item = &u8>| {
        let word = (&mut beside).take_while(|b| b.is_ascii_alphanumeric());
        !word.into_iter().any(u8::is_ascii_digit)
    };
    is_clean(&mut text[..start].iter().rev()) && is_clean(&mut text[end..].iter())
}

fn two(digits: &[u8]) -> u32 {
    u32::from(digits[0] - b'0') * 10 + u32::from(digits[1] - b'0')
}

fn is_resident(digits: &[u8]) -> bool {
    digits.len() == 13 && is_resident_head(digits)
}

/// A day of a year, and the digit of century and sex: 1 to 4 citizens, 5 to 8 others; 9 and 0 were born before 1900.
fn is_resident_head(digits: &[u8]) -> bool {
    const DAYS: [u32; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let (month, day) = (two(&digits[2..4]), two(&digits[4..6]));
    let days = month.checked_sub(1).and_then(|at| DAYS.get(at as usize)).copied().unwrap_or(0);
    (1..=days).contains(&day) && (b'1'..=b'8').contains(&digits[6])
}

fn is_masked(rest: &[u8]) -> bool {
    rest.len() >= 6 && rest[..6].iter().all(|b| matches!(b, b'*' | b'X' | b'x' | b'#'))
}

fn is_licence(digits: &[u8]) -> bool {
    (11..=28).contains(&two(digits))
}

/// Card brands begin with 3 to 6, domestic cards with 9.
fn is_card(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(at, b)| {
            let digit = u32::from(b - b'0') * if at % 2 == 1 { 2 } else { 1 };
            if digit > 9 { digit - 9 } else { digit }
        })
        .sum();
    matches!(digits[0], b'3'..=b'6' | b'9') && sum.is_multiple_of(10) && digits.iter().any(|b| *b != digits[0])
}

/// Without the country code and with the leading zero; `None` where the groups are not cut as people cut them.
fn national(lengths: &[usize], digits: &[u8]) -> Option<Vec<u8>> {
    let Some(rest) = digits.strip_prefix(b"82") else { return Some(digits.to_vec()) };
    let cut = matches!(lengths, [11..=13] | [2, ..]);
    let rest = rest.strip_prefix(b"0").unwrap_or(rest);
    cut.then(|| [b"0", rest].concat())
}

fn is_mobile(lengths: &[usize], digits: &[u8]) -> bool {
    let domestic = matches!(lengths, [10 | 11] | [3, 3 | 4, 4] | [3, 7 | 8] | [6 | 7, 4]);
    let foreign = matches!(
        lengths,
        [11..=13] | [2, 2 | 3, 3 | 4, 4] | [2, 1, 2, 3 | 4, 4] | [2, 9..=11] | [2, 2 | 3, 7 | 8] | [2, 1, 9 | 10]
    ) && digits.starts_with(b"82");
    if !domestic && !foreign {
        return false;
    }
    let Some(number) = national(lengths, digits) else { return false };
    match number.get(..3) {
        Some(b"010") => number.len() == 11,
        Some(b"011" | b"016" | b"017" | b"018" | b"019") => matches!(number.len(), 10 | 11),
        _ => false,
    }
}

/// Area codes beside 02, and those of networks, free and relayed numbers.
const AREAS: [&[u8]; 19] = [
    b"031", b"032", b"033", b"041", b"042", b"043", b"044", b"051", b"052", b"053", b"054", b"055", b"061", b"062",
    b"063", b"064", b"070", b"080", b"050",
];

/// Only with separators: nine digits that begin with 02 are a telephone or anything else.
fn is_telephone(lengths: &[usize], digits: &[u8]) -> bool {
    let domestic = matches!(lengths, [2..=4, 3 | 4, 4]);
    let foreign = matches!(lengths, [2, 1 | 2, 3 | 4, 4]) && digits.starts_with(b"82");
    if !domestic && !foreign {
        return false;
    }
    let Some(number) = national(lengths, digits) else { return false };
    let area = match number.get(1) {
        Some(b'2') => 2,
        Some(b'5') if number.get(2) == Some(&b'0') => 4,
        _ => 3,
    };
    let known = number.starts_with(b"02") || number.get(..3).is_some_and(|code| AREAS.contains(&code));
    let cut = if foreign { lengths[1] + 1 } else { lengths[0] };
    number.starts_with(b"0") && known && cut == area && matches!(number.len() - area, 7 | 8)
}

/// `local@domain.tld`.
fn emails(text: &[u8]) -> Vec<Range<usize>> {
    let is_local = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'%' | b'+' | b'-');
    let is_domain = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-');
    let ats = text.iter().enumerate().filter(|(_, b)| **b == b'@').map(|(at, _)| at);
    ats.filter_map(|at| {
        let local = text[..at].iter().rev().take(64).take_while(|b| is_local(b)).count();
        let domain = text[at + 1..].iter().take(253).take_while(|b| is_domain(b)).count();
        let name = &text[at + 1..at + 1 + domain];
        let name = name.strip_suffix(b".").unwrap_or(name);
        let dot = name.iter().rposition(|b| *b == b'.').filter(|dot| *dot > 0)?;
        let top = &name[dot + 1..];
        let whole = local > 0 && top.len() >= 2 && top.iter().all(u8::is_ascii_alphabetic);
        whole.then_some(at - local..at + 1 + name.len())
    })
    .collect()
}

/// Every DI is the same DER header and 32 bytes.
const DI_HEAD: &[u8] = b"MC0GCCqGSIb3DQIJAyEA";

fn linkage(text: &[u8]) -> Vec<(Pattern, Range<usize>)> {
    let is_base64 = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/');
    let mut found = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let start = at;
        while at < text.len() && is_base64(text[at]) {
            at += 1;
        }
        let run = &text[start..at];
        if run.len() == 86 && text[at..].starts_with(b"==") {
            found.push((Pattern::Ci, start..at + 2));
        } else if run.len() >= 63 && run.starts_with(DI_HEAD) {
            found.push((Pattern::Di, start..at));
        }
        at += 1;
    }
    found
}
