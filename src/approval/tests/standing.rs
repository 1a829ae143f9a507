//! Where versions stand after which signatures.

use super::kit::*;
use crate::approval::*;

#[test]
fn a_new_mapping_takes_two_persons_and_a_day() {
    let mut desk = Desk::new();
    let closure = desk.version(&[]);
    let at = start();
    waits(&desk.standing(&closure, at), 0, 2, "0 of 2");
    desk.approve(&closure, at, &["kim/device"]);
    waits(&desk.standing(&closure, at), 1, 2, "1 of 2 signatures");
    desk.approve(&closure, at.plus_ms(HOUR), &["lee/browser"]);
    let from = at.plus_ms(25 * HOUR);
    assert_eq!(desk.standing(&closure, from.plus_ms(-1)), Standing::Delayed { from });
    assert!(desk.read().in_force("naver.slots", from.plus_ms(-1)).is_none());
    let Standing::InForce { until, .. } = desk.standing(&closure, from) else { panic!() };
    assert_eq!(until, at.plus_ms(365 * DAY), "the shorter of the two");
    assert_eq!(desk.read().in_force("naver.slots", from).unwrap().0, closure);
    assert_eq!(desk.standing(&closure, until), Standing::Expired { at: until });
    assert!(desk.read().in_force("naver.slots", until).is_none());
    assert!(desk.read().found().is_empty());
}

#[test]
fn one_text_may_be_signed_by_both() {
    let mut desk = Desk::new();
    let closure = desk.version(&[]);
    desk.approve(&closure, start(), &["kim/device", "lee/device"]);
    assert_eq!(desk.standing(&closure, start()), Standing::Delayed { from: start().plus_ms(DAY) });
}

#[test]
fn who_signs_and_where_decides_whether_it_is_a_quorum() {
    for (signers, have, says) in [
        (&["kim/device"][..], 1, "1 of 2"),
        (&["kim/device", "lee/device"], 2, ""),
        (&["kim/device", "lee/browser"], 2, ""),
        (&["kim/browser", "choi/device"], 2, ""),
        (&["kim/browser", "lee/browser"], 1, "device"),
        (&["kim/browser", "lee/browser", "choi/browser"], 1, "device"),
        (&["kim/device", "jung/device"], 1, "role privacy_lead signed already"),
        (&["kim/device", "kim/browser"], 1, "kim signed already"),
        (&["kim/device", "park/device"], 1, "does not approve"),
        (&["kim/device", "kang/device"], 1, "kang drew it up"),
    ] {
        let mut desk = Desk::new();
        let closure = desk.version(&[]);
        desk.approve(&closure, start(), signers);
        let standing = desk.standing(&closure, start());
        if says.is_empty() {
            assert!(matches!(standing, Standing::Delayed { .. }), "{signers:?}: {standing:?}");
        } else {
            waits(&standing, have, 2, says);
        }
    }
}

#[test]
fn a_narrower_version_takes_one_and_no_delay() {
    let mut desk = Desk::new();
    let wide = desk.version(&[]);
    desk.approved(&wide, start());
    let at = start().plus_ms(30 * DAY);
    let narrow = desk.version(&[NARROWER]);
    waits(&desk.standing(&narrow, at), 0, 1, "0 of 1");
    assert_eq!(desk.read().in_force("naver.slots", at).unwrap().0, wide, "the folder's waits, the old one stays");
    desk.approve(&narrow, at, &["lee/browser"]);
    assert!(in_force(&desk.standing(&narrow, at)));
    assert_eq!(desk.read().in_force("naver.slots", at).unwrap().0, narrow);
    // The wide one was approved, and is not approved any more.
    waits(&desk.standing(&wide, at.plus_ms(1)), 0, 2, "replaced by the version");
    // Nor does it come back when the narrow one ends.
    let end = at.plus_ms(366 * DAY);
    assert!(desk.read().in_force("naver.slots", end).is_none());
}

