//! Every sentence that Obnova says to a person: functions from a view to sentences in the reader's language.
//!
//! Owns the Fluent files under `i18n/`, the words for kinds, states and steps, and how dates are written. Decides nothing:
//! what is shown, when and where is the caller's. Words that this version does not know are shown as they came.

mod args;
mod card;
mod catalogue;
mod date;
mod item;
mod letter;
mod log;
mod notice;
mod problem;
mod question;

pub use args::shell_word;
pub use notice::Notice;
pub use problem::Advice;
pub use question::{Asked, Question};

use std::borrow::Cow;

use chrono::FixedOffset;

use crate::catalogue::Catalogue;
use crate::date::Zone;

/// The languages that Obnova speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// English.
    English,
}

impl Language {
    /// The language for a POSIX locale (`cs_CZ.UTF-8`); English for one that has no translation.
    pub fn of_locale(_locale: &str) -> Self {
        Self::English
    }
}

/// Sentences in one language, with times in one time zone.
///
/// Costs nothing until the first sentence; then it holds the parsed messages of the areas used (items, problems, …) until
/// it is dropped.
pub struct Text {
    catalogue: Catalogue,
    zone: Zone,
}

impl Text {
    /// For a person whose locale is this: the first that is set and not empty of `LC_ALL`, `LC_MESSAGES` and `LANG`, which
    /// the caller reads. Times are in the local time zone.
    pub fn for_environment(locale: &str) -> Self {
        Self { catalogue: Catalogue::new(Language::of_locale(locale)), zone: Zone::Local }
    }

    /// The same, with times at this distance from UTC.
    #[must_use]
    pub fn in_zone(self, offset: FixedOffset) -> Self {
        Self { zone: Zone::Fixed(offset), ..self }
    }

    /// The message of this key, for the programs' own sentences (`cli-…`, `tray-…`). A key that does not exist, or lacks an
    /// argument, gives the key itself: a mistake that shows.
    pub fn say(&self, key: &str, args: &[(&str, &str)]) -> String {
        self.catalogue.format(key, None, args).unwrap_or_else(|| key.to_owned())
    }

    /// The help for a part of the command line (`watch`, `watch-places`); `None` where there is none.
    pub fn help(&self, key: &str) -> Option<String> {
        self.catalogue.format(&format!("cli-help-{key}"), None, &[])
    }

    /// Text from outside (a name, a path) made harmless for a terminal: what would steer it is replaced. All sentences of
    /// this crate have it done already.
    pub fn plain<'a>(&self, text: &'a str) -> Cow<'a, str> {
        catalogue::plain(text)
    }

    /// The sentence for a word of an open table, or the word itself, spaced.
    fn word(&self, family: &str, word: &str) -> String {
        self.catalogue.format(&format!("{family}-{word}"), None, &[]).unwrap_or_else(|| catalogue::plain(&spaced(word)).into())
    }
}

/// `from-the-future` → `from the future`.
fn spaced(word: &str) -> String {
    word.replace(['-', '_'], " ")
}

/// The first letter in upper case.
fn capitalised(sentence: &str) -> String {
    let mut letters = sentence.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests;
