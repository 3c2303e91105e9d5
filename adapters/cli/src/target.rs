//! From arguments to a client and jobs: dialects, headers, ids.

use std::io::{self, BufRead, Read};
use std::{env, fs};

use jobwatch::{BackendError, Dialect, JobRef};
use jobwatch_reqwest::{BuildError, Client, ClientBuilder};
use serde_json::Value;

use crate::args::BackendArgs;
use crate::failure::Failure;

/// An id is a word; what is longer is a file of something else.
const LONGEST_ID: usize = 8192;

/// A preset by its name, or a file.
pub(crate) fn dialect(api: &str) -> Result<Dialect, Failure> {
    if let Some(dialect) = Dialect::preset(api) {
        return Ok(dialect);
    }
    let looks_like_a_file = api.contains(['/', '\\']) || api.to_lowercase().ends_with(".toml");
    if !looks_like_a_file {
        let presets: Vec<_> = Dialect::presets().collect();
        let presets = presets.join(", ");
        return Err(Failure::usage(format_args!(
            "there is no preset {api:?}; there are: {presets}; a dialect file of your own ends in .toml"
        )));
    }
    let text = fs::read_to_string(api).map_err(|error| Failure::usage(format_args!("cannot read {api}: {error}")))?;
    Dialect::from_toml(&text).map_err(|error| Failure::usage(format_args!("{api}: {error}")))
}

/// A client builder with address and headers.
pub(crate) fn client(args: &BackendArgs, dialect: Dialect, jobs: &[JobRef]) -> Result<ClientBuilder, Failure> {
    let mut builder = Client::builder(dialect);
    if let Some(url) = args.base_url.clone().or_else(|| origin_of_first_url(jobs)) {
        builder = builder.base_url(url);
    }
    for header in &args.headers {
        for (name, value) in headers(header)? {
            builder = builder.header(name, value);
        }
    }
    if let Some(bytes) = args.max_body {
        builder = builder.max_body(bytes);
    }
    Ok(builder)
}

/// Why no client could be built, in terms of flags.
pub(crate) fn explain(error: &BuildError) -> Failure {
    match error {
        BuildError::Backend(BackendError::NoBaseUrl(_)) => Failure::usage(format_args!("{error}, with --base-url")),
        error => Failure::usage(error),
    }
}

/// The jobs named by the arguments; `-` stands for those that standard input names, one a line.
pub(crate) fn jobs(ids: &[String]) -> Result<Vec<JobRef>, Failure> {
    let mut jobs = Vec::new();
    for id in ids {
        if id == "-" {
            for line in io::stdin().lock().lines() {
                let line = line.map_err(|error| Failure::usage(format_args!("cannot read standard input: {error}")))?;
                if let Some(id) = id_of_line(&line) {
                    jobs.push(job(&id)?);
                }
            }
        } else {
            jobs.push(job(id)?);
        }
    }
    Ok(jobs)
}

/// The id in a line: what `submit` and `wait` print can be piped in, so that it is the first column, or the `id` of one
/// of our JSON objects. Empty lines and summaries have none.
fn id_of_line(line: &str) -> Option<String> {
    if let Ok(Value::Object(object)) = serde_json::from_str(line)
        && object.get("v") == Some(&1.into())
    {
        return object.get("id").and_then(Value::as_str).map(str::to_owned);
    }
    let id = line.split('\t').next().unwrap_or_default().trim();
    (!id.is_empty()).then(|| id.to_owned())
}

/// A request's body: the text itself, `@FILE`, or `-`; JSON in any case.
pub(crate) fn body(argument: Option<&str>) -> Result<Vec<u8>, Failure> {
    let (text, source) = match argument {
        None => return Ok(Vec::new()),
        Some("-") => {
            let mut text = Vec::new();
            let read = io::stdin().lock().read_to_end(&mut text);
            read.map_err(|error| Failure::usage(format_args!("cannot read standard input: {error}")))?;
            (text, "standard input")
        }
        Some(text) => match text.strip_prefix('@') {
            Some(path) => {
                let read = fs::read(path);
                (read.map_err(|error| Failure::usage(format_args!("cannot read {path}: {error}")))?, path)
            }
            None => (text.as_bytes().to_vec(), "--body"),
        },
    };
    match serde_json::from_slice::<serde::de::IgnoredAny>(&text) {
        Ok(_) => Ok(text),
        Err(error) => Err(Failure::usage(format_args!("{source} is no JSON: {error}"))),
    }
}

