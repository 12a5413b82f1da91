//! The names in a directory. Owns how they are kept while it is looked at: there may be tens of thousands, and were each a
//! piece of memory, the process would stay larger by all of them.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use rustix::fs::FileType;

/// Names, each with the kind of what stands there.
#[derive(Debug, Default)]
pub(super) struct Names {
    text: Vec<u8>,
    /// Where each begins and ends.
    names: Vec<(u32, u32, FileType)>,
}

impl Names {
    pub(super) fn push(&mut self, name: &OsStr, kind: FileType) {
        let at = |end: usize| u32::try_from(end).ok();
        let start = at(self.text.len());
        self.text.extend_from_slice(name.as_bytes());
        // All names that are looked at together have some megabytes.
        self.names.extend(start.zip(at(self.text.len())).map(|(start, end)| (start, end, kind)));
    }

    /// Puts them in order.
    pub(super) fn sort(&mut self) {
        let Self { text, names } = self;
        names.sort_unstable_by(|one, other| name(text, one).cmp(name(text, other)));
    }

    /// Whether a name is there. They are in order.
    pub(super) fn contains(&self, wanted: &OsStr) -> bool {
        self.names.binary_search_by(|entry| name(&self.text, entry).cmp(wanted)).is_ok()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&OsStr, FileType)> {
        self.names.iter().map(|entry| (name(&self.text, entry), entry.2))
    }
}

fn name<'a>(text: &'a [u8], (start, end, _): &(u32, u32, FileType)) -> &'a OsStr {
    OsStr::from_bytes(text.get(*start as usize..*end as usize).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn they_are_a_set_in_order(pushed in proptest::collection::vec("[a-cé]{1,3}", 0..12), wanted in "[a-cé]{1,3}") {
            let kind = |name: &str| if name.len() > 1 { FileType::Directory } else { FileType::RegularFile };
            let mut names = Names::default();
            let mut met = BTreeSet::new();
            for name in pushed.iter().filter(|name| met.insert(name.as_str())) {
                names.push(OsStr::new(name), kind(name));
            }
            names.sort();
            let expected: Vec<(&OsStr, FileType)> = met.iter().map(|name| (OsStr::new(name), kind(name))).collect();
            prop_assert_eq!(names.iter().collect::<Vec<_>>(), expected);
            prop_assert_eq!(names.contains(OsStr::new(&wanted)), met.contains(wanted.as_str()));
            prop_assert!(met.iter().all(|name| names.contains(OsStr::new(name))));
        }
    }
}
