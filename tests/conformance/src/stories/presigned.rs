//! Addresses whose queries are signatures, and keys: where they are told, and where never.

use jobwatch::{Finished, LookError, Outcome};
use serde_json::json;

use crate::kiln::{KEY, build, dialect_with, fired, firing, firings, giving_up_after, heating, hurried, millis};
use crate::{Answer, Driver, Provider, Server, Setup, logbook};

/// All that can be printed of an end, its result aside.
fn without_its_result(mut done: Finished) -> String {
    done.result = None;
    format!("{done:?} {done:#?} {:?}", done.error)
}

/// A presigned result is told as the result, and nowhere else: not in what is printed, and not in what is logged.
pub fn signature_is_in_the_result_alone(driver: &dyn Driver) {
    logbook::begin();
    let (server, other) = (Server::start(), Server::start());
    let abroad = format!("{}/vase?sig=s3cret-result", other.url());
    let home = |target: &str| format!("{}{target}?sig=s3cret-result", server.url());
    server
        .on("/firings/inline", [heating(), Answer::json(200, json!({"state": "fired", "result": abroad}).to_string())]);
    server.on("/firings/abroad", [Answer::json(200, json!({"state": "fired", "more": abroad}).to_string())]);
    server.on("/firings/binary", [Answer::json(200, json!({"state": "fired", "more": home("/binary")}).to_string())]);
    server.on("/binary?sig=s3cret-result", [Answer::status(200).body([0xff, 0xfe])]);
    let client = driver.client(Setup::of(&server).dialect(dialect_with("result.follow = '/more'")));
    for id in ["inline", "abroad", "binary"] {
        let (done, mut status) = (client.wait(&firing(id)), client.status(&firing(id)));
        let told = done.result.as_ref().and_then(|result| result.as_str()).expect("there is a result");
        assert!(told.ends_with("?sig=s3cret-result"), "{told}");
        status.result = None;
        let printed = format!("{} {status:?} {client:?} {:?}", without_its_result(done), client.metrics());
        assert!(!printed.contains("s3cret"), "{printed}");
    }
    let logged = logbook::read();
    assert!(logged.contains("the wait has ended"), "the story reads the right book");
    assert!(!logged.contains("s3cret-result"));
}

/// The same for addresses that are asked: polled, moved, followed, and failing.
pub fn signature_is_in_no_error(driver: &dyn Driver) {
    logbook::begin();
    let troubles = [
        Answer::status(404),
        Answer::status(500),
        Answer::status(401),
        Answer::reset(),
        Answer::raw("no HTTP\r\n\r\n"),
        Answer::status(302).header("location", "ftp://203.0.113.1/?sig=s3cret-asked"),
        Answer::status(302).header("location", "http://203.0.113.1/?sig=s3cret-asked"),
        Answer::status(302).header("location", "/asked?sig=s3cret-asked"),
        Answer::status(302).header("location", "http://203.0.113.1:99999/?sig=s3cret-asked"),
    ];
    for trouble in troubles {
        let server = Server::start();
        server.on("/asked?sig=s3cret-asked", [trouble]);
        let address = format!("{}/asked?sig=s3cret-asked", server.url());
        server.on("/firings/moved", [Answer::status(302).header("location", &address)]);
        server.on("/firings/more", [Answer::json(200, json!({"state": "fired", "more": address}).to_string())]);
        let policy = build(hurried().with_max_consecutive_failures(1).with_lost_after(1, millis(0)));
        let dialect = dialect_with("result.follow = '/more'");
        let client = driver.client(Setup::of(&server).dialect(dialect).policy(policy));
        for job in [firing(&address), firing("moved"), firing("more")] {
            let done = client.wait(&job);
            assert!(done.error.is_some() || done.result.is_some(), "{job}");
            let printed = without_its_result(done);
            assert!(!printed.contains("s3cret"), "{printed}");
        }
        let status = client.status(&firing(&address));
        let printed = format!("{status:?} {client:?}");
        assert!(!printed.contains("s3cret"), "{printed}");
    }
    assert!(!logbook::read().contains("s3cret-asked"));
}

