//! Times of day and dates as publications write them.

/// Minutes since midnight of `09:00:00`, `09:00`, `9:00 AM`, `12:30PM`, `09:00AM`; 24:00 is 1440.
pub(super) fn minute_of_day(text: &str) -> Option<u32> {
    let text = text.trim();
    let upper = text.to_ascii_uppercase();
    let (clock, half) = match (upper.strip_suffix("AM"), upper.strip_suffix("PM")) {
        (Some(rest), _) => (rest.trim_end(), Some(0)),
        (_, Some(rest)) => (rest.trim_end(), Some(12)),
        _ => (upper.as_str(), None),
    };
    let mut parts = clock.split(':');
    let (hour, minute) = (number(parts.next()?)?, number(parts.next()?)?);
    let second = parts.next().map_or(Some(0), number)?;
    if parts.next().is_some() || minute > 59 || second != 0 {
        return None;
    }
    let hour = match half {
        Some(add) if (1..=12).contains(&hour) => hour % 12 + add,
        Some(_) => return None,
        None => hour,
    };
    let total = hour * 60 + minute;
    (total <= 24 * 60).then_some(total)
}

/// Start and end of `09:00AM-11:00AM`; `None` unless it ends later than it starts.
pub(super) fn window(text: &str) -> Option<(u32, u32)> {
    let (from, to) = text.split_once('-')?;
    let (from, to) = (minute_of_day(from)?, minute_of_day(to)?);
    (from < to).then_some((from, to))
}

/// Year, month, day of `06-05-2021` or `2021-05-06`.
pub(super) fn date(text: &str) -> Option<(i64, i64, i64)> {
    let mut parts = text.trim().split('-');
    let (a, b, c) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let (year, month, day) = if a.len() == 4 { (a, b, c) } else { (c, b, a) };
    if year.len() != 4 {
        return None;
    }
    let (year, month, day) = (number(year)?, number(month)?, number(day)?);
    let fits = (1..=12).contains(&month) && (1..=31).contains(&day);
    fits.then_some((i64::from(year), i64::from(month), i64::from(day)))
}

/// `HH:MM`, as opening hours stand in the legacy system.
pub(super) fn hour_minute(minute: u32) -> String {
    format!("{:02}:{:02}", minute / 60, minute % 60)
}

fn number(text: &str) -> Option<u32> {
    let plain = (1..=4).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_however_they_are_written() {
        for (text, minute) in [
            ("09:00AM", 540),
            ("9:00 AM", 540),
            ("09:00", 540),
            ("09:00:00", 540),
            ("12:00PM", 720),
            ("12:30am", 30),
            ("01:00PM", 780),
            ("24:00", 1_440),
        ] {
            assert_eq!(minute_of_day(text), Some(minute), "{text}");
        }
        for text in ["", "FORENOON", "9", "13:00PM", "09:60", "25:00", "09:00:00:00", "-1:00", "٠٩:٠٠"] {
            assert_eq!(minute_of_day(text), None, "{text}");
        }
        assert_eq!(window("11:00AM-01:00PM"), Some((660, 780)));
        assert_eq!(window("03:00PM-01:00PM"), None);
        assert_eq!(date("06-05-2021"), Some((2021, 5, 6)));
        assert_eq!(date("2021-05-06"), Some((2021, 5, 6)));
        assert_eq!(date("06-13-2021"), None);
        assert_eq!(date("06-05-21"), None);
    }
}
