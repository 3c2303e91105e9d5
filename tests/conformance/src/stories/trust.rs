//! Addresses that a backend tells: the credentials go home and to origins expressly allowed, nowhere else.

use jobwatch::{Dialect, JobSnapshot, LookError, Outcome};
use serde_json::{Value, json};

use crate::kiln::{KEY, dialect_with, fired, firing, firings, heating, preset};
use crate::server::Refusing;
use crate::{Answer, Client, Driver, Server, Setup};

/// The kiln that tells every address there can be.
fn pointing() -> Dialect {
    dialect_with(POINTING)
}

const POINTING: &str = r#"
    create.path = "/firings"
    job.poll_url = "/at"
    result.follow = "/more"
    cancel.url = "/stop"
"#;

/// Creates a job and is refused to ask for it, before anything was sent.
fn is_not_asked_for(client: &dyn Client) {
    let jobs = client.create(&Value::Null).expect("the backend accepts");
    let done = client.wait(&jobs[0]);
    assert_eq!((done.outcome, done.last_error), (Outcome::Rejected, Some(LookError::ForeignOrigin)));
    assert_eq!((done.requests, done.failed_requests), (0, 0));
    assert!(done.error.is_some_and(|error| !error.contains("s3cret")));
    let status = client.status(&jobs[0]);
    assert_eq!((status.outcome, status.last_error), (Some(Outcome::Rejected), Some(LookError::ForeignOrigin)));
}

fn is_untouched(other: &Server) {
    assert_eq!(other.log(|log| log.connections), 0, "nobody came");
}

/// Whichever header of a create's answer tells the address.
pub fn created_abroad_by_a_header(driver: &dyn Driver) {
    let other = Server::start();
    for name in ["operation-location", "azure-asyncoperation", "location"] {
        let server = Server::start();
        let address = format!("{}/operations/7?sig=s3cret", other.url());
        server.on("/", [Answer::status(202).header(name, address)]);
        is_not_asked_for(&*driver.client(Setup::of(&server).dialect(preset("azure"))));
        assert_eq!(server.requests().len(), 1);
    }
    is_untouched(&other);
}

/// The address in a create's body, where it is all that is known of the job.
pub fn created_abroad_by_the_body(driver: &dyn Driver) {
    let (server, other) = (Server::start(), Server::start());
    let address = format!("{}/requests/7/status?sig=s3cret", other.url());
    server.on("/", [Answer::json(200, json!({"status_url": address}).to_string())]);
    is_not_asked_for(&*driver.client(Setup::of(&server).dialect(preset("fal"))));
    assert_eq!(server.requests().len(), 1);
    is_untouched(&other);
}

/// An id that is itself an address.
pub fn created_abroad_by_its_id(driver: &dyn Driver) {
    let (server, other) = (Server::start(), Server::start());
    server.on("/firings", [Answer::json(200, json!({"id": format!("{}/firings/a", other.url())}).to_string())]);
    is_not_asked_for(&*driver.client(Setup::of(&server)));
    is_untouched(&other);
}

/// Where there is an id too, it serves.
pub fn created_abroad_with_an_id(driver: &dyn Driver) {
    let (server, other) = (Server::start(), Server::start());
    for address in [format!("{}/firings/a", other.url()), "http://[no address/".to_owned(), "ftp://x/a".to_owned()] {
        server.on("/firings", [Answer::json(200, json!({"id": "a", "at": address}).to_string())]);
        server.on("/firings/a", [heating(), fired()]);
        let client = driver.client(Setup::of(&server).dialect(pointing()));
        let jobs = client.create(&Value::Null).expect("the kiln accepts");

        assert_eq!(client.wait(&jobs[0]).outcome, Outcome::Succeeded);
    }
    assert_eq!(server.requests_for("/firings/a").len(), 6);
    is_untouched(&other);
}

/// A result abroad is not asked for: its address is the result.
pub fn result_abroad_is_its_address(driver: &dyn Driver) {
    let (server, other) = (Server::start(), Server::start());
    let address = format!("{}/vase?sig=s3cret", other.url());
    let host = address.strip_prefix("http:").expect("it has a scheme");
    for told in [&address, host] {
        server.on("/firings/a", [Answer::json(200, json!({"state": "fired", "more": told}).to_string())]);
        let done = driver.client(Setup::of(&server).dialect(pointing())).wait(&firing("a"));

        assert_eq!((done.outcome, done.result), (Outcome::Succeeded, Some(address.as_str().into())));
        assert_eq!((done.requests, done.error, done.last_error), (1, None, None));
    }
    is_untouched(&other);
}

