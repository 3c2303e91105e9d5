//! What an owner may do, and one that is no owner any more may not.

use std::time::Duration;

use jobwatch_pgmq::{Adopted, Claim, Destination, Enqueued, Finished, JobSnapshot, Outcome, Queue};
use jobwatch_reqwest::Dialect;
use sqlx::{PgConnection, Row};

use crate::backend::jobs;
use crate::ended::ended;
use crate::postgres::Database;

const LEASE: Duration = Duration::from_secs(600);

fn destination() -> Destination {
    Destination::new(&Dialect::tracker(), Some("http://127.0.0.1:9"), "default").unwrap()
}

/// A queue with jobs in it.
async fn with(database: &Database, ids: &[&str]) -> (Queue, PgConnection) {
    let queue = Queue::open(&database.url(), "jobs").await.unwrap();
    queue.enqueue(&destination(), &jobs(ids.iter().copied())).await.unwrap();
    (queue, database.connect().await)
}

async fn adopt(queue: &Queue, worker: &str) -> Vec<Claim> {
    queue.adopt(&destination(), worker, LEASE, 100).await.unwrap().iter().map(|adopted| adopted.claim).collect()
}

/// The leases of all messages end now.
async fn expire(database: &mut PgConnection) {
    let expired = "SELECT count(*) FROM (SELECT pgmq.set_vt('jobs', msg_id, 0) FROM pgmq.q_jobs) expired";
    sqlx::query(expired).execute(database).await.unwrap();
}

