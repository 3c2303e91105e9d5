//! Making queues, and what gets into them.

use jobwatch_pgmq::{Destination, Enqueued, Error, JobRef, Queue};
use jobwatch_reqwest::Dialect;
use sqlx::Executor;

use crate::backend::jobs;
use crate::postgres::{Database, PASSWORD};

fn destination() -> Destination {
    Destination::new(&Dialect::tracker(), Some("http://127.0.0.1:9"), "default").unwrap()
}

#[tokio::test]
async fn a_queue_is_made_once_however_many_open_it() {
    let Some(database) = Database::create().await else { return };
    assert_eq!(Queue::find(&database.url(), "jobs").await.unwrap_err(), Error::NoQueue("jobs".to_owned()));
    let url = database.url();
    let opened = (0..6).map(|_| {
        let url = url.clone();
        tokio::spawn(async move { Queue::open(&url, "jobs").await })
    });
    for opened in opened.collect::<Vec<_>>() {
        opened.await.unwrap().unwrap();
    }
    let found = Queue::find(&url, "jobs").await.unwrap();
    assert!(!format!("{found:?}").contains(PASSWORD));
    Queue::open(&url, "others").await.unwrap();
    let queues: i64 =
        sqlx::query_scalar("SELECT count(*) FROM pgmq.meta").fetch_one(&mut database.connect().await).await.unwrap();
    assert_eq!(queues, 2);
}

#[tokio::test]
async fn what_is_wrong_with_an_address_is_told_without_it() {
    for name in ["", "Jobs", "jobs-2", "1st", "jobs; DROP TABLE x", "a'b", &"x".repeat(48)] {
        let error = Queue::open("postgres://h/d", name).await.unwrap_err();
        assert_eq!(error, Error::Name(name.to_owned()));
    }
    let secret = "p%40ss-4711";
    for url in ["", "mysql://u:p%40ss-4711@h/d", "postgres://u:p%40ss-4711@h:port/d", "h/d?password=p%40ss-4711"] {
        let error = Queue::open(url, "jobs").await.unwrap_err();
        assert!(matches!(error, Error::Url(_)) && !error.to_string().contains(secret), "{error}");
    }
}

#[tokio::test]
async fn trouble_with_the_server_is_told_apart() {
    let Some(database) = Database::create().await else { return };
    let nobody = Queue::open("postgres://u:hush@127.0.0.1:1/d", "jobs").await.unwrap_err();
    assert!(nobody.is_outage() && !nobody.to_string().contains("hush"), "{nobody}");
    let other = database.url().replace(PASSWORD, "wrong-4711");
    if other != database.url() {
        let refused = Queue::open(&other, "jobs").await.unwrap_err();
        assert!(matches!(refused, Error::Refused(_)) && !refused.to_string().contains("4711"), "{refused}");
    }
    let gone = format!("{}_not", database.url());
    assert!(matches!(Queue::open(&gone, "jobs").await.unwrap_err(), Error::Refused(_)));
    Queue::open(&database.url(), "jobs").await.unwrap();
    database.connect().await.execute("UPDATE jobwatch.version SET version = 99").await.unwrap();
    let newer = Queue::open(&database.url(), "jobs").await.unwrap_err();
    assert!(newer.to_string().contains("version 99"), "{newer}");
}

#[tokio::test]
async fn a_job_is_in_the_queue_once() {
    let Some(database) = Database::create().await else { return };
    let queue = Queue::open(&database.url(), "jobs").await.unwrap();
    let to = destination();
    let given = jobs(["a", "b", "a"]);
    let standing = queue.enqueue(&to, &given).await.unwrap();
    assert_eq!(standing, [Enqueued::Queued, Enqueued::Queued, Enqueued::Waiting]);
    let standing = queue.enqueue(&to, &jobs(["b", "c"])).await.unwrap();
    assert_eq!(standing, [Enqueued::Waiting, Enqueued::Queued]);
    assert_eq!(queue.enqueue(&to, &[]).await.unwrap(), []);
    assert_eq!(queue.remaining(&to).await.unwrap(), 3);
    // The same id of another backend, or asked for with another credential, is another job.
    let others = [("http://127.0.0.1:10", "default"), ("http://127.0.0.1:9", "second")];
    for (url, credential) in others {
        let other = Destination::new(&Dialect::tracker(), Some(url), credential).unwrap();
        assert_eq!(queue.enqueue(&other, &jobs(["a"])).await.unwrap(), [Enqueued::Queued]);
        assert_eq!(queue.remaining(&other).await.unwrap(), 1);
    }
    assert_eq!(queue.remaining(&to).await.unwrap(), 3);
}

#[tokio::test]
async fn those_who_enqueue_the_same_at_once_send_it_once() {
    let Some(database) = Database::create().await else { return };
    let queue = Queue::open(&database.url(), "jobs").await.unwrap();
    let sending = (0..8).map(|shift| {
        let queue = queue.clone();
        tokio::spawn(async move {
            let mut given = jobs((0..200).map(|number| format!("job-{number}")));
            given.rotate_left(shift * 25);
            queue.enqueue(&destination(), &given).await.unwrap()
        })
    });
    let mut queued = 0;
    for standing in sending.collect::<Vec<_>>() {
        queued += standing.await.unwrap().iter().filter(|standing| **standing == Enqueued::Queued).count();
    }
    assert_eq!((queued, queue.remaining(&destination()).await.unwrap()), (200, 200));
}

#[tokio::test]
async fn ids_of_any_length_and_alphabet_pass() {
    let Some(database) = Database::create().await else { return };
    let queue = Queue::open(&database.url(), "jobs").await.unwrap();
    let ids = ["it's \"one\"".to_owned(), "§7/✓".to_owned(), "{1,2}".to_owned(), "x".repeat(8_192), "\\".to_owned()];
    queue.enqueue(&destination(), &jobs(ids.clone())).await.unwrap();
    let adopted = queue.adopt(&destination(), "w", std::time::Duration::from_secs(60), 10).await.unwrap();
    let found: Vec<String> = adopted.into_iter().map(|adopted| adopted.job.unwrap().0.id().to_owned()).collect();
    assert_eq!(found, ids);
    assert!(JobRef::new("\0").is_err(), "the one character that PostgreSQL has no place for");
}
