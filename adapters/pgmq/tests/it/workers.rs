//! Workers, from the adoption of a job to its end.

use std::time::Duration;

use jobwatch_pgmq::{
    DEFAULT_LEASE, Destination, MOST_CRASHES, Queue, RateLimit, SHORTEST_LEASE, Until, Worker, WorkerError,
};
use jobwatch_reqwest::Policy;
use sqlx::{Executor, PgConnection, Row};

use crate::at_work::{AtWork, FAST, HANG_GUARD, expire, result, results, started, worker};
use crate::backend::{Answer, Backend, jobs};
use crate::postgres::Database;

#[tokio::test]
async fn a_worker_records_how_each_job_ends() {
    let Some(database) = Database::create().await else { return };
    let (backend, queue, mut sql) = started(&database, &["good", "bad", "unknown"]).await;
    backend.set("good", Answer::Body(r#"{"result":"completed"}"#.to_owned()));
    backend.set("bad", Answer::State("error"));
    let client = backend
        .client_with(Policy::builder().with_max_polls(2).with_min_delay(Duration::from_millis(20)).build().unwrap());
    let worker = Worker::new(queue.clone(), client, backend.destination()).with_name("w");
    let summary = AtWork::begin(worker, Until::Drained).end().await.unwrap();
    assert_eq!((summary.recorded, summary.left_behind), (3, 0));
    let expected =
        [result("bad", "failed", "w"), result("good", "succeeded", "w"), result("unknown", "timed_out", "w")];
    assert_eq!(results(&mut sql).await, expected);
    let status = queue.status().await.unwrap();
    assert_eq!((status.waiting, status.running, status.workers.len()), (0, 0, 1));
    assert!(status.workers[0].seen.is_none() && status.workers[0].ended.len() == 3, "{status:?}");
    let unnamed = Worker::new(queue.clone(), backend.client(), backend.destination());
    let another = Worker::new(queue, backend.client(), backend.destination());
    assert_ne!(unnamed.name(), another.name());
    assert!(SHORTEST_LEASE < DEFAULT_LEASE);
}

#[tokio::test]
async fn once_means_the_jobs_that_were_there() {
    let Some(database) = Database::create().await else { return };
    let (backend, queue, mut sql) = started(&database, &["a", "b"]).await;
    let mut at_work = AtWork::begin(worker(&queue, &backend, "w"), Until::Once);
    backend.asked_for("b", 1).await;
    queue.enqueue(&backend.destination(), &jobs(["late"])).await.unwrap();
    backend.set("a", Answer::State("completed"));
    at_work.tells("a succeeded").await;
    backend.set("b", Answer::State("completed"));
    assert_eq!(at_work.end().await.unwrap().recorded, 2);
    assert_eq!(results(&mut sql).await, [result("a", "succeeded", "w"), result("b", "succeeded", "w")]);
    assert_eq!((queue.status().await.unwrap().waiting, backend.times_asked("late")), (1, 0));
}

#[tokio::test]
async fn a_job_that_comes_is_adopted_although_the_queue_was_empty_for_long() {
    let Some(database) = Database::create().await else { return };
    let (backend, queue, _) = started(&database, &[]).await;
    backend.set("late", Answer::State("completed"));
    let mut at_work = AtWork::begin(worker(&queue, &backend, "w"), Until::Stopped);
    queue.enqueue(&backend.destination(), &jobs(["late"])).await.unwrap();
    at_work.tells("late succeeded").await;
    assert_eq!(at_work.stop().await.recorded, 1);
}

#[tokio::test]
async fn a_worker_that_is_stopped_hands_back_with_the_newest_snapshots() {
    let Some(database) = Database::create().await else { return };
    let (backend, queue, mut sql) = started(&database, &["a", "b", "done"]).await;
    backend.set("done", Answer::State("completed"));
    backend.set("b", Answer::Hangs);
    let mut at_work = AtWork::begin(worker(&queue, &backend, "w"), Until::Stopped);
    at_work.tells("done succeeded").await;
    backend.asked_for("a", 3).await;
    backend.asked_for("b", 1).await;
    let summary = at_work.stop().await;
    assert_eq!((summary.recorded, summary.handed_back, summary.left_behind), (1, 2, 0));

    let free = "SELECT q.message->'snapshot'->'job'->>'state', (q.message->'snapshot'->'job'->>'requests')::bigint
                FROM pgmq.q_jobs q JOIN jobwatch.jobs j USING (msg_id)
                WHERE q.vt <= clock_timestamp() AND j.worker IS NULL AND j.tries = 0 ORDER BY j.msg_id";
    let free = sqlx::query(free).fetch_all(&mut sql).await.unwrap();
    let of_a = (free[0].get::<Option<String>, _>(0), free[0].get::<i64, _>(1));
    assert!(of_a.0.as_deref() == Some("pending") && of_a.1 >= 3, "{of_a:?}");
    assert_eq!((free[1].get::<Option<String>, _>(0), free[1].get::<i64, _>(1)), (None, 1));

    // The next one goes on with their counts.
    for id in ["a", "b"] {
        backend.set(id, Answer::State("completed"));
    }
    let looks = backend.times_asked("a");
    AtWork::begin(worker(&queue, &backend, "next"), Until::Drained).end().await.unwrap();
    let requests: i64 =
        sqlx::query_scalar("SELECT requests FROM jobwatch.results WHERE id = 'a'").fetch_one(&mut sql).await.unwrap();
    assert!(requests > 3 && requests <= i64::try_from(looks).unwrap() + 1, "{requests} of {looks}");
    assert_eq!(results(&mut sql).await[1], result("b", "succeeded", "next"));
}

#[tokio::test]
async fn what_a_dead_worker_owned_is_adopted_when_its_lease_has_ended() {
    let Some(database) = Database::create().await else { return };
    let (backend, queue, mut sql) = started(&database, &["j"]).await;
    let dying = AtWork::begin(worker(&queue, &backend, "dying").with_lease(SHORTEST_LEASE), Until::Stopped);
    backend.asked_for("j", 2).await;
    dying.crash().await;
    let lease = "SELECT vt <= clock_timestamp() + interval '2 s' FROM pgmq.q_jobs";
    assert!(sqlx::query_scalar::<_, bool>(lease).fetch_one(&mut sql).await.unwrap());
    backend.set("j", Answer::State("completed"));
    AtWork::begin(worker(&queue, &backend, "next"), Until::Drained).end().await.unwrap();
    assert_eq!(results(&mut sql).await, [result("j", "succeeded", "next")]);
}

#[tokio::test]
async fn leases_are_extended_as_long_as_their_owner_lives() {
    let Some(database) = Database::create().await else { return };
    let (backend, queue, mut sql) = started(&database, &["j"]).await;
    let owner = AtWork::begin(worker(&queue, &backend, "owner").with_lease(SHORTEST_LEASE), Until::Stopped);
    backend.asked_for("j", 1).await;
    let adopted = "SELECT last_read_at FROM pgmq.q_jobs";
    // Three times as long as the lease, by the database's clock.
    let lived = format!("SELECT clock_timestamp() > ({adopted}) + interval '6 s'");
    while !sqlx::query_scalar::<_, bool>(&lived).fetch_one(&mut sql).await.unwrap() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // A stall of this machine may have cost the lease, and then the same worker has it again.
    let epoch: i32 = sqlx::query_scalar("SELECT read_ct FROM pgmq.q_jobs").fetch_one(&mut sql).await.unwrap();
    let extended: bool =
        sqlx::query_scalar("SELECT vt > last_read_at + interval '4 s' OR read_ct > 1 FROM pgmq.q_jobs")
            .fetch_one(&mut sql)
            .await
            .unwrap();
    assert!(extended, "in epoch {epoch}");
    assert_eq!(owner.stop().await.handed_back, 1);
}

#[tokio::test]
async fn a_worker_drops_the_jobs_that_others_have() {
    let Some(database) = Database::create().await else { return };
    let (backend, queue, mut sql) = started(&database, &["j"]).await;
    let mut first = AtWork::begin(worker(&queue, &backend, "first").with_lease(SHORTEST_LEASE), Until::Stopped);
    backend.asked_for("j", 1).await;
    // As if it had been cut off for longer than its lease.
    let mut stolen = Vec::new();
    while stolen.is_empty() {
        expire(&mut sql).await;
        stolen = queue.adopt(&backend.destination(), "thief", Duration::from_secs(600), 10).await.unwrap();
    }
    first.tells("Lost(1)").await;
    assert_eq!(first.stop().await.handed_back, 0);
    let owner: String = sqlx::query_scalar("SELECT worker FROM jobwatch.jobs").fetch_one(&mut sql).await.unwrap();
    assert_eq!(owner, "thief");
}

/// Adopts the job, begins a look at it, and dies.
async fn die_looking(queue: &Queue, backend: &Backend, sql: &mut PgConnection, id: &str) {
    let looks = backend.times_asked(id);
    let dying = AtWork::begin(worker(queue, backend, "dying"), Until::Stopped);
    backend.asked_for(id, looks + 1).await;
    dying.crash().await;
    expire(sql).await;
}

/// Waits until nothing is held against so many jobs that are owned.
async fn acquitted(sql: &mut PgConnection, jobs: i64) {
    let heard = "SELECT count(*) FROM jobwatch.jobs WHERE tries = 0 AND worker IS NOT NULL";
    let all = async {
        while sqlx::query_scalar::<_, i64>(heard).fetch_one(&mut *sql).await.unwrap() < jobs {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(HANG_GUARD, all).await.expect("the database hears that the looks are over");
}

#[tokio::test]
async fn a_job_that_kills_its_workers_is_set_aside() {
    let Some(database) = Database::create().await else { return };
    let (backend, queue, mut sql) = started(&database, &["poison"]).await;
    backend.set("poison", Answer::Hangs);
    for _ in 0..MOST_CRASHES {
        die_looking(&queue, &backend, &mut sql, "poison").await;
    }
    let looks = backend.times_asked("poison");
    let summary = AtWork::begin(worker(&queue, &backend, "last"), Until::Drained).end().await.unwrap();
    assert_eq!((summary.set_aside, summary.recorded, backend.times_asked("poison")), (1, 0, looks));
    assert_eq!(results(&mut sql).await, [result("poison", "gave_up", "last")]);
    let reason: String =
        sqlx::query_scalar("SELECT headers->>'set_aside' FROM pgmq.a_jobs").fetch_one(&mut sql).await.unwrap();
    assert!(reason.contains("5 workers") && reason.contains("poison"), "{reason}");
}

#[tokio::test]
async fn a_job_that_was_read_often_is_not_poisoned() {
    let Some(database) = Database::create().await else { return };
    let (backend, queue, mut sql) = started(&database, &["j"]).await;
    // Its owners were never heard of again, and none of them has begun a look.
    for _ in 0..3 * MOST_CRASHES {
        assert_eq!(queue.adopt(&backend.destination(), "w", Duration::from_secs(60), 10).await.unwrap().len(), 1);
        expire(&mut sql).await;
    }
    // A look that has come to its end acquits it.
    for round in 0..MOST_CRASHES {
        backend.set("j", Answer::Hangs);
        die_looking(&queue, &backend, &mut sql, "j").await;
        if round == MOST_CRASHES - 2 {
            backend.set("j", Answer::State("pending"));
            let good = AtWork::begin(worker(&queue, &backend, "good"), Until::Stopped);
            backend.asked_for("j", backend.times_asked("j") + 2).await;
            acquitted(&mut sql, 1).await;
            good.crash().await;
            expire(&mut sql).await;
        }
    }
    backend.set("j", Answer::State("completed"));
    AtWork::begin(worker(&queue, &backend, "w"), Until::Drained).end().await.unwrap();
    assert_eq!(results(&mut sql).await, [result("j", "succeeded", "w")]);
}

#[tokio::test]
async fn looks_that_told_nothing_acquit_too() {
    let Some(database) = Database::create().await else { return };
    let (backend, queue, mut sql) = started(&database, &["j", "proof"]).await;
    backend.set("j", Answer::Status(500));
    let policy = Policy::builder().with_min_delay(Duration::from_millis(20)).with_max_delay(Duration::from_millis(100));
    let policy = policy.with_max_consecutive_failures(1_000_000).with_total_timeout(Duration::from_secs(600)).build();
    let patient = Worker::new(queue.clone(), backend.client_with(policy.unwrap()), backend.destination());
    let at_work = AtWork::begin(patient.with_rate(RateLimit::per_second(FAST).unwrap()), Until::Stopped);
    backend.asked_for("j", 1).await;
    acquitted(&mut sql, 2).await;
    assert_eq!(at_work.stop().await.handed_back, 2);
}

#[tokio::test]
async fn messages_that_are_no_jobs_are_set_aside_and_those_for_others_left() {
    let Some(database) = Database::create().await else { return };
    let (backend, queue, mut sql) = started(&database, &["good"]).await;
    backend.set("good", Answer::State("completed"));
    let elsewhere =
        Destination::new(&jobwatch_reqwest::Dialect::tracker(), Some("http://evil.example"), "default").unwrap();
    queue.enqueue(&elsewhere, &jobs(["theirs"])).await.unwrap();
    let url = backend.url();
    for job in ["null", r#"{"id":""}"#, r#"{"id":"x","poll_url":7}"#] {
        let message = format!(r#"{{"v":1,"dialect":"tracker","base_url":"{url}","credential":"default","job":{job}}}"#);
        sqlx::query("SELECT pgmq.send('jobs', $1::text::jsonb)").bind(message).execute(&mut sql).await.unwrap();
    }
    sql.execute(r#"SELECT pgmq.send('jobs', '{"v":2}'), pgmq.send('jobs', '[]')"#).await.unwrap();
    let summary = AtWork::begin(worker(&queue, &backend, "w"), Until::Drained).end().await.unwrap();
    assert_eq!((summary.recorded, summary.set_aside), (1, 3));
    let left: i64 =
        sqlx::query_scalar("SELECT count(*) FROM pgmq.q_jobs WHERE read_ct = 0").fetch_one(&mut sql).await.unwrap();
    assert_eq!(left, 3, "of another destination, of another version, and of nobody knows what");
}

#[tokio::test]
async fn refused_credentials_do_not_empty_the_queue() {
    let Some(database) = Database::create().await else { return };
    for status in [401, 403] {
        let (backend, queue, mut sql) = started(&database, &["a", "b", "c"]).await;
        for id in ["a", "b", "c"] {
            backend.set(id, Answer::Status(status));
        }
        let error = AtWork::begin(worker(&queue, &backend, "w"), Until::Stopped).end().await.unwrap_err();
        assert!(matches!(error, WorkerError::CredentialsRefused(_)), "{error}");
        assert_eq!(results(&mut sql).await, []);
        assert_eq!(queue.remaining(&backend.destination()).await.unwrap(), 3);
        assert_eq!(queue.status().await.unwrap().running, 0, "they are handed back");
    }
}

#[tokio::test]
async fn a_backend_that_never_answers_does_not_empty_the_queue() {
    let Some(database) = Database::create().await else { return };
    let (backend, queue, mut sql) = started(&database, &["a", "b"]).await;
    for id in ["a", "b"] {
        backend.set(id, Answer::Status(502));
    }
    let policy = Policy::builder().with_min_delay(Duration::from_millis(10)).with_max_consecutive_failures(2);
    let client = backend.client_with(policy.with_max_delay(Duration::from_millis(20)).build().unwrap());
    let worker = Worker::new(queue.clone(), client, backend.destination());
    let error = AtWork::begin(worker, Until::Stopped).end().await.unwrap_err();
    assert!(matches!(error, WorkerError::NeverAnswered(_)), "{error}");
    assert_eq!(results(&mut sql).await, []);
    assert_eq!(queue.remaining(&backend.destination()).await.unwrap(), 2);
}

#[tokio::test]
async fn an_end_whose_result_cannot_be_stored_is_recorded_without_it() {
    let Some(database) = Database::create().await else { return };
    let (backend, queue, mut sql) = started(&database, &["a", "b", "c"]).await;
    sql.execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN RAISE EXCEPTION 'no room for this' USING ERRCODE = '54000'; END $$;
         CREATE TRIGGER refuse BEFORE INSERT ON jobwatch.results FOR EACH ROW
         WHEN (NEW.id = 'b' AND NEW.result IS NOT NULL) EXECUTE FUNCTION refuse()",
    )
    .await
    .unwrap();
    // The dialect of the tracker has no results: this one has.
    let dialect = jobwatch_reqwest::Dialect::from_toml(
        "name = \"kiln\"\n[poll]\npath = \"/status/{id}\"\n[state]\npointer = \"/result\"\npending = [\"pending\"]\n\
         succeeded = [\"completed\"]\nfailed = [\"error\"]\n[result]\npointer = \"/photo\"\n",
    )
    .unwrap();
    let destination = Destination::new(&dialect, Some(&backend.url()), "default").unwrap();
    queue.enqueue(&destination, &jobs(["a", "b", "c"])).await.unwrap();
    for id in ["a", "b", "c"] {
        backend.set(id, Answer::Body(r#"{"result":"completed","photo":{"big":true}}"#.to_owned()));
    }
    let client = jobwatch_reqwest::Client::builder(dialect).base_url(backend.url()).rate(None).build().unwrap();
    let worker = Worker::new(queue.clone(), client, destination).with_name("w");
    let summary = AtWork::begin(worker, Until::Drained).end().await.unwrap();
    assert_eq!(summary.recorded, 3);
    let rows =
        sqlx::query("SELECT result::text, error FROM jobwatch.results ORDER BY id").fetch_all(&mut sql).await.unwrap();
    let told: Vec<(Option<String>, Option<String>)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    assert!(told[0].0.is_some() && told[2].0.is_some() && told[1].0.is_none(), "{told:?}");
    assert!(told[1].1.as_deref().unwrap().contains("no room for this"), "{told:?}");
}

#[tokio::test]
async fn no_more_jobs_are_adopted_than_there_is_room_for() {
    let Some(database) = Database::create().await else { return };
    let (backend, queue, _) = started(&database, &["a", "b", "c", "d", "e"]).await;
    let mut at_work = AtWork::begin(worker(&queue, &backend, "w").with_max_jobs(2), Until::Stopped);
    backend.asked_for("a", 2).await;
    backend.asked_for("b", 2).await;
    let status = queue.status().await.unwrap();
    assert_eq!((status.waiting, status.running), (3, 2));
    backend.set("a", Answer::State("completed"));
    at_work.tells("a succeeded").await;
    backend.asked_for("c", 1).await;
    let status = queue.status().await.unwrap();
    assert_eq!((status.waiting, status.running), (2, 2));
    assert_eq!(at_work.stop().await.handed_back, 2);
}

#[tokio::test]
async fn workers_share_one_rate() {
    let Some(database) = Database::create().await else { return };
    let ids: Vec<String> = (0..60).map(|number| format!("job-{number}")).collect();
    let (backend, queue, mut sql) = started(&database, &[]).await;
    queue.enqueue(&backend.destination(), &jobs(ids.iter().map(String::as_str))).await.unwrap();
    for id in &ids {
        backend.set(id, Answer::State("completed"));
    }
    let begin = queue.now().await.unwrap();
    let workers: Vec<AtWork> = (0..3)
        .map(|number| {
            let worker = worker(&queue, &backend, &format!("w{number}")).with_max_jobs(20);
            AtWork::begin(worker.with_rate(RateLimit::per_second(30.0).unwrap()), Until::Drained)
        })
        .collect();
    for worker in workers {
        worker.end().await.unwrap();
    }
    let elapsed = queue.now().await.unwrap().saturating_since(begin).as_secs_f64();
    let looks: usize = ids.iter().map(|id| backend.times_asked(id)).sum();
    assert_eq!((looks, results(&mut sql).await.len()), (60, 60));
    // The first at once, and each other one an interval later.
    assert!(elapsed >= 59.0 / 30.0 - 0.1, "60 requests at 30 a second in {elapsed} s");
}
