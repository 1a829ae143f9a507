//! What a note states before its body: the decision, about what, by whom drawn up, valid when. Text form and back.
//!
//! Reading is lenient, for nothing is believed for being read: whoever reads renders the text again and compares.

use serde::Serialize;

use crate::domain::Timestamp;

use super::flaw::Flaw;
use super::key::is_name;
use super::text::{SIGNATURE, refuse_hidden};

const NONE: &str = "없음";
const NOT_APPLICABLE: &str = "해당 없음";
const NOT_A_DOCUMENT: &str = "이 서명은 전자결재를 대신하지 않습니다.";
/// Bound of one line that a person writes.
const LINE_CHARS_MAX: usize = 500;
/// Stops that one approval may lift.
const LIFTS_MAX: usize = 20;

/// 결정.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    Approve,
    /// 보완 요구
    Amend,
    Reject,
    /// 제공 중지
    Stop,
    Roster,
    Policy,
}

impl Decision {
    pub const ALL: [Decision; 6] =
        [Decision::Approve, Decision::Amend, Decision::Reject, Decision::Stop, Decision::Roster, Decision::Policy];

    pub fn ko(self) -> &'static str {
        match self {
            Decision::Approve => "승인",
            Decision::Amend => "보완 요구",
            Decision::Reject => "반려",
            Decision::Stop => "제공 중지",
            Decision::Roster => "명부",
            Decision::Policy => "정책",
        }
    }

    pub fn code(self) -> &'static str {
        match self {
            Decision::Approve => "approve",
            Decision::Amend => "amend",
            Decision::Reject => "reject",
            Decision::Stop => "stop",
            Decision::Roster => "roster",
            Decision::Policy => "policy",
        }
    }

    /// Says yes, and therefore counts towards a quorum.
    pub fn is_yes(self) -> bool {
        matches!(self, Decision::Approve | Decision::Roster | Decision::Policy)
    }

    pub fn is_refusal(self) -> bool {
        matches!(self, Decision::Amend | Decision::Reject)
    }
}

/// 의견.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Opinion {
    Fit,
    /// Does not publish until a later note of the same officer or role says `Fit`.
    Conditional,
    Unfit,
}

impl Opinion {
    pub const ALL: [Opinion; 3] = [Opinion::Fit, Opinion::Conditional, Opinion::Unfit];

    pub fn ko(self) -> &'static str {
        match self {
            Opinion::Fit => "적합",
            Opinion::Conditional => "조건부 적합",
            Opinion::Unfit => "부적합",
        }
    }

    pub fn code(self) -> &'static str {
        match self {
            Opinion::Fit => "fit",
            Opinion::Conditional => "conditional",
            Opinion::Unfit => "unfit",
        }
    }
}

/// Who signs for whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Deputy {
    pub delegator: String,
    pub delegate: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Header {
    pub decision: Decision,
    pub opinion: Opinion,
    /// Mapping id, `officers` or `policy`.
    pub subject: String,
    pub version: u32,
    /// Of what is decided, hex.
    pub digest: String,
    /// Digest of the approved version that the verdict is against.
    pub base: Option<String>,
    /// Digest of the roster that the signers stand in.
    pub roster: String,
    /// Stated by whoever signs.
    pub signed_at: Timestamp,
    /// Of an approval: first instant, and the first at which it no longer holds.
    pub validity: Option<(Timestamp, Timestamp)>,
    /// Digest of the note before, of the same mapping.
    pub previous: Option<String>,
    /// Digests of the 제공 중지 notes that this approval ends.
    pub lifts: Vec<String>,
    /// 기안자: id of the officer, or name of whoever drew it up.
    pub author: String,
    pub deputy: Option<Deputy>,
    /// 검토번호.
    pub review_no: String,
    /// 전자문서 생산등록번호, given by the agency's document system.
    pub document_no: Option<String>,
    pub reason: Option<String>,
}

