//! The parts of a mapping, in the order of its file.

use std::collections::{BTreeMap, BTreeSet};

use crate::mapping::feed_mapping::{
    Erasure, Feed, IdRule, Legal, LookupRule, PartnerSection, PurposeSection, Retention, Risk, SmallCell, Source,
    Waiver, Withheld,
};
use crate::mapping::{FeedMapping, MappingStatus, Mode};
use crate::privacy::Closure;

use super::field::{self, Side};
use super::rows::{Rows, more_is_narrower, more_is_wider, more_or_none_is_wider, wider, words};
use super::{ChangeRow, Verdict};

pub(super) fn compare(rows: &mut Rows, before: &Closure, after: &Closure, mapping: &FeedMapping) {
    let FeedMapping {
        format,
        id,
        version,
        status,
        author,
        title,
        partner,
        purpose,
        legal,
        source,
        filters,
        feed,
        retention,
        risk,
        lookup,
        erasure,
        waivers,
        fields: _,
        withheld,
    } = mapping;
    let now = &after.mapping;
    rows.part("format", "형식", (format, &now.format), wider);
    rows.part("id", "정의 번호", (id, &now.id), wider);
    rows.part("version", "판", (version, &now.version), words);
    rows.part("status", "상태", (status, &now.status), |_, now| match now {
        MappingStatus::Active => Verdict::Wider,
        // Of the two that publish nothing neither is less than the other.
        MappingStatus::Draft | MappingStatus::Retired if *status == MappingStatus::Active => Verdict::Narrower,
        MappingStatus::Draft | MappingStatus::Retired => Verdict::Same,
    });
    rows.part("author", "기안자", (author, &now.author), words);
    rows.part("title", "제목", (title, &now.title), words);
    let PartnerSection { id } = partner;
    rows.part("partner", "제휴사", (id, &now.partner.id), wider);
    let PurposeSection { code, ko, en } = purpose;
    rows.part("purpose code", "이용 목적", (code, &now.purpose.code), wider);
    rows.part("purpose ko", "이용 목적 설명", (ko, &now.purpose.ko), wider);
    rows.part("purpose en", "이용 목적 설명(영문)", (en, &now.purpose.en), wider);
    let Legal { basis, citation, consent } = legal;
    rows.part("legal basis", "법적 근거", (basis, &now.legal.basis), wider);
    rows.part("legal citation", "근거 조문", (citation, &now.legal.citation), wider);
    rows.part("legal consent", "동의서", (consent, &now.legal.consent), wider);
    let Source { object } = source;
    rows.part("source object", "원천", (object, &now.source.object), wider);
    let (old, new) = (Side::of(before), Side::of(after));
    field::filters(rows, &old, &new);
    if *filters != now.filters {
        rows.part("filters", "선별 조건의 표기", (filters, &now.filters), words);
    }
    feed_section(rows, feed, &now.feed);
    let Retention { partner_max, bridge_max } = retention;
    let kept = &now.retention;
    let longer = |b: &u32, a: &u32| more_is_wider(b, a);
    let days = (&partner_max.get_ref().0, &kept.partner_max.get_ref().0);
    rows.part("retention partner_max", "제휴사 보유 기간(일)", days, longer);
    let days = (&bridge_max.get_ref().0, &kept.bridge_max.get_ref().0);
    rows.part("retention bridge_max", "연계 서버 보유 기간(일)", days, longer);
    risk_section(rows, risk.as_ref(), now.risk.as_ref());
    lookup_section(rows, lookup.as_ref(), now.lookup.as_ref());
    let hours =
        |erasure: Option<&Erasure>| erasure.map(|Erasure { acknowledge_hours_max }| *acknowledge_hours_max.get_ref());
    let pair = (&hours(erasure.as_ref()), &hours(now.erasure.as_ref()));
    rows.part("erasure acknowledge_hours_max", "파기 확인 기한(시간)", pair, more_or_none_is_wider);
    waivers_of(rows, waivers, &now.waivers);
    field::compare(rows, &old, &new);
    withheld_of(rows, withheld, after);
}

fn feed_section(rows: &mut Rows, before: &Feed, after: &Feed) {
    let Feed { kind, id, tick_ms, cutoff_min, mode, epoch, membership } = before;
    rows.part("feed kind", "피드 종류", (kind, &after.kind), wider);
    let IdRule { source, prefix: _ } = id;
    rows.part("feed id source", "식별자 원천", (source, &after.id.source), wider);
    rows.part("feed id prefix", "식별자 접두어", (&id.prefix(), &after.id.prefix()), wider);
    // A shorter tick tells the time of an event more exactly.
    let ticks = (tick_ms.get_ref(), after.tick_ms.get_ref());
    rows.part("feed tick_ms", "게시 주기(ms)", ticks, more_is_narrower);
    // The longer before its start a slot leaves, the less is seen of it; without a cutoff it stays.
    let cutoffs = (&cutoff_min.as_ref().map(|m| *m.get_ref()), &after.cutoff_min.as_ref().map(|m| *m.get_ref()));
    rows.part("feed cutoff_min", "게시 종료(시작 전 분)", cutoffs, more_is_narrower);
    let modes = (&mode.as_ref().map(|m| *m.get_ref()), &after.mode.as_ref().map(|m| *m.get_ref()));
    rows.part("feed mode", "제공 방식", modes, |before, after| match (before, after) {
        (Some(before), Some(after)) if rank(*after) < rank(*before) => Verdict::Narrower,
        _ => Verdict::Wider,
    });
    let epochs = (&epoch.as_ref().map(|e| e.get_ref().0), &after.epoch.as_ref().map(|e| e.get_ref().0));
    rows.part("feed epoch", "토큰 유효 기간(일)", epochs, more_or_none_is_wider);
    // Members that stay hide who booked; those that leave tell it.
    rows.part("feed membership", "명단 유지", (membership, &after.membership), |_, after| {
        if after.is_some() { Verdict::Narrower } else { Verdict::Wider }
    });
}

