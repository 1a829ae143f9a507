//! Reading of request bodies, bounded in size and time.

use std::time::Duration;

use axum::extract::Request;
use bytes::Bytes;
use http::{HeaderMap, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};

use crate::answer::{Code, Problem};
use crate::intake::BODY_MAX;

use super::Api;

pub(super) async fn body(api: &Api, request: Request) -> Result<Bytes, Problem> {
    check_media(request.headers())?;
    let announced = request.headers().get(header::CONTENT_LENGTH).and_then(|n| n.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|bytes| bytes > BODY_MAX as u64) {
        return Err(Problem::new(Code::BodyTooLarge));
    }
    let whole = Limited::new(request.into_body(), BODY_MAX).collect();
    match tokio::time::timeout(Duration::from_millis(api.parts.settings.body_ms_max), whole).await {
        Err(_) => Err(Problem::new(Code::RequestTimeout)),
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Problem::new(Code::BodyTooLarge)),
        // The caller broke off or its chunks are malformed.
        Ok(Err(_)) => Err(Problem::new(Code::MalformedJson)),
    }
}

/// `application/json`, with no charset or UTF-8, and no Content-Encoding.
fn check_media(headers: &HeaderMap) -> Result<(), Problem> {
    let unsupported = || Problem::new(Code::UnsupportedMediaType);
    if headers.contains_key(header::CONTENT_ENCODING) {
        return Err(unsupported());
    }
    let mut values = headers.get_all(header::CONTENT_TYPE).iter();
    let value = values.next().and_then(|value| value.to_str().ok()).ok_or_else(unsupported)?;
    let mut parts = value.split(';').map(str::trim);
    let is_json = parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case("application/json"));
    let is_utf8 = parts.all(|part| {
        part.split_once('=').is_some_and(|(name, charset)| {
            name.eq_ignore_ascii_case("charset") && charset.trim_matches('"').eq_ignore_ascii_case("utf-8")
        })
    });
    if is_json && is_utf8 && values.next().is_none() { Ok(()) } else { Err(unsupported()) }
}
