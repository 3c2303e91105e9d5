//! The requests of one attempt: its redirects, and its repetition with other credentials.

use std::string::String;
use std::vec::Vec;

use url::Url;

use super::{HopId, Job, JobStep, Refused, Taken, Terms};
use crate::{Backend, JobRef, LookError, Timestamp};

/// Redirects followed in a row.
const MOST_HOPS: usize = 5;

/// The request under way, or the redirect to be followed next.
#[derive(Clone)]
#[allow(clippy::struct_excessive_bools)] // independent facts
pub(super) struct Hop {
    pub(super) number: u8,
    pub(super) pending: bool,
    /// Every redirect so far was for ever (301, 308).
    pub(super) permanent: bool,
    /// The request asks for other jobs, too.
    pub(super) shared: bool,
    /// The request asks for the result, not for the state.
    pub(super) for_result: bool,
    /// How often the backend's credentials had been renewed when it was sent.
    pub(super) renewals: u32,
    /// Where this attempt has been, the present address last; by the dialect's path only once somebody has asked for it.
    pub(super) visited: Vec<Url>,
}

impl Hop {
    /// The first request of an attempt, which is for this job alone; without an address it goes where the job is asked for.
    pub(super) fn new(renewals: u32, url: Option<Url>) -> Self {
        Self {
            number: 0,
            pending: false,
            permanent: true,
            shared: false,
            for_result: false,
            renewals,
            visited: url.into_iter().collect(),
        }
    }

    /// The first request of an attempt, which is shared with other jobs.
    pub(super) fn shared(renewals: u32) -> Self {
        Self { shared: true, ..Self::new(renewals, None) }
    }

    /// Where the request under way was sent; a shared one was sent nowhere for this job.
    pub(super) fn url(&mut self, backend: &Backend, job: &JobRef) -> Option<&Url> {
        if self.visited.is_empty() && !self.shared {
            self.visited.push(backend.poll_url(job).ok()?);
        }
        self.visited.last()
    }
}

impl Job {
    /// How often the credentials had been renewed with which the job is asked for now.
    pub(crate) fn asked_with(&self) -> u32 {
        self.hop.as_ref().map_or(0, |hop| hop.renewals)
    }

    /// The addresses whose redirects have led to the request under way, and when the first of them was asked.
    pub(crate) fn led_by(&self) -> (Vec<Url>, Timestamp) {
        let visited = self.hop.as_ref().map_or(&[][..], |hop| &hop.visited);
        (visited.split_last().map_or_else(Vec::new, |(_, before)| before.to_vec()), self.sent_at)
    }

    /// Repeats a request whose credentials were refused, where others are there or can be had.
    pub(super) fn ask_with_other_credentials<S>(&mut self, terms: &Terms<'_, S>) -> Option<Taken> {
        let hop = self.hop.as_mut()?;
        let renewable = if hop.for_result { terms.renewable_for_results } else { terms.renewable };
        let refused = match hop.renewals < terms.backend.renewals() {
            true => Refused::Outdated,
            false if renewable => Refused::Renewable,
            false => return None,
        };
        hop.url(terms.backend, &self.job);
        hop.pending = true;
        hop.number = hop.number.checked_add(1)?;
        self.failed_requests = self.failed_requests.saturating_add(1);
        Some(Taken { refused: Some(refused), ..Taken::default() })
    }

    /// Notes a redirect, to be sent at the next poll.
    pub(super) fn follow(&mut self, backend: &Backend, to: &str, permanent: bool) -> Result<(), LookError> {
        let hop = self.hop.as_mut().ok_or(LookError::RedirectLoop)?;
        let from = hop.url(backend, &self.job).ok_or(LookError::RedirectLoop)?;
        let url = backend.trusted(from, to)?;
        if hop.visited.len() > MOST_HOPS || hop.visited.contains(&url) {
            return Err(LookError::RedirectLoop);
        }
        backend.poll_request(&url)?;
        hop.number = hop.number.checked_add(1).ok_or(LookError::RedirectLoop)?;
        hop.pending = true;
        // What a temporary address says of itself does not bind the job's own.
        hop.permanent &= permanent;
        let moved_to = (hop.permanent && !hop.for_result).then(|| String::from(url.clone()));
        hop.visited.push(url);
        if let Some(url) = moved_to {
            self.extra().moved_to = Some(url.into_boxed_str());
        }
        Ok(())
    }

    pub(super) fn next_hop(&mut self, backend: &Backend, expires: Timestamp, now: Timestamp) -> Option<JobStep> {
        let attempt = self.poller.in_flight()?;
        let hop = self.hop.as_mut().filter(|hop| hop.pending && !hop.shared)?;
        hop.pending = false;
        hop.renewals = backend.renewals();
        let id = HopId { attempt, hop: hop.number };
        let url = hop.visited.last()?;
        let request = if hop.for_result { backend.result_request(url) } else { backend.poll_request(url) };
        Some(self.send(id, request.ok()?, expires.saturating_since(now)))
    }

    /// A 202's `Location`: asked from now on, if it may be; else the old address goes on serving.
    pub(super) fn move_to(&mut self, backend: &Backend, address: &str) {
        let told_at = self.hop.as_mut().and_then(|hop| hop.url(backend, &self.job));
        let url = told_at.and_then(|told_at| backend.trusted(told_at, address).ok());
        if let Some(url) = url.filter(|url| backend.poll_request(url).is_ok()) {
            self.extra().moved_to = Some(String::from(url).into_boxed_str());
        }
    }
}
