//! What tokens tell by themselves: shapes, values, order, and the work that goes into one.
//!
//! Bounds are five standard errors where chance decides (one in 1.7 million a comparison), so that a test that fails
//! has found something.

use std::collections::BTreeSet;
use std::hint::black_box;
use std::time::{Duration, Instant};

use slotbridge::domain::{PartnerId, PersonNo, PersonRef};
use slotbridge::keys::{Environment, Epochs, KeyFolder, PersonTokens};
use slotbridge::view::CiTableBuilder;

const PERSONS: u32 = 4_000;

fn partner(id: &str) -> PartnerId {
    PartnerId::new(id).expect("an id")
}

fn tokens(folder: &KeyFolder, current: u32, previous: Option<u32>) -> PersonTokens {
    let partners = [partner("naver"), partner("kakao")];
    let epochs = Epochs { current, previous };
    PersonTokens::open(folder, Environment::Live, "booking", epochs, &partners).expect("keys")
}

fn folder() -> (tempfile::TempDir, KeyFolder) {
    let dir = tempfile::tempdir().expect("a folder");
    let folder = KeyFolder::open(&dir.path().join("keys")).expect("a key folder");
    (dir, folder)
}

fn ci(n: u32) -> String {
    format!("{:A<86}==", format!("Person{n:08}"))
}

fn sealed(token: &str) -> &str {
    token.rsplit('.').next().expect("a sealed part")
}

/// Place of each value in ascending order.
fn ranks(values: &[String]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].cmp(&values[*b]));
    let mut ranks = vec![0.0; values.len()];
    for (rank, at) in order.into_iter().enumerate() {
        ranks[at] = rank as f64;
    }
    ranks
}

/// Spearman's rank correlation.
fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let mean = (a.len() as f64 - 1.0) / 2.0;
    let product: f64 = a.iter().zip(b).map(|(a, b)| (a - mean) * (b - mean)).sum();
    let square: f64 = a.iter().map(|a| (a - mean) * (a - mean)).sum();
    product / square
}

#[test]
fn the_measure_finds_an_order_that_is_there() {
    let values: Vec<String> = (0..PERSONS).map(|n| format!("{n:08}")).collect();
    let turned: Vec<String> = (0..PERSONS).rev().map(|n| format!("{n:08}")).collect();
    assert!(correlation(&ranks(&values), &ranks(&values)) > 0.999);
    assert!(correlation(&ranks(&values), &ranks(&turned)) < -0.999);
}

/// What remains: nothing by values. Who asks for whom and when is known to each partner of its own users.
#[test]
fn tokens_of_two_partners_and_of_two_epochs_have_nothing_in_common() {
    let (_dir, folder) = folder();
    let (old, new) = (tokens(&folder, 2611, None), tokens(&folder, 2612, Some(2611)));
    let of = |tokens: &PersonTokens, name: &str, known: bool| -> Vec<String> {
        let partner = partner(name);
        let person = |n: u32| match known {
            true => Some(PersonRef::Known(PersonNo(n))),
            false => tokens.nobody(&partner, ci(n).as_bytes()),
        };
        (0..PERSONS).map(|n| tokens.token(&partner, person(n).expect("a key")).expect("a token")).collect()
    };
    let numbers: Vec<f64> = (0..PERSONS).map(f64::from).collect();
    let bound = 5.0 / f64::from(PERSONS).sqrt();
    for known in [true, false] {
        let lists = [of(&old, "naver", known), of(&old, "kakao", known), of(&new, "naver", known)];
        let lists: Vec<Vec<String>> =
            lists.iter().map(|list| list.iter().map(|token| sealed(token).to_owned()).collect()).collect();
        let distinct: BTreeSet<&String> = lists.iter().flatten().collect();
        assert_eq!(distinct.len(), 3 * PERSONS as usize, "no value twice, at either partner or epoch");
        let pieces: BTreeSet<&str> =
            lists[0].iter().flat_map(|text| [&text[..11], &text[11..22], &text[21..]]).collect();
        let shared = lists[1].iter().chain(&lists[2]).flat_map(|text| [&text[..11], &text[11..22], &text[21..]]);
        assert_eq!(shared.filter(|piece| pieces.contains(piece)).count(), 0, "no piece of 66 bits twice");
        let ranks: Vec<Vec<f64>> = lists.iter().map(|list| ranks(list)).collect();
        for (a, b) in [(0, 1), (0, 2), (1, 2)] {
            assert!(correlation(&ranks[a], &ranks[b]).abs() < bound, "lists {a} and {b} are ordered alike");
        }
        for list in &ranks {
            assert!(correlation(list, &numbers).abs() < bound, "tokens follow the person numbers");
        }
    }
}

