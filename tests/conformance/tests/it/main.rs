//! The stories, told to every driver: a failing one is named as in `ureq::redirect_to_another_origin`.

mod core;
#[path = "../drivers/mod.rs"]
mod drivers;

mod reqwest {
    use crate::drivers::reqwest::Reqwest;

    jobwatch_conformance::conformance!(Reqwest);
}

mod ureq {
    use crate::drivers::ureq::Ureq;

    jobwatch_conformance::conformance!(Ureq);
}
