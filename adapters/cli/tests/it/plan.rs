//! `jobwatch plan`: when it will ask, why, and what that comes to.

use serde_json::Value;

use crate::program::{Ran, Scratch, jobwatch, number, text};

const LEARNED: [&str; 2] = ["--schedule", "learned"];

fn planned(arguments: &[&str]) -> Value {
    let ran = jobwatch(&["plan", "--json"]).args(arguments).run().exits_with(0);
    assert_eq!(ran.err, "");
    let mut lines = ran.json();
    assert_eq!(lines.len(), 1, "{}", ran.out);
    lines.remove(0)
}

fn looks(plan: &Value) -> &[Value] {
    plan["looks"].as_array().unwrap_or_else(|| panic!("no looks in {plan}"))
}

/// Looks by the rule that sets them.
fn rules(plan: &Value) -> Vec<&str> {
    looks(plan).iter().map(|look| text(&look["rule"])).collect()
}

#[test]
fn a_constant_schedule_is_told_exactly() {
    let flags = ["--schedule", "constant", "--min-delay", "10s", "--timeout", "35s", "--durations", "constant:15"];
    let plan = planned(&flags);
    assert!(plan["v"] == 1 && plan["type"] == "plan" && plan["schedule"] == "constant", "{plan}");
    let ages: Vec<_> =
        looks(&plan).iter().map(|look| (number(&look["age_from_s"]), number(&look["age_to_s"]))).collect();
    assert_eq!(ages, [0.0, 10.0, 20.0, 30.0, 35.0].map(|age| (age, age)));
    assert_eq!(rules(&plan), ["at_once", "constant", "constant", "constant", "deadline"]);
    // They are looked at at 0, 10 and 20, and found five seconds late.
    assert!((number(&plan["expected_requests"]) - 3.0).abs() < 0.02, "{plan}");
    assert!((number(&plan["expected_delay_s"]) - 5.0).abs() < 0.2, "{plan}");
    let cost = number(&plan["expected_delay_s"]) + 2.0 * number(&plan["expected_requests"]);
    assert!((number(&plan["expected_cost_s"]) - cost).abs() < 1e-9, "{plan}");
    let bounds = &plan["bounds"];
    assert!(bounds["max_looks"] == 5 && bounds["schedule_looks"] == 5, "{bounds}");
    assert!(
        bounds["deadline_s"] == 35.0 && bounds["max_wait_s"] == 40.0 && bounds["worst_delay_s"] == 10.0,
        "{bounds}"
    );
}

#[test]
fn the_learned_schedule_waits_and_then_looks_often() {
    let plan = planned(&[&LEARNED[..], &["--durations", "uniform:20..40", "--created"]].concat());
    assert!((number(&plan["history_jobs"]) - 165.0).abs() < 40.0, "{plan}");
    assert_eq!(plan["history"], Value::Null);
    let (first, last) = (&looks(&plan)[0], looks(&plan).last().unwrap());
    assert!(number(&first["age_from_s"]) > 20.0 && number(&first["age_to_s"]) < 30.0, "{first}");
    assert!(first["rule"] == "hardly_any_ends" && last["rule"] == "deadline", "{first} {last}");
    assert!(rules(&plan).contains(&"many_end") && rules(&plan).contains(&"max_delay"), "{:?}", rules(&plan));
    let shares: Vec<f64> = looks(&plan).iter().map(|look| number(&look["ended_share"])).collect();
    assert!(shares.is_sorted() && shares[0] < 0.6 && shares[5] > 0.99, "{shares:?}");
    let found: f64 = looks(&plan).iter().map(|look| number(&look["found_share"])).sum();
    assert!((found - 1.0).abs() < 1e-6 && number(&plan["unfinished_share"]) < 1e-6, "{found} {plan}");
    assert!((1.5..3.0).contains(&number(&plan["expected_requests"])), "{plan}");
    // The dearer a request, the fewer.
    let dear =
        planned(&[&LEARNED[..], &["--durations", "uniform:20..40", "--created", "--request-cost", "20s"]].concat());
    assert!(number(&dear["expected_requests"]) < number(&plan["expected_requests"]), "{dear}");
    assert!(number(&dear["expected_delay_s"]) > number(&plan["expected_delay_s"]), "{dear}");
    assert_eq!(dear["request_cost_s"], 20.0);
}

