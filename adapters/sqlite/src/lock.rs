//! Who has the file.

use std::path::Path;

/// The process that holds a lock on the file, where the system has a list of them.
pub(crate) fn holder(path: &Path) -> Option<u32> {
    #[cfg(target_os = "linux")]
    {
        use std::os::unix::fs::MetadataExt;
        let inode = std::fs::metadata(path).ok()?.ino();
        holder_in(&std::fs::read_to_string("/proc/locks").ok()?, inode)
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = path;
        None
    }
}

/// The same in the text of `/proc/locks` (`man proc_locks`). The device is not compared: some file systems tell another one
/// here than to those who ask for the file, and a process that is named wrongly needs the same inode elsewhere.
#[cfg(target_os = "linux")]
fn holder_in(locks: &str, inode: u64) -> Option<u32> {
    locks.lines().find_map(|line| {
        let words: Vec<_> = line.split_whitespace().collect();
        let [_, "POSIX", _, "WRITE", process, place, ..] = words[..] else { return None };
        let here = place.rsplit(':').next()?.parse() == Ok(inode);
        // A process of another container has no number here.
        process.parse().ok().filter(|process| here && *process > 0)
    })
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_holder_is_found_by_its_file() {
        let locks = "1: FLOCK  ADVISORY  WRITE 11 fd:00:77 0 EOF\n\
                     2: POSIX  ADVISORY  READ  12 fd:00:77 128 128\n\
                     2: -> POSIX  ADVISORY  WRITE 13 fd:00:77 0 EOF\n\
                     3: POSIX  ADVISORY  WRITE 14 fd:00:78 0 EOF\n\
                     4: POSIX  ADVISORY  WRITE 15 fd:00:77 1073741824 1073742335\n\
                     5: POSIX  ADVISORY  WRITE -1 fd:00:79 0 EOF\n\nnonsense\n";
        assert_eq!((holder_in(locks, 77), holder_in(locks, 78)), (Some(15), Some(14)));
        assert_eq!((holder_in(locks, 79), holder_in(locks, 80), holder_in("", 77)), (None, None, None));
    }
}
