//! One random stream per thing that is drawn, so that no draw depends on the order of requests.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// What a stream is for; streams of different domains are unrelated.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Domain {
    /// One stream for each job, by creation number.
    Job,
    /// One stream for each status request, by its number.
    Fault,
    /// One stream for each status request for many jobs, by its number.
    Bulk,
    /// One stream for each text that is signed.
    Signature,
    /// One stream for each file that is served.
    File,
}

/// The stream of item `number`, the same for the same seed on every machine.
pub(crate) fn stream(seed: u64, domain: Domain, number: u64) -> ChaCha8Rng {
    let mut key = [0_u8; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8] = match domain {
        Domain::Job => 1,
        Domain::Fault => 2,
        Domain::Bulk => 3,
        Domain::Signature => 4,
        Domain::File => 5,
    };
    let mut rng = ChaCha8Rng::from_seed(key);
    rng.set_stream(number);
    rng
}

/// Hexadecimal digits that depend on the seed and the text alone, 16 for each word. No secret: they
/// only have to be the same again.
pub(crate) fn digits(seed: u64, domain: Domain, text: &str, words: usize) -> String {
    // FNV-1a, since the hash of the standard library may change between releases.
    let number = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let mut rng = stream(seed, domain, number);
    let words: Vec<String> = (0..words).map(|_| format!("{:016x}", rng.next_u64())).collect();
    words.concat()
}
