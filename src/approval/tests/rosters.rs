//! Rosters: their chain, terms, delegation, withdrawn keys, demonstration officers.

use jiff::civil::date;

use super::kit::*;
use crate::approval::*;

fn next(desk: &Desk, change: impl FnOnce(&mut Roster)) -> Roster {
    let mut roster = desk.read().roster().unwrap().clone();
    roster.previous = Some(roster.digest());
    roster.version += 1;
    change(&mut roster);
    roster
}

/// Written as operators do, and kept under `approvals/`.
fn propose(desk: &mut Desk, roster: &Roster, signers: &[&str]) {
    desk.files.insert("officers.toml".to_owned(), roster.to_toml().into_bytes());
    if !signers.is_empty() {
        desk.sign(&Subject::Roster(roster), &yes(Decision::Roster), start(), signers);
    }
}

#[test]
fn without_a_first_roster_nothing_stands() {
    let mut desk = Desk::new();
    let closure = desk.version(&[]);
    desk.approved(&closure, start());
    let broken = |desk: &Desk, says: &str| {
        let standing = desk.standing(&closure, start().plus_ms(30 * DAY));
        assert!(matches!(&standing, Standing::Broken { why } if why.contains(says)), "{standing:?}");
    };
    desk.trust.genesis = Some("0".repeat(64));
    broken(&desk, "the first roster 000000000000 is pinned and not there");
    desk.trust.genesis = None;
    broken(&desk, "no first roster is pinned");
}

#[test]
fn an_officer_is_added_by_a_quorum_only() {
    let mut added = genesis().officers[0].clone();
    added = officer("kim", added.role, 9);
    added.id = "kim".to_owned();
    for (signers, good) in [
        (&[][..], false),
        (&["kim/device"], false),
        (&["kim/browser", "lee/browser"], false),
        (&["kim/device", "jung/device"], false),
        (&["kim/device", "park/device"], false),
        (&["kim/device", "kang/device"], false),
        (&["kim/device", "lee/browser"], true),
    ] {
        let mut desk = Desk::new();
        let first = desk.head();
        let roster = next(&desk, |roster| roster.officers[0] = added.clone());
        propose(&mut desk, &roster, signers);
        let approvals = desk.read();
        if good {
            assert_eq!(approvals.roster_head(), Some(roster.digest()));
            assert!(approvals.found().is_empty());
        } else {
            assert_eq!(approvals.roster_head(), Some(first), "{signers:?}");
            assert!(approvals.roster_standing(&roster).is_err());
            let lines: Vec<String> = approvals.found().iter().map(ToString::to_string).collect();
            assert_eq!(lines.len(), 1, "{lines:?}");
            assert!(lines[0].starts_with("officers.toml: officers.toml is not the roster in force"), "{lines:?}");
        }
    }
}

#[test]
fn a_roster_out_of_nowhere_leaves_the_last_good_one() {
    let mut desk = Desk::new();
    let closure = desk.version(&[]);
    desk.approved(&closure, start());
    let first = desk.head();
    let stranger = Roster { version: 7, previous: None, ..genesis() };
    propose(&mut desk, &stranger, &[]);
    let approvals = desk.read();
    assert_eq!(approvals.roster_head(), Some(first));
    assert!(approvals.found()[0].to_string().contains("is not chained to the first one"));
    assert!(in_force(&approvals.standing(&closure, start().plus_ms(30 * DAY))));
    desk.files.insert("officers.toml".to_owned(), b"officer = 1".to_vec());
    assert!(in_force(&desk.standing(&closure, start().plus_ms(30 * DAY))));
}

