//! Benchmarks of the core and of the drivers; `cargo bench -p jobwatch-benches` runs them.
//!
//! What more than one of them needs, and what they measure against, is here.

#[cfg(feature = "peers")]
mod peers;
mod process;
mod steps;
pub mod table;
#[cfg(feature = "peers")]
mod timers;

#[cfg(feature = "peers")]
pub use peers::{Peer, peers};
pub use process::{Stopwatch, argument, cargo, cpu_time, is_wanted, resident};
pub use steps::{Step, steps};
#[cfg(feature = "peers")]
pub use timers::{Gaps, Memory};

/// An id of 36 bytes, as most backends give, that ends with the job's number.
pub fn job_id(number: usize) -> String {
    format!("7e7bfe92-0000-4000-8000-{number:012}")
}

/// The number at the end of such an id, or of an address that ends with one.
pub fn job_number(id: &str) -> Option<usize> {
    id.get(id.len().checked_sub(12)?..)?.parse().ok()
}

/// The value in the middle; of an even number the greater of the two.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_36_bytes_and_tells_its_number() {
        assert_eq!(job_id(1_234_567).len(), 36);
        assert_eq!(job_number(&format!("/status/{}", job_id(1_234_567))), Some(1_234_567));
        assert_eq!(job_number("42"), None);
    }
}
