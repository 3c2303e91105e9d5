//! A dialect bound to an address and credentials: builds requests, and decides where they may go.

mod prepared;

use core::fmt;
use core::num::NonZeroU64;
use core::time::Duration;
use std::boxed::Box;
use std::collections::HashMap;
use std::string::{String, ToString};
use std::sync::OnceLock;
use std::vec::Vec;

use http::header::{ACCEPT, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, Method, Request, Uri};
use percent_encoding::utf8_percent_encode;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};
use url::Url;

use crate::dialect::{Ask, ID, extend_missing, without_secrets};
use crate::{Dialect, LookError, Timestamp};
use prepared::Prepared;

/// An HTTP client adds about so many headers: for them, too, there is room, or all would be moved.
const HEADERS_OF_CLIENT: usize = 3;

/// One backend: a dialect, the address where it is spoken, and the headers that go with each request.
///
/// Headers go to the base address's own origin (scheme, host and port) and to origins expressly allowed, nowhere else.
#[derive(Clone)]
pub struct Backend {
    dialect: Dialect,
    base: Url,
    headers: HeaderMap,
    allowed: Vec<url::Origin>,
    max_body: u64,
    /// How often the credentials were renewed.
    renewals: u32,
    /// Made at the first look; every change of the headers makes it anew.
    prepared: OnceLock<Box<Prepared>>,
}

impl Backend {
    /// A backend at this address; `None` takes the dialect's own.
    ///
    /// # Errors
    /// No address is known, or it is not an http or https URL.
    pub fn new(dialect: Dialect, base_url: Option<&str>) -> Result<Self, BackendError> {
        let Some(text) = base_url.or(dialect.base_url()) else {
            return Err(BackendError::NoBaseUrl(dialect.name().to_string()));
        };
        let mut base = parse_url(text).ok_or_else(|| BackendError::BaseUrl(without_secrets(text)))?;
        base.set_query(None);
        base.set_fragment(None);
        let description = dialect.description();
        let allowed = description.allowed_origins.iter().map(Url::origin).collect();
        let max_body = description.max_body;
        let (headers, prepared) = (HeaderMap::new(), OnceLock::new());
        Ok(Self { dialect, base, headers, allowed, max_body, renewals: 0, prepared })
    }

    /// Adds a header to every request, for example a credential. Its value is never printed.
    ///
    /// # Errors
    /// The name or the value cannot stand in a header.
    pub fn with_header(mut self, name: &str, value: &str) -> Result<Self, BackendError> {
        // Where a whole `name: value` line was given as the name, the value is not repeated.
        let wrong = || BackendError::Header(name.split([':', '=', ' ']).next().unwrap_or_default().to_string());
        let header = HeaderName::from_bytes(name.trim().as_bytes()).map_err(|_| wrong())?;
        let mut value = HeaderValue::from_str(value.trim()).map_err(|_| wrong())?;
        value.set_sensitive(true);
        self.headers.insert(header, value);
        self.prepared = OnceLock::new();
        Ok(self)
    }

