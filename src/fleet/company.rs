//! How many jobs one request asks for at present: what the backend was seen to bear.

/// Good answers to jobs asked for alone until a list is tried again, after lists failed; doubled with each time that
/// brings no good answer either.
const LEAST_PATIENCE: u32 = 4;
const MOST_PATIENCE: u32 = 256;

#[derive(Debug)]
pub(super) struct Company {
    /// At present; one means that each is asked for alone.
    most: usize,
    /// More than this were refused as too many, which does not change; zero: there are no lists at all.
    ceiling: usize,
    /// Good answers to jobs asked for alone since lists failed.
    alone: u32,
    patience: u32,
}

impl Default for Company {
    fn default() -> Self {
        Self { most: usize::MAX, ceiling: usize::MAX, alone: 0, patience: LEAST_PATIENCE }
    }
}

impl Company {
    pub(super) fn most(&self) -> usize {
        self.most.min(self.ceiling)
    }

    /// The backend takes no lists.
    pub(super) fn end(&mut self) {
        self.ceiling = 0;
    }

    /// So many were too many.
    pub(super) fn note_too_many(&mut self, asked: usize) {
        self.ceiling = self.ceiling.min((asked / 2).max(1));
    }

    /// A list of so many brought no answer, or a broken one; a shorter one may work.
    pub(super) fn note_failure(&mut self, asked: usize) {
        let most = self.most.min((asked / 2).max(1));
        if most == 1 && self.most > 1 {
            self.alone = 0;
            self.patience = self.patience.saturating_mul(2).min(MOST_PATIENCE);
        }
        self.most = most;
    }

    pub(super) fn note_good_list(&mut self) {
        self.most = self.most.saturating_mul(2);
        self.patience = LEAST_PATIENCE;
    }

    /// A job was asked for alone, and answered well.
    pub(super) fn note_good_answer(&mut self) {
        if self.most == 1 {
            self.alone += 1;
            if self.alone >= self.patience {
                self.most = 2;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_many_stays_too_many() {
        let mut company = Company::default();
        company.note_too_many(100);
        (0..9).for_each(|_| company.note_good_list());
        assert_eq!(company.most(), 50);
        company.note_too_many(1);
        assert_eq!(company.most(), 1);
        company.end();
        company.note_good_list();
        assert_eq!(company.most(), 0);
    }

    #[test]
    fn lists_that_fail_time_and_again_are_tried_ever_more_rarely() {
        let mut company = Company::default();
        let answers_until_the_next = |company: &mut Company| {
            company.note_failure(2);
            (1..1_000).find(|_| {
                company.note_good_answer();
                company.most() > 1
            })
        };
        let waits: Vec<_> = (0..8).filter_map(|_| answers_until_the_next(&mut company)).collect();
        assert_eq!(waits, [8, 16, 32, 64, 128, 256, 256, 256]);
        company.note_good_list();
        assert_eq!((company.most(), answers_until_the_next(&mut company)), (4, Some(8)));
    }

    /// The way down to one, and what was still under way by then, are one failure.
    #[test]
    fn a_breakdown_of_many_lists_costs_patience_once() {
        let mut company = Company::default();
        for asked in [100, 50, 25, 12, 6, 3, 2, 2, 50] {
            company.note_failure(asked);
        }
        (0..7).for_each(|_| company.note_good_answer());
        company.note_failure(50);
        assert_eq!(company.most(), 1);
        company.note_good_answer();
        assert_eq!(company.most(), 2);
    }
}
