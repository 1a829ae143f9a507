//! A legacy row as fetched: values in the order of the object's fetched columns.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Timestamp;

/// One value of a legacy column, already freed of the database's own types.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Value {
    Null,
    Int(i64),
    /// NUMBER with a fraction or without a precision, as a decimal text (`37.5665`).
    Decimal(Arc<str>),
    Text(Arc<str>),
    Time(Timestamp),
}

impl Value {
    pub fn text(text: &str) -> Value {
        Value::Text(Arc::from(text))
    }

    pub fn as_text(&self) -> Option<&str> {
        match self {
            Value::Text(t) | Value::Decimal(t) => Some(t),
            _ => None,
        }
    }

    pub fn as_int(&self) -> Option<i64> {
        match self {
            Value::Int(n) => Some(*n),
            Value::Decimal(t) => t.parse().ok(),
            _ => None,
        }
    }

    pub fn as_time(&self) -> Option<Timestamp> {
        match self {
            Value::Time(t) => Some(*t),
            _ => None,
        }
    }

    pub fn as_degrees(&self) -> Option<f64> {
        match self {
            Value::Int(n) => Some(*n as f64),
            Value::Decimal(t) | Value::Text(t) => t.parse().ok().filter(|d: &f64| d.is_finite()),
            _ => None,
        }
    }
}

/// Values of one row. Which column stands where is the fetch plan's business (`mapping::catalogue::Layout`).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Row(pub Box<[Value]>);

impl Row {
    pub fn get(&self, at: usize) -> &Value {
        self.0.get(at).unwrap_or(&Value::Null)
    }
}
