//! A folder that breaks each rule and a near one that does not.

use std::collections::BTreeMap;

use jiff::civil::{Date, date};

use crate::lint::risk::LabelRisk;
use crate::lint::{Beside, Report, RiskReport, RiskReports, Standing, StandingState, Standings, lint};
use crate::mapping::testing::shipped_files;

/// The shipped folder, edited: file, what stands there, what comes instead. Nothing stands there: appended.
#[derive(Clone)]
pub struct Case {
    pub files: BTreeMap<String, Vec<u8>>,
    pub today: Date,
    pub risk: Option<RiskReports>,
    pub standings: Option<Standings>,
}

pub struct Fixture {
    pub rule: &'static str,
    pub bad: Case,
    pub good: Case,
}

type Edit<'a> = (&'a str, &'a str, &'a str);

pub fn case(edits: &[Edit<'_>]) -> Case {
    let mut files = shipped_files();
    for (file, from, to) in edits {
        let text = files.get(*file).map(|bytes| String::from_utf8(bytes.clone()).unwrap()).unwrap_or_default();
        assert!(text.contains(from), "{file} does not hold {from}");
        let edited = if from.is_empty() { format!("{text}{to}") } else { text.replacen(from, to, 1) };
        files.insert((*file).to_owned(), edited.into_bytes());
    }
    Case { files, today: super::today(), risk: None, standings: None }
}

impl Case {
    pub fn judged(&self) -> Report {
        lint(&self.files, Beside { risk: self.risk.as_ref(), standings: self.standings.as_ref(), today: self.today })
    }

    fn on(self, today: Date) -> Case {
        Case { today, ..self }
    }

    fn measured(self, reports: Vec<RiskReport>) -> Case {
        Case { risk: Some(RiskReports { reports, slots: Vec::new() }), ..self }
    }

    /// Every mapping is in force; `naver.slots` as said.
    fn standing(self, state: StandingState, signers: &[&str]) -> Case {
        let of =
            |state, signers: &[&str]| Standing { state, signers: signers.iter().map(|s| (*s).to_owned()).collect() };
        let set = crate::mapping::read(&self.files);
        let mut standings: Standings =
            set.mappings.iter().map(|d| (d.mapping.id.get_ref().clone(), of(StandingState::InForce, &[]))).collect();
        standings.insert("naver.slots".to_owned(), of(state, signers));
        Case { standings: Some(standings), ..self }
    }
}

fn report() -> RiskReport {
    RiskReport {
        mapping: "kakao.eligibility".to_owned(),
        version: 1,
        persons: 1_000,
        rows: 1_000,
        k_smallest: Some(20),
        rows_under_k: 0,
        suppressed: 0,
        ..RiskReport::default()
    }
}

fn label(reasons: u32, largest_reason_rows: u64) -> RiskReport {
    let (field, value) = ("name".to_owned(), "A".to_owned());
    RiskReport { labels: vec![LabelRisk { field, value, rows: 100, reasons, largest_reason_rows }], ..report() }
}

const S: &str = "naver/slots.toml";
const B: &str = "naver/bookings.toml";
const E: &str = "kakao/eligibility.toml";
const C: &str = "catalog.toml";
const P: &str = "partners.toml";
const POLICY: &str = "policy.toml";
const TOKENS: Edit<'static> = (E, "mode = \"rules\"", "mode = \"tokens\"");
const RISK: Edit<'static> = (E, "", "\n[risk]\nk_min = 20\nquasi = []\n");
const CITED: &str = "\"개인정보 보호법 제26조\"";
const PERSON: &str = "\n[[field]]\nname = \"person\"\nsource = \"PERSON_NO\"\nwhy = { ko = \"같은 사람의 예약을 묶음\", en = \"Joins bookings\" }\n";
const LAST_DIGITS: &str = "en = \"Last digits of the birth year\" }\nclass = \"public\"";
const COHORT_NM: &str = "en = \"Cohort name\" }\nclass = \"public\"";
const REASON: &str = "reason = { ko = \"기관 이름임을 확인함\", en = \"Checked that it names a site\" }";
const CONSENT: &str = "제공받는 자: 네이버\n이용 목적: 예약\n개인정보의 항목: 예약 상태\n보유 및 이용 기간: 30일\n동의를 거부할 권리가 있으며 불이익은 없습니다.\n";

fn waiver(rule: &str, until: &str) -> String {
    format!("\n[[waiver]]\nrule = \"{rule}\"\n{REASON}\nuntil = \"{until}\"\n")
}

pub fn fixtures() -> Vec<Fixture> {
    let mut all = Vec::new();
    let mut add = |rule, bad: Case, good: Case| all.push(Fixture { rule, bad, good });
    complete(&mut add);
    waivers(&mut add);
    identifiers(&mut add);
    crypto(&mut add);
    statistics(&mut add);
    legal(&mut add);
    contracts(&mut add);
    approvals(&mut add);
    all
}

type Add<'a> = &'a mut dyn FnMut(&'static str, Case, Case);

fn complete(add: Add<'_>) {
    let one = |edit: Edit<'_>| case(&[edit]);
    add("L100", one((S, "(네이버)", "(네이버\u{202e})")), one((S, "(네이버)", "(네이버 2)")));
    add("L101", one((S, "tick_ms = 200", "tick_msec = 200")), one((S, "tick_ms = 200", "tick_ms = 300")));
    add("L102", one((S, "name = \"series\"", "name = \"start\"")), one((S, "name = \"series\"", "name = \"code\"")));
    let kept = "columns = [\"MANAGER_NM\", \"MEMO\"]";
    add("L103", one((S, kept, "columns = [\"MEMO\"]")), one((S, kept, "columns = [\"MEMO\", \"MANAGER_NM\"]")));
    let state = ("kakao/slots.toml", "slot_status", "slot_state");
    let table = ("tables/slot_state.csv", "", "code,status\nOPEN,open\nCLOSED,closed\n");
    add("L104", one(state), case(&[state, table]));
    add("L105", one(("naver/persons.toml", "", "a = 1\n")), one(("naver/notes.md", "", "notes\n")));
    add(
        "L106",
        one((S, "code = \"booking\"", "code = \"ads\"")),
        one((S, "code = \"booking\"", "code = \"self_check\"")),
    );
    let name = "name = \"MEMO\"";
    add("L107", one((C, name, "name = \"*\"")), one((C, "\"Memo\"", "\"Notes\"")));
    add("L108", one((S, "tick_ms = 200", "tick_ms = 10")), one((S, "tick_ms = 200", "tick_ms = 100")));
    add("L109", one((E, "\"rules\"", "\"sealed\"")), one((E, "tick_ms = 10000", "tick_ms = 20000")));
    let view = "view = \"SB_SITE\"";
    add("L110", one((C, view, "view = \"TB_SITE\"")), one((C, view, "view = \"SB_SITE_V2\"")));
    add("L111", one((S, "Open slots", "Open sl\u{043e}ts")), one((S, "Open slots", "Open slöts")));
    add("L112", one(table), case(&[state, table]));
    let title = "en = \"Open slots (Naver)\"";
    add("L113", one((S, title, "en = \" \"")), one((S, title, "en = \"Slots\"")));
    let filter = |value: &str| format!("\n[[filter]]\ncolumn = \"STATUS\"\nin = [\"{value}\"]\n");
    add("L114", one((S, "", &filter("DONE"))), one((S, "", &filter("OPEN"))));
    let why = "ko = \"명칭으로 충분함\"";
    add(
        "L115",
        one(("naver/sites.toml", why, "ko = \"없음\"")),
        one(("naver/sites.toml", why, "ko = \"이름이면 충분함\"")),
    );
    let (active, draft) = ("status = \"active\"", "status = \"draft\"");
    add("L116", one(("naver/sites.toml", active, draft)), one((B, active, draft)));
    let columns = |count: usize| {
        let column = |n| {
            format!(
                "\n[[object.column]]\nname = \"X{n}\"\ntype = \"text\"\nlabel = {{ ko = \"항\", en = \"X\" }}\nclass = \"public\"\nderived = true\n"
            )
        };
        (0..count).map(column).collect::<String>()
    };
    add("L117", one((C, "", &columns(200))), one((C, "", &columns(100))));
    let severity = |id: &str, to: &str| format!("\n[severity]\n{id} = \"{to}\"\n");
    add("L118", one((POLICY, "", &severity("L203", "warn"))), one((POLICY, "", &severity("L203", "deny"))));
    add("L119", one((POLICY, "", &severity("L999", "deny"))), one((POLICY, "", &severity("L205", "deny"))));
}

fn waivers(add: Add<'_>) {
    let blank: Edit<'_> = (S, "소요 시간 안내", "필요");
    let with = |waiver: &str| case(&[blank, (S, "", waiver)]);
    let fine = || with(&waiver("L205", "2027-01-31"));
    add("L120", with(&waiver("L204", "2027-01-31")), fine());
    add("L121", with(&waiver("L205", "2026-11-21")), with(&waiver("L205", "2026-11-22")));
    add("L122", with(&waiver("L999", "2027-01-31")), fine());
    add("L123", with(&waiver("L206", "2027-01-31")), fine());
    add("L124", with(&waiver("L205", "2027-01-31").replace("기관 이름임을 확인함", "필요")), fine());
    add("L125", with(&waiver("L205", "2028-01-31")), fine());
}

fn identifiers(add: Add<'_>) {
    let one = |edit: Edit<'_>| case(&[edit]);
    let series = "source = \"SERIES_CD\"\ntransform = { op = \"keep\" }";
    add(
        "L201",
        one((S, series, "source = \"SERIES_CD\"\ntransform = { op = \"round_num\", to = 5 }")),
        one((S, "\"10+\"", "\"many\"")),
    );
    let id = "id = { source = \"SLOT_ID\"";
    add("L202", one((S, id, "id = { source = \"SITE_ID\"")), one((S, "cutoff_min = 30", "cutoff_min = 20")));
    let mobile = "en = \"Mobile number\" }\nclass = \"direct\"";
    let class = |class: &str| format!("en = \"Mobile number\" }}\nclass = \"{class}\"");
    add("L203", one((C, mobile, &class("operational"))), one((C, mobile, &class("unique_id"))));
    add("L204", one((S, "", "# 010-1234-5678\n")), one((S, "", "# 2026-09-01, 20260901\n")));
    add("L205", one((S, "소요 시간 안내", "업무상 필요")), one((S, "소요 시간 안내", "걸리는 시간 안내")));
    add("L206", one((S, "source = \"DUR_MIN\"", "source = \"DOSE_NO\"")), one((S, "\"duration_min\"", "\"minutes\"")));
    add(
        "L207",
        one((C, "class = \"unique_id\"", "class = \"unique_id\"\nrole = \"key\"")),
        one((C, "\"PERSON_ID\"", "\"PERSON_NO\"")),
    );
    let renamed = |to: &str| {
        let source = format!("source = \"{to}\"");
        case(&[
            (C, "name = \"COHORT_NM\"", &format!("name = \"{to}\"")),
            (E, "source = \"COHORT_NM\"", &source),
            ("naver/eligibility.toml", "source = \"COHORT_NM\"", &source),
        ])
    };
    add("L208", renamed("LEADER_NM"), renamed("SERIES_NM"));
    let tel = "ko = \"기관 대표전화\"";
    add("L209", one((C, tel, "ko = \"담당자 휴대전화\"")), one((C, tel, "ko = \"기관 전화\"")));
    let text = "class = \"free_text\"";
    add("L210", one((C, text, "class = \"operational\"")), one((C, text, "class = \"direct\"")));
    let cohort = "ko = \"대상군 명칭\"";
    add("L211", one((C, cohort, "ko = \"장애 구분\"")), one((C, cohort, "ko = \"접종 대상군 명칭\"")));
    let edges = "edges = [0, 1, 5, 10]";
    add("L212", one((S, edges, "edges = [0, 1, 2, 3]")), one((S, edges, "edges = [0, 1, 5, 20]")));
    let table = |text: &str| {
        let digits = "source = \"LAST_DIGITS\"\ntransform = { op = \"keep\" }";
        let by_table = "source = \"LAST_DIGITS\"\ntransform = { op = \"enum\", table = \"digits\" }";
        let quasi = LAST_DIGITS.replace("public", "quasi");
        case(&[(C, LAST_DIGITS, &quasi), (E, digits, by_table), ("tables/digits.csv", "", text)])
    };
    add("L213", table("code,group\n1,odd\n2,even\n"), table("code,group\n1,odd\n3,odd\n"));
    add("L301", renamed("COHORT_HASH"), renamed("COHORT_TITLE"));
}

fn crypto(add: Add<'_>) {
    let one = |edit: Edit<'_>| case(&[edit]);
    add("L302", one((S, "", "# salt = abcd1234\n")), one((S, "", "# no salt is needed\n")));
    let series = "source = \"SERIES_CD\"\ntransform = { op = \"keep\" }";
    let token = |bits: u32| {
        format!("source = \"SERIES_CD\"\ntransform = {{ op = \"token_random\", bits = {bits}, scope = \"partner\" }}")
    };
    add("L303", one((S, series, &token(56))), one((S, series, &token(64))));
    let person = |transform: &str| {
        let field = format!("{PERSON}transform = {{ {transform} }}\n");
        case(&[(B, "columns = [\"PERSON_NO\"]", "columns = []"), (B, "", &field)])
    };
    let scoped = |scope: &str| person(&format!("op = \"token_random\", bits = 128, scope = \"{scope}\""));
    add("L304", scoped("all"), scoped("partner"));
    add("L310", scoped("partner"), person("op = \"person_token\""));
    let class = |class: &str| case(&[(C, COHORT_NM, &COHORT_NM.replace("public", class))]);
    add("L305", class("linkage_id"), class("quasi"));
    let epoch = |epoch: &str| format!("mode = \"rules\"\nepoch = \"{epoch}\"");
    add("L306", one((E, TOKENS.1, &epoch("P100D"))), one((E, TOKENS.1, &epoch("P92D"))));
    let limits =
        |day: u32, epoch: u32| format!("\n[lookup]\npersons_per_day_max = {day}\npersons_per_epoch_max = {epoch}\n");
    add("L307", one(TOKENS), case(&[TOKENS, (E, "", &limits(10, 100))]));
    add("L308", one((E, "", &limits(2_000_001, 100))), one((E, "", &limits(2_000_000, 100))));
    let name = "source = \"COHORT_NM\"\ntransform = { op = \"keep\" }";
    let number = (E, name, "source = \"COHORT_NM\"\ntransform = { op = \"person_token\" }");
    add("L309", one(number), case(&[number, (E, TOKENS.1, &epoch("P30D"))]));
}

fn statistics(add: Add<'_>) {
    let one = |edit: Edit<'_>| case(&[edit]);
    let persons = || case(&[TOKENS, RISK]);
    add("L401", one(TOKENS), persons());
    add("L402", case(&[TOKENS, (E, "", "\n[risk]\nk_min = 19\n")]), persons());
    add("L403", persons().measured(vec![]), persons().measured(vec![report()]));
    add("L404", persons().measured(vec![label(1, 50)]), persons().measured(vec![label(2, 50)]));
    add("L405", persons().measured(vec![label(2, 81)]), persons().measured(vec![label(2, 80)]));
    let table = |text: &str| case(&[("hierarchies/region.csv", "", text)]);
    add("L406", table("code,city,land\na,,x\n"), table("code,city,land\na,c,x\n"));
    add("L407", table("code,city,land\na,c,x\nb,c,y\n"), table("code,city,land\na,c,x\nb,d,y\n"));
    let small = RiskReport { k_smallest: Some(19), ..report() };
    add("L408", persons().measured(vec![small]), persons().measured(vec![report()]));
    let left_out =
        |suppressed| persons().measured(vec![RiskReport { rows: 1_000 - suppressed, suppressed, ..report() }]);
    add("L409", left_out(51), left_out(50));
    let sticky = (E, TOKENS.1, "mode = \"tokens\"\nmembership = \"sticky\"");
    add("L410", one(TOKENS), one(sticky));
    let edges = "edges = [0, 1, 5, 10]";
    add("L411", one((S, edges, "edges = [0, 1, 5, 20]")), one((S, edges, "edges = [0, 1, 10, 20]")));
    let small = "capacity_max = 3";
    add("L412", one((POLICY, small, "capacity_max = 0")), one((POLICY, small, "capacity_max = 1")));
    let quasi = LAST_DIGITS.replace("public", "quasi");
    let named = |names: &str| {
        let risk = format!("\n[risk]\nk_min = 20\nquasi = [{names}]\n");
        let other = ("naver/eligibility.toml", "status = \"active\"", "status = \"draft\"");
        let dropped = (
            "naver/eligibility.toml",
            "source = \"LAST_DIGITS\"\ntransform = { op = \"keep\" }",
            "source = \"LAST_DIGITS\"\ntransform = { op = \"drop\" }",
        );
        case(&[(C, LAST_DIGITS, &quasi), other, dropped, (E, "", &risk)])
    };
    add("L413", named(""), named("\"LAST_DIGITS\""));
}

fn legal(add: Add<'_>) {
    let one = |edit: Edit<'_>| case(&[edit]);
    let third = (P, "role = \"trustee\"", "role = \"third_party\"");
    let basis = |to: &'static str| (B, "basis = \"pipa-26\"", to);
    add("L501", one(third), case(&[third, basis("basis = \"pipa-17-1-2\"")]));
    add("L502", one(basis("basis = \"none-not-personal\"")), one((B, CITED, "\"개인정보 보호법 제26조제1항\"")));
    let cited = |text: &str| case(&[(B, CITED, text)]);
    add("L503", cited("\"개인정보 보호법 제28조의2\""), cited("\"개인정보 보호법 제26조의2\""));
    add("L504", cited(""), cited("\"개인정보 보호법 제26조\""));
    add("L505", cited("\"개인정보 보호법\""), cited("\"개인정보 보호법 제 26 조\""));
    let asked = basis("basis = \"pipa-17-1-1\"\nconsent = \"booking\"");
    let text = ("consents/booking.ko.md", "", CONSENT);
    add("L506", case(&[third, asked]), case(&[third, asked, text]));
    let short = CONSENT.replace("불이익", "문제");
    add("L507", case(&[third, asked, ("consents/booking.ko.md", "", &short)]), case(&[third, asked, text]));
    let assessed = (P, "impact_assessment = \"영향평가-2026-01\"\n", "");
    let fewer = (P, "persons_per_epoch_max = 15000000", "persons_per_epoch_max = 499999");
    add("L508", one(assessed), case(&[assessed, fewer]));
    let registered = "file_registration = \"개인정보파일-2026-0001\"\n";
    add("L509", one((P, registered, "")), one((P, registered, "file_registration = \"2\"\n")));
    let purpose = "ko = \"예방접종 예약 화면에 예약 가능한 기관과 시간을 표시\"";
    add("L513", one((S, purpose, "ko = \"서비스 제공\"")), one((S, purpose, "ko = \"예약 화면에 표시\"")));
    let number = "number = \"위탁-2026-001\"";
    add("L514", one((P, number, "number = \"\"")), one((P, number, "number = \"위탁-2026-009\"")));
    let kept = "bridge_max = \"P7D\"";
    add("L601", one((S, kept, "bridge_max = \"P6D\"")), one((S, kept, "bridge_max = \"P8D\"")));
    add("L602", one((S, kept, "bridge_max = \"P31D\"")), one((S, kept, "bridge_max = \"P30D\"")));
    let erasure = |hours: u32| format!("\n[erasure]\nacknowledge_hours_max = {hours}\n");
    add("L603", one(TOKENS), case(&[TOKENS, (E, "", &erasure(24))]));
    add("L604", one((E, "", &erasure(121))), one((E, "", &erasure(120))));
}

fn contracts(add: Add<'_>) {
    let on = |year, month, day| case(&[]).on(date(year, month, day));
    add("L510", on(2028, 1, 1), on(2027, 12, 31));
    add("L511", on(2027, 12, 1), on(2027, 11, 30));
    add("L512", on(2025, 12, 31), on(2026, 1, 1));
    add("L605", on(2027, 12, 2), on(2027, 12, 1));
}

fn approvals(add: Add<'_>) {
    let author = "author = \"demo-drafter\"\n";
    add("L701", case(&[(S, author, "")]), case(&[(S, author, "author = \"other\"\n")]));
    let in_state = |state| case(&[]).standing(state, &[]);
    let fine = || in_state(StandingState::InForce);
    add("L702", in_state(StandingState::Waiting), fine());
    add("L703", in_state(StandingState::Expired), fine());
    let note = |path: &str| case(&[(path, "", "x\n")]);
    let known = || note("approvals/naver.slots/0123456789ab.note");
    add("L704", note("approvals/daum.slots/0123456789ab.note"), known());
    let draft = || case(&[(S, "status = \"active\"", "status = \"draft\"")]);
    add("L705", draft().standing(StandingState::InForce, &[]), draft().standing(StandingState::Stopped, &[]));
    add("L706", in_state(StandingState::Rejected), fine());
    add("L707", note("approvals/naver.slots/latest.note"), known());
    let signed = |by: &str| case(&[]).standing(StandingState::InForce, &[by]);
    add("L708", signed("demo-drafter"), signed("officer"));
}
