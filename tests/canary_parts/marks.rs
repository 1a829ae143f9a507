//! A mark of its own in every column that no mapping publishes, and the list of those that can have none.

use std::collections::BTreeSet;

use rusqlite::{Connection, params};
use slotbridge::cli::MAPPINGS;
use toml::Value;

use super::scan::{Scanner, hex};

/// Column as `object.COLUMN` of the catalogue, or as `TABLE.COLUMN` where no view shows it, and the spellings to look
/// for. Spellings of text that differs by row are what all rows begin with.
pub const MARKS: &[(&str, &[&str])] = &[
    ("site.SIDO_CD", &["CnrySido"]),
    ("site.SIGUNGU_CD", &["CnrySgg0"]),
    ("site.MANAGER_NM", &["CnrySiteManager"]),
    ("site.MANAGER_TEL", &["010-0917-4411", "01009174411", "821009174411", "82-10-0917-4411"]),
    ("site.MEMO", &["CnrySiteMemo", "카나리기관메모"]),
    ("site.UPD_DT", &["2019-03-11 04:05", "2019-03-11T04:05", "1552244706", "2019-03-10T19:05"]),
    ("TB_SITE.REG_DT", &["2018-11-21 07:08", "2018-11-21T07:08"]),
    ("slot.MANAGER_NM", &["CnrySlotManager"]),
    ("slot.MEMO", &["CnrySlotMemo", "카나리회차메모"]),
    ("slot.UPD_DT", &["2019-03-12 04:05", "2019-03-12T04:05", "1552331106", "2019-03-11T19:05"]),
    ("TB_SLOT.REG_DT", &["2018-11-22 07:08", "2018-11-22T07:08"]),
    ("person.PERSON_ID", &["CnryPsnKey"]),
    ("person.RRN", &["901231-7123", "9012317123"]),
    ("person.CI", &["CnryCiLinkage"]),
    ("person.PERSON_NM", &["카나리환자성명", "CnryPsnName"]),
    ("person.BIRTH_DT", &["1913-02-17", "1913.02.17", "1913/02/17", "19130217T", "19130217 "]),
    ("person.TEL", &["010-0913-7264", "01009137264", "821009137264", "82-10-0913-7264"]),
    ("person.ADDR", &["CnryPsnAddress", "카나리자택주소"]),
    ("TB_PSN.RMK", &["CnryPsnMemo"]),
    ("person.UPD_DT", &["2019-03-13 04:05", "2019-03-13T04:05", "1552417506", "2019-03-12T19:05"]),
    ("TB_PSN.REG_DT", &["2018-11-23 07:08", "2018-11-23T07:08"]),
    ("reservation.RESV_NO", &["CnryResvNo"]),
    ("reservation.MEMO", &["CnryResvMemo", "카나리예약메모"]),
    ("TB_RESV.CHRG_NM", &["CnryResvManager"]),
    ("reservation.UPD_DT", &["2019-03-14 04:05", "2019-03-14T04:05", "1552503906", "2019-03-13T19:05"]),
    ("TB_RESV.REG_DT", &["2018-11-24 07:08", "2018-11-24T07:08"]),
    ("cohort_rule.UPD_DT", &["2019-03-15 04:05", "2019-03-15T04:05", "1552590306", "2019-03-14T19:05"]),
];

/// Withheld or operational columns whose values cannot be told from others, and what is known of them instead.
pub const UNMARKED: &[(&str, &str)] = &[
    ("slot.CAPACITY", "a number; one slot's is unusual, and no answer to a partner may hold it or what is free of it"),
    ("slot.BOOKED_CNT", "a small number; would be found everywhere"),
    ("slot.NATIVE_CNT", "a small number; would be found everywhere"),
    ("slot.ESCROW_UNITS", "a small number of the bridge's own"),
    ("slot.ESCROW_LAST_OP", "an id that the bridge makes"),
    ("slot.OPENS_AT", "class public; the refusal not_open_yet tells it"),
    ("slot.BOOKABLE", "derived: Y or N"),
    ("slot.VERSION", "derived; class operational, published in the bookings feed as slot_version"),
    ("person.SEX_CD", "one letter"),
    ("person.COHORT_CD", "a code that the cohort rules publish; whose it is stands in no text"),
    ("person.STATUS", "a word of the status list"),
    ("reservation.SLOT_ID", "the slots feed publishes it"),
    ("reservation.PERSON_ID", "the same keys as person.PERSON_ID"),
    ("reservation.SERIES_CD", "the slots feed publishes it"),
    ("reservation.STATUS", "one letter"),
    ("reservation.OP_ID", "an id that the bridge makes"),
    ("booking.PERSON_NO", "derived; a small number of the bridge's own"),
];

