//! Folders that somebody changed: every byte is verified or means the same.

use super::kit::*;
use crate::approval::*;
use crate::privacy::Closure;

/// A folder with a second roster, a policy note and three versions' worth of notes.
fn full() -> (Desk, Closure) {
    let mut desk = Desk::new();
    let first = desk.version(&[]);
    desk.approved(&first, start());
    let mut roster = genesis();
    (roster.previous, roster.version, roster.quorum) = (Some(roster.digest()), 2, 3);
    desk.files.insert("officers.toml".to_owned(), roster.to_toml().into_bytes());
    desk.sign(&Subject::Roster(&roster), &yes(Decision::Roster), start(), &["kim/device", "lee/browser"]);
    let at = start().plus_ms(30 * DAY);
    let second = desk.version(&[NARROWER, OTHER_POLICY]);
    let policy = Subject::Policy(&second.policy);
    desk.sign(&policy, &yes(Decision::Policy), at, &["kim/device", "lee/device"]);
    desk.approve(&second, at, &["lee/device"]);
    assert!(in_force(&desk.standing(&second, at)));
    assert!(desk.read().found().is_empty(), "{:?}", desk.read().found());
    (desk, second)
}

#[test]
fn a_flipped_bit_anywhere_breaks_or_means_the_same() {
    let (mut desk, closure) = full();
    let at = start().plus_ms(31 * DAY);
    let whole = desk.standing(&closure, at);
    let roster = desk.head();
    desk.recorded = desk.read().heads();
    let paths: Vec<String> = desk.files.keys().cloned().collect();
    assert_eq!(paths.len(), 11, "{paths:?}");
    for path in paths {
        let bytes = desk.files[&path].clone();
        // Odd, so that every kind of byte is met; each file some 25 times.
        let stride = (bytes.len() / 25) | 1;
        for at_byte in (0..bytes.len()).step_by(stride) {
            let bit = 1 << (at_byte % 7);
            let mut flipped = bytes.clone();
            flipped[at_byte] ^= bit;
            desk.files.insert(path.clone(), flipped);
            let approvals = desk.read();
            let standing = approvals.standing(&closure, at);
            let told = approvals.found();
            let place = format!("{path} byte {at_byte}: {standing:?}");
            let stays = (approvals.roster_head().as_ref(), &standing) == (Some(&roster), &whole);
            let told_why = !told.is_empty() && !in_force(&standing);
            match path.as_str() {
                // The roster in force does not hang on this file, nor on the copy of what stands in it.
                "officers.toml" => assert!(stays, "{place}"),
                roster if roster.ends_with(".toml") => assert!(stays || told_why, "{place}"),
                _ => assert!(told_why, "{place}"),
            }
            assert!(told.iter().all(|found| !found.to_string().contains('\n')), "{place}");
        }
        desk.files.insert(path, bytes);
    }
    assert_eq!(desk.standing(&closure, at), whole);
}

#[test]
fn every_byte_of_a_note_is_verified() {
    let mut desk = Desk::new();
    let closure = desk.version(&[]);
    let path = desk.approve(&closure, start(), &["kim/device", "lee/device"]);
    let approvals = desk.read();
    let subject = Subject::Mapping(&closure);
    let bytes = desk.files[&path].clone();
    let verify = |bytes: &[u8]| Note::parse(bytes).and_then(|note| approvals.verify(&note, &subject));
    assert_eq!(verify(&bytes).unwrap().signers.len(), 2);
    let second = String::from_utf8(bytes.clone()).unwrap().rfind("— ").unwrap();
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1;
        assert!(verify(&flipped).is_err(), "byte {at}");
        // Cut after the first signature it is a note that one officer signed.
        let cut = verify(&bytes[..at]).map(|signed| signed.signers.len());
        assert!(cut.is_err() || cut == Ok(1) && at == second, "cut at {at}");
    }
}

#[test]
fn a_text_that_is_signed_but_not_what_is_rendered_is_refused() {
    let mut desk = Desk::new();
    let closure = desk.version(&[]);
    let draft = desk.read().draft(&desk.files, &Subject::Mapping(&closure), &approval(start()), start()).unwrap();
    let first = |line: &str| draft.text.lines().find(|l| l.starts_with(line)).unwrap().to_owned();
    let version = first("대상 판");
    for (from, to, says) in [
        (ORIGIN, "other.example/slotbridge", "another deployment"),
        ("확대", "축소", "not what is rendered"),
        ("이 서명은", "이  서명은", "not what is rendered"),
        ("\n의견", " \n의견", "no line 결정"),
        (version.as_str(), "대상 판: 2", "not what is rendered"),
        ("naver.slots", "naver.sites", "not what is rendered"),
        ("kang", "ka\u{200b}ng", "U+200B"),
        ("kang", "ka\u{202e}ng", "U+202E"),
        ("kang", "ka\u{8}ng", "U+0008"),
        ("기안자: kang", "기안자: kang\n— kim/device AAAA", "starts as a signature"),
        ("기안자: kang", "기안자: kang\n덧붙임", "no line 대결"),
        ("2027-", "2028-", "valid for more than"),
    ] {
        assert!(draft.text.contains(from), "{from}");
        let text = draft.text.replacen(from, to, 1);
        let mut desk = Desk { files: desk.files.clone(), trust: desk.trust.clone(), recorded: desk.recorded.clone() };
        desk.put(&Draft { text, ..draft.clone() }, &["kim/device", "lee/device"]);
        let standing = desk.standing(&closure, start());
        let (Standing::Broken { why } | Standing::Waiting { why, .. }) = &standing else {
            panic!("{to}: {standing:?}")
        };
        assert!(why.contains(says), "{to}: {why}");
    }
    // One byte more at the end of the body.
    let text = format!("{}\n", draft.text);
    desk.put(&Draft { text, ..draft }, &["kim/device", "lee/device"]);
    assert!(matches!(desk.standing(&closure, start()), Standing::Broken { .. }));
}

