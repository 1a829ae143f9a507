//! Files that show what partners see. `UPDATE_GOLDEN=1` writes them anew.

use std::path::Path;

use slotbridge::answer::codes_markdown;
use slotbridge::serve::openapi_json;

use crate::bookings::{KEY, wish};
use crate::doubles::bridge;

pub fn check(name: &str, now: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, now).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(kept, now, "tests/golden/{name} differs; UPDATE_GOLDEN=1 writes it anew");
}

#[test]
fn the_openapi_document_is_the_one_that_was_reviewed() {
    check("openapi.json", &openapi_json());
}

#[test]
fn the_page_of_codes_is_the_one_that_was_reviewed() {
    check("problem-codes.md", &codes_markdown());
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_are_the_ones_that_were_reviewed() {
    let bridge = bridge(|_| ()).await;
    for (slot, file) in [
        ("s-1", "booked.json"),
        ("s-full", "slot_full.json"),
        ("s-closed", "slot_closed.json"),
        ("s-barred", "not_bookable.json"),
        ("s-own", "person_already_booked.json"),
        ("s-none", "unknown_slot.json"),
    ] {
        let got = bridge.book(&format!("{KEY}-{slot}"), &wish(slot)).await;
        check(file, &format!("{}\n", got.text()));
    }
    let mut unknown = wish("s-1");
    unknown["surplus"] = "x".into();
    check("unknown_member.json", &format!("{}\n", bridge.book(KEY, &unknown).await.text()));
    check("feeds.json", &format!("{}\n", bridge.get("/v1/feeds").await.text()));
}
