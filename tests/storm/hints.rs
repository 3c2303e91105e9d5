//! When to ask again, in all the ways in which servers say it, and what each of them means.

use core::time::Duration;
use std::time::SystemTime;

use super::dice::Dice;

/// What a server says of the time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told {
    pub(crate) headers: Vec<(&'static str, String)>,
    /// What it asks for; `None` where it is garbage.
    pub(crate) after: Option<Duration>,
    /// It speaks of a quota that all share.
    pub(crate) to_all: bool,
}

impl Told {
    /// What of it is for all.
    pub(crate) fn of_quotas(&self) -> Self {
        if self.to_all { self.clone() } else { Self::default() }
    }
}

/// A hint, by the clock of the server.
pub(crate) fn draw(dice: &mut Dice, server: SystemTime, longest: u64) -> Told {
    let seconds = dice.between(0, longest);
    let after = Duration::from_secs(seconds);
    let told = |headers, after| Told { headers, after: Some(after), to_all: false };
    let date = || httpdate::fmt_http_date(server + after);
    let now = ("date", httpdate::fmt_http_date(server));
    match dice.below(10) {
        0 | 1 => told(vec![("retry-after", seconds.to_string())], after),
        2 => told(vec![("retry-after", format!("{seconds}.25"))], after + Duration::from_millis(250)),
        3 => told(vec![now, ("retry-after", date())], after),
        4 => told(vec![now, ("retry-after", rfc850(&date()))], after),
        5 => told(vec![now, ("retry-after", asctime(&date()))], after),
        6 => told(vec![("retry-after-ms", (seconds * 100).to_string())], after / 10),
        7 => Told { to_all: true, ..told(vec![("ratelimit", format!("\"a\";r=7;t=9, \"b\";r=0;t={seconds}"))], after) },
        8 => {
            let remaining = ("x-ratelimit-remaining", "0".to_owned());
            told(vec![remaining, ("x-ratelimit-reset", seconds.to_string())], after)
        }
        _ => {
            let garbage = dice.of(&["-3", "soon", "1e3", "99999999999", "", "NaN", "2023-11-14T22:13:20Z"]);
            Told { headers: vec![("retry-after", garbage.to_owned())], after: None, to_all: false }
        }
    }
}

/// `Tue, 14 Nov 2023 22:13:20 GMT` in the form of RFC 850.
fn rfc850(date: &str) -> String {
    let days = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
    let day = days.into_iter().find(|day| day.starts_with(&date[..3])).unwrap();
    format!("{day}, {}-{}-{} {}", &date[5..7], &date[8..11], &date[14..16], &date[17..])
}

/// The same as `asctime` writes it.
fn asctime(date: &str) -> String {
    let day = date[5..7].strip_prefix('0').map_or(date[5..7].to_owned(), |digit| format!(" {digit}"));
    format!("{} {} {day} {} {}", &date[..3], &date[8..11], &date[17..25], &date[12..16])
}

#[test]
fn the_three_forms_of_a_date() {
    let date = "Sun, 06 Nov 1994 08:49:37 GMT";
    assert_eq!(rfc850(date), "Sunday, 06-Nov-94 08:49:37 GMT");
    assert_eq!(asctime(date), "Sun Nov  6 08:49:37 1994");
}
