//! The status tracker: one word for a state, and an unknown id is no error.

use super::{Answer, Asked, Job, JobState, Route, Scene, Wire, allowed, segment};

pub(super) struct Tracker;

impl Wire for Tracker {
    fn route<'r>(&self, asked: &Asked<'r>) -> Route<'r> {
        if asked.path == "/create_job" {
            return allowed(asked.method, "POST", Route::Create);
        }
        match segment(asked.path, "/status/") {
            Some(id) => allowed(asked.method, "GET", Route::Status(id)),
            None => Route::Unknown,
        }
    }

    fn created(&self, jobs: &[Job], _: &Scene<'_>) -> Answer {
        let id = jobs.first().map_or("", |job| &*job.shown.id);
        Answer::json(200, format!("{{\"job_id\":\"{id}\"}}"))
    }

    fn told(&self, _: &str, job: Option<&Job>, scene: &Scene<'_>) -> (JobState, Answer) {
        let state = job.map_or(JobState::Unknown, |job| job.state_at(scene.now_ns));
        let word = match state {
            JobState::Pending => "pending",
            JobState::Succeeded => "completed",
            JobState::Failed | JobState::Cancelled => "error",
            JobState::Unknown => "Job ID not found",
        };
        (state, Answer::json(200, format!("{{\"result\":\"{word}\"}}")))
    }
}
