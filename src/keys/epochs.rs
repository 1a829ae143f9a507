//! Which epochs of person tokens there are: the open one, the one that still overlaps, those that ended.
//!
//! An epoch is numbered by year and month in Seoul, `2611`. It gives way to the next when the calendar's month is over
//! and the one before it has closed, or earlier on demand; a rotation on demand takes the next month's number ahead of
//! time, so that numbers only grow and say which epoch is newer. Tokens of an epoch that gave way are accepted until
//! it closes; a day after that its keys are destroyed: a clock that stands wrong for an hour destroys nothing.
//!
//! The list stands in the key folder (`epochs.toml`) and what it says of destroyed keys stands in the data folder as
//! well (`destroyed-keys.toml`): whoever brings back one of the two folders as it was before finds the other one's word.

use serde::{Deserialize, Serialize};

use crate::domain::{Timestamp, time::DAY_MS};

use super::folder::{KeyError, KeyFolder};

const FILE: &str = "epochs.toml";
/// From the close of an epoch to the end of its keys.
const DESTROY_AFTER_MS: i64 = DAY_MS;
/// Two centuries of months, and rotations on demand.
const EPOCHS_MAX: usize = 4_000;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Epoch {
    pub number: u32,
    /// RFC 3339, as every instant here.
    began_at: String,
    /// From then on its tokens are not accepted; none while tokens are made in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    closes_at: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    destroyed_at: Option<String>,
}

/// The list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EpochList {
    #[serde(rename = "epoch", default)]
    epochs: Vec<Epoch>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EpochRefused {
    #[error("epoch {number} still overlaps, until {until}: destroy it first, or wait")]
    Overlaps { number: u32, until: String },
    #[error("epoch {number} is the one that tokens are made in: rotate first")]
    Current { number: u32 },
    #[error("there is no epoch {number}, or its keys are destroyed already")]
    Unknown { number: u32 },
    #[error("the list of epochs is full")]
    Full,
}

impl Epoch {
    fn closes(&self) -> Option<Timestamp> {
        self.closes_at.as_deref().and_then(|text| Timestamp::parse_rfc3339(text).ok())
    }

    pub fn is_destroyed(&self) -> bool {
        self.destroyed_at.is_some()
    }

    /// `open`, `overlapping`, `closed`, `destroyed`.
    pub fn standing(&self, now: Timestamp) -> &'static str {
        match (self.is_destroyed(), self.closes()) {
            (true, _) => "destroyed",
            (false, None) => "open",
            (false, Some(at)) if now < at => "overlapping",
            (false, Some(_)) => "closed",
        }
    }
}

impl EpochList {
    /// The list of the folder; where there is none, the epoch of the month, and the one before if its keys are there.
    pub fn read(folder: &KeyFolder, now: Timestamp) -> Result<EpochList, KeyError> {
        let Some(text) = folder.read(FILE)? else {
            let number = month_of(now);
            let mut epochs = Vec::new();
            let before = previous(number);
            if folder.names()?.iter().any(|name| epoch_of(name) == Some(before)) {
                let (began, closes) = (month_start(before), month_start(next(number)));
                epochs.push(Epoch::new(before, began).closing(closes));
            }
            epochs.push(Epoch::new(number, now));
            return Ok(EpochList { epochs });
        };
        let wrong = |cause: String| KeyError::List { name: FILE, cause };
        let text = std::str::from_utf8(text.expose()).map_err(|error| wrong(error.to_string()))?;
        let list: EpochList = toml::from_str(text).map_err(|error| wrong(error.message().to_owned()))?;
        let grows = list.epochs.windows(2).all(|pair| pair[0].number < pair[1].number);
        let open = list.epochs.iter().filter(|epoch| epoch.closes_at.is_none()).count();
        let last_is_open = list.epochs.last().is_some_and(|epoch| epoch.closes_at.is_none() && !epoch.is_destroyed());
        if !grows || open != 1 || !last_is_open || list.epochs.len() > EPOCHS_MAX {
            return Err(wrong("epochs ascend, and the last one alone is open".to_owned()));
        }
        let instants = list.epochs.iter().flat_map(|epoch| [Some(&epoch.began_at), epoch.closes_at.as_ref()]);
        let bad = instants.flatten().find(|text| Timestamp::parse_rfc3339(text).is_err()).cloned();
        bad.map_or(Ok(list), |text| Err(wrong(format!("‘{text}’ is no instant"))))
    }

    pub fn write(&self, folder: &KeyFolder) -> Result<(), KeyError> {
        let text = toml::to_string(self).map_err(|error| KeyError::List { name: FILE, cause: error.to_string() })?;
        folder.write(FILE, text.as_bytes())
    }

    pub fn epochs(&self) -> &[Epoch] {
        &self.epochs
    }

    pub fn current(&self) -> u32 {
        self.epochs.last().map_or(0, |epoch| epoch.number)
    }

