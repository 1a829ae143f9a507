use std::collections::BTreeSet;

use super::*;
use crate::domain::ObjectName;
use crate::legacy::oracle::charset::Charset;
use crate::legacy::oracle::select::Selects;
use crate::legacy::oracle::write::placeholders;
use crate::mapping::Layout;
use crate::mapping::catalogue::{ColumnType, LayoutColumn, Role};

/// What may stand between quotes: words of the contract, formats and names of the server's own dictionary.
const LITERALS: &[&str] = &["OPEN", "A", "C", "%#%"];

/// Words of later servers, of other databases, and of what the bridge never does.
const DENIED: &[&str] = &[
    "LIMIT",
    "FETCH FIRST",
    "FETCH NEXT",
    "OFFSET",
    "IDENTITY",
    "BOOLEAN",
    "ON CONFLICT",
    "WITH RECURSIVE",
    "RECURSIVE",
    "JSON_",
    "LISTAGG",
    "APPROX_",
    "CROSS APPLY",
    "OUTER APPLY",
    "LATERAL",
    "INVISIBLE",
    "MATCH_RECOGNIZE",
    "COLLATE",
    "STANDARD_HASH",
    "ANY_VALUE",
    "IF EXISTS",
    "IF NOT EXISTS",
    "ON OVERFLOW",
    "RETURNING",
    "MERGE",
    "TRUNCATE",
    "DROP",
    "GRANT",
    "CREATE",
    "DELETE",
    "MAX(",
    "NUMTODSINTERVAL",
    "AUTHID",
    "FILTER (",
    "TRUE",
    "FALSE",
    "::",
    "--",
    "/*",
];

/// Why 11.2, or the DBA, would refuse it; `None`: nothing is known against it.
fn denied(text: &str) -> Option<String> {
    let mut parts = text.split('\'');
    let outside: String = parts.clone().step_by(2).collect::<Vec<_>>().join("''").to_ascii_uppercase();
    let plsql = outside.starts_with("BEGIN ");
    parts.next();
    let session = outside.starts_with("ALTER SESSION") || outside.contains("USERENV") || outside.contains("NLS_");
    let quoted = parts.step_by(2);
    if let Some(literal) =
        quoted.filter(|_| !session && !outside.contains("SYS_CONTEXT")).find(|l| !LITERALS.contains(l))
    {
        return Some(format!("the literal {literal}"));
    }
    // The bridge deletes nothing of the agency's: only its own old answers.
    let allowed = |word: &str| word == "DELETE" && outside.starts_with("DELETE FROM SB_APPLIED ");
    if let Some(word) = DENIED.iter().find(|word| has_word(&outside, word) && !allowed(word)) {
        return Some((*word).to_owned());
    }
    if outside.contains(';') && !plsql || plsql && !outside.ends_with("; END;") {
        return Some("semicolons".to_owned());
    }
    if outside.starts_with("SELECT") && !outside.contains(" FROM ") {
        return Some("SELECT without FROM".to_owned());
    }
    if text.len() > 4_000 {
        return Some("longer than 4000 bytes".to_owned());
    }
    let unbound: String =
        outside.split(':').enumerate().map(|(at, part)| if at == 0 { part } else { after_name(part) }).collect();
    let names = unbound.split(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '_' | '$' | '#'));
    if let Some(name) = names.clone().find(|name| name.len() > 30) {
        return Some(format!("{name} is longer than 30 bytes"));
    }
    // 0 and 1 are the contract's; any other number would be a value.
    let numbers = names.filter(|name| name.parse::<u64>().is_ok_and(|number| number > 1));
    numbers.filter(|_| !session).map(|number| format!("the number {number}")).next()
}

/// What follows the name of a placeholder.
fn after_name(text: &str) -> &str {
    text.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '_')
}

fn has_word(text: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let ends_open = !word.ends_with(|c: char| c.is_ascii_alphanumeric());
    text.match_indices(word).any(|(at, _)| {
        let starts_inside = word.starts_with(is_part) && text[..at].ends_with(is_part);
        !starts_inside && (ends_open || !text[at + word.len()..].starts_with(is_part))
    })
}

#[test]
fn each_statement_is_one_that_11_2_knows_and_binds_its_values() {
    for entry in catalogue() {
        assert_eq!(denied(entry.statement.text), None, "{}: {}", entry.id(), entry.statement.text);
        assert!(!entry.when.is_empty(), "{}", entry.id());
    }
}

#[test]
fn what_11_2_does_not_know_is_found() {
    for text in [
        "SELECT A FROM B WHERE C = :1 LIMIT 3",
        "SELECT A FROM B FETCH FIRST 1 ROWS ONLY",
        "SELECT A FROM B OFFSET :1 ROWS",
        "SELECT JSON_VALUE(A) FROM B",
        "SELECT APPROX_COUNT(A) FROM B",
        "SELECT A FROM B WHERE C = 'P000123'",
        "SELECT A FROM B WHERE C = 77",
        "SELECT :1",
        "SELECT A FROM B;",
        "BEGIN SB_API.RELEASED(:1); END",
        "INSERT INTO A (B) VALUES (:1) ON CONFLICT DO NOTHING",
        "SELECT A FROM B CROSS APPLY C",
        "SELECT A FROM A23456789012345678901234567890X",
        "UPDATE A SET B = TRUE",
    ] {
        assert!(denied(text).is_some(), "{text}");
    }
    assert_eq!(denied("SELECT A, 0 FROM B WHERE C = 'OPEN' AND LIMITS = :1 AND ROWNUM <= 1"), None);
}

#[test]
fn ids_are_unique_and_placeholders_occur_once() {
    let mut ids = BTreeSet::new();
    for entry in catalogue() {
        assert!(ids.insert(entry.id()), "{} twice", entry.id());
        let mut names = BTreeSet::new();
        if matches!(entry.who, Sender::Write | Sender::WriteProcedure) {
            for name in placeholders(entry.statement.text) {
                assert!(name.starts_with("P_") && name.len() <= 30, "{}: {name}", entry.id());
                assert!(names.insert(name), "{}: {name} twice", entry.id());
            }
        }
    }
    assert!(ids.len() > 50, "{}", ids.len());
}

#[test]
fn each_select_that_is_built_has_its_template() {
    let column = |name: &str, kind, role| LayoutColumn { name: name.into(), kind, role: Some(role), material: false };
    let layout = Layout {
        object: ObjectName::new("slot").unwrap(),
        view: "SB_SLOT".to_owned(),
        columns: vec![
            column("SLOT_ID", ColumnType::Text, Role::Key),
            column("SLOT_DT", ColumnType::Time, Role::Start),
            column("UPD_DT", ColumnType::Time, Role::UpdatedAt),
            column("ROW_SCN", ColumnType::Integer, Role::RowScn),
        ],
    };
    let all = Selects::new(&layout, Charset::Utf8, false).unwrap().all();
    let built: BTreeSet<&str> = all.iter().map(|select| select.id).collect();
    let listed: BTreeSet<&str> =
        catalogue().iter().filter(|e| e.statement.text.contains("<view>")).map(|e| e.id()).collect();
    assert_eq!(built, listed);
    for select in &all {
        assert_eq!(denied(&select.text.replace('"', "")), None, "{}", select.text);
    }
}