#[test]
fn a_job_that_is_picked_up_is_looked_at_at_once() {
    let plan = planned(&LEARNED);
    assert!(plan["history_jobs"] == 0.0 && rules(&plan)[..2] == ["at_once", "nothing_known"], "{plan}");
    let plan = planned(&[&LEARNED[..], &["--initial-delay", "5s"]].concat());
    let first = &looks(&plan)[0];
    assert!(first["rule"] == "initial_delay" && first["age_from_s"] == 5.0, "{first}");
    assert!(number(&first["age_to_s"]) <= 5.5, "{first}");
}

#[test]
fn bounds_hold_for_every_schedule() {
    for schedule in ["learned", "exponential", "constant", "steps:1s@0,10m@1m"] {
        for jitter in ["none", "full", "decorrelated"] {
            let flags = ["--schedule", schedule, "--jitter", jitter, "--min-delay", "2s", "--max-delay", "50s"];
            let plan = planned(&[&flags[..], &["--timeout", "10m", "--durations", "lognormal:60,1"]].concat());
            let bounds = &plan["bounds"];
            assert!(looks(&plan).len() <= 301 && bounds["max_looks"] == 301, "{schedule} {jitter}: {bounds}");
            assert!(number(&bounds["worst_delay_s"]) <= 50.0, "{schedule} {jitter}: {bounds}");
            for look in &looks(&plan)[1..] {
                let (shortest, longest) = (number(&look["gap_from_s"]), number(&look["gap_to_s"]));
                assert!(shortest >= 2.0 || look["age_to_s"] == 600.0, "{schedule} {jitter}: {look}");
                assert!(longest <= 50.0 && number(&look["age_from_s"]) <= number(&look["age_to_s"]), "{look}");
            }
            assert_eq!(rules(&plan).last(), Some(&"deadline"), "{schedule} {jitter}");
        }
    }
    let capped = planned(&["--schedule", "steps:1s@0,10m@1m", "--min-delay", "2s", "--max-delay", "50s"]);
    assert!(rules(&capped).contains(&"min_delay") && rules(&capped).contains(&"max_delay"), "{capped}");
}

#[test]
fn huge_and_small_bounds_are_planned() {
    let plan = planned(&["--schedule", "constant", "--min-delay", "1ms"]);
    assert!(plan["looks_cut"] == true && looks(&plan).len() == 10_000, "{}", plan["bounds"]);
    assert!(plan["unfinished_share"].is_null() && plan["bounds"]["schedule_looks"].is_null());
    let plan = planned(&[&LEARNED[..], &["--timeout", "100000d", "--max-delay", "9000d"]].concat());
    assert_eq!(rules(&plan).last(), Some(&"deadline"));
    let plan = planned(&[&LEARNED[..], &["--timeout", "1ms"]].concat());
    assert_eq!(rules(&plan), ["at_once", "deadline"]);
    assert!(plan["expected_delay_s"].is_null(), "{plan}");
    let plan = planned(&["--schedule", "exponential", "--max-polls", "1", "--durations", "pareto:0.5,1000"]);
    assert_eq!(rules(&plan), ["last_poll"]);
    assert_eq!(plan["unfinished_share"], 1.0);
}

#[test]
fn a_dialect_brings_its_own_defaults() {
    let scratch = Scratch::new();
    let file = scratch.file(
        "mine.toml",
        "name = \"kiln\"\nbase_url = \"https://kiln.example.com\"\n[job]\nid = \"/id\"\n\
        [poll]\npath = \"/firings/{id}\"\n[state]\npointer = \"/state\"\nsucceeded = [\"fired\"]\n\
        [defaults]\nmin_delay = \"7s\"\n",
    );
    let plan = planned(&["--api", &file, "--schedule", "exponential", "--max-polls", "2"]);
    assert_eq!(plan["bounds"]["min_gap_s"], 7.0);
    jobwatch(&["plan", "--api", "no-such"]).run().exits_with(2).complains(&["no-such", "tracker"]);
}

