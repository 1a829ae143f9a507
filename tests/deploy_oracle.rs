//! The scripts for the DBA, as far as they can be checked without Oracle: what SQL*Plus would misread, syntax later than
//! 11.2, names, grants, results, and the plans that `check --plans` reads. `deploy_off_switch` runs some of them.

#[path = "deploy_oracle_parts/plans.rs"]
mod plans;
#[path = "deploy_oracle_parts/script.rs"]
mod script;

use std::collections::{BTreeMap, BTreeSet};

use script::{Part, names, parts, settings, statements, substitute, text};
use slotbridge::legacy::OpReply;
use slotbridge::legacy::stored::{decode, encode};

const MODES: [&str; 7] = ["none", "on_request", "quota", "counter", "remaining", "capacity", "count_rows"];

#[track_caller]
fn none(found: Vec<String>) {
    assert!(found.is_empty(), "{} found:\n{}", found.len(), found.join("\n"));
}

/// Code without comment lines and without what stands between quotes, line by line.
fn code(text: &str) -> Vec<(usize, String)> {
    let bare = |line: &str| line.split('\'').step_by(2).collect::<Vec<_>>().join("''");
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().starts_with("--"));
    lines.filter(|(_, line)| !line.starts_with("PROMPT")).map(|(at, line)| (at + 1, bare(line))).collect()
}

fn words(line: &str) -> Vec<String> {
    let apart = |c: char| !(c.is_alphanumeric() || matches!(c, '_' | '$' | '#'));
    line.split(apart).filter(|word| !word.is_empty()).map(str::to_ascii_uppercase).collect()
}

#[test]
fn sqlplus_reads_every_script_as_it_is_meant() {
    none(names().iter().flat_map(|name| parts(name, &text(name)).1).collect());
}

#[test]
fn what_sqlplus_would_misread_is_found() {
    let misread = |text: &str| parts("a.sql", text).1.len();
    assert_eq!(misread("SELECT 1\n\nFROM DUAL;\n"), 1);
    assert_eq!(misread("SELECT 1 FROM DUAL\n"), 1);
    assert_eq!(misread("SELECT 1\n-- all of it;\nFROM DUAL;\n"), 1);
    assert_eq!(misread("SELECT 1 FROM DUAL;\n/\n"), 1);
    assert_eq!(misread("BEGIN\n  NULL;\nEND;\n"), 1);
    assert_eq!(misread("BEGIN\n\n  NULL;\nEND;\n/\nSELECT 1\nFROM DUAL;\n"), 0);
}

fn too_long(name: &str, text: &str) -> Vec<String> {
    let long = |(at, line): (usize, String)| {
        let found: Vec<String> = words(&line).into_iter().filter(|word| word.len() > 30).collect();
        found.into_iter().map(move |word| format!("{name}:{at}: {word}"))
    };
    code(text).into_iter().flat_map(long).collect()
}

#[test]
fn no_identifier_is_longer_than_30_bytes() {
    none(names().iter().flat_map(|name| too_long(name, &text(name))).collect());
    assert_eq!(too_long("a.sql", "CREATE TABLE SB_A23456789012345678901234567890 (").len(), 1);
}

/// Words in sequence that 11.2 does not know, with the version that brought them.
const LATER: &[(&str, &str)] = &[
    ("FETCH FIRST", "12.1"),
    ("FETCH NEXT", "12.1"),
    ("OFFSET", "12.1"),
    ("IDENTITY", "12.1"),
    ("DEFAULT ON NULL", "12.1"),
    ("LATERAL", "12.1"),
    ("CROSS APPLY", "12.1"),
    ("OUTER APPLY", "12.1"),
    ("MATCH_RECOGNIZE", "12.1"),
    ("ACCESSIBLE", "12.1"),
    ("WITH FUNCTION", "12.1"),
    ("GRANT READ", "12.1"),
    ("CONTAINER", "12.1"),
    ("STANDARD_HASH", "12.1"),
    ("PRAGMA UDF", "12.1"),
    ("JSON_VALUE", "12.1"),
    ("JSON_TABLE", "12.1"),
    ("UTILIZATION_LIMIT", "12.1"),
    ("ON OVERFLOW", "12.2"),
    ("COLLATE", "12.2"),
    ("VALIDATE_CONVERSION", "12.2"),
    ("SQL_MACRO", "20"),
    ("IF EXISTS", "23"),
    ("IF NOT EXISTS", "23"),
    ("LIMIT 1", "no Oracle"),
    ("IDENTIFIED BY VALUES", "never"),
];