#[test]
fn the_same_again_needs_no_signature_and_ends_with_what_was_approved() {
    let mut desk = Desk::new();
    let closure = desk.version(&[]);
    desk.approved(&closure, start());
    let at = start().plus_ms(30 * DAY);
    let Standing::InForce { until, note } = desk.standing(&closure, at) else { panic!() };
    let same = version(&"0".repeat(64), &[]);
    assert_ne!(same.digest(), closure.digest());
    assert_eq!(desk.standing(&same, at), Standing::InForce { note, until });
    assert_eq!(desk.standing(&same, until), Standing::Expired { at: until });
    let wider = desk.version(&[OTHER]);
    waits(&desk.standing(&wider, at), 0, 2, "0 of 2");
}

#[test]
fn the_same_is_renewed_by_two_without_delay() {
    let mut desk = Desk::new();
    let closure = desk.version(&[]);
    desk.approved(&closure, start());
    let at = start().plus_ms(150 * DAY);
    let ends = |desk: &Desk| {
        let Standing::InForce { until, .. } = desk.standing(&closure, at.plus_ms(HOUR)) else { panic!() };
        until
    };
    desk.approve(&closure, at, &["kim/device"]);
    assert_eq!(ends(&desk), start().plus_ms(365 * DAY));
    desk.approve(&closure, at.plus_ms(HOUR), &["lee/device"]);
    assert_eq!(ends(&desk), at.plus_ms(365 * DAY));
}

#[test]
fn a_wider_version_waits_while_the_old_one_stays() {
    let mut desk = Desk::new();
    let old = desk.version(&[]);
    desk.approved(&old, start());
    let at = start().plus_ms(30 * DAY);
    let wider = desk.version(&[OTHER]);
    desk.approve(&wider, at, &["kim/device", "lee/device"]);
    let from = at.plus_ms(DAY);
    assert_eq!(desk.standing(&wider, at), Standing::Delayed { from });
    assert_eq!(desk.read().in_force("naver.slots", from.plus_ms(-1)).unwrap().0, old);
    assert_eq!(desk.read().in_force("naver.slots", from).unwrap().0, wider);
}

#[test]
fn a_contract_that_ends_ends_the_approval() {
    let mut desk = Desk::new();
    let closure = desk.version(&[("partners.toml", "2027-12-31", "2026-09-30")]);
    desk.approved(&closure, start());
    let end = crate::domain::Timestamp::parse_rfc3339("2026-10-01T00:00:00+09:00").unwrap();
    assert!(in_force(&desk.standing(&closure, end.plus_ms(-1))));
    assert_eq!(desk.standing(&closure, end), Standing::Expired { at: end });
}

#[test]
fn an_approval_is_valid_no_longer_than_the_policy_allows() {
    let mut desk = Desk::new();
    let closure = desk.version(&[]);
    let long = Choice { validity: Some((start(), start().plus_ms(400 * DAY))), ..approval(start()) };
    let draft = |choice: &Choice| desk.read().draft(&desk.files, &Subject::Mapping(&closure), choice, start());
    assert_eq!(draft(&long).unwrap_err(), Flaw::Validity { days: 366 });
    let none = Choice { validity: Some((start(), start())), ..approval(start()) };
    assert!(matches!(draft(&none).unwrap_err(), Flaw::Validity { .. }));
    // Written and signed all the same, it does not count.
    let mut header = draft(&approval(start())).unwrap().header;
    header.validity = long.validity;
    let text = signed::render(ORIGIN, &header, &Subject::Mapping(&closure), None, compare).unwrap();
    let draft = Draft { text, ..draft(&approval(start())).unwrap() };
    desk.put(&draft, &["kim/device", "lee/device"]);
    waits(&desk.standing(&closure, start()), 0, 2, "valid for more than 366 days");
}

#[test]
fn a_stop_of_anyone_holds_at_once_until_an_approval_lifts_it() {
    for officer in ["kim/browser", "park/device", "kang/device"] {
        let mut desk = Desk::new();
        let closure = desk.version(&[]);
        desk.approved(&closure, start());
        let at = start().plus_ms(30 * DAY);
        desk.sign(&Subject::Mapping(&closure), &refusal(Decision::Stop), at, &[officer]);
        let by = officer.split('/').next().unwrap().to_owned();
        assert_eq!(desk.standing(&closure, at), Standing::Stopped { by: by.clone(), at });
        assert!(desk.read().in_force("naver.slots", at).is_none());
        // Every version of it, also one that is the same.
        assert!(matches!(desk.standing(&version(&"0".repeat(64), &[]), at), Standing::Stopped { .. }));
        // What goes on is approved as if it were new.
        let later = at.plus_ms(DAY);
        desk.approve(&closure, later, &["kim/device"]);
        assert!(matches!(desk.standing(&closure, later), Standing::Stopped { .. }));
        desk.approve(&closure, later, &["lee/device"]);
        let from = later.plus_ms(DAY);
        assert!(matches!(desk.standing(&closure, from.plus_ms(-1)), Standing::Stopped { .. }));
        assert!(in_force(&desk.standing(&closure, from)));
    }
}

