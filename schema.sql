-- BLOOM Runtime: the full current tables, types, indexes and roles' rights. No functions: those
-- stand in functions/, views in functions/views/. The installer runs this file once, as
-- bloom_owner, into the empty schemas bloom (verbs and read views: the contract) and bloom_private
-- (everything else). Databases that already have an older version take migrations/ instead.
--
-- State = table. A task's submission never changes, but for its priority. Its state is the one small table that its key
-- stands in (ready, deferred, parked, lease or finished), and a transition deletes the key from
-- one and inserts it into the next with ver + 1. Every such row carries the same header:
--   task_id, queue      whose state this is
--   status              what a client sees
--   ver                 1, 2, 3 … without a gap: the number of the transition that made this row
--   epoch               0, then + 1 with every requeue; one terminal state per epoch
--   fence               + 1 with every lease of the task, never back
--   attempts, crashes   leases begun in this epoch (less those given back); leases that ran out
--   cause, prior, actor the transition: its name, the status before it, who asked for it
--   lease_id, worker_id the lease concerned, if one is
--   detail              further facts for the audit trail, usually null
-- Triggers copy that header into event, so that no transition can go unrecorded.

alter default privileges for role bloom_owner revoke execute on functions from public;

create table bloom_private.schema_version (
    singleton boolean primary key default true check (singleton),
    version integer not null,
    bundle_hash text not null,
    app_version text not null,
    installed_at timestamptz not null default now()
);

create table bloom_private.setting (
    key text primary key,
    value jsonb not null,
    updated_at timestamptz not null default now(),
    updated_by text not null
);

-- Queues and lanes ------------------------------------------------------------------------------

create table bloom_private.queue (
    name text primary key check (char_length(name) between 1 and 128),
    paused boolean not null default false,
    max_running integer check (max_running between 1 and 1000000),
    serial_contexts boolean not null default false,
    aging_seconds integer not null default 60 check (aging_seconds between 1 and 86400),
    pin_wait_ms integer not null default 2000 check (pin_wait_ms between 0 and 600000),
    created_at timestamptz not null default now()
);

-- One row per set of requirements and priority. A claim reads each eligible lane from its mark on,
-- so that it never walks the dead rows of tasks long since claimed. Tasks that come back from a
-- lease they did not use up (returned) have lanes of their own, ahead of the queue.
create table bloom_private.lane (
    lane_id integer generated always as identity primary key,
    queue text not null references bloom_private.queue (name),
    requires text[] not null,
    priority smallint not null check (priority between 0 and 9),
    returned boolean not null,
    mark bigint not null default 0,
    next_mark bigint not null default 0,
    next_mark_xid xid8,
    unique (queue, requires, priority, returned)
) with (fillfactor = 50);

-- How many leases of a limited queue are live. capacity follows max_running, but never falls below
-- what is running: a lowered limit takes effect as leases end.
create table bloom_private.queue_slot (
    queue text primary key references bloom_private.queue (name),
    capacity integer not null,
    running integer not null default 0,
    constraint queue_never_over_capacity check (running between 0 and capacity)
) with (fillfactor = 50);

-- Submissions -----------------------------------------------------------------------------------

create table bloom_private.task (
    task_id uuid primary key,
    queue text not null,
    context_id text not null,
    agent_slug text not null,
    prompt text not null,
    context_hints text[] not null,
    policy jsonb not null,
    desired_format text not null check (desired_format in ('text', 'json')),
    requires text[] not null,
    priority smallint not null check (priority between 0 and 9),
    max_attempts smallint not null check (max_attempts between 1 and 10),
    max_crashes smallint not null check (max_crashes between 1 and 10),
    serial boolean not null,
    idempotency_key text,
    created_at timestamptz not null,
    created_by text not null
) partition by range (task_id);
create table bloom_private.task_default partition of bloom_private.task default;

create table bloom_private.idempotency (
    key text primary key,
    task_id uuid not null,
    digest bytea not null,
    created_at timestamptz not null
);

