use std::collections::BTreeSet;

use super::super::sql::later_than_11g;
use super::*;
use crate::domain::ObjectName;
use crate::mapping::catalogue::LayoutColumn;

fn layout(columns: &[(&str, ColumnType, Option<Role>)]) -> Layout {
    let column = |(name, kind, role): &(&str, ColumnType, Option<Role>)| LayoutColumn {
        name: (*name).into(),
        kind: *kind,
        role: *role,
        material: false,
    };
    Layout {
        object: ObjectName::new("slot").unwrap(),
        view: "SB_SLOT".to_owned(),
        columns: columns.iter().map(column).collect(),
    }
}

fn slot() -> Layout {
    layout(&[
        ("SLOT_ID", ColumnType::Text, Some(Role::Key)),
        ("SLOT_DT", ColumnType::Time, Some(Role::Start)),
        ("CAPACITY", ColumnType::Integer, None),
        ("UPD_DT", ColumnType::Time, Some(Role::UpdatedAt)),
        ("ROW_SCN", ColumnType::Integer, Some(Role::RowScn)),
    ])
}

fn at(text: &str) -> Timestamp {
    Timestamp::parse_seoul(text).unwrap()
}

const LIST: &str = r#"SELECT "SLOT_ID", "SLOT_DT", "CAPACITY", "UPD_DT", "ROW_SCN" FROM "SB_SLOT""#;

#[test]
fn a_hint_is_one_condition_on_an_indexed_column() {
    let slot = slot();
    let selects = Selects::new(&slot, Charset::Cp949, false).unwrap();
    let (from, until) = (at("2026-11-22 00:00:00"), at("2026-11-23 00:00:00").plus_ms(1));
    let cases = [
        (Hint::Since(from), r#""UPD_DT" >= :1"#, vec![Bind::Date(from)]),
        (Hint::Tail("R0001"), r#""SLOT_ID" >= :1"#, vec![Bind::Text("R0001")]),
        (
            Hint::Window { from, until },
            r#""SLOT_DT" >= :1 AND "SLOT_DT" < :2"#,
            vec![Bind::Date(from), Bind::Date(at("2026-11-23 00:00:01"))],
        ),
        (Hint::Scn(7), r#""ROW_SCN" >= :1 OR "ROW_SCN" IS NULL"#, vec![Bind::Int(7)]),
    ];
    for (hint, condition, bound) in cases {
        let (select, binds) = selects.hinted(&hint).unwrap().unwrap();
        assert_eq!(select.text, format!("{LIST} WHERE {condition}"));
        assert_eq!(binds, bound);
    }
    assert_eq!(selects.cut().text, LIST);
}

#[test]
fn a_list_of_keys_is_padded_to_one_of_three_sizes() {
    let slot = slot();
    let selects = Selects::new(&slot, Charset::Cp949, false).unwrap();
    let keys: Vec<String> = (0..KEYS_MAX + 1).map(|n| format!("S{n}")).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    for (count, size) in [(1, 20), (20, 20), (21, 100), (100, 100), (101, 500), (500, 500)] {
        let (select, binds) = selects.hinted(&Hint::Keys(&keys[..count])).unwrap().unwrap();
        assert_eq!(binds.len(), size);
        assert!(select.text.ends_with(&format!(":{size})")) && !select.text.contains(&format!(":{}", size + 1)));
        assert!(binds[count - 1..].iter().all(|bind| *bind == Bind::Text(keys[count - 1])));
    }
    assert!(selects.hinted(&Hint::Keys(&keys)).is_err());
    assert_eq!(selects.hinted(&Hint::Keys(&[])).unwrap(), None);
}

#[test]
fn a_page_is_cut_off_outside_its_order() {
    let slot = slot();
    let selects = Selects::new(&slot, Charset::Cp949, true).unwrap();
    let (first, binds) = selects.page(None, 500).unwrap();
    assert_eq!(first.text, format!(r#"SELECT * FROM ({LIST} ORDER BY "SLOT_ID") WHERE ROWNUM <= :1"#));
    assert_eq!(binds, [Bind::Int(500)]);
    let (next, binds) = selects.page(Some("S7"), 500).unwrap();
    assert_eq!(
        next.text,
        format!(r#"SELECT * FROM ({LIST} WHERE "SLOT_ID" > :1 ORDER BY "SLOT_ID") WHERE ROWNUM <= :2"#)
    );
    assert_eq!(binds, [Bind::Padded("S7"), Bind::Int(500)]);
}

#[test]
fn raw_text_is_fetched_as_bytes_and_nothing_else_is() {
    let slot = slot();
    let selects = Selects::new(&slot, Charset::RawCp949, false).unwrap();
    let text = r#"SELECT UTL_RAW.CAST_TO_RAW("SLOT_ID") AS "SLOT_ID", "SLOT_DT", "CAPACITY", "UPD_DT", "ROW_SCN" "#;
    assert_eq!(selects.cut().text, format!(r#"{text}FROM "SB_SLOT" V"#));
    let (page, _) = selects.page(Some("S7"), 500).unwrap();
    let rows = format!(r#"{text}FROM "SB_SLOT" V WHERE V."SLOT_ID" > :1 ORDER BY V."SLOT_ID""#);
    assert_eq!(page.text, format!("SELECT * FROM ({rows}) WHERE ROWNUM <= :2"), "of the column, not of its bytes");
    assert!(selects.hinted(&Hint::Tail("가")).is_err());
    assert!(Selects::new(&slot, Charset::Utf8, false).unwrap().hinted(&Hint::Tail("가")).is_ok());
}

#[test]
fn a_name_that_is_not_plain_is_refused() {
    for name in ["slot_id", "A B", "A\"", "A;", "", "가", "A23456789012345678901234567890X", "1A"] {
        let layout = layout(&[(name, ColumnType::Text, Some(Role::Key))]);
        assert!(Selects::new(&layout, Charset::Utf8, false).is_err(), "{name}");
    }
    let mut view = slot();
    view.view = "SB_SLOT WHERE".to_owned();
    assert!(Selects::new(&view, Charset::Utf8, false).is_err());
    assert!(Selects::new(&layout(&[]), Charset::Utf8, false).is_err());
}

#[test]
fn a_hint_without_its_column_is_refused() {
    let bare = layout(&[("SLOT_ID", ColumnType::Text, None)]);
    let selects = Selects::new(&bare, Charset::Utf8, false).unwrap();
    assert!(selects.hinted(&Hint::Since(Timestamp(0))).is_err());
    assert!(selects.page(None, 1).is_err());
    assert_eq!(selects.all().len(), 1);
}

#[test]
fn each_text_is_one_that_11_2_knows() {
    let slot = slot();
    for charset in [Charset::Cp949, Charset::RawCp949] {
        let all = Selects::new(&slot, charset, false).unwrap().all();
        assert_eq!(all.iter().map(|select| &select.text).collect::<BTreeSet<_>>().len(), 10);
        for select in all {
            assert_eq!(later_than_11g(&select.text), None, "{}", select.id);
        }
    }
}