fn job(id: &str) -> Result<JobRef, Failure> {
    if id.len() > LONGEST_ID {
        return Err(Failure::usage(format_args!("an id has {} bytes; is this a list of ids, one a line?", id.len())));
    }
    JobRef::new(id).map_err(Failure::usage)
}

/// Where jobs are given by their URLs, the first one tells where the backend is.
fn origin_of_first_url(jobs: &[JobRef]) -> Option<String> {
    let url = jobs.iter().map(JobRef::id).find(|id| id.starts_with("http://") || id.starts_with("https://"))?;
    let (scheme, rest) = url.split_once("://")?;
    let host = rest.split(['/', '?', '#']).next()?;
    Some(format!("{scheme}://{host}"))
}

/// `K: V`, or the lines of a file.
fn headers(argument: &str) -> Result<Vec<(String, String)>, Failure> {
    match argument.strip_prefix('@') {
        None => Ok(vec![header(argument, "--header")?]),
        Some(path) => {
            let text = fs::read_to_string(path);
            let text = text.map_err(|error| Failure::usage(format_args!("cannot read {path}: {error}")))?;
            let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
            lines.map(|line| header(line, path)).collect()
        }
    }
}

fn header(line: &str, source: &str) -> Result<(String, String), Failure> {
    // The line may hold a secret and is not repeated.
    let Some((name, value)) = line.split_once(':') else {
        return Err(Failure::usage(format_args!("{source}: write a header as in 'X-Api-Key: secret'")));
    };
    Ok((name.trim().to_owned(), expand(value.trim(), name)?))
}

/// Replaces each `${env:NAME}` by the environment's word.
fn expand(value: &str, header: &str) -> Result<String, Failure> {
    let mut expanded = String::new();
    let mut rest = value;
    while let Some((before, after)) = rest.split_once("${env:") {
        let Some((name, after)) = after.split_once('}') else {
            return Err(Failure::usage(format_args!("header {header}: `${{env:` is not closed by `}}`")));
        };
        let word = env::var(name)
            .map_err(|_| Failure::usage(format_args!("header {header}: the environment has no variable {name}")))?;
        expanded.push_str(before);
        expanded.push_str(word.trim());
        rest = after;
    }
    expanded.push_str(rest);
    Ok(expanded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn environment_variables_are_expanded_in_headers() {
        let home = env::var("PATH").unwrap();
        assert_eq!(expand("Bearer ${env:PATH}!", "k").unwrap(), format!("Bearer {}!", home.trim()));
        assert_eq!(expand("plain", "k").unwrap(), "plain");
        let missing = expand("${env:JOBWATCH_NO_SUCH_VARIABLE}", "k").unwrap_err();
        assert!(missing.message.contains("JOBWATCH_NO_SUCH_VARIABLE"), "{}", missing.message);
        assert_eq!(expand("${env:PATH", "k").unwrap_err().status, 2);
    }

    #[test]
    fn a_url_tells_where_the_backend_is() {
        let jobs = [JobRef::new("https://api.example.com:8443/jobs/1?x=y").unwrap()];
        assert_eq!(origin_of_first_url(&jobs).unwrap(), "https://api.example.com:8443");
    }

    #[test]
    fn what_we_print_can_be_piped_in() {
        let cases = [
            ("plain", Some("plain")),
            ("a b\tsucceeded\tdone", Some("a b")),
            (r#"{"v":1,"type":"created","id":"x"}"#, Some("x")),
            (r#"{"v":1,"type":"summary","summary":{}}"#, None),
            (r#"{"id":1}"#, Some(r#"{"id":1}"#)),
            ("  ", None),
        ];
        for (line, id) in cases {
            assert_eq!(id_of_line(line).as_deref(), id, "{line}");
        }
    }

    #[test]
    fn an_unknown_preset_names_those_there_are() {
        assert!(dialect("trakcer").unwrap_err().message.contains("tracker"));
    }
}
