//! The certificates that are watched: made once, and kept for a month.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use obnova_tests::Recipe;

use super::table::say;

/// How many files with certificates stand in one directory.
const IN_ONE: usize = 10_000;

/// Up to so many certificates have their keys beside them.
const WITH_KEYS: usize = 1_000;

/// After this time they are made anew: their ends draw near.
const KEPT: Duration = Duration::from_hours(30 * 24);

/// Certificates in directories: `000000.crt`, and `000000.key` up to a thousand of them.
pub(crate) struct Set {
    /// How many certificates.
    pub(crate) count: usize,
    /// What is to be watched.
    pub(crate) roots: Vec<PathBuf>,
}

impl Set {
    /// The files of certificates and keys, where there are keys.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (PathBuf, PathBuf)> {
        (0..self.count).map(|position| {
            let stem = self.roots[position / IN_ONE].join(format!("{position:06}"));
            (stem.with_extension("crt"), stem.with_extension("key"))
        })
    }
}

/// So many certificates of mailboxes, each self-made with a key of its own, on P-256.
pub(crate) fn set(cache: &Path, count: usize) -> Set {
    let directory = cache.join(format!("certificates-{count}"));
    let roots = (0..count.div_ceil(IN_ONE)).map(|number| directory.join(number.to_string())).collect();
    let set = Set { count, roots };
    let complete = directory.join("complete");
    let age = fs::metadata(&complete).and_then(|metadata| metadata.modified()).ok().and_then(|time| time.elapsed().ok());
    if age.is_none_or(|age| age > KEPT) {
        say(&format!("making {count} certificates, which are kept in {}", directory.display()));
        if directory.exists() {
            fs::remove_dir_all(&directory).expect("removed");
        }
        make(&set);
        fs::write(complete, "").expect("written");
    }
    set
}

fn make(set: &Set) {
    for root in &set.roots {
        fs::create_dir_all(root).expect("a directory");
    }
    for (position, (certificate, key)) in set.pairs().enumerate() {
        // They end one after the other in the course of two years, the first in two months: nothing is due.
        let days = 60 + i64::try_from(position % 670).expect("small");
        let made = Recipe::new(&format!("Mailbox {position:06}")).days_left(days).make();
        fs::write(certificate, made.pem()).expect("written");
        if set.count <= WITH_KEYS {
            fs::write(key, made.key_pem()).expect("written");
        }
    }
}