/// rules < sealed < tokens
fn rank(mode: Mode) -> u8 {
    match mode {
        Mode::Rules => 0,
        Mode::Sealed => 1,
        Mode::Tokens => 2,
    }
}

fn risk_section(rows: &mut Rows, before: Option<&Risk>, after: Option<&Risk>) {
    let parts = |risk: Option<&Risk>| {
        risk.map(|Risk { k_min, small_cell, quasi }| {
            let quasi: BTreeSet<String> = quasi.iter().map(|q| q.get_ref().clone()).collect();
            (*k_min.get_ref(), *small_cell, quasi)
        })
    };
    let (old, new) = (parts(before), parts(after));
    let k = |parts: &Option<(u32, SmallCell, BTreeSet<String>)>| parts.as_ref().map(|p| p.0);
    // Without the section nothing is bounded, as below every k.
    rows.part("risk k_min", "최소 동일 속성 인원(k)", (&k(&old), &k(&new)), more_is_narrower);
    let cell = |parts: &Option<(u32, SmallCell, BTreeSet<String>)>| parts.as_ref().map(|p| p.1);
    rows.part("risk small_cell", "소수 집단 처리", (&cell(&old), &cell(&new)), |before, after| {
        let told = |cell: &Option<SmallCell>| match cell {
            Some(SmallCell::Halt) => 0,
            Some(SmallCell::Suppress) => 1,
            // Its rows leave, on a coarser level.
            Some(SmallCell::Generalize) => 2,
            None => 3,
        };
        if told(after) < told(before) { Verdict::Narrower } else { Verdict::Wider }
    });
    let quasi = |parts: Option<(u32, SmallCell, BTreeSet<String>)>| parts.map(|p| p.2).unwrap_or_default();
    rows.set_of_limits("risk quasi", "식별가능 항목(k 산정)", quasi(old), quasi(new));
}

fn lookup_section(rows: &mut Rows, before: Option<&LookupRule>, after: Option<&LookupRule>) {
    let parts = |rule: Option<&LookupRule>| {
        let rule = rule.map(|LookupRule { persons_per_day_max, persons_per_epoch_max }| {
            (*persons_per_day_max.get_ref(), *persons_per_epoch_max.get_ref())
        });
        (rule.map(|r| r.0), rule.map(|r| r.1))
    };
    let (old, new) = (parts(before), parts(after));
    let ko = "조회 한도(1일 인원)";
    rows.part("lookup persons_per_day_max", ko, (&old.0, &new.0), more_or_none_is_wider);
    let ko = "조회 한도(유효 기간 인원)";
    rows.part("lookup persons_per_epoch_max", ko, (&old.1, &new.1), more_or_none_is_wider);
}

fn waivers_of(rows: &mut Rows, before: &[Waiver], after: &[Waiver]) {
    let by_key = |waivers: &[Waiver]| {
        let mut all: BTreeMap<String, Vec<Waiver>> = BTreeMap::new();
        for waiver in waivers {
            let Waiver { rule, field, reason: _, until: _ } = waiver;
            let field = field.as_ref().map_or("", |f| f.get_ref().as_str());
            all.entry(format!("{} {field}", rule.get_ref()).trim().to_owned()).or_default().push(waiver.clone());
        }
        all
    };
    let (old, new) = (by_key(before), by_key(after));
    for key in old.keys().chain(new.keys()).collect::<BTreeSet<_>>() {
        let (was, is) = (old.get(key), new.get(key));
        rows.part(&format!("waiver {key}"), "경고 예외", (&was, &is), |was, is| match (was, is) {
            (Some(_), None) => Verdict::Narrower,
            (Some(was), Some(is)) => match (was.as_slice(), is.as_slice()) {
                // What was accepted is accepted for that reason.
                ([was], [is]) if is.reason == was.reason && is.until.get_ref() < was.until.get_ref() => {
                    Verdict::Narrower
                }
                _ => Verdict::Wider,
            },
            _ => Verdict::Wider,
        });
    }
}

/// A column that is no longer withheld is about to leave, unless it is gone.
fn withheld_of(rows: &mut Rows, before: &[Withheld], after: &Closure) {
    let columns = |withheld: &[Withheld]| {
        let all = withheld.iter().flat_map(|Withheld { columns, reason }| {
            columns.iter().map(|column| (column.get_ref().clone(), reason.clone()))
        });
        all.collect::<BTreeMap<_, _>>()
    };
    let (old, new) = (columns(before), columns(&after.mapping.withheld));
    for column in old.keys().chain(new.keys()).collect::<BTreeSet<_>>() {
        let (was, is) = (old.get(column), new.get(column));
        let verdict = match (was, is) {
            (Some(_), None) if after.object.column(column).is_some() => Verdict::Wider,
            (None, Some(_)) => Verdict::Narrower,
            _ => Verdict::Same,
        };
        let text = |reason: Option<&crate::mapping::Text2>| reason.map(|r| format!("{} / {}", r.ko, r.en));
        rows.add(ChangeRow {
            subject: format!("withheld {column}"),
            label_ko: format!("미제공 항목 {column}"),
            before: text(was),
            after: text(is),
            verdict,
            axes: Vec::new(),
        });
    }
}
