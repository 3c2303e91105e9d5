//! The flags that tell which backend, and how to speak to it.
#![allow(clippy::doc_markdown)] // the doc comments are the program's help, which is no Markdown

use clap::Args;
use jobwatch::{Dialect, RateLimit};

/// Which backend, and how to speak to it. Like every struct with a heading it stands last where it is used: the heading
/// holds for what follows.
#[derive(Debug, Args)]
#[command(next_help_heading = "Backend")]
pub(crate) struct BackendArgs {
    #[arg(long, value_name = "NAME|FILE.toml", help = api_help())]
    pub(crate) api: String,
    /// Where the backend is, for example http://127.0.0.1:5000 [default: the dialect's own address, where it has one]
    #[arg(long, value_name = "URL")]
    pub(crate) base_url: Option<String>,
    /// A header for every request, as in 'X-Api-Key: secret'; `${env:NAME}` in its value stands for an environment
    /// variable, and @FILE for a file with one header a line. What comes from the environment goes to the preset's own
    /// address, to loopback and to an https --base-url alone
    #[arg(long = "header", short = 'H', value_name = "HEADER|@FILE")]
    pub(crate) headers: Vec<String>,
    /// A command of the shell that prints headers, one a line; it runs at the start, and again when the backend refuses
    /// the credentials
    #[arg(long, value_name = "COMMAND")]
    pub(crate) header_command: Option<String>,
    /// The most looks a second, and the most creates; after a pause, twice as many at once [default: 50/s, burst 100]
    #[arg(long, value_name = "N/s", value_parser = parse_rate)]
    pub(crate) rate: Option<Rate>,
    /// The largest answer that is accepted, in bytes [default: the dialect's, usually 16777216]
    #[arg(long, value_name = "BYTES")]
    pub(crate) max_body: Option<u64>,
}

/// A rate as it was written, and what it means.
#[derive(Clone, Debug)]
pub(crate) struct Rate {
    pub(crate) text: String,
    pub(crate) limit: RateLimit,
}

/// `50/s`, `0.5/s`.
pub(super) fn parse_rate(text: &str) -> Result<Rate, String> {
    let number = text.strip_suffix("/s").and_then(|number| number.trim().parse().ok());
    let number: f64 = number.ok_or("write a number of requests per second, as in 50/s or 0.5/s")?;
    let limit = RateLimit::per_second(number).map_err(|error| error.to_string())?;
    Ok(Rate { text: text.to_owned(), limit })
}

/// What a rate is for a worker.
pub(super) const SHARED_RATE: &str = "The most looks a second of all workers together that have this origin and a credential of this \
                           name, without a burst; give all of them the same [default: 50/s]";

/// The presets by name, as there are.
pub(super) fn api_help() -> String {
    let presets: Vec<_> = Dialect::presets().collect();
    format!(
        "How the backend speaks: a dialect file of your own, or one of the presets, about which `jobwatch dialects` \
         tells more: {}",
        presets.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_as_documented() {
        assert_eq!(parse_rate("50/s").unwrap().limit, RateLimit::POLITE);
        assert!(parse_rate("0.5/s").is_ok());
        for wrong in ["", "50", "50/m", "/s", "0/s", "-1/s", "NaN/s", "many/s"] {
            assert!(parse_rate(wrong).is_err(), "{wrong:?} was accepted");
        }
    }
}
