use super::catalog::Catalog;
use super::{Wait, plan};

fn catalog() -> Catalog {
    let mut catalog = Catalog::default();
    let columns = |list: &[(&str, &str)]| list.iter().map(|(n, d)| ((*n).to_owned(), (*d).to_owned())).collect();
    let table =
        columns(&[("SLOT_NO", "VARCHAR2(60)"), ("CAPA_CNT", "NUMBER(6)"), ("STAT_CD", "CHAR(1)"), ("UPD_DT", "DATE")]);
    catalog.add_table("TB_SLOT", table, vec![false; 4], vec!["SLOT_NO".to_owned()]);
    let view = "CREATE VIEW SB_SLOT_W AS SELECT T.SLOT_NO AS SLOT_ID, T.CAPA_CNT AS CAPACITY,
                CASE T.STAT_CD WHEN '1' THEN 'OPEN' ELSE 'CLOSED' END AS STATUS FROM TB_SLOT T";
    catalog.add_view(
        "SB_SLOT_W",
        columns(&[("SLOT_ID", "VARCHAR2(60)"), ("CAPACITY", "NUMBER(6)"), ("STATUS", "")]),
        view,
    );
    catalog.settle();
    catalog
}

fn sqlite(sql: &str) -> String {
    plan(sql, &catalog()).unwrap_or_else(|(code, text)| panic!("{sql}: ORA-{code:05} {text}")).statements.join("; ")
}

fn refused(sql: &str) -> i32 {
    plan(sql, &catalog()).map_or_else(|(code, _)| code, |plan| panic!("{sql}: {:?}", plan.statements))
}

#[test]
fn expressions_become_sqlites() {
    for (oracle, expected) in [
        (
            "SELECT /*+ INDEX(T) */ NVL(:A, 'x') || :B FROM DUAL",
            "SELECT (ifnull(ifnull (?1, 'x'), '') || ifnull(?2, '')) FROM DUAL",
        ),
        ("SELECT SYSDATE - 1/24 FROM DUAL", "SELECT ora_sub(ora_sysdate(), 1 * 1.0 / 24) FROM DUAL"),
        ("SELECT CAPA_CNT - 1 FROM TB_SLOT", "SELECT CAPA_CNT - 1 FROM TB_SLOT"),
        ("SELECT UPD_DT + 1 FROM SLOTBRIDGE.TB_SLOT", "SELECT ora_add(UPD_DT, 1) FROM TB_SLOT"),
        ("SELECT \"SLOT_NO\" FROM TB_SLOT WHERE X = ''", "SELECT [SLOT_NO] FROM TB_SLOT WHERE X = NULL"),
        (
            "SELECT A FROM (SELECT A FROM T ORDER BY A) WHERE ROWNUM <= :N",
            "SELECT A FROM (SELECT A FROM T ORDER BY A) WHERE 1 = 1 LIMIT ?1",
        ),
    ] {
        assert_eq!(sqlite(oracle), expected, "{oracle}");
    }
}

#[test]
fn a_simple_view_is_written_by_its_key() {
    assert_eq!(
        sqlite("UPDATE SB_SLOT_W SET CAPACITY = CAPACITY - :1 WHERE SLOT_ID = :2 AND STATUS = 'OPEN'"),
        "UPDATE TB_SLOT SET (CAPA_CNT) = (SELECT CAPACITY - ?1 FROM SB_SLOT_W WHERE SB_SLOT_W.SLOT_ID = TB_SLOT.SLOT_NO) \
         WHERE SLOT_NO IN (SELECT SLOT_ID FROM SB_SLOT_W WHERE SLOT_ID = ?2 AND STATUS = 'OPEN')"
    );
    assert_eq!(sqlite("INSERT INTO SB_SLOT_W (SLOT_ID) VALUES (:1)"), "INSERT INTO TB_SLOT (SLOT_NO) VALUES (?1)");
    assert_eq!(refused("UPDATE SB_SLOT_W SET STATUS = 'OPEN'"), 1733);
    assert_eq!(refused("UPDATE SB_SLOT_W SET NOPE = 1"), 904);
    assert_eq!(catalog().declared("SB_SLOT_W", "STATUS"), Some("VARCHAR2(4000)"));
}

#[test]
fn locks_are_read_off_the_statement() {
    for (tail, wait) in [
        ("FOR UPDATE", Wait::Forever),
        ("FOR UPDATE NOWAIT", Wait::NoWait),
        ("FOR UPDATE OF A WAIT 7", Wait::Seconds(7)),
    ] {
        let plan = plan(&format!("SELECT A FROM T {tail}"), &catalog()).expect("a plan");
        assert_eq!((plan.lock, plan.statements[0].as_str()), (Some(wait), "SELECT A FROM T"));
    }
}

#[test]
fn what_11g_does_not_know_is_refused() {
    for (sql, code) in [
        ("SELECT A FROM T LIMIT 1", 933),
        ("SELECT A FROM T OFFSET 5 ROWS FETCH NEXT 5 ROWS ONLY", 933),
        ("SELECT A FROM T AS X", 933),
        ("SELECT 1", 923),
        ("SELECT A FROM T WHERE B = (SELECT 1)", 923),
        ("SELECT A FROM T WHERE B = TRUE", 904),
        ("SELECT DATETIME('now') FROM DUAL", 904),
        ("INSERT INTO T (A) VALUES (1) ON CONFLICT DO NOTHING", 933),
        ("UPDATE T SET A = 1 FROM U", 933),
        ("CREATE TABLE T (A NUMBER GENERATED ALWAYS AS IDENTITY)", 907),
        ("CREATE TABLE T (A VARCHAR2(32767))", 910),
        ("PRAGMA data_version", 900),
        ("SELECT 'a FROM T", 1756),
        ("SELECT A FROM T;", 911),
    ] {
        assert_eq!(refused(sql), code, "{sql}");
    }
}
