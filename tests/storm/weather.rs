//! What goes wrong in one storm, and how often.

use super::dice::Dice;

/// Chances in percent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Weather {
    /// Nothing goes wrong at all.
    pub(crate) calm: bool,
    /// From here on nothing goes wrong any more, in nanoseconds.
    pub(crate) clears_at: u64,
    pub(crate) lost: u64,
    pub(crate) reset: u64,
    pub(crate) twice: u64,
    pub(crate) slow: u64,
    pub(crate) throttled: u64,
    pub(crate) broken: u64,
    pub(crate) garbled: u64,
    pub(crate) fatal: u64,
    pub(crate) redirected: u64,
    pub(crate) hinted: u64,
    /// The longest hint in seconds.
    pub(crate) longest_hint: u64,
    pub(crate) stale: u64,
    pub(crate) denied: u64,
    pub(crate) unknown_word: u64,
    /// A false end.
    pub(crate) lie: u64,
    /// Lists without some, with strangers, in pages, in another order.
    pub(crate) disorder: u64,
    pub(crate) too_large: u64,
    pub(crate) too_many: u64,
    /// An answer about another job than was asked for.
    pub(crate) misrouted: u64,
    /// The driver is late.
    pub(crate) late: u64,
}

impl Weather {
    pub(crate) fn draw(dice: &mut Dice) -> Self {
        let clears_at = dice.between(1, 400) * 1_000_000_000;
        if dice.percent(10) {
            return Self { calm: true, longest_hint: 1, ..Self::default() };
        }
        let mut chance = |most: u64| if dice.percent(50) { 0 } else { dice.between(1, most) };
        Self {
            calm: false,
            clears_at,
            lost: chance(30),
            reset: chance(30),
            twice: chance(30),
            slow: chance(40),
            throttled: chance(40),
            broken: chance(50),
            garbled: chance(20),
            fatal: chance(2),
            redirected: chance(30),
            hinted: chance(60),
            longest_hint: [0, 2, 10, 100][usize::try_from(chance(3)).unwrap()],
            stale: chance(40),
            denied: chance(25),
            unknown_word: chance(20),
            lie: chance(5),
            disorder: chance(50),
            too_large: chance(10),
            too_many: chance(20),
            late: chance(20),
            misrouted: chance(20),
        }
    }
}
