//! From arguments to a client and jobs: dialects, addresses, bodies.

use std::fs;
use std::io::{self, Read};

use jobwatch::{Backend, BackendError, Dialect, JobRef};
use jobwatch_reqwest::{BuildError, Client, ClientBuilder};

use crate::args::BackendArgs;
use crate::credentials;
use crate::failure::Failure;
use crate::interrupt::Interrupt;

/// A dialect, and whether it is one of ours.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) dialect: Dialect,
    pub(crate) is_preset: bool,
}

impl Target {
    /// A preset by its name, or a file.
    pub(crate) fn named(api: &str) -> Result<Self, Failure> {
        if let Some(dialect) = Dialect::preset(api) {
            return Ok(Self { dialect, is_preset: true });
        }
        let looks_like_a_file = api.contains(['/', '\\']) || api.to_lowercase().ends_with(".toml");
        if !looks_like_a_file {
            return Err(no_such_preset(api, "; a dialect file of your own ends in .toml"));
        }
        let text =
            fs::read_to_string(api).map_err(|error| Failure::usage(format_args!("cannot read {api}: {error}")))?;
        let dialect = Dialect::from_toml(&text).map_err(|error| Failure::usage(format_args!("{api}: {error}")))?;
        Ok(Self { dialect, is_preset: false })
    }

    /// A client builder with address and headers.
    pub(crate) fn client(
        &self,
        args: &BackendArgs,
        jobs: &[JobRef],
        quiet: bool,
        interrupt: &Interrupt,
    ) -> Result<ClientBuilder, Failure> {
        let base_url = args.base_url.clone().or_else(|| origin_of_first_url(jobs));
        let backend = Backend::new(self.dialect.clone(), base_url.as_deref());
        let origin = backend.map_err(|error| explain(&BuildError::Backend(error)))?.origin();
        let credentials = credentials::gather(args, self, &origin, quiet, interrupt)?;

        let mut builder = Client::builder(self.dialect.clone());
        if let Some(url) = base_url {
            builder = builder.base_url(url);
        }
        for header in credentials.headers {
            builder = builder.header(header.name, header.value);
        }
        if let Some(command) = credentials.renewal {
            builder = builder.credentials(move || command.run());
        }
        if let Some(rate) = &args.rate {
            builder = builder.rate(rate.limit);
        }
        if let Some(bytes) = args.max_body {
            builder = builder.max_body(bytes);
        }
        Ok(builder)
    }
}

/// Names the presets that there are.
pub(crate) fn no_such_preset(name: &str, more: &str) -> Failure {
    let presets: Vec<_> = Dialect::presets().collect();
    Failure::usage(format_args!("there is no preset {name:?}; there are: {}{more}", presets.join(", ")))
}

/// Why no client could be built, in terms of flags.
pub(crate) fn explain(error: &BuildError) -> Failure {
    match error {
        BuildError::Backend(BackendError::NoBaseUrl(_)) => Failure::usage(format_args!("{error}, with --base-url")),
        error => Failure::usage(error),
    }
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

/// Where jobs are given by their URLs, the first one tells where the backend is.
pub(crate) fn origin_of_first_url(jobs: &[JobRef]) -> Option<String> {
    let url = jobs.iter().map(JobRef::id).find(|id| id.starts_with("http://") || id.starts_with("https://"))?;
    let (scheme, rest) = url.split_once("://")?;
    let host = rest.split(['/', '?', '#']).next()?;
    Some(format!("{scheme}://{host}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_tells_where_the_backend_is() {
        let jobs = [JobRef::new("https://api.example.com:8443/jobs/1?x=y").unwrap()];
        assert_eq!(origin_of_first_url(&jobs).unwrap(), "https://api.example.com:8443");
    }

    #[test]
    fn an_unknown_preset_names_those_there_are() {
        assert!(Target::named("trakcer").unwrap_err().message.contains("tracker"));
    }
}