-- One item of a batch on its way in: what submission_read made of the submitted object, the id
-- that it will have, whether it is a new task, whether it must wait for its context's turn, and
-- what is wrong with it, if something is.
create type bloom_private.submission as (
    context_id text,
    agent_slug text,
    prompt text,
    context_hints text[],
    policy jsonb,
    desired_format text,
    queue text,
    requires text[],
    priority smallint,
    max_attempts smallint,
    max_crashes smallint,
    serial boolean,
    run_at timestamptz,
    idempotency_key text,
    task_id uuid,
    is_new boolean,
    is_parked boolean,
    error jsonb
);

-- What completion_read made of a worker's report.
create type bloom_private.completion as (
    status text,
    error_message text,
    metrics jsonb,
    artifact_type text,
    artifact_tags text[],
    retryable boolean,
    conversation jsonb,
    stopped jsonb,
    worker_id text,
    actor text,
    digest bytea,
    artifact_id uuid,
    at timestamptz,
    error jsonb
);

-- A worker's request for work, and what is known of its worker.
create type bloom_private.lease_request as (
    worker_id text,
    session_id uuid,
    max_tasks integer,
    ttl_seconds integer,
    request_id uuid,
    queues text[],
    actor text,
    labels text[],
    is_open boolean,
    error jsonb
);

-- Requests for work that are being served: how many more tasks each wants, for how many its worker
-- has room (at the first request of each worker, which is its leader), and the tasks that they got,
-- each with the number of its request; the first `again` of them had got theirs before.
create type bloom_private.claim as (
    asked bloom_private.lease_request[],
    wants integer[],
    leaders integer[],
    rooms integer[],
    tasks uuid[],
    owners integer[],
    again integer
);

-- States ----------------------------------------------------------------------------------------

create sequence bloom_private.ready_seq;

create table bloom_private.ready (
    task_id uuid primary key,
    queue text not null,
    status text not null default 'queued' check (status = 'queued'),
    ver integer not null check (ver >= 1),
    epoch integer not null,
    fence integer not null,
    attempts smallint not null,
    crashes smallint not null,
    cause text not null,
    prior text,
    actor text not null,
    lease_id uuid,
    worker_id text,
    detail jsonb,
    lane_id integer not null,
    seq bigint not null default nextval('bloom_private.ready_seq'),
    context_id text not null,
    ready_at timestamptz not null default clock_timestamp()
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
    autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 50000,
    autovacuum_vacuum_cost_delay = 0);
create unique index ready_claim on bloom_private.ready (lane_id, seq);
create index ready_context on bloom_private.ready (context_id);

-- Waiting for a time: run_at of a scheduled submission, or the retry of a failed attempt.
create table bloom_private.deferred (
    task_id uuid primary key,
    queue text not null,
    status text not null check (status in ('queued', 'failed')),
    ver integer not null check (ver >= 1),
    epoch integer not null,
    fence integer not null,
    attempts smallint not null,
    crashes smallint not null,
    cause text not null,
    prior text,
    actor text not null,
    lease_id uuid,
    worker_id text,
    detail jsonb,
    run_at timestamptz not null,
    since timestamptz not null default clock_timestamp()
);
create index deferred_due on bloom_private.deferred (run_at);

-- Waiting for its turn in a context that takes one task at a time, in order.
create table bloom_private.parked (
    task_id uuid primary key,
    queue text not null,
    status text not null default 'queued' check (status = 'queued'),
    ver integer not null check (ver >= 1),
    epoch integer not null,
    fence integer not null,
    attempts smallint not null,
    crashes smallint not null,
    cause text not null,
    prior text,
    actor text not null,
    lease_id uuid,
    worker_id text,
    detail jsonb,
    context_id text not null,
    seq bigint not null default nextval('bloom_private.ready_seq'),
    since timestamptz not null default clock_timestamp()
);
create index parked_turn on bloom_private.parked (context_id, seq);

-- Which serial task of a context has its turn: from ready until its terminal state.
create table bloom_private.context_slot (
    context_id text primary key,
    task_id uuid not null
);

-- The conversation that a context's last successful task left behind: the CLI's session, and the
-- worker that has it. Only an accepted success moves it.
create table bloom_private.context_session (
    context_id text primary key,
    session_id text not null check (char_length(session_id) between 1 and 200),
    worker_id text not null,
    task_id uuid not null,
    lease_id uuid not null,
    fence integer not null,
    updated_at timestamptz not null
);
create index context_session_worker on bloom_private.context_session (worker_id, updated_at);
create index context_session_age on bloom_private.context_session (updated_at);

