//! The shipped mappings fit the example legacy system: every row that it has becomes a record, and nothing personal
//! that it holds is fetched for a feed.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use slotbridge::domain::{
    PartnerId, Position, Row, SeriesId, SiteKey, SlotKey, SlotVersion, SlotView, Timestamp, Value,
};
use slotbridge::legacy::LegacyRead;
use slotbridge::legacy::sqlite::{PersonConstraint, SqliteRead, generate, schema};
use slotbridge::mapping::{FeedKind, Layout, MappingSet, Role, load};
use slotbridge::mapping_files::read_folder;
use slotbridge::privacy::{Projector, Record, Subject};

const NOW: &str = "2026-11-22T20:00:00+09:00";

struct Cut {
    set: MappingSet,
    layouts: Vec<Layout>,
    rows: Vec<Vec<Arc<Row>>>,
    now: Timestamp,
}

fn cut() -> Cut {
    let set = load(&read_folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("mappings")).unwrap()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("legacy.db");
    let now = Timestamp::parse_rfc3339(NOW).unwrap();
    let plan = generate::Plan { sites: 500, slots: 3_000, people: 1_000, ..generate::Plan::new(7, now) };
    let mut connection = schema::create(&path, PersonConstraint::UniqueIndex).unwrap();
    generate::sites_and_slots(&mut connection, &plan).unwrap();
    generate::persons(&mut connection, &plan, &mut |_, _| {}).unwrap();
    let layouts = set.layouts();
    let mut rows = vec![Vec::new(); layouts.len()];
    let mut reader = SqliteRead::open(&path).unwrap();
    let wanted: Vec<&Layout> = layouts.iter().collect();
    let mut sink = |at: usize, values: Vec<Value>| {
        rows[at].push(Arc::new(Row(values.into())));
        Ok(())
    };
    reader.cut(&wanted, &mut sink).unwrap();
    Cut { set, layouts, rows, now }
}

impl Cut {
    fn of(&self, object: &str) -> (&Layout, &[Arc<Row>]) {
        let at = self.layouts.iter().position(|l| l.object.as_str() == object).unwrap();
        (&self.layouts[at], &self.rows[at])
    }

    fn projector(&self, partner: &str, kind: FeedKind) -> Projector {
        Projector::compile(&self.set, &PartnerId::new(partner).unwrap(), kind).unwrap()
    }

    fn records(&self, partner: &str, kind: FeedKind) -> Vec<Record> {
        let projector = self.projector(partner, kind);
        let (layout, rows) = self.of(projector.object().as_str());
        let key_at = layout.at_role(Role::Key).unwrap();
        let record = |row: &Arc<Row>| match kind {
            FeedKind::Slots => projector.record(Subject::Slot(&slot(layout, row)), self.now).unwrap(),
            _ => {
                let key = row.get(key_at).as_text().unwrap();
                projector.record(Subject::Item { key, row }, self.now).unwrap()
            }
        };
        rows.iter().filter_map(record).collect()
    }
}

fn slot(layout: &Layout, row: &Arc<Row>) -> SlotView {
    let value = |role: Role| row.get(layout.at_role(role).unwrap());
    let free = value(Role::Capacity).as_int().unwrap() - value(Role::Native).as_int().unwrap();
    SlotView {
        key: SlotKey::new(value(Role::Key).as_text().unwrap()).unwrap(),
        site: SiteKey::new(value(Role::Site).as_text().unwrap()).unwrap(),
        series: SeriesId::new(value(Role::Series).as_text().unwrap()).unwrap(),
        start: value(Role::Start).as_time().unwrap(),
        version: SlotVersion(0),
        remaining: u32::try_from(free).unwrap_or(0),
        open: value(Role::Status).as_text() == Some("OPEN"),
        row: row.clone(),
        position: Position(1),
    }
}

#[test]
fn every_row_of_the_example_becomes_a_record() {
    let cut = cut();
    let sites: BTreeSet<String> = cut.records("naver", FeedKind::Sites).iter().map(|r| r.id.to_string()).collect();
    assert_eq!(sites.len(), 500);
    for partner in ["naver", "kakao", "audit"] {
        let slots = cut.records(partner, FeedKind::Slots);
        assert_eq!(slots.len(), 3_000, "{partner}");
        assert_eq!(slots.iter().map(|r| &r.id).collect::<BTreeSet<_>>().len(), 3_000);
        for slot in &slots {
            assert!(sites.contains(slot.get("site_id").unwrap().as_str().unwrap()), "{}", slot.to_json());
            assert_eq!(slot.get("slot_id").unwrap(), &*slot.id);
        }
    }
    let rules = cut.records("naver", FeedKind::Eligibility);
    assert!(!rules.is_empty());
    assert!(rules.iter().all(|r| !r.get("name").unwrap().is_null()));
}

#[test]
fn partners_of_one_digest_read_the_same_bytes() {
    let cut = cut();
    let bytes = |partner: &str| cut.records(partner, FeedKind::Sites).iter().map(Record::to_json).collect::<Vec<_>>();
    assert_eq!(bytes("naver"), bytes("kakao"));
    assert_eq!(bytes("naver"), bytes("audit"));
    let digest = |partner: &str| cut.projector(partner, FeedKind::Sites).content_digest().to_owned();
    assert_eq!(digest("naver"), digest("kakao"));
}

#[test]
fn the_views_have_exactly_the_catalogued_columns() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("legacy.db");
    schema::create(&path, PersonConstraint::UniqueIndex).unwrap();
    let set = load(&read_folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("mappings")).unwrap()).unwrap();
    let mut reader = SqliteRead::open(&path).unwrap();
    for object in &set.catalogue().objects {
        let Some(view) = &object.view else { continue };
        let live: BTreeSet<String> = reader.columns(view).unwrap().into_iter().map(|(name, _)| name).collect();
        let declared = object.columns.iter().filter(|c| !c.derived).map(|c| c.name.clone());
        assert_eq!(live, declared.collect::<BTreeSet<_>>(), "{view}");
    }
}
