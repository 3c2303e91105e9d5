//! Names of files: whatever a job is called, its result stays in the directory.

use std::collections::HashSet;

/// The most of an id that a name holds, in bytes; file systems take 255, the rest of the name included.
const LONGEST: usize = 120;

/// The longest extension that is one.
const LONGEST_EXTENSION: usize = 8;

/// The names that Windows has given away, with any extension.
const RESERVED: [&str; 4] = ["con", "prn", "aux", "nul"];

/// The names of this run, in lower case: there are file systems where case does not distinguish.
#[derive(Debug, Default)]
pub(super) struct Names(HashSet<String>);

impl Names {
    /// A name for the result of this job, or for the part of it that has a number.
    ///
    /// It is made of the id and depends on nothing else, so that the same job has the same files in the next run. An id
    /// that had to be changed gets a hash of itself after a `~`, which no unchanged id has; so do ids of one run that
    /// would share a name.
    pub(super) fn choose(&mut self, id: &str, number: Option<usize>, extension: Option<&str>) -> String {
        let (stem, changed) = stem(id);
        let number = number.map_or_else(String::new, |number| format!("-{number}"));
        let extension = extension.map_or_else(String::new, |extension| format!(".{extension}"));
        let hash = hash(id);
        let plain = (!changed).then(|| format!("{stem}{number}{extension}"));
        let hashed = (1..).map(|again| match again {
            1 => format!("{stem}~{hash:016x}{number}{extension}"),
            again => format!("{stem}~{hash:016x}~{again}{number}{extension}"),
        });
        let mut names = plain.into_iter().chain(hashed);
        names.find(|name| self.0.insert(name.to_lowercase())).expect("there is no end of these names")
    }
}

/// What of an id can stand in a name, and whether that is less than all.
fn stem(id: &str) -> (String, bool) {
    // Of an address its last segment: the rest is the same for all jobs, and the query may be secret.
    let (word, is_url) = match id.split_once("://") {
        Some((_, rest)) => {
            let path = rest.split(['?', '#']).next().unwrap_or_default();
            (path.trim_end_matches('/').rsplit('/').next().unwrap_or_default(), true)
        }
        None => (id, false),
    };
    let kept = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let mut stem: String = word.chars().map(|c| if kept(c) { c } else { '_' }).take(LONGEST).collect();
    // Neither hidden, nor a flag, nor a dot segment; and Windows takes dots at the end away.
    if stem.starts_with(['.', '-']) {
        stem.replace_range(..1, "_");
    }
    if stem.ends_with('.') {
        stem.replace_range(stem.len() - 1.., "_");
    }
    let device = stem.split('.').next().unwrap_or_default().to_lowercase();
    let numbered = device.strip_prefix("com").or(device.strip_prefix("lpt"));
    if RESERVED.contains(&device.as_str()) || numbered.is_some_and(|number| number.len() == 1) {
        stem.insert(0, '_');
    }
    if stem.is_empty() {
        stem.push_str("job");
    }
    let changed = is_url || stem != id;
    (stem, changed)
}

/// The extension of an address's path, if it is a sane one.
pub(super) fn extension(url: &str) -> Option<String> {
    let (_, rest) = url.split_once("://")?;
    let (_, path) = rest.split(['?', '#']).next()?.split_once('/')?;
    let (stem, extension) = path.rsplit('/').next()?.rsplit_once('.')?;
    let sane = (1..=LONGEST_EXTENSION).contains(&extension.len())
        && extension.chars().all(|c| c.is_ascii_alphanumeric())
        && !stem.is_empty();
    sane.then(|| extension.to_lowercase())
}

/// FNV-1a: short, and the same in every version and on every machine.
fn hash(id: &str) -> u64 {
    id.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use std::path::{Component, Path};

    use super::*;

    #[test]
    fn a_plain_id_is_the_name() {
        let mut names = Names::default();
        assert_eq!(names.choose("5f3c-a1_b.2", None, Some("mp4")), "5f3c-a1_b.2.mp4");
        assert_eq!(names.choose("5f3c-a1_b.2", Some(3), None), "5f3c-a1_b.2-3");
        assert_eq!(names.choose("job 7", None, Some("json")), format!("job_7~{:016x}.json", hash("job 7")));
        let url = "https://x.example/operations/17?api-version=1&key=hush";
        assert_eq!(names.choose(url, None, Some("json")), format!("17~{:016x}.json", hash(url)));
    }

    #[test]
    fn no_name_leaves_the_directory() {
        let long = "x".repeat(300);
        let ids = [
            "../x",
            "/etc/x",
            "..\\x",
            "c:\\x",
            "a/../../b",
            "/",
            "///",
            ".hidden",
            "-rf",
            "a.",
            "a..",
            "…",
            "nul",
            "NUL.txt",
            "com1",
            "lpt9.x",
            "a\0b",
            "~",
            "",
            " ",
            "https://",
            "https://x/",
            "https://x/..",
            &long,
            "ä",
            "日本",
        ];
        for id in ids {
            let name = Names::default().choose(id, Some(1), Some("mp4"));
            let parts: Vec<_> = Path::new(&name).components().collect();
            assert!(matches!(parts[..], [Component::Normal(_)]), "{id:?}: {name}");
            assert!(name.is_ascii() && name.len() < 200, "{id:?}: {name}");
            assert!(!name.starts_with(['.', '-', '~']) && !name.contains(['/', '\\', ':', '\0']), "{id:?}: {name}");
            assert!(name.contains('~'), "{id:?} was changed: {name}");
        }
    }

    #[test]
    fn two_jobs_never_share_a_file() {
        let mut names = Names::default();
        let long = "x".repeat(300);
        let longer = "x".repeat(301);
        let choices = [
            names.choose("a/b", None, Some("mp4")),
            names.choose("a:b", None, Some("mp4")),
            names.choose("a_b", None, Some("mp4")),
            names.choose("A_B", None, Some("mp4")),
            names.choose("a-1", None, Some("mp4")),
            names.choose("a", Some(1), Some("mp4")),
            names.choose(&long, None, None),
            names.choose(&longer, None, None),
            names.choose("same", None, None),
            names.choose("same", None, None),
            names.choose("same", None, None),
        ];
        let distinct: HashSet<_> = choices.iter().map(|name| name.to_lowercase()).collect();
        assert_eq!(distinct.len(), choices.len(), "{choices:?}");
    }

    #[test]
    fn extensions_are_those_of_the_path() {
        for (url, expected) in [
            ("https://x/a.mp4", Some("mp4")),
            ("https://x/a.MP4?sig=b.exe#c.d", Some("mp4")),
            ("https://x/a.tar.gz", Some("gz")),
            ("https://x/a", None),
            ("https://x.example", None),
            ("https://x.example?a.b", None),
            ("https://x/.hidden", None),
            ("https://x/a.", None),
            ("https://x/a.b%2f..", None),
            ("https://x/a.waytoolong", None),
        ] {
            assert_eq!(extension(url).as_deref(), expected, "{url}");
        }
    }
}