#[test]
fn only_known_keys_sign() {
    let mut desk = Desk::new();
    let closure = desk.version(&[]);
    let subject = Subject::Mapping(&closure);
    let draft = desk.read().draft(&desk.files, &subject, &approval(start()), start()).unwrap();
    let good = line("kim/device", &draft.text);
    for (bad, says) in [
        (NoteSignature { name: "kim/phone".to_owned(), ..good.clone() }, "kim/phone is not in the roster"),
        (NoteSignature { name: "hong/device".to_owned(), ..good.clone() }, "hong/device is not in the roster"),
        (NoteSignature { name: "kim".to_owned(), ..good.clone() }, "kim is not in the roster"),
        (NoteSignature { name: "lee/device".to_owned(), ..good.clone() }, "lee/device does not verify"),
        (NoteSignature { key_id: [0; 4], ..good.clone() }, "kim/device does not verify"),
        (NoteSignature { signature: vec![0; 64], ..good.clone() }, "kim/device does not verify"),
        (NoteSignature { signature: Vec::new(), ..good.clone() }, "kim/device does not verify"),
        (good.clone(), "kim/device signed twice"),
    ] {
        let note = Note { text: draft.text.clone(), signatures: vec![good.clone(), bad] };
        desk.files.insert(draft.content.0.clone(), draft.content.1.clone());
        desk.files.insert(draft.note_path.clone(), note.to_string().into_bytes());
        let standing = desk.standing(&closure, start());
        assert!(matches!(&standing, Standing::Broken { why } if why.contains(says)), "{standing:?}");
    }
}

#[test]
fn signatures_are_added_one_by_one_and_only_good_ones() {
    let mut desk = Desk::new();
    let closure = desk.version(&[]);
    let subject = Subject::Mapping(&closure);
    let approvals = desk.read();
    let draft = approvals.draft(&desk.files, &subject, &approval(start()), start()).unwrap();
    let add = |note: &str, signer: &str| {
        let name = SignerName::parse(signer).unwrap();
        approvals.add_signature(note, &subject, &name, &line(signer, &draft.text).signature)
    };
    let one = add(&draft.text, "kim/device").unwrap();
    let two = add(&one.to_string(), "lee/browser").unwrap();
    for (signer, flaw) in [
        ("kim/device", "signed twice"),
        ("kim/browser", "kim signed already"),
        ("jung/device", "role privacy_lead signed already"),
        ("park/device", "does not approve"),
        ("kang/device", "drew it up"),
    ] {
        let why = add(&one.to_string(), signer).unwrap_err().to_string();
        assert!(why.contains(flaw), "{signer}: {why}");
    }
    let name = SignerName::parse("lee/device").unwrap();
    assert!(approvals.add_signature(&one.to_string(), &subject, &name, &[0; 64]).is_err());
    desk.files.insert(draft.content.0.clone(), draft.content.1.clone());
    desk.files.insert(draft.note_path.clone(), two.to_string().into_bytes());
    assert!(matches!(desk.standing(&closure, start()), Standing::Delayed { .. }));
}

#[test]
fn an_older_approval_put_back_is_found_by_what_was_recorded() {
    let mut desk = Desk::new();
    let wide = desk.version(&[]);
    desk.approved(&wide, start());
    let before = desk.files.clone();
    let at = start().plus_ms(30 * DAY);
    let narrow = desk.version(&[NARROWER]);
    desk.approve(&narrow, at, &["lee/device"]);
    desk.recorded = desk.read().heads();
    let after = std::mem::replace(&mut desk.files, before.clone());
    let standing = desk.standing(&wide, at);
    assert!(matches!(&standing, Standing::Broken { why } if why.contains("rolled back: note")), "{standing:?}");
    assert!(desk.read().in_force("naver.slots", at).is_none());
    // The whole folder of the mapping gone, likewise.
    desk.files.retain(|path, _| !path.starts_with("approvals/naver.slots/"));
    assert!(matches!(desk.standing(&wide, at), Standing::Broken { .. }));
    // A stop that was seen cannot be taken away either.
    desk.files = after.clone();
    desk.sign(&Subject::Mapping(&narrow), &refusal(Decision::Stop), at, &["park/device"]);
    assert!(matches!(desk.standing(&narrow, at), Standing::Stopped { .. }));
    desk.recorded = desk.read().heads();
    desk.files = after;
    assert!(matches!(desk.standing(&narrow, at), Standing::Broken { .. }));
}

