//! The asynchronous pattern of RFC 9110 (sections 15.3.3 and 15.4.4): the HTTP status is the state.
//!
//! HTTP has no status for a job that failed: a 5xx says that reading failed, and 200 is success. Here
//! it is 410 with a problem document (RFC 9457).

use serde_json::json;

use super::{Answer, Asked, Job, JobState, Route, Scene, Wire, allowed, job_route, segment};

/// What running answers ask to wait for, in simulated seconds.
const HINT: u64 = 1;

pub(super) struct Rfc9110;

impl Wire for Rfc9110 {
    fn route<'r>(&self, asked: &Asked<'r>) -> Route<'r> {
        // At the base itself, too, where the preset creates.
        if matches!(asked.path, "/" | "/jobs") {
            return allowed(asked.method, "POST", Route::Create);
        }
        if let Some(id) = segment(asked.path, "/jobs/") {
            return job_route(asked.method, id);
        }
        let result = asked.path.strip_suffix("/result").and_then(|path| segment(path, "/jobs/"));
        result.map_or(Route::Unknown, |id| allowed(asked.method, "GET", Route::Result(id)))
    }

    fn created(&self, jobs: &[Job], scene: &Scene<'_>) -> Answer {
        let id = jobs.first().map_or("", |job| &*job.shown.id);
        Answer::empty(202).with("location", format!("/jobs/{id}")).with_wait(HINT, scene.pace)
    }

    fn told(&self, id: &str, job: Option<&Job>, scene: &Scene<'_>) -> (JobState, Answer) {
        let Some(job) = job else {
            return (JobState::Unknown, unknown(id));
        };
        match job.state_at(scene.now_ns) {
            JobState::Pending => (JobState::Pending, Answer::empty(202).with_wait(HINT, scene.pace)),
            JobState::Succeeded if !job.deleted => {
                let result = format!("/jobs/{id}/result");
                (JobState::Succeeded, Answer::empty(303).with("location", result))
            }
            JobState::Succeeded => (JobState::Unknown, gone(id, "The job was deleted")),
            JobState::Failed => (JobState::Failed, gone(id, "The job failed")),
            ended => (ended, gone(id, "The job was cancelled")),
        }
    }

    /// A 200 would be a success that nobody can tell from a true one.
    fn posing_status(&self) -> u16 {
        502
    }

    fn cancelled(&self, id: &str, job: Option<&Job>, _: &Scene<'_>) -> Answer {
        match job {
            None => unknown(id),
            Some(job) if job.deleted => gone(id, "The job was cancelled or deleted before"),
            Some(_) => Answer::empty(204),
        }
    }

    fn result(&self, id: &str, job: Option<&Job>, scene: &Scene<'_>) -> Answer {
        match self.told(id, job, scene) {
            (JobState::Succeeded, _) => {
                Answer::value(200, &json!({"id": id, "output": format!("the output of job {id}")}))
            }
            (JobState::Pending, _) => problem(404, id, "There is no result yet"),
            (_, answer) => answer,
        }
    }
}

fn unknown(id: &str) -> Answer {
    problem(404, id, "There is no job of this id")
}

fn gone(id: &str, title: &str) -> Answer {
    problem(410, id, title)
}

fn problem(status: u16, id: &str, title: &str) -> Answer {
    let body = json!({"type": "about:blank", "title": title, "status": status, "job_id": id});
    Answer::typed(status, "application/problem+json", body.to_string())
}
