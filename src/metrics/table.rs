//! Every metric: its name, what it means, and its labels. `docs/reference/metrics.md` is made from
//! this, and dashboards and alerts may name nothing else.

/// What kind of number a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, until the process or the database starts anew.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts observations in buckets.
    Histogram,
}

impl Kind {
    /// As Prometheus calls it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// Whose number it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Read from the database: every process that shares it says the same. Take the maximum over
    /// the processes, never the sum.
    Queue,
    /// This process's own. Sum over the processes.
    Process,
}

/// One metric.
#[derive(Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name. Counters end in `_total`, units stand at the end.
    pub name: &'static str,
    /// What it means, as a sentence.
    pub help: &'static str,
    /// What kind of number it is.
    pub kind: Kind,
    /// Its labels, in order.
    pub labels: &'static [&'static str],
    /// Whose number it is.
    pub scope: Scope,
}

/// Declares the metrics and the list of all of them.
macro_rules! metrics {
    ($($constant:ident = $name:literal $kind:ident $scope:ident [$($label:literal),*] $help:literal;)*) => {
        $(
            #[doc = $help]
            pub const $constant: &Metric = &Metric {
                name: $name,
                help: $help,
                kind: Kind::$kind,
                labels: &[$($label),*],
                scope: Scope::$scope,
            };
        )*
        /// All metrics, in the order in which they are shown.
        pub const ALL: &[&Metric] = &[$($constant),*];
    };
}

metrics! {
    QUEUE_TASKS = "bloom_queue_tasks" Gauge Queue ["queue", "status"]
        "Tasks that have this status.";
    QUEUE_OLDEST = "bloom_queue_oldest_seconds" Gauge Queue ["queue", "status"]
        "Age of the oldest task in this status: for queued since it is ready to be taken, for leased and running since its lease began, for failed since it failed.";
    QUEUE_PAUSED = "bloom_queue_paused" Gauge Queue ["queue"]
        "1 while the queue hands out nothing.";
    TASK_EVENTS = "bloom_task_events_total" Counter Queue ["queue", "event"]
        "Transitions of tasks: submitted, leased, running, completed, failed, dead, cancelled, expired, released, removed, requeued and others of the state machine.";
    LEASES_ACTIVE = "bloom_leases_active" Gauge Queue []
        "Live leases.";
    WORKERS = "bloom_workers" Gauge Queue ["status"]
        "Workers that have this status.";
    WORKER_SLOTS = "bloom_worker_slots" Gauge Queue []
        "Leases that the online workers may hold together.";
    CREDENTIALS_EXHAUSTED = "bloom_credentials_exhausted" Gauge Queue []
        "Credentials whose usage limit is reached.";
    STALE_REFUSALS = "bloom_stale_refusals_total" Counter Queue []
        "Reports and heartbeats of superseded leases that were refused.";
    LOG_LAG = "bloom_log_lag_seconds" Gauge Queue []
        "Age of the oldest event that is not counted yet. It grows while a transaction stays open somewhere.";
    NOTIFY_QUEUE = "bloom_notify_queue_ratio" Gauge Queue []
        "How full the notification queue of Postgres is, from 0 to 1.";
    DATABASE_UP = "bloom_database_up" Gauge Process []
        "Whether Postgres answered this scrape.";
    DATABASE_READ_AGE = "bloom_database_read_age_seconds" Gauge Process []
        "Age of the numbers that come from the database.";
    LISTEN_UP = "bloom_listen_connected" Gauge Process []
        "Whether the connection that hears of new tasks stands.";
    LISTEN_CONNECTIONS = "bloom_listen_connections_total" Counter Process []
        "How often that connection was made.";
    POOL_CONNECTIONS = "bloom_pool_connections" Gauge Process ["lane", "state"]
        "Connections to Postgres: how many there may be (size), are (open), and are in use (lent).";
    POOL_WAITING = "bloom_pool_waiting" Gauge Process ["lane"]
        "Calls that wait for a connection.";
    WAITERS = "bloom_waiters" Gauge Process []
        "Lease requests that wait for work.";
    WAKE_SECONDS = "bloom_wake_seconds" Histogram Process []
        "From the moment at which a waiting lease request is roused until it has its leases.";
    BATCH_SIZE = "bloom_batch_size" Histogram Process ["kind"]
        "Calls that travelled to Postgres together: submit, tied (submissions with an idempotency key or in a serial context), lease, complete, heartbeat or beat.";
    TASK_WAIT = "bloom_task_wait_seconds" Histogram Process ["queue"]
        "From the submission of a task to its first lease, for leases that this process handed out.";
    TASK_RUN = "bloom_task_run_seconds" Histogram Process ["outcome"]
        "From the beginning of a lease to its result, for results that this process took.";
    MEMBRIDGE_SYNCS = "bloom_membridge_syncs_total" Counter Process ["outcome"]
        "Rounds of the sync with Membridge: ok or failed.";
    JOB_RUNS = "bloom_maintenance_runs_total" Counter Process ["work", "outcome"]
        "Runs of the maintenance jobs: ok or failed.";
    OBJECT_STORAGE_UP = "bloom_object_storage_up" Gauge Process []
        "0 while outputs stay in Postgres because object storage does not take them, else 1, also without one.";
    OBJECTS = "bloom_objects_total" Counter Process ["outcome"]
        "Outputs that belong into object storage: stored there, or kept in Postgres.";
    HTTP_REQUESTS = "bloom_http_requests_total" Counter Process ["method", "route", "status"]
        "Requests by the template of their route; 499 is a client that went away first.";
    HTTP_REQUEST_SECONDS = "bloom_http_request_seconds" Histogram Process ["method", "route"]
        "From a request's head to the beginning of its answer. Requests for work and streams wait on purpose.";
    BUILD_INFO = "bloom_build_info" Gauge Process ["version"]
        "1, with the version of the program.";
    START_TIME = "process_start_time_seconds" Gauge Process []
        "When the process started, in seconds since 1970.";
    RESIDENT_BYTES = "process_resident_memory_bytes" Gauge Process []
        "Memory of the process, where the system tells.";
    OPEN_FDS = "process_open_fds" Gauge Process []
        "Open files and sockets of the process, where the system tells.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_prometheus_asks_for_and_stand_once() {
        let mut names: Vec<_> = ALL.iter().map(|metric| metric.name).collect();
        for metric in ALL {
            let is_counter = metric.kind == Kind::Counter;
            assert_eq!(
                is_counter,
                metric.name.ends_with("_total"),
                "{}",
                metric.name
            );
            assert!(metric.help.ends_with('.'), "{}", metric.name);
        }
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ALL.len());
    }
}