    /// The same backend with these headers in place of those of the same names: new credentials.
    ///
    /// # Errors
    /// A name or a value cannot stand in a header.
    pub fn renewed<N: AsRef<str>, V: AsRef<str>>(
        &self,
        headers: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Self, BackendError> {
        let mut backend = self.clone();
        for (name, value) in headers {
            backend = backend.with_header(name.as_ref(), value.as_ref())?;
        }
        backend.renewals = self.renewals.saturating_add(1);
        Ok(backend)
    }

    /// Lets the backend point at another origin, which will get the headers too.
    ///
    /// # Errors
    /// It is not an http or https URL.
    pub fn with_allowed_origin(mut self, origin: &str) -> Result<Self, BackendError> {
        let url = parse_url(origin).ok_or_else(|| BackendError::BaseUrl(without_secrets(origin)))?;
        self.allowed.push(url.origin());
        Ok(self)
    }

    /// The largest body that is read, in decoded bytes; by default the dialect's, which is 16 MiB unless it says
    /// otherwise.
    #[must_use]
    pub fn with_max_body(mut self, bytes: u64) -> Self {
        self.max_body = bytes;
        self
    }

    /// The dialect spoken.
    pub fn dialect(&self) -> &Dialect {
        &self.dialect
    }

    /// The origin of the address, as in `https://api.example.com`.
    pub fn origin(&self) -> String {
        self.base.origin().ascii_serialization()
    }

    /// The address without user, password and a slash at its end: what tells backends of one dialect apart.
    pub fn address(&self) -> String {
        without_secrets(self.base.as_str()).trim_end_matches('/').to_string()
    }

    /// The largest body that is read, in decoded bytes.
    pub fn max_body(&self) -> u64 {
        self.max_body
    }

    /// The address.
    pub(crate) fn base(&self) -> &Url {
        &self.base
    }

    /// Whether the backend may point at other origins than its own.
    pub(crate) fn has_other_origins(&self) -> bool {
        !self.allowed.is_empty()
    }

    /// Whether this origin, as in `https://api.example.com`, gets the headers.
    pub(crate) fn is_allowed(&self, origin: &str) -> bool {
        let mut known = core::iter::once(self.base.origin()).chain(self.allowed.iter().cloned());
        known.any(|known| known.ascii_serialization() == origin)
    }

    /// How often the credentials were renewed.
    pub(crate) fn renewals(&self) -> u32 {
        self.renewals
    }

    /// The request that creates a job, by a dialect that says how.
    pub(crate) fn create_request(
        &self,
        body: &[u8],
        idempotency_key: Option<&str>,
    ) -> Result<Request<Vec<u8>>, LookError> {
        let create = self.dialect.description().create.as_ref().ok_or(LookError::BadUrl)?;
        let body = match &create.body {
            Some(fields) => with_fields(body, fields),
            None => body.to_vec(),
        };
        let has_body = !body.is_empty();
        let mut request = self.request(create.method.clone(), &self.create_url()?, body, &create.headers)?;
        if has_body {
            request.headers_mut().entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
        }
        if let (Some(name), Some(key)) = (&create.idempotency_header, idempotency_key) {
            request.headers_mut().insert(name, HeaderValue::from_str(key).map_err(|_| LookError::BadUrl)?);
        }
        Ok(request)
    }

    /// Whether a create can be repeated.
    pub(crate) fn has_idempotency_key(&self) -> bool {
        self.dialect.description().create.as_ref().is_some_and(|create| create.idempotency_header.is_some())
    }

    /// Whether a key of this instant is still known at that one.
    pub(crate) fn remembers_key_of(&self, at: Timestamp, now: Timestamp) -> bool {
        let create = self.dialect.description().create.as_ref();
        create.is_none_or(|create| now.saturating_since(at) < create.idempotency_ttl)
    }

    /// Where jobs are created.
    pub(crate) fn create_url(&self) -> Result<Url, LookError> {
        let create = self.dialect.description().create.as_ref().ok_or(LookError::BadUrl)?;
        Ok(self.below_base(&create.path))
    }

    /// The request that asks for one job, at its own address or by the dialect's path.
    pub(crate) fn look_request(&self, job: &JobRef) -> Result<Request<Vec<u8>>, LookError> {
        if job.poll_url().is_none()
            && let Some(uri) = self.prepared().poll_uri(self, &job.id)
        {
            let mut request = self.prepared_request(uri?);
            request.method_mut().clone_from(&self.dialect.description().poll.method);
            return Ok(request);
        }
        self.poll_request(&self.poll_url(job)?)
    }

    fn prepared(&self) -> &Prepared {
        self.prepared.get_or_init(|| Box::new(Prepared::of(self)))
    }

    fn prepared_request(&self, uri: Uri) -> Request<Vec<u8>> {
        let mut request = Request::new(Vec::new());
        *request.uri_mut() = uri;
        let prepared = &self.prepared().headers;
        let mut headers = HeaderMap::with_capacity(prepared.len() + HEADERS_OF_CLIENT);
        headers.extend(prepared.iter().map(|(name, value)| (name.clone(), value.clone())));
        *request.headers_mut() = headers;
        request
    }

    pub(crate) fn poll_request(&self, url: &Url) -> Result<Request<Vec<u8>>, LookError> {
        self.ask(&self.dialect.description().poll, url)
    }

    /// The request for a result that has an address of its own.
    pub(crate) fn result_request(&self, url: &Url) -> Result<Request<Vec<u8>>, LookError> {
        self.request(Method::GET, url, Vec::new(), &self.dialect.description().poll.headers)
    }

    /// The request that cancels a job, at the address that a look told, or else by the dialect's path.
    pub(crate) fn cancel_request(&self, job: &JobRef, told: Option<&str>) -> Result<Request<Vec<u8>>, LookError> {
        let cancel = self.dialect.description().cancel.as_ref().ok_or(LookError::BadUrl)?;
        let url = match (told, &cancel.ask.path) {
            (Some(address), _) => self.trusted(&self.base, address)?,
            (None, Some(template)) if !job.is_named_by_url() => self.below_base(&template.expand(&job.id)?),
            (None, _) => return Err(LookError::BadUrl),
        };
        self.ask(&cancel.ask, &url)
    }

    /// The request that asks for all of these ids, or for the page of its answer that this token names.
    pub(crate) fn bulk_request<'i>(
        &self,
        ids: impl IntoIterator<Item = &'i str, IntoIter: Clone>,
        page: Option<&str>,
    ) -> Result<Request<Vec<u8>>, LookError> {
        let bulk = self.dialect.bulk().ok_or(LookError::BadUrl)?;
        let ids = ids.into_iter();
        if page.is_none()
            && let Some(uri) = self.prepared().bulk_uri(ids.clone())
        {
            return Ok(self.prepared_request(uri));
        }
        let mut path = bulk.path.0.clone();
        for (number, id) in ids.enumerate() {
            if number > 0 {
                path.push_str(&bulk.separator);
            }
            path.extend(utf8_percent_encode(id, ID));
        }
        path.push_str(&bulk.path.1);
        let mut url = self.below_base(&path);
        if let (Some((_, parameter)), Some(token)) = (&bulk.next, page) {
            url.query_pairs_mut().append_pair(parameter, token);
        }
        self.request(Method::GET, &url, Vec::new(), &self.dialect.description().poll.headers)
    }

