//! Histories: what was stored is refused or can be planned with, and nothing that is learned spoils it.

use std::time::Duration;

use arbitrary::{Arbitrary, Result, Unstructured};
use jobwatch::learn::{History, HistorySnapshot, Lesson, Plan};

/// So many lessons of one input are learned: some dozens bring about whatever a history does, a change for good included.
const MOST_LESSONS: usize = 48;

/// A stored history is refused, or it goes on to learn, and makes plans within their bounds.
///
/// The bytes: JSON up to a zero byte, if there is one, and then lessons.
pub fn history(data: &[u8]) {
    let zero = data.iter().position(|byte| *byte == 0).unwrap_or(data.len());
    let (stored, lessons) = data.split_at(zero);
    let mut history = match serde_json::from_slice::<HistorySnapshot>(stored).map(|stored| stored.restore()) {
        Ok(Err(error)) => return assert!(!error.to_string().is_empty(), "an error says something"),
        Ok(Ok(history)) => history,
        Err(_) => History::new(),
    };
    let mut data = Unstructured::new(lessons.get(1..).unwrap_or_default());
    for _ in 0..MOST_LESSONS {
        if data.is_empty() {
            break;
        }
        let Ok(lesson) = lesson(&mut data) else { break };
        history.learn(&lesson);
    }
    check(&history);
    let text = serde_json::to_string(&HistorySnapshot::of(&history)).expect("it is plain data");
    let again: HistorySnapshot = serde_json::from_str(&text).expect("what was written is read");
    let again = again.restore().expect("what was stored is valid");
    assert!((again.jobs() - history.jobs()).abs() <= 1e-6 * (1.0 + history.jobs()), "{text}");
    let mut both = history.clone();
    both.merge(&again);
    check(&both);
    // Planning is what takes long: once for each input, and rarely with the many gaps that the default policy may choose.
    let longest = if lessons.len() % 16 == 1 { 60 } else { 2 };
    check_plan(&both, Duration::from_secs(1), Duration::from_secs(longest));
}

/// Ages at which a history and its plan are asked.
const AGES: [Duration; 7] = [
    Duration::ZERO,
    Duration::from_secs(1),
    Duration::from_secs(10),
    Duration::from_secs(60),
    Duration::from_secs(3_600),
    Duration::from_secs(86_400),
    Duration::MAX,
];

fn check(history: &History) {
    assert!(history.jobs().is_finite() && history.jobs() >= 0.0, "{}", history.jobs());
    let mut before = 1.0 + 1e-9;
    for age in AGES {
        let survival = history.survival(age);
        assert!((0.0..=before).contains(&survival), "{survival} live longer than {age:?}, {before} before");
        before = survival + 1e-9;
    }
}

fn check_plan(history: &History, min: Duration, max: Duration) {
    let plan = Plan::new(history, min, max, Duration::from_secs(2));
    assert!(plan.expected_requests().is_finite() && plan.expected_delay().is_finite(), "{plan:?}");
    for age in AGES {
        // The grid of a plan is as fine as a millisecond.
        let (gap, grain) = (plan.gap(age), Duration::from_millis(2));
        assert!(gap + grain >= min && gap <= max + grain, "a gap of {gap:?} at {age:?}");
    }
}

fn lesson(data: &mut Unstructured<'_>) -> Result<Lesson> {
    let time = |data: &mut Unstructured<'_>| {
        Ok(match u8::arbitrary(data)? % 4 {
            0 => data.arbitrary()?,
            _ => Duration::from_millis(data.arbitrary::<u32>()?.into()),
        })
    };
    let unfinished_at = time(data)?;
    let mut lesson =
        if data.arbitrary()? { Lesson::ended(unfinished_at, time(data)?) } else { Lesson::outlasted(unfinished_at) };
    match u8::arbitrary(data)? % 4 {
        0 => lesson.weight = data.arbitrary()?,
        1 => lesson = lesson.among(data.arbitrary()?),
        2 => lesson = lesson.beside(data.arbitrary()?),
        _ => {}
    }
    Ok(lesson)
}
