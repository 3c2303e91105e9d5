//! A result that has to be asked for by a request of its own.

use core::fmt;

use http::Response;
use serde_json::Value;

use super::{HopId, Job, Refused, Taken, Terms, failure_of};
use crate::dialect::{JobClass, Reading, ResultAnswer};
use crate::finished::TransportError;
use crate::{LookError, Observation, Schedule, Timestamp};

impl Job {
    /// Follows a success to its result, where the answer or the dialect tells that it is elsewhere.
    pub(super) fn go_for_result<S: Schedule>(
        &mut self,
        terms: &Terms<'_, S>,
        now: Timestamp,
        id: HopId,
        reading: &mut Reading,
        changed: bool,
    ) -> Option<Taken> {
        let by_path = match reading.result_at {
            Some(_) => None,
            None => Some(terms.backend.result_url(&self.job)?),
        };
        let told_at = self.hop.as_mut()?.url(terms.backend, &self.job)?.clone();
        let url = match (reading.result_at.take(), by_path) {
            (Some(address), _) => match terms.backend.trusted(&told_at, &address) {
                Err(LookError::ForeignOrigin) => {
                    // It may not see the credentials, and is told instead of asked.
                    let result = told_at.join(&address).ok()?;
                    self.extra().result = Some(Value::String(result.into()));
                    return None;
                }
                url => url,
            },
            (None, by_path) => by_path?,
        };
        self.tell(now, JobClass::Succeeded);
        // What is fetched is the result, not what its pointer found here.
        self.extra().result = None;
        let hop = self.hop.as_mut()?;
        let next = url.and_then(|url| terms.backend.result_request(&url).map(|_| url));
        match (next, hop.number.checked_add(1)) {
            (Ok(url), Some(number)) => {
                hop.visited.push(url);
                (hop.number, hop.pending, hop.for_result) = (number, true, true);
            }
            (next, _) => {
                let error = next.err().unwrap_or(LookError::RedirectLoop);
                self.conclude_without_result(terms, now, id, &error);
            }
        }
        Some(Taken { good: true, answered: true, changed, ..Taken::default() })
    }

    /// Takes the answer to a request for the result.
    pub(super) fn take_result<S: Schedule, B: AsRef<[u8]>>(
        &mut self,
        terms: &Terms<'_, S>,
        now: Timestamp,
        id: HopId,
        response: &Response<B>,
    ) -> Taken {
        let url = self.hop.as_ref().and_then(|hop| hop.visited.last()).map(|url| Value::String(url.to_string()));
        let answered = Taken { good: true, answered: true, ..Taken::default() };
        match terms.backend.dialect().read_result(response, now) {
            ResultAnswer::Found(result) => {
                // What is no text is told by its address.
                self.extra().result = result.or(url);
                self.conclude(terms, now, id, Observation::Succeeded, None);
                answered
            }
            ResultAnswer::Follow(to) => match self.follow(terms.backend, &to, false) {
                Ok(()) => Taken::default(),
                Err(LookError::ForeignOrigin) => {
                    let from = self.hop.as_ref().and_then(|hop| hop.visited.last());
                    let to = from.and_then(|from| from.join(&to).ok());
                    self.extra().result = to.map(|to| Value::String(to.into())).or(url);
                    self.conclude(terms, now, id, Observation::Succeeded, None);
                    answered
                }
                Err(error) => {
                    self.conclude_without_result(terms, now, id, &error);
                    Taken { answered: true, ..Taken::default() }
                }
            },
            ResultAnswer::Missing(reading) => {
                let (status, observation) = (response.status().as_u16(), reading.observation);
                let message = reading.message.unwrap_or_else(|| format!("HTTP status {status}"));
                let may_come = matches!(
                    observation,
                    Observation::Pending { .. }
                        | Observation::Running { .. }
                        | Observation::Transient { .. }
                        | Observation::Throttled { .. }
                );
                if !may_come {
                    let error = TransportError::new(LookError::Status(status), message);
                    self.conclude_without_result(terms, now, id, &error);
                    // That the credentials are good for looks does not make them good for this, nor the reverse.
                    let refused = (status == 401).then_some(Refused::Result);
                    return Taken { answered: true, refused, ..Taken::default() };
                }
                self.conclude(terms, now, id, observation, Some(message));
                let throttled = matches!(observation, Observation::Throttled { .. });
                let failed = failure_of(observation);
                Taken { throttled, failed, cool_down: reading.cool_down, ..Taken::default() }
            }
        }
    }

    /// The job has succeeded, and its result cannot be had.
    pub(super) fn conclude_without_result<S: Schedule>(
        &mut self,
        terms: &Terms<'_, S>,
        now: Timestamp,
        id: HopId,
        why: &dyn fmt::Display,
    ) {
        let message = format!("the result was not had: {why}");
        let failed = self.hop.as_ref().is_some_and(|hop| hop.for_result && !hop.pending);
        self.failed_requests = self.failed_requests.saturating_add(u32::from(failed));
        self.conclude(terms, now, id, Observation::Succeeded, Some(message));
    }
}
