//! An axum service over one wait for all jobs: `POST /videos` submits, `GET /videos/{id}/events` streams the job's progress
//! as server-sent events, and `POST /webhooks/{id}`, which the backend calls, makes the next look come now. A webhook is a
//! hint: what ended the job is what the backend answers, so that a forged or a lost one does no harm.

use std::collections::HashMap;
use std::convert::Infallible;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{Request, StatusCode};
use axum::response::sse::{Event, Sse};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::stream::{self, Stream};
use jobwatch::{FleetEvent, JobSnapshot, Spacing, Steps, Timestamp};
use jobwatch_examples::{now, server, to_bytes, to_response};
use jobwatch_reqwest::{Client, Dialect, Policy, TrackError, Tracker, WaitAll};
use jobwatch_simulator::Simulator;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};

#[derive(Clone)]
struct Service {
    client: Client,
    tracker: Tracker,
    news: News,
}

/// The last word on each job, and whether there will be another. A service that runs for years forgets ends after a while.
#[derive(Clone, Default)]
struct News(Arc<Mutex<Words>>);

type Words = HashMap<String, watch::Sender<(String, bool)>>;

impl News {
    fn with<T>(&self, act: impl FnOnce(&mut Words) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn tell(&self, id: &str, word: String, is_last: bool) {
        self.with(|news| news.entry(id.to_owned()).or_default().send_replace((word, is_last)));
    }
}

async fn submit(State(service): State<Service>, body: Bytes) -> Result<Json<Vec<String>>, (StatusCode, String)> {
    let created = service.client.create_raw(body.to_vec()).await;
    let jobs = created.map_err(|error| (StatusCode::BAD_GATEWAY, error.to_string()))?;
    let ids = jobs.iter().map(|job| job.id().to_owned()).collect();
    for job in jobs {
        service.news.tell(job.id(), "submitted".to_owned(), false);
        let unwatched = |error: TrackError| (StatusCode::SERVICE_UNAVAILABLE, error.to_string());
        service.tracker.add(job).map_err(unwatched)?;
    }
    Ok(Json(ids))
}

async fn events(
    State(service): State<Service>,
    Path(id): Path<String>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, StatusCode> {
    let news = service.news.with(|news| Some(news.get(&id)?.subscribe()));
    let mut news = news.ok_or(StatusCode::NOT_FOUND)?;
    news.mark_changed(); // the present word comes first
    Ok(Sse::new(stream::unfold(Some(news), |news| async {
        let mut news = news?;
        news.changed().await.ok()?; // an error: the service shuts down
        let (word, is_last) = news.borrow_and_update().clone();
        Some((Ok(Event::default().data(word)), (!is_last).then_some(news)))
    })))
}

async fn webhook(State(service): State<Service>, Path(id): Path<String>) -> StatusCode {
    service.tracker.wake(id);
    StatusCode::ACCEPTED
}

/// The one wait, until the shutdown: what is unfinished then is to be kept, and [`Client::resume`] goes on with it.
async fn follow(mut all: WaitAll, news: News, mut shutdown: oneshot::Receiver<()>) -> Vec<JobSnapshot> {
    loop {
        let event = tokio::select! {
            event = all.next_event() => event,
            _ = &mut shutdown => None,
        };
        match event {
            Some(FleetEvent::Changed { handle, state }) => {
                if let Some(job) = all.fleet().job(handle) {
                    news.tell(job.id(), state, false);
                }
            }
            Some(FleetEvent::Finished { finished, .. }) => {
                news.tell(finished.job.id(), finished.outcome.to_string(), true);
            }
            Some(_) => {}
            None => {
                news.with(HashMap::clear); // ends the streams, which the server waits for
                return all.fleet().snapshots().collect();
            }
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let simulator = Simulator::builder().speed(20.0).durations("constant:60".parse()?).fail_rate(0.0).start()?;
    // Webhooks do the work: without one, the next look comes after an hour.
    let hourly = Steps::new(&[(Duration::from_secs(3_600), Duration::ZERO)])?;
    let policy = Policy::builder().with_spacing(Spacing::Steps(hourly)).with_max_delay(Duration::from_secs(3_600));
    let policy = policy.with_total_timeout(Duration::from_secs(86_400)).build()?;
    let client = Client::builder(Dialect::tracker()).base_url(simulator.url()).policy(policy).build()?;

    let (tracker, all) = client.track();
    let news = News::default();
    let (stop, shutdown) = oneshot::channel();
    let following = tokio::spawn(follow(all, news.clone(), shutdown));
    let app = Router::new()
        .route("/videos", post(submit))
        .route("/videos/{id}/events", get(events))
        .route("/webhooks/{id}", post(webhook))
        .with_state(Service { client, tracker, news });
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let (end, ending) = oneshot::channel::<()>();
    let serving = tokio::spawn(async {
        let end = async { drop(ending.await) }; // in life: a signal
        axum::serve(listener, app).with_graceful_shutdown(end).await
    });

    let heard = call_and_be_called(&url, &simulator).await?;
    println!("{heard}");
    let _ = (stop.send(()), end.send(()));
    let unfinished = following.await?;
    serving.await??;
    println!("kept for the next run: {}", serde_json::to_string(&unfinished)?);
    let told = heard.matches("data: ").count() >= 2 && heard.ends_with("data: succeeded\n\n");
    if told && unfinished.len() == 1 { Ok(()) } else { Err("one job should be told, and one be kept".into()) }
}

/// The other side: a caller who submits two videos and listens to the first, and the backend, which tells of that one's end.
async fn call_and_be_called(url: &str, backend: &Simulator) -> Result<String, Box<dyn Error>> {
    let submitted = request("POST", format!("{url}/videos")).await?;
    let ids: Vec<String> = serde_json::from_slice(to_response(Ok(submitted))?.body())?;
    request("POST", format!("{url}/videos")).await?;
    let (mut listening, mut heard) = (send("GET", format!("{url}/videos/{}/events", ids[0])).await?, Vec::new());
    while !String::from_utf8_lossy(&heard).contains("data: ") && listening.read_buf(&mut heard).await? > 0 {}
    let end = Timestamp::from_nanos(backend.ledger().jobs[0].ended_at_ns);
    tokio::time::sleep(end.saturating_since(now())).await;
    request("POST", format!("{url}/webhooks/{}", ids[0])).await?;
    listening.read_to_end(&mut heard).await?;
    Ok(String::from_utf8(heard)?)
}

async fn request(method: &str, url: String) -> Result<Vec<u8>, Box<dyn Error>> {
    let (mut stream, mut came) = (send(method, url).await?, Vec::new());
    stream.read_to_end(&mut came).await?;
    Ok(came)
}

async fn send(method: &str, url: String) -> Result<TcpStream, Box<dyn Error>> {
    let request = Request::builder().method(method).uri(url).body(Vec::new())?;
    let mut stream = TcpStream::connect(server(&request)).await?;
    stream.write_all(&to_bytes(&request)).await?;
    Ok(stream)
}
