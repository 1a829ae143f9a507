//! `POST /v1/persons/token`: a person token for a user who is present.
//!
//! Stores neither body nor reply. The same work is done whether the CI is registered or not: lookup, synthetic number,
//! sealing, the desk's limits, the access record.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};

use crate::answer::{Code, Problem};
use crate::decide::event::{Ask, TokenAsk};
use crate::domain::{PartnerId, PersonRef, Secret};
use crate::intake::{self, TokenBody, TokenCall};

use super::bookings::{answered, decide};
use super::feeds::off_worker;
use super::gate::Caller;
use super::headers::About;
use super::held;
use super::ports::{About as Whom, Acting, Consent, ReceiptFault, SealFailed, SealedToken, Synthetic, TokenAccess};
use super::schema::{ProblemAnswer, TokenAnswer};
use super::{Api, read};

impl From<ReceiptFault> for Problem {
    fn from(fault: ReceiptFault) -> Problem {
        match fault {
            ReceiptFault::Invalid => Problem::new(Code::ReceiptInvalid),
            ReceiptFault::Expired => Problem::new(Code::ReceiptExpired),
        }
    }
}

impl From<SealFailed> for Problem {
    fn from(error: SealFailed) -> Problem {
        tracing::error!(%error, "a person token could not be made");
        Problem::new(Code::Internal)
    }
}

/// A person token for a user who is present and has consented
#[utoipa::path(post, path = "/v1/persons/token", tag = "persons", operation_id = "personToken", request_body = TokenBody, responses(
    (status = 200, description = "One shape of answer whether the person is registered or not", body = TokenAnswer),
    (status = "4XX", description = "Problem", body = ProblemAnswer, content_type = "application/problem+json"),
    (status = "5XX", description = "Problem", body = ProblemAnswer, content_type = "application/problem+json"),
))]
pub(super) async fn token(
    State(api): State<Arc<Api>>,
    Extension(Caller { partner }): Extension<Caller>,
    request: Request,
) -> Result<Response, Problem> {
    let bytes = read::body(&api, request).await?;
    let call = TokenCall::check(intake::parse::<TokenBody>(&bytes)?)?;
    drop(bytes);
    held::refuse_token(&api, &partner)?;
    let now = api.parts.clock.now();
    let tokens = &api.parts.tokens;
    let acting = if call.guardian.is_some() { Acting::Guardian } else { Acting::Person };
    let Ready { person, consent, synthetic, sealed } = ready(&api, &partner, &call)?;
    if !api.parts.answers.load().passes_token(&partner, &sealed.text) {
        return Err(Problem::new(Code::Internal));
    }
    drop(call);
    let limits = tokens.limits(&partner);
    let before = synthetic.before.filter(|_| matches!(person, PersonRef::Nobody(_)));
    let ask = Ask::Token(TokenAsk {
        person,
        before: before.map(|(_, number)| PersonRef::Nobody(number)),
        receipt: api.parts.macs.receipt(&consent.single),
        epoch: sealed.epoch,
        overlap: synthetic.before.map(|(epoch, _)| epoch),
        day_max: limits.day_max,
        epoch_max: limits.epoch_max,
    });
    let decided = decide(&api, &partner, ask).await?;
    if decided.status != 200 {
        return Ok(answered(decided));
    }
    let position = decided.durable;
    let signed = consent.signed;
    let access = TokenAccess { partner, person, epoch: sealed.epoch, at: now, position, acting, signed };
    let work = api.clone();
    off_worker(move || work.parts.evidence.token_given(&access)).await?.map_err(|error| {
        tracing::error!(%error, "a token was not given out");
        Problem::new(Code::NotDurable)
    })?;
    let SealedToken { text, epoch, expires_at } = sealed;
    let body = TokenAnswer { person: text, epoch, expires_at: expires_at.rfc3339() };
    let mut response = Json(body).into_response();
    response.extensions_mut().insert(About { cursor: Some(position), freshness: None });
    Ok(response)
}

/// All that the desk does not decide.
struct Ready {
    person: PersonRef,
    consent: Consent,
    synthetic: Synthetic,
    sealed: SealedToken,
}

fn ready(api: &Api, partner: &PartnerId, call: &TokenCall) -> Result<Ready, Problem> {
    let table = api.parts.view.ci().ok_or(Problem::new(Code::NotReady))?;
    let (now, tokens) = (api.parts.clock.now(), &api.parts.tokens);
    let about = Whom { ci: call.ci.expose(), guardian: call.guardian.as_ref().map(Secret::expose) };
    let consent = tokens.check_receipt(partner, &call.receipt, about, now)?;
    let known = table.person(call.ci.expose());
    // Also for a CI that is known: the work is the same.
    let synthetic = tokens.synthetic(partner, call.ci.expose(), now)?;
    let person = known.map_or(PersonRef::Nobody(synthetic.number), PersonRef::Known);
    Ok(Ready { person, consent, synthetic, sealed: tokens.seal(partner, person, now)? })
}