fn later(name: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, line) in code(text) {
        let line = words(&line);
        for (phrase, since) in LATER {
            let wanted: Vec<&str> = phrase.split(' ').collect();
            if line.windows(wanted.len()).any(|window| window.iter().map(String::as_str).eq(wanted.iter().copied())) {
                found.push(format!("{name}:{at}: {phrase} ({since})"));
            }
        }
        for pair in line.windows(2).filter(|pair| pair[0] == "VARCHAR2") {
            if pair[1].parse::<u32>().is_ok_and(|n| n > 4_000) {
                found.push(format!("{name}:{at}: VARCHAR2({})", pair[1]));
            }
        }
    }
    found
}

#[test]
fn no_script_uses_syntax_later_than_11_2() {
    none(names().iter().flat_map(|name| later(name, &text(name))).collect());
}

#[test]
fn later_syntax_is_found() {
    for text in [
        "SELECT 1 FROM T FETCH FIRST 3 ROWS ONLY;",
        "CREATE TABLE T (A NUMBER GENERATED ALWAYS AS IDENTITY);",
        "A VARCHAR2(32767),",
        "GRANT READ ON A TO B;",
    ] {
        assert_eq!(later("a.sql", text).len(), 1, "{text}");
    }
    none(later("a.sql", "SELECT 'FETCH FIRST' FROM DUAL;\nA VARCHAR2(4000)\nPROFILE LIMIT\n"));
}

#[test]
fn booleans_stay_inside_plsql() {
    for name in names() {
        for (at, part) in parts(&name, &text(&name)).0 {
            if let Part::Sql(sql) = part {
                assert!(!words(&sql).iter().any(|w| w == "BOOLEAN" || w == "TRUE" || w == "FALSE"), "{name}:{at}");
            }
        }
    }
}

/// Kind and name of what the scripts that are always run, and the given mode's parts, create.
fn created(mode: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let body = format!("30_slot_{mode}.sql");
    let body = text(&body).lines().find_map(|line| line.strip_prefix("@@").map(str::to_owned)).unwrap_or(body);
    let always = ["30_interface_views.sql", &body, "40_bridge_tables.sql", "41_offswitch_tables.sql", "50_sb_api.sql"];
    for name in always {
        for (_, part) in parts(name, &text(name)).0 {
            let (Part::Sql(sql) | Part::Block(sql)) = part else { continue };
            let words: Vec<String> =
                words(&sql).into_iter().filter(|w| !matches!(w.as_str(), "OR" | "REPLACE" | "FORCE")).collect();
            let words: Vec<&str> = words.iter().take(4).map(String::as_str).collect();
            match words.as_slice() {
                ["CREATE", "PACKAGE", "BODY", name] => found.push(("PACKAGE BODY".to_owned(), (*name).to_owned())),
                ["CREATE", kind, name, ..] => found.push(((*kind).to_owned(), (*name).to_owned())),
                _ => {}
            }
        }
    }
    found
}

#[test]
fn every_object_of_the_interface_is_made_once() {
    let views = "SB_SITE SB_SLOT SB_PERSON SB_BOOKING SB_COHORT SB_SLOT_W SB_BOOKING_W SB_PERSON_W SB_PLACEHOLDER \
                 SB_ESCROW_V SB_UNAPPLIED_V SB_RETURN_V";
    let tables = "SB_ESCROW SB_APPLIED SB_CONTROL SB_HEARTBEAT SB_FENCE SB_META SB_RELEASE_REQUEST SB_PROOF \
                  SB_UNAPPLIED SB_GUARD SB_RETURN";
    let others = [("FUNCTION", "SB_NEXT_RESV_NO"), ("PACKAGE", "SB_API"), ("PACKAGE BODY", "SB_API")];
    let views = views.split_whitespace().map(|name| ("VIEW", name));
    let tables = tables.split_whitespace().map(|name| ("TABLE", name));
    let wanted: Vec<(&str, &str)> = views.chain(tables).chain(others).collect();
    for mode in MODES {
        let made = created(mode);
        for (kind, name) in &wanted {
            assert_eq!(made.iter().filter(|(k, n)| k == kind && n == name).count(), 1, "{mode}: {kind} {name}");
        }
        let all: BTreeSet<&(String, String)> = made.iter().collect();
        assert_eq!(all.len(), made.len(), "{mode}: something is made twice");
    }
}