fn succeeded(id: &str) -> Finished {
    ended(id, r#"{"result":"completed"}"#).0
}

async fn outcomes(database: &mut PgConnection) -> Vec<(String, String, String)> {
    let rows =
        sqlx::query("SELECT id, outcome, worker FROM jobwatch.results ORDER BY id").fetch_all(database).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect()
}

async fn messages(database: &mut PgConnection) -> Vec<serde_json::Value> {
    let rows =
        sqlx::query_scalar("SELECT message::text FROM pgmq.q_jobs ORDER BY msg_id").fetch_all(database).await.unwrap();
    rows.iter().map(|text: &String| serde_json::from_str(text).unwrap()).collect()
}

#[tokio::test]
async fn an_expired_owner_changes_nothing() {
    let Some(database) = Database::create().await else { return };
    let (queue, mut sql) = with(&database, &["j"]).await;
    let old = adopt(&queue, "old").await;
    expire(&mut sql).await;
    let new = adopt(&queue, "new").await;
    assert!(old[0].id == new[0].id && old[0].epoch < new[0].epoch, "{old:?} {new:?}");
    let before = messages(&mut sql).await;
    let vt = "SELECT vt::text FROM pgmq.q_jobs";
    let lease: String = sqlx::query_scalar(vt).fetch_one(&mut sql).await.unwrap();

    let (finished, snapshot) = ended("j", r#"{"result":"error"}"#);
    let none: [i64; 0] = [];
    assert_eq!(queue.extend(&old, LEASE * 2).await.unwrap(), none);
    assert_eq!(queue.progress("old", &[(old[0], Some(snapshot.clone()))]).await.unwrap(), none);
    assert_eq!(queue.release("old", &[(old[0], Some(snapshot))]).await.unwrap(), none);
    assert_eq!(queue.set_aside("old", &[(old[0], "no".to_owned())]).await.unwrap(), none);
    assert_eq!(queue.finish("old", [(old[0], &finished)]).await.unwrap(), none);

    assert_eq!(messages(&mut sql).await, before);
    assert_eq!(sqlx::query_scalar::<_, String>(vt).fetch_one(&mut sql).await.unwrap(), lease);
    assert_eq!(outcomes(&mut sql).await, []);
    let owner: String = sqlx::query_scalar("SELECT worker FROM jobwatch.jobs").fetch_one(&mut sql).await.unwrap();
    assert_eq!(owner, "new");

    assert_eq!(queue.finish("new", [(new[0], &succeeded("j"))]).await.unwrap(), [new[0].id]);
    assert_eq!(outcomes(&mut sql).await, [("j".to_owned(), "succeeded".to_owned(), "new".to_owned())]);
    assert!(messages(&mut sql).await.is_empty());
}

#[tokio::test]
async fn an_owner_whose_lease_has_ended_goes_on_where_nobody_else_has_begun() {
    let Some(database) = Database::create().await else { return };
    let (queue, mut sql) = with(&database, &["a", "b"]).await;
    let claims = adopt(&queue, "w").await;
    expire(&mut sql).await;
    assert_eq!(queue.extend(&claims[..1], LEASE).await.unwrap(), [claims[0].id]);
    assert_eq!(queue.finish("w", [(claims[1], &succeeded("b"))]).await.unwrap(), [claims[1].id]);
    assert_eq!(adopt(&queue, "other").await, []);
}

#[tokio::test]
async fn an_end_is_recorded_once_however_often_it_is_told() {
    let Some(database) = Database::create().await else { return };
    let (queue, mut sql) = with(&database, &["a", "b"]).await;
    let claims = adopt(&queue, "w").await;
    let (a, b) = (succeeded("a"), ended("b", r#"{"result":"error"}"#).0);
    for _ in 0..2 {
        // As after an outage that has swallowed the first answer.
        let mut recorded = queue.finish("w", [(claims[0], &a), (claims[1], &b)]).await.unwrap();
        recorded.sort_unstable();
        assert_eq!(recorded, [claims[0].id, claims[1].id]);
    }
    let told: Vec<_> = outcomes(&mut sql).await.into_iter().map(|(id, outcome, _)| (id, outcome)).collect();
    assert_eq!(told, [("a".to_owned(), "succeeded".to_owned()), ("b".to_owned(), "failed".to_owned())]);
    let standing = queue.enqueue(&destination(), &jobs(["a", "b", "c"])).await.unwrap();
    let ended = |word: &str| Enqueued::Ended(word.to_owned());
    assert_eq!(standing, [ended("succeeded"), ended("failed"), Enqueued::Queued]);
    let known: i64 = sqlx::query_scalar("SELECT count(*) FROM jobwatch.jobs").fetch_one(&mut sql).await.unwrap();
    assert_eq!(known, 1);
}

#[tokio::test]
async fn a_wait_that_ended_without_the_jobs_end_begins_anew_when_it_is_enqueued() {
    let Some(database) = Database::create().await else { return };
    let (queue, mut sql) = with(&database, &["j"]).await;
    let claims = adopt(&queue, "w").await;
    let (timed_out, _) = ended("j", r#"{"result":"pending"}"#);
    assert_eq!(timed_out.outcome, Outcome::TimedOut);
    queue.finish("w", [(claims[0], &timed_out)]).await.unwrap();
    let row =
        sqlx::query("SELECT outcome, reason, error, state FROM jobwatch.results").fetch_one(&mut sql).await.unwrap();
    let told: Vec<String> = (0..4).map(|column| row.get(column)).collect();
    assert_eq!(told[..2], ["timed_out", "polls_spent"]);
    assert!(told[2].contains("all allowed looks") && told[3] == "pending", "{told:?}");

    assert_eq!(queue.enqueue(&destination(), &jobs(["j"])).await.unwrap(), [Enqueued::Queued]);
    assert_eq!(outcomes(&mut sql).await, [], "one job has one outcome");
    let again = queue.adopt(&destination(), "w", LEASE, 10).await.unwrap();
    let [Adopted { claim, job: Ok((_, None)), tries: 0, .. }] = again.as_slice() else { panic!("{again:?}") };
    queue.finish("w", [(*claim, &succeeded("j"))]).await.unwrap();
    assert_eq!(outcomes(&mut sql).await[0].1, "succeeded");
}

#[tokio::test]
async fn what_is_handed_back_can_be_adopted_at_once_and_goes_on() {
    let Some(database) = Database::create().await else { return };
    let (queue, mut sql) = with(&database, &["a", "b"]).await;
    let claims = adopt(&queue, "w").await;
    let (_, snapshot) = ended("a", r#"{"result":"completed"}"#);
    let mut handed_back = queue.release("w", &[(claims[0], Some(snapshot.clone())), (claims[1], None)]).await.unwrap();
    handed_back.sort_unstable();
    assert_eq!(handed_back, [claims[0].id, claims[1].id]);
    let free: i64 = sqlx::query_scalar("SELECT count(*) FROM jobwatch.jobs WHERE worker IS NULL AND tries = 0")
        .fetch_one(&mut sql)
        .await
        .unwrap();
    assert_eq!(free, 2);
    let again = queue.adopt(&destination(), "next", LEASE, 10).await.unwrap();
    let found: Vec<_> = again.iter().map(|adopted| adopted.job.as_ref().unwrap()).collect();
    assert_eq!(found[0].0.id(), "a");
    let text = |snapshot: &JobSnapshot| serde_json::to_value(snapshot).unwrap();
    assert_eq!(text(found[0].1.as_ref().unwrap()), text(&snapshot));
    assert!(found[1].1.is_none());
    // An owner that has handed a message back owns it no more.
    assert!(queue.extend(&claims, LEASE).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_change_of_phase_is_written_into_the_message() {
    let Some(database) = Database::create().await else { return };
    let (queue, mut sql) = with(&database, &["a", "b"]).await;
    let claims = adopt(&queue, "w").await;
    let (_, snapshot) = ended("a", r#"{"result":"completed"}"#);
    queue.progress("w", &[(claims[0], Some(snapshot)), (claims[1], None)]).await.unwrap();
    let messages = messages(&mut sql).await;
    assert_eq!(messages[0]["snapshot"]["job"]["state"], "pending");
    assert_eq!((&messages[0]["job"]["id"], &messages[0]["v"]), (&"a".into(), &1.into()));
    assert!(messages[1]["snapshot"].is_null());
}

#[tokio::test]
async fn what_is_set_aside_keeps_its_message_and_its_reason() {
    let Some(database) = Database::create().await else { return };
    let (queue, mut sql) = with(&database, &["bad", "good"]).await;
    let claims = adopt(&queue, "w").await;
    assert_eq!(queue.set_aside("w", &[(claims[0], "it is\0 bad".to_owned())]).await.unwrap(), [claims[0].id]);
    let aside = "SELECT message->'job'->>'id', headers->>'set_aside' FROM pgmq.a_jobs";
    let row = sqlx::query(aside).fetch_one(&mut sql).await.unwrap();
    assert_eq!((row.get::<String, _>(0), row.get::<String, _>(1)), ("bad".to_owned(), "it is\u{fffd} bad".to_owned()));
    assert_eq!(outcomes(&mut sql).await, [("bad".to_owned(), "gave_up".to_owned(), "w".to_owned())]);
    let status = queue.status().await.unwrap();
    assert_eq!((status.waiting, status.running, status.set_aside), (0, 1, 1));
    assert_eq!(queue.enqueue(&destination(), &jobs(["bad"])).await.unwrap(), [Enqueued::Queued]);
}

#[tokio::test]
async fn what_a_backend_says_is_stored_whatever_it_is() {
    let Some(database) = Database::create().await else { return };
    let (queue, mut sql) = with(&database, &["j"]).await;
    let claims = adopt(&queue, "w").await;
    let mut end = succeeded("j");
    end.result = Some(serde_json::json!({ "a\u{0}": ["\u{0}", "§ ' \" \\", 1e300, null] }));
    end.state = Some("com\0pleted".to_owned());
    end.error = Some("\0".to_owned());
    assert_eq!(queue.finish("w", [(claims[0], &end)]).await.unwrap(), [claims[0].id]);
    let row = sqlx::query("SELECT result::text, state, error FROM jobwatch.results").fetch_one(&mut sql).await.unwrap();
    assert_eq!(serde_json::from_str::<serde_json::Value>(row.get(0)).unwrap(), end.result.unwrap());
    assert_eq!(
        (row.get::<String, _>(1), row.get::<String, _>(2)),
        ("com\u{fffd}pleted".to_owned(), "\u{fffd}".to_owned())
    );
}

#[tokio::test]
async fn workers_adopt_different_jobs() {
    let Some(database) = Database::create().await else { return };
    let queue = Queue::open(&database.url(), "jobs").await.unwrap();
    queue.enqueue(&destination(), &jobs((0..400).map(|number| format!("job-{number}")))).await.unwrap();
    let adopting = (0..8).map(|number| {
        let queue = queue.clone();
        tokio::spawn(async move { queue.adopt(&destination(), &format!("w{number}"), LEASE, 50).await.unwrap() })
    });
    let mut adopted = Vec::new();
    for some in adopting.collect::<Vec<_>>() {
        adopted.extend(some.await.unwrap().into_iter().map(|adopted| adopted.claim.id));
    }
    let rest = queue.adopt(&destination(), "w", LEASE, 400).await.unwrap();
    adopted.extend(rest.into_iter().map(|adopted| adopted.claim.id));
    adopted.sort_unstable();
    adopted.dedup();
    assert_eq!(adopted.len(), 400);
    let status = queue.status().await.unwrap();
    assert_eq!((status.waiting, status.running), (0, 400));
    assert_eq!(status.workers.iter().map(|worker| worker.running).sum::<u64>(), 400);
}
