//! RPDE pages and snapshots.

use std::fmt;
use std::sync::Arc;

use ring::digest;

use super::cursor::LIMIT_DEFAULT;
use super::item::{Item, json};
use crate::domain::Position;

/// Address of a page. Shown with its parameters in fixed order, so that equal queries have equal URLs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageUrl<'a> {
    /// Absolute address of the feed, without a query.
    pub feed: &'a str,
    pub after: Option<u64>,
    /// As written in the request.
    pub limit: Option<u32>,
    pub walk: Option<u64>,
}

impl fmt::Display for PageUrl<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.feed)?;
        let limit = self.limit.map(u64::from);
        let mut mark = '?';
        for (name, value) in [("afterChangeNumber", self.after), ("limit", limit), ("walk", self.walk)] {
            if let Some(value) = value {
                write!(f, "{mark}{name}={value}")?;
                mark = '&';
            }
        }
        Ok(())
    }
}

impl<'a> PageUrl<'a> {
    /// Address of the page after this one, whose last item is `last`: this very address when nothing was read.
    /// A walk from the beginning is marked with the feed's `walk`; one that came without a mark, with its cursor.
    pub fn next(self, last: Option<Position>, walk: Position) -> PageUrl<'a> {
        let Some(last) = last else { return self };
        PageUrl {
            feed: self.feed,
            after: Some(last.0),
            limit: Some(self.limit.unwrap_or(LIMIT_DEFAULT)),
            walk: Some(self.walk.or(self.after).unwrap_or(walk.0)),
        }
    }
}

/// The page at `asked`. `items` ascend by number; `walk` is the feed's mark for walks that begin now.
pub fn render(asked: PageUrl<'_>, walk: Position, kind: &str, license: &str, items: &[Arc<Item>]) -> Vec<u8> {
    let bytes: usize = items.iter().map(|item| 96 + item.data.as_ref().map_or(0, |data| data.len())).sum();
    let mut out = Vec::with_capacity(bytes + 256);
    out.extend_from_slice(b"{\"next\":");
    json(&mut out, &asked.next(items.last().map(|item| item.number), walk).to_string());
    out.extend_from_slice(b",\"items\":[");
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        item.write_rpde(kind, &mut out);
    }
    out.extend_from_slice(b"],\"license\":");
    json(&mut out, license);
    out.push(b'}');
    out
}

/// NDJSON of the live items.
pub fn snapshot(kind: &str, items: &[Arc<Item>]) -> Vec<u8> {
    let mut out = Vec::new();
    for item in items {
        item.write_snapshot_line(kind, &mut out);
    }
    out
}

/// Strong validator: 128 bits of SHA-256 of the bytes, quoted.
pub fn etag(body: &[u8]) -> String {
    let digest = digest::digest(&digest::SHA256, body);
    let mut tag = String::with_capacity(34);
    tag.push('"');
    for byte in &digest.as_ref()[..16] {
        tag.push_str(&format!("{byte:02x}"));
    }
    tag.push('"');
    tag
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::data_of;
    use crate::privacy::Record;
    use serde_json::json;

    const FEED: &str = "https://bridge.example/v1/feeds/slots";

    fn url(after: Option<u64>, limit: Option<u32>, walk: Option<u64>) -> PageUrl<'static> {
        PageUrl { feed: FEED, after, limit, walk }
    }

    fn items() -> Vec<Arc<Item>> {
        let fields = vec![(Arc::from("remaining"), json!("1-4")), (Arc::from("note"), json!("가\"\n"))];
        let record = Record { id: Arc::from("s-1"), fields };
        vec![
            Arc::new(Item { number: Position(7), id: Arc::from("s-1"), data: Some(data_of(&record)) }),
            Arc::new(Item { number: Position(9), id: Arc::from("s-2"), data: None }),
        ]
    }

    #[test]
    fn a_page_is_these_bytes() {
        let page = render(url(None, None, None), Position(5), "slot", "https://bridge.example/license", &items());
        assert_eq!(
            String::from_utf8(page).unwrap(),
            concat!(
                r#"{"next":"https://bridge.example/v1/feeds/slots?afterChangeNumber=9&limit=500&walk=5","items":["#,
                r#"{"state":"updated","kind":"slot","id":"s-1","modified":7,"data":{"remaining":"1-4","note":"가\"\n"}},"#,
                r#"{"state":"deleted","kind":"slot","id":"s-2","modified":9}"#,
                r#"],"license":"https://bridge.example/license"}"#
            )
        );
    }

    #[test]
    fn a_snapshot_holds_live_items_only() {
        assert_eq!(
            String::from_utf8(snapshot("slot", &items())).unwrap(),
            concat!(
                r#"{"id":"s-1","state":"updated","kind":"slot","modified":7,"#,
                r#""data":{"remaining":"1-4","note":"가\"\n"}}"#,
                "\n"
            )
        );
    }

    #[test]
    fn an_empty_page_names_itself_byte_for_byte() {
        for (asked, text) in [
            (url(None, None, None), FEED.to_owned()),
            (url(None, Some(1_000), None), format!("{FEED}?limit=1000")),
            (url(Some(9), None, None), format!("{FEED}?afterChangeNumber=9")),
            (url(Some(9), Some(500), Some(5)), format!("{FEED}?afterChangeNumber=9&limit=500&walk=5")),
        ] {
            assert_eq!(asked.next(None, Position(3)).to_string(), text);
        }
    }

    #[test]
    fn next_keeps_the_limit_and_the_walk_it_began_with() {
        let last = Some(Position(20));
        for (asked, query) in [
            (url(None, Some(5_000), None), "afterChangeNumber=20&limit=5000&walk=3"),
            (url(Some(9), None, None), "afterChangeNumber=20&limit=500&walk=9"),
            (url(Some(9), Some(1_000), Some(2)), "afterChangeNumber=20&limit=1000&walk=2"),
        ] {
            assert_eq!(asked.next(last, Position(3)).to_string(), format!("{FEED}?{query}"));
        }
    }

    #[test]
    fn equal_bytes_have_equal_tags_and_others_do_not() {
        assert_eq!(etag(b"a"), etag(b"a"));
        assert_ne!(etag(b"a"), etag(b"b"));
        assert_eq!(etag(b"a").len(), 34);
    }
}
