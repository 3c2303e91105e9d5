//! The command that takes up what was left.

use std::path::Path;

use jobwatch::JobRef;

use crate::args::{BackendArgs, HistoryFlags, PolicyArgs};
use crate::report::one_line;

/// Ids named in the command that goes on; with more, a file of ids is of more use.
const MOST_IDS_TOLD: usize = 20;

/// Where results and jobs are kept.
#[derive(Debug)]
pub(crate) struct Kept<'a> {
    pub(crate) results: Option<&'a Path>,
    pub(crate) state: Option<&'a Path>,
    pub(crate) history: &'a HistoryFlags,
    /// Where the backend is: without ids, no id can tell.
    pub(crate) address: &'a str,
}

/// The command that waits for these jobs, and for those of the state file, without secrets.
pub(crate) fn command_to_go_on(backend: &BackendArgs, policy: &PolicyArgs, kept: &Kept<'_>, jobs: &[JobRef]) -> String {
    let mut words = vec!["jobwatch wait --api".to_owned(), quote(&backend.api)];
    // Without a query, which is never sent and may be a secret.
    let given = backend.base_url.as_ref().and_then(|url| url.split(['?', '#']).next());
    if let Some(url) = given.or(kept.state.map(|_| kept.address)) {
        words.push(format!("--base-url {}", quote(url)));
    }
    for header in &backend.headers {
        let header = match header.split_once(':') {
            Some((name, value)) if !header.starts_with('@') && !is_reference(value) => format!("{name}: …"),
            _ => header.clone(),
        };
        words.push(format!("--header {}", quote(&header)));
    }
    // A command may hold a secret anywhere.
    words.extend(backend.header_command.as_ref().map(|_| "--header-command …".to_owned()));
    words.extend(backend.rate.as_ref().map(|rate| format!("--rate {}", rate.text)));
    words.extend(policy.words());
    let path = |flag: &str, path: &Path| format!("{flag} {}", quote(&path.display().to_string()));
    words.extend(kept.results.map(|directory| path("--save-results", directory)));
    words.extend(kept.state.map(|file| path("--state", file)));
    words.extend(kept.history.history.as_deref().map(|file| path("--history", file)));
    words.extend(kept.history.class.as_deref().map(|class| format!("--class {}", quote(class))));
    if jobs.iter().any(|job| job.id().starts_with('-')) {
        words.push("--".to_owned());
    }
    words.extend(jobs.iter().take(MOST_IDS_TOLD).map(|job| quote(job.id())));
    if jobs.len() > MOST_IDS_TOLD {
        words.push(format!("… ({} more ids)", jobs.len() - MOST_IDS_TOLD));
    }
    one_line(&words.join(" "))
}

/// Whether a header's value is one variable of the environment, after a scheme such as `Bearer` at the most; then it
/// holds no secret.
fn is_reference(value: &str) -> bool {
    let value = value.trim();
    let schemes = ["Bearer ", "Basic ", "Token ", "Key "];
    let value = schemes.iter().find_map(|scheme| value.strip_prefix(scheme)).unwrap_or(value);
    let name = value.strip_prefix("${env:").and_then(|rest| rest.strip_suffix('}'));
    name.is_some_and(|name| !name.contains(['$', '{', '}']))
}

/// A word as a shell reads it.
fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_command_to_go_on_holds_no_secret() {
        let backend = BackendArgs {
            api: "tracker".to_owned(),
            base_url: Some("http://127.0.0.1:5000?key=hush".to_owned()),
            headers: ["X-Api-Key: hush", "A: ${env:KEY}", "B: Bearer ${env:KEY}", "C: ${env:KEY}hush}", "@keys.txt"]
                .map(str::to_owned)
                .to_vec(),
            header_command: Some("echo X-Api-Key: hush".to_owned()),
            rate: None,
            max_body: None,
        };
        let jobs = [JobRef::new("it's").unwrap()];
        let policy = PolicyArgs::with_attempt_timeout(Some(Duration::from_secs(90)));
        let history = &HistoryFlags { history: Some("h.json".into()), class: Some("lip sync".to_owned()) };
        let results = Some(Path::new("my results"));
        let kept = Kept { results, state: None, history, address: "http://127.0.0.1:5000" };
        let command = command_to_go_on(&backend, &policy, &kept, &jobs);
        assert_eq!(
            command,
            "jobwatch wait --api tracker --base-url http://127.0.0.1:5000 --header 'X-Api-Key: …' \
             --header 'A: ${env:KEY}' --header 'B: Bearer ${env:KEY}' --header 'C: …' --header @keys.txt \
             --header-command … --attempt-timeout 1m30s --save-results 'my results' --history h.json \
             --class 'lip sync' 'it'\\''s'"
        );
    }

    #[test]
    fn with_a_state_file_no_id_is_needed_but_the_address() {
        let backend = BackendArgs {
            api: "mine.toml".to_owned(),
            base_url: None,
            headers: Vec::new(),
            header_command: None,
            rate: None,
            max_body: None,
        };
        let (state, history) = (Some(Path::new("a b.state")), &HistoryFlags::default());
        let kept = Kept { results: None, state, history, address: "https://x.example/v1" };
        assert_eq!(
            command_to_go_on(&backend, &PolicyArgs::default(), &kept, &[]),
            "jobwatch wait --api mine.toml --base-url https://x.example/v1 --state 'a b.state'"
        );
    }
}