#[test]
fn notes_that_fork_or_hang_in_the_air_break_the_mapping() {
    let mut desk = Desk::new();
    let closure = desk.version(&[]);
    let at = start();
    desk.approve(&closure, at, &["kim/device"]);
    let other = desk.version(&[OTHER]);
    let fork = desk.read().draft(&desk.files, &Subject::Mapping(&other), &approval(at), at).unwrap();
    let middle = desk.approve(&closure, at.plus_ms(HOUR), &["lee/device"]);
    desk.approve(&closure, at.plus_ms(2 * HOUR), &["choi/device"]);
    let good = desk.files.clone();
    let broken = |desk: &Desk, says: &str| {
        let standing = desk.standing(&closure, at.plus_ms(2 * DAY));
        assert!(matches!(&standing, Standing::Broken { why } if why.contains(says)), "{standing:?}");
    };
    desk.files.remove(&middle);
    broken(&desk, "the note before");
    desk.files = good.clone();
    desk.put(&fork, &["kim/device"]);
    broken(&desk, "two notes follow");
    desk.files = good.clone();
    desk.files.insert("approvals/naver.slots/readme.txt".to_owned(), Vec::new());
    broken(&desk, "neither a version nor a note");
    desk.files = good;
    let json = desk.files.keys().find(|path| path.ends_with(".json")).unwrap().clone();
    let bytes = desk.files[&json].clone();
    desk.files.insert("approvals/naver.slots/000000000000.json".to_owned(), bytes.clone());
    broken(&desk, "the file holds the version");
    desk.files.remove("approvals/naver.slots/000000000000.json");
    desk.files.insert(json, [&bytes[..], b" "].concat());
    broken(&desk, "not in canonical form");
}

#[test]
fn notes_of_one_mapping_say_nothing_about_another() {
    let mut desk = Desk::new();
    let closure = desk.version(&[]);
    desk.approved(&closure, start());
    let moved = desk
        .files
        .iter()
        .filter_map(|(path, bytes)| Some((path.strip_prefix("approvals/naver.slots/")?.to_owned(), bytes.clone())));
    let moved: Vec<_> = moved.map(|(file, bytes)| (format!("approvals/kakao.slots/{file}"), bytes)).collect();
    desk.files.extend(moved);
    let approvals = desk.read();
    assert!(in_force(&approvals.standing(&closure, start().plus_ms(2 * DAY))));
    assert!(approvals.in_force("kakao.slots", start().plus_ms(2 * DAY)).is_none());
    assert!(approvals.found()[0].to_string().contains("a version of naver.slots"));
}

#[test]
fn a_time_stated_before_the_note_before_does_not_count() {
    let mut desk = Desk::new();
    let closure = desk.version(&[]);
    desk.approve(&closure, start(), &["kim/device"]);
    let subject = Subject::Mapping(&closure);
    let draft = |desk: &Desk, at| desk.read().draft(&desk.files, &subject, &approval(start()), at);
    assert_eq!(draft(&desk, start().plus_ms(-DAY)).map(|_| ()), Err(Flaw::TimeBackwards));
    let mut forged = draft(&desk, start()).unwrap();
    forged.header.signed_at = start().plus_ms(-DAY);
    forged.text = signed::render(ORIGIN, &forged.header, &subject, None, compare).unwrap();
    desk.put(&forged, &["lee/device"]);
    waits(&desk.standing(&closure, start()), 1, 2, "1 of 2");
    assert_eq!(desk.read().history("naver.slots")[1].signers[0].uncounted, Some(Flaw::TimeBackwards));
}

#[test]
fn a_key_on_the_other_curve_signs_as_well() {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    use ring::rand::SystemRandom;
    use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
    let random = SystemRandom::new();
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random).unwrap();
    let sign = |text: &str| pair.sign(&random, text.as_bytes()).unwrap().as_ref().to_vec();
    let public = PublicKey::P256(pair.public_key().as_ref().try_into().unwrap());
    assert_eq!(PublicKey::parse(&public.to_string()), Ok(public));
    let signer = SignerName::parse("kim/browser").unwrap();
    let mut roster = genesis();
    let proof = URL_SAFE_NO_PAD.encode(sign(&possession_text(&signer, &public)));
    let entry = &mut roster.officers[0].keys[1];
    (entry.public, entry.proof) = (public, proof);
    let mut desk = Desk::with(&roster);
    let closure = desk.version(&[]);
    let subject = Subject::Mapping(&closure);
    let draft = desk.read().draft(&desk.files, &subject, &approval(start()), start()).unwrap();
    let note = desk.read().add_signature(&draft.text, &subject, &signer, &sign(&draft.text)).unwrap();
    assert!(desk.read().add_signature(&draft.text, &subject, &signer, &sign("another\n")).is_err());
    desk.files.insert(draft.content.0, draft.content.1);
    desk.files.insert(draft.note_path, note.to_string().into_bytes());
    waits(&desk.standing(&closure, start()), 1, 2, "device");
}