    /// The epoch whose tokens are accepted beside the open one's, and until when.
    pub fn overlapping(&self, now: Timestamp) -> Option<(u32, Timestamp)> {
        let epoch = self.epochs.iter().rev().nth(1).filter(|epoch| !epoch.is_destroyed())?;
        epoch.closes().filter(|at| now < *at).map(|at| (epoch.number, at))
    }

    /// When tokens made at `now` stop being accepted, if nobody rotates sooner: at the end of the next month.
    pub fn expires_at(now: Timestamp) -> Timestamp {
        month_start(next(next(month_of(now))))
    }

    /// Lets the calendar do its part. True if another epoch is open now.
    pub fn advance(&mut self, now: Timestamp) -> bool {
        let Some(open) = self.epochs.last() else { return false };
        let began = Timestamp::parse_rfc3339(&open.began_at).unwrap_or(now);
        let due = month_start(next(month_of(began)));
        if now < due || self.overlapping(now).is_some() || self.epochs.len() >= EPOCHS_MAX {
            return false;
        }
        // Tokens were promised until the end of the month after the one in which the last could be made.
        let before = self.epochs.iter().rev().nth(1).filter(|epoch| !epoch.is_destroyed()).and_then(Epoch::closes);
        let last_made = before.map_or(due, |closed| closed.max(due)).plus_ms(-1);
        self.open_next(now, EpochList::expires_at(last_made));
        true
    }

    /// Opens the next epoch ahead of time.
    pub fn rotate(&mut self, now: Timestamp, closes: Timestamp) -> Result<u32, EpochRefused> {
        if let Some((number, until)) = self.overlapping(now) {
            return Err(EpochRefused::Overlaps { number, until: until.rfc3339() });
        }
        if self.epochs.len() >= EPOCHS_MAX {
            return Err(EpochRefused::Full);
        }
        self.open_next(now, closes);
        Ok(self.current())
    }

    fn open_next(&mut self, now: Timestamp, closes: Timestamp) {
        let number = next(self.current()).max(month_of(now));
        if let Some(open) = self.epochs.last_mut() {
            open.closes_at = Some(closes.rfc3339());
        }
        self.epochs.push(Epoch::new(number, now));
    }

    /// Epochs whose keys are to be destroyed by now.
    pub fn due(&self, now: Timestamp) -> Vec<u32> {
        let over = |epoch: &&Epoch| epoch.closes().is_some_and(|at| at.plus_ms(DESTROY_AFTER_MS) <= now);
        self.epochs.iter().filter(|epoch| !epoch.is_destroyed()).filter(over).map(|epoch| epoch.number).collect()
    }

    /// Notes that an epoch's keys are gone; from then on its tokens are not accepted either.
    pub fn destroy(&mut self, number: u32, now: Timestamp) -> Result<(), EpochRefused> {
        if number == self.current() {
            return Err(EpochRefused::Current { number });
        }
        let epoch = self.epochs.iter_mut().find(|epoch| epoch.number == number && !epoch.is_destroyed());
        let epoch = epoch.ok_or(EpochRefused::Unknown { number })?;
        if epoch.closes().is_none_or(|at| now < at) {
            epoch.closes_at = Some(now.rfc3339());
        }
        epoch.destroyed_at = Some(now.rfc3339());
        Ok(())
    }

    /// Until when nothing changes by itself.
    pub fn settled_until(&self, now: Timestamp) -> Timestamp {
        let began = self.epochs.last().and_then(|open| Timestamp::parse_rfc3339(&open.began_at).ok()).unwrap_or(now);
        let due = month_start(next(month_of(began)));
        self.overlapping(now).map_or(due, |(_, closes)| closes)
    }
}

impl Epoch {
    fn new(number: u32, began: Timestamp) -> Epoch {
        Epoch { number, began_at: began.rfc3339(), closes_at: None, destroyed_at: None }
    }

    fn closing(self, at: Timestamp) -> Epoch {
        Epoch { closes_at: Some(at.rfc3339()), ..self }
    }
}

/// The epoch of a key file's name, `person.<partner>.<purpose>.<epoch>.key`.
pub fn epoch_of(name: &str) -> Option<u32> {
    let mut parts = name.strip_prefix("person.")?.strip_suffix(".key")?.rsplit('.');
    parts.next()?.parse().ok()
}

fn month_of(now: Timestamp) -> u32 {
    let text = now.rfc3339();
    let number = |range: std::ops::Range<usize>| text.get(range).and_then(|part| part.parse::<u32>().ok()).unwrap_or(1);
    number(2..4) * 100 + number(5..7)
}

fn next(number: u32) -> u32 {
    if number % 100 >= 12 { (number / 100 + 1) * 100 + 1 } else { number + 1 }
}

fn previous(number: u32) -> u32 {
    if number % 100 <= 1 { (number / 100).saturating_sub(1) * 100 + 12 } else { number - 1 }
}