create table bloom_private.lease (
    task_id uuid primary key,
    queue text not null,
    status text not null check (status in ('leased', 'running')),
    ver integer not null check (ver >= 1),
    epoch integer not null,
    fence integer not null check (fence >= 1),
    attempts smallint not null check (attempts >= 1),
    crashes smallint not null,
    cause text not null,
    prior text,
    actor text not null,
    lease_id uuid not null,
    worker_id text not null,
    detail jsonb,
    session_id uuid,
    request_id uuid,
    context_id text not null,
    queue_counted boolean not null,
    started_at timestamptz not null,
    running_at timestamptz,
    expires_at timestamptz not null,
    ttl_seconds integer not null check (ttl_seconds between 1 and 86400),
    last_heartbeat timestamptz not null,
    unlisted_at timestamptz,
    cancel_requested_at timestamptz,
    cancel_delivered_at timestamptz,
    cancel_deadline timestamptz,
    check (status = 'leased' or running_at is not null),
    check ((cancel_requested_at is null) = (cancel_deadline is null)),
    check (cancel_delivered_at is null or cancel_requested_at is not null),
    check (cancel_delivered_at >= cancel_requested_at)
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_cost_delay = 0);
create index lease_worker on bloom_private.lease (worker_id);
create index lease_context on bloom_private.lease (context_id);

create table bloom_private.finished (
    task_id uuid primary key,
    queue text not null,
    status text not null check (status in ('completed', 'dead', 'cancelled')),
    ver integer not null check (ver >= 1),
    epoch integer not null,
    fence integer not null,
    attempts smallint not null,
    crashes smallint not null,
    cause text not null,
    prior text,
    actor text not null,
    lease_id uuid,
    worker_id text,
    detail jsonb,
    finished_at timestamptz not null default clock_timestamp(),
    cancel_requested_at timestamptz,
    cancel_delivered_at timestamptz,
    cancel_stopped_at timestamptz,
    check (status <> 'completed' or lease_id is not null),
    constraint cancel_goes_step_by_step check (cancel_delivered_at >= cancel_requested_at
        and (cancel_requested_at is not null
            or num_nonnulls(cancel_delivered_at, cancel_stopped_at) = 0)
        and cancel_stopped_at >= greatest(cancel_requested_at, cancel_delivered_at)
        and finished_at >= greatest(cancel_requested_at, cancel_delivered_at, cancel_stopped_at))
) partition by range (task_id);
create table bloom_private.finished_default partition of bloom_private.finished default;
create index finished_status on bloom_private.finished (status, task_id);

-- History ---------------------------------------------------------------------------------------

-- One row per lease that ended. A lease that ended with a result carries it; the result's id is
-- the lease's, since a lease has at most one.
create table bloom_private.attempt (
    task_id uuid not null,
    fence integer not null,
    lease_id uuid not null,
    worker_id text not null,
    session_id uuid,
    epoch integer not null,
    attempt smallint not null,
    started_at timestamptz not null,
    running_at timestamptz,
    ended_at timestamptz not null,
    expires_at timestamptz not null,
    last_heartbeat timestamptz not null,
    ttl_seconds integer not null,
    outcome text not null
        check (outcome in ('completed', 'failed', 'expired', 'released', 'cancelled', 'removed')),
    result_status text check (result_status in ('success', 'error')),
    error_message text,
    metrics jsonb,
    artifact_id uuid,
    digest bytea,
    cancel_requested_at timestamptz,
    cancel_delivered_at timestamptz,
    cancel_stopped_at timestamptz,
    primary key (task_id, fence),
    check ((result_status is null) = (digest is null)),
    check ((result_status is null) = (artifact_id is null)),
    constraint cancel_goes_step_by_step check (cancel_delivered_at >= cancel_requested_at
        and (cancel_requested_at is not null
            or num_nonnulls(cancel_delivered_at, cancel_stopped_at) = 0)
        and cancel_stopped_at >= greatest(cancel_requested_at, cancel_delivered_at)
        and ended_at >= greatest(cancel_requested_at, cancel_delivered_at, cancel_stopped_at))
) partition by range (task_id);
create table bloom_private.attempt_default partition of bloom_private.attempt default;
create index attempt_outcome on bloom_private.attempt (outcome, lease_id);

