//! Classes of jobs teach themselves apart, and what a client has learned is given to the next one.

use jobwatch::learn::{Histories, Since};
use jobwatch::{JobRef, Outcome, Stats};
use jobwatch_conformance::{Answer, Server, Setup};

/// Firings that are found unfinished twice, and then done.
fn kiln(ids: &[&str]) -> Server {
    let server = Server::start();
    let state = |word: &str| Answer::json(200, format!(r#"{{"state":"{word}"}}"#));
    for id in ids {
        server.on(format!("/firings/{id}"), [state("heating"), state("heating"), state("fired")]);
    }
    server
}

fn firing(id: &str) -> JobRef {
    JobRef::new(id).expect("it is an id")
}

fn told(histories: &Histories) -> Vec<(String, Since, u64)> {
    let jobs = histories.iter().map(|(key, history)| (key.class.clone(), key.since, history.jobs().round()));
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // two or three jobs
    jobs.map(|(class, since, jobs)| (class, since, jobs as u64)).collect()
}

/// As they are written down and read again.
fn kept(histories: &Histories) -> Histories {
    let text = serde_json::to_string(histories).expect("they can be written");
    serde_json::from_str(&text).expect("they can be read")
}

fn check(server: &Server, first: &Histories, next: &Histories) {
    let learned = [(String::new(), Since::PickUp, 1), ("vases".to_owned(), Since::PickUp, 2)];
    assert_eq!(told(first), learned);
    assert_eq!(told(next), learned, "before anybody has waited");
    assert!(first.iter().all(|(key, _)| key.origin == server.url() && key.dialect == "kiln"), "{first:?}");
}

fn check_stats(stats: &Stats) {
    assert_eq!((stats.requests, stats.outcomes.of(Outcome::Succeeded)), (3, 1));
}

#[test]
fn classes_of_jobs_learn_apart_with_ureq() {
    let server = kiln(&["a", "b", "c", "d"]);
    let builder = || {
        let Setup { dialect, base_url, policy, .. } = Setup::of(&server);
        jobwatch_ureq::Client::builder(dialect).base_url(base_url).policy(policy)
    };
    let client = builder().build().expect("the client is sound");
    let vases = client.with_class("vases");
    assert!(client.histories().is_empty());
    for (client, id) in [(&vases, "a"), (&vases, "b"), (&client, "c")] {
        assert_eq!(client.wait(&firing(id)).outcome, Outcome::Succeeded);
    }
    let first = client.histories();
    let next = builder().histories(kept(&first)).build().expect("the client is sound");
    check(&server, &first, &next.histories());

    let mut all = next.wait_all([firing("d")]);
    let began = all.now();
    assert_eq!(all.by_ref().count(), 1);
    assert!(all.now() > began);
    check_stats(all.stats());
}

#[tokio::test]
async fn classes_of_jobs_learn_apart_with_reqwest() {
    let server = kiln(&["a", "b", "c", "d"]);
    let builder = || {
        let Setup { dialect, base_url, policy, .. } = Setup::of(&server);
        jobwatch_reqwest::Client::builder(dialect).base_url(base_url).policy(policy)
    };
    let client = builder().build().expect("the client is sound");
    let vases = client.with_class("vases");
    assert!(client.histories().is_empty());
    for (client, id) in [(&vases, "a"), (&vases, "b"), (&client, "c")] {
        assert_eq!(client.wait(&firing(id)).await.outcome, Outcome::Succeeded);
    }
    let first = client.histories();
    let next = builder().histories(kept(&first)).build().expect("the client is sound");
    check(&server, &first, &next.histories());

    let mut all = next.wait_all([firing("d")]);
    let began = all.now();
    while all.next().await.is_some() {}
    assert!(all.now() > began);
    check_stats(all.stats());
}
