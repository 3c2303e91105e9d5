//! Has a video translated into three languages, waits for the three, and prints where each is.
//!
//! `HEYGEN_API_KEY=… cargo run -p jobwatch-ureq --example translate_video_blocking -- https://example.com/video.mp4`
//!
//! To try it without a key: `jobwatch simulate --api heygen-v3 --duration uniform:5..10`, and
//! `HEYGEN_BASE_URL=http://127.0.0.1:5000` in the environment of the example.

use std::{env, error::Error};

use jobwatch_ureq::{Client, Dialect};
use serde_json::json;

fn main() -> Result<(), Box<dyn Error>> {
    let video = env::args().nth(1).ok_or("say which video: its https address")?;
    let mut client = Client::builder(Dialect::heygen_v3());
    if let Ok(key) = env::var("HEYGEN_API_KEY") {
        client = client.header("x-api-key", key);
    }
    if let Ok(url) = env::var("HEYGEN_BASE_URL") {
        client = client.base_url(url);
    }
    let client = client.build()?;

    let languages = ["Spanish (Spain)", "French", "German"];
    let body = json!({
        "video": { "type": "url", "url": video },
        "output_languages": languages,
        "mode": "speed",
    });
    // One request, sent again only under its idempotency key; the ids first, so that no paid job is lost.
    let jobs = client.create(&body)?;
    for (job, language) in jobs.iter().zip(languages) {
        println!("{job}: {language}");
    }

    // One look asks for all three.
    for done in client.wait_all(jobs) {
        match done.result {
            Some(url) => println!("{}: {}", done.job, url.as_str().unwrap_or_default()),
            None => println!("{}: {}: {}", done.job, done.outcome, done.error.unwrap_or_default()),
        }
    }
    Ok(())
}
