//! A database that goes and comes back.

use std::time::Duration;

use jobwatch_pgmq::Until;
use sqlx::Executor;

use crate::at_work::{AtWork, result, results, started, worker};
use crate::backend::Answer;
use crate::postgres::Database;

#[tokio::test]
async fn an_outage_of_the_database_loses_nothing() {
    let Some(database) = Database::create_alone(false).await else { return };
    for crash in [true, false] {
        let (backend, queue, mut sql) = started(&database, &[&format!("j-{crash}"), &format!("idle-{crash}")]).await;
        let id = format!("j-{crash}");
        let mut at_work = AtWork::begin(worker(&queue, &backend, "w"), Until::Stopped);
        backend.asked_for(&id, 2).await;
        let server = database.server();
        if crash {
            server.crash();
        } else {
            server.shut_down();
        }
        // Whatever was granted is used up by then, or lapses.
        at_work.tells("outage").await;
        backend.set(&id, Answer::State("completed"));
        assert!(server.begin(), "it starts again");
        at_work.tells("back").await;
        at_work.tells(&format!("{id} succeeded")).await;
        drop(sql);
        sql = database.connect().await;
        assert!(results(&mut sql).await.contains(&result(&id, "succeeded", "w")));
        let summary = at_work.stop().await;
        assert_eq!((summary.recorded, summary.handed_back, summary.left_behind), (1, 1, 0));
        sql.execute("DELETE FROM jobwatch.jobs; DELETE FROM pgmq.q_jobs").await.unwrap();
    }
}

#[tokio::test]
async fn an_end_that_is_known_is_kept_until_the_database_is_back() {
    let Some(database) = Database::create_alone(false).await else { return };
    let (backend, queue, sql) = started(&database, &["j"]).await;
    // The database cannot record while another transaction holds the message: the end is known, and on its way.
    let mut lock = database.connect().await;
    let mut at_work = AtWork::begin(worker(&queue, &backend, "w"), Until::Stopped);
    backend.asked_for("j", 1).await;
    lock.execute("BEGIN; LOCK TABLE jobwatch.results IN ACCESS EXCLUSIVE MODE").await.unwrap();
    backend.set("j", Answer::State("completed"));
    let mut watcher = database.connect().await;
    let recording = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%finish%'";
    while sqlx::query_scalar::<_, i64>(recording).fetch_one(&mut watcher).await.unwrap() == 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    drop((lock, sql, watcher));
    database.server().crash();
    at_work.tells("outage").await;
    let looks = backend.times_asked("j");
    assert!(database.server().begin(), "it starts again");
    at_work.tells("j succeeded").await;
    assert_eq!(backend.times_asked("j"), looks, "it is not asked for again");
    assert_eq!(results(&mut database.connect().await).await, [result("j", "succeeded", "w")]);
    assert_eq!(at_work.stop().await.left_behind, 0);
}

#[tokio::test]
async fn a_worker_that_has_to_leave_in_an_outage_says_what_it_leaves_behind() {
    let Some(database) = Database::create_alone(false).await else { return };
    let (backend, queue, _) = started(&database, &["a", "b"]).await;
    let hasty = worker(&queue, &backend, "w").with_grace(Duration::from_millis(200));
    let mut at_work = AtWork::begin(hasty, Until::Stopped);
    backend.asked_for("b", 1).await;
    database.server().crash();
    at_work.tells("outage").await;
    assert_eq!(at_work.stop().await.left_behind, 2);
    assert!(database.server().begin(), "it starts again");
    assert_eq!(queue.remaining(&backend.destination()).await.unwrap(), 2);
}
