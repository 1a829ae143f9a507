use super::*;
use crate::domain::PartnerId;
use crate::mapping::testing::{edited_files, load_edited, shipped};
use crate::mapping::{FeedKind, MappingSet, load};

fn closure(set: &MappingSet, kind: FeedKind) -> Closure {
    Closure::of(set, &PartnerId::new("naver").unwrap(), kind).unwrap()
}

/// The slots mapping of naver with one edit, compared with the shipped one, and back.
#[track_caller]
fn edit(file: &str, from: &str, to: &str) -> (Change, Change) {
    edit_of(FeedKind::Slots, &[(file, from, to)])
}

#[track_caller]
fn edit_of(kind: FeedKind, edits: &[(&str, &str, &str)]) -> (Change, Change) {
    let before = closure(&shipped(), kind);
    let after = closure(&load_edited(edits).unwrap_or_else(|e| panic!("{e:?}")), kind);
    (compare(Some(&before), &after), compare(Some(&after), &before))
}

fn moved(change: &Change) -> Vec<(&str, Verdict)> {
    change.moved().map(|row| (row.subject.as_str(), row.verdict)).collect()
}

#[test]
fn a_version_compared_with_itself_is_the_same_and_without_one_everything_is_new() {
    let set = shipped();
    for (partner, kind, _) in set.mappings() {
        let closure = Closure::of(&set, partner, kind).unwrap();
        let change = compare(Some(&closure), &closure);
        assert_eq!((change.verdict, change.moved().count()), (Verdict::Same, 0));
        let new = compare(None, &closure);
        assert_eq!(new.verdict, Verdict::Wider);
        assert!(new.rows.iter().all(|row| row.before.is_none() && row.verdict == Verdict::Wider));
        let field = new.rows.iter().find(|row| row.subject.starts_with("field ")).unwrap();
        assert_eq!(field.axes, [Axis::Attribute, Axis::Testability]);
    }
}

#[test]
fn only_words_and_the_roster_are_the_same() {
    let before = closure(&shipped(), FeedKind::Slots);
    let roster = closure(&shipped().with_roster(Some("00".into())), FeedKind::Slots);
    assert_eq!(compare(Some(&before), &roster).verdict, Verdict::Same);
    let edits = [("version = 1", "version = 2"), ("author = \"demo-drafter\"", "author = \"kim\"")];
    let (change, _) = edit_of(FeedKind::Slots, &edits.map(|(from, to)| ("naver/slots.toml", from, to)));
    assert_eq!(moved(&change), [("version", Verdict::Same), ("author", Verdict::Same)]);
    let (change, _) = edit("naver/slots.toml", "Which dose\"", "Which of the doses\"");
    assert_eq!(moved(&change), [("field dose why", Verdict::Same)]);
    let (change, _) = edit("naver/slots.toml", "in = [\"OPEN\", \"CLOSED\"]", "in = [\"CLOSED\", \"OPEN\"]");
    assert_eq!(moved(&change), [("filters", Verdict::Same)]);
}

#[test]
fn a_finer_bucket_is_wider_and_back_it_is_narrower() {
    let (there, back) = edit(
        "naver/slots.toml",
        "edges = [0, 1, 5, 10], labels = [\"0\", \"1-4\", \"5-9\", \"10+\"]",
        "edges = [0, 1, 5], labels = [\"0\", \"1-4\", \"5+\"]",
    );
    assert_eq!(moved(&there), [("field remaining_bucket", Verdict::Narrower)]);
    assert_eq!((there.verdict, back.verdict), (Verdict::Narrower, Verdict::Wider));
    assert_eq!(there.moved().next().unwrap().axes, [Axis::Attribute]);
    let (there, back) = edit("naver/slots.toml", "edges = [0, 1, 5, 10], labels", "edges = [0, 1, 6, 10], labels");
    assert_eq!((there.verdict, back.verdict), (Verdict::Wider, Verdict::Wider), "neither holds the other");
    let (there, back) = edit("naver/slots.toml", "\"10+\"", "\"many\"");
    assert_eq!((there.verdict, back.verdict), (Verdict::Wider, Verdict::Wider), "labels have no order");
    let (same, _) = edit("naver/slots.toml", "edges = [0, 1, 5, 10]", "edges = [-9, 1, 5, 10]");
    assert_eq!(same.verdict, Verdict::Same, "below the first edge stands the first label");
}

#[test]
fn a_number_for_ever_is_wider_however_coarse_the_value_was() {
    let token = "transform = { op = \"token_random\", bits = 64, scope = \"partner\" }";
    let enumerated = "source = \"STATUS\"\ntransform = { op = \"enum\", table = \"slot_status\" }";
    let policy = ("policy.toml", "\"round_num\", \"top_bottom\"]", "\"round_num\", \"top_bottom\", \"token_random\"]");
    let before = closure(&load_edited(&[policy]).unwrap(), FeedKind::Slots);
    let edits = [policy, ("naver/slots.toml", enumerated, &format!("source = \"STATUS\"\n{token}"))];
    let after = closure(&load_edited(&edits).unwrap(), FeedKind::Slots);
    let change = compare(Some(&before), &after);
    let row = change.rows.iter().find(|row| row.subject == "field status").unwrap();
    assert_eq!(change.verdict, Verdict::Wider);
    assert_eq!(row.axes, [Axis::Attribute, Axis::Linkability, Axis::Testability]);
}

