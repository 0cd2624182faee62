//! What all routes share: refusals, headers, keys, and the words about the API as a whole.

use serde_json::{Map, Value, json};

/// Statuses of refusals, with the name of the response and when it comes.
const REFUSALS: [(u16, &str, &str); 12] = [
    (
        400,
        "BadRequest",
        "The request is not sound: wrong fields, parameters, JSON or text.",
    ),
    (401, "Unauthorized", "No key, or one that is not valid."),
    (
        403,
        "Forbidden",
        "The key has none of the scopes of this route.",
    ),
    (404, "NotFound", "There is no such thing."),
    (408, "Timeout", "The body took too long to arrive."),
    (
        409,
        "Conflict",
        "The state does not allow it; code says why. Trying again does not help by itself.",
    ),
    (413, "TooLarge", "The body is larger than the route takes."),
    (
        415,
        "UnsupportedMediaType",
        "The body is not called application/json.",
    ),
    (
        429,
        "TooManyRequests",
        "The budget of this key or address is used up; see Retry-After.",
    ),
    (
        500,
        "Fault",
        "A fault of the service; its log has the rest under request_id.",
    ),
    (
        502,
        "BadGateway",
        "The service that this is passed on to failed.",
    ),
    (
        503,
        "Unavailable",
        "Not now: the database is away, the service stops, or nobody has room. Try again after Retry-After.",
    ),
];

/// What the document says of the API.
pub(super) fn info() -> Value {
    json!({
        "title": "BLOOM Runtime",
        "version": env!("CARGO_PKG_VERSION"),
        "summary": "A job queue for LLM-agent work.",
        "description": "Submit tasks, work on them, look on. Times are milliseconds since 1970, \
            unless a name ends otherwise. Members that a body has beyond those described are \
            ignored. Every answer carries X-Request-Id. A key goes into X-Runtime-API-Key or \
            Authorization: Bearer; it needs one of the scopes that a route lists, and admin opens \
            all. A service without any key is open to programs of its own machine. POST of a \
            submission with an Idempotency-Key, of a request for work with a request_id, and of a \
            completion may be repeated: the same call gets the same answer.",
        "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
    })
}

/// The groups of routes.
pub(super) fn tags() -> Value {
    json!([
        { "name": "tasks", "description": "Submitting tasks and following them." },
        { "name": "work", "description": "Leasing tasks, reporting on them." },
        { "name": "workers", "description": "Who works." },
        { "name": "queues", "description": "Queues and credentials." },
        { "name": "reading", "description": "Artifacts, audit trail, numbers." },
        { "name": "events", "description": "What happens, as it happens, and lately." },
        { "name": "webhooks", "description": "Where events are sent to." },
        { "name": "service", "description": "Probes, metrics, and this description." },
        { "name": "membridge", "description": "The connection to Membridge, and agents." },
    ])
}

/// The body of every refusal.
pub(super) fn error() -> Value {
    let texts = json!({ "type": "array", "items": { "type": "string" } });
    json!({
        "type": "object",
        "required": ["error"],
        "properties": {
            "error": {
                "description": "A text for people; for wrong fields of a body, what is wrong with each.",
                "anyOf": [
                    { "type": "string" },
                    {
                        "type": "object",
                        "required": ["formErrors", "fieldErrors"],
                        "properties": {
                            "formErrors": texts,
                            "fieldErrors": { "type": "object", "additionalProperties": texts },
                        },
                    },
                ],
            },
            "code": {
                "type": "string",
                "description": "What programs go by; absent where single fields are wrong.",
            },
            "request_id": { "type": "string", "format": "uuid" },
        },
    })
}

/// The refusals that routes refer to.
pub(super) fn refusals() -> Map<String, Value> {
    let show = |(status, name, text): &(u16, &str, &str)| {
        let mut headers = json!({ "X-Request-Id": header("X-Request-Id") });
        if matches!(status, 429 | 503) {
            headers["Retry-After"] = header("Retry-After");
        }
        let schema = json!({ "$ref": "#/components/schemas/Error" });
        let content = json!({ "application/json": { "schema": schema } });
        let shown = json!({ "description": text, "headers": headers, "content": content });
        ((*name).to_owned(), shown)
    };
    REFUSALS.iter().map(show).collect()
}

/// A reference to the refusal with this status.
pub(super) fn refusal(status: u16) -> Value {
    let known = REFUSALS.iter().find(|(known, ..)| *known == status);
    let name = known.map_or("Fault", |(_, name, _)| name);
    json!({ "$ref": format!("#/components/responses/{name}") })
}

fn header(name: &str) -> Value {
    json!({ "$ref": format!("#/components/headers/{name}") })
}

/// Headers of answers.
pub(super) fn headers() -> Value {
    json!({
        "X-Request-Id": {
            "description": "Under which the service's log has this request.",
            "schema": { "type": "string", "format": "uuid" },
        },
        "X-Next-Cursor": {
            "description": "Where the next page begins; absent on the last one.",
            "schema": { "type": "string" },
        },
        "Retry-After": {
            "description": "When to try again, in seconds.",
            "schema": { "type": "integer", "minimum": 0 },
        },
    })
}

/// The two ways to show a key.
pub(super) fn security_schemes() -> Value {
    json!({
        "key": {
            "type": "apiKey", "in": "header", "name": "X-Runtime-API-Key",
            "description": "A key made with `bloom key create`, or the configured one.",
        },
        "bearer": { "type": "http", "scheme": "bearer", "description": "The same key." },
    })
}
