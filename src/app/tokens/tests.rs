use std::sync::atomic::{AtomicI64, Ordering};

use super::*;
use crate::domain::{PersonNo, time::DAY_MS};
use crate::evidence::Entry;
use crate::evidence::IfMissing;
use crate::mapping::testing::load_edited;
use crate::serve::PersonTokens as _;

struct Hand(AtomicI64);

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

impl Hand {
    fn set(&self, text: &str) {
        self.0.store(Timestamp::parse_rfc3339(text).unwrap().0, Ordering::SeqCst);
    }
}

struct Table {
    dir: tempfile::TempDir,
    clock: Arc<Hand>,
    evidence: Arc<Evidence>,
}

impl Table {
    fn new() -> Table {
        let dir = tempfile::tempdir().unwrap();
        let evidence = Arc::new(Evidence::open(&dir.path().join("evidence.sqlite"), IfMissing::Create).unwrap());
        let clock = Arc::new(Hand(AtomicI64::new(0)));
        clock.set("2026-11-22T20:00:00+09:00");
        Table { dir, clock, evidence }
    }

    fn open(&self, edits: &[(&str, &str, &str)]) -> Result<Tokens, EpochFailed> {
        let mut config = Config::default();
        config.secrets.key_dir = self.dir.path().join("keys");
        let around = Around {
            clock: self.clock.clone(),
            evidence: self.evidence.clone(),
            view: Arc::default(),
            destroyed: self.dir.path().join(Destroyed::FILE),
        };
        Tokens::open(&config, &load_edited(edits).unwrap(), around)
    }

    fn destroyed(&self) -> usize {
        let entries = self.evidence.entries(0, 1_000).unwrap();
        let destroyed = |entry: &Option<Entry>| matches!(entry, Some(Entry::Access(access)) if access.action == Action::KeyDestroyed);
        entries.iter().filter(|(_, entry)| destroyed(entry)).count()
    }
}

fn naver() -> PartnerId {
    PartnerId::new("naver").unwrap()
}

const SOMEBODY: PersonRef = PersonRef::Known(PersonNo(7));

#[test]
fn an_epoch_closes_on_time_and_its_keys_end_a_day_later_though_nobody_asks_for_a_token() {
    let table = Table::new();
    let tokens = table.open(&[]).unwrap();
    let token = tokens.seal(&naver(), SOMEBODY, table.clock.now()).unwrap();
    assert_eq!(token.expires_at.rfc3339(), "2027-01-01T00:00:00+09:00");
    table.clock.set("2026-12-31T23:59:59+09:00");
    assert_eq!(tokens.open(&naver(), &token.text), Opened::Person(SOMEBODY), "it overlaps");
    table.clock.set("2027-01-01T00:00:00+09:00");
    assert_eq!(tokens.open(&naver(), &token.text), Opened::Expired);
    tokens.tick();
    let key = table.dir.path().join("keys/person.naver.booking.2611.key");
    assert!(key.exists() && table.destroyed() == 0);
    table.clock.set("2027-01-02T00:00:00+09:00");
    tokens.tick();
    assert!(!key.exists());
    assert_eq!(table.destroyed(), 3, "naver's, kakao's and the agency's");
}

#[test]
fn a_destruction_that_a_crash_cut_short_is_done_at_the_next_start() {
    let table = Table::new();
    let tokens = table.open(&[]).unwrap();
    tokens.rotate(3 * DAY_MS, Actor::Bridge).unwrap();
    drop(tokens);
    let folder = KeyFolder::open(&table.dir.path().join("keys")).unwrap();
    folder.destroy("person.kakao.booking.2611.key").unwrap();
    let tokens = table.open(&[]).unwrap();
    assert!(!folder.names().unwrap().iter().any(|name| epoch_of(name) == Some(2611)));
    assert_eq!(table.destroyed(), 3);
    assert!(matches!(tokens.destroy(2611, Actor::Bridge), Err(EpochFailed::Refused(EpochRefused::Unknown { .. }))));
}

#[test]
fn a_lookup_section_lowers_the_partners_limits_and_never_raises_them() {
    let table = Table::new();
    let lookup = |day: u32, epoch: u32| {
        format!("[lookup]\npersons_per_day_max = {day}\npersons_per_epoch_max = {epoch}\n\n[retention]")
    };
    let limits = |lookup: &str| {
        let tokens = table.open(&[("naver/eligibility.toml", "[retention]", lookup)]).unwrap();
        let limits = tokens.limits(&naver());
        (limits.day_max, limits.epoch_max)
    };
    assert_eq!(limits("[retention]"), (2_000_000, 15_000_000));
    assert_eq!(limits(&lookup(5, 4_000_000_000)), (5, 15_000_000));
}
