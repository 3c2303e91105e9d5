//! A further process of this program, which answers line by line.

use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};

/// A process that ends when this is dropped.
pub(crate) struct Child {
    process: std::process::Child,
    questions: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Child {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let program = std::env::current_exe().expect("a program knows where it is");
        let piped = Command::new(program).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut process = piped.expect("a program can be started twice");
        let questions = process.stdin.take();
        let answers = BufReader::new(process.stdout.take().expect("it is piped"));
        Self { process, questions, answers }
    }

    /// Sends a line and waits for one.
    pub(crate) fn ask(&mut self, question: &str) -> String {
        let questions = self.questions.as_mut().expect("they are closed at the end alone");
        writeln!(questions, "{question}").expect("the process listens");
        self.hear()
    }

    /// Waits for a line.
    pub(crate) fn hear(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("the process speaks UTF-8");
        assert!(!line.is_empty(), "the process has ended");
        line.trim_end().to_owned()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Whoever hears nothing more leaves.
        self.questions = None;
        let _ = self.process.wait();
    }
}
