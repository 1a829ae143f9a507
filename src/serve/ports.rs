//! What the routes need of others.

use crate::domain::{PartnerId, PersonRef, Position, SeriesId, Timestamp};
use crate::intake::OpenToken;

/// Person tokens and consent receipts; `keys` implements it.
pub trait PersonTokens: OpenToken {
    /// Does the receipt hold for this partner and CI at `now`? Single use is the desk's business.
    fn check_receipt(
        &self,
        partner: &PartnerId,
        receipt: &str,
        ci: &[u8],
        now: Timestamp,
    ) -> Result<Option<SeriesId>, ReceiptFault>;
    /// Synthetic number (56 bits) that stands for a CI nobody knows; the same until the epoch ends.
    fn synthetic(&self, partner: &PartnerId, ci: &[u8], now: Timestamp) -> Result<u64, SealFailed>;
    fn seal(&self, partner: &PartnerId, person: PersonRef, now: Timestamp) -> Result<SealedToken, SealFailed>;
    /// From the approved mapping.
    fn limits(&self, partner: &PartnerId) -> TokenLimits;
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
#[derive(Debug, Clone)]
pub struct TokenAccess {
    pub partner: PartnerId,
    pub person: PersonRef,
    pub epoch: u32,
    pub at: Timestamp,
    /// Position that the ledger had reached.
    pub position: Position,
    pub acting: Acting,
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
