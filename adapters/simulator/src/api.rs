//! The wires that the simulator speaks. Another backend is another variant of [`Api`] here.

use std::fmt;
use std::str::FromStr;

use hyper::Method;

use crate::ledger::JobState;

/// Which job API the simulator imitates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Api {
    /// The status tracker: `POST /create_job`, then `GET /status/{id}`.
    #[default]
    Tracker,
}

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route<'p> {
    Create,
    Status(&'p str),
    Unknown,
    WrongMethod { allow: &'static str },
}

impl Api {
    /// Every API there is.
    pub const ALL: &'static [Self] = &[Self::Tracker];

    /// The name as it is written on a command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tracker => "tracker",
        }
    }

    /// Finds what is asked for; `path` comes without its query.
    pub(crate) fn route<'p>(self, method: &Method, path: &'p str) -> Route<'p> {
        match self {
            Self::Tracker => tracker::route(method, path),
        }
    }

    /// The body that answers a create.
    pub(crate) fn created(self, id: &str) -> String {
        match self {
            Self::Tracker => tracker::created(id),
        }
    }

    /// The body that tells a state.
    pub(crate) fn told(self, state: JobState) -> &'static str {
        match self {
            Self::Tracker => tracker::told(state),
        }
    }
}

impl fmt::Display for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Api {
    type Err = UnknownApi;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.iter().copied().find(|api| api.name() == name).ok_or_else(|| UnknownApi(name.to_owned()))
    }
}

/// The simulator does not speak the API of this name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownApi(String);

impl fmt::Display for UnknownApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = Api::ALL.iter().map(|api| api.name()).collect();
        let names = names.join(", ");
        write!(f, "unknown API '{}': the simulator speaks {names}", self.0)
    }
}

impl std::error::Error for UnknownApi {}

mod tracker {
    use super::{JobState, Method, Route};

    pub(super) fn route<'p>(method: &Method, path: &'p str) -> Route<'p> {
        if path == "/create_job" {
            return allowed(method, "POST", Route::Create);
        }
        match path.strip_prefix("/status/") {
            Some(id) if !id.is_empty() && !id.contains('/') => allowed(method, "GET", Route::Status(id)),
            _ => Route::Unknown,
        }
    }

    fn allowed<'p>(method: &Method, allow: &'static str, route: Route<'p>) -> Route<'p> {
        if method.as_str() == allow { route } else { Route::WrongMethod { allow } }
    }

    pub(super) fn created(id: &str) -> String {
        format!("{{\"job_id\":\"{id}\"}}")
    }

    pub(super) fn told(state: JobState) -> &'static str {
        match state {
            JobState::Pending => r#"{"result":"pending"}"#,
            JobState::Succeeded => r#"{"result":"completed"}"#,
            JobState::Failed => r#"{"result":"error"}"#,
            JobState::Unknown => r#"{"result":"Job ID not found"}"#,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        for api in Api::ALL {
            assert_eq!(api.to_string().parse(), Ok(*api));
        }
        let refusal = "heygen".parse::<Api>().unwrap_err().to_string();
        assert_eq!(refusal, "unknown API 'heygen': the simulator speaks tracker");
    }

    #[test]
    fn the_tracker_routes() {
        let route = |method: &Method, path| Api::Tracker.route(method, path);
        assert_eq!(route(&Method::POST, "/create_job"), Route::Create);
        assert_eq!(route(&Method::GET, "/status/x"), Route::Status("x"));
        assert_eq!(route(&Method::GET, "/status/"), Route::Unknown);
        assert_eq!(route(&Method::GET, "/status/a/b"), Route::Unknown);
        let allow = "GET";
        assert_eq!(route(&Method::HEAD, "/status/x"), Route::WrongMethod { allow });
    }
}