    /// Where a job is asked for.
    pub(crate) fn poll_url(&self, job: &JobRef) -> Result<Url, LookError> {
        if let Some(url) = job.poll_url() {
            return self.trusted(&self.base, url);
        }
        let template = self.dialect.description().poll.path.as_ref().ok_or(LookError::BadUrl)?;
        Ok(self.below_base(&template.expand(&job.id)?))
    }

    /// Where a job's result is, for a dialect that has a path for it.
    pub(crate) fn result_url(&self, job: &JobRef) -> Option<Result<Url, LookError>> {
        let template = self.dialect.description().result.path.as_ref().filter(|_| !job.is_named_by_url())?;
        Some(template.expand(&job.id).map(|path| self.below_base(&path)))
    }

    /// An address that the backend told, resolved against where it was told (RFC 3986 §5), if it may be asked.
    pub(crate) fn trusted(&self, told_at: &Url, address: &str) -> Result<Url, LookError> {
        let url = told_at.join(address).map_err(|_| LookError::BadUrl)?;
        if !matches!(url.scheme(), "http" | "https") || !url.username().is_empty() || url.password().is_some() {
            return Err(LookError::BadUrl);
        }
        let downgraded = told_at.scheme() == "https" && url.scheme() == "http";
        let known = url.origin() == self.base.origin() || self.allowed.contains(&url.origin());
        if known && !downgraded { Ok(url) } else { Err(LookError::ForeignOrigin) }
    }

    /// Whether this address may be asked, with the credentials.
    pub(crate) fn is_trusted(&self, url: &Url) -> bool {
        self.trusted(&self.base, url.as_str()).is_ok()
    }

