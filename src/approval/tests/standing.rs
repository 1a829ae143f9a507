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
