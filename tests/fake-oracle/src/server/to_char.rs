//! Format models of TO_CHAR and TO_DATE: the elements that daemons use.

use super::dates::{self, Time};
use super::errors::OraError;

const ELEMENTS: &[&str] = &[
    "YYYY", "RRRR", "YY", "RR", "MM", "MON", "MI", "DDD", "DD", "DY", "D", "HH24", "HH12", "HH", "SSSSS", "SS", "FF3",
    "FF6", "FF9", "FF", "AM", "PM", "FX", "FM", "Q", "J",
];
const MONTHS: [&str; 12] = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const DAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

/// The next element of a format, or one character to copy.
fn element(format: &str) -> Result<(&'static str, usize), char> {
    let upper: String = format.chars().take(5).collect::<String>().to_uppercase();
    let found = ELEMENTS.iter().filter(|name| upper.starts_with(**name)).max_by_key(|name| name.len());
    match found {
        Some(name) => Ok((name, name.len())),
        None => Err(format.chars().next().unwrap_or(' ')),
    }
}

pub fn date(time: Time, format: &str) -> Result<String, OraError> {
    let mut out = String::new();
    let mut rest = format;
    while !rest.is_empty() {
        if let Some(quoted) = rest.strip_prefix('"') {
            let (text, after) = quoted.split_once('"').unwrap_or((quoted, ""));
            out.push_str(text);
            rest = after;
            continue;
        }
        match element(rest) {
            Ok((name, length)) => {
                out.push_str(&part(time, name));
                rest = &rest[length..];
            }
            Err(c) if c.is_alphanumeric() => return Err(OraError::new(1821, "date format not recognized")),
            Err(c) => {
                out.push(c);
                rest = &rest[c.len_utf8()..];
            }
        }
    }
    Ok(out)
}

fn part(time: Time, name: &str) -> String {
    let p = dates::parts(time.micros);
    let day = time.micros.div_euclid(dates::DAY);
    let weekday = (day + 4).rem_euclid(7) as usize;
    let hour12 = if p.hour % 12 == 0 { 12 } else { p.hour % 12 };
    match name {
        "YYYY" | "RRRR" => format!("{:04}", p.year),
        "YY" | "RR" => format!("{:02}", p.year % 100),
        "MM" => format!("{:02}", p.month),
        "MON" => MONTHS[p.month as usize - 1].to_owned(),
        "DD" => format!("{:02}", p.day),
        "DDD" => format!("{:03}", day - dates::days_from_civil(p.year, 1, 1) + 1),
        "DY" => DAYS[weekday].to_owned(),
        "D" => (weekday + 1).to_string(),
        "HH24" => format!("{:02}", p.hour),
        "HH" | "HH12" => format!("{hour12:02}"),
        "MI" => format!("{:02}", p.minute),
        "SS" => format!("{:02}", p.second),
        "SSSSS" => format!("{:05}", p.hour * 3_600 + p.minute * 60 + p.second),
        "FF3" => format!("{:03}", p.micros / 1_000),
        "FF" | "FF6" => format!("{:06}", p.micros),
        "FF9" => format!("{:09}", p.micros * 1_000),
        "AM" | "PM" => if p.hour < 12 { "AM" } else { "PM" }.to_owned(),
        "Q" => ((p.month + 2) / 3).to_string(),
        "J" => (day + 2_440_588).to_string(),
        _ => String::new(),
    }
}

