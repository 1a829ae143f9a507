//! What the routes need of others.

use crate::domain::{PartnerId, PersonRef, Position, Timestamp};
use crate::intake::OpenToken;

/// Person tokens and consent receipts; `keys` implements it.
pub trait PersonTokens: OpenToken {
    /// Does the receipt hold for this partner, CI and guardian at `now`? Single use is the desk's business.
    fn check_receipt(
        &self,
        partner: &PartnerId,
        receipt: &str,
        about: About<'_>,
        now: Timestamp,
    ) -> Result<Consent, ReceiptFault>;
    /// Synthetic numbers (56 bits) that stand for a CI nobody knows; the same until their epochs end.
    fn synthetic(&self, partner: &PartnerId, ci: &[u8], now: Timestamp) -> Result<Synthetic, SealFailed>;
    fn seal(&self, partner: &PartnerId, person: PersonRef, now: Timestamp) -> Result<SealedToken, SealFailed>;
    /// From the approved mapping.
    fn limits(&self, partner: &PartnerId) -> TokenLimits;
}

/// Whom a receipt must be about.
#[derive(Clone, Copy)]
pub struct About<'a> {
    pub ci: &'a [u8],
    /// CI of the guardian who acts for a child.
    pub guardian: Option<&'a [u8]>,
}

/// What a receipt that holds says.
#[derive(Clone)]
pub struct Consent {
    /// Who signed it and its id: whatever else the text says, it is the same receipt.
    pub single: String,
    pub signed: SignedConsent,
}

#[derive(Clone)]
pub enum SignedConsent {
    /// By an issuer that the partner does not control.
    ByIssuer,
    /// By the partner itself.
    ByPartner { audit: Audit },
}

/// What is kept of a self-signed receipt if it falls into the sample: nothing that fits one CI more than another.
#[derive(Clone)]
pub struct Audit {
    pub receipt: String,
    pub commitment: String,
    /// Drawn at random, before anybody looked whether the CI is known.
    pub is_drawn: bool,
}

/// Numbers of one unknown CI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Synthetic {
    pub number: u64,
    /// In the epoch that still overlaps: epoch, number.
    pub before: Option<(u32, u64)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReceiptFault {
    Invalid,
    Expired,
}

/// A token ready to be given out.
#[derive(Clone)]
pub struct SealedToken {
    pub text: String,
    pub epoch: u32,
    pub expires_at: Timestamp,
}

/// The partner has no usable key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no usable token key for the partner")]
pub struct SealFailed;

/// Distinct persons a partner may look up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenLimits {
    pub day_max: u32,
    pub epoch_max: u32,
}

/// A token was given out; `evidence` records it before the partner reads it.
#[derive(Clone)]
pub struct TokenAccess {
    pub partner: PartnerId,
    pub person: PersonRef,
    pub epoch: u32,
    pub at: Timestamp,
    /// Position that the ledger had reached.
    pub position: Position,
    pub acting: Acting,
    pub signed: SignedConsent,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acting {
    Person,
    Guardian,
}

pub trait RecordAccess: Send + Sync {
    fn token_given(&self, access: &TokenAccess) -> Result<(), RecordFailed>;
}

#[derive(Debug, thiserror::Error)]
#[error("the access record could not be written: {cause}")]
pub struct RecordFailed {
    pub cause: String,
}

/// Operation of the daemon, as seen from outside.
pub trait Health: Send + Sync {
    /// What is not ready yet, in our own words; empty when the daemon may take traffic.
    fn not_ready(&self) -> Vec<String>;
    /// Prometheus text.
    fn metrics(&self) -> String;
    /// One response of the API.
    fn answered(&self, answered: &Answered<'_>);
}

/// For metrics and logs: names and numbers only.
#[derive(Debug, Clone)]
pub struct Answered<'a> {
    pub partner: Option<&'a PartnerId>,
    /// Template of the path (`/v1/bookings/{id}`); `None` when nothing matched.
    pub route: Option<&'a str>,
    pub method: &'a str,
    pub status: u16,
    /// Problem code, where the gate knows it (stored replies of the desk carry theirs in the body).
    pub code: Option<&'static str>,
    pub took_us: u64,
}
