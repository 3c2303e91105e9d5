//! Why looking at the right moments is worth so much, and how they are found.
//!
//! A job ends at some moment, and nobody tells. Every look costs a request; every moment between the end and the next
//! look is delay. Looking ever less often, as a backoff does, is what one does when nothing is known. But most jobs are
//! like the jobs before them, and after a few one knows how long they take. Then *when to look at something that ends at
//! an unknown time with a known distribution* is a problem that was solved long ago:
//!
//! > R. E. Barlow, L. C. Hunter, F. Proschan, "Optimum Checking Procedures", Journal of the Society for Industrial and
//! > Applied Mathematics 11 (1963), 1078-1095.
//!
//! They asked when to inspect a machine whose failure shows only when it is inspected. The answer is the same for a video
//! that is being rendered.
//!
//! # One number weighs the two
//!
//! Fewer requests mean more delay. How much of the one is worth how much of the other is for you to say, with one number:
//! the [request cost](crate::Policy::request_cost) `c`, **the delay that you would accept to save one request** (2 s unless
//! you say otherwise). The plan makes the least of
//!
//! ```text
//! mean delay + c · mean number of requests
//! ```
//!
//! # What comes out
//!
//! Here 200 jobs have taken 20 to 40 s. The plan lets the first twenty seconds pass, in which there is nothing to see, and
//! a few more, until enough jobs may have ended that a look is worth its price. Then it looks again and again, the closer
//! the more of the jobs that are left end soon. Two requests for each job, less than three seconds late:
//!
#![doc = include_str!("idea/plan.svg")]
//!
//! `jobwatch plan --schedule learned --durations uniform:20..40 --created --svg plan.svg` draws it, and tells the same in
//! words: each look, the rule that sets it, the share of jobs that have ended by then, and what holds in the worst case.
//! With `--history FILE` it does so for your own jobs.
//!
//! # How the moments are found
//!
//! Be `S(a)` the share of jobs that take longer than `a`. Who has found a job unfinished at the age `a` and looks at it next
//! at the age `b` pays `c`, and waits for whatever ends in between. What is to come is the same question again, asked at
//! `b`. So the least cost from an age on follows from those at greater ages:
//!
//! ```text
//! W(a) = min over b of  c·S(a) + (b - a)·S(a) - ∫ S(u) du over [a, b] + W(b),     min_delay ≤ b - a ≤ max_delay
//! ```
//!
//! It is reckoned once, from the greatest age down, on a grid of ages that grows with them, and gives for every age the gap
//! to the next look. A plan is that function, `gap(age)`, and nothing else. So a job whose answer came late, or that was
//! picked up when it was half done, needs no rule of its own: what is left is right for what is left. And since every gap
//! is between `min_delay` and `max_delay`, all that is promised of a [`Policy`](crate::Policy) holds here too: its
//! deadline, its final look, its most looks. What a server asks for makes a gap longer and never shorter.
//!
//! # How durations are learned
//!
//! * **From intervals.** An answer says only that the job ended between the last look that found it unfinished and now. Its
//!   weight is spread over that interval as the present estimate says, which is one step of the expectation-maximisation
//!   algorithm. Where a backend tells the real end, that is taken. A wait that ended before the job did teaches that the
//!   job took longer. What was lost or refused teaches nothing.
//! * **From nothing.** Before the first job every order of magnitude is as likely as every other, from a quarter of a
//!   second to a day and a half. The plan for that looks at ever greater gaps: it is a backoff.
//! * **With a short memory.** With each job the past counts for a little less, so that a slow change is followed; after a
//!   sudden one, which is noticed by the last jobs being foretold better by each other than by all, the past is forgotten.
//! * **Of a crowd by a few.** Of jobs that are waited for side by side the short ones end first and the long ones last,
//!   which looks like one change and then another. So of a crowd only a few count among the last jobs, however many there
//!   are, and each of them teaches less than one that was alone; who ends last is still one of the crowd.
//! * **Without treading on its own feet.** A gap is spread by a sixteenth, so that clients that start together part, and
//!   ends are not always seen at the same ages.
//! * **One history for each kind.** Jobs of different kinds (a mode, a language, a length) tell little of each other: give
//!   them classes of their own.
//!
//! # What it is worth
//!
//! The same five hundred jobs under the rules of other clients, in simulated time. `oracle` is the plan for these very
//! durations, known beforehand: but for knowing which job takes how long, nothing can be below its curve. `learned` knows
//! nothing when it begins, and its beginning is counted. Along both curves a request is worth 0.25 s to 30 s of delay:
//!
#![doc = include_str!("idea/compare.svg")]
//!
//! `jobwatch compare --durations uniform:20..40 --jobs 500 --svg compare.svg` draws it; with a file of your own durations
//! it draws yours. With a limit of requests per second (`--rate`, `--arrivals`) `c` is a price: where there are too few requests for
//! all jobs, it rises until what the plans ask for fits the limit, and nobody stands in line for long.
//!
//! # Where it gains little
//!
//! Where jobs are forgetful, so that having waited says nothing of how long it will still take (an exponential
//! distribution), the best plan is a constant gap, and all that is learned is how great. And where durations differ by
//! orders of magnitude within one class, a plan that must be ready for all of them can only be a better backoff. Classes
//! help there, and so does a backend that tells how long a job will take.