/// Names behind `AS`, without the types of casts.
fn aliases(body: &str) -> Vec<String> {
    let names = body.split(" AS ").skip(1).map(|rest| words(rest).first().cloned().unwrap_or_default());
    names.filter(|name| !matches!(name.as_str(), "TEXT" | "INTEGER" | "VARCHAR2" | "SELECT")).collect()
}

fn columns_of(mode: &str, view: &str) -> Vec<String> {
    let made = statements("30_interface_views.sql", &settings(&[("SB_MODE", mode)]));
    let body = made.iter().find(|sql| sql.contains(&format!("VIEW {view} AS"))).expect("the view is made");
    aliases(&body.replace('\n', " "))
}

#[test]
fn views_have_the_columns_of_the_example_in_every_mode() {
    let example = include_str!("../src/legacy/sqlite/schema.sql");
    for view in ["SB_SITE", "SB_SLOT", "SB_PERSON", "SB_BOOKING", "SB_COHORT"] {
        let body = example.split(&format!("CREATE VIEW {view} AS")).nth(1).expect("the example has the view");
        let wanted = aliases(&body.split(';').next().unwrap().replace('\n', " "));
        assert!(wanted.len() > 5, "{wanted:?}");
        for mode in MODES {
            assert_eq!(columns_of(mode, view), wanted, "{view}, {mode}");
        }
    }
    let slot = "SLOT_ID SERIES_CD STATUS CAPACITY BOOKED_CNT REMAIN_CNT QUOTA_CNT UPD_DT";
    assert_eq!(columns_of("counter", "SB_SLOT_W").join(" "), slot);
    let booking = "RESV_NO SLOT_ID PERSON_ID SERIES_CD STATUS OP_ID MEMO REG_DT UPD_DT";
    assert_eq!(columns_of("counter", "SB_BOOKING_W").join(" "), booking);
}

/// Grants by account: object to privileges without their column lists.
fn grants(body: &str) -> BTreeMap<String, BTreeMap<String, BTreeSet<String>>> {
    let mut found: BTreeMap<String, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
    for sql in statements("51_grants.sql", &settings(&[("SB_WRITE_BODY", body)])) {
        let Some(rest) = sql.strip_prefix("GRANT ") else { continue };
        let (privilege, rest) = rest.split_once(" ON ").expect("GRANT … ON …");
        let (object, account) = rest.split_once(" TO ").expect("… TO …");
        let privilege = privilege.split_whitespace().next().unwrap().to_owned();
        found.entry(account.to_owned()).or_default().entry(object.to_owned()).or_default().insert(privilege);
    }
    found
}

#[test]
fn each_account_may_do_what_it_does_and_nothing_else() {
    let granted = grants("sql");
    assert_eq!(granted.len(), 4, "{:?}", granted.keys());
    let read = &granted["SB_READ_A"];
    assert_eq!(read, &granted["SB_READ_B"]);
    let objects: Vec<&str> = read.keys().map(String::as_str).collect();
    assert_eq!(objects.join(" "), "SB_BOOKING SB_COHORT SB_HEARTBEAT SB_META SB_PERSON SB_SITE SB_SLOT");
    assert!(read.values().all(|privileges| privileges.iter().eq(["SELECT"])), "{read:?}");
    let write = &granted["SB_WRITE_A"];
    assert_eq!(write, &granted["SB_WRITE_B"]);
    let has: Vec<String> = write
        .iter()
        .map(|(object, privileges)| format!("{object} {}", privileges.iter().cloned().collect::<Vec<_>>().join(" ")))
        .collect();
    assert_eq!(
        has,
        [
            "SB_APPLIED DELETE INSERT SELECT UPDATE",
            "SB_BOOKING_W INSERT SELECT UPDATE",
            "SB_CONTROL SELECT",
            "SB_ESCROW INSERT SELECT UPDATE",
            "SB_FENCE SELECT UPDATE",
            "SB_HEARTBEAT INSERT SELECT UPDATE",
            "SB_META SELECT",
            "SB_NEXT_RESV_NO EXECUTE",
            "SB_PERSON_W SELECT",
            "SB_PLACEHOLDER SELECT",
            "SB_PROOF INSERT SELECT",
            "SB_RELEASE_REQUEST SELECT UPDATE",
            "SB_SLOT_W SELECT UPDATE",
        ]
    );
    let procedure = &grants("procedure")["SB_WRITE_A"];
    assert_eq!(procedure.iter().map(|(o, p)| format!("{o} {p:?}")).collect::<Vec<_>>(), ["SB_API {\"EXECUTE\"}"]);
}