/// An address to cancel at that a look told.
pub fn cancelled_abroad(driver: &dyn Driver) {
    let (server, other) = (Server::start(), Server::start());
    let address = format!("{}/stop?sig=s3cret", other.url());
    server.on("/firings/a", [Answer::json(200, json!({"state": "heating", "stop": address}).to_string())]);
    let failed = driver.client(Setup::of(&server).dialect(pointing())).cancel(&firing("a")).expect_err("not abroad");

    assert_eq!(failed.error, Some(LookError::ForeignOrigin));
    assert!(!failed.to_string().contains("s3cret"), "{failed}");
    assert_eq!(server.targets(), ["/firings/a"]);
    is_untouched(&other);
}

/// A stored wait is no more trusted than an answer: where it was tampered with, nothing is asked.
pub fn stored_abroad(driver: &dyn Driver) {
    let (server, other) = (Server::start(), Server::start());
    server.on("/firings", [Answer::json(200, json!({"id": "told", "at": "/shelf/told"}).to_string())]);
    server.on("/shelf/told", [heating()]);
    server.on("/firings/moved", [Answer::status(308).header("location", "/shelf/moved")]);
    server.on("/shelf/moved", [heating()]);
    server.on("/firings/quick", [fired().held_until_answered(6)]);
    let client = driver.client(Setup::of(&server).dialect(pointing()));
    let mut jobs = client.create(&Value::Null).expect("the kiln accepts");
    jobs.extend(firings(["moved", "quick"]));
    let (first, snapshots) = client.wait_for_first(jobs);
    assert_eq!((first.job.id(), snapshots.len()), ("quick", 2));
    let before = server.requests().len();

    let stored = serde_json::to_string(&snapshots).expect("a snapshot can be stored");
    assert_eq!(stored.matches(&server.url()).count(), 2, "each holds an address: {stored}");
    let tampered = stored.replace(&server.url(), &other.url());
    let snapshots: Vec<JobSnapshot> = serde_json::from_str(&tampered).expect("it looks like one");
    let done = driver.client(Setup::of(&server).dialect(pointing())).resume(snapshots);

    assert_eq!(done.len(), 2);
    assert!(done.iter().all(|done| done.last_error == Some(LookError::ForeignOrigin)));
    assert!(done.iter().all(|done| done.outcome == Outcome::Rejected));
    // Of the dropped wait a look at each may have been on its way.
    assert!(server.requests().len() <= before + 2);
    is_untouched(&other);
}

/// However another origin is spelt, it is another; however our own is spelt, it is ours.
pub fn spellings_of_an_origin(driver: &dyn Driver) {
    let (server, other) = (Server::start(), Server::start());
    let (here, there) = (format!("127.0.0.1:{}", server.port()), format!("127.0.0.1:{}", other.port()));
    let foreign = [
        format!("HTTP://{there}/x"),
        format!("//{there}/x"),
        format!("\\\\{there}\\x"),
        format!("/\\{there}/x"),
        format!("http:\\\\{there}/x"),
        format!("/\t/{there}/x"),
        format!("ht\ntp://{there}/x"),
        format!(" http://{there}/x"),
        format!("http:////{there}/x"),
        format!("http://{here}@{there}/x"),
        format!("http://{here}:80@{there}/x"),
        format!("http://{there}/x#@{here}/"),
        format!("http://{there}?@{here}/"),
        format!("http://2130706433:{}/x", other.port()),
        format!("http://localhost:{}/x", server.port()),
        format!("http://[::1]:{}/x", server.port()),
        format!("https://{here}/x"),
    ];
    let client = driver.client(Setup::of(&server).dialect(pointing()));
    for address in foreign {
        server.on("/firings", [Answer::json(200, json!({"id": "a", "at": address}).to_string())]);
        let told = json!({"state": "fired", "more": address, "stop": address});
        server.on("/firings/a", [heating(), Answer::json(200, told.to_string())]);
        let before = server.requests().len();
        let jobs = client.create(&Value::Null).expect("the kiln accepts");
        assert_eq!(client.wait(&jobs[0]).outcome, Outcome::Succeeded);
        assert_eq!(server.requests().len() - before, 3, "{address:?}");
        if address.bytes().all(|byte| byte.is_ascii_graphic()) {
            server.on("/firings/b", [Answer::status(307).header("location", &address)]);
            let last_error = client.wait(&firing("b")).last_error;
            let refused = matches!(last_error, Some(LookError::ForeignOrigin | LookError::BadUrl));
            assert!(refused, "{address:?}: {last_error:?}");
        }
    }
    is_untouched(&other);

    server.on("/shelf/a", [fired()]);
    for address in ["HTTP://{}/shelf/a", "//{}/shelf/a", "http://{}/x/../shelf/a", "http://{}\\shelf\\a", "\\shelf/a#x"]
    {
        let address = address.replace("{}", &here);
        server.on("/firings/b", [Answer::status(307).header("location", &address)]);
        assert_eq!(client.wait(&firing("b")).outcome, Outcome::Succeeded, "{address}");
    }
}

