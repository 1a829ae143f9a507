//! Mutations of mappings: a weakening is never passed off as 동일 or 축소, a strengthening is never called 확대.
//!
//! Weakenings are random, of the shipped closures and of richer ones (`rich`) that no shipped file holds yet: tokens,
//! hierarchies, modes, risk. What is told of values is checked by an oracle that knows nothing of partitions: it sends
//! every value of a small domain through the projector and looks at what an observer can tell apart (`oracle`).
//!
//! The seed is printed first; `MUTATION_SEED=n` runs it again.

#[path = "mapping_mutations/kit.rs"]
mod kit;
#[path = "mapping_mutations/oracle.rs"]
mod oracle;
#[path = "mapping_mutations/surroundings.rs"]
mod surroundings;
#[path = "mapping_mutations/transforms.rs"]
mod transforms;

use std::collections::BTreeMap;

use slotbridge::lint::{Change, Verdict, compare};
use slotbridge::mapping;
use slotbridge::privacy::Closure;

use kit::{Dice, Kind, files, of_set, rich, shipped};

const WEAKENINGS: usize = 6_000;
const STRENGTHENINGS: usize = 1_500;
const PAIRS: usize = 800;
const TRIPLES: usize = 1_500;

fn dice() -> Dice {
    let given = std::env::var("MUTATION_SEED").ok().and_then(|text| text.parse().ok());
    let seed = given.unwrap_or_else(|| u64::from(std::process::id()) << 16 | 0x51);
    println!("MUTATION_SEED={seed}");
    Dice(seed)
}

fn kinds() -> Vec<Kind> {
    transforms::kinds().into_iter().chain(surroundings::kinds()).collect()
}

/// A shipped closure, or a rich one.
fn base(dice: &mut Dice, shipped: &[Closure]) -> Closure {
    if dice.below(4) == 0 { dice.pick(shipped).clone() } else { rich(dice, shipped) }
}

fn told(change: &Change) -> String {
    change.moved().map(|row| format!("{row:?}\n")).collect()
}

#[test]
fn every_weakening_is_wider() {
    let mut dice = dice();
    let (shipped, kinds) = (shipped(), kinds());
    let mut count: BTreeMap<&str, usize> = BTreeMap::new();
    let mut done = 0;
    while done < WEAKENINGS {
        let before = base(&mut dice, &shipped);
        let kind = dice.pick(&kinds);
        let mut after = before.clone();
        if !(kind.weaken)(&mut dice, &mut after) {
            continue;
        }
        let change = compare(Some(&before), &after);
        assert_eq!(change.verdict, Verdict::Wider, "{}\n{}", kind.name, told(&change));
        assert!(before != after, "{}", kind.name);
        *count.entry(kind.name).or_default() += 1;
        done += 1;
    }
    for kind in &kinds {
        assert!(count.contains_key(kind.name), "{} was never exercised: {count:?}", kind.name);
    }
    println!("{done} weakenings of {} kinds: {count:?}", kinds.len());
}

#[test]
fn no_strengthening_is_wider() {
    let mut dice = dice();
    let (shipped, kinds) = (shipped(), kinds());
    let kinds: Vec<Kind> = kinds.into_iter().filter(|kind| kind.has_inverse).collect();
    let mut count: BTreeMap<&str, usize> = BTreeMap::new();
    let mut done = 0;
    while done < STRENGTHENINGS {
        let after = base(&mut dice, &shipped);
        let mut before = after.clone();
        let mut names = Vec::new();
        for _ in 0..=dice.below(3) {
            let kind = dice.pick(&kinds);
            let mut weaker = before.clone();
            if (kind.weaken)(&mut dice, &mut weaker) {
                before = weaker;
                names.push(kind.name);
            }
        }
        if names.is_empty() {
            continue;
        }
        let change = compare(Some(&before), &after);
        assert_eq!(change.verdict, Verdict::Narrower, "back from {names:?}\n{}", told(&change));
        names.into_iter().for_each(|name| *count.entry(name).or_default() += 1);
        done += 1;
    }
    for kind in &kinds {
        assert!(count.contains_key(kind.name), "{} was never exercised: {count:?}", kind.name);
    }
}