create table bloom_private.artifact (
    artifact_id uuid primary key,
    task_id uuid not null,
    lease_id uuid not null,
    type text not null,
    tags text[] not null,
    url text,
    content text,
    size_bytes bigint not null,
    created_at timestamptz not null,
    sha256 bytea,
    -- What is in object storage is not here as well, and is known by its digest.
    check ((url is null) = (sha256 is null) and (url is null or content is null))
) partition by range (artifact_id);
create table bloom_private.artifact_default partition of bloom_private.artifact default;
create index artifact_task on bloom_private.artifact (task_id);

-- What programs print while they run, piece by piece. position counts the bytes of a lease's log
-- before this piece. Weeks are dropped with their tasks.
create table bloom_private.task_log (
    task_id uuid not null,
    fence integer not null,
    position bigint not null check (position >= 0),
    at timestamptz not null default clock_timestamp(),
    text text not null,
    primary key (task_id, fence, position)
) partition by range (task_id);
create table bloom_private.task_log_default partition of bloom_private.task_log default;

-- The event log: audit trail, outbox and history. Readers follow (xid, seq) and stop below
-- pg_snapshot_xmin(pg_current_snapshot()): what is below it has ended, so nothing appears behind
-- the cursor. xid is the newest transaction id that had ended or was the writer's own when the row
-- was written. Two transitions of a task thus stand in their order even where the later one comes
-- from a transaction that began earlier; and never is it smaller than the writer's own, so the row
-- is not shown before its transaction has ended.
-- Rows that concern no task (workers, queues, settings, keys) carry subject instead.
create sequence bloom_private.event_seq;

create table bloom_private.event (
    at timestamptz not null default clock_timestamp(),
    xid xid8 not null default greatest(pg_current_xact_id(),
        (pg_snapshot_xmax(pg_current_snapshot())::text::bigint - 1)::text::xid8),
    seq bigint not null default nextval('bloom_private.event_seq'),
    cause text not null,
    task_id uuid,
    ver integer,
    queue text,
    prior text,
    status text,
    epoch integer,
    fence integer,
    attempts smallint,
    crashes smallint,
    lease_id uuid,
    worker_id text,
    subject text,
    actor text not null,
    detail jsonb,
    check ((task_id is null) = (ver is null)),
    check ((task_id is null) <> (subject is null))
) partition by range (at);
create table bloom_private.event_default partition of bloom_private.event default;
create index event_log on bloom_private.event (xid, seq);
create unique index event_task on bloom_private.event (task_id, ver, at);
create index event_subject on bloom_private.event (subject, xid) where subject is not null;
create index event_others on bloom_private.event (xid, seq) where subject is not null;

-- Seals over the event log. Each covers the events between two positions: root is the root of a
-- hash tree over leaves, the digests of those events in order, 32 bytes each. The service signs it
-- with a key that the database does not have, together with the digest of the seal before (prior).
create table bloom_private.seal (
    seal_id bigint primary key check (seal_id >= 1),
    at_ms bigint not null,
    from_xid xid8 not null,
    from_seq bigint not null,
    to_xid xid8 not null,
    to_seq bigint not null,
    leaves bytea not null check (length(leaves) > 0 and length(leaves) % 32 = 0),
    root bytea not null check (length(root) = 32),
    prior bytea not null check (length(prior) = 32),
    public_key bytea not null check (length(public_key) = 32),
    signature bytea not null check (length(signature) = 64)
);

-- How many tasks of a queue have a status (tasks) and how many transitions ever led to it
-- (entered), folded from the event log up to a transaction id; what came after it is added when
-- somebody asks. No counter is touched by a transition.
create table bloom_private.status_count (
    queue text not null,
    status text not null,
    tasks bigint not null,
    entered bigint not null,
    primary key (queue, status)
);

-- How often each transition happened, by queue, folded likewise.
create table bloom_private.event_count (
    queue text not null,
    cause text not null,
    events bigint not null,
    primary key (queue, cause)
);

