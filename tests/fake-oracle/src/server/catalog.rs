//! The schema as it is in the file, for rewriting and the dictionary.

use rusqlite::Connection;

use super::errors::OraError;
use crate::sql::catalog::Catalog;

/// SQLite's counter of schema changes: what a session knows is old when it has grown.
pub fn version(connection: &Connection) -> Result<i64, OraError> {
    Ok(connection.prepare_cached("PRAGMA main.schema_version")?.query_row([], |row| row.get(0))?)
}

pub fn load(connection: &Connection) -> Result<Catalog, OraError> {
    let mut catalog = Catalog::default();
    let mut objects = connection.prepare_cached(
        "SELECT type, name, sql FROM main.sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite_%'",
    )?;
    let objects = objects.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let objects: Vec<(String, String, String)> = objects.collect::<Result<_, _>>()?;
    for (kind, name, sql) in objects {
        let fields = "SELECT upper(name), upper(type), \"notnull\", pk FROM pragma_table_info(?1, 'main') ORDER BY cid";
        let mut fields = connection.prepare_cached(fields)?;
        let fields = fields.query_map([&name], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
        // A view over a table that is gone has no columns; it stays out and is ORA-00942.
        let Ok(fields) = fields.collect::<Result<Vec<(String, String, bool, i64)>, _>>() else { continue };
        let name = name.to_uppercase();
        let columns = fields.iter().map(|(name, declared, ..)| (name.clone(), declared.clone())).collect();
        if kind == "view" {
            catalog.add_view(&name, columns, &sql);
            continue;
        }
        let mut key: Vec<(i64, String)> =
            fields.iter().filter(|field| field.3 > 0).map(|field| (field.3, field.0.clone())).collect();
        key.sort();
        let nullable = fields.iter().map(|field| !field.2 && field.3 == 0).collect();
        catalog.add_table(&name, columns, nullable, key.into_iter().map(|(_, name)| name).collect());
    }
    catalog.settle();
    Ok(catalog)
}