/// As somebody would do it: in the files, through the loader. A refusal to load is a denial.
#[test]
fn weakenings_written_into_the_shipped_files_are_denied_or_wider() {
    let (shipped, files) = (shipped(), files());
    let mut verdicts = (0, 0);
    let ops = [
        "op = \"person_token\"",
        "op = \"oprf_index\", bits = 64",
        "op = \"token_random\", bits = 64, scope = \"partner\"",
        "op = \"token_random\", bits = 128, scope = \"all\"",
        "op = \"keep\"",
        "op = \"lookup\", table = \"slot_status\", key = \"code\", value = \"ko\"",
        "op = \"round_num\", to = 1",
    ];
    let permissive = |text: &str| text.replace("\"top_bottom\"", "\"top_bottom\", \"token_random\"");
    for (path, bytes) in files.iter().filter(|(path, _)| path.ends_with(".toml") && path.contains('/')) {
        let text = String::from_utf8(bytes.clone()).unwrap();
        for line in text.lines().filter(|line| line.starts_with("transform = ") && !line.contains("\"keep\"")) {
            for op in ops {
                let mut edited = files.clone();
                let new = format!("transform = {{ {op} }}");
                edited.insert(path.clone(), text.replacen(line, &new, 1).into_bytes());
                // Even where the policy already allowed it.
                let policy = String::from_utf8(edited["policy.toml"].clone()).unwrap();
                edited.insert("policy.toml".into(), permissive(&policy).into_bytes());
                let Ok(set) = mapping::load(&edited) else {
                    verdicts.0 += 1;
                    continue;
                };
                for after in of_set(&set) {
                    let before = shipped.iter().find(|c| c.id() == after.id()).unwrap();
                    let mut before = before.clone();
                    before.policy = after.policy.clone();
                    let is_same = before == after;
                    let change = compare(Some(&before), &after);
                    let expected = if is_same { Verdict::Same } else { Verdict::Wider };
                    assert_eq!(change.verdict, expected, "{path} {line} -> {op}\n{}", told(&change));
                    verdicts.1 += usize::from(!is_same);
                }
            }
        }
    }
    assert!(verdicts.0 > 10 && verdicts.1 > 10, "{verdicts:?}");
}

#[test]
fn what_an_observer_cannot_tell_apart_is_what_the_verdict_says() {
    let mut dice = dice();
    let shipped = shipped();
    let mut count = [0_usize; 4];
    for _ in 0..PAIRS {
        let (before, after) = oracle::pair(&mut dice, &shipped);
        let change = compare(Some(&before), &after);
        let tells_less = oracle::tells_at_most(&after, &before);
        if change.verdict != Verdict::Wider {
            assert!(tells_less, "an observer learns more\n{}", told(&change));
        }
        let is_strict = tells_less && !oracle::tells_at_most(&before, &after);
        // One field a column: what the observer says is the whole truth.
        if is_strict && oracle::is_plain(&before, &after) {
            assert_eq!(change.verdict, Verdict::Narrower, "an observer learns less\n{}", told(&change));
            count[3] += 1;
        }
        count[change.verdict as usize] += 1;
    }
    println!("same, narrower, wider, plainly narrower: {count:?}");
    assert!(count.iter().all(|n| *n > 5), "{count:?}");
}

#[test]
fn narrower_is_an_order() {
    let mut dice = dice();
    let (shipped, kinds) = (shipped(), kinds());
    let mut chains = 0;
    for round in 0..TRIPLES {
        let [a, b, c] = if round % 2 == 0 {
            oracle::triple(&mut dice, &shipped)
        } else {
            let c = base(&mut dice, &shipped);
            let mut step = |from: &Closure| {
                let mut to = from.clone();
                let kind = dice.pick(&kinds);
                (kind.weaken)(&mut dice, &mut to);
                to
            };
            let b = step(&c);
            [step(&b), b, c]
        };
        let verdict = |before: &Closure, after: &Closure| compare(Some(before), after).verdict;
        assert_eq!(verdict(&a, &a), Verdict::Same);
        let (ab, bc, ac) = (verdict(&a, &b), verdict(&b, &c), verdict(&a, &c));
        for (there, back) in [(ab, verdict(&b, &a)), (bc, verdict(&c, &b)), (ac, verdict(&c, &a))] {
            match there {
                Verdict::Narrower => assert_eq!(back, Verdict::Wider),
                Verdict::Same => assert_eq!(back, Verdict::Same),
                Verdict::Wider => {}
            }
        }
        if ab != Verdict::Wider && bc != Verdict::Wider {
            assert_eq!(ac, ab.max(bc), "{}", told(&compare(Some(&a), &c)));
            chains += usize::from(ab == Verdict::Narrower && bc == Verdict::Narrower);
        }
    }
    assert!(chains > 20, "{chains}");
}

#[test]
fn a_version_read_back_from_its_json_compares_as_it_was() {
    let mut dice = dice();
    let shipped = shipped();
    for _ in 0..100 {
        let closure = base(&mut dice, &shipped);
        let again = Closure::from_json(closure.to_json().as_bytes()).unwrap();
        assert_eq!(compare(Some(&closure), &again).verdict, Verdict::Same);
    }
}
