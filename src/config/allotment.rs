//! Where units come from, and the agency's choices about them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::section::section;
use crate::domain::AllotmentMode;

section! {
    /// Where units come from, and what happens when the agency's own changes meet bookings.
    Allotment at "allotment" {
        /// `none`: feeds only. `on_request`: each booking asks the legacy system and is answered later. `quota`: the agency assigns units. `counter`: the bridge raises the booked count. `remaining`: it lowers the count of what is left. `capacity`: it lowers the capacity. `count_rows`: it writes placeholder reservations. A mode that takes units must be proved on Oracle first (`slotbridge allotment prove`).
        mode: AllotmentMode = AllotmentMode::Counter;
        /// Who keeps the booked or remaining counter of a slot: the `application`, or a `trigger` on the reservation table.
        maintained_by: Maintained = Maintained::Application;
        /// When all free units go back and none are taken, in Korean time: before recounts, clinic lists and dose orders. `"23:50-00:40"` is every day; `"mon,fri 06:00-07:00"` begins on those days.
        quiet_windows: Vec<String> = Vec::new(), eg "[\"23:50-00:40\"]";
        /// After the agency has asked for units back, none are taken from that slot for so long, in seconds.
        release_hold_s: u64 = 600;
        /// Bookings on request a second that may be sent to the legacy system.
        on_request_per_s_max: u32 = 5;
        /// Bookings on request that may wait for their answer; one more is refused.
        pending_max: u32 = 3_000;
        /// When the agency cuts a slot below what is booked: `honour` keeps the bookings and reports the overrun, `displace_newest` offers the youngest another slot.
        capacity_cut: CapacityCut = CapacityCut::Honour;
        /// When a person has booked here and natively: `legacy_wins` keeps the native booking, `earliest_wins` the older one.
        native_conflict: NativeConflict = NativeConflict::LegacyWins;
        /// Mode `count_rows`: the view of the persons that placeholders are made out to.
        placeholder_view: Option<String> = None, eg "\"SB_PLACEHOLDER\"";
        /// Mode `count_rows`: the agency's signed statement that lists, messages and statistics leave placeholders out.
        placeholder_statement_file: Option<PathBuf> = None, eg "\"statements/placeholders.pdf\"";
    } tables {
        /// Slot classes with a mode of their own.
        class: BTreeMap<String, AllotmentClass>;
    }
}

section! {
    /// A slot class with a mode of its own. One section a class, named by its code (`[allotment.class.leftover]`).
    AllotmentClass at "allotment.class.<code>" {
        /// As `allotment.mode`, which holds where this is not set.
        mode: Option<AllotmentMode> = None, eg "\"on_request\"";
    }
}

impl Allotment {
    /// Every mode in use, each once, with the key that chooses it.
    pub fn modes(&self) -> Vec<(String, AllotmentMode)> {
        let classes = self.class.iter().filter_map(|(code, class)| {
            let mode = class.mode.filter(|mode| *mode != self.mode)?;
            Some((format!("allotment.class.{code}.mode"), mode))
        });
        std::iter::once(("allotment.mode".to_owned(), self.mode)).chain(classes).collect()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Maintained {
    Application,
    Trigger,
}

impl Maintained {
    pub fn code(self) -> &'static str {
        match self {
            Maintained::Application => "application",
            Maintained::Trigger => "trigger",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CapacityCut {
    Honour,
    DisplaceNewest,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NativeConflict {
    LegacyWins,
    EarliestWins,
}

/// A quiet window: on which days it begins, from when to when. Minutes of the day in Korea; an end at or before the
/// begin is on the next day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuietWindow {
    /// Monday first.
    pub days: [bool; 7],
    pub from_min: u16,
    pub until_min: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WindowError {
    #[error("`{0}` is no day; days are mon, tue, wed, thu, fri, sat, sun")]
    Day(String),
    #[error("`{0}` is no time of day like 23:50")]
    Time(String),
    #[error("begin and end are one instant")]
    Empty,
    #[error("not of the form 23:50-00:40")]
    Shape,
}

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

impl std::str::FromStr for QuietWindow {
    type Err = WindowError;
    fn from_str(text: &str) -> Result<QuietWindow, WindowError> {
        let (days, times) = match text.trim().split_once(' ') {
            Some((days, times)) => (chosen(days)?, times.trim()),
            None => ([true; 7], text.trim()),
        };
        let (from, until) = times.split_once('-').ok_or(WindowError::Shape)?;
        let (from_min, until_min) = (minutes(from)?, minutes(until)?);
        if from_min == until_min {
            return Err(WindowError::Empty);
        }
        Ok(QuietWindow { days, from_min, until_min })
    }
}

fn chosen(text: &str) -> Result<[bool; 7], WindowError> {
    let mut days = [false; 7];
    for name in text.split(',') {
        let day = DAYS.iter().position(|day| *day == name).ok_or_else(|| WindowError::Day(name.to_owned()))?;
        days[day] = true;
    }
    Ok(days)
}

fn minutes(text: &str) -> Result<u16, WindowError> {
    let wrong = || WindowError::Time(text.to_owned());
    let (hours, minutes) = text.split_once(':').ok_or_else(wrong)?;
    if hours.len() != 2 || minutes.len() != 2 || !text.bytes().all(|b| b.is_ascii_digit() || b == b':') {
        return Err(wrong());
    }
    let (hours, minutes): (u16, u16) = (hours.parse().map_err(|_| wrong())?, minutes.parse().map_err(|_| wrong())?);
    if hours > 23 || minutes > 59 {
        return Err(wrong());
    }
    Ok(hours * 60 + minutes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quiet_window_is_read_with_its_days() {
        let daily = QuietWindow { days: [true; 7], from_min: 23 * 60 + 50, until_min: 40 };
        assert_eq!("23:50-00:40".parse(), Ok(daily));
        let some = QuietWindow { days: [true, false, false, false, true, false, false], from_min: 360, until_min: 420 };
        assert_eq!("mon,fri 06:00-07:00".parse(), Ok(some));
        for (text, error) in [
            ("23:50", WindowError::Shape),
            ("24:00-01:00", WindowError::Time("24:00".to_owned())),
            ("1:00-02:00", WindowError::Time("1:00".to_owned())),
            ("01:00-01:00", WindowError::Empty),
            ("holiday 01:00-02:00", WindowError::Day("holiday".to_owned())),
        ] {
            assert_eq!(text.parse::<QuietWindow>(), Err(error));
        }
    }
}
