//! Notes of the shipped mappings, and what holds for every note, page and sample.

use std::collections::BTreeSet;

use proptest::prelude::*;
use toml::Spanned;

use super::*;
use crate::domain::PartnerId;
use crate::lint::{Axis, ChangeRow, Verdict, compare};
use crate::mapping::testing::{load_edited, shipped};
use crate::mapping::{FeedKind, MappingSet, Op, Severity, Text2};

fn closures(set: &MappingSet) -> Vec<Closure> {
    set.mappings().map(|(partner, kind, _)| Closure::of(set, partner, kind).unwrap()).collect()
}

fn closure(set: &MappingSet, partner: &str, kind: FeedKind) -> Closure {
    Closure::of(set, &PartnerId::new(partner).unwrap(), kind).unwrap()
}

fn statement(closure: &Closure) -> Statement {
    Statement::of(closure, &compare(None, closure), Situation::default())
}

/// A change as the comparison makes them; its own rows are tested where it is.
fn some_change() -> Change {
    let row = |subject: &str, verdict, axes| ChangeRow {
        subject: subject.to_owned(),
        label_ko: "남은 수량".to_owned(),
        before: Some("구간화 0, 1, 5, 10".to_owned()),
        after: None,
        verdict,
        axes,
    };
    Change {
        verdict: Verdict::Wider,
        rows: vec![
            row("field remaining_bucket", Verdict::Wider, vec![Axis::Attribute]),
            row("field status", Verdict::Same, Vec::new()),
            row("retention partner_max", Verdict::Narrower, Vec::new()),
        ],
    }
}

#[test]
fn notes_of_the_shipped_mappings_are_as_reviewed() {
    let set = shipped();
    for closure in closures(&set) {
        let change = Change { verdict: Verdict::Wider, rows: Vec::new() };
        let note = note_body(&closure, &change).replace(&closure.digest(), "[digest]");
        insta::assert_snapshot!(format!("note_of_{}", closure.id().replace('.', "_")), note);
    }
}

#[test]
fn the_note_names_each_changed_row_its_axis_and_the_digest() {
    let closure = closure(&shipped(), "naver", FeedKind::Slots);
    let note = note_body(&closure, &some_change());
    let lines: Vec<&str> = note.lines().collect();
    assert!(lines.contains(&"직전 승인본 대비 판정: 확대"));
    assert!(lines.contains(
        &"변경 1: “남은 수량” (field remaining_bucket): 이전 “구간화 0, 1, 5, 10”, 이번 없음, 확대 (달라진 축: 정보량)"
    ));
    assert!(lines.iter().any(|line| line.starts_with("변경 2: ") && line.ends_with(", 축소")));
    assert!(!note.contains("변경 3"), "an unchanged row is not told");
    assert_eq!(lines.last().unwrap(), &format!("승인 요약값(SHA-256): {}", closure.digest()));
    let statement = Statement::of(&closure, &some_change(), Situation::default());
    assert_eq!(statement.signing.text, note, "what is shown is what is signed");
    let field = statement.published.iter().find(|p| p.name == "remaining_bucket").unwrap();
    assert_eq!(field.change.as_ref().unwrap().code, "wider");
    assert!(statement.headline.line.ko.contains("확대 1 / 축소 1 / 동일 1"));
}

#[test]
fn findings_are_counted_and_made_plain() {
    let closure = closure(&shipped(), "naver", FeedKind::Slots);
    let finding = |rule: &str, severity| FindingNote {
        rule: rule.to_owned(),
        severity,
        text: Text2 { ko: "사유가 짧\u{202e}음".into(), en: "short".into() },
        place: Some("remaining_bucket".into()),
        waiver: None,
    };
    let findings = vec![finding("L205", Severity::Warn), finding("L101", Severity::Deny)];
    let situation = Situation { before: Some(&closure), findings: Some(findings) };
    let statement = Statement::of(&closure, &compare(Some(&closure), &closure), situation);
    assert!(statement.headline.line.ko.ends_with("오류 1 / 경고 1"));
    assert_eq!(statement.findings.unwrap()[0].text.ko, "사유가 짧\\u{202e}음");
    assert_eq!(statement.difference.previous.unwrap().digest, closure.digest());
    assert_eq!(statement.difference.verdict.verdict.ko, "동일");
}

