//! The guide: from the loop of ten lines to a fleet on many machines.
//!
//! | chapter | answers |
//! |---|---|
//! | [`ten_lines`] | what is wrong with the loop that everybody writes? |
//! | [`one_job`] | how do I wait for one job, and what is decided for me? |
//! | [`clients`] | what does a client do: create, look, wait, cancel, fetch? |
//! | [`many_jobs`] | a hundred, a million, and those that are yet to come? |
//! | [`own_backend`] | how do I describe a backend that is not known yet? |
//! | [`outcomes`] | how can a wait end, and what do I do then? |
//! | [`limits`] | how is a backend kept from being flooded, and what happens at 429? |
//! | [`learning`] | how does it know when a job will end? |
//! | [`schedules`] | which schedule should I choose? |
//! | [`nothing_lost`] | what survives a crash? |
//! | [`many_machines`] | how do several machines share the waiting? |
//! | [`embedding`] | how do I drive it from a runtime of my own? |
//! | [`observing`] | what does it count, log and tell? |
//! | [`testing`] | how do I test my own polling? |
//! | [`recipes`] | what do scripts need: files of ids, `jq`, cron, exit codes? |
//! | [`cost`] | what does it cost, beside its peers? |
//! | [`coming_from`] | I know tenacity, backon, waiters or pollers: what is what here? |
//! | [`stability`] | what stays as it is from release to release? |
//!
//! The code of the chapters is compiled and run by the tests, and so are the commands: where they name
//! `http://127.0.0.1:5000`, let `jobwatch simulate --speed 10` run in another terminal.
//!
//! # Words
//!
//! | word | means |
//! |---|---|
//! | job | one long-running operation on a backend, named by an id or by the address where it is asked for |
//! | dialect | the description of one backend's job API: creating, asking, reading, cancelling |
//! | look, attempt | one question after a job, with its redirects; a request is what goes over the wire |
//! | observation | what one answer says: pending, running, an end, or nothing about the job (transient, throttled, fatal) |
//! | hint | the server's word on when to ask again |
//! | throttle | a hint for everybody: 429 and its relatives |
//! | schedule | the rule for the gaps between looks: a backoff, steps by age, a learned plan |
//! | policy | schedule, bounds, deadlines and budgets, checked as a whole |
//! | final look | the one that comes at the deadline |
//! | outcome | how a wait ended; four of them are the job's end, four end the wait alone |
//! | fleet | many jobs under shared limits |
//! | lane | what limits and throttles are shared by: one origin with one credential |
//! | delay | from the job's real end to the moment we know |
//! | stop, cancel | *stop* ends our waiting and never touches the job; *cancel* asks the backend, and only when told to |
#![allow(clippy::doc_markdown)] // products are written as their makers write them

// Examples speak through the clients, on which this crate does not depend: `tests/conformance` compiles and runs them.
macro_rules! chapters {
    ($($name:ident: $($file:literal)*;)*) => {
        $(
            $(#[cfg_attr(not(doctest), doc = include_str!($file))])*
            pub mod $name {}
        )*
    };
}

chapters! {
    ten_lines: "guide/ten_lines.md";
    one_job: "guide/one_job.md";
    clients: "guide/clients.md";
    many_jobs: "guide/many_jobs.md";
    own_backend: "guide/own_backend.md";
    outcomes: "guide/outcomes.md";
    limits: "guide/limits.md";
    learning: "guide/learning.md";
    schedules: "guide/schedules.md" "guide/compare-long.svg" "guide/compare-mix.svg";
    nothing_lost: "guide/nothing_lost.md";
    many_machines: "guide/many_machines.md";
    embedding: "guide/embedding.md";
    observing: "guide/observing.md";
    testing: "guide/testing.md";
    recipes: "guide/recipes.md";
    cost: "guide/cost.md" "guide/measured.md";
    coming_from: "guide/coming_from.md";
    stability: "guide/stability.md";
}
