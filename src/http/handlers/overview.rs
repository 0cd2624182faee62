//! `/overview`: how things are, and were lately.

use std::sync::Arc;

use serde_json::json;

use super::App;
use crate::error::{Error, Kind, Result};
use crate::http::{Request, Response};
use crate::overview::{Window, add_warning};

/// `GET /overview?window=hour|day`.
pub async fn show(app: Arc<App>, request: Request) -> Result<Response> {
    let window = match request.query()?.text("window")? {
        None | Some("hour") => Window::Hour,
        Some("day") => Window::Day,
        Some(_) => {
            let text = "Query parameter 'window' must be hour or day";
            return Err(Error::refused(Kind::Invalid, "invalid_query", text));
        }
    };
    let mut overview = app.overview.read(window).await?;
    let status = app.control.status();
    if let Some(error) = status["lastError"]
        .as_str()
        .filter(|_| status["connected"] == false)
    {
        let text = format!("Membridge does not answer as it should: {error}");
        add_warning(
            &mut overview,
            &json!({ "code": "membridge_failing", "text": text }),
        );
    }
    Response::ok(&overview)
}
