//! Headers, and where those may go that come from the environment.

use std::net::IpAddr;
use std::{env, fs};

use jobwatch::{Backend, Dialect};

use crate::args::BackendArgs;
use crate::failure::Failure;
use crate::header_command::HeaderCommand;
use crate::interrupt::Interrupt;
use crate::target::Target;
use crate::view::note;

/// A header as it is sent.
#[derive(Debug)]
pub(crate) struct Header {
    pub(crate) name: String,
    pub(crate) value: String,
    /// A part of it is a variable's.
    from_environment: bool,
}

/// The headers of every request, and what renews them.
pub(crate) struct Credentials {
    pub(crate) headers: Vec<Header>,
    pub(crate) renewal: Option<HeaderCommand>,
}

/// All headers for a backend: those that were given, those that a command prints, and the key that the environment has.
pub(crate) fn gather(
    args: &BackendArgs,
    target: &Target,
    origin: &str,
    quiet: bool,
    interrupt: &Interrupt,
) -> Result<Credentials, Failure> {
    let trusted = may_get_keys(target, origin, args.base_url.is_some());
    let mut headers = Vec::new();
    for argument in &args.headers {
        headers.append(&mut given(argument)?);
    }
    if let Some(header) = headers.iter().find(|header| header.from_environment && !trusted) {
        return Err(Failure::usage(format_args!(
            "header {}: what comes from the environment is not sent to {origin}: {ADVICE}; or write the value itself, \
             as in --header @FILE",
            header.name
        )));
    }
    let renewal = args.header_command.as_deref().map(|line| HeaderCommand::new(line, interrupt.clone()));
    if let Some(command) = &renewal {
        let printed = command.run().map_err(|message| match interrupt.status() {
            Some(_) => interrupt.failure(),
            None => Failure { status: 3, message },
        })?;
        headers.extend(printed.into_iter().map(|(name, value)| Header { name, value, from_environment: false }));
    }
    if let Some((variable, key)) = key(&target.dialect, &headers) {
        if trusted {
            headers.push(key);
        } else if !quiet {
            note(format_args!("the key in {variable} is not sent to {origin}: {ADVICE}"));
        }
    }
    Ok(Credentials { headers, renewal })
}

const ADVICE: &str = "that needs an https address given with --base-url, the preset's own address, or loopback";

/// Whether what comes from the environment may go to this origin: to a preset's own, to loopback, or to one that was
/// given expressly and cannot be listened in on. An address that only stood in a list of jobs is not enough, nor is one
/// in a dialect file from elsewhere.
fn may_get_keys(target: &Target, origin: &str, expressly: bool) -> bool {
    let own = || Backend::new(target.dialect.clone(), None).is_ok_and(|own| own.origin() == origin);
    is_loopback(origin) || (expressly && origin.starts_with("https://")) || (target.is_preset && own())
}

fn is_loopback(origin: &str) -> bool {
    let Some((_, authority)) = origin.split_once("://") else { return false };
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next(),
        None => authority.split(':').next(),
    };
    let host = host.unwrap_or_default();
    host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

/// The variable with the backend's key, and the header that carries it; nothing where a credential was given otherwise.
fn key(dialect: &Dialect, given: &[Header]) -> Option<(String, Header)> {
    let variable = dialect.key_variable()?.to_owned();
    let key = env::var(&variable).ok().filter(|key| !key.trim().is_empty())?;
    let (name, value) = dialect.key_header(key.trim())?;
    let is_credential = |header: &Header| {
        let mut names = dialect.credential_headers().chain([name]);
        names.any(|name| name.eq_ignore_ascii_case(&header.name))
    };
    let header = Header { name: name.to_owned(), value, from_environment: true };
    (!given.iter().any(is_credential)).then_some((variable, header))
}

/// How a backend takes its key, as a flag.
pub(crate) fn advice(dialect: &Dialect) -> Option<String> {
    let reference = dialect.key_variable().map(|variable| format!("${{env:{variable}}}"));
    if let Some((name, value)) = reference.and_then(|reference| dialect.key_header(&reference)) {
        return Some(format!("--header '{}: {value}'", as_written(name)));
    }
    let name = dialect.credential_headers().next()?;
    Some(format!("--header '{}: …'", as_written(name)))
}

/// A header's name with capitals.
fn as_written(name: &str) -> String {
    let words = name.split('-').map(|word| {
        let mut letters = word.chars();
        letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect::<String>()
    });
    words.collect::<Vec<_>>().join("-")
}

/// `K: V`, or the lines of a file.
fn given(argument: &str) -> Result<Vec<Header>, Failure> {
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

fn header(line: &str, source: &str) -> Result<Header, Failure> {
    // The line may hold a secret and is not repeated.
    let Some((name, value)) = line.split_once(':') else {
        return Err(Failure::usage(format_args!("{source}: write a header as in 'X-Api-Key: secret'")));
    };
    let from_environment = value.contains("${env:");
    Ok(Header {
        name: name.trim().to_owned(),
        value: expand(value.trim(), &format!("header {name}"))?,
        from_environment,
    })
}

/// Replaces each `${env:NAME}` by the environment's word, in what is named like this.
pub(crate) fn expand(value: &str, what: &str) -> Result<String, Failure> {
    let mut expanded = String::new();
    let mut rest = value;
    while let Some((before, after)) = rest.split_once("${env:") {
        let Some((name, after)) = after.split_once('}') else {
            return Err(Failure::usage(format_args!("{what}: `${{env:` is not closed by `}}`")));
        };
        let word = env::var(name)
            .map_err(|_| Failure::usage(format_args!("{what}: the environment has no variable {name}")))?;
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
    fn keys_go_to_few_places() {
        let target = |is_preset| Target { dialect: Dialect::heygen_v3(), is_preset };
        for (origin, expressly, preset, file) in [
            ("https://api.heygen.com", false, true, false),
            ("http://api.heygen.com", false, false, false),
            ("http://api.heygen.com", true, false, false),
            ("https://api.heygen.com:444", false, false, false),
            ("https://proxy.example.com", true, true, true),
            ("https://proxy.example.com", false, false, false),
            ("http://proxy.example.com", true, false, false),
            ("http://127.0.0.1:5000", false, true, true),
            ("http://127.9.9.9", false, true, true),
            ("http://[::1]:5000", false, true, true),
            ("http://localhost:5000", false, true, true),
            ("http://localhost.example.com", true, false, false),
            ("http://127.0.0.1.example.com", true, false, false),
        ] {
            assert_eq!(may_get_keys(&target(true), origin, expressly), preset, "{origin} {expressly}");
            assert_eq!(may_get_keys(&target(false), origin, expressly), file, "{origin} {expressly}");
        }
    }

    #[test]
    fn a_backend_tells_how_it_takes_its_key() {
        let advice = |name| advice(&Dialect::preset(name).unwrap());
        assert_eq!(advice("heygen-v3").unwrap(), "--header 'X-Api-Key: ${env:HEYGEN_API_KEY}'");
        assert_eq!(advice("fal").unwrap(), "--header 'Authorization: Key ${env:FAL_KEY}'");
        assert_eq!(advice("rfc9110").unwrap(), "--header 'Authorization: …'");
        assert_eq!(advice("tracker"), None);
    }
}
