//! Who else may hold a card: which other program has the library of PC/SC loaded and a socket open. As far as /proc tells.

use std::fs;
use std::path::Path;

/// More programs than this are not looked through.
const MOST: usize = 20_000;

/// The name of the one other program that speaks with cards; `None` if it is none, several, or one that does not show.
pub(super) fn name() -> Option<String> {
    name_below(Path::new("/proc"), std::process::id())
}

/// The same, off the runtime's thread.
pub(super) async fn elsewhere() -> Option<String> {
    tokio::task::spawn_blocking(name).await.ok().flatten()
}

fn name_below(processes: &Path, own: u32) -> Option<String> {
    let mut found: Option<String> = None;
    for process in fs::read_dir(processes).ok()?.take(MOST).filter_map(Result::ok) {
        let number = process.file_name().to_str().and_then(|name| name.parse::<u32>().ok());
        if number.is_none_or(|number| number == own) || !speaks_with_cards(&process.path()) {
            continue;
        }
        let name = fs::read_to_string(process.path().join("comm")).ok()?.trim_end().to_owned();
        if found.as_ref().is_some_and(|found| *found != name) {
            return None;
        }
        found = Some(name);
    }
    found
}

fn speaks_with_cards(process: &Path) -> bool {
    let Ok(maps) = fs::read_to_string(process.join("maps")) else { return false };
    let loaded = maps.lines().any(|line| line.rsplit('/').next().is_some_and(|file| file.starts_with("libpcsclite.so")));
    let sockets = |directory: fs::ReadDir| {
        directory
            .filter_map(Result::ok)
            .any(|entry| fs::read_link(entry.path()).is_ok_and(|target| target.to_string_lossy().starts_with("socket:")))
    };
    loaded && fs::read_dir(process.join("fd")).is_ok_and(sockets)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn process(root: &Path, number: u32, name: &str, library: &str, descriptor: &str) {
        let directory = root.join(number.to_string());
        fs::create_dir_all(directory.join("fd")).expect("made");
        fs::write(directory.join("comm"), format!("{name}\n")).expect("written");
        fs::write(directory.join("maps"), format!("7f00-7f01 r-xp 0 08:01 1 /usr/lib/{library}\n")).expect("written");
        symlink(descriptor, directory.join("fd/3")).expect("linked");
    }

    #[test]
    fn the_one_other_is_named() {
        let root = tempfile::tempdir().expect("a directory");
        process(root.path(), 10, "obnovad", "libpcsclite.so.1.0.0", "socket:[1]");
        process(root.path(), 11, "bash", "libc.so.6", "socket:[2]");
        process(root.path(), 12, "idle", "libpcsclite.so.1.0.0", "/dev/null");
        fs::create_dir(root.path().join("sys")).expect("made");
        assert_eq!(name_below(root.path(), 10), None);
        process(root.path(), 13, "scdaemon", "libpcsclite.so.1.0.0", "socket:[3]");
        assert_eq!(name_below(root.path(), 10).as_deref(), Some("scdaemon"));
        process(root.path(), 14, "firefox", "libpcsclite.so.1.0.0", "socket:[4]");
        assert_eq!(name_below(root.path(), 10), None, "which of the two is not known");
    }
}
