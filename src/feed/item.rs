//! One item of a feed and its bytes.

use std::io::Write;
use std::sync::Arc;

use crate::domain::Position;
use crate::privacy::Record;

/// The newest state of one published thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Change number: position of the last entry that changed it.
    pub number: Position,
    /// Public id (`s-90812`).
    pub id: Arc<str>,
    /// JSON object; `None`: deleted.
    pub data: Option<Box<[u8]>>,
}

/// The declared fields of a record as a JSON object, in the mapping's order.
pub fn data_of(record: &Record) -> Box<[u8]> {
    let mut out = Vec::with_capacity(32 * record.fields.len() + 2);
    out.push(b'{');
    for (at, (name, value)) in record.fields.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        json(&mut out, &**name);
        out.push(b':');
        json(&mut out, value);
    }
    out.push(b'}');
    out.into_boxed_slice()
}

/// Writes a value whose map keys are texts into memory: neither can fail.
pub(super) fn json<T: serde::Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    serde_json::to_writer(out, value).expect("a text or JSON value is written to memory");
}

impl Item {
    /// `{"state","kind","id","modified","data"}`, RPDE 1.0.
    pub(super) fn write_rpde(&self, kind: &str, out: &mut Vec<u8>) {
        let state = if self.data.is_some() { "updated" } else { "deleted" };
        let _ = write!(out, "{{\"state\":\"{state}\",\"kind\":");
        json(out, kind);
        out.extend_from_slice(b",\"id\":");
        json(out, &*self.id);
        let _ = write!(out, ",\"modified\":{}", self.number);
        if let Some(data) = &self.data {
            out.extend_from_slice(b",\"data\":");
            out.extend_from_slice(data);
        }
        out.push(b'}');
    }

    /// `{"id","state","kind","modified","data"}` and a line feed; nothing for a deleted item.
    pub(super) fn write_snapshot_line(&self, kind: &str, out: &mut Vec<u8>) {
        let Some(data) = &self.data else { return };
        out.extend_from_slice(b"{\"id\":");
        json(out, &*self.id);
        out.extend_from_slice(b",\"state\":\"updated\",\"kind\":");
        json(out, kind);
        let _ = write!(out, ",\"modified\":{},\"data\":", self.number);
        out.extend_from_slice(data);
        out.extend_from_slice(b"}\n");
    }
}