pub fn parse_date(text: &str, format: &str) -> Result<Time, OraError> {
    let mismatch = || OraError::new(1861, "literal does not match format string");
    let (mut year, mut month, mut day) = (1970, 1, 1);
    let (mut seconds, mut micros, mut fraction) = (0i64, 0i64, false);
    let (mut from, mut rest) = (text, format);
    while !rest.is_empty() {
        let (name, length) = match element(rest) {
            Ok(found) => found,
            Err(c) => {
                from = from.strip_prefix(|f: char| f == c || !f.is_alphanumeric()).ok_or_else(mismatch)?;
                rest = &rest[c.len_utf8()..];
                continue;
            }
        };
        rest = &rest[length..];
        let digits_max = match name {
            "YYYY" | "RRRR" => 4,
            "FF3" => 3,
            "FF" | "FF6" => 6,
            "FF9" => 9,
            "SSSSS" => 5,
            "FM" | "FX" => continue,
            _ => 2,
        };
        let digits = from.bytes().take(digits_max).take_while(u8::is_ascii_digit).count();
        let value: i64 = from[..digits].parse().map_err(|_| mismatch())?;
        from = &from[digits..];
        match name {
            "YYYY" | "RRRR" => year = value,
            "YY" | "RR" => year = if value < 50 { 2_000 + value } else { 1_900 + value },
            "MM" => month = value,
            "DD" => day = value,
            "HH24" => seconds += value * 3_600,
            "MI" => seconds += value * 60,
            "SS" | "SSSSS" => seconds += value,
            "FF" | "FF3" | "FF6" | "FF9" => {
                (micros, fraction) = (value * 10i64.pow(9 - digits as u32) / 1_000, true);
            }
            _ => return Err(OraError::new(1820, "format code cannot appear in date input format")),
        }
    }
    if !from.trim().is_empty() {
        return Err(OraError::new(1830, "date format picture ends before converting entire input string"));
    }
    if !(1..=12).contains(&month) {
        return Err(OraError::new(1843, "not a valid month"));
    }
    if day < 1 || day > dates::days_in(year, month) {
        return Err(OraError::new(1839, "date not valid for month specified"));
    }
    let start = dates::days_from_civil(year, month, day) * dates::DAY;
    Ok(Time { micros: start + seconds * dates::SECOND + micros, fraction })
}

/// `FM` and 9, 0, D, G, dot and comma.
pub fn number(value: f64, format: &str) -> Result<String, OraError> {
    let upper = format.to_uppercase();
    let (fill, model) = upper.strip_prefix("FM").map_or((true, upper.as_str()), |model| (false, model));
    let (whole, decimals) = model.split_once(['.', 'D']).unwrap_or((model, ""));
    if !model.chars().all(|c| matches!(c, '0' | '9' | '.' | ',' | 'D' | 'G')) {
        return Err(OraError::new(1481, "invalid number format model"));
    }
    let text = format!("{:.*}", decimals.len(), value.abs());
    let (digits, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let is_place = |c: &char| matches!(c, '0' | '9');
    let digits = if digits == "0" && !whole.contains('0') && !decimals.is_empty() { "" } else { digits };
    if digits.len() > whole.chars().filter(is_place).count() {
        return Ok("#".repeat(model.len() + 1));
    }
    let forced = whole.find('0').map_or(0, |at| whole[at..].chars().filter(is_place).count());
    let padded = format!("{}{digits}", "0".repeat(forced.saturating_sub(digits.len())));
    let mut out = String::new();
    let mut left = padded.chars().rev().peekable();
    for c in whole.chars().rev() {
        if left.peek().is_none() {
            break;
        }
        let placed = if matches!(c, ',' | 'G') { ',' } else { left.next().unwrap_or(' ') };
        out.insert(0, placed);
    }
    if !decimals.is_empty() {
        // FM cuts what only 9s ask for.
        let kept = decimals.rfind('0').map_or(0, |at| at + 1);
        let fraction = if fill {
            fraction
        } else {
            let cut = fraction.trim_end_matches('0');
            if cut.len() < kept { &fraction[..kept] } else { cut }
        };
        out = format!("{out}.{fraction}");
    }
    let signed = if value < 0.0 { format!("-{out}") } else { out };
    let width = model.len() + 1;
    Ok(if fill { format!("{signed:>width$}") } else { signed })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_give_what_oracle_gives() {
        let at = dates::parse("2026-11-22 20:05:09.123").expect("a time");
        assert_eq!(date(at, "YYYY-MM-DD HH24:MI:SS").expect("text"), "2026-11-22 20:05:09");
        assert_eq!(date(at, "yyyymmddhh24missff3").expect("text"), "20261122200509123");
        assert_eq!(date(at, "YYYY\"T\"MM DY").expect("text"), "2026T11 SUN");
        assert_eq!(number(7.0, "FM0000000000").expect("text"), "0000000007");
        assert_eq!(number(1234.5, "FM9,999.00").expect("text"), "1,234.50");
        assert_eq!(number(42.0, "9999").expect("text"), "   42");
        assert_eq!(parse_date("20261122", "YYYYMMDD").map(dates::text), Ok("2026-11-22 00:00:00".to_owned()));
        assert_eq!(parse_date("2026-13-01", "YYYY-MM-DD").map_err(|e| e.code), Err(1843));
    }
}
