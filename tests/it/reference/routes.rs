//! `docs/reference/http-api.md`: the table of routes.

use std::fmt::Write as _;

use bloom_runtime::http::handlers::{App, router};
use bloom_runtime::http::{Access, BodyLimit, RateClass, Route, Scope};

pub fn render() -> String {
    let mut text = String::from(
        "# HTTP API\n\n\
         Every route: who may call it, which rate budget it counts against, and how large its body\n\
         may be. What goes in and comes out: [HTTP guide](../http-guide.md).\n\n\
         - **Scopes**: a key needs one of them; `admin` may call everything. \"open\" needs no key.\n\
         - **Rate**: `general`, `heavy` and `worker` are budgets of their own, see `--rate-per-minute`,\n  \
           `--heavy-rate-per-minute` and `--worker-rate-per-second` in\n  \
           [configuration](configuration.md); `exempt` is never refused.\n\
         - **Body**: `small` is `--max-body-bytes`, `large` is `--max-completion-bytes`.\n\n\
         GET routes answer HEAD too, and every path answers OPTIONS with its methods. What is not in\n\
         this table is 404, another method on a path that is in it 405. The web UI is at `/`, its\n\
         files are below `/assets/`; neither needs a key.\n\n\
         | method | path | scopes | rate | body |\n|---|---|---|---|---|\n",
    );
    for route in router().unwrap().routes() {
        row(&mut text, route);
    }
    text
}

/// All routes as `METHOD path`.
pub fn all() -> Vec<String> {
    let table = router().unwrap();
    let routes = table.routes().iter();
    routes
        .map(|route| format!("{} {}", route.method(), route.path()))
        .collect()
}

fn row(text: &mut String, route: &Route<App>) {
    let scopes = match route.access() {
        Access::Open => "open".to_owned(),
        Access::Scopes(scopes) => {
            let names: Vec<&str> = scopes.iter().map(Scope::name).collect();
            if names.is_empty() {
                "admin".to_owned()
            } else {
                names.join(", ")
            }
        }
    };
    let rate = match route.rate_class() {
        RateClass::General => "general",
        RateClass::Heavy => "heavy",
        RateClass::Worker => "worker",
        RateClass::Exempt => "exempt",
    };
    let body = match (route.body_limit(), route.method().as_str()) {
        (_, "GET") => "",
        (BodyLimit::Small, _) => "small",
        (BodyLimit::Large, _) => "large",
    };
    let (method, path) = (route.method(), route.path());
    writeln!(text, "| {method} | `{path}` | {scopes} | {rate} | {body} |").unwrap();
}