#[test]
fn an_older_roster_in_its_place_changes_nothing_and_a_lost_one_breaks() {
    let mut desk = Desk::new();
    let closure = desk.version(&[]);
    desk.approved(&closure, start());
    let first = desk.files["officers.toml"].clone();
    let roster = next(&desk, |roster| roster.quorum = 3);
    propose(&mut desk, &roster, &["kim/device", "lee/device"]);
    desk.recorded = desk.read().heads();
    assert_eq!(desk.recorded["officers"].note, Some(roster.digest()));
    desk.files.insert("officers.toml".to_owned(), first);
    assert_eq!(desk.head(), roster.digest());
    assert!(desk.read().found()[0].to_string().contains("was replaced"));
    let short = roster.digest()[..12].to_owned();
    desk.files.retain(|path, _| !path.contains(&short));
    let standing = desk.standing(&closure, start().plus_ms(30 * DAY));
    assert!(matches!(&standing, Standing::Broken { why } if why.contains("rolled back: roster")), "{standing:?}");
}

#[test]
fn an_approval_outlives_the_roster_but_not_a_withdrawn_key() {
    let mut desk = Desk::new();
    let closure = desk.version(&[]);
    desk.approved(&closure, start());
    let at = start().plus_ms(30 * DAY);
    let retired = next(&desk, |roster| roster.officers[0].retired = Some(date(2026, 6, 20)));
    propose(&mut desk, &retired, &["kim/device", "lee/device"]);
    assert_eq!(desk.head(), retired.digest());
    assert!(in_force(&desk.standing(&closure, at)), "kim signed before leaving");
    assert!(in_force(&desk.standing(&desk.version(&[]), at)), "the same under the new roster");
    let withdrawn = next(&desk, |roster| {
        roster.officers.remove(0);
    });
    propose(&mut desk, &withdrawn, &["lee/device", "choi/device"]);
    assert_eq!(desk.head(), withdrawn.digest());
    waits(&desk.standing(&closure, at), 1, 2, "1 of 2");
    let approvals = desk.read();
    let kim = &approvals.history("naver.slots")[0].signers[0];
    assert_eq!(kim.uncounted, Some(Flaw::KeyWithdrawn { signer: "kim/device".to_owned() }));
}

#[test]
fn nobody_signs_before_or_after_the_term() {
    for (from, until, retired) in [
        (date(2026, 6, 2), date(2027, 1, 1), None),
        (date(2026, 1, 1), date(2026, 5, 31), None),
        (date(2026, 1, 1), date(2027, 1, 1), Some(date(2026, 6, 1))),
    ] {
        let mut roster = genesis();
        (roster.officers[0].from, roster.officers[0].until, roster.officers[0].retired) = (from, until, retired);
        let mut desk = Desk::with(&roster);
        let closure = desk.version(&[]);
        desk.approve(&closure, start(), &["kim/device", "lee/device"]);
        waits(&desk.standing(&closure, start()), 1, 2, "kim was not in office on 2026-06-01");
    }
}

#[test]
fn demonstration_officers_are_believed_by_the_demonstration_only() {
    let mut roster = genesis();
    roster.officers.iter_mut().for_each(|officer| officer.demonstration = true);
    let mut desk = Desk::with(&roster);
    let closure = desk.version(&[]);
    desk.approve(&closure, start(), &["kim/device", "lee/device"]);
    waits(&desk.standing(&closure, start()), 0, 2, "demonstration officer");
    desk.trust.demonstration = Demonstration::Accepted;
    assert!(in_force(&desk.standing(&closure, start().plus_ms(DAY))));
    // Nor do they chain a roster of others.
    let real = next(&desk, |roster| roster.officers[0].demonstration = false);
    propose(&mut desk, &real, &["kim/device", "lee/device"]);
    assert_eq!(desk.head(), real.digest());
    desk.trust.demonstration = Demonstration::Refused;
    assert_eq!(desk.head(), roster.digest());
}

fn delegated(from: jiff::civil::Date, until: jiff::civil::Date) -> Roster {
    let mut delegation = Delegation {
        delegator: "kim".to_owned(),
        delegate: "lee".to_owned(),
        from,
        until,
        key: "device".to_owned(),
        signature: String::new(),
    };
    delegation.signature = encoded(1, &delegation_text(ORIGIN, &delegation));
    Roster { delegations: vec![delegation], ..genesis() }
}

