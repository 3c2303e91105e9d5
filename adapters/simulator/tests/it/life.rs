//! Starting, stopping, and being many.

use std::error::Error;
use std::io::{self, ErrorKind};
use std::time::Duration;

use jobwatch_simulator::{Faults, Simulator, StartError, Stopper};

use crate::client::{Client, until};
use crate::wire::never_ending;

#[test]
fn handles_can_cross_threads() {
    fn crosses<T: Send + Sync>() {}
    crosses::<Simulator>();
    crosses::<Stopper>();
    crosses::<StartError>();
}

#[test]
fn a_port_in_use_is_named() {
    let first = Simulator::builder().start().unwrap();
    let error = Simulator::builder().listen(first.address()).start().unwrap_err();
    let address = first.address();
    assert_eq!(error.to_string(), format!("cannot listen on {address}"));
    let source = error.source().unwrap().downcast_ref::<io::Error>().unwrap();
    assert_eq!(source.kind(), ErrorKind::AddrInUse);
}

#[test]
fn settings_out_of_range_are_refused() {
    for (builder, message) in [
        (Simulator::builder().fail_rate(1.5), "the fail rate 1.5 is not a probability from 0 to 1"),
        (Simulator::builder().fail_rate(f64::NAN), "the fail rate NaN is not a probability from 0 to 1"),
        (Simulator::builder().faults(Faults::rate(-0.1)), "the fault rate -0.1 is not a probability from 0 to 1"),
        (Simulator::builder().speed(0.0), "the speed 0 is not a finite number above zero"),
    ] {
        assert_eq!(builder.start().unwrap_err().to_string(), message);
    }
}

#[test]
fn the_url_names_an_address_that_can_be_reached() {
    let simulator = Simulator::builder().start().unwrap();
    let port = simulator.address().port();
    assert_eq!(simulator.url(), format!("http://127.0.0.1:{port}"));
    let everywhere = Simulator::builder().listen("0.0.0.0:0".parse().unwrap());
    let everywhere = everywhere.start().unwrap();
    let port = everywhere.address().port();
    assert_eq!(everywhere.url(), format!("http://127.0.0.1:{port}"));
}

#[test]
fn an_unresponsive_server_takes_all_and_answers_nothing_until_it_stops() {
    let simulator = Simulator::builder().unresponsive(true).start().unwrap();
    let (mut creating, mut asking) = (Client::new(&simulator), Client::new(&simulator));
    creating.send("POST", "/create_job", "").unwrap();
    asking.send("GET", "/status/x", "").unwrap();
    let ledger = until(&simulator, |ledger| ledger.requests.len() == 2);
    assert!(ledger.requests.iter().all(|entry| entry.status.is_none()));
    assert!(ledger.jobs.is_empty());
    assert_eq!(Client::new(&simulator).get("/_health").status, 200);

    // Returns although two requests hang, and the clients see their connections end.
    simulator.stop();
    for mut client in [creating, asking] {
        let kind = client.receive().unwrap_err().kind();
        let ended = matches!(kind, ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset);
        assert!(ended, "{kind}");
    }
    assert_eq!(simulator.ledger().connections_open, 0);
}

#[test]
fn a_stopper_ends_the_wait_and_stopping_repeats() {
    let simulator = never_ending().start().unwrap();
    let mut client = Client::new(&simulator);
    client.create();
    let stopper = simulator.stopper();
    let again = stopper.clone();
    let thread = std::thread::spawn(move || stopper.stop());
    simulator.wait();
    thread.join().unwrap();
    assert!(client.ask("GET", "/_health").is_err());
    simulator.wait();
    simulator.stop();
    assert_eq!(simulator.ledger().jobs.len(), 1);
    drop(simulator);
    again.stop();
}

#[test]
fn dropping_stops() {
    let simulator = never_ending().start().unwrap();
    let mut client = Client::new(&simulator);
    client.create();
    drop(simulator);
    assert!(client.ask("GET", "/_health").is_err());
}

#[test]
fn many_connections_at_once() {
    let simulator = never_ending().start().unwrap();
    let mut clients: Vec<Client> = (0..200).map(|_| Client::new(&simulator)).collect();
    for client in &mut clients {
        client.send("POST", "/create_job", "").unwrap();
    }
    for client in &mut clients {
        assert_eq!(client.receive().unwrap().status, 200);
    }
    let ledger = simulator.ledger();
    assert_eq!((ledger.connections, ledger.connections_open), (200, 200));
    assert_eq!(ledger.jobs_created, 200);
}

#[test]
fn a_client_that_leaves_in_the_middle_of_a_body_creates_nothing() {
    let simulator = never_ending().cache(Duration::ZERO).start().unwrap();
    let client = Client::new(&simulator);
    let head = b"POST /create_job HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf";
    io::Write::write_all(&mut client.stream(), head).unwrap();
    drop(client);
    until(&simulator, |ledger| ledger.connections_accepted == 1 && ledger.connections_open == 0);
    assert!(simulator.ledger().jobs.is_empty());
}
