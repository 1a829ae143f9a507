//! A person token for a user who is present.

use reqwest::Method;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::wire::{Call, pause};
use super::{Bridge, Consent, Issuer, Next, PartnerError};
use crate::clock::{Clock, SystemClock};

const TRIES_MAX: u32 = 10;

/// A token names a person to this partner until the end of its epoch. It says nothing about the person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    pub person: String,
    pub epoch: u32,
    pub expires_at: String,
}

/// Whose token is wanted, and who says that they agree.
pub struct Wish<'a> {
    pub partner: &'a str,
    pub series: &'a str,
    pub ci: &'a str,
    /// Who acts for a child.
    pub guardian: Option<&'a str>,
    pub issuer: &'a Issuer,
}

#[derive(Serialize)]
struct Body<'a> {
    ci: &'a str,
    receipt: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    guardian: Option<&'a str>,
}

/// Asks for a token, each time with a receipt of its own: the route stores no reply, so a lost one is not repeated.
pub async fn token(bridge: &Bridge, wish: &Wish<'_>) -> Result<Token, PartnerError> {
    let mut tries = 1;
    loop {
        let at = SystemClock.now();
        let receipt = wish.issuer.receipt(&Consent { partner: wish.partner, series: wish.series, ci: wish.ci, at })?;
        let body = serde_json::to_vec(&Body { ci: wish.ci, receipt: &receipt, guardian: wish.guardian });
        let body = Zeroizing::new(body.map_err(|_| PartnerError::Answer { of: "token", what: "no JSON" })?);
        let call = Call { method: Method::POST, url: "/v1/persons/token", headers: Vec::new(), body: Some(&body) };
        let error = match bridge.send(&call).await.and_then(super::wire::Reply::done) {
            Ok(reply) => return reply.json("token"),
            Err(error) => error,
        };
        let wait = match error.next() {
            Next::Again(wait) if tries < TRIES_MAX && (wish.issuer.can_repeat() || is_undecided(&error)) => wait,
            _ => return Err(error),
        };
        tokio::time::sleep(wait.unwrap_or_else(|| pause(tries))).await;
        tries += 1;
    }
}

/// Refused before the receipt was looked at or counted as used.
fn is_undecided(error: &PartnerError) -> bool {
    ["rate_limited", "overloaded", "not_ready"].iter().any(|code| error.is(code))
}