    fn ask(&self, ask: &Ask, url: &Url) -> Result<Request<Vec<u8>>, LookError> {
        self.request(ask.method.clone(), url, Vec::new(), &ask.headers)
    }

    fn request(
        &self,
        method: Method,
        url: &Url,
        body: Vec<u8>,
        constant: &HeaderMap,
    ) -> Result<Request<Vec<u8>>, LookError> {
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = url.as_str().parse().map_err(|_| LookError::BadUrl)?;
        *request.headers_mut() = self.headers_with(constant);
        Ok(request)
    }

    /// The caller's headers, and what they lack.
    fn headers_with(&self, constant: &HeaderMap) -> HeaderMap {
        let mut headers = self.headers.clone();
        extend_missing(&mut headers, constant);
        headers.entry(ACCEPT).or_insert(HeaderValue::from_static("application/json"));
        headers
    }

    /// A path with its query appended to the base address's path, which without a path stays as it is.
    fn below_base(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
        if !path.is_empty() {
            let path = [url.path().trim_end_matches('/'), path].concat();
            url.set_path(&path);
        }
        url.set_query(query);
        url
    }
}

impl fmt::Debug for Backend {
    /// Leaves out the values of the headers.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backend")
            .field("dialect", &self.dialect)
            .field("origin", &self.origin())
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// A JSON object with these fields where it lacks them; alone where there is no body. What is no object stays as it is,
/// and so does what the caller has written: not every number in it has a place in memory.
#[allow(clippy::zero_sized_map_values)] // an object is read as a map, and its names alone are wanted
fn with_fields(body: &[u8], fields: &Map<String, Value>) -> Vec<u8> {
    let body = if body.is_empty() { b"{}" } else { body };
    let known: Option<HashMap<String, IgnoredAny>> = serde_json::from_slice(body).ok();
    let (Some(known), Some(brace)) = (known, body.iter().position(|byte| *byte == b'{')) else { return body.to_vec() };
    let missing = fields.iter().filter(|(name, _)| !known.contains_key(*name));
    let missing: Vec<_> = missing.map(|(name, value)| format!("{}:{value}", Value::from(name.as_str()))).collect();
    let mut missing = missing.join(",");
    if !missing.is_empty() && !known.is_empty() {
        missing.push(',');
    }
    let (before, after) = body.split_at(brace + 1);
    [before, missing.as_bytes(), after].concat()
}

fn parse_url(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let plain = url.username().is_empty() && url.password().is_none();
    (matches!(url.scheme(), "http" | "https") && url.has_host() && plain).then_some(url)
}

/// Why a backend was refused; the caller's configuration is to blame.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BackendError {
    /// The dialect of this name has no address of its own, and none was given.
    NoBaseUrl(String),
    /// The address is no http or https URL, or holds a user name or password, which belong into a header.
    BaseUrl(String),
    /// The header of this name has a wrong name or value.
    Header(String),
}

impl fmt::Display for BackendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoBaseUrl(name) => write!(f, "the dialect {name:?} has no address of its own: give a base URL"),
            Self::BaseUrl(url) => {
                write!(
                    f,
                    "{url:?} is not a base URL: write it as in https://api.example.com, without user and password"
                )
            }
            Self::Header(name) => write!(f, "the header {name:?} has a name or value that no HTTP header can have"),
        }
    }
}

impl core::error::Error for BackendError {}

/// Names one job of one backend: by an id, or by the address where it is asked for.
#[derive(Clone, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "StoredJobRef", into = "StoredJobRef")]
pub struct JobRef {
    id: Box<str>,
    /// Rare, and therefore elsewhere: a million of these are kept.
    more: Option<Box<More>>,
    /// Nanoseconds since the Unix epoch.
    created_at: Option<NonZeroU64>,
}

/// What is known of few jobs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct More {
    poll_url: Option<String>,
    expected_duration: Option<Duration>,
}

/// A [`JobRef`] as it is written; one that was read from somewhere is not checked yet.
#[derive(serde::Serialize, serde::Deserialize)]
struct StoredJobRef {
    id: String,
    poll_url: Option<String>,
    created_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expected_duration: Option<Duration>,
}

