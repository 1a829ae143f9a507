//! The data dictionary as temporary tables, filled when a statement names them.

use rusqlite::{Connection, params};

use super::dates;
use super::errors::OraError;
use super::execute::described;
use super::lock;
use super::session::Session;
use crate::sql::Plan;

const TABLES: &str = "
CREATE TEMP VIEW DUAL AS SELECT 'X' AS DUMMY;
CREATE TEMP TABLE ALL_TAB_COLUMNS(OWNER VARCHAR2(30), TABLE_NAME VARCHAR2(30), COLUMN_NAME VARCHAR2(30),
  DATA_TYPE VARCHAR2(106), DATA_LENGTH NUMBER, DATA_PRECISION NUMBER, DATA_SCALE NUMBER, NULLABLE VARCHAR2(1),
  COLUMN_ID NUMBER, CHAR_LENGTH NUMBER, CHAR_USED VARCHAR2(1));
CREATE TEMP VIEW USER_TAB_COLUMNS AS SELECT * FROM ALL_TAB_COLUMNS;
CREATE TEMP VIEW ALL_TAB_COLS AS SELECT * FROM ALL_TAB_COLUMNS;
CREATE TEMP TABLE ALL_OBJECTS(OWNER VARCHAR2(30), OBJECT_NAME VARCHAR2(30), OBJECT_TYPE VARCHAR2(19),
  STATUS VARCHAR2(7));
CREATE TEMP VIEW USER_OBJECTS AS SELECT * FROM ALL_OBJECTS;
CREATE TEMP TABLE ALL_INDEXES(OWNER VARCHAR2(30), INDEX_NAME VARCHAR2(30), TABLE_OWNER VARCHAR2(30),
  TABLE_NAME VARCHAR2(30), UNIQUENESS VARCHAR2(9));
CREATE TEMP TABLE NLS_DATABASE_PARAMETERS(PARAMETER VARCHAR2(30), VALUE VARCHAR2(160));
CREATE TEMP TABLE NLS_SESSION_PARAMETERS(PARAMETER VARCHAR2(30), VALUE VARCHAR2(160));
CREATE TEMP TABLE USER_USERS(USERNAME VARCHAR2(30), ACCOUNT_STATUS VARCHAR2(32), EXPIRY_DATE DATE);
CREATE TEMP TABLE V$VERSION(BANNER VARCHAR2(80));
CREATE TEMP TABLE V$INSTANCE(INSTANCE_NAME VARCHAR2(16), HOST_NAME VARCHAR2(64), VERSION VARCHAR2(17),
  STARTUP_TIME DATE);
CREATE TEMP TABLE PRODUCT_COMPONENT_VERSION(PRODUCT VARCHAR2(80), VERSION VARCHAR2(80), STATUS VARCHAR2(80));
CREATE TEMP TABLE V$PARAMETER(NAME VARCHAR2(80), VALUE VARCHAR2(4000));
CREATE TEMP TABLE SESSION_PRIVS(PRIVILEGE VARCHAR2(40));
CREATE TEMP TABLE USER_TAB_PRIVS(GRANTEE VARCHAR2(30), OWNER VARCHAR2(30), TABLE_NAME VARCHAR2(30),
  PRIVILEGE VARCHAR2(40));
";

pub fn create(connection: &Connection) -> Result<(), OraError> {
    Ok(connection.execute_batch(TABLES)?)
}

/// Readable by everybody, whatever the grants. V$ needs one.
pub fn is_public(object: &str) -> bool {
    let known = ["ALL_", "USER_", "NLS_", "SESSION_", "PRODUCT_", "DUAL", "V$VERSION"];
    known.iter().any(|start| object.starts_with(start))
}

pub fn fill(session: &Session, plan: &Plan) -> Result<(), OraError> {
    for (object, _) in &plan.needs {
        match object.as_str() {
            "ALL_TAB_COLUMNS" | "USER_TAB_COLUMNS" | "ALL_TAB_COLS" => columns(session)?,
            "ALL_OBJECTS" | "USER_OBJECTS" => objects(session)?,
            "ALL_INDEXES" => indexes(session)?,
            "DUAL" => {}
            name if is_public(name) || name.starts_with("V$") => parameters(session)?,
            _ => {}
        }
    }
    Ok(())
}

fn visible(session: &Session, object: &str) -> bool {
    session.grants.is_empty() || session.grants.iter().any(|(on, _)| on == object)
}

fn columns(session: &Session) -> Result<(), OraError> {
    let c = &session.connection;
    c.execute_batch("DELETE FROM temp.ALL_TAB_COLUMNS")?;
    let mut insert =
        c.prepare_cached("INSERT INTO temp.ALL_TAB_COLUMNS VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)")?;
    for (table, entry) in session.catalog.tables.iter().filter(|(name, _)| visible(session, name)) {
        for (at, (name, declared)) in entry.columns.iter().enumerate() {
            let column = described(name.clone(), declared);
            let kind = declared.split('(').next().unwrap_or("").trim();
            let kind = if kind.starts_with("TIMESTAMP") { declared.as_str() } else { kind };
            // SQLite keeps all digits of such a number; the server knows no such type.
            let kind = kind.strip_suffix(" TEXT").unwrap_or(kind);
            let precision = (column.oci_type == 2 && column.precision > 0).then_some(column.precision);
            let scale = precision.map(|_| column.scale);
            let nullable = if entry.nullable.get(at).copied().unwrap_or(true) { "Y" } else { "N" };
            insert.execute(params![
                session.schema,
                table,
                name,
                kind,
                column.bytes,
                precision,
                scale,
                nullable,
                at as i64 + 1,
                if kind.contains("CHAR") { i64::from(column.bytes) } else { 0 },
                kind.contains("CHAR").then_some("B"),
            ])?;
        }
    }
    Ok(())
}