/// The set as edited so that fields of other kinds stand in it.
fn edited() -> MappingSet {
    load_edited(&[
        ("policy.toml", "[class.internal_id]\ntransforms = [\"drop\"]", "[class.internal_id]\ntransforms = [\"drop\", \"person_token\"]"),
        (
            "naver/bookings.toml",
            "[[withheld]]\ncolumns = [\"PERSON_NO\"]\nreason = { ko = \"사람을 가리키는 번호는 제공하지 않음\", en = \"Nothing that names a person is in the feed\" }",
            "[[field]]\nname = \"person\"\nsource = \"PERSON_NO\"\ntransform = { op = \"person_token\" }\nwhy = { ko = \"본인 예약 확인\", en = \"own\" }",
        ),
        ("naver/slots.toml", "name = \"duration_min\"\nsource = \"DUR_MIN\"\ntransform = { op = \"keep\" }", "name = \"duration_min\"\nsource = \"DUR_MIN\"\ntransform = { op = \"drop\" }"),
        ("kakao/slots.toml", "name = \"slot_id\"\nsource = \"SLOT_ID\"\ntransform = { op = \"keep\", prefix = \"s-\" }", "name = \"country\"\ntransform = { op = \"const\", value = \"KR\" }"),
    ])
    .unwrap_or_else(|problems| panic!("{problems:?}"))
}

#[test]
fn every_column_leaves_or_is_withheld_with_a_reason() {
    for set in [shipped(), edited()] {
        for closure in closures(&set) {
            let statement = statement(&closure);
            let leaving: BTreeSet<&str> =
                statement.published.iter().filter_map(|p| p.source.as_ref()).map(|s| s.column.as_str()).collect();
            let mut all: Vec<&str> = statement.withheld.iter().map(|w| w.column.column.as_str()).collect();
            all.extend(&leaving);
            all.sort_unstable();
            let mut catalogue: Vec<&str> = closure.object.columns.iter().map(|c| c.name.as_str()).collect();
            catalogue.sort_unstable();
            assert_eq!(all, catalogue, "{}", closure.id());
            assert!(statement.withheld.iter().all(|w| !w.reason.ko.is_empty() && w.because != Because::Undecided));
            for internal in &statement.internal {
                let leaves = leaving.contains(internal.column.column.as_str());
                assert_eq!(internal.leaves == Leaves::Yes, leaves, "{}", internal.column.column);
            }
            let roles = closure.object.columns.iter().filter(|c| c.role.is_some() || c.material || c.derived).count();
            assert_eq!(statement.internal.len(), roles, "{}", closure.id());
            let note = note_body(&closure, &compare(None, &closure));
            for column in catalogue {
                assert!(note.contains(&format!("({column})")), "{}: {column}", closure.id());
            }
        }
    }
}

#[test]
fn a_key_that_no_field_tells_is_still_said_to_leave() {
    let statement = statement(&closure(&edited(), "kakao", FeedKind::Slots));
    let first = &statement.published[0];
    assert_eq!((first.carries, first.source.as_ref().unwrap().column.as_str()), (Carries::ItemId, "SLOT_ID"));
    assert_eq!(first.example.as_ref().unwrap().after, "s-90001");
    let constant = statement.published.iter().find(|p| p.name == "country").unwrap();
    assert_eq!(constant.example.as_ref().unwrap().after, "KR");
}

#[test]
fn what_a_small_slot_and_a_kept_number_tell_is_said() {
    let set = shipped();
    let told = |partner| {
        let statement = statement(&closure(&set, partner, FeedKind::Slots));
        statement.remains.iter().map(|text| text.ko.clone()).collect::<Vec<_>>().join("\n")
    };
    assert!(told("naver").contains("소규모 기관은 마감 시각으로 예약 발생을 추정할 수 있음."));
    assert!(told("naver").contains("구간의 경계(1, 5, 10)"));
    assert!(told("audit").contains("소규모 회차 규칙도 적용되지 않습니다"));
    assert!(told("audit").contains("남은 수량의 변화로"));
}

#[test]
fn entrusted_processing_is_not_called_provision() {
    let set = shipped();
    let bookings = closure(&set, "naver", FeedKind::Bookings);
    let note = note_body(&bookings, &compare(None, &bookings));
    assert!(note.contains("구분: 처리위탁") && note.contains("제26조제5항") && !note.contains("제공받은"));
    let mut third = bookings;
    third.mapping.legal.basis = crate::mapping::Basis::Pipa17No1;
    third.partner.role = crate::mapping::PartnerRole::ThirdParty;
    let note = note_body(&third, &compare(None, &third));
    assert!(note.contains("구분: 제3자 제공") && note.contains("제19조") && note.contains(", 제3자\n"));
}

