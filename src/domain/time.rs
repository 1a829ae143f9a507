//! Instants. Time is always an argument of a rule; only the shell's clock makes one up.

use jiff::{Timestamp as Instant, civil, tz::TimeZone};
use serde::{Deserialize, Serialize};

/// Milliseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

pub const SECOND_MS: i64 = 1_000;
pub const MINUTE_MS: i64 = 60_000;
pub const HOUR_MS: i64 = 3_600_000;
pub const DAY_MS: i64 = 86_400_000;
/// Asia/Seoul has been UTC+9 without daylight saving since 1988.
const SEOUL_OFFSET_MS: i64 = 9 * HOUR_MS;
/// RFC 3339 instants accepted: years 0001 to 9999.
const RANGE: std::ops::RangeInclusive<i64> = -62_135_596_800_000..=253_402_300_799_999;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an RFC 3339 instant with an offset")]
pub struct NotAnInstant;

impl Timestamp {
    pub fn plus_ms(self, ms: i64) -> Timestamp {
        Timestamp(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to `self`; negative when `self` is the earlier one.
    pub fn since_ms(self, earlier: Timestamp) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Days since 1970-01-01 in Seoul; the calendar day that limits count by.
    pub fn seoul_day(self) -> i32 {
        (self.0 + SEOUL_OFFSET_MS).div_euclid(DAY_MS) as i32
    }

    /// The instant at which that day begins in Seoul.
    pub fn seoul_midnight(day: i32) -> Timestamp {
        Timestamp(i64::from(day) * DAY_MS - SEOUL_OFFSET_MS)
    }

    /// RFC 3339 with `+09:00`; seconds, and milliseconds only where there are any.
    pub fn rfc3339(self) -> String {
        let local =
            Instant::from_millisecond(self.0.clamp(*RANGE.start(), *RANGE.end() - SEOUL_OFFSET_MS) + SEOUL_OFFSET_MS)
                .unwrap_or(Instant::UNIX_EPOCH)
                .to_zoned(TimeZone::UTC)
                .datetime();
        let ms = local.subsec_nanosecond() / 1_000_000;
        let (d, t) = (local.date(), local.time());
        let mut text = format!(
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}",
            d.year(),
            d.month(),
            d.day(),
            t.hour(),
            t.minute(),
            t.second()
        );
        if ms != 0 {
            text.push_str(&format!(".{ms:03}"));
        }
        text.push_str("+09:00");
        text
    }

    /// Reads RFC 3339 with any offset; finer than a millisecond is cut off.
    pub fn parse_rfc3339(text: &str) -> Result<Timestamp, NotAnInstant> {
        if text.len() > 40 || !text.is_ascii() || text.contains('[') || text.as_bytes().get(10) != Some(&b'T') {
            return Err(NotAnInstant);
        }
        let instant: Instant = text.parse().map_err(|_| NotAnInstant)?;
        Ok(Timestamp(instant.as_millisecond()))
    }

    /// A wall clock reading in Seoul, as legacy DATE columns hold it (`YYYY-MM-DD HH:MM:SS` or `…THH:MM:SS`).
    pub fn parse_seoul(text: &str) -> Result<Timestamp, NotAnInstant> {
        let civil: civil::DateTime = text.parse().map_err(|_| NotAnInstant)?;
        let utc = civil.to_zoned(TimeZone::UTC).map_err(|_| NotAnInstant)?.timestamp().as_millisecond();
        Ok(Timestamp(utc - SEOUL_OFFSET_MS))
    }

    /// The wall clock reading in Seoul, `YYYY-MM-DD HH:MM:SS`.
    pub fn seoul_text(self) -> String {
        self.rfc3339()[..19].replace('T', " ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_shown_in_seoul() {
        assert_eq!(Timestamp(0).rfc3339(), "1970-01-01T09:00:00+09:00");
        assert_eq!(Timestamp(1).rfc3339(), "1970-01-01T09:00:00.001+09:00");
        assert_eq!(Timestamp::parse_rfc3339("2026-11-22T20:00:00+09:00"), Ok(Timestamp(1_795_345_200_000)));
        assert_eq!(Timestamp::parse_rfc3339("2026-11-22T11:00:00Z"), Ok(Timestamp(1_795_345_200_000)));
        assert_eq!(Timestamp::parse_seoul("2026-11-22 20:00:00"), Ok(Timestamp(1_795_345_200_000)));
        assert_eq!(Timestamp(1_795_345_200_000).seoul_text(), "2026-11-22 20:00:00");
    }

    #[test]
    fn what_is_not_an_instant_is_refused() {
        for text in [
            "",
            "2026-11-22",
            "2026-11-22 20:00:00+09:00",
            "2026-11-22T20:00:00",
            "2026-13-01T00:00:00Z",
            "2026-11-22T20:00:00+09:00[Asia/Seoul]",
        ] {
            assert_eq!(Timestamp::parse_rfc3339(text), Err(NotAnInstant), "{text}");
        }
    }

    #[test]
    fn a_day_begins_at_midnight_in_seoul() {
        let midnight = Timestamp::parse_rfc3339("2026-11-22T00:00:00+09:00").unwrap();
        assert_eq!(midnight.plus_ms(-1).seoul_day() + 1, midnight.seoul_day());
    }
}