fn objects(session: &Session) -> Result<(), OraError> {
    let c = &session.connection;
    c.execute_batch("DELETE FROM temp.ALL_OBJECTS")?;
    let mut insert = c.prepare_cached("INSERT INTO temp.ALL_OBJECTS VALUES (?1, ?2, ?3, 'VALID')")?;
    for (name, entry) in session.catalog.tables.iter().filter(|(name, _)| visible(session, name)) {
        insert.execute(params![session.schema, name, if entry.view.is_some() { "VIEW" } else { "TABLE" }])?;
    }
    for (name, kind) in [("SB_API", "PACKAGE"), ("SB_NEXT_RESV_NO", "FUNCTION")] {
        if visible(session, name) {
            insert.execute(params![session.schema, name, kind])?;
        }
    }
    Ok(())
}

fn indexes(session: &Session) -> Result<(), OraError> {
    let c = &session.connection;
    c.execute_batch("DELETE FROM temp.ALL_INDEXES")?;
    c.execute(
        "INSERT INTO temp.ALL_INDEXES SELECT ?1, upper(i.name), ?1, upper(m.name),
           CASE i.\"unique\" WHEN 1 THEN 'UNIQUE' ELSE 'NONUNIQUE' END
         FROM main.sqlite_master m, pragma_index_list(m.name) i WHERE m.type = 'table'",
        [&session.schema],
    )?;
    Ok(())
}

fn parameters(session: &Session) -> Result<(), OraError> {
    let c = &session.connection;
    let facts = lock(&session.facts).clone();
    let mut ctl = lock(&session.shared.ctl);
    c.execute_batch(
        "DELETE FROM temp.NLS_DATABASE_PARAMETERS; DELETE FROM temp.NLS_SESSION_PARAMETERS;
         DELETE FROM temp.USER_USERS; DELETE FROM temp.V$VERSION; DELETE FROM temp.V$INSTANCE;
         DELETE FROM temp.PRODUCT_COMPONENT_VERSION; DELETE FROM temp.V$PARAMETER; DELETE FROM temp.SESSION_PRIVS;
         DELETE FROM temp.USER_TAB_PRIVS",
    )?;
    let started = dates::text(dates::Time { micros: dates::now(0), fraction: false });
    let version = ctl.param("version");
    let pairs = [
        ("NLS_DATABASE_PARAMETERS", "NLS_CHARACTERSET", ctl.param("charset")),
        ("NLS_DATABASE_PARAMETERS", "NLS_NCHAR_CHARACTERSET", "AL16UTF16".to_owned()),
        ("NLS_DATABASE_PARAMETERS", "NLS_LENGTH_SEMANTICS", "BYTE".to_owned()),
        ("NLS_DATABASE_PARAMETERS", "NLS_RDBMS_VERSION", version.clone()),
        ("NLS_SESSION_PARAMETERS", "NLS_DATE_FORMAT", facts.date_format.clone()),
        ("NLS_SESSION_PARAMETERS", "NLS_SORT", "BINARY".to_owned()),
        ("NLS_SESSION_PARAMETERS", "NLS_COMP", "BINARY".to_owned()),
        ("V$PARAMETER", "undo_retention", ctl.param("undo_retention")),
    ];
    for (table, name, value) in pairs {
        c.execute(&format!("INSERT INTO temp.{table} VALUES (?1, ?2)"), params![name, value])?;
    }
    let expiry = ctl.expiry(&session.user);
    c.execute("INSERT INTO temp.USER_USERS VALUES (?1, 'OPEN', ?2)", params![session.user, expiry])?;
    c.execute("INSERT INTO temp.V$VERSION VALUES (?1)", [ctl.param("banner")])?;
    let instance = params![facts.instance, facts.host, version, started];
    c.execute("INSERT INTO temp.V$INSTANCE VALUES (?1, ?2, ?3, ?4)", instance)?;
    let product = params!["Oracle Database 11g Enterprise Edition", version];
    c.execute("INSERT INTO temp.PRODUCT_COMPONENT_VERSION VALUES (?1, ?2, '64bit Production')", product)?;
    c.execute("INSERT INTO temp.SESSION_PRIVS VALUES ('CREATE SESSION')", [])?;
    for (object, privilege) in &session.grants {
        let granted = params![session.user, session.schema, object, privilege];
        c.execute("INSERT INTO temp.USER_TAB_PRIVS VALUES (?1, ?2, ?3, ?4)", granted)?;
    }
    Ok(())
}
