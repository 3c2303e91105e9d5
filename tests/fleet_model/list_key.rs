//! The key that all jobs share, as the reference knows it.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Renewal {
    Impossible,
    Possible,
    /// A request was refused, and nobody knows yet.
    Wanted,
    UnderWay,
    /// The new key has not been accepted yet: if it is refused, it is for good.
    Unproven,
}

#[derive(Debug)]
pub(crate) struct Key {
    /// How often it was renewed.
    pub(crate) number: u32,
    pub(crate) renewal: Renewal,
    /// A result was refused with this key: it is not renewed for that.
    pub(crate) results_refused: bool,
    /// Nobody asks any more.
    pub(crate) refused: bool,
}

impl Key {
    pub(crate) fn new(is_renewable: bool) -> Self {
        let renewal = if is_renewable { Renewal::Possible } else { Renewal::Impossible };
        Self { number: 0, renewal, results_refused: false, refused: false }
    }

    /// A request with the key of this number was refused. Tells whether it is to be repeated with another key.
    pub(crate) fn is_cured(&mut self, number: u32, for_result: bool) -> bool {
        if number < self.number {
            return true;
        }
        if matches!(self.renewal, Renewal::Impossible | Renewal::Unproven) || for_result && self.results_refused {
            return false;
        }
        if self.renewal == Renewal::Possible && !self.refused {
            self.renewal = Renewal::Wanted;
        }
        true
    }

    pub(crate) fn note_good_answer(&mut self, number: u32) {
        if number == self.number && self.renewal == Renewal::Unproven {
            self.renewal = Renewal::Possible;
        }
    }
}
