//! The description of the API as an `OpenAPI` 3.1 document, put together from what the code knows:
//! the route table says which routes there are, who may call them, how often and with how large a
//! body; the forms say what a body may hold; the wire types say what an answer holds. Only the
//! sentences are written by hand.

mod operation;
mod page;
mod shared;

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

pub use operation::{Operation, Param};
pub use page::{STYLE, page};

use super::auth::{Scope, ScopeSet};
use super::{Access, BodyLimit, RateClass, Route, Router};

/// The descriptions of routes, each under `METHOD /path`.
pub type Described = Vec<(&'static str, Operation)>;

/// The document. A route without a description is in it all the same, without words.
#[must_use]
pub fn document<S>(router: &Router<S>, described: Described) -> Value {
    let settings = SchemaSettings::draft2020_12()
        .for_serialize()
        .with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
        });
    let mut generator = settings.into_generator();
    let mut described: std::collections::HashMap<_, _> = described.into_iter().collect();
    let mut paths = Map::new();
    for route in router.routes() {
        let name = format!("{} {}", route.method(), route.path());
        let operation = described.remove(name.as_str()).unwrap_or_default();
        let mut shown = operation.show(&mut generator, route.path());
        add_facts(&mut shown, route);
        let methods = paths.entry(route.path()).or_insert_with(|| json!({}));
        methods[route.method().as_str().to_lowercase()] = shown;
    }
    let mut schemas = generator.take_definitions(true);
    schemas.insert("Error".to_owned(), shared::error());
    json!({
        "openapi": "3.1.0",
        "info": shared::info(),
        "servers": [{ "url": "/" }],
        "tags": shared::tags(),
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": shared::refusals(),
            "headers": shared::headers(),
            "securitySchemes": shared::security_schemes(),
        },
    })
}

/// What the route table knows of a route.
fn add_facts<S>(shown: &mut Value, route: &Route<S>) {
    let mut refusals = vec![400, 500, 503];
    let rate = match route.rate_class() {
        RateClass::General => "general",
        RateClass::Heavy => "heavy",
        RateClass::Worker => "worker",
        RateClass::Exempt => "exempt",
    };
    shown["x-rate-budget"] = json!(rate);
    if route.rate_class() != RateClass::Exempt {
        refusals.push(429);
    }
    match route.access() {
        Access::Open => shown["security"] = json!([]),
        Access::Scopes(scopes) => {
            refusals.extend([401, 403]);
            let names = names(scopes);
            shown["security"] = json!([{ "key": names }, { "bearer": names }]);
        }
    }
    if shown.get("requestBody").is_some() {
        refusals.extend([408, 413, 415]);
        shown["x-body-limit"] = json!(match route.body_limit() {
            BodyLimit::Small => "--max-body-bytes (1 MiB)",
            BodyLimit::Large => "--max-completion-bytes (16 MiB)",
        });
    }
    if route.path().contains('{') {
        refusals.push(404);
    }
    for status in refusals {
        let of = &mut shown["responses"][status.to_string()];
        if of.is_null() {
            *of = shared::refusal(status);
        }
    }
    sort(&mut shown["responses"]);
}

/// The scopes of which a key needs one; `admin` is enough everywhere.
fn names(scopes: ScopeSet) -> Vec<&'static str> {
    let admin = (!scopes.contains(Scope::Admin)).then_some(Scope::Admin);
    scopes.iter().chain(admin).map(Scope::name).collect()
}

fn sort(object: &mut Value) {
    if let Value::Object(members) = object {
        members.sort_keys();
    }
}
