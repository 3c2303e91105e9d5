//! `--header-command`: credentials from a command, which renews them as well.

use std::io::Read;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use crate::interrupt::Interrupt;

/// The most that a command's output is read of: headers are short.
const LONGEST_OUTPUT: u64 = 64 * 1024;

/// How soon a command hears of Ctrl-C.
const PAUSE: Duration = Duration::from_millis(20);

/// A command of the shell that prints headers.
#[derive(Clone, Debug)]
pub(crate) struct HeaderCommand {
    line: String,
    interrupt: Interrupt,
}

impl HeaderCommand {
    pub(crate) fn new(line: &str, interrupt: Interrupt) -> Self {
        Self { line: line.to_owned(), interrupt }
    }

    /// Runs it. What it prints is never told, nor is the command, which may hold a secret itself.
    pub(crate) fn run(&self) -> Result<Vec<(String, String)>, String> {
        let mut command = shell(&self.line);
        // Standard input may be a list of ids.
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = command.spawn().map_err(|error| format!("the header command does not start: {error}"))?;
        let output = read(&mut child);
        let finished = self.finish(&mut child, &output);
        if finished.is_err() {
            let _ = child.kill();
            let _ = child.wait();
        }
        let (status, output) = finished?;
        if !status.success() {
            return Err(format!("the header command ended with {status}"));
        }
        headers(&output)
    }

    fn finish(&self, child: &mut Child, output: &Receiver<Vec<u8>>) -> Result<(ExitStatus, Vec<u8>), String> {
        let output = loop {
            match output.recv_timeout(PAUSE) {
                Ok(output) => break output,
                Err(RecvTimeoutError::Timeout) => self.go_on()?,
                Err(RecvTimeoutError::Disconnected) => return Err("the header command cannot be read".to_owned()),
            }
        };
        loop {
            let ended =
                child.try_wait().map_err(|error| format!("the header command cannot be waited for: {error}"))?;
            if let Some(status) = ended {
                return Ok((status, output));
            }
            self.go_on()?;
            thread::sleep(PAUSE);
        }
    }

    fn go_on(&self) -> Result<(), String> {
        match self.interrupt.status() {
            None => Ok(()),
            Some(_) => Err("the header command was interrupted".to_owned()),
        }
    }
}

#[cfg(unix)]
fn shell(line: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", line]);
    command
}

#[cfg(windows)]
fn shell(line: &str) -> Command {
    use std::os::windows::process::CommandExt;

    let mut command = Command::new("cmd");
    // As it is: the shell has quoting rules of its own.
    command.arg("/C").raw_arg(line);
    command
}

/// Reads in a thread, so that a command that prints nothing can be left.
fn read(child: &mut Child) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    if let Some(stdout) = child.stdout.take() {
        thread::spawn(move || {
            let mut output = Vec::new();
            if stdout.take(LONGEST_OUTPUT).read_to_end(&mut output).is_ok() {
                let _ = sender.send(output);
            }
        });
    }
    receiver
}

/// The lines of the output as headers; empty ones are none.
fn headers(output: &[u8]) -> Result<Vec<(String, String)>, String> {
    let text = std::str::from_utf8(output).map_err(|_| "the header command prints no text".to_owned())?;
    let mut headers = Vec::new();
    for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
        match line.split_once(':') {
            Some((name, value)) => headers.push((name.trim().to_owned(), value.trim().to_owned())),
            None => {
                return Err(format!("line {number} of what the header command prints is no header, as in 'K: V'"));
            }
        }
    }
    if headers.is_empty() {
        return Err("the header command prints no header".to_owned());
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_headers() {
        let read = |text: &str| headers(text.as_bytes());
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(read("X-Key: a:b\r\n\n Y :  c\n").unwrap(), [header("X-Key", "a:b"), header("Y", "c")]);
        for (wrong, word) in [("", "no header"), ("\n\n", "no header"), ("A: b\nsecret\n", "line 2")] {
            let problem = read(wrong).unwrap_err();
            assert!(problem.contains(word) && !problem.contains("secret"), "{problem}");
        }
        assert!(headers(b"\xff: x").is_err());
    }
}
