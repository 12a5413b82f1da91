//! New files in the place of old ones, for services that know them by their names. Copies of the old are kept beside them, with the
//! date in their names.

use std::path::{Path, PathBuf};

use obnova_core::job::{InstallFile, Old, Replaced};
use obnova_core::programme::InstallRule;
use obnova_core::{Fingerprint, Place, Problem, Scheme};
use rustix::fs::Access;

use super::Ground;
use super::install::Layout;
use crate::helper::Replacement;
use crate::runner::trouble;

/// Whether the job puts new files in the place of old ones.
pub(super) fn is_meant(ground: &Ground<'_>) -> bool {
    ground.job.start.install == InstallRule::Replace
}

/// The old files, those with keys first; they are what is replaced.
pub(super) fn files(old: &Place, layout: Layout) -> Result<Vec<PathBuf>, Problem> {
    let path = old.path();
    Ok(match layout {
        Layout::Both => vec![path],
        Layout::Pair => {
            let key = crate::stores::key_file(old).ok_or_else(|| Problem::NoKey { path: old.shown() })?;
            vec![key, path]
        }
        Layout::Pkcs12 => layout.files(old)?.into_iter().map(|(file, _)| file).collect(),
    })
}

/// Whether the old files can be replaced: we may write there, and can give the new ones the same owner.
pub(super) fn check(old: &Old, layout: Layout) -> Result<(), Problem> {
    use std::os::unix::fs::MetadataExt;
    for file in files(&old.place, layout)?.iter().filter(|file| file.exists()) {
        let file = file.canonicalize().map_err(|error| trouble::io(&error, file))?;
        let directory = file.parent().unwrap_or(Path::new("/"));
        rustix::fs::access(directory, Access::WRITE_OK | Access::EXEC_OK)
            .map_err(|error| trouble::io(&error.into(), directory))?;
        let metadata = file.metadata().map_err(|error| trouble::io(&error, &file))?;
        let us = rustix::process::geteuid();
        let groups = rustix::process::getgroups().map_err(|error| Problem::Internal { detail: error.to_string() })?;
        let ours = |gid: u32| groups.iter().chain([&rustix::process::getegid()]).any(|group| group.as_raw() == gid);
        if !us.is_root() && (metadata.uid() != us.as_raw() || !ours(metadata.gid())) {
            let owner = format!("{}:{}", metadata.uid(), metadata.gid());
            return Err(Problem::OwnerNotKept { path: file.display().to_string(), owner });
        }
    }
    Ok(())
}

/// What is to be remembered of a file whose place a new one takes; `None` where there is none.
pub(super) async fn replaced(ground: &Ground<'_>, file: &Path) -> Result<Option<Replaced>, Problem> {
    let digest = ground.tools.helper.digest(file).await.map_err(|error| trouble::helper(&error, file))?;
    let Some(digest) = digest else { return Ok(None) };
    let copy = free_copy(file, ground.tools.clock.now())?;
    Ok(Some(Replaced { copy: Place::new(Scheme::File, &copy), sha256: Fingerprint(digest) }))
}

/// Exchanges all files that take the places of others, together.
pub(super) async fn perform(ground: &Ground<'_>, files: &[InstallFile]) -> Result<(), Problem> {
    let replacement = |file: &InstallFile| {
        let replaced = file.replaces.as_ref()?;
        Some(Replacement {
            staged: ground.file(&file.staged).as_path().into(),
            sha256: file.sha256.0,
            target: file.target.path().as_path().into(),
            old_sha256: replaced.sha256.0,
            copy: replaced.copy.path().as_path().into(),
        })
    };
    let replacements: Vec<Replacement> = files.iter().filter_map(replacement).collect();
    let Some(first) = files.iter().find(|file| file.replaces.is_some()) else { return Ok(()) };
    let path = first.target.path();
    ground.tools.helper.replace(replacements).await.map_err(|error| match error {
        crate::helper::HelperError::Changed => Problem::ChangedMeanwhile { path: path.display().to_string() },
        other => trouble::helper(&other, &path),
    })
}

/// The first free name beside a file: its own with today's date.
fn free_copy(file: &Path, now: obnova_core::Now) -> Result<PathBuf, Problem> {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    let ending = file.extension().map(|ending| format!(".{}", ending.to_string_lossy())).unwrap_or_default();
    let date = now.format("%Y-%m-%d");
    let names = std::iter::once(format!("{stem}-{date}{ending}"));
    let names = names.chain((2..1000).map(|count| format!("{stem}-{date}-{count}{ending}")));
    let mut free = names.map(|name| file.with_file_name(name)).filter(|copy| copy.symlink_metadata().is_err());
    free.next().ok_or_else(|| Problem::TargetExists { path: file.display().to_string() })
}