/// Looked for in answers to partners, together with what is left of it after a few bookings.
pub const UNUSUAL_CAPACITY: i64 = 918_273;

/// 88 base64 characters, as real CIs are.
pub fn ci(person: u32) -> String {
    format!("{:A<86}==", format!("CnryCiLinkage{person:08}"))
}

/// `ci`, as SQL over `PSN_NO`.
fn ci_sql() -> String {
    format!("substr('CnryCiLinkage' || substr(PSN_NO, -8) || '{}', 1, 86) || '=='", "A".repeat(86))
}

/// Writes the marks over what the generator made.
pub fn plant(legacy: &Connection) {
    let ci_sql = ci_sql();
    let sql = format!(
        "CREATE TEMP TABLE G AS SELECT SIGUNGU_CD AS CD, 'CnrySgg0' || printf('%03d', row_number() OVER ()) AS TEXT
           FROM TB_SIGUNGU;
         UPDATE TB_SITE SET CHRG_NM = 'CnrySiteManager', CHRG_TEL = '010-0917-4411',
           RMK = 'CnrySiteMemo 카나리기관메모', UPD_DT = '2019-03-11 04:05:06.789', REG_DT = '2018-11-21 07:08:09';
         UPDATE TB_SITE SET SIGUNGU_CD = (SELECT TEXT FROM G WHERE CD = SIGUNGU_CD);
         UPDATE TB_SIGUNGU SET SIDO_CD = 'CnrySido' || SIDO_CD, SIGUNGU_CD = (SELECT TEXT FROM G WHERE CD = SIGUNGU_CD);
         UPDATE TB_SIDO SET SIDO_CD = 'CnrySido' || SIDO_CD;
         UPDATE TB_SLOT SET CHRG_NM = 'CnrySlotManager', RMK = 'CnrySlotMemo 카나리회차메모',
           UPD_DT = '2019-03-12 04:05:06.789', REG_DT = '2018-11-22 07:08:09';
         UPDATE TB_PSN SET JUMIN_NO = '901231-7123' || substr(PSN_NO, -3), CI_VAL = {ci_sql},
           PSN_NM = '카나리환자성명CnryPsnName', BIRTH_DT = '1913-02-17 03:04:05', HP_NO = '010-0913-7264',
           ADDR = 'CnryPsnAddress 카나리자택주소', RMK = 'CnryPsnMemo', UPD_DT = '2019-03-13 04:05:06.789',
           REG_DT = '2018-11-23 07:08:09', PSN_NO = 'CnryPsnKey' || substr(PSN_NO, 2);
         UPDATE TB_RESV SET PSN_NO = 'CnryPsnKey' || substr(PSN_NO, 2), RESV_NO = 'CnryResvNo' || substr(RESV_NO, 2),
           CHRG_NM = 'CnryResvManager', RMK = 'CnryResvMemo 카나리예약메모', UPD_DT = '2019-03-14 04:05:06.789',
           REG_DT = '2018-11-24 07:08:09';
         UPDATE TB_COHORT SET UPD_DT = '2019-03-15 04:05:06.789';"
    );
    legacy.execute_batch(&format!("BEGIN;{sql}COMMIT;")).expect("the marks fit the schema");
    let unusual = "UPDATE TB_SLOT SET CAPA_CNT = ?1 WHERE SLOT_NO = (SELECT max(SLOT_NO) FROM TB_SLOT)";
    legacy.execute(unusual, params![UNUSUAL_CAPACITY]).expect("a slot");
    let small = "UPDATE TB_SLOT SET CAPA_CNT = BOOKED_CNT + 2, STAT_CD = '1' \
                 WHERE SLOT_NO = (SELECT min(SLOT_NO) FROM TB_SLOT)";
    legacy.execute(small, []).expect("a slot");
}