#[test]
fn a_field_added_renamed_or_of_another_column_is_wider_and_one_less_is_narrower() {
    let field = "[[field]]\nname = \"min_age\"\nsource = \"MIN_AGE\"\ntransform = { op = \"keep\" }\nwhy = { ko = \"접종 가능 연령 안내\", en = \"From which age\" }\n";
    let (there, back) = edit(
        "naver/slots.toml",
        field,
        "[[withheld]]\ncolumns = [\"MIN_AGE\"]\nreason = { ko = \"가\", en = \"a\" }\n",
    );
    assert_eq!(moved(&there), [("field min_age", Verdict::Narrower), ("withheld MIN_AGE", Verdict::Narrower)]);
    assert_eq!((there.verdict, back.verdict), (Verdict::Narrower, Verdict::Wider));
    let (renamed, _) = edit("naver/slots.toml", "name = \"min_age\"", "name = \"age\"");
    assert_eq!(renamed.verdict, Verdict::Wider);
    let (other, _) = edit_of(
        FeedKind::Sites,
        &[
            ("naver/sites.toml", "source = \"SIDO_NM\"", "source = \"SIDO_CD\""),
            ("naver/sites.toml", "\"SIDO_CD\", \"SIGUNGU_CD\"", "\"SIDO_NM\", \"SIGUNGU_CD\""),
        ],
    );
    assert_eq!(moved(&other)[0], ("field region", Verdict::Wider));
}

#[test]
fn each_part_has_its_direction() {
    let naver = "naver/slots.toml";
    for (file, from, to) in [
        (naver, "tick_ms = 200", "tick_ms = 500"),
        (naver, "partner_max = \"P1D\"", "partner_max = \"P0D\""),
        (naver, "cutoff_min = 30", "cutoff_min = 45"),
        (naver, "[\"OPEN\", \"CLOSED\"]", "[\"OPEN\"]"),
        (naver, "status = \"active\"", "status = \"retired\""),
        ("policy.toml", "capacity_max = 3", "capacity_max = 4"),
        ("policy.toml", "tick_ms = 10000", "tick_ms = 20000"),
        ("policy.toml", "age_s_max = 600", "age_s_max = 60"),
        ("policy.toml", "age_s_max = 600", "age_s_max = 600\naudit_sample_percent = 20"),
        ("policy.toml", "tick_ms_min = 100", "tick_ms_min = 200"),
        ("policy.toml", "format = 1", "format = 1\nseverity = { L204 = \"deny\" }"),
        ("policy.toml", "[limits]", "[risk]\nk_min = 21\n[guards]\nrow_jump_percent_max = 20\n[limits]"),
        ("policy.toml", "[limits]", "[approval]\nwider_quorum = 3\nwider_delay_hours = 48\n[limits]"),
        (
            "catalog.toml",
            "en = \"Minimum age\" }\nclass = \"public\"",
            "en = \"Minimum age\" }\nclass = \"org_public\"\nsource = \"x\"",
        ),
    ] {
        let before = closure(&shipped(), FeedKind::Slots);
        let edited = load_edited(&[(file, from, to)]);
        let Ok(edited) = edited else { panic!("{from}: {edited:?}") };
        let after = closure(&edited, FeedKind::Slots);
        let (there, back) = (compare(Some(&before), &after), compare(Some(&after), &before));
        let expected = if to.contains("org_public") { Verdict::Wider } else { Verdict::Narrower };
        assert_eq!(there.verdict, expected, "{to}: {:?}", moved(&there));
        assert_eq!(back.verdict, Verdict::Wider, "{to}: {:?}", moved(&back));
    }
}

#[test]
fn two_coarse_fields_of_one_column_are_judged_together() {
    let twice = |second: &str| {
        let field = format!(
            "[[field]]\nname = \"length\"\nsource = \"DUR_MIN\"\ntransform = {{ op = \"round_num\", to = {second} }}\nwhy = {{ ko = \"가\", en = \"a\" }}\n\n[[field]]\nname = \"vaccine\""
        );
        let files = edited_files(&[
            (
                "naver/slots.toml",
                "source = \"DUR_MIN\"\ntransform = { op = \"keep\" }",
                "source = \"DUR_MIN\"\ntransform = { op = \"round_num\", to = 20 }",
            ),
            ("naver/slots.toml", "[[field]]\nname = \"vaccine\"", &field),
        ]);
        closure(&load(&files).unwrap(), FeedKind::Slots)
    };
    let (coarse, fine) = (twice("40"), twice("15"));
    let change = compare(Some(&coarse), &fine);
    let row = change.rows.iter().find(|row| row.subject == "column slot.DUR_MIN together").unwrap();
    assert_eq!((change.verdict, row.verdict), (Verdict::Wider, Verdict::Wider));
    assert_eq!(compare(Some(&twice("15")), &twice("30")).verdict, Verdict::Narrower);
}