/// Where a job can be cancelled is told to the backend alone.
pub fn signature_of_a_cancellation(driver: &dyn Driver) {
    logbook::begin();
    let server = Server::start();
    let address = format!("{}/stop?sig=s3cret-stop", server.url());
    server.on("/firings/a", [Answer::json(200, json!({"state": "heating", "stop": address}).to_string())]);
    server.on("/stop?sig=s3cret-stop", [Answer::status(204), Answer::status(409)]);
    let dialect = dialect_with("cancel.url = '/stop'");
    let policy = build(hurried().with_max_polls(2));
    let client = driver.client(Setup::of(&server).dialect(dialect).policy(policy));
    let agreed = client.cancel(&firing("a")).expect("the kiln agrees");
    let failed = client.cancel(&firing("a")).expect_err("the kiln refuses");
    let printed = format!("{agreed:?} {failed:?} {failed} {:?}", client.status(&firing("a")));
    assert!(!printed.contains("s3cret"), "{printed}");
    let printed = without_its_result(client.wait(&firing("a")));
    assert!(!printed.contains("s3cret"), "{printed}");
    assert!(!logbook::read().contains("s3cret-stop"));
}

/// A download tells neither its address nor where it was sent on to.
pub fn signature_of_a_download(driver: &dyn Driver) {
    logbook::begin();
    let server = Server::start();
    let client = driver.client(Setup::of(&server));
    let away = "http://[no address/?sig=s3cret-fetched";
    let troubles = [
        Answer::status(403),
        Answer::reset(),
        Answer::hang(),
        Answer::raw("no HTTP\r\n\r\n"),
        Answer::status(302).header("location", away),
        Answer::status(200).body("a vase"),
    ];
    for trouble in troubles {
        server.on("/vase?sig=s3cret-fetched", [trouble]);
        let address = format!("{}/vase?sig=s3cret-fetched", server.url());
        let done = client.download(&address, &mut Vec::new(), millis(500));
        let printed = format!("{done:?} {}", done.as_ref().err().map(ToString::to_string).unwrap_or_default());
        assert!(!printed.contains("s3cret"), "{printed}");
    }
    assert!(!logbook::read().contains("s3cret-fetched"));
}

/// No key is logged or printed, the old one or the new, however a wait goes.
pub fn keys_are_in_no_log(driver: &dyn Driver) {
    logbook::begin();
    let server = Server::start();
    server.on("/firings/a", [heating(), Answer::status(500), Answer::reset(), fired()]);
    server.on("/firings/b", [Answer::status(403)]);
    server.on("/firings", [Answer::json(200, r#"{"id":"c"}"#)]);
    server.lock("x-api-key", "sesame-new", Answer::status(401));
    let provider = Provider::new(|| Ok(vec![("x-api-key".to_owned(), "sesame-new".to_owned())]));
    let client = driver.client(Setup::of(&server).credentials(provider));
    let created = client.create(&json!({"cone": 6}));
    let done = client.wait_all(firings(["a", "b"]));
    assert_eq!(done.len(), 2);
    assert!(done.iter().any(|done| done.outcome == Outcome::Succeeded));
    server.lock("x-api-key", "nobody has this", Answer::status(401));
    let refused = client.wait(&firing("a"));
    assert_eq!(refused.last_error, Some(LookError::Status(401)));
    let cancelled = client.cancel(&firing("a"));

    let printed = format!("{client:?} {client:#?} {created:?} {done:?} {refused:?} {cancelled:?}");
    let logged = logbook::read();
    for key in [KEY, "sesame-new"] {
        assert!(!printed.contains(key), "{printed}");
        assert!(!logged.contains(key));
    }
    // Nor is it told when the request cannot even be made.
    let client = driver.client(Setup::of(&server).policy(giving_up_after(1)));
    let told = format!("{:?}", client.status(&firing("http://[no address")));
    assert!(!told.contains(KEY), "{told}");
}
