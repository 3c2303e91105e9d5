//! The stories, told to every driver: a failing one is named as in `ureq::redirect_to_another_origin`.

mod core;
mod reqwest;
mod ureq;