#[test]
fn a_stop_signed_over_an_older_folder_holds_as_well() {
    let mut desk = Desk::new();
    let closure = desk.version(&[]);
    desk.approved(&closure, start());
    let at = start().plus_ms(30 * DAY);
    let old = desk.read().draft(&desk.files, &Subject::Mapping(&closure), &refusal(Decision::Stop), at).unwrap();
    let narrow = desk.version(&[NARROWER]);
    desk.approve(&narrow, at, &["kim/device"]);
    assert!(in_force(&desk.standing(&narrow, at)));
    desk.put(&old, &["lee/device"]);
    assert!(matches!(desk.standing(&narrow, at), Standing::Stopped { .. }));
}

#[test]
fn a_refusal_is_kept_and_what_was_signed_before_counts_no_more() {
    for decision in [Decision::Amend, Decision::Reject] {
        let mut desk = Desk::new();
        let closure = desk.version(&[]);
        let at = start();
        desk.approve(&closure, at, &["kim/device"]);
        desk.sign(&Subject::Mapping(&closure), &refusal(decision), at.plus_ms(HOUR), &["lee/device"]);
        let refused = Standing::Refused { by: "lee".to_owned(), at: at.plus_ms(HOUR) };
        assert_eq!(desk.standing(&closure, at), refused);
        let approvals = desk.read();
        let history = approvals.history("naver.slots");
        let decisions: Vec<Decision> = history.iter().map(|note| note.header.decision).collect();
        assert_eq!(decisions, [Decision::Approve, decision]);
        assert_eq!(history[1].header.reason.as_deref(), Some("근거가 부족함"));
        desk.approve(&closure, at.plus_ms(2 * HOUR), &["lee/device"]);
        waits(&desk.standing(&closure, at), 1, 2, "1 of 2");
    }
}

#[test]
fn a_condition_holds_publishing_until_it_is_closed() {
    let mut desk = Desk::new();
    let closure = desk.version(&[]);
    let at = start();
    let reason = Some("보유기간 확인 후".to_owned());
    let conditional = Choice { opinion: Opinion::Conditional, reason, ..approval(at) };
    desk.sign(&Subject::Mapping(&closure), &conditional, at, &["kim/device"]);
    desk.approve(&closure, at.plus_ms(HOUR), &["lee/device"]);
    desk.approve(&closure, at.plus_ms(2 * HOUR), &["choi/device"]);
    waits(&desk.standing(&closure, at), 2, 2, "the condition of kim is open");
    desk.approve(&closure, at.plus_ms(3 * HOUR), &["kim/browser"]);
    assert_eq!(desk.standing(&closure, at), Standing::Delayed { from: at.plus_ms(27 * HOUR) });
}

#[test]
fn reasons_are_there_where_they_must_be() {
    let desk = Desk::new();
    let closure = desk.version(&[]);
    let draft = |choice: Choice| desk.read().draft(&desk.files, &Subject::Mapping(&closure), &choice, start());
    let missing = Err(Flaw::Incomplete { what: "reason" });
    let conditional = Choice { opinion: Opinion::Conditional, ..approval(start()) };
    assert_eq!(draft(conditional).map(|_| ()), missing);
    for decision in [Decision::Amend, Decision::Reject, Decision::Stop] {
        assert_eq!(draft(Choice { reason: None, ..refusal(decision) }).map(|_| ()), missing);
    }
    for reason in ["두 줄\n입니다", "— kim/device AAAA", "\u{202e}거꾸로", "보이\u{200b}지 않는", "종\u{7}", "", "없음"]
    {
        let choice = Choice { reason: Some(reason.to_owned()), ..refusal(Decision::Reject) };
        assert!(draft(choice).is_err(), "{reason:?}");
    }
    let unfit = Choice { opinion: Opinion::Unfit, reason: Some("부족".to_owned()), ..approval(start()) };
    assert!(matches!(draft(unfit), Err(Flaw::Opinion { .. })));
    assert!(draft(Choice { author: String::new(), ..approval(start()) }).is_err());
    assert_eq!(draft(Choice { author: "park".to_owned(), ..approval(start()) }).map(|_| ()), Err(Flaw::OtherAuthor));
}

