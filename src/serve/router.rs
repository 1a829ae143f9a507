//! Routes, and the document that describes them.

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use utoipa::openapi::path::Parameter;
use utoipa::openapi::schema::{SchemaType, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, RefOr, Schema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::answer::{Code, Problem};

use super::{API_VERSION, Api, bookings, feeds, gate, open, persons, search, slots};

fn documented() -> OpenApiRouter<Arc<Api>> {
    let info = InfoBuilder::new()
        .title("slotbridge partner API")
        .version(API_VERSION)
        .description(Some("Feeds, bookings and person tokens. Problem codes are documented at /docs."))
        .license(Some(LicenseBuilder::new().name("MIT OR Apache-2.0").build()));
    OpenApiRouter::with_openapi(OpenApiBuilder::new().info(info.build()).build())
        .routes(routes!(feeds::list))
        .routes(routes!(feeds::page))
        .routes(routes!(feeds::newest_snapshot))
        .routes(routes!(feeds::snapshot))
        .routes(routes!(slots::look_up))
        .routes(routes!(bookings::book))
        .routes(routes!(bookings::status, bookings::cancel))
        .routes(routes!(search::search))
        .routes(routes!(search::fate))
        .routes(routes!(persons::token))
}

/// The OpenAPI 3.1 document, generated from the handlers.
pub(super) fn document() -> OpenApi {
    let mut document = documented().into_openapi();
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("On loopback. The network listener takes client certificates only."))
        .build();
    let components = document.components.get_or_insert_default();
    components.add_security_scheme("key", SecurityScheme::Http(bearer));
    let operations =
        document.paths.paths.values_mut().flat_map(|item| [&mut item.get, &mut item.post, &mut item.delete]);
    for parameter in operations.flatten().filter_map(|operation| operation.parameters.as_mut()).flatten() {
        plain(parameter);
    }
    document.security = Some(vec![SecurityRequirement::new("key", Vec::<String>::new())]);
    document
}

/// An optional parameter is left out, never null; `limit` has three values.
fn plain(parameter: &mut RefOr<Parameter>) {
    let RefOr::T(parameter) = parameter else { return };
    let Some(RefOr::T(Schema::Object(schema))) = &mut parameter.schema else { return };
    if let SchemaType::Array(types) = &schema.schema_type
        && let Some(only) = types.iter().find(|kind| **kind != Type::Null)
    {
        schema.schema_type = SchemaType::Type(only.clone());
    }
    if parameter.name == "limit" {
        schema.enum_values = Some(feeds::LIMITS.map(serde_json::Value::from).into());
    }
}

/// The document as pretty JSON with a newline at the end.
pub fn openapi_json() -> String {
    let mut text = document().to_pretty_json().expect("the document is text and numbers");
    text.push('\n');
    text
}

/// Everything that is answered to.
pub fn router(api: &Arc<Api>) -> Router {
    let (documented, _) = documented().split_for_parts();
    documented
        .route("/healthz", get(open::alive))
        .route("/readyz", get(open::ready))
        .route("/metrics", get(open::metrics))
        .route("/openapi.json", get(open::openapi))
        .route("/docs", get(open::docs))
        .route("/problems/{slug}", get(open::problem))
        .fallback(async || Problem::new(Code::NotFound))
        .layer(from_fn_with_state(api.clone(), gate::gate))
        .with_state(api.clone())
}