-- What happened in each minute, for charts: folded from the event log together with the counts.
-- depth is how many tasks waited when the minute was folded last; null where only late events of a
-- minute came. waits counts, for a sample of the leases, how long their tasks had been ready: see
-- wait_bucket.
create table bloom_private.minute_count (
    minute timestamptz primary key,
    submitted bigint not null,
    completed bigint not null,
    failed bigint not null,
    dead bigint not null,
    cancelled bigint not null,
    depth bigint,
    waits integer[]
) with (fillfactor = 50);

-- So many transitions of one kind in one minute.
create type bloom_private.event_group as (
    minute timestamptz,
    queue text,
    prior text,
    status text,
    cause text,
    events bigint
);

-- How far readers of the log have come, and (event_dropped) the last row that retention dropped.
create table bloom_private.log_cursor (
    name text primary key,
    xid xid8 not null,
    seq bigint not null default 0
);
insert into bloom_private.log_cursor (name, xid) values ('status_count', '0');
-- Whoever moves the marks of lanes holds this row: one at a time.
insert into bloom_private.log_cursor (name, xid) values ('lane_advance', '0');
insert into bloom_private.log_cursor (name, xid) values ('event_dropped', '0');

-- Counts completions, heartbeats and the like that a superseded lease sent. A sequence, because a
-- refusal rolls everything else back.
create sequence bloom_private.stale_refused;

-- Workers ---------------------------------------------------------------------------------------

create table bloom_private.worker (
    worker_id text primary key check (char_length(worker_id) between 1 and 128),
    url text not null default '',
    status text not null default 'online'
        check (status in ('online', 'offline', 'syncing', 'error', 'unknown')),
    draining boolean not null default false,
    claude_cli boolean not null default true,
    labels text[] not null default '{}',
    ip_addrs text[] not null default '{}',
    obs_count bigint not null default 0,
    db_sha text not null default '',
    agent_version text not null default 'unknown',
    os_info text not null default '',
    install_method text not null default 'manual',
    source text not null default 'direct' check (source in ('direct', 'membridge')),
    listed_at timestamptz,
    vanished boolean not null default false,
    -- What it named at its registration; see credential_of for those that named nothing.
    credential text check (char_length(credential) between 1 and 128),
    registered_at timestamptz not null default now(),
    last_seen_at timestamptz
);

-- Live leases of a worker: the counter that keeps it within its capacity at every isolation level.
-- capacity follows max_concurrency but never falls below what is active.
create table bloom_private.worker_slot (
    worker_id text primary key references bloom_private.worker (worker_id) on delete cascade,
    max_concurrency integer not null check (max_concurrency between 1 and 1000),
    capacity integer not null,
    active integer not null default 0,
    constraint worker_never_over_capacity check (active between 0 and capacity)
) with (fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_cost_delay = 0);

