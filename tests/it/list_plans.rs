//! Statistics and lists never walk through the history, however long it is: what the verbs behind
//! them read is counted by Postgres itself.

use tokio_postgres::Client;

use crate::pg::TestDb;
use crate::runtime::eventually;

/// Finished tasks with their events, attempts and artifacts.
const FILL: &str = "
set search_path = pg_catalog, bloom_private, pg_temp;
create temp table made as
select bloom_private.uuid_v7() as task_id, bloom_private.uuid_v7() as lease_id, i,
       case when i % 50 = 0 then 'dead' else 'completed' end as status
  from generate_series(1, 20000) i;
insert into bloom_private.task
select task_id, 'default', 'c' || i % 100, 'a', 'p', '{}', '{\"timeout_sec\": 1, \"budget\": 0}', 'text',
       '{}', 5, 3, 5, false, null, now(), 'test' from made;
insert into bloom_private.event (cause, task_id, ver, queue, prior, status, epoch, fence, attempts,
    crashes, actor)
select s.cause, task_id, s.ver, 'default', s.prior, s.status, 0, 0, 0, 0, 'test'
  from made cross join (values ('submitted', 1, null, 'queued'), ('leased', 2, 'queued', 'leased'),
       ('running', 3, 'leased', 'running')) s (cause, ver, prior, status);
insert into bloom_private.attempt (task_id, fence, lease_id, worker_id, epoch, attempt, started_at,
    ended_at, expires_at, last_heartbeat, ttl_seconds, outcome, result_status, artifact_id, digest)
select task_id, 1, lease_id, 'w', 0, 1, now(), now(), now(), now(), 300,
       case status when 'dead' then 'failed' else status end, 'success', lease_id, '\\x00' from made;
insert into bloom_private.artifact
select lease_id, task_id, lease_id, 'LLM_RESULT', '{}', null, 'out', 3, now() from made;
insert into bloom_private.finished (task_id, queue, status, ver, epoch, fence, attempts, crashes,
    cause, prior, actor, lease_id, worker_id)
select task_id, 'default', status, 4, 0, 1, 1, 0, status, 'running', 'test', lease_id, 'w' from made;
";

/// What this session has read from the large tables and not reported yet, by whatever way.
const READ: &str = "
select sum(coalesce(t.seq_tup_read, 0) + coalesce(i.read, 0))::bigint
  from pg_stat_xact_user_tables t
  left join lateral (select sum(pg_stat_get_xact_tuples_returned(x.indexrelid)) as read
          from pg_index x where x.indrelid = t.relid) i on true
 where t.schemaname = 'bloom_private'
   and t.relname ~ '^(task|finished|event|attempt|artifact)(_default|_[0-9]+)?$'";

/// Rows that `sql` reads from the large tables.
async fn rows_read(client: &mut Client, sql: &str) -> i64 {
    // Sessions report between transactions only.
    let transaction = client.transaction().await.unwrap();
    let before: i64 = transaction.query_one(READ, &[]).await.unwrap().get(0);
    transaction.query(sql, &[]).await.unwrap();
    let after: i64 = transaction.query_one(READ, &[]).await.unwrap().get(0);
    after - before
}