/// A tour of an allowed origin, by every kind of address; the key goes along, and no further.
fn tour(driver: &dyn Driver, setup: impl Fn(&Server, &Server) -> Setup) {
    let (server, other, third) = (Server::start(), Server::start(), Server::start());
    let to = |status: u16, address: String| Answer::status(status).header("location", address);
    server.on("/firings", [Answer::json(200, json!({"id": "a", "at": format!("{}/1", other.url())}).to_string())]);
    other.on("/1", [to(302, "/2".to_owned()), to(202, format!("{}/3", server.url()))]);
    other.on("/2", [heating()]);
    server.on("/3", [to(307, format!("{}/4", other.url()))]);
    let more = format!("{}/5", other.url());
    other.on("/4", [Answer::json(200, json!({"state": "fired", "more": more}).to_string())]);
    other.on("/5", [Answer::json(200, r#"{"result": 7}"#)]);
    let stop = format!("{}/stop", other.url());
    server.on("/firings/b", [Answer::json(200, json!({"state": "heating", "stop": stop}).to_string())]);
    other.on("/stop", [Answer::status(204)]);
    server.on("/firings/c", [to(302, format!("{}/6", other.url()))]);
    other.on("/6", [to(302, format!("{}/7", third.url()))]);

    let client = driver.client(setup(&server, &other));
    let jobs = client.create(&Value::Null).expect("the kiln accepts");
    let done = client.wait(&jobs[0]);
    assert_eq!((done.outcome, done.result, done.requests), (Outcome::Succeeded, Some(7.into()), 6));
    assert!(client.cancel(&firing("b")).expect("it can be cancelled there").requested);
    assert_eq!(client.wait(&firing("c")).last_error, Some(LookError::ForeignOrigin));

    assert_eq!(server.targets(), ["/firings", "/3", "/firings/b", "/firings/c"]);
    assert_eq!(other.targets(), ["/1", "/2", "/1", "/4", "/5", "/stop", "/6"]);
    assert!(other.requests().iter().all(|request| request.header("x-api-key") == Some(KEY)));
    is_untouched(&third);
}

/// By the caller's word.
pub fn origin_allowed_by_the_caller(driver: &dyn Driver) {
    tour(driver, |server, other| Setup::of(server).dialect(pointing()).allow_origin(other.url()));
}

/// By the dialect's word.
pub fn origin_allowed_by_the_dialect(driver: &dyn Driver) {
    tour(driver, |server, other| {
        Setup::of(server).dialect(dialect_with(&format!("{POINTING}\ntrust.allowed_origins = [{:?}]", other.url())))
    });
}

/// A backend behind TLS is not asked without it, even at an origin that is allowed.
pub fn https_never_becomes_http(driver: &dyn Driver) {
    let (refusing, other) = (Refusing::bind(), Server::start());
    other.on("/firings/a", [fired()]);
    let base = refusing.url().replace("http:", "https:");
    for setup in [Setup::at(&base), Setup::at(&base).allow_origin(other.url())] {
        let client = driver.client(setup);
        for address in [format!("{}/firings/a", other.url()), refusing.url()] {
            let done = client.wait(&firing(&address));
            assert_eq!((done.outcome, done.last_error), (Outcome::Rejected, Some(LookError::ForeignOrigin)));
            assert_eq!(done.requests, 0);
        }
    }
    is_untouched(&other);
}

/// A backend that tells every kind of address with a user and a password in it, and one of them.
fn with_a_password() -> (Server, String) {
    let server = Server::start();
    server.on("/shelf/a", [fired()]);
    let address = server.url().replace("//", "//user:pass@") + "/shelf/a";
    server.on("/firings/a", [Answer::status(302).header("location", &address)]);
    server.on("/firings/b", [Answer::json(200, json!({"state": "fired", "more": address}).to_string())]);
    (server, address)
}

/// A user and a password in an address are nobody's that we know.
pub fn addresses_with_a_password(driver: &dyn Driver) {
    let (server, address) = with_a_password();
    let client = driver.client(Setup::of(&server).dialect(pointing()));
    for job in [firing(&address), firing("a")] {
        let done = client.wait(&job);
        assert_eq!((done.outcome, done.last_error), (Outcome::Rejected, Some(LookError::BadUrl)));
    }
    let done = client.wait(&firing("b"));
    assert_eq!((done.outcome, done.result), (Outcome::Succeeded, None));
    assert!(done.error.is_some(), "it is said that there was a result");
    assert_eq!(server.targets(), ["/firings/a", "/firings/b"]);
}

/// And nobody else is told of them.
pub fn errors_hide_passwords(driver: &dyn Driver) {
    let (server, address) = with_a_password();
    let client = driver.client(Setup::of(&server).dialect(pointing()));
    for job in [firing(&address), firing("a"), firing("b")] {
        let printed = format!("{:?} {:?}", client.wait(&job), client.status(&job));
        assert!(!printed.contains("pass@"), "{printed}");
    }
}