fn month_start(number: u32) -> Timestamp {
    let text = format!("20{:02}-{:02}-01T00:00:00+09:00", number / 100 % 100, number % 100);
    Timestamp::parse_rfc3339(&text).unwrap_or(Timestamp(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse_rfc3339(text).unwrap()
    }

    fn fresh(now: Timestamp) -> (tempfile::TempDir, KeyFolder, EpochList) {
        let dir = tempfile::tempdir().unwrap();
        let folder = KeyFolder::open(&dir.path().join("keys")).unwrap();
        let list = EpochList::read(&folder, now).unwrap();
        (dir, folder, list)
    }

    fn numbers(list: &EpochList, now: Timestamp) -> (u32, Option<u32>) {
        (list.current(), list.overlapping(now).map(|(number, _)| number))
    }

    #[test]
    fn an_epoch_is_a_month_in_seoul_and_overlaps_the_next() {
        let new_year = at("2026-12-31T15:00:00Z");
        let (_dir, folder, mut list) = fresh(at("2026-11-22T20:00:00+09:00"));
        assert_eq!(numbers(&list, at("2026-11-22T20:00:00+09:00")), (2611, None));
        assert!(!list.advance(at("2026-11-30T23:59:59+09:00")));
        assert!(list.advance(at("2026-12-01T00:00:00+09:00")));
        assert_eq!(numbers(&list, new_year.plus_ms(-1)), (2612, Some(2611)));
        assert!(!list.advance(new_year.plus_ms(-1)));
        assert_eq!(numbers(&list, new_year), (2612, None), "closed to the millisecond, though nobody rolled");
        assert!(list.advance(new_year));
        assert_eq!(numbers(&list, new_year), (2701, Some(2612)));
        assert_eq!(EpochList::expires_at(new_year).rfc3339(), "2027-03-01T00:00:00+09:00");
        assert_eq!(EpochList::expires_at(new_year.plus_ms(-1)).rfc3339(), "2027-02-01T00:00:00+09:00");
        assert_eq!(list.due(new_year.plus_ms(DAY_MS - 1)), [] as [u32; 0]);
        assert_eq!(list.due(new_year.plus_ms(DAY_MS)), [2611]);
        list.write(&folder).unwrap();
        assert_eq!(EpochList::read(&folder, new_year).unwrap(), list);
    }

    #[test]
    fn a_rotation_on_demand_takes_the_next_number_and_the_calendar_goes_on_from_there() {
        let now = at("2026-11-22T20:00:00+09:00");
        let (_dir, _folder, mut list) = fresh(now);
        assert_eq!(list.rotate(now, now.plus_ms(3 * DAY_MS)), Ok(2612));
        assert_eq!(numbers(&list, now), (2612, Some(2611)));
        let refused = list.rotate(now, now.plus_ms(DAY_MS));
        assert!(matches!(refused, Err(EpochRefused::Overlaps { number: 2611, .. })), "{refused:?}");
        assert_eq!(list.destroy(2612, now), Err(EpochRefused::Current { number: 2612 }));
        list.destroy(2611, now).unwrap();
        assert_eq!(list.destroy(2611, now), Err(EpochRefused::Unknown { number: 2611 }));
        assert_eq!(numbers(&list, now), (2612, None));
        assert!(!list.advance(at("2026-11-30T23:59:59+09:00")));
        assert!(list.advance(at("2026-12-01T00:00:00+09:00")));
        assert_eq!(list.current(), 2701, "numbers never come again");
    }

    #[test]
    fn after_a_long_stop_what_was_promised_until_then_is_closed() {
        let (_dir, _folder, mut list) = fresh(at("2026-11-05T00:00:00+09:00"));
        let late = at("2027-02-03T00:00:00+09:00");
        assert!(list.advance(late));
        assert_eq!(numbers(&list, late), (2702, None));
        assert_eq!(list.due(late), [2611]);
    }

    #[test]
    fn a_folder_without_a_list_goes_on_with_the_keys_that_are_there() {
        let (_dir, folder, _) = fresh(Timestamp(0));
        folder.key_or_new("person.naver.booking.2610.key", 64).unwrap();
        let now = at("2026-11-22T20:00:00+09:00");
        let list = EpochList::read(&folder, now).unwrap();
        assert_eq!(numbers(&list, now), (2611, Some(2610)));
        assert_eq!(epoch_of("person.naver.booking.2610.key"), Some(2610));
        assert_eq!(epoch_of("person.naver.booking.2610.key.destroyed"), None);
        for damaged in ["[[epoch]]\nnumber = 1", "[[epoch]]\nnumber = 2\nbegan_at = \"x\"\n", "", "nonsense"] {
            folder.write(FILE, damaged.as_bytes()).unwrap();
            assert!(matches!(EpochList::read(&folder, now), Err(KeyError::List { .. })), "{damaged}");
        }
    }
}
