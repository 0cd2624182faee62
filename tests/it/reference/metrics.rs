//! `docs/reference/metrics.md`: everything in `GET /metrics`.

use std::fmt::Write as _;

use bloom_runtime::metrics::{ALL, Scope};

pub fn render() -> String {
    let mut text = String::from(
        "# Metrics\n\n\
         What `GET /metrics` shows, in the OpenMetrics text format that Prometheus reads. Times are in\n\
         seconds. A scrape costs one database call a second at most, however many scrapers there are.\n\n\
         - **Queue** metrics are read from the database: every process says the same, so take `max by`\n  \
           over processes, never `sum`. Those that count come from the event log and include what SQL\n  \
           callers did.\n\
         - **Process** metrics are each process's own: `sum` over processes.\n\
         - The label `queue` has the names of the first 200 queues; further ones share `other`. `route`\n  \
           is the template of a route, never a path.\n\n\
         How to run the service day by day: [operations](../operations.md).\n\n\
         | metric | kind | of | labels | meaning |\n|---|---|---|---|---|\n",
    );
    for metric in ALL {
        let labels: Vec<_> = metric
            .labels
            .iter()
            .map(|label| format!("`{label}`"))
            .collect();
        let scope = match metric.scope {
            Scope::Queue => "queue",
            Scope::Process => "process",
        };
        writeln!(
            text,
            "| `{}` | {} | {scope} | {} | {} |",
            metric.name,
            metric.kind.name(),
            labels.join(", "),
            metric.help
        )
        .unwrap();
    }
    text
}
