//! What happens to every request before and after its handler: host, identity, rate, panics, problem bodies, headers.

use std::sync::Arc;
use std::time::Instant;

use axum::Extension;
use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, header};
use uuid::Uuid;

use crate::answer::{Code, Problem};
use crate::domain::PartnerId;
use crate::intake::{Fault, FaultKind};

use super::headers::{self, About};
use super::rate::Taken;
use super::{Answered, Api, Peer};

/// Who makes the request.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    pub(super) partner: PartnerId,
}

/// A problem travels as an extension; the gate writes its body.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, Extension(self)).into_response()
    }
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Problem {
        let code = match fault.kind {
            FaultKind::MalformedJson => Code::MalformedJson,
            FaultKind::InvalidUtf8 => Code::InvalidUtf8,
            FaultKind::UnknownMember => Code::UnknownMember,
            FaultKind::DuplicateMember => Code::DuplicateMember,
            FaultKind::MissingMember => Code::MissingMember,
            FaultKind::WrongType => Code::WrongType,
            FaultKind::InvalidValue => Code::InvalidValue,
            FaultKind::PartnerRefPersonal => Code::PartnerRefPersonal,
            FaultKind::MissingKey => Code::MissingIdempotencyKey,
            FaultKind::BadKey => Code::BadIdempotencyKey,
            FaultKind::UnknownPersonToken => Code::UnknownPersonToken,
            FaultKind::PersonTokenExpired => Code::PersonTokenExpired,
        };
        let mut problem = Problem::new(code);
        problem.member = fault.member;
        problem.detail = fault.allowed;
        problem
    }
}

pub(super) async fn gate(State(api): State<Arc<Api>>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = Uuid::now_v7();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let peer = request.extensions().get::<Peer>().cloned().unwrap_or(Peer::Loopback);
    let partner = api.parts.partners.load().who(&peer, request.headers()).cloned();
    let mut known = None;
    let response = if !is_our_host(&api.parts.settings.hosts, &request) {
        Problem::new(Code::MisdirectedRequest).into_response()
    } else if is_open(&peer, request.uri().path()) {
        handled(request, next).await
    } else if let Some(partner) = &partner {
        let taken = api.reads.take(partner, api.parts.clock.now());
        known = Some(taken);
        match taken {
            Taken::Empty => Problem::new(Code::RateLimited).into_response(),
            Taken::Left(_) => {
                request.extensions_mut().insert(Caller { partner: partner.clone() });
                handled(request, next).await
            }
        }
    } else {
        Problem::new(Code::Unauthenticated).into_response()
    };
    let mut response = as_problem(response);
    let code = write_problem(&api, id, &peer, &mut response);
    if let Some(taken) = known {
        let about = response.extensions_mut().remove::<About>().unwrap_or_default();
        headers::stamp(&api, about, &id.to_string(), taken, response.headers_mut());
    }
    let partner = known.and(partner.as_ref());
    let took_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
    let route = route.as_ref().map(MatchedPath::as_str);
    let (method, status) = (method.as_str(), response.status().as_u16());
    api.parts.health.answered(&Answered { partner, route, method, status, code, took_us });
    response
}

/// A panic of a handler is one 500; a caller that hangs up does not stop what it asked for.
async fn handled(request: Request, next: Next) -> Response {
    match tokio::spawn(next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::new(Code::Internal).into_response(),
    }
}

/// Errors that the router made itself become problems; what they say beyond their status is kept in headers.
fn as_problem(response: Response) -> Response {
    let status = response.status();
    let is_ours =
        response.extensions().get::<Problem>().is_some() || response.headers().contains_key(header::CONTENT_TYPE);
    let is_error = status.is_client_error() || status.is_server_error();
    let code = match status {
        // The router's only plain-text refusal of a path.
        StatusCode::BAD_REQUEST => Code::InvalidUtf8,
        StatusCode::METHOD_NOT_ALLOWED => Code::MethodNotAllowed,
        StatusCode::NOT_FOUND => Code::NotFound,
        _ => Code::Internal,
    };
    let is_bare_400 = status == StatusCode::BAD_REQUEST && is_plain(response.headers());
    if !is_error || (is_ours && !is_bare_400) {
        return response;
    }
    let allow = response.headers().get(header::ALLOW).cloned();
    let mut problem = Problem::new(code).into_response();
    if let Some(allow) = allow {
        problem.headers_mut().insert(header::ALLOW, allow);
    }
    problem
}

fn is_plain(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/plain"))
}

fn write_problem(api: &Api, id: Uuid, peer: &Peer, response: &mut Response) -> Option<&'static str> {
    // Spread over 1 to 4 s by the random bits of the request's id, so that refused callers do not return at once together.
    let wait_s = 1 + u32::from(id.as_bytes()[15] & 3);
    if let Some(mut problem) = response.extensions_mut().remove::<Problem>() {
        if matches!(problem.status(), 429 | 503) {
            problem.retry_after_ms.get_or_insert(wait_s * 1_000);
        }
        let wait_s = problem.retry_after_ms.map_or(wait_s, |ms| ms.div_ceil(1_000));
        let body = problem.body(&api.parts.answers.load().place);
        *response.body_mut() = Body::from(body);
        headers::set(response.headers_mut(), "content-type", "application/problem+json");
        if problem.code == Code::Unauthenticated && *peer == Peer::Loopback {
            headers::set(response.headers_mut(), "www-authenticate", "Bearer");
        }
        if problem.code == Code::RequestTimeout {
            headers::set(response.headers_mut(), "connection", "close");
        }
        response.headers_mut().remove(header::CONTENT_LENGTH);
        finish(response, wait_s);
        return Some(problem.code.code());
    }
    finish(response, wait_s);
    None
}

fn finish(response: &mut Response, wait_s: u32) {
    if matches!(response.status().as_u16(), 429 | 503) {
        headers::set(response.headers_mut(), "retry-after", &wait_s.to_string());
    }
    if !response.headers().contains_key(header::CACHE_CONTROL) {
        headers::set(response.headers_mut(), "cache-control", "private, no-store");
    }
}

/// Without identity: liveness and documentation. Readiness and metrics on loopback only.
fn is_open(peer: &Peer, path: &str) -> bool {
    matches!(path, "/healthz" | "/openapi.json" | "/docs")
        || path.starts_with("/problems/")
        || (*peer == Peer::Loopback && matches!(path, "/readyz" | "/metrics"))
}

/// Every host that the request names, in its target or in a header, is ours, and it names one.
fn is_our_host(hosts: &[String], request: &Request) -> bool {
    let target = request.uri().authority().map(|authority| authority.as_str());
    let headers = request.headers().get_all(header::HOST).iter().map(|value| value.to_str().unwrap_or_default());
    let mut named = target.into_iter().chain(headers).peekable();
    named.peek().is_some() && named.all(|host| is_one_of(hosts, host))
}

fn is_one_of(hosts: &[String], host: &str) -> bool {
    let name = match host.rfind(':') {
        Some(at) if !host.ends_with(']') => &host[..at],
        _ => host,
    };
    hosts.iter().any(|known| known.eq_ignore_ascii_case(host) || known.eq_ignore_ascii_case(name))
}
