//! Feeds of the shipped mappings over rows of the example legacy system, through the public doors only.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use slotbridge::domain::{
    Incarnation, PartnerId, Position, Row, SeriesId, SiteKey, SlotKey, SlotVersion, SlotView, Timestamp, Touched, Value,
};
use slotbridge::durable::{Consumer, Durable};
use slotbridge::mapping::{ColumnType, FeedKind, Layout, MappingSet, Role, load};
use slotbridge::mapping_files::read_folder;
use slotbridge::privacy::Projector;
use slotbridge::publish::api::{FeedSource, PageQuery};
use slotbridge::publish::{FeedPlan, Opened, ReserveNumbers, Settings, Stopped, open};
use slotbridge::view::{Fill, View};

const CANARY: &str = "카나리아-880101-1234567";
const START: PageQuery = PageQuery { after: None, limit: Some(1_000), walk: None };

/// The desk's part in a publication that needs no number.
struct NoNumbers;

impl ReserveNumbers for NoNumbers {
    fn reserve(&mut self, _count: u32) -> Result<Position, Stopped> {
        Err(Stopped)
    }
}

fn shipped() -> MappingSet {
    load(&read_folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("mappings")).unwrap()).unwrap()
}

fn partner(name: &str) -> PartnerId {
    PartnerId::new(name).unwrap()
}

fn plans(set: &MappingSet) -> Vec<FeedPlan> {
    let pairs = ["naver", "kakao"].into_iter().flat_map(|name| {
        [FeedKind::Sites, FeedKind::Slots, FeedKind::Bookings].into_iter().map(move |kind| (partner(name), kind))
    });
    pairs.map(|(partner, kind)| FeedPlan::of(Arc::new(Projector::compile(set, &partner, kind).unwrap()))).collect()
}

/// A row with a canary in every text that has no role; roles as given.
fn row(layout: &Layout, roles: &BTreeMap<Role, Value>) -> Arc<Row> {
    let value = |column: &slotbridge::mapping::catalogue::LayoutColumn| {
        let of_role = column.role.and_then(|role| roles.get(&role).cloned());
        of_role.unwrap_or(match column.kind {
            ColumnType::Text if column.name.contains("MEMO") || column.name.contains("MANAGER") => Value::text(CANARY),
            _ => Value::Null,
        })
    };
    Arc::new(Row(layout.columns.iter().map(value).collect()))
}

fn slot(set: &MappingSet, n: u64, now: Timestamp, remaining: u32) -> Touched {
    let layouts = set.layouts();
    let layout = layouts.iter().find(|layout| layout.object.as_str() == "slot").unwrap();
    let start = now.plus_ms(86_400_000);
    let key = format!("{n}");
    let roles = BTreeMap::from([
        (Role::Key, Value::text(&key)),
        (Role::Site, Value::text("11")),
        (Role::Series, Value::text("covid19-1")),
        (Role::Start, Value::Time(start)),
        (Role::Status, Value::text("OPEN")),
        (Role::Capacity, Value::Int(30)),
        (Role::Native, Value::Int(0)),
    ]);
    Touched::Slot(Arc::new(SlotView {
        key: SlotKey::new(&key).unwrap(),
        site: SiteKey::new("11").unwrap(),
        series: SeriesId::new("covid19-1").unwrap(),
        start,
        version: SlotVersion(7),
        remaining,
        open: true,
        row: row(layout, &roles),
        position: Position(n),
    }))
}

#[test]
fn the_shipped_mappings_publish_slots_and_nothing_that_they_withhold() {
    let set = shipped();
    let now = Timestamp::parse_rfc3339("2026-11-22T20:00:00+09:00").unwrap();
    let view = Arc::new(View::default());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("feeds.db");
    let Opened { mut publisher, mut consumer, feeds, .. } =
        open(&path, Settings::default(), plans(&set), Incarnation(1), Position::ZERO, view.clone()).unwrap();
    publisher.tick(now, &mut NoNumbers).unwrap();
    let touched: Vec<Touched> = (1..=1_200).map(|n| slot(&set, n, now, 12)).collect();
    let batch = Arc::new(Durable { first: Position(1), last: Position(1_200), at: now, touched, keys: Vec::new() });
    Fill(view).durable(&batch);
    consumer.durable(&batch);
    publisher.tick(now.plus_ms(10_000), &mut NoNumbers).unwrap();
    for name in ["naver", "kakao"] {
        let infos = feeds.feeds(&partner(name));
        let names: Vec<(&str, u64)> = infos.iter().map(|info| (info.name.as_str(), info.items)).collect();
        assert_eq!(names, [("bookings", 0), ("sites", 0), ("slots", 1_200)]);
        assert!(infos.iter().all(|info| info.cursor == Position(1_200) && info.retention_days >= 7));
        let page = feeds.page(&partner(name), "slots", START).unwrap();
        let body = String::from_utf8(page.body.to_vec()).unwrap();
        assert_eq!(page.cursor, Position(1_000));
        assert!(body.contains(r#""kind":"slot","id":"s-1000","modified":1000,"data":{"#));
        assert!(body.contains("afterChangeNumber=1000&limit=1000&walk=0"));
        assert!(!body.contains(CANARY));
        assert!(
            !String::from_utf8(feeds.snapshot(&partner(name), "slots").unwrap().body.to_vec())
                .unwrap()
                .contains(CANARY)
        );
    }
    let stored = std::fs::read(&path).unwrap();
    let wal = std::fs::read(folder.path().join("feeds.db-wal")).unwrap();
    for bytes in [stored, wal] {
        assert!(!bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes()));
    }
}
