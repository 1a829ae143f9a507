//! Oracle's dates as the legacy file holds them: Korean wall clock text. Inside, microseconds since 1970.

pub const SECOND: i64 = 1_000_000;
pub const DAY: i64 = 86_400 * SECOND;
const SEOUL: i64 = 9 * 3_600 * SECOND;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Time {
    pub micros: i64,
    /// It is a TIMESTAMP: its text has a fraction.
    pub fraction: bool,
}

pub fn now(skew_s: i64) -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    since.as_micros() as i64 + SEOUL + skew_s * SECOND
}

/// `YYYY-MM-DD`, `YYYY-MM-DD HH:MM:SS`, or with a fraction of up to nine digits.
pub fn parse(text: &str) -> Option<Time> {
    let b = text.as_bytes();
    if !(b.len() == 10 || b.len() == 19 || b.len() > 20 && b[19] == b'.') || b[4] != b'-' || b[7] != b'-' {
        return None;
    }
    let number = |from: usize, to: usize| {
        b[from..to].iter().try_fold(0i64, |n, d| d.is_ascii_digit().then(|| n * 10 + i64::from(d - b'0')))
    };
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    if !(1..=12).contains(&month) || day < 1 || day > days_in(year, month) {
        return None;
    }
    let mut micros = days_from_civil(year, month, day) * DAY;
    if b.len() >= 19 {
        let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
        if hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        micros += (hour * 3_600 + minute * 60 + second) * SECOND;
    }
    let fraction = b.len() > 20;
    if fraction {
        let digits = (b.len() - 20).min(6);
        micros += number(20, 20 + digits)? * 10i64.pow(6 - digits as u32);
    }
    Some(Time { micros, fraction })
}

pub fn text(time: Time) -> String {
    let Parts { year, month, day, hour, minute, second, micros } = parts(time.micros);
    let whole = format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}");
    match (time.fraction, micros % 1_000) {
        (false, _) => whole,
        (true, 0) => format!("{whole}.{:03}", micros / 1_000),
        (true, _) => format!("{whole}.{micros:06}"),
    }
}

pub struct Parts {
    pub year: i64,
    pub month: i64,
    pub day: i64,
    pub hour: i64,
    pub minute: i64,
    pub second: i64,
    pub micros: i64,
}

pub fn parts(micros: i64) -> Parts {
    let (year, month, day) = civil(micros.div_euclid(DAY));
    let rest = micros.rem_euclid(DAY);
    let seconds = rest / SECOND;
    Parts {
        year,
        month,
        day,
        hour: seconds / 3_600,
        minute: seconds / 60 % 60,
        second: seconds % 60,
        micros: rest % SECOND,
    }
}

pub fn civil(day: i64) -> (i64, i64, i64) {
    let z = day + 719_468;
    let era = z.div_euclid(146_097);
    let of_era = z.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let mp = (5 * day_of_year + 2) / 153;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day_of_year - (153 * mp + 2) / 5 + 1)
}

pub fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let of_era = y.rem_euclid(400);
    let mp = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * mp + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + day_of_year - 719_468
}

pub fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// As ADD_MONTHS: the last day of a month stays the last day.
pub fn add_months(time: Time, months: i64) -> Time {
    let Parts { year, month, day, .. } = parts(time.micros);
    let at = year * 12 + month - 1 + months;
    let (to_year, to_month) = (at.div_euclid(12), at.rem_euclid(12) + 1);
    let last = days_in(to_year, to_month);
    let to_day = if day == days_in(year, month) { last } else { day.min(last) };
    let micros = days_from_civil(to_year, to_month, to_day) * DAY + time.micros.rem_euclid(DAY);
    Time { micros, ..time }
}

/// As `date + n`: a fraction of a day, to the second for a DATE.
pub fn add_days(time: Time, days: f64) -> Time {
    let mut micros = time.micros + (days * DAY as f64).round() as i64;
    if !time.fraction {
        micros = (micros + SECOND / 2).div_euclid(SECOND) * SECOND;
    }
    Time { micros, ..time }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_survives_text_and_arithmetic() {
        let at = parse("2026-11-22 20:00:00").expect("a date");
        assert_eq!(text(at), "2026-11-22 20:00:00");
        assert_eq!(text(add_days(at, -1.0 / 24.0)), "2026-11-22 19:00:00");
        assert_eq!(text(add_days(at, 1.0 / 86_400.0)), "2026-11-22 20:00:01");
        assert_eq!(text(parse("2026-11-22 20:00:00.25").expect("a timestamp")), "2026-11-22 20:00:00.250");
        assert_eq!(text(add_months(parse("2026-02-28").expect("a date"), 1)), "2026-03-31 00:00:00");
        assert_eq!(parse("2026-02-30"), None);
        assert_eq!(parse("hello"), None);
    }
}