impl Header {
    /// The lines between the origin and the body.
    pub(super) fn render(&self, verdict: Option<&str>) -> String {
        let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| NONE.to_owned());
        let grouped = |digest: &Option<String>| digest.as_deref().map_or(NONE.to_owned(), in_fours);
        let lifts: Vec<String> = self.lifts.iter().map(|digest| in_fours(digest)).collect();
        let lines = [
            ("결정", self.decision.ko().to_owned()),
            ("의견", self.opinion.ko().to_owned()),
            ("대상", self.subject.clone()),
            ("대상 판", self.version.to_string()),
            ("승인 다이제스트", in_fours(&self.digest)),
            ("판정", verdict.unwrap_or(NOT_APPLICABLE).to_owned()),
            ("직전 승인본", grouped(&self.base)),
            ("서명 명부", in_fours(&self.roster)),
            ("서명 시각", self.signed_at.rfc3339()),
            (
                "유효 기간",
                self.validity.map_or(NOT_APPLICABLE.to_owned(), |(from, until)| {
                    format!("{} ~ {}", from.rfc3339(), until.rfc3339())
                }),
            ),
            ("이전 기록", grouped(&self.previous)),
            ("해제하는 중지", if lifts.is_empty() { NONE.to_owned() } else { lifts.join(", ") }),
            ("기안자", self.author.clone()),
            ("대결", self.deputy.as_ref().map_or(NONE.to_owned(), |d| format!("{} → {}", d.delegator, d.delegate))),
            ("검토번호", self.review_no.clone()),
            ("전자문서 생산등록번호", or_none(&self.document_no)),
            ("사유", or_none(&self.reason)),
        ];
        let mut text: String = lines.iter().map(|(label, value)| format!("{label}: {value}\n")).collect();
        text.push_str(NOT_A_DOCUMENT);
        text.push('\n');
        text
    }

    /// Reads the lines after the origin.
    ///
    /// # Errors
    /// A line that is not there or says nothing known.
    pub fn parse(text: &str) -> Result<Header, Flaw> {
        let mut lines = text.lines().skip(1);
        let mut next = |label: &'static str| -> Result<&str, Flaw> {
            let value = lines.next().and_then(|line| line.strip_prefix(label)?.strip_prefix(": "));
            value.ok_or_else(|| unread(label))
        };
        let decision = next("결정")?;
        let opinion = next("의견")?;
        let header = Header {
            decision: Decision::ALL.into_iter().find(|d| d.ko() == decision).ok_or_else(|| unread("결정"))?,
            opinion: Opinion::ALL.into_iter().find(|o| o.ko() == opinion).ok_or_else(|| unread("의견"))?,
            subject: next("대상")?.to_owned(),
            version: next("대상 판")?.parse().map_err(|_| unread("대상 판"))?,
            digest: from_fours(next("승인 다이제스트")?).ok_or_else(|| unread("승인 다이제스트"))?,
            base: {
                let _verdict = next("판정")?;
                optional_digest(next("직전 승인본")?).ok_or_else(|| unread("직전 승인본"))?
            },
            roster: from_fours(next("서명 명부")?).ok_or_else(|| unread("서명 명부"))?,
            signed_at: instant(next("서명 시각")?).ok_or_else(|| unread("서명 시각"))?,
            validity: validity(next("유효 기간")?).ok_or_else(|| unread("유효 기간"))?,
            previous: optional_digest(next("이전 기록")?).ok_or_else(|| unread("이전 기록"))?,
            lifts: lifts(next("해제하는 중지")?).ok_or_else(|| unread("해제하는 중지"))?,
            author: next("기안자")?.to_owned(),
            deputy: deputy(next("대결")?).ok_or_else(|| unread("대결"))?,
            review_no: next("검토번호")?.to_owned(),
            document_no: optional(next("전자문서 생산등록번호")?),
            reason: optional(next("사유")?),
        };
        header.check()?;
        Ok(header)
    }

    /// Do the values fit each other, and does none of them break its line?
    ///
    /// # Errors
    /// The first that does not.
    pub(super) fn check(&self) -> Result<(), Flaw> {
        let written = [
            ("author", Some(&self.author)),
            ("review_no", Some(&self.review_no)),
            ("document_no", self.document_no.as_ref()),
            ("reason", self.reason.as_ref()),
            ("subject", Some(&self.subject)),
        ];
        for (what, value) in written {
            let Some(value) = value else { continue };
            refuse_hidden(value, what)?;
            let is_line = !value.contains('\n') && !value.starts_with(SIGNATURE) && value.trim() == value;
            if value.is_empty() || !is_line || value.chars().count() > LINE_CHARS_MAX {
                return Err(Flaw::Incomplete { what });
            }
        }
        let opinion_fits = match self.decision {
            Decision::Approve => self.opinion != Opinion::Unfit,
            Decision::Roster | Decision::Policy => self.opinion == Opinion::Fit,
            Decision::Amend => self.opinion != Opinion::Fit,
            Decision::Reject | Decision::Stop => self.opinion == Opinion::Unfit,
        };
        if !opinion_fits {
            return Err(Flaw::Opinion { opinion: self.opinion.code(), decision: self.decision.code() });
        }
        let needs_reason = !self.decision.is_yes() || self.opinion != Opinion::Fit;
        if needs_reason && self.reason.as_ref().is_none_or(|reason| reason == NONE) {
            return Err(Flaw::Incomplete { what: "reason" });
        }
        if self.author == NONE {
            return Err(Flaw::Incomplete { what: "author" });
        }
        if (self.decision == Decision::Approve) != self.validity.is_some() {
            return Err(Flaw::Incomplete { what: "validity" });
        }
        if self.validity.is_some_and(|(from, until)| from >= until) {
            return Err(Flaw::Validity { days: 0 });
        }
        if self.decision != Decision::Approve && !self.lifts.is_empty() {
            return Err(Flaw::Incomplete { what: "an approval that lifts" });
        }
        Ok(())
    }
}