#[test]
fn every_column_that_the_bridge_updates_is_granted() {
    let sql = text("51_grants_write_sql.sql");
    let columns = |object: &str| -> Vec<String> {
        let of = |l: &&str| l.starts_with("GRANT UPDATE (") && l.contains(&format!(") ON {object} "));
        let line = sql.lines().find(of).unwrap_or_else(|| panic!("UPDATE on {object} is not granted"));
        line.split_once('(').unwrap().1.split_once(')').unwrap().0.split(", ").map(str::to_owned).collect()
    };
    let mut updates = 0;
    for statement in statements("60_explain.sql", &settings(&[])) {
        let Some((_, update)) = statement.split_once(" FOR\nUPDATE ") else { continue };
        let update = update.split_whitespace().collect::<Vec<_>>().join(" ");
        let (object, rest) = update.split_once(" SET ").expect("UPDATE … SET …");
        let granted = columns(object);
        let set = rest.split(" WHERE ").next().unwrap();
        for column in set.split(", ").filter_map(|part| part.split_once(" = ")).map(|(column, _)| column) {
            assert!(granted.iter().any(|g| g == column), "{column} of {object}: {update}");
            updates += 1;
        }
    }
    assert!(updates > 20, "only {updates} columns were found");
}

/// `id`, text of the statements in a catalogue's source: `sql("W.…", "when", "text")`.
fn catalogued(source: &str) -> Vec<(String, String)> {
    let plain = source.split("\\\n").map(str::trim_start).collect::<Vec<_>>().join("");
    let entries = plain.split("= sql(").skip(1).map(|rest| rest.split('"').collect::<Vec<_>>());
    entries.filter(|quoted| quoted.len() > 5).map(|q| (q[1].to_owned(), q[5].to_owned())).collect()
}

#[test]
fn writes_that_are_explained_are_those_that_are_sent() {
    let one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let explained: BTreeMap<String, String> = statements("60_explain.sql", &settings(&[]))
        .iter()
        .filter_map(|sql| sql.strip_prefix("EXPLAIN PLAN SET STATEMENT_ID = '")?.split_once("' FOR\n"))
        .map(|(id, text)| (id.to_owned(), one_line(text)))
        .collect();
    assert!(explained.len() > 40, "{explained:#?}");
    let planted = catalogued("x = sql(\n \"W.A\",\n \"when\",\n \"UPDATE A SET B = 1 \\\n   WHERE C = 2\",\n);");
    assert_eq!(planted, [("W.A".to_owned(), "UPDATE A SET B = 1 WHERE C = 2".to_owned())]);
    // Inserts, savepoints and calls have no plan worth reading.
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/legacy/oracle/sql_write.rs");
    let sent = catalogued(&std::fs::read_to_string(path).unwrap_or_default());
    let planned = |text: &str| text.starts_with("UPDATE") || text.starts_with("DELETE") || text.contains(" FROM SB_");
    let differs = |(id, text): &(String, String)| planned(text) && explained.get(id) != Some(&one_line(text));
    let wrong = sent.iter().filter(|entry| differs(entry)).map(|(id, text)| format!("{id}: {text}"));
    none(wrong.collect());
}

