//! RFC 9457 bodies.

use bytes::Bytes;

use super::{Code, Node, Object};

/// Where problems are documented and where a person reads the reason of `not_bookable`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// `type` is this, `/` and the code's slug. No slash at the end.
    pub problems_url: String,
    pub help_url: String,
}

/// A hold ends when a person acts or a view is looked at again: once a minute is soon enough.
const HELD_RETRY_MS: u32 = 60_000;

/// One problem. Holds our own words and numbers only; a value that the caller sent has no member to stand in.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    pub code: Code,
    pub detail: Option<&'static str>,
    /// Name of the member or parameter that is at fault.
    pub member: Option<String>,
    pub retry_after_ms: Option<u32>,
    /// Further members, made by `render`.
    pub(super) more: Vec<(&'static str, Node)>,
}

impl Problem {
    pub fn new(code: Code) -> Problem {
        Problem { code, detail: None, member: None, retry_after_ms: None, more: Vec::new() }
    }

    /// What was asked for is held. Nobody lifts a hold within seconds.
    pub fn feed_held(reason: &'static str) -> Problem {
        Problem::new(Code::FeedHeld).retry_after_ms(HELD_RETRY_MS).with("reason", reason)
    }

    pub fn detail(mut self, detail: &'static str) -> Problem {
        self.detail = Some(detail);
        self
    }

    pub fn member(mut self, member: impl Into<String>) -> Problem {
        self.member = Some(member.into());
        self
    }

    pub fn retry_after_ms(mut self, ms: u32) -> Problem {
        self.retry_after_ms = Some(ms);
        self
    }

    pub(super) fn with(mut self, name: &'static str, node: impl Into<Node>) -> Problem {
        self.more.push((name, node.into()));
        self
    }

    pub fn status(&self) -> u16 {
        self.code.status()
    }

    /// `application/problem+json`. Members in a fixed order, so equal problems are equal bytes.
    pub fn body(&self, place: &Place) -> Bytes {
        let code = self.code;
        let mut texts = Object::default();
        texts.put("ko", code.text_ko());
        texts.put("en", code.text_en());
        let mut body = Object::default();
        body.put("type", format!("{}/{}", place.problems_url, code.slug()));
        body.put("title", code.title());
        body.put("status", u64::from(code.status()));
        body.put("code", code.code());
        body.put("detail", self.detail.unwrap_or(code.doc()));
        body.put("user_message", texts);
        body.put("retry", code.retry().code());
        if let Some(ms) = self.retry_after_ms {
            body.put("retry_after_ms", u64::from(ms));
        }
        if let Some(member) = &self.member {
            body.put("member", member.clone());
        }
        if code == Code::NotBookable {
            body.put("help_url", place.help_url.clone());
        }
        for (name, node) in &self.more {
            body.put(*name, node.clone());
        }
        body.bytes()
    }
}

impl From<Code> for Problem {
    fn from(code: Code) -> Problem {
        Problem::new(code)
    }
}
