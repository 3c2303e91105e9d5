//! What nobody but the server may see.

use serde_json::Value;

use crate::kiln::{KEY, fired, firing, giving_up_after, heating};
use crate::{Answer, Driver, Server, Setup};

/// A client can be printed without giving its key away, before and after it was used.
pub fn debug_hides_the_key(driver: &dyn Driver) {
    let server = Server::start();
    server.on("/firings/a", [heating(), fired()]);
    let setup = Setup::of(&server);
    assert!(format!("{setup:?}").contains(KEY), "the story knows what to look for");
    let client = driver.client(setup);
    let before = format!("{client:?} {client:#?}");
    client.wait(&firing("a"));

    assert_eq!(server.requests()[0].header("x-api-key"), Some(KEY));
    let after = format!("{client:?} {client:#?}");
    assert!(!before.contains(KEY) && !after.contains(KEY), "{after}");
}

/// However a wait or a create fails, its error does not tell the key.
pub fn errors_hide_the_key(driver: &dyn Driver) {
    let troubles = [
        Answer::status(401),
        Answer::status(302).header("location", "http://203.0.113.1/"),
        Answer::status(302).header("location", "http://[no address/"),
        Answer::status(302).header("location", "/firings/a"),
        Answer::raw("no HTTP\r\n\r\n"),
        Answer::raw(format!("HTTP/1.1 200 OK\r\nx-echo: {KEY}\r\ncontent-length: 9\r\n\r\n")),
        Answer::reset(),
    ];
    for trouble in troubles {
        let server = Server::start();
        server.on("/firings/a", [trouble.clone()]);
        server.on("/firings", [trouble]);
        let client = driver.client(Setup::of(&server).policy(giving_up_after(1)));
        let done = client.wait(&firing("a"));
        let status = client.status(&firing("a"));
        let failed = client.create(&Value::Null).expect_err("the kiln does not accept");

        assert!(done.error.is_some());
        let told = format!("{done:?} {status:?} {failed:?} {failed}");
        assert!(!told.contains(KEY), "{told}");
    }
}

/// The query of an address can be a signature: it is in no error.
pub fn errors_hide_queries(driver: &dyn Driver) {
    let targets = [
        "http://203.0.113.1/a?signature=s3cret",
        "/firings/a?signature=s3cret",
        "http://[no address/?signature=s3cret",
        "/nowhere?signature=s3cret",
    ];
    for target in targets {
        let server = Server::start();
        server.on("/firings/a", [Answer::status(302).header("location", target)]);
        server.on("/firings/a?signature=s3cret", [Answer::status(302).header("location", "/firings/a")]);
        server.on("/nowhere?signature=s3cret", [Answer::raw("no HTTP\r\n\r\n")]);
        let done = driver.client(Setup::of(&server).policy(giving_up_after(1))).wait(&firing("a"));

        assert!(!done.outcome.is_jobs_end());
        let told = format!("{done:?}");
        assert!(!told.contains("s3cret"), "{told}");
    }
}