#[test]
fn samples_are_what_the_projector_does_and_nobody_real() {
    let resident = |text: &str| {
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_digit).collect();
        (digits.len() == 13 && text.len() == 14).then(|| digits[2..4] == *b"13")
    };
    for set in [shipped(), edited()] {
        for closure in closures(&set) {
            let sampling = Sampling { rows: 12, seed: 7 };
            let made = samples(&closure, &sampling);
            assert_eq!(made, samples(&closure, &sampling), "a seed gives the same rows");
            assert_ne!(made.rows, samples(&closure, &Sampling { rows: 12, seed: 8 }).rows);
            assert_eq!(made.watermark.ko, "가상 데이터(실제 정보 아님)");
            assert_eq!(made.failed, None);
            assert!(made.rows.iter().all(|row| row.outcome != Outcome::HeldBack), "{}: {:?}", closure.id(), made.rows);
            assert!(made.rows.last().unwrap().rare.is_some());
            let leaving = statement(&closure);
            for row in &made.rows {
                for cell in &row.cells {
                    let is_published = leaving.published.iter().any(|p| Some(&p.name) == cell.field.as_ref());
                    assert_eq!(cell.field.is_some(), is_published);
                    assert_eq!(cell.after == "제외", !(is_published && row.is_published()), "{cell:?}");
                    assert_ne!(resident(&cell.before), Some(false), "{}", cell.before);
                }
            }
        }
    }
}

#[test]
fn a_row_outside_the_filter_and_a_small_slot_are_among_the_samples() {
    let made = samples(&closure(&shipped(), "naver", FeedKind::Slots), &Sampling { rows: 4, seed: 1 });
    let outcomes: Vec<Outcome> = made.rows.iter().map(|row| row.outcome).collect();
    assert_eq!(outcomes, [Outcome::Published, Outcome::Published, Outcome::LeftOut, Outcome::Published]);
    let after = |row: &SampleRow| {
        row.cells.iter().find(|c| c.field.as_deref() == Some("remaining_bucket")).unwrap().after.clone()
    };
    assert_eq!(after(&made.rows[3]), "1+", "the rare row is a slot of one place");
    let all = samples(&closure(&shipped(), "naver", FeedKind::Slots), &Sampling { rows: u32::MAX, seed: 1 });
    assert_eq!(all.rows.len(), SAMPLE_ROWS_MAX as usize);
}

#[test]
fn sample_tokens_say_that_they_are_none() {
    let made = samples(&closure(&edited(), "naver", FeedKind::Bookings), &Sampling { rows: 1, seed: 1 });
    assert!(made.keys.unwrap().ko.contains("시험용 키"));
    let token = made.rows[0].cells.iter().find(|c| c.field.as_deref() == Some("person")).unwrap();
    assert!(token.after.starts_with("sample.naver.booking."), "{}", token.after);
    assert_eq!(samples(&closure(&shipped(), "naver", FeedKind::Bookings), &Sampling { rows: 1, seed: 1 }).keys, None);
}

#[test]
fn values_of_personal_columns_are_made_up_by_class() {
    // No feed is about the register of persons, so a feed of another object is turned to it.
    let set = shipped();
    let mut persons = closure(&set, "naver", FeedKind::Eligibility);
    persons.object = set.catalogue().object("person").unwrap().clone();
    persons.mapping.source.object = Spanned::new(0..0, persons.object.name.clone());
    persons.mapping.feed.id.source = Spanned::new(0..0, "PERSON_ID".to_owned());
    persons.mapping.fields.clear();
    let made = samples(&persons, &Sampling { rows: 20, seed: 3 });
    for row in &made.rows {
        let before =
            |column: &str| row.cells.iter().find(|c| c.column.as_deref() == Some(column)).unwrap().before.clone();
        assert_eq!(&before("RRN")[2..4], "13");
        assert!(before("TEL").starts_with("010-0"));
        assert_eq!(before("CI").len(), 88);
        assert!(before("PERSON_NM").contains("가상"));
        assert!(row.cells.iter().all(|c| c.after == "제외" || c.field.as_deref() == Some("id")));
    }
}

#[test]
fn a_kept_version_counts_only_under_its_own_digest() {
    let old = closure(&shipped(), "naver", FeedKind::Slots);
    let mut new = old.clone();
    new.mapping.version = 2;
    let name = |c: &Closure| format!("approvals/naver.slots/{}.json", &c.digest()[..12]);
    let mut files = std::collections::BTreeMap::from([
        (name(&old), old.to_json().into_bytes()),
        (name(&old).replace(".json", ".note"), b"x".to_vec()),
        ("approvals/naver.slots/000000000000.json".to_owned(), new.to_json().into_bytes()),
        ("naver/slots.toml".to_owned(), Vec::new()),
    ]);
    let kept = kept_versions(&files);
    assert_eq!(kept.len(), 2);
    assert_eq!(newest_kept(&kept, "naver.slots").unwrap().mapping.version, 1);
    assert!(newest_kept(&kept, "naver.sites").is_none());
    files.insert(name(&new), new.to_json().into_bytes());
    let kept = kept_versions(&files);
    assert_eq!(newest_kept(&kept, "naver.slots").unwrap().mapping.version, 2);
    let lineage = Lineage::of(&shipped(), &kept);
    assert_eq!(lineage.approvals.len(), 3);
    assert_eq!(lineage.approvals.iter().filter(|a| a.current).count(), 1);
}