#[test]
fn no_script_holds_a_secret() {
    let mut asked = 0;
    for name in names() {
        for (at, line) in text(&name).lines().enumerate() {
            if let Some((_, rest)) = line.split_once("IDENTIFIED BY ") {
                // The owner's is drawn at random and known to nobody.
                assert!(
                    rest.starts_with("\"&SB_PW_") || rest.starts_with("\"a_1' || DBMS_RANDOM"),
                    "{name}:{}",
                    at + 1
                );
                asked += 1;
            }
        }
    }
    assert_eq!(asked, 5);
}

#[test]
fn every_variable_is_defined_and_documented() {
    let defined = settings(&[]);
    let guide = text("GUIDE.md");
    let missing = defined.keys().filter(|name| !guide.contains(&format!("`{name}`")));
    none(missing.map(|name| format!("GUIDE.md does not explain {name}")).collect());
    let mut known = defined.clone();
    for word in ["1", "SB_PW_READ_A", "SB_PW_READ_B", "SB_PW_WRITE_A", "SB_PW_WRITE_B"] {
        known.insert(word.to_owned(), String::new());
    }
    for name in names() {
        for (at, line) in text(&name).lines().enumerate() {
            let comment = line.trim().starts_with("--");
            assert!(!(comment && line.contains('&')), "{name}:{}: SQL*Plus asks for it in comments too", at + 1);
            substitute(line, &known);
        }
    }
}

#[test]
fn every_script_is_numbered_titled_and_listed() {
    let readme = text("00_README.md");
    for name in names() {
        assert!(name.as_bytes()[..2].iter().all(u8::is_ascii_digit) && name.as_bytes()[2] == b'_', "{name}");
        assert!(readme.contains(&format!("`{name}`")), "00_README.md does not list {name}");
        let title = format!("-- {}:", name.trim_end_matches(".sql"));
        assert!(text(&name).starts_with(&title), "{name} does not begin by {title}");
    }
    for listed in readme.split('`').filter(|word| word.ends_with(".sql")) {
        assert!(names().iter().any(|name| name == listed), "00_README.md lists {listed}");
    }
}

/// Texts that the package answers or begins its answers by.
fn results() -> Vec<String> {
    let body = text("50_sb_api.sql");
    let lines = body.lines().filter(|line| line.contains("RETURN '") || line.contains("V_RESULT := '"));
    let texts: Vec<String> = lines.map(|line| line.split('\'').nth(1).unwrap().to_owned()).collect();
    assert!(texts.len() > 20, "{texts:?}");
    texts
}

#[test]
fn results_of_the_package_are_those_that_the_bridge_reads() {
    let found = results();
    let answered: BTreeSet<&str> = found.iter().map(|text| text.split(' ').next().unwrap()).collect();
    let replies = [
        OpReply::Taken { units: 1 },
        OpReply::Returned { units: 1 },
        OpReply::Converted { legacy_ref: "R1".into(), over: false },
        OpReply::Converted { legacy_ref: "R1".into(), over: true },
        OpReply::TurnedBack,
        OpReply::GivenUp,
        OpReply::AlreadyCancelled,
        OpReply::NoPlace,
        OpReply::Mended { added: 1, lost: 1, over: 1 },
        OpReply::PersonBooked,
        OpReply::SlotMissing,
        OpReply::EscrowEroded,
        OpReply::LegacyRule { code: "x".into() },
    ];
    let encoded: Vec<String> = replies.iter().map(encode).collect();
    let known: BTreeSet<&str> = encoded.iter().map(|text| text.split(' ').next().unwrap()).collect();
    assert_eq!(answered, known);
    // Answers without a number or a name are whole as they stand.
    for text in found.iter().filter(|text| !text.ends_with(' ')) {
        assert_eq!(decode(text).map(|reply| encode(&reply)).as_ref(), Some(text));
    }
}

#[test]
fn rules_have_the_names_that_the_embedded_adapter_uses() {
    use slotbridge::legacy::sqlite::write::{RULE_PERSON_MISSING, RULE_RESERVATION_DONE, RULE_RESERVATION_MISSING};
    for rule in [RULE_PERSON_MISSING, RULE_RESERVATION_DONE, RULE_RESERVATION_MISSING] {
        assert!(results().contains(&format!("legacy_rule {rule}")), "{rule}");
    }
}
