//! Long-running operations as Azure has them: an absolute URL to poll, and a hint with each answer
//! before the end.

use serde_json::json;

use super::{Answer, Asked, Job, JobState, Route, Scene, Wire, allowed, job_route, segment};

/// The version that poll URLs name.
const VERSION: &str = "2024-01-01";

/// What answers before the end ask to wait for, in simulated seconds.
const HINT: u64 = 1;

pub(super) struct Azure;

impl Wire for Azure {
    fn route<'r>(&self, asked: &Asked<'r>) -> Route<'r> {
        // At the base itself, too, where the preset creates.
        if matches!(asked.path, "/" | "/operations") {
            return allowed(asked.method, "POST", Route::Create);
        }
        let Some(id) = segment(asked.path, "/operations/") else {
            return Route::Unknown;
        };
        match job_route(asked.method, id) {
            Route::Status(_) if asked.parameter("api-version").all(|version| version.is_empty()) => {
                let message = "the query parameter api-version is required";
                Route::Refused(Answer::error(400, "MissingApiVersionParameter", message))
            }
            route => route,
        }
    }

    fn created(&self, jobs: &[Job], scene: &Scene<'_>) -> Answer {
        let id = jobs.first().map_or("", |job| &*job.shown.id);
        let base = &scene.asked.base;
        Answer::empty(202).with("operation-location", format!("{base}/operations/{id}?api-version={VERSION}"))
    }

    fn told(&self, id: &str, job: Option<&Job>, scene: &Scene<'_>) -> (JobState, Answer) {
        let Some(job) = job else {
            return (JobState::Unknown, unknown(id));
        };
        let state = job.state_at(scene.now_ns);
        let word = match state {
            JobState::Pending if job.has_begun_at(scene.now_ns) => "Running",
            JobState::Pending => "NotStarted",
            JobState::Succeeded => "Succeeded",
            JobState::Cancelled => "Canceled",
            JobState::Failed | JobState::Unknown => "Failed",
        };
        let mut body = json!({"id": id, "status": word, "percentComplete": job.percent_at(scene.now_ns)});
        match state {
            JobState::Succeeded => body["result"] = json!({"output": format!("the output of operation {id}")}),
            JobState::Failed => {
                body["error"] = json!({"code": "SimulatedFailure", "message": "the simulated operation failed"});
            }
            _ => {}
        }
        let answer = Answer::value(200, &body);
        let answer = if state == JobState::Pending { answer.with_wait(HINT, scene.pace) } else { answer };
        (state, answer)
    }

    fn cancelled(&self, id: &str, job: Option<&Job>, _: &Scene<'_>) -> Answer {
        if job.is_some() { Answer::empty(202) } else { unknown(id) }
    }
}

fn unknown(id: &str) -> Answer {
    Answer::error(404, "OperationNotFound", &format!("there is no operation of the id '{id}'"))
}