fn unread(label: &str) -> Flaw {
    Flaw::NotANote { what: "the text".to_owned(), why: format!("no line {label} that can be read") }
}

/// Hex in groups of four, as people compare it.
pub fn in_fours(digest: &str) -> String {
    let groups: Vec<&str> = digest.as_bytes().chunks(4).map(|g| std::str::from_utf8(g).unwrap_or("")).collect();
    groups.join(" ")
}

fn from_fours(text: &str) -> Option<String> {
    let digest = text.replace(' ', "");
    let is_digest = digest.len() == 64 && digest.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    is_digest.then_some(digest)
}

fn optional(text: &str) -> Option<String> {
    (text != NONE).then(|| text.to_owned())
}

fn optional_digest(text: &str) -> Option<Option<String>> {
    if text == NONE { Some(None) } else { from_fours(text).map(Some) }
}

fn instant(text: &str) -> Option<Timestamp> {
    Timestamp::parse_rfc3339(text).ok()
}

fn validity(text: &str) -> Option<Option<(Timestamp, Timestamp)>> {
    if text == NOT_APPLICABLE {
        return Some(None);
    }
    let (from, until) = text.split_once(" ~ ")?;
    Some(Some((instant(from)?, instant(until)?)))
}

fn lifts(text: &str) -> Option<Vec<String>> {
    if text == NONE {
        return Some(Vec::new());
    }
    let digests: Vec<String> = text.split(", ").map(from_fours).collect::<Option<_>>()?;
    (digests.len() <= LIFTS_MAX).then_some(digests)
}

fn deputy(text: &str) -> Option<Option<Deputy>> {
    if text == NONE {
        return Some(None);
    }
    let (delegator, delegate) = text.split_once(" → ")?;
    let named = is_name(delegator) && is_name(delegate);
    named.then(|| Some(Deputy { delegator: delegator.to_owned(), delegate: delegate.to_owned() }))
}
