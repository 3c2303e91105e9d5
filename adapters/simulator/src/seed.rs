//! One random stream per thing that is drawn, so that no draw depends on the order of requests.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// What a stream is for; streams of different domains are unrelated.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Domain {
    /// One stream for each job, by creation number.
    Job,
    /// One stream for each status request, by its number.
    Fault,
}

/// The stream of item `number`, the same for the same seed on every machine.
pub(crate) fn stream(seed: u64, domain: Domain, number: u64) -> ChaCha8Rng {
    let mut key = [0_u8; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8] = match domain {
        Domain::Job => 1,
        Domain::Fault => 2,
    };
    let mut rng = ChaCha8Rng::from_seed(key);
    rng.set_stream(number);
    rng
}
