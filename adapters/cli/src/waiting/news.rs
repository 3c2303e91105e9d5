//! What a wait waits for. Dropping one of these futures loses nothing.

use std::time::Duration;

use jobwatch::{Finished, FleetEvent, JobRef};
use tokio::time::Interval;

use crate::creating::{Created, Creates};
use crate::failure::Failure;
use crate::ids::Intake;
use crate::saving::{Saved, Saver};
use crate::state::{State, StateNews};

pub(super) enum News {
    Fleet(Option<FleetEvent>),
    Created(Created),
    Ids(Vec<Result<JobRef, Failure>>),
    Saved(Box<(Finished, Result<Saved, String>)>),
    State(StateNews),
    Interrupted,
    Over,
    CreateTakesTooLong,
    Tick,
}

pub(super) async fn next_created(creates: &mut Option<Creates>) -> Created {
    match creates {
        Some(creates) => creates.next().await,
        None => std::future::pending().await,
    }
}

pub(super) async fn next_ids(intake: &mut Option<Intake>) -> Vec<Result<JobRef, Failure>> {
    match intake {
        Some(intake) => intake.next().await,
        None => std::future::pending().await,
    }
}

pub(super) async fn next_tick(ticks: &mut Option<Interval>) {
    match ticks {
        Some(ticks) => drop(ticks.tick().await),
        None => std::future::pending().await,
    }
}

pub(super) async fn next_of_state(state: &mut Option<State>) -> StateNews {
    match state {
        Some(state) => state.next().await,
        None => std::future::pending().await,
    }
}

pub(super) async fn next_saved(saver: &mut Option<Saver>) -> (Finished, Result<Saved, String>) {
    match saver {
        Some(saver) => saver.next().await,
        None => std::future::pending().await,
    }
}

/// Comes after this time, or never.
pub(super) async fn after(time: Option<Duration>) {
    match time {
        Some(time) => tokio::time::sleep(time).await,
        None => std::future::pending().await,
    }
}