-- One row per worker process. A beat writes this row, whatever the number of leases it renews.
create table bloom_private.worker_session (
    session_id uuid primary key,
    worker_id text not null references bloom_private.worker (worker_id) on delete cascade,
    started_at timestamptz not null default clock_timestamp(),
    beat_at timestamptz not null default clock_timestamp()
) with (fillfactor = 30, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
create index worker_session_worker on bloom_private.worker_session (worker_id);

-- Credentials whose usage limit was reached: until when no worker that has one gets work.
create table bloom_private.credential (
    name text primary key check (char_length(name) between 1 and 135),
    exhausted_until timestamptz not null,
    reason text,
    reported_by text not null,
    reported_at timestamptz not null
);

-- The last progress and usage that a running task's worker reported; gone when the lease ends.
create unlogged table bloom_private.progress (
    task_id uuid primary key,
    lease_id uuid not null,
    at timestamptz not null,
    progress jsonb,
    usage jsonb
);

-- Service processes in which somebody waits for work. Submissions through SQL notify only then.
create unlogged table bloom_private.waiting (
    service_id uuid primary key,
    until timestamptz not null
);

create table bloom_private.api_key (
    key_id uuid primary key,
    name text not null check (char_length(name) between 1 and 128),
    prefix text not null,
    hash bytea not null unique check (octet_length(hash) = 32),
    scopes text[] not null
        check (scopes <@ array['producer', 'worker', 'reader', 'admin']
            and cardinality(scopes) > 0),
    created_at timestamptz not null default now(),
    created_by text not null,
    expires_at timestamptz,
    revoked_at timestamptz,
    last_used_at timestamptz
);

-- Webhooks --------------------------------------------------------------------------------------

-- Where events are sent to. (xid, seq) is the place in the event log up to which deliveries were
-- made. secret is encrypted with a key that is not in the database. The service process owner
-- delivers until owned_until, and nobody else.
create table bloom_private.webhook (
    webhook_id uuid primary key,
    name text not null check (char_length(name) between 1 and 128),
    url text not null check (char_length(url) between 1 and 2048),
    secret jsonb not null,
    types text[] not null,
    queues text[] not null,
    max_events smallint not null check (max_events between 1 and 100),
    max_attempts smallint not null check (max_attempts between 1 and 50),
    backoff_ms integer not null check (backoff_ms between 100 and 3600000),
    paused boolean not null default false,
    -- Why, where the service paused it by itself.
    paused_why text,
    -- Deliveries given up since the last success.
    deaths integer not null default 0,
    xid xid8 not null,
    seq bigint not null,
    owner uuid,
    owned_until timestamptz,
    created_at timestamptz not null default now(),
    created_by text not null,
    check (paused or paused_why is null),
    check ((owner is null) = (owned_until is null))
) with (fillfactor = 50);

-- One request to a webhook: events, the JSON array as it is sent, and what became of the last
-- attempt.
create table bloom_private.webhook_delivery (
    delivery_id uuid primary key,
    webhook_id uuid not null references bloom_private.webhook on delete cascade,
    state text not null default 'pending' check (state in ('pending', 'delivered', 'dead')),
    events text not null,
    event_count integer not null,
    attempts smallint not null default 0,
    next_at timestamptz default clock_timestamp(),
    status integer,
    error text,
    duration_ms integer,
    created_at timestamptz not null default clock_timestamp(),
    ended_at timestamptz,
    check ((state = 'pending') = (next_at is not null)),
    check ((state = 'pending') = (ended_at is null))
) with (fillfactor = 70);
create index webhook_delivery_log on bloom_private.webhook_delivery (webhook_id, delivery_id);
create index webhook_delivery_next on bloom_private.webhook_delivery (webhook_id, delivery_id)
    where state = 'pending';
create index webhook_delivery_ended on bloom_private.webhook_delivery (ended_at);

-- Shapes that verbs return ----------------------------------------------------------------------

create type bloom.task_row as (
    task_id uuid,
    context_id text,
    agent_slug text,
    prompt text,
    context_hints text[],
    policy jsonb,
    desired_format text,
    status text,
    created_at timestamptz,
    updated_at timestamptz,
    lease_id uuid,
    worker_id text,
    attempts smallint,
    max_attempts smallint,
    queue text,
    priority smallint,
    requires text[],
    crashes smallint,
    max_crashes smallint,
    fence integer,
    ver integer,
    epoch integer,
    run_at timestamptz,
    retry_at timestamptz,
    finished_at timestamptz,
    reason text,
    cancel_requested_at timestamptz,
    cancel_delivered_at timestamptz,
    cancel_stopped_at timestamptz,
    idempotency_key text,
    created_by text,
    progress jsonb,
    usage jsonb,
    context_worker_id text
);

create type bloom.lease_grant as (
    lease_id uuid,
    task_id uuid,
    worker_id text,
    session_id uuid,
    started_at timestamptz,
    expires_at timestamptz,
    ttl_seconds integer,
    last_heartbeat timestamptz,
    fence integer,
    attempts smallint,
    status text,
    context_id text,
    agent_slug text,
    prompt text,
    context_hints text[],
    policy jsonb,
    desired_format text,
    created_at timestamptz,
    max_attempts smallint,
    queue text,
    priority smallint,
    requires text[],
    crashes smallint,
    max_crashes smallint,
    ver integer,
    epoch integer,
    conversation jsonb,
    replayed boolean
);

create type bloom.lease_row as (
    lease_id uuid,
    task_id uuid,
    worker_id text,
    session_id uuid,
    started_at timestamptz,
    expires_at timestamptz,
    ttl_seconds integer,
    status text,
    last_heartbeat timestamptz,
    context_id text,
    fence integer,
    attempt smallint,
    ended_at timestamptz,
    outcome text,
    error_message text
);

create type bloom.worker_row as (
    worker_id text,
    url text,
    status text,
    claude_cli boolean,
    max_concurrency integer,
    labels text[],
    last_seen_at timestamptz,
    ip_addrs text[],
    obs_count bigint,
    db_sha text,
    registered_at timestamptz,
    active integer,
    agent_version text,
    os_info text,
    install_method text,
    draining boolean,
    live_contexts text[],
    credential text,
    credential_exhausted_until timestamptz,
    created boolean
);

create type bloom.log_row as (
    fence integer,
    attempt smallint,
    lease_id uuid,
    "position" bigint,
    at timestamptz,
    text text
);

create type bloom.credential_row as (
    credential text,
    exhausted_until timestamptz,
    reason text,
    reported_by text,
    reported_at timestamptz,
    workers text[]
);

create type bloom.attempt_row as (
    task_id uuid,
    lease_id uuid,
    fence integer,
    attempt smallint,
    epoch integer,
    worker_id text,
    session_id uuid,
    started_at timestamptz,
    running_at timestamptz,
    ended_at timestamptz,
    outcome text,
    result_status text,
    error_message text,
    metrics jsonb,
    artifact_id uuid,
    cancel_requested_at timestamptz,
    cancel_delivered_at timestamptz,
    cancel_stopped_at timestamptz
);

create type bloom.queue_row as (
    queue text,
    paused boolean,
    max_running integer,
    serial_contexts boolean,
    aging_seconds integer,
    pin_wait_ms integer,
    tasks jsonb,
    oldest_ready_at timestamptz,
    created_at timestamptz
);

create type bloom.artifact_row as (
    artifact_id uuid,
    task_id uuid,
    type text,
    created_at timestamptz,
    url text,
    tags text[],
    content text,
    size_bytes bigint,
    sha256 text
);

create type bloom.result_row as (
    result_id uuid,
    task_id uuid,
    worker_id text,
    artifact_id uuid,
    status text,
    output text,
    error_message text,
    metrics jsonb,
    completed_at timestamptz,
    output_url text
);

create type bloom.event_row as (
    xid xid8,
    seq bigint,
    at timestamptz,
    cause text,
    task_id uuid,
    ver integer,
    queue text,
    prior text,
    status text,
    epoch integer,
    fence integer,
    attempts smallint,
    crashes smallint,
    lease_id uuid,
    worker_id text,
    subject text,
    actor text,
    detail jsonb
);

create type bloom.webhook_row as (
    webhook_id uuid,
    name text,
    url text,
    types text[],
    queues text[],
    max_events smallint,
    max_attempts smallint,
    backoff_ms integer,
    paused boolean,
    paused_why text,
    xid xid8,
    seq bigint,
    created_at timestamptz,
    created_by text,
    pending bigint,
    attempts smallint,
    next_at timestamptz,
    last_error text,
    last_delivered_at timestamptz
);

-- A webhook that a service process may deliver to now: with the delivery to make, or none yet.
create type bloom.webhook_work as (
    webhook_id uuid,
    url text,
    secret jsonb,
    types text[],
    queues text[],
    max_events smallint,
    xid xid8,
    seq bigint,
    delivery_id uuid,
    events text,
    attempts smallint
);

create type bloom.delivery_row as (
    delivery_id uuid,
    webhook_id uuid,
    state text,
    event_count integer,
    attempts smallint,
    next_at timestamptz,
    status integer,
    error text,
    duration_ms integer,
    created_at timestamptz,
    ended_at timestamptz,
    events text
);

-- Rights ----------------------------------------------------------------------------------------
-- The group roles use the verbs and read the views of schema bloom; nobody but the owner reaches
-- bloom_private. EXECUTE and SELECT are granted in functions/grants.sql.

grant usage on schema bloom to bloom_producer, bloom_worker, bloom_reader, bloom_admin;
