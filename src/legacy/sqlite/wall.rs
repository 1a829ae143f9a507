//! Korean wall clock text of DATE columns, read and written by hand: a full cut reads millions of them.

use crate::domain::Timestamp;
use crate::domain::time::{DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS};

const SEOUL_OFFSET_MS: i64 = 9 * HOUR_MS;

/// `YYYY-MM-DD`, `YYYY-MM-DD HH:MM:SS` or with `.mmm`; `None` for anything else.
pub(crate) fn parse(text: &str) -> Option<Timestamp> {
    let b = text.as_bytes();
    if !matches!(b.len(), 10 | 19 | 23) || b[4] != b'-' || b[7] != b'-' {
        return None;
    }
    let (year, month, day) = (digits(&b[0..4])?, digits(&b[5..7])?, digits(&b[8..10])?);
    if !(1..=12).contains(&month) || day < 1 || day > days_in(year, month) {
        return None;
    }
    let mut ms = days_from_civil(year, month, day) * DAY_MS - SEOUL_OFFSET_MS;
    if b.len() >= 19 {
        if !matches!(b[10], b' ' | b'T') || b[13] != b':' || b[16] != b':' {
            return None;
        }
        let (hour, minute, second) = (digits(&b[11..13])?, digits(&b[14..16])?, digits(&b[17..19])?);
        if hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        ms += hour * HOUR_MS + minute * MINUTE_MS + second * SECOND_MS;
    }
    if b.len() == 23 {
        if b[19] != b'.' {
            return None;
        }
        ms += digits(&b[20..23])?;
    }
    Some(Timestamp(ms))
}

/// `YYYY-MM-DD HH:MM:SS.mmm`: an `UPD_DT`.
pub(crate) fn stamp(at: Timestamp) -> String {
    let ms = (at.0 + SEOUL_OFFSET_MS).rem_euclid(SECOND_MS);
    format!("{}.{ms:03}", at.seoul_text())
}

/// The shortest text of the instant. Texts are compared by bytes, and a column may hold days, seconds or milliseconds:
/// the shortest sorts with or before every other text of the same instant, and after all of earlier ones.
pub(crate) fn bound(at: Timestamp) -> String {
    let text = stamp(at);
    let text = text.strip_suffix(".000").unwrap_or(&text);
    text.strip_suffix(" 00:00:00").unwrap_or(text).to_owned()
}

/// Year, month and day in Seoul.
pub(crate) fn civil(seoul_day: i32) -> (i64, i64, i64) {
    let z = i64::from(seoul_day) + 719_468;
    let era = z.div_euclid(146_097);
    let of_era = z.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let mp = (5 * day_of_year + 2) / 153;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day_of_year - (153 * mp + 2) / 5 + 1)
}

/// Days since 1970-01-01 of a civil date.
pub(crate) fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let of_era = y.rem_euclid(400);
    let mp = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * mp + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + day_of_year - 719_468
}

pub(crate) fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn digits(bytes: &[u8]) -> Option<i64> {
    bytes.iter().try_fold(0i64, |n, b| b.is_ascii_digit().then(|| n * 10 + i64::from(b - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wall_clock_text_is_read_as_the_calendar_does() {
        for text in ["1957-02-28 23:59:59", "2024-02-29 00:00:00", "2026-11-22 20:00:00", "2100-12-31 09:30:15"] {
            assert_eq!(parse(text), Timestamp::parse_seoul(text).ok(), "{text}");
        }
        for day in [-200_000, -1, 0, 1, 59, 20_000, 40_000] {
            let (y, m, d) = civil(day);
            assert_eq!(days_from_civil(y, m, d), i64::from(day));
        }
        assert_eq!(parse("2026-11-22 20:00:00.250"), Some(Timestamp(1_795_345_200_250)));
        assert_eq!(stamp(Timestamp(1_795_345_200_250)), "2026-11-22 20:00:00.250");
        for text in ["2026-11-22 20:00:00.250", "2026-11-22 20:00:00", "2026-11-22"] {
            assert_eq!(parse(text).map(bound).as_deref(), Some(text));
        }
        assert_eq!(parse("1957-02-28"), Timestamp::parse_seoul("1957-02-28 00:00:00").ok());
    }

    #[test]
    fn what_is_not_a_wall_clock_reading_is_refused() {
        for text in ["", "2026-13-01", "2026-02-30", "2026-02-01 24:00:00", "20260201", "2026-02-01 10:00", "가나다라"]
        {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