/// What a clerk does while the daemon runs: a new site, a changed remark, a closed slot, a reservation with a memo.
pub fn clerk(legacy: &Connection, person: u32) {
    let now = "strftime('%Y-%m-%d %H:%M:%f', 'now', '+9 hours')";
    let sql = format!(
        "BEGIN IMMEDIATE;
         INSERT INTO TB_SITE SELECT 'LATE1', 'Late site', SIGUNGU_CD, ADDR, TEL_NO, LAT_VAL, LON_VAL, OPEN_HM, CLOSE_HM,
           SAT_YN, CHRG_NM, CHRG_TEL, RMK || ' again', USE_YN, REG_DT, {now} FROM TB_SITE LIMIT 1;
         INSERT INTO TB_RESV SELECT 'CnryResvNo9999999999', SLOT_NO, 'CnryPsnKey{person:08}', SERIES_CD, 'A', NULL,
           'CnryResvManager', 'CnryResvMemo 카나리예약메모', REG_DT, {now} FROM TB_SLOT
           WHERE STAT_CD = '1' AND CAPA_CNT = {UNUSUAL_CAPACITY};
         UPDATE TB_SLOT SET BOOKED_CNT = BOOKED_CNT + 1, RMK = RMK || ' again', UPD_DT = {now}
           WHERE CAPA_CNT = {UNUSUAL_CAPACITY};
         UPDATE TB_PSN SET STAT_CD = '3', RMK = RMK || ' again', UPD_DT = {now} WHERE PSN_NO = 'CnryPsnKey00000399';
         COMMIT;"
    );
    legacy.execute_batch(&sql).expect("a clerk can work");
}

/// Every mark under its column, and the bytes of which the CIs are the base64 form.
pub fn scanner() -> Scanner {
    let mut scanner = Scanner::default();
    for (column, spellings) in MARKS {
        for spelling in *spellings {
            scanner.add(column, spelling);
        }
    }
    let decoded = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, &ci(1)[..12]);
    let decoded = decoded.expect("a CI is base64");
    scanner.raw("person.CI", "decoded", &decoded);
    scanner.raw("person.CI", "decoded, hexadecimal", hex(&decoded).as_bytes());
    scanner
}

/// Columns of the catalogue that are in a mapping of neither partner, as `object.COLUMN`.
pub fn unpublished() -> BTreeSet<String> {
    let parsed = |text: &str| text.parse::<toml::Table>().expect("shipped files are TOML");
    let names = |table: &toml::Table, list: &str, name: &str| -> Vec<String> {
        let entries = table.get(list).and_then(Value::as_array).cloned().unwrap_or_default();
        entries.iter().filter_map(|entry| entry.get(name)?.as_str().map(str::to_owned)).collect()
    };
    let mut columns = BTreeSet::new();
    let text_of = |path: &str| MAPPINGS.iter().find(|(at, _)| *at == path).expect("it is shipped").1;
    let catalogue = parsed(text_of("catalog.toml"));
    for object in catalogue["object"].as_array().expect("objects") {
        let name = object["name"].as_str().expect("a name");
        let of_object = names(object.as_table().expect("a table"), "column", "name");
        columns.extend(of_object.into_iter().map(|column| format!("{name}.{column}")));
    }
    for (path, text) in MAPPINGS {
        let of_partner = path.starts_with("naver/") || path.starts_with("kakao/");
        if of_partner && path.ends_with(".toml") {
            let mapping = parsed(text);
            let object = mapping["source"]["object"].as_str().expect("an object");
            for source in names(&mapping, "field", "source") {
                columns.remove(&format!("{object}.{source}"));
            }
        }
    }
    columns
}