#[test]
fn people_get_a_short_table() {
    for flags in [
        &["--schedule", "learned"][..],
        &["--schedule", "learned", "--durations", "mix:0.6*lognormal:30,0.1+0.4*lognormal:600,0.1"],
        &["--schedule", "exponential", "--max-delay", "1h", "--timeout", "30d", "--min-delay", "100ms"],
        &["--schedule", "exponential", "--jitter", "decorrelated"],
        &["--schedule", "constant", "--min-delay", "1ms"],
        &["--schedule", "steps:30s@0,60s@3m", "--durations", "constant:90"],
    ] {
        let ran = jobwatch(&["plan"]).args(flags).run().exits_with(0);
        assert_eq!(ran.err, "");
        assert!(ran.out.lines().count() <= 36, "{}", ran.out);
        assert!(ran.out.lines().skip(2).all(|line| line.trim_end().chars().count() <= 100), "{}", ran.out);
        for word in ["schedule: ", "jobs: ", "why", "expected: ", "at the worst, ", "Retry-After"] {
            assert!(ran.out.contains(word), "no {word:?} in {}", ran.out);
        }
    }
}

#[test]
fn the_picture_shows_density_instants_and_delay() {
    for (name, flags) in [
        ("learned", &["--schedule", "learned", "--durations", "uniform:20..40"][..]),
        ("nothing", &["--schedule", "learned"]),
        ("exponential", &["--schedule", "exponential", "--durations", "lognormal:480,0.5"]),
        ("constant", &["--schedule", "constant", "--min-delay", "1ms", "--durations", "constant:3"]),
        ("steps", &["--schedule", "steps:30s@0,60s@3m", "--durations", "pareto:1.2,5"]),
        ("short", &["--schedule", "learned", "--timeout", "1ms"]),
    ] {
        let scratch = Scratch::new();
        let path = scratch.path("plan.svg");
        jobwatch(&["plan", "--svg", &path]).args(flags).run().exits_with(0);
        let svg = scratch.read("plan.svg");
        assert!(svg.len() < 150_000, "{name}: {}", svg.len());
        let picture = roxmltree::Document::parse(&svg).unwrap_or_else(|error| panic!("{name}: {error}\n{svg}"));
        let told: Vec<_> =
            picture.descendants().filter(|node| node.has_tag_name("text")).filter_map(|node| node.text()).collect();
        for title in
            ["When the ", "How long such jobs take", "When it looks", "How late an end is noticed", "age of the job"]
        {
            assert!(told.iter().any(|text| text.trim().starts_with(title)), "{name}: no {title:?} in {told:?}");
        }
        let count = |tag: &str| picture.descendants().filter(|node| node.tag_name().name() == tag).count();
        assert!(count("polygon") == 1 && count("polyline") >= 2 && count("circle") >= 1, "{name}");
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{name}");
    }
}

#[test]
fn a_picture_is_written_whole_or_not_at_all() {
    let scratch = Scratch::new();
    let missing = scratch.path("no/such/directory/plan.svg");
    let plan = |path: &str| -> Ran { jobwatch(&["plan", "--svg", path, "--json"]).args(&LEARNED).run() };
    plan(&missing).exits_with(5).prints_nothing().complains(&["cannot write", &missing]);
    plan(&scratch.path("")).exits_with(5).complains(&["cannot write"]);
    let path = scratch.file("plan.svg", "what was there");
    plan(&path).exits_with(0);
    assert!(scratch.read("plan.svg").starts_with("<svg "));
    // Nothing is left beside it.
    assert_eq!(std::fs::read_dir(scratch.path("")).unwrap().count(), 1);
}

#[test]
fn wrong_flags_are_named() {
    for (arguments, says) in [
        (&["--durations", "gaussian:3"][..], "--durations"),
        (&["--durations", "constant:5", "--history", "h"], "--history"),
        (&["--jobs", "5"], "--durations"),
        (&["--class", "a"], "--history"),
        (&["--history", "/no/such/file"], "/no/such/file"),
        (&["--schedule", "constant", "--factor", "2"], "--factor"),
        (&["--schedule", "constant", "--request-cost", "2s"], "--request-cost"),
        (&["--min-delay", "2s", "--max-delay", "1s"], "delay"),
        (&["--history", "h", "--base-url", "azure"], "azure"),
        (&["a-job"], "a-job"),
    ] {
        jobwatch(&["plan"]).args(arguments).run().exits_with(2).prints_nothing().complains(&[says]);
    }
}

