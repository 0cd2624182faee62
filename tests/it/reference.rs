//! The generated pages under `docs/reference/`: each must be what the tree would generate now.
//! `make bless` (`BLOOM_BLESS=1`) writes them anew.

mod cli;
mod configuration;
mod errors;
mod metrics;
mod routes;
mod source;
mod sql_api;

use std::path::PathBuf;

use crate::pg::TestDb;

/// What every generated page begins with.
const GENERATED: &str = "<!-- Generated from the sources by tests/it/reference.rs; `make bless` writes it anew. -->\n\n";

/// Compares a page with the committed one, or writes it.
fn check(name: &str, text: &str) {
    let path = root().join("docs/reference").join(name);
    let text = format!("{GENERATED}{}\n", text.trim_end());
    if is_blessing() {
        std::fs::write(&path, text).unwrap();
        return;
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = committed
        .lines()
        .zip(text.lines())
        .position(|(a, b)| a != b);
    let line = differs.unwrap_or_else(|| committed.lines().count().min(text.lines().count()));
    assert!(
        committed == text,
        "docs/reference/{name} is out of date from line {} on: run `make bless` and look at the \
         difference",
        line + 1
    );
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

#[expect(
    clippy::disallowed_methods,
    reason = "tests have no configuration to read this through"
)]
fn is_blessing() -> bool {
    std::env::var_os("BLOOM_BLESS").is_some_and(|value| !value.is_empty())
}

#[tokio::test]
async fn the_sql_reference_is_what_the_functions_say() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    check("sql-api.md", &sql_api::render(&client).await);
}

#[test]
fn the_list_of_errors_is_what_the_code_raises() {
    check("errors.md", &errors::render());
}

#[test]
fn the_configuration_reference_is_what_the_program_takes() {
    check("configuration.md", &configuration::render());
}

#[test]
fn the_command_line_reference_is_what_the_program_prints() {
    check("cli.md", &cli::render());
}

#[test]
fn the_table_of_routes_is_the_routers() {
    check("http-api.md", &routes::render());
}

#[test]
fn the_list_of_metrics_is_what_the_service_counts() {
    check("metrics.md", &metrics::render());
}

#[test]
fn the_http_guide_shows_every_route() {
    let guide = std::fs::read_to_string(root().join("docs/http-guide.md")).unwrap();
    let missing: Vec<_> = routes::all()
        .into_iter()
        .filter(|route| !guide.contains(&format!("`{route}`")))
        .collect();
    assert!(
        missing.is_empty(),
        "not in docs/http-guide.md: {missing:#?}"
    );
}

#[test]
fn links_between_the_documents_lead_somewhere() {
    let mut pages: Vec<PathBuf> = [
        "",
        "docs",
        "docs/adr",
        "docs/reference",
        "migrations",
        "security",
    ]
    .iter()
    .flat_map(|dir| root().join(dir).read_dir().unwrap())
    .map(|entry| entry.unwrap().path())
    .filter(|path| path.extension().is_some_and(|it| it == "md"))
    .collect();
    pages.sort();
    let mut broken = Vec::new();
    for page in pages {
        let text = std::fs::read_to_string(&page).unwrap();
        for link in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            let target = link.split('#').next().unwrap_or_default();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            if !page.parent().unwrap().join(target).exists() {
                broken.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}
