//! The person register in pages: each a transaction of its own, believed as a whole.

mod capture_support;

use capture_support::*;
use slotbridge::capture::{CaptureError, Lane, Poll, Settings};
use slotbridge::domain::Fact;
use slotbridge::legacy::LegacyErrorKind;

fn paged(rows_max: u32) -> Settings {
    Settings { page_rows_max: rows_max, ..Settings::default() }
}

/// `filled()` has 30 persons; these make it 2,500.
fn many() -> Legacy {
    let legacy = filled();
    for n in 30..2_500 {
        legacy.put("person", person(&format!("P{n:06}"), &format!("ci-{n:04}"), "50s", "ACTIVE"));
    }
    legacy
}

fn pages(legacy: &Legacy) -> Vec<String> {
    legacy.asked().into_iter().filter(|(what, _)| what == "person").map(|(_, asked)| asked).collect()
}

#[test]
fn persons_are_read_in_key_ranges_and_told_once() {
    let dir = tempfile::tempdir().unwrap();
    let (setup, legacy) = (setup_with(dir.path(), layouts(), paged(1_000)), many());
    let report = Lane::new(&setup.capture).unwrap().persons(&mut legacy.clone()).unwrap();
    assert_eq!(pages(&legacy), ["page of 1000 after -", "page of 1000 after P000999", "page of 1000 after P001999",]);
    assert_eq!((report.rows, report.changed, setup.desk.take().len()), (2_500, 2_500, 2_500));
    let stats = setup.capture.stats();
    assert_eq!(
        (stats.ci_rows, stats.ci_twice, stats.objects[&(Poll::Persons, object("person"))].rows),
        (2_500, 0, 2_500)
    );
}

#[test]
fn a_last_page_that_is_full_ends_with_an_empty_one() {
    let dir = tempfile::tempdir().unwrap();
    let (setup, legacy) = (setup_with(dir.path(), layouts(), paged(500)), many());
    let report = Lane::new(&setup.capture).unwrap().persons(&mut legacy.clone()).unwrap();
    assert_eq!((pages(&legacy).len(), report.rows), (6, 2_500));
}

#[test]
fn a_page_older_than_the_undo_is_halved_and_only_it_is_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let (setup, legacy) = (setup_with(dir.path(), layouts(), paged(4_000)), many());
    legacy.0.lock().unwrap().undo_rows = Some(1_000);
    let report = Lane::new(&setup.capture).unwrap().persons(&mut legacy.clone()).unwrap();
    assert_eq!(
        pages(&legacy),
        [
            "page of 4000 after -",
            "page of 2000 after -",
            "page of 1000 after -",
            "page of 1000 after P000999",
            "page of 1000 after P001999",
        ]
    );
    assert_eq!((report.rows, setup.desk.take().len()), (2_500, 2_500), "no row of a page that failed counts");
    let stats = setup.capture.stats();
    assert_eq!((stats.pages_halved, stats.ci_rows, stats.ci_twice), (2, 2_500, 0));
}

#[test]
fn a_page_does_not_get_smaller_than_500_and_is_not_tried_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let (setup, legacy) = (setup_with(dir.path(), layouts(), paged(1_500)), many());
    legacy.0.lock().unwrap().undo_rows = Some(499);
    let failed = Lane::new(&setup.capture).unwrap().persons(&mut legacy.clone());
    assert!(matches!(failed, Err(CaptureError::Legacy(error)) if error.class == "snapshot_too_old"));
    let sizes: Vec<String> = pages(&legacy).iter().map(|page| page.split(' ').nth(2).unwrap().to_owned()).collect();
    assert_eq!(sizes, ["1500", "750", "500", "500", "500", "500"]);
    assert_eq!(setup.desk.take(), []);
}

#[test]
fn a_cut_that_breaks_off_after_some_pages_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (setup, legacy) = (setup_with(dir.path(), layouts(), paged(1_000)), many());
    let mut lane = Lane::new(&setup.capture).unwrap();
    lane.persons(&mut legacy.clone()).unwrap();
    let told = setup.desk.take().len();
    legacy.put("person", person("P000001", "ci-new", "60s", "DONE"));
    legacy.remove("person", "P000002");
    // The second page finds the connection gone.
    let source = legacy.clone();
    let failing = move || source.fail("person", LegacyErrorKind::Lost, "lost");
    legacy.0.lock().unwrap().after_pages = Some((1, Box::new(failing)));
    assert!(lane.persons(&mut legacy.clone()).is_err());
    assert_eq!((told, setup.desk.take()), (2_500, Vec::<Fact>::new()));
    assert!(setup.view.ci().unwrap().person(b"ci-new").is_none(), "the table of before stands");
    let report = lane.persons(&mut legacy.clone()).unwrap();
    assert_eq!((report.changed, report.gone), (1, 1));
}
