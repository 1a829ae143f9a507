//! SQLite's errors as Oracle's.

use rusqlite::Connection;

use super::raw::Failure;

#[derive(Debug, Clone, PartialEq)]
pub struct OraError {
    pub code: i32,
    pub text: String,
}

impl std::fmt::Display for OraError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ORA-{:05}: {}", self.code, self.text)
    }
}

impl std::error::Error for OraError {}

impl OraError {
    pub fn new(code: i32, text: impl Into<String>) -> OraError {
        OraError { code, text: text.into() }
    }

    pub fn cancelled() -> OraError {
        OraError::new(1013, "user requested cancel of current operation")
    }

    pub fn missing_table() -> OraError {
        OraError::new(942, "table or view does not exist")
    }

    /// The text of a function of ours that refused: `ORA-12345: text`.
    pub fn parse(text: &str) -> Option<OraError> {
        let (code, rest) = text.split_once("ORA-")?.1.split_at_checked(5)?;
        Some(OraError::new(code.parse().ok()?, rest.trim_start_matches(": ")))
    }
}

impl From<rusqlite::Error> for OraError {
    fn from(error: rusqlite::Error) -> OraError {
        match error {
            rusqlite::Error::SqliteFailure(e, text) => {
                plain(&Failure { code: e.extended_code, text: text.unwrap_or_default() })
            }
            rusqlite::Error::SqlInputError { error, msg, .. } => {
                plain(&Failure { code: error.extended_code, text: msg })
            }
            other => OraError::new(600, format!("internal error code, arguments: [{other}]")),
        }
    }
}

/// With the names that a real server gives constraints. `owner` is the schema in the message.
pub fn translate(connection: &Connection, owner: &str, failure: &Failure, is_insert: bool) -> OraError {
    let named = failure.text.split_once("constraint failed: ").map_or("", |(_, rest)| rest);
    match failure.code {
        1555 | 2067 => {
            let name = unique_name(connection, named);
            OraError::new(1, format!("unique constraint ({owner}.{name}) violated"))
        }
        1299 => {
            let (table, column) = named.split_once('.').unwrap_or(("", named));
            let place = format!("(\"{owner}\".\"{}\".\"{}\")", table.to_uppercase(), column.to_uppercase());
            if is_insert {
                OraError::new(1400, format!("cannot insert NULL into {place}"))
            } else {
                OraError::new(1407, format!("cannot update {place} to NULL"))
            }
        }
        275 => {
            let is_name = named.chars().all(|c| c.is_alphanumeric() || c == '_');
            let name = if is_name { named.to_uppercase() } else { "SYS_C0012345".to_owned() };
            OraError::new(2290, format!("check constraint ({owner}.{name}) violated"))
        }
        787 => {
            OraError::new(2291, format!("integrity constraint ({owner}.SYS_C0012346) violated - parent key not found"))
        }
        _ => plain(failure),
    }
}

pub fn plain(failure: &Failure) -> OraError {
    let text = &failure.text;
    if let Some(ours) = OraError::parse(text) {
        return ours;
    }
    let after = |mark: &str| text.split_once(mark).map_or(String::new(), |(_, rest)| rest.trim().to_uppercase());
    match failure.code {
        9 => OraError::cancelled(),
        5 | 6 | 261 | 262 | 517 => busy(),
        8 => OraError::new(16000, "database open for read-only access"),
        13 => OraError::new(1653, "unable to extend table by 128 in tablespace USERS"),
        _ if text.contains("no such table") => OraError::missing_table(),
        _ if text.contains("no such column: ") => {
            let name = after("no such column: ");
            let name = name.rsplit('.').next().unwrap_or("");
            OraError::new(904, format!("\"{name}\": invalid identifier"))
        }
        _ if text.contains("has no column named ") => {
            OraError::new(904, format!("\"{}\": invalid identifier", after("has no column named ")))
        }
        _ if text.contains("no such function: ") => {
            OraError::new(904, format!("\"{}\": invalid identifier", after("no such function: ")))
        }
        _ if text.contains("ambiguous column name") => OraError::new(918, "column ambiguously defined"),
        _ if text.contains("already exists") => OraError::new(955, "name is already used by an existing object"),
        _ if text.contains("values for") && text.contains("columns") => OraError::new(947, "not enough values"),
        _ if text.contains("wrong number of arguments") => OraError::new(909, "invalid number of arguments"),
        _ if text.contains("misuse of aggregate") => OraError::new(934, "group function is not allowed here"),
        _ if text.contains("no such savepoint") => OraError::new(1086, "savepoint never established"),
        _ if text.contains("syntax error") || text.contains("incomplete input") => {
            OraError::new(933, format!("SQL command not properly ended (SQLite: {text})"))
        }
        code => OraError::new(600, format!("internal error code, arguments: [SQLite {code}], [{text}]")),
    }
}

pub fn busy() -> OraError {
    OraError::new(54, "resource busy and acquire with NOWAIT specified or timeout expired")
}

/// `TB_RESV.PSN_NO, TB_RESV.SERIES_CD` or `index 'X'` to the name of the index or constraint.
fn unique_name(connection: &Connection, named: &str) -> String {
    if let Some(index) = named.strip_prefix("index '") {
        return index.trim_end_matches('\'').to_uppercase();
    }
    let table = named.split('.').next().unwrap_or("").to_owned();
    let columns: Vec<&str> = named.split(", ").map(|column| column.rsplit('.').next().unwrap_or("")).collect();
    index_over(connection, &table, &columns).ok().flatten().unwrap_or_else(|| primary_key_name(connection, &table))
}

fn index_over(connection: &Connection, table: &str, columns: &[&str]) -> rusqlite::Result<Option<String>> {
    let mut indexes = connection.prepare("SELECT name FROM pragma_index_list(?1) WHERE \"unique\" AND origin = 'c'")?;
    let names = indexes.query_map([table], |row| row.get::<_, String>(0))?.collect::<Result<Vec<_>, _>>()?;
    let mut fields = connection.prepare("SELECT name FROM pragma_index_info(?1) ORDER BY seqno")?;
    for name in names {
        let over = fields.query_map([&name], |row| row.get::<_, Option<String>>(0))?.collect::<Result<Vec<_>, _>>()?;
        if over.iter().map(|c| c.as_deref().unwrap_or("")).eq(columns.iter().copied()) {
            return Ok(Some(name.to_uppercase()));
        }
    }
    Ok(None)
}

/// The declared name, or `PK_TABLE`: an own name is what a DBA gives, and a generated one differs by database.
fn primary_key_name(connection: &Connection, table: &str) -> String {
    let sql: String = connection
        .query_row("SELECT upper(sql) FROM sqlite_master WHERE name = ?1 COLLATE NOCASE", [table], |row| row.get(0))
        .unwrap_or_default();
    let words: Vec<&str> = sql.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|w| !w.is_empty()).collect();
    let declared = words.windows(3).find(|w| w[0] == "CONSTRAINT" && (w[2] == "PRIMARY" || w[2] == "UNIQUE"));
    declared.map_or_else(|| format!("PK_{}", table.to_uppercase()), |w| w[1].to_owned())
}
