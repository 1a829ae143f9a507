//! A JSON object whose members keep the order in which they were put.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::Value;

/// Equal contents are equal bytes, and a mapping's order of fields is kept (`serde_json::Map` would sort).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Object(Vec<(Arc<str>, Node)>);

#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    Value(Value),
    Object(Object),
    List(Vec<Object>),
}

impl Object {
    /// The first value of a name stands; later ones are dropped.
    pub fn put(&mut self, name: impl Into<Arc<str>>, node: impl Into<Node>) {
        let name = name.into();
        if !self.0.iter().any(|(known, _)| *known == name) {
            self.0.push((name, node.into()));
        }
    }

    /// Members in their order; `None` for what is no plain value.
    pub fn members(&self) -> impl Iterator<Item = (&str, Option<&Value>)> {
        self.0.iter().map(|(name, node)| {
            let value = match node {
                Node::Value(value) => Some(value),
                Node::Object(_) | Node::List(_) => None,
            };
            (&**name, value)
        })
    }

    pub fn bytes(&self) -> Bytes {
        Bytes::from(serde_json::to_vec(self).expect("members are text and JSON values"))
    }
}

impl Serialize for Object {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, node) in &self.0 {
            map.serialize_entry(&**name, node)?;
        }
        map.end()
    }
}

impl Serialize for Node {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Node::Value(value) => value.serialize(serializer),
            Node::Object(object) => object.serialize(serializer),
            Node::List(list) => list.serialize(serializer),
        }
    }
}

impl From<Value> for Node {
    fn from(value: Value) -> Node {
        Node::Value(value)
    }
}

impl From<&str> for Node {
    fn from(text: &str) -> Node {
        Node::Value(Value::from(text))
    }
}

impl From<String> for Node {
    fn from(text: String) -> Node {
        Node::Value(Value::from(text))
    }
}

impl From<u64> for Node {
    fn from(number: u64) -> Node {
        Node::Value(Value::from(number))
    }
}

impl From<Object> for Node {
    fn from(object: Object) -> Node {
        Node::Object(object)
    }
}

impl From<Vec<Object>> for Node {
    fn from(list: Vec<Object>) -> Node {
        Node::List(list)
    }
}