#[test]
fn a_changed_policy_needs_a_note_of_its_own() {
    let mut desk = Desk::new();
    let old = desk.version(&[]);
    desk.approved(&old, start());
    let at = start().plus_ms(30 * DAY);
    // Fewer fields, one signature: but under another policy.
    let new = desk.version(&[NARROWER, OTHER_POLICY]);
    waits(&desk.standing(&new, at), 0, 1, "the policy changed");
    desk.approve(&new, at, &["lee/device"]);
    waits(&desk.standing(&new, at), 1, 1, "the policy changed");
    let policy = Subject::Policy(&new.policy);
    desk.sign(&policy, &yes(Decision::Policy), at, &["kim/browser"]);
    waits(&desk.standing(&new, at), 1, 1, "the policy changed");
    let later = at.plus_ms(HOUR);
    desk.sign(&policy, &yes(Decision::Policy), later, &["lee/device"]);
    assert_eq!(desk.read().policy_standing(&new.policy), Ok(later));
    assert_eq!(desk.standing(&new, at), Standing::Delayed { from: later });
    assert!(in_force(&desk.standing(&new, later)));
}

#[test]
fn a_policy_that_asks_for_less_does_not_count_for_its_own_approval() {
    let lax = ("policy.toml", "[receipts]", "[approval]\nwider_quorum = 1\nwider_delay_hours = 0\n\n[receipts]");
    let mut desk = Desk::new();
    let closure = desk.version(&[lax]);
    desk.approve(&closure, start(), &["kim/device"]);
    waits(&desk.standing(&closure, start()), 1, 2, "1 of 2");
    // Against a version with the day's delay the day stays.
    let mut desk = Desk::new();
    desk.approved(&desk.version(&[]), start());
    let at = start().plus_ms(30 * DAY);
    let closure = desk.version(&[lax, OTHER]);
    desk.sign(&Subject::Policy(&closure.policy), &yes(Decision::Policy), at, &["kim/device", "lee/device"]);
    desk.approve(&closure, at, &["kim/device", "lee/device"]);
    assert_eq!(desk.standing(&closure, at), Standing::Delayed { from: at.plus_ms(DAY) });
}

#[test]
fn a_verdict_against_another_version_than_the_one_in_force_does_not_count() {
    let mut desk = Desk::new();
    let wide = desk.version(&[]);
    desk.approved(&wide, start());
    let at = start().plus_ms(30 * DAY);
    let narrow = desk.version(&[NARROWER]);
    desk.approve(&narrow, at, &["kim/device"]);
    // The wide one again, said to be compared with itself: one signature would be too few, and it is not in force.
    let mut draft = desk.read().draft(&desk.files, &Subject::Mapping(&wide), &approval(at), at).unwrap();
    assert_eq!(draft.verdict, Some(crate::lint::Verdict::Wider));
    draft.header.base = Some(wide.digest());
    draft.text = signed::render(ORIGIN, &draft.header, &Subject::Mapping(&wide), Some(&wide), compare).unwrap();
    desk.put(&draft, &["kim/device", "lee/device"]);
    waits(&desk.standing(&wide, at), 0, 2, "compared with");
    assert!(in_force(&desk.standing(&narrow, at)));
}

#[test]
fn whoever_is_named_as_author_anywhere_does_not_count() {
    let mut desk = Desk::new();
    let closure = {
        let mut closure = desk.version(&[]);
        closure.mapping.author = None;
        closure
    };
    let by = |author: &str| Choice { author: author.to_owned(), ..approval(start()) };
    desk.sign(&Subject::Mapping(&closure), &by("lee"), start(), &["kim/device"]);
    desk.sign(&Subject::Mapping(&closure), &by("kim"), start(), &["lee/device"]);
    waits(&desk.standing(&closure, start()), 0, 2, "drew it up");
}