impl From<JobRef> for StoredJobRef {
    fn from(job: JobRef) -> Self {
        let created_at = job.creation();
        let More { poll_url, expected_duration } = job.more.map(|more| *more).unwrap_or_default();
        Self { id: job.id.into(), poll_url, created_at, expected_duration }
    }
}

impl TryFrom<StoredJobRef> for JobRef {
    type Error = IdError;

    fn try_from(stored: StoredJobRef) -> Result<Self, IdError> {
        let mut job = Self { more: None, ..Self::new(stored.id)? };
        if stored.poll_url.is_some() || stored.expected_duration.is_some() {
            let more = More { poll_url: stored.poll_url, expected_duration: stored.expected_duration };
            job.more = Some(Box::new(more));
        }
        Ok(stored.created_at.into_iter().fold(job, Self::with_created_at))
    }
}

impl JobRef {
    /// What is left of one that was moved away.
    pub(crate) fn nobody() -> Self {
        Self { id: Box::default(), more: None, created_at: None }
    }

    /// A job by its id, or by its poll URL where the text begins with `http://` or `https://`.
    ///
    /// # Errors
    /// The id is empty, a dot segment, or holds control characters: no request can ask for it.
    pub fn new(id: impl Into<String>) -> Result<Self, IdError> {
        let id = id.into();
        if id.is_empty() || id == "." || id == ".." || id.chars().any(char::is_control) {
            return Err(IdError(id));
        }
        let is_url = ["http://", "https://"].iter().any(|scheme| id.starts_with(scheme));
        let more = is_url.then(|| Box::new(More { poll_url: Some(id.clone()), ..More::default() }));
        Ok(Self { id: id.into_boxed_str(), more, created_at: None })
    }

    /// The job was created by us at this instant: a 404 shortly afterwards means "not yet visible".
    #[must_use]
    pub fn with_created_at(mut self, at: Timestamp) -> Self {
        self.created_at = NonZeroU64::new(at.as_nanos());
        self
    }

    /// The job is asked for at this address and not by the dialect's path.
    #[must_use]
    pub(crate) fn asked_for_at(mut self, url: &Url) -> Self {
        self.more.get_or_insert_default().poll_url = Some(url.to_string());
        self
    }

    /// The backend expects the job to take so long from its creation on: the first look comes then, within the policy's
    /// bounds.
    #[must_use]
    pub fn with_expected_duration(mut self, duration: Duration) -> Self {
        self.more.get_or_insert_default().expected_duration = Some(duration);
        self
    }

    pub(crate) fn expected_duration(&self) -> Option<Duration> {
        self.more.as_ref()?.expected_duration
    }

    /// The address where it is asked for, where that is not the dialect's path.
    pub(crate) fn poll_url(&self) -> Option<&str> {
        self.more.as_ref()?.poll_url.as_deref()
    }

    /// Its address is all that is known of it.
    pub(crate) fn is_named_by_url(&self) -> bool {
        self.poll_url() == Some(&self.id)
    }

    /// The job's id; a poll URL stands for itself.
    pub fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn creation(&self) -> Option<Timestamp> {
        self.created_at.map(|at| Timestamp::from_nanos(at.get()))
    }
}

impl fmt::Debug for JobRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JobRef({:?})", if self.is_named_by_url() { without_secrets(&self.id) } else { self.id.to_string() })
    }
}

/// The id as it is, and a poll URL with all that is in it: what [`id`](JobRef::id) gives. A log gets `{job:?}`, which leaves
/// out what may be secret in an address.
impl fmt::Display for JobRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.id)
    }
}

/// An id that no request can ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdError(String);

impl fmt::Display for IdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_str() {
            "" => f.write_str("an id is empty"),
            id => {
                let id = crate::dialect::shortened(id);
                write!(f, "{id:?} is no id: it is a dot segment or holds control characters")
            }
        }
    }
}

impl core::error::Error for IdError {}
