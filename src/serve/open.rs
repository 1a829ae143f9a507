//! Health, metrics and documentation: no identity, no state of anybody.

use std::fmt::Write;
use std::sync::{Arc, LazyLock};

use axum::extract::{Path, State};
use axum::response::{Html, IntoResponse, Response};
use http::StatusCode;
use utoipa::openapi::OpenApi;

use crate::answer::{Code, Problem};

use super::Api;
use super::headers;
use super::router::{document, openapi_json};

pub(super) async fn alive() -> Response {
    plain("ok\n".to_owned(), StatusCode::OK)
}

pub(super) async fn ready(State(api): State<Arc<Api>>) -> Response {
    let missing = api.parts.health.not_ready();
    if missing.is_empty() {
        return plain("ready\n".to_owned(), StatusCode::OK);
    }
    plain(format!("{}\n", missing.join("\n")), StatusCode::SERVICE_UNAVAILABLE)
}

pub(super) async fn metrics(State(api): State<Arc<Api>>) -> Response {
    let mut response = plain(api.parts.health.metrics(), StatusCode::OK);
    headers::set(response.headers_mut(), "content-type", "application/openmetrics-text; version=1.0.0; charset=utf-8");
    response
}

fn plain(text: String, status: StatusCode) -> Response {
    (status, text).into_response()
}

pub(super) async fn openapi() -> Response {
    static DOCUMENT: LazyLock<String> = LazyLock::new(openapi_json);
    let mut response = DOCUMENT.as_str().into_response();
    headers::set(response.headers_mut(), "content-type", "application/json");
    headers::set(response.headers_mut(), "cache-control", "public, max-age=300");
    response
}

pub(super) async fn docs() -> Response {
    static PAGE: LazyLock<String> = LazyLock::new(|| page(&document()));
    let mut response = Html(PAGE.as_str()).into_response();
    headers::set(response.headers_mut(), "cache-control", "public, max-age=300");
    response
}

pub(super) async fn problem(Path(slug): Path<String>) -> Result<Response, Problem> {
    let code = Code::from_slug(&slug).ok_or(Problem::new(Code::NotFound))?;
    let mut body = format!("{HEAD}<h1>{}</h1>", code.title());
    describe(&mut body, code);
    Ok(Html(body).into_response())
}

const HEAD: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>slotbridge</title>\
    <style>body{font:16px/1.5 sans-serif;max-width:60em;margin:2em auto;padding:0 1em}\
    td,th{text-align:left;padding:.2em 1em .2em 0;vertical-align:top}code{font-size:.95em}</style>";

/// One page without anything to fetch: routes and codes.
fn page(document: &OpenApi) -> String {
    let mut body = format!("{HEAD}<h1>slotbridge partner API</h1>");
    body.push_str("<p>Machine-readable: <a href=\"/openapi.json\">/openapi.json</a></p><h2>Routes</h2><table>");
    for (path, item) in &document.paths.paths {
        let methods = [("GET", &item.get), ("POST", &item.post), ("DELETE", &item.delete)];
        for (method, operation) in methods.into_iter().filter_map(|(m, o)| o.as_ref().map(|o| (m, o))) {
            let what = operation.summary.as_deref().unwrap_or_default();
            let _ = write!(body, "<tr><td>{method}</td><td><code>{path}</code></td><td>{what}</td></tr>");
        }
    }
    body.push_str("</table><h2>Problem codes</h2>");
    for code in Code::ALL {
        let _ = write!(body, "<h3 id=\"{}\"><code>{}</code></h3>", code.slug(), code.code());
        describe(&mut body, *code);
    }
    body
}

fn describe(body: &mut String, code: Code) {
    let _ = write!(
        body,
        "<p>{}. Status {}, retry <code>{}</code>. {}</p><p lang=\"ko\">{}</p><p>{}</p>",
        code.title(),
        code.status(),
        code.retry().code(),
        code.doc(),
        code.text_ko(),
        code.text_en()
    );
}