#[tokio::test]
async fn statistics_and_lists_read_no_more_than_they_show() {
    let db = TestDb::new().await;
    let mut client = db.connect().await;
    client.batch_execute(FILL).await.unwrap();
    client.batch_execute("vacuum analyze").await.unwrap();
    // It folds what is older than every transaction under way, also of other tests.
    let is_folded =
        "select bloom.status_fold(), not exists (select from bloom_private.status_deltas(
        (select xid from bloom_private.log_cursor where name = 'status_count'), null))";
    eventually("the counts are folded", || async {
        let row = client.query_one(is_folded, &[]).await.unwrap();
        row.get::<_, bool>(1).then_some(())
    })
    .await;
    let row = client
        .query_one("select bloom.stats() -> 'tasks' ->> 'total'", &[])
        .await
        .unwrap();
    assert_eq!(row.get::<_, String>(0), "20000");
    // A page of 100 tasks reads each in a few tables.
    let page = 100 * 12;
    let old = "(select task_id from bloom_private.finished order by task_id offset 9000 limit 1)";
    let before: uuid::Uuid = client.query_one(old, &[]).await.unwrap().get(0);
    for (sql, most) in [
        ("select bloom.stats()".to_owned(), 100),
        ("select bloom.overview_get('hour')".to_owned(), 300),
        ("select bloom.overview_get('day')".to_owned(), 300),
        ("select * from bloom.queue_list()".to_owned(), 100),
        ("select * from bloom.worker_list()".to_owned(), 100),
        ("select * from bloom.task_list()".to_owned(), page),
        ("select * from bloom.task_list(null, 50)".to_owned(), page),
        (
            "select * from bloom.task_list('completed')".to_owned(),
            page,
        ),
        (
            format!("select * from bloom.task_list('completed', 100, '{before}')"),
            page,
        ),
        (
            format!("select * from bloom.task_list(null, 100, '{before}')"),
            page,
        ),
        ("select * from bloom.task_list('dead')".to_owned(), page),
        ("select * from bloom.task_list('queued')".to_owned(), page),
        ("select * from bloom.task_list('failed')".to_owned(), page),
        ("select * from bloom.task_list('running')".to_owned(), page),
        (
            "select * from bloom.task_list('cancelled')".to_owned(),
            page,
        ),
        ("select * from bloom.task_list('nonsense')".to_owned(), page),
        ("select * from bloom.lease_list()".to_owned(), page),
        ("select * from bloom.lease_list('active')".to_owned(), page),
        ("select * from bloom.lease_list('failed')".to_owned(), page),
        ("select * from bloom.artifact_list()".to_owned(), page),
        (
            format!("select * from bloom.artifact_list('{before}')"),
            page,
        ),
        ("select * from bloom.audit_list()".to_owned(), page),
        (
            "select * from bloom.audit_list(100, null, null, '{\"subject\": \"worker/w\"}')"
                .to_owned(),
            page,
        ),
        (
            format!(
                "select * from bloom.audit_list(100, null, null, '{{\"task_id\": \"{before}\"}}')"
            ),
            page,
        ),
        (
            "select * from bloom.audit_list(100, null, null, '{\"kind\": \"worker\"}')".to_owned(),
            page,
        ),
        (
            format!("select bloom.audit_verify('{before}', 100)"),
            2 * page,
        ),
    ] {
        // Plans for the parameters at hand come first, then those for any.
        for round in 0..7 {
            let read = rows_read(&mut client, &sql).await;
            assert!(read <= most, "{sql} reads {read} rows, round {round}");
        }
    }
    // With millions of events the planner takes to reading them all, so counting may not leave it
    // the choice: here it believes that an index is the worst of ideas.
    let sql = "set random_page_cost = 10000; set cpu_index_tuple_cost = 100";
    client.batch_execute(sql).await.unwrap();
    for sql in ["select bloom.stats()", "select * from bloom.queue_list()"] {
        let read = rows_read(&mut client, sql).await;
        assert!(read <= 100, "{sql} reads {read} rows");
    }
}

/// More tasks than a filtered page looks through.
const HISTORY: i64 = 45_000;
/// What it looks through.
const WINDOW: i64 = 20_000;

/// A long history of nothing that the filters ask for.
async fn long_history(client: &Client) {
    let sql = format!(
        "set search_path = pg_catalog, bloom_private, pg_temp;
         create temp table made as
             select bloom_private.uuid_v7() as task_id from generate_series(1, {HISTORY});
         insert into task
         select task_id, 'default', 'c', 'a', 'p', '{{}}', '{{}}', 'text', '{{}}', 5, 3, 5, false,
                null, now(), 'test' from made;
         -- Each leaves an event.
         insert into finished (task_id, queue, status, ver, epoch, fence, attempts, crashes, cause,
             prior, actor, lease_id, worker_id)
         select task_id, 'default', 'completed', 1, 0, 1, 1, 0, 'completed', 'running', 'test',
                task_id, 'w' from made"
    );
    client.batch_execute(&sql).await.unwrap();
    client.batch_execute("vacuum analyze").await.unwrap();
}

#[tokio::test]
async fn a_filtered_page_looks_through_so_many_rows_and_says_where_to_go_on() {
    let db = TestDb::new().await;
    let mut client = db.connect().await;
    long_history(&client).await;
    let lists = [
        "context_id",
        "queue",
        "agent_slug",
        "label",
        "text",
        "worker_id",
    ]
    .map(|filter| format!("bloom.task_list('completed', 100, null, '{{\"{filter}\": \"x\"}}')"));
    let trails = [
        r#"{"actor": "x"}"#,
        r#"{"causes": ["x"]}"#,
        r#"{"kind": "lease"}"#,
    ]
    .map(|options| format!("bloom.audit_list(100, null, null, '{options}')"));
    for call in lists.iter().chain(&trails) {
        // An index entry and a row of each, and where there is no hit, a look elsewhere.
        let most = if call.contains("worker_id") { 5 } else { 3 } * WINDOW;
        for round in 0..7 {
            let read = rows_read(&mut client, &format!("select * from {call}")).await;
            assert!(
                read >= WINDOW && read <= most,
                "{call} reads {read} rows, round {round}"
            );
        }
    }
    let reach = "select count(*) from bloom_private.task
                  where task_id >= bloom.task_reach('completed')";
    assert_eq!(
        client.query_one(reach, &[]).await.unwrap().get::<_, i64>(0),
        WINDOW
    );
    let reach = "select count(*) from bloom_private.event e, bloom.audit_reach(null, null,
                     '{\"actor\": \"x\"}') r where (e.xid, e.seq) >= (r.xid, r.seq)";
    assert_eq!(
        client.query_one(reach, &[]).await.unwrap().get::<_, i64>(0),
        WINDOW
    );
    // Page by page, it comes to an end.
    let (mut pages, mut before) = (0, None::<uuid::Uuid>);
    loop {
        pages += 1;
        let sql = "select bloom.task_reach('completed', $1)";
        match client.query_one(sql, &[&before]).await.unwrap().get(0) {
            None => break,
            next => before = next,
        }
    }
    assert_eq!(pages, 3);
}