#[test]
fn lineage_leads_every_column_to_all_who_get_it() {
    let lineage = Lineage::of(&shipped(), &[]);
    let object = |name: &str| lineage.objects.iter().find(|o| o.object == name).unwrap();
    let free = object("slot").columns.iter().find(|c| c.column.column == "FREE").unwrap();
    let ways: Vec<&str> = free.uses.iter().map(|u| u.mapping.as_str()).collect();
    assert_eq!(ways, ["audit.slots", "kakao.slots", "naver.slots"]);
    assert!(object("person").columns.iter().all(|c| c.uses.is_empty() && c.withheld_from.is_empty()));
    let manager = object("site").columns.iter().find(|c| c.column.column == "MANAGER_NM").unwrap();
    assert_eq!((manager.uses.len(), manager.withheld_from.len()), (0, 3));
}

/// Writes `text` wherever a mapping, its partner, policy, catalogue or tables hold words of their own.
fn poisoned(closure: &Closure, text: &str) -> Closure {
    let mut all = closure.clone();
    let spanned = || Spanned::new(0..0, text.to_owned());
    let both = || Text2 { ko: text.to_owned(), en: text.to_owned() };
    all.mapping.id = spanned();
    (all.mapping.title, all.partner.name, all.object.label) = (both(), both(), both());
    (all.mapping.purpose.ko, all.mapping.purpose.en) = (text.to_owned(), text.to_owned());
    all.mapping.legal.citation = vec![text.to_owned()];
    all.mapping.legal.consent = Some(spanned());
    all.partner.contract.number = text.to_owned();
    all.object.view = Some(text.to_owned());
    all.policy.purposes.iter_mut().for_each(|purpose| purpose.label = both());
    for filter in &mut all.mapping.filters {
        filter.one_of = Some(vec![text.to_owned()]);
    }
    for field in &mut all.mapping.fields {
        field.why = both();
        field.name = spanned();
        if field.transform.op() == Op::Keep {
            field.transform.prefix = Some(spanned());
        }
        if let Some(labels) = &mut field.transform.labels {
            labels.get_mut()[0] = text.to_owned();
        }
    }
    all.mapping.withheld.iter_mut().for_each(|withheld| withheld.reason = both());
    for column in &mut all.object.columns {
        column.label = both();
        column.source = Some(text.to_owned());
    }
    for table in all.tables.values_mut() {
        table.rows.iter_mut().flatten().for_each(|value| *value = text.to_owned());
    }
    all.mapping.waivers = vec![crate::mapping::feed_mapping::Waiver {
        rule: spanned(),
        field: Some(spanned()),
        reason: both(),
        until: Spanned::new(0..0, jiff::civil::date(2027, 1, 1)),
    }];
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn no_text_of_a_mapping_can_hide_anything_in_a_note(
        wild in proptest::collection::vec(any::<char>(), 0..12).prop_map(|c| c.into_iter().collect::<String>()),
        mean in "(\n|\r|\u{2028}|\u{85}|— |“|”|\\\\|\u{202e}|\u{200b}|\u{feff}|가|a){0,10}",
        at in 0usize..10,
    ) {
        let set = shipped();
        let all = closures(&set);
        let usual = &all[at % all.len()];
        for text in [wild, mean] {
            let closure = poisoned(usual, &text);
            let mut change = some_change();
            for row in &mut change.rows {
                (row.subject, row.label_ko) = (text.clone(), text.clone());
                (row.before, row.after) = (Some(text.clone()), Some(text.clone()));
            }
            let note = note_body(&closure, &change);
            prop_assert!(note.ends_with('\n') && !note.ends_with("\n\n"));
            prop_assert!(note.chars().all(|c| c == '\n' || !is_treacherous(c)), "{note}");
            // Each line is begun by the program, and there are as many as with harmless words.
            let harmless = note_body(&poisoned(usual, "말"), &some_change());
            let heads = |note: &str| note.lines().map(|l| l.split(':').next().unwrap().to_owned()).collect::<Vec<_>>();
            let begun: BTreeSet<String> = heads(&harmless).into_iter().collect();
            for line in note.lines() {
                prop_assert!(!line.starts_with("— "));
                prop_assert!(begun.contains(line.split(':').next().unwrap()) || line.starts_with("내보냄"), "{line}");
            }
        }
    }
}
