//! L7xx: what stands in the files and the caller's summary of the approvals. Signatures are not verified here.

use std::collections::BTreeMap;

use crate::lint::judge::{Judge, StandingState};
use crate::lint::place::Step::Key;
use crate::mapping::{Drawn, MappingStatus};

/// Below `approvals/`, besides mappings.
const OTHERS: [&str; 4] = ["policy", "partners", "officers", "roster"];

pub(in crate::lint) fn check(judge: &mut Judge<'_>, files: &BTreeMap<String, Vec<u8>>) {
    for drawn in &judge.parts.mappings {
        let author = drawn.mapping.author.as_ref().map(|author| author.get_ref().trim());
        if drawn.mapping.status == MappingStatus::Active && author.is_none_or(str::is_empty) {
            judge.say(
                "L701",
                &drawn.file,
                &[Key("status")],
                "기안자(author)가 없습니다.",
                "an active mapping without an author",
            );
        }
        standing(judge, drawn);
    }
    let ids = judge.ids();
    for name in files.keys().filter_map(|name| name.strip_prefix("approvals/")) {
        let file = format!("approvals/{name}");
        match name.split_once('/') {
            Some((id, note)) if is_approval(note) => {
                if !ids.contains(id) && !OTHERS.contains(&id) {
                    let ko = format!("‘{id}’라는 매핑이 없습니다.");
                    judge.say_at("L704", &file, 0..0, ko, format!("there is no mapping ‘{id}’"));
                }
            }
            _ => judge.say_at("L707", &file, 0..0, "승인 파일의 이름이 아닙니다.", "not the name of an approval"),
        }
    }
}

/// `1a2b3c4d5e6f.note`, `1a2b3c4d5e6f.2.note`, `1a2b3c4d5e6f.json`.
fn is_approval(name: &str) -> bool {
    let digest = name.split('.').next().unwrap_or("");
    let is_digest = digest.len() == 12 && digest.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    is_digest && (name.ends_with(".note") || name.ends_with(".json"))
}

fn standing(judge: &mut Judge<'_>, drawn: &Drawn) {
    let Some(standings) = judge.beside.standings else { return };
    let mapping = &drawn.mapping;
    let (file, id) = (drawn.file.as_str(), mapping.id.get_ref());
    let is_active = mapping.status == MappingStatus::Active;
    let standing = standings.get(id);
    let state = standing.map_or(StandingState::Missing, |standing| standing.state);
    match state {
        StandingState::Missing | StandingState::Waiting if is_active => {
            let en = format!("{id} version {} is not approved", mapping.version);
            judge.say("L702", file, &[Key("version")], format!("{}판이 승인되지 않았습니다.", mapping.version), en);
        }
        StandingState::Expired if is_active => {
            judge.say(
                "L703",
                file,
                &[Key("version")],
                "승인이 만료되었습니다.",
                format!("the approval of {id} has expired"),
            );
        }
        StandingState::Rejected | StandingState::Stopped if is_active => {
            let (ko, en) = match state {
                StandingState::Rejected => ("반려되었습니다.", "rejected"),
                _ => ("제공이 중지되었습니다.", "stopped"),
            };
            judge.say("L706", file, &[Key("status")], ko, format!("{id} was {en}"));
        }
        StandingState::InForce if !is_active => {
            let en = format!("an approved version of {id} is still published");
            judge.say("L705", file, &[Key("status")], "이전 판이 게시되고 있습니다.", en);
        }
        _ => {}
    }
    let author = mapping.author.as_ref().map(|author| author.get_ref());
    if let Some(author) = author.filter(|author| standing.is_some_and(|s| s.signers.contains(author))) {
        judge.say(
            "L708",
            file,
            &[Key("author")],
            format!("{author}이(가) 서명했습니다."),
            format!("{author} has signed it"),
        );
    }
}
