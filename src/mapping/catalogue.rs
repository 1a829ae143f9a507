//! The catalogue: every column of every legacy object that the bridge may read, classed once.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::domain::ObjectName;

/// `catalog.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalogue {
    pub format: u32,
    #[serde(rename = "object")]
    pub objects: Vec<Object>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Object {
    pub name: ObjectName,
    /// Interface view in the legacy system (`SB_SLOT`); none for objects that only the desk knows (`booking`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub view: Option<String>,
    pub label: Text2,
    #[serde(rename = "column", default)]
    pub columns: Vec<Column>,
}

/// Korean and English.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Text2 {
    pub ko: String,
    pub en: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// Upper-case name in the view, or of a derived column.
    pub name: String,
    #[serde(rename = "type")]
    pub kind: ColumnType,
    pub label: Text2,
    pub class: Class,
    /// What the bridge itself uses the column for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// Computed by the desk; never in a SELECT.
    #[serde(default)]
    pub derived: bool,
    /// A change of it is a material change of the slot.
    #[serde(default)]
    pub material: bool,
    /// Needed for class `org_public`: where the agency publishes the value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColumnType {
    Text,
    Integer,
    Decimal,
    Time,
}

/// Class of a column (mappings, Classes). The order is not a ranking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    UniqueId,
    Direct,
    LinkageId,
    InternalId,
    Sensitive,
    SensitiveInferable,
    Quasi,
    FreeText,
    OrgPublic,
    Operational,
    Public,
}

/// What the bridge uses a column for. Each role stands at most once in an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Key of the row; a legacy text.
    Key,
    /// When the row was last changed; drives the `timestamp` hint.
    UpdatedAt,
    Latitude,
    Longitude,
    Site,
    Series,
    Start,
    Status,
    Capacity,
    Native,
    Counter,
    EscrowUnits,
    LastOp,
    OpensAt,
    Ci,
    Cohort,
    Person,
    Slot,
    Op,
}

/// Order of the columns of a fetched row: the SELECT list is exactly this, so an undeclared column is never read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    pub object: ObjectName,
    pub view: String,
    pub columns: Vec<LayoutColumn>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayoutColumn {
    pub name: Arc<str>,
    pub kind: ColumnType,
    pub role: Option<Role>,
    pub material: bool,
}

impl Layout {
    pub fn at_role(&self, role: Role) -> Option<usize> {
        self.columns.iter().position(|c| c.role == Some(role))
    }

    pub fn at_name(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|c| &*c.name == name)
    }
}
