//! The rules by which jobs go together into a list.

use jobwatch::Timestamp;

use crate::list_job::{Job, Line, Since};
use crate::list_reference::Reference;

/// For each free place so many jobs are considered.
const CONSIDERED: usize = 2;

impl Reference {
    /// Whether these jobs, and nobody else, may be looked at together now: those who are due, final looks first, in the
    /// order in which they became due; then, as long as there is room, those whose own looks come soonest.
    pub(crate) fn check_company(&self, lane: usize, numbers: &[usize], now: Timestamp) {
        let member = |number: &usize| numbers.contains(number);
        let urgent = self.line(lane, |line| match line {
            Line::Urgent { since, .. } => Some(since),
            _ => None,
        });
        let ready = self.line(lane, |line| match line {
            Line::Ready { since } => Some(since),
            _ => None,
        });
        assert!(
            numbers.iter().enumerate().all(|(place, number)| !numbers[..place].contains(number)),
            "twice in a list"
        );
        assert!(numbers.iter().all(|number| self.jobs[*number].is_waiting()), "who does not wait");
        assert!(numbers.iter().all(|number| self.jobs[*number].lane == lane), "who is asked for elsewhere");
        let earliest = urgent.first().or(ready.first()).expect("somebody is due").1;
        let is_first = |number: &usize| {
            let job = &self.jobs[*number];
            since(job) == Some(earliest) || job.may_jump && since(job).is_some()
        };
        let first = *numbers.iter().rfind(|number| is_first(number)).expect("who was due first is not left out");
        let most = if self.jobs[first].may_share() { self.lanes[lane].list_size() } else { 1 };
        assert!(numbers.len() <= most, "{} jobs, {most} allowed", numbers.len());
        assert!(numbers.len() == 1 || numbers.iter().all(|number| self.jobs[*number].may_share()), "who may not share");

        let (mut room, mut early_ones) = (most - numbers.len(), Vec::new());
        for (line, others) in [(&urgent, &ready), (&ready, &Vec::new())] {
            let goes_on = others.iter().any(|(number, _)| member(number));
            room = self.check_line(line, numbers, room, goes_on);
        }
        for number in numbers.iter().filter(|number| self.jobs[**number].line == Line::Nowhere) {
            assert!(self.may_look_early(*number, now), "early and not due: {:?}", self.jobs[*number]);
            early_ones.push(*number);
        }
        if !early_ones.is_empty() {
            let left_out = |line: &Line| matches!(line, Line::Ready { .. } | Line::Urgent { .. });
            let waits = self.jobs.iter().filter(|job| job.is_waiting() && left_out(&job.line));
            let left_out = (0..self.jobs.len()).filter(|number| !member(number));
            let could =
                left_out.filter(|number| since(&self.jobs[*number]).is_some() && self.jobs[*number].may_share());
            let blocked = waits.filter(|job| !job.may_share()).count() + self.places_left;
            assert!(blocked > 0 || could.count() == 0, "who is not due went before who is");
        }
        self.check_early(numbers, &early_ones, most, now);
    }

    /// Those who are due and left out could not share, or came later than those who go. Tells the room that is left.
    fn check_line(&self, line: &[(usize, Since)], numbers: &[usize], room: usize, goes_on: bool) -> usize {
        let could = |number: usize| self.jobs[number].may_share() && numbers.len() + room > 1;
        let blocked = line.iter().filter(|(number, _)| !self.jobs[*number].may_share()).count() + self.places_left;
        let goes = |number: usize| numbers.contains(&number) && !self.jobs[number].may_jump;
        let last = line.iter().filter(|(number, _)| goes(*number)).map(|(_, since)| *since).max();
        for (number, since) in line.iter().filter(|(number, _)| !numbers.contains(number) && could(*number)) {
            assert!(last.is_none_or(|last| *since >= last), "left out though it came first: {:?}", self.jobs[*number]);
            let is_full = room == 0 && !goes_on;
            assert!(is_full || blocked > room, "left out though there is room: {:?}", self.jobs[*number]);
        }
        room
    }

    /// Of those who are not due the soonest go, and nobody is left out while there is room.
    fn check_early(&self, numbers: &[usize], early: &[usize], most: usize, now: Timestamp) {
        let due = |number: usize| self.jobs[number].poller.due().expect("it goes on");
        let last = early.iter().map(|number| due(*number)).max();
        let free = most - numbers.len() + early.len();
        for number in 0..self.jobs.len() {
            let is_nowhere = self.jobs[number].is_waiting() && self.jobs[number].line == Line::Nowhere;
            if !is_nowhere || numbers.contains(&number) || most == 1 || !self.may_look_early(number, now) {
                continue;
            }
            assert!(last.is_none_or(|last| due(number) >= last), "left out though sooner: {:?}", self.jobs[number]);
            let others = (0..self.jobs.len()).filter(|other| self.jobs[*other].is_here && !numbers.contains(other));
            let before = others.filter(|other| *other != number && due(*other) <= due(number)).count() + early.len();
            let is_full = numbers.len() == most;
            assert!(is_full || before >= CONSIDERED * free, "left out though there is room: {:?}", self.jobs[number]);
        }
    }

    /// Where looks are counted, an early one would be taken from the end of the wait.
    fn may_look_early(&self, number: usize, now: Timestamp) -> bool {
        let policy = self.policy(number);
        let mut poller = self.jobs[number].poller.clone();
        policy.max_polls().is_none() && self.jobs[number].may_share() && poller.look_early(&policy, now).is_some()
    }

    /// Who stands in a line, in its order.
    fn line(&self, lane: usize, since: impl Fn(Line) -> Option<Since>) -> Vec<(usize, Since)> {
        let stands = |number: usize| {
            let job = &self.jobs[number];
            Some((number, since(job.line).filter(|_| job.is_waiting() && job.lane == lane)?))
        };
        let mut line: Vec<_> = (0..self.jobs.len()).filter_map(stands).collect();
        line.sort_by_key(|(_, since)| *since);
        line
    }
}

fn since(job: &Job) -> Option<Since> {
    match job.line {
        Line::Nowhere => None,
        Line::Ready { since } | Line::Urgent { since, .. } => Some(since),
    }
}
