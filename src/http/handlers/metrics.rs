//! `GET /metrics`, for Prometheus.

use std::sync::Arc;

use super::App;
use crate::error::Result;
use crate::http::{Request, Response};

/// What scrapers that know the format ask for.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// What all others get; the text differs in nothing that they mind.
const PLAIN: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Everything that is counted, as text.
pub async fn scrape(app: Arc<App>, request: Request) -> Result<Response> {
    let accepted = request.header("accept").unwrap_or_default();
    let content_type = if accepted.contains("application/openmetrics-text") {
        OPEN_METRICS
    } else {
        PLAIN
    };
    Ok(Response::bytes(content_type, app.metrics.scrape().await?))
}
