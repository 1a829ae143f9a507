//! Sets of which a part is approved.

use super::*;
use crate::mapping::testing::{load_edited, shipped};

/// Knows versions by digest, and what is kept by mapping.
#[derive(Default)]
pub struct Known {
    pub standing: BTreeMap<String, Standing>,
    pub kept: BTreeMap<String, Closure>,
}

pub fn in_force() -> Standing {
    Standing::InForce { note: "n1".to_owned(), until: Timestamp(1_000) }
}

impl Known {
    /// Every mapping of the set is in force.
    pub fn all(set: &MappingSet) -> Known {
        let closures = set.mappings().filter_map(|(partner, kind, _)| Closure::of(set, partner, kind));
        let closures: Vec<Closure> = closures.collect();
        Known {
            standing: closures.iter().map(|closure| (closure.digest(), in_force())).collect(),
            kept: closures.into_iter().map(|closure| (closure.id().to_owned(), closure)).collect(),
        }
    }
}

impl Judge for Known {
    fn roster_head(&self) -> Option<String> {
        None
    }

    fn standing(&self, closure: &Closure, _: Timestamp) -> Standing {
        let unknown = Standing::Waiting { have: 1, need: 2, why: "a second signature".to_owned() };
        self.standing.get(&closure.digest()).cloned().unwrap_or(unknown)
    }

    fn in_force(&self, mapping: &str, now: Timestamp) -> Option<(Closure, Standing)> {
        let closure = self.kept.get(mapping)?;
        let standing = self.standing(closure, now);
        matches!(standing, Standing::InForce { .. }).then(|| (closure.clone(), standing))
    }
}

const NOW: Timestamp = Timestamp(0);

fn line<'a>(chosen: &'a InForce, id: &str) -> (Option<u32>, &'static str, Option<&'a str>) {
    let line = &chosen.lines[id];
    (line.version, line.standing, line.why.as_deref())
}

#[test]
fn a_folder_that_is_approved_runs_as_it_stands() {
    let set = shipped();
    let chosen = choose(shipped(), &Known::all(&set), NOW);
    assert_eq!(chosen.running.len(), set.feeds().count());
    assert_eq!(chosen.set.layouts(), set.layouts());
    assert_eq!(chosen.held().count(), 0);
    assert!(chosen.remarks.is_empty(), "{:?}", chosen.remarks);
    assert_eq!(choose(shipped(), &Unjudged, NOW).running.len(), set.feeds().count());
}

#[test]
fn one_byte_anywhere_leaves_everything_as_it_was_and_is_said_in_one_line() {
    let known = Known::all(&shipped());
    let before = choose(shipped(), &known, NOW);
    let digests = |chosen: &InForce| chosen.running.values().map(|r| r.digest.clone()).collect::<Vec<_>>();
    for (file, from, to, about) in [
        ("naver/slots.toml", "\"5-9\"", "\"5-8\"", "naver.slots"),
        ("tables/slot_status.csv", "CLOSED,closed,마감", "CLOSED,closed,마감x", "naver.slots"),
        ("policy.toml", "age_s_max = 600", "age_s_max = 601", "kakao.sites"),
        ("partners.toml", "read_per_s_max = 200", "read_per_s_max = 2001", ""),
        ("catalog.toml", "ko = \"", "ko = \"가", ""),
    ] {
        let set = load_edited(&[(file, from, to)]).unwrap();
        let chosen = choose(set, &known, NOW);
        assert_eq!(digests(&chosen), digests(&before), "{file}");
        assert_eq!(chosen.set.layouts(), before.set.layouts(), "{file}");
        let waiting: Vec<&Line> = chosen.lines.values().filter(|line| line.waiting.is_some()).collect();
        assert!(!waiting.is_empty(), "{file}");
        for line in waiting {
            let why = line.why.as_deref().unwrap();
            assert!(why == "1 of 2 signatures: a second signature" && !why.contains('\n'), "{file}: {why}");
        }
        if !about.is_empty() {
            assert_eq!(line(&chosen, about).1, "in_force");
            assert!(chosen.lines[about].waiting.is_some());
        }
        assert_eq!(chosen.remarks.len(), usize::from(matches!(file, "policy.toml" | "partners.toml")), "{file}");
    }
}

#[test]
fn a_mapping_that_nobody_approved_is_neither_published_nor_fetched_for() {
    let set = shipped();
    let mut known = Known::all(&set);
    let sites: Vec<&str> = vec!["naver.sites", "kakao.sites", "audit.sites"];
    for id in &sites {
        known.kept.remove(*id);
        let (partner, kind) = (PartnerId::new(id.split('.').next().unwrap()).unwrap(), FeedKind::Sites);
        known.standing.remove(&Closure::of(&set, &partner, kind).unwrap().digest());
    }
    let chosen = choose(shipped(), &known, NOW);
    assert_eq!(chosen.held().map(|(_, _, line)| line.id.as_str()).collect::<Vec<_>>(), {
        let mut sites = sites.clone();
        sites.sort_unstable();
        sites
    });
    let layout = chosen.set.layout("site").unwrap();
    let of = |name: &str| set.catalogue().object("site").and_then(|object| object.column(name)).unwrap();
    assert!(layout.columns.iter().all(|column| of(&column.name).is_operational()));
    assert!(layout.columns.len() < set.layout("site").unwrap().columns.len());
}

#[test]
fn a_stopped_version_has_no_older_one_in_its_place() {
    let (old, new) = (shipped(), load_edited(&[("naver/slots.toml", "\"5-9\"", "\"5-8\"")]).unwrap());
    let mut known = Known::all(&old);
    let naver = PartnerId::new("naver").unwrap();
    let digest = Closure::of(&new, &naver, FeedKind::Slots).unwrap().digest();
    let stopped = Standing::Stopped { by: "이영희".to_owned(), at: Timestamp(0) };
    known.standing.insert(digest, stopped);
    let chosen = choose(new, &known, NOW);
    assert_eq!(line(&chosen, "naver.slots").0, None);
    assert_eq!(line(&chosen, "kakao.slots").1, "in_force");
}

#[test]
fn who_was_approved_over_other_catalogue_rows_is_held() {
    let text = String::from_utf8(crate::mapping::testing::shipped_files()["catalog.toml"].clone()).unwrap();
    let at = text.find("name = \"slot\"").unwrap();
    let label = text[at..].lines().find(|line| line.starts_with("label")).unwrap();
    let new = load_edited(&[("catalog.toml", label, "label = { ko = \"다른 이름\", en = \"other\" }")]).unwrap();
    // Kakao's is approved over the new rows, naver's and the agency's over the old ones.
    let mut known = Known::all(&shipped());
    let kakao = PartnerId::new("kakao").unwrap();
    known.standing.insert(Closure::of(&new, &kakao, FeedKind::Slots).unwrap().digest(), in_force());
    let chosen = choose(new, &known, NOW);
    assert_eq!(line(&chosen, "kakao.slots").1, "in_force");
    let (version, standing, why) = line(&chosen, "naver.slots");
    assert_eq!((version, standing), (None, "held"));
    assert_eq!(why, Some("approved over other catalogue rows of slot than those in force"));
}