#[test]
fn a_delegate_signs_in_the_place_of_the_delegator_while_it_lasts() {
    let june = delegated(date(2026, 6, 1), date(2026, 6, 30));
    june.check(ORIGIN).unwrap();
    let deputy = Some(Deputy { delegator: "kim".to_owned(), delegate: "lee".to_owned() });
    let as_kim = |at| Choice { deputy: deputy.clone(), ..approval(at) };
    let mut desk = Desk::with(&june);
    let closure = desk.version(&[]);
    desk.sign(&Subject::Mapping(&closure), &as_kim(start()), start(), &["lee/device"]);
    desk.approve(&closure, start(), &["lee/device"]);
    waits(&desk.standing(&closure, start()), 1, 2, "lee signed already");
    // The delegator beside the delegate is the same role twice; another role completes.
    desk.approve(&closure, start(), &["jung/device"]);
    waits(&desk.standing(&closure, start()), 1, 2, "role privacy_lead signed already");
    desk.approve(&closure, start(), &["choi/device"]);
    assert!(matches!(desk.standing(&closure, start()), Standing::Delayed { .. }));
    let approvals = desk.read();
    let signer = &approvals.history("naver.slots")[0].signers[0];
    assert_eq!((signer.role, signer.deputy_of.as_deref()), (OfficerRole::PrivacyLead, Some("kim")));

    let mut desk = Desk::with(&june);
    let later = start().plus_ms(30 * DAY);
    desk.sign(&Subject::Mapping(&closure), &as_kim(later), later, &["lee/device"]);
    waits(&desk.standing(&closure, later), 0, 2, "lee has no delegation of kim on 2026-07-01");

    let mut own = closure.clone();
    own.mapping.author = None;
    let mut desk = Desk::with(&june);
    let draft = Choice { author: "lee".to_owned(), ..as_kim(start()) };
    desk.sign(&Subject::Mapping(&own), &draft, start(), &["lee/device"]);
    waits(&desk.standing(&own, start()), 0, 2, "lee drew it up");
}

#[test]
fn a_roster_that_is_not_well_formed_is_refused() {
    let refused = |change: &dyn Fn(&mut Roster), says: &str| {
        let mut roster = delegated(date(2026, 6, 1), date(2026, 6, 30));
        change(&mut roster);
        let why = roster.check(ORIGIN).unwrap_err().to_string();
        assert!(why.contains(says), "{why} does not say {says}");
    };
    refused(&|r| r.format = 2, "format 2");
    refused(&|r| r.quorum = 1, "quorum under 2");
    refused(&|r| r.officers.clear(), "1 to 100 officers");
    refused(&|r| r.officers[1].id = "kim".to_owned(), "stands twice");
    refused(&|r| r.officers[0].id = "Kim".to_owned(), "no id of an officer");
    refused(&|r| r.officers[0].name.ko.push('\u{200b}'), "U+200B");
    refused(&|r| r.officers[0].keys.clear(), "no key");
    refused(&|r| r.officers[0].keys[1] = r.officers[0].keys[0].clone(), "stands twice");
    refused(&|r| r.officers[0].keys[0].public = public(77), "proof of kim/device");
    refused(&|r| r.officers[0].keys[0].name = "laptop".to_owned(), "proof of kim/laptop");
    refused(&|r| r.delegations[0].until = date(2027, 6, 30), "signature does not verify");
    refused(&|r| r.delegations[0].delegate = "choi".to_owned(), "signature does not verify");
    refused(&|r| r.delegations[0].delegate = "park".to_owned(), "officers who approve");
    refused(&|r| r.officers[0].from = date(2030, 1, 1), "ends before it begins");
    let good = delegated(date(2026, 6, 1), date(2026, 6, 30));
    let again = Roster::parse(good.to_toml().as_bytes(), ORIGIN).unwrap();
    assert_eq!((again.digest(), &again), (good.digest(), &good));
    assert!(Roster::parse(good.to_toml().as_bytes(), "another.example").is_err(), "delegations are of one origin");
    let unknown = good.to_toml().replacen("quorum", "quorom", 1);
    assert!(Roster::parse(unknown.as_bytes(), ORIGIN).is_err());
}