/// What remains: nothing in one token. Two tokens of one CI in one epoch differ if it was registered or erased between.
#[test]
fn a_token_of_an_unknown_ci_looks_like_any_other() {
    let (_dir, folder) = folder();
    let (tokens, naver) = (tokens(&folder, 2611, None), partner("naver"));
    let known: Vec<String> =
        (0..PERSONS).map(|n| tokens.token(&naver, PersonRef::Known(PersonNo(n))).expect("a token")).collect();
    let unknown: Vec<String> = (0..PERSONS)
        .map(|n| tokens.token(&naver, tokens.nobody(&naver, ci(n).as_bytes()).expect("a key")).expect("a token"))
        .collect();
    let shape = |token: &String| (token.len(), token[..token.len() - sealed(token).len()].to_owned());
    let shapes: BTreeSet<_> = known.iter().chain(&unknown).map(shape).collect();
    assert_eq!(shapes.len(), 1, "{shapes:?}");
    let alphabet = |list: &[String]| list.iter().flat_map(|token| sealed(token).bytes()).collect::<BTreeSet<u8>>();
    assert_eq!(alphabet(&known), alphabet(&unknown));
    assert_eq!(alphabet(&known).len(), 64);
    // Each place of the sealed part, as numbers 0 to 63: equal means, and all of them near that of chance.
    let at = |list: &[String], place: usize| {
        let place = |token: &String| {
            64 - b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
                .iter()
                .rev()
                .position(|c| *c == sealed(token).as_bytes()[place])
                .expect("of the alphabet")
        };
        list.iter().map(|token| place(token) as f64).sum::<f64>() / f64::from(PERSONS)
    };
    let error = 64.0 / 12.0_f64.sqrt() / f64::from(PERSONS).sqrt();
    for place in 0..32 {
        let (known, unknown) = (at(&known, place), at(&unknown, place));
        assert!((known - unknown).abs() < 5.0 * 2.0_f64.sqrt() * error, "place {place}: {known} {unknown}");
        assert!((known - 32.5).abs() < 5.0 * error && (unknown - 32.5).abs() < 5.0 * error, "place {place}");
    }
}

/// The work of a call apart from disk and network: lookup, synthetic number, sealing. 5,000 calls a kind, interleaved,
/// so that a busy machine slows both; medians within a quarter. What remains: a difference below that, under the
/// network's own jitter of a thousand times as much.
#[test]
fn a_known_and_an_unknown_ci_take_the_same_work() {
    const CALLS: u32 = 5_000;
    let (_dir, folder) = folder();
    let (tokens, naver) = (tokens(&folder, 2611, None), partner("naver"));
    let mut table = CiTableBuilder::new().expect("random numbers");
    for n in 0..200_000 {
        table.add(ci(n).as_bytes(), PersonNo(n));
    }
    let (table, _) = table.build();
    let mut took: [Vec<Duration>; 2] = [Vec::new(), Vec::new()];
    for n in 0..CALLS {
        let pair = [ci(n * 39 % 200_000), ci(1_000_000 + n)];
        // Each kind is first as often as second.
        for turn in 0..2 {
            let kind = (turn + n as usize) % 2;
            let ci = black_box(pair[kind].as_bytes());
            let began = Instant::now();
            let known = table.person(ci);
            let nobody = tokens.nobody(&naver, ci).expect("a key");
            let person = known.map_or(nobody, PersonRef::Known);
            black_box(tokens.token(&naver, person));
            took[kind].push(began.elapsed());
            assert_eq!(known.is_some(), kind == 0);
        }
    }
    let [known, unknown] = took.map(|mut all| {
        all.sort();
        all[all.len() / 2]
    });
    println!("attacks: median work of a registered CI {known:?}, of an unknown one {unknown:?}");
    assert!(known.abs_diff(unknown) < known.min(unknown) / 4, "{known:?} {unknown:?}");
}
