//! What is known of how long jobs take: nothing, durations that are given, or a history that is kept.

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use jobwatch::learn::{Histories, History, HistoryKey, Lesson, Since};
use jobwatch::{Backend, Dialect};
use jobwatch_reqwest::BuildError;

use crate::args::PlanArgs;
use crate::compare::{drawn, durations_in_words, read_durations};
use crate::failure::Failure;
use crate::target::{Target, explain};

/// Where a history is kept unless a flag says otherwise.
const VARIABLE: &str = "JOBWATCH_HISTORY";

/// Jobs of a distribution; a file tells its own.
const JOBS: usize = 200;

/// A history remembers some thousand jobs; those before them would teach nothing.
const MOST: usize = 10_000;

/// A history, and where it comes from, in words.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) history: History,
    pub(crate) words: String,
    /// The kind of job, where it comes from a file.
    pub(crate) key: Option<HistoryKey>,
}

pub(crate) fn known(args: &PlanArgs, target: Option<&Target>) -> Result<Source, Failure> {
    if let Some(spec) = &args.durations {
        return learned(spec, args.jobs, args.seed);
    }
    let nothing = |words: String| Source { history: History::new(), words, key: None };
    let (path, is_asked_for) = match (&args.history, std::env::var_os(VARIABLE)) {
        (Some(path), _) => (path.clone(), true),
        (None, Some(path)) if !path.is_empty() => (PathBuf::from(path), false),
        _ if args.class.is_some() || args.base_url.is_some() => {
            return Err(Failure::usage("--class and --base-url choose from a history: give one with --history"));
        }
        _ => return Ok(nothing("nothing is known of how long they take".to_owned())),
    };
    let origin = args.base_url.as_deref().map(|url| origin(url, target)).transpose()?;
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        // The variable names where a history will be kept.
        Err(error) if error.kind() == ErrorKind::NotFound && !is_asked_for => {
            return Ok(nothing(format!("nothing is known of how long they take; {} is yet to come", path.display())));
        }
        Err(error) => return Err(Failure::usage(format_args!("cannot read {}: {error}", path.display()))),
    };
    let histories: Histories = serde_json::from_str(&text)
        .map_err(|error| Failure::usage(format_args!("{} is no history: {error}", path.display())))?;
    Ok(chosen(&histories, args, target, origin.as_deref()).unwrap_or_else(|| {
        let kinds: Vec<_> = histories.iter().map(|(key, _)| kind(key)).collect();
        let others = if kinds.is_empty() { String::new() } else { format!(", which knows of: {}", kinds.join("; ")) };
        nothing(format!("nothing is known of them in {}{others}", path.display()))
    }))
}

/// Where a backend is, as histories tell it.
fn origin(url: &str, target: Option<&Target>) -> Result<String, Failure> {
    let dialect = target.map_or_else(Dialect::tracker, |target| target.dialect.clone());
    let backend = Backend::new(dialect, Some(url)).map_err(|error| explain(&BuildError::Backend(error)))?;
    Ok(backend.origin())
}

/// What so many durations teach, each of them told exactly.
fn learned(spec: &str, jobs: Option<u32>, seed: u64) -> Result<Source, Failure> {
    let durations = read_durations(spec)?;
    let jobs = jobs.map(|jobs| jobs as usize).or(durations.recorded().map(<[_]>::len)).unwrap_or(JOBS);
    let mut history = History::new();
    for end in drawn(&durations, jobs, seed).skip(jobs.saturating_sub(MOST)) {
        history.learn(&Lesson::ended(end, end));
    }
    Ok(Source { history, words: format!("{jobs} of {}", durations_in_words(spec)), key: None })
}

/// The history of the kind of job that is asked for; of several, the one that knows most.
fn chosen(histories: &Histories, args: &PlanArgs, target: Option<&Target>, origin: Option<&str>) -> Option<Source> {
    let fits = |key: &HistoryKey| {
        target.is_none_or(|target| key.dialect == target.dialect.name())
            && args.class.as_ref().is_none_or(|class| key.class == *class)
            && origin.is_none_or(|origin| key.origin == origin)
            && (!args.created || key.since == Since::Creation)
    };
    let mut found: Vec<_> = histories.iter().filter(|(key, _)| fits(key)).collect();
    found.sort_by(|a, b| b.1.jobs().total_cmp(&a.1.jobs()));
    let (key, history) = found.first()?;
    let others = match found.len() {
        1 => String::new(),
        count => format!(" ({} others fit, which know less; --api, --class and --base-url choose)", count - 1),
    };
    let words = format!("{:.0} in the history of {}{others}", history.jobs(), kind(key));
    Some(Source { history: (*history).clone(), words, key: Some((*key).clone()) })
}

/// A kind of job in words.
fn kind(key: &HistoryKey) -> String {
    let class = if key.class.is_empty() { String::new() } else { format!(", class {}", key.class) };
    let since = match key.since {
        Since::Creation => "since creation",
        Since::PickUp => "since pick-up",
    };
    format!("{} at {}{class}, {since}", key.dialect, key.origin)
}