/// The same as the program writes it.
fn history(kinds: &[(&str, &str, &str, u64)]) -> String {
    use jobwatch::learn::{Histories, HistoryKey, Lesson, Since};
    let mut histories = Histories::new();
    for (dialect, class, since, seconds) in kinds {
        let since = if *since == "creation" { Since::Creation } else { Since::PickUp };
        let origin = format!("https://{dialect}.example.com");
        let key = HistoryKey { dialect: (*dialect).to_owned(), origin, class: (*class).to_owned(), since };
        for number in 0..*seconds {
            let end = std::time::Duration::from_secs(*seconds) + std::time::Duration::from_millis(number * 10);
            histories.learn(&key, &Lesson::ended(end, end));
        }
    }
    serde_json::to_string(&histories).expect("histories can be written")
}

#[test]
fn a_kept_history_is_planned_by() {
    let scratch = Scratch::new();
    let kinds = [("tracker", "", "creation", 30), ("tracker", "long", "pick_up", 300), ("azure", "", "creation", 60)];
    let file = scratch.file("history.json", &history(&kinds));
    let plan = |flags: &[&str]| planned(&[&LEARNED[..], &["--history", &file], flags].concat());
    // Of several the one that knows most.
    let most = plan(&[]);
    assert!(most["history"]["class"] == "long" && most["history"]["since"] == "pick_up", "{most}");
    let first = |plan: &Value| number(&looks(plan)[0]["age_from_s"]);
    let short = plan(&["--api", "tracker", "--class", "", "--created"]);
    assert!(short["history"]["dialect"] == "tracker" && (20.0..31.0).contains(&first(&short)), "{short}");
    let other = plan(&["--api", "azure", "--created"]);
    assert!(other["history"]["origin"] == "https://azure.example.com" && first(&other) > 29.0, "{other}");
    let other = plan(&["--base-url", "https://AZURE.example.com:443/v2/"]);
    assert_eq!(other["history"]["dialect"], "azure");
    // Nothing is known of such jobs: that is told, and planned for.
    let ran = jobwatch(&["plan", "--history", &file, "--class", "new"]).args(&LEARNED).run().exits_with(0);
    assert!(ran.out.contains("nothing is known") && ran.out.contains("class long"), "{}", ran.out);
    // The variable names the file as well.
    let ran = jobwatch(&["plan", "--json", "--api", "azure"]).args(&LEARNED).env("JOBWATCH_HISTORY", &file).run();
    assert_eq!(ran.exits_with(0).json()[0]["history"]["dialect"], "azure");
}

#[test]
fn recorded_durations_are_learned_from() {
    let scratch = Scratch::new();
    let file = scratch.file("durations", &"31\n29s\n# a remark\n30\n".repeat(20));
    let plan = planned(&[&LEARNED[..], &["--durations", &file, "--created"]].concat());
    let first = &looks(&plan)[0];
    assert!((50.0..60.0).contains(&number(&plan["history_jobs"])), "{plan}");
    assert!((25.0..33.0).contains(&number(&first["age_to_s"])), "{first}");
    let ran = jobwatch(&["plan", "--durations", &file, "--jobs", "7"]).args(&LEARNED).run().exits_with(0);
    assert!(ran.out.contains(&format!("jobs: 7 of the file {file}")), "{}", ran.out);
}

#[test]
fn a_history_with_nothing_in_it_is_none() {
    let scratch = Scratch::new();
    let empty = scratch.file("empty.json", &history(&[]));
    let plan = planned(&[&LEARNED[..], &["--history", &empty]].concat());
    assert!(plan["history_jobs"] == 0.0 && plan["history"].is_null(), "{plan}");
    for (name, content) in [("no.json", "no json"), ("other.json", "{\"v\":99,\"histories\":[]}"), ("blank.json", "")] {
        let file = scratch.file(name, content);
        jobwatch(&["plan", "--history", &file]).run().exits_with(2).prints_nothing().complains(&[name]);
    }
    let missing = scratch.path("missing.json");
    let ran = jobwatch(&["plan"]).args(&LEARNED).env("JOBWATCH_HISTORY", &missing).run().exits_with(0);
    assert!(ran.out.contains("yet to come"), "{}", ran.out);
}
