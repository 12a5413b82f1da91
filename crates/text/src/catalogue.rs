//! The parsed Fluent files: which file a message is in, and how it is filled. Knows no views.

use std::borrow::Cow;
use std::sync::OnceLock;

use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentResource, FluentValue};
use unic_langid::LanguageIdentifier;

use crate::Language;

/// A Fluent file: its name and its source.
type Source = (&'static str, &'static str);

const ENGLISH: [Source; 9] = [
    ("items", include_str!("../i18n/en/items.ftl")),
    ("notices", include_str!("../i18n/en/notices.ftl")),
    ("problems", include_str!("../i18n/en/problems.ftl")),
    ("log", include_str!("../i18n/en/log.ftl")),
    ("questions", include_str!("../i18n/en/questions.ftl")),
    ("cli", include_str!("../i18n/en/cli.ftl")),
    ("tray", include_str!("../i18n/en/tray.ftl")),
    ("checks", include_str!("../i18n/en/checks.ftl")),
    ("mail", include_str!("../i18n/en/mail.ftl")),
];

/// The first word of a key and the index of the file in which it stands; whatever is not named here stands in `items`.
const AREAS: [(&str, usize); 14] = [
    ("notice", 1),
    ("problem", 2),
    ("log", 3),
    ("step", 3),
    ("event", 3),
    ("question", 4),
    ("use", 4),
    ("list", 4),
    ("cli", 5),
    ("tray", 6),
    ("check", 7),
    ("letter", 8),
    ("why", 8),
    ("kind", 0),
];

/// Arguments that are numbers: they choose plural forms.
const NUMBERS: [&str; 8] = ["count", "days", "tries_left", "min", "max", "day", "month", "left"];

/// The messages of one language; a file is parsed when its first message is asked for.
pub(crate) struct Catalogue {
    language: Language,
    files: [OnceLock<FluentBundle<FluentResource>>; 9],
}

impl Catalogue {
    pub(crate) fn new(language: Language) -> Self {
        Self { language, files: Default::default() }
    }

    /// The message (or its attribute), filled; `None` if there is no such message or an argument is missing.
    pub(crate) fn format(&self, key: &str, attribute: Option<&str>, args: &[(&str, &str)]) -> Option<String> {
        let bundle = self.file(area(key));
        let message = bundle.get_message(key)?;
        let pattern = match attribute {
            Some(name) => message.get_attribute(name)?.value(),
            None => message.value()?,
        };
        let mut filled = FluentArgs::with_capacity(args.len());
        for (name, value) in args {
            filled.set((*name).to_owned(), argument(name, value));
        }
        let mut errors = Vec::new();
        let text = bundle.format_pattern(pattern, Some(&filled), &mut errors).into_owned();
        errors.is_empty().then_some(text)
    }

    fn file(&self, index: usize) -> &FluentBundle<FluentResource> {
        self.files[index].get_or_init(|| {
            let (locale, sources) = sources(self.language);
            let mut bundle = FluentBundle::new_concurrent(vec![locale]);
            // The marks protect right-to-left text; a terminal shows them as rubbish.
            bundle.set_use_isolating(false);
            // That each file parses without a mistake is held by a test; here the messages that did parse are used.
            let resource = FluentResource::try_new(sources[index].1.to_owned()).unwrap_or_else(|(resource, _)| resource);
            bundle.add_resource_overriding(resource);
            bundle
        })
    }
}

/// The locale whose plural rules hold, and the files.
pub(crate) fn sources(language: Language) -> (LanguageIdentifier, &'static [Source; 9]) {
    match language {
        Language::English => ("en".parse().unwrap_or_default(), &ENGLISH),
    }
}

/// Text from outside, made harmless for a terminal and a menu: what would steer either is replaced by U+FFFD.
pub(crate) fn plain(text: &str) -> Cow<'_, str> {
    if text.contains(steers) {
        Cow::Owned(text.chars().map(|letter| if steers(letter) { char::REPLACEMENT_CHARACTER } else { letter }).collect())
    } else {
        Cow::Borrowed(text)
    }
}

/// Control characters, and those that reorder what stands around them (Unicode Standard Annex #9).
fn steers(letter: char) -> bool {
    letter.is_control() || matches!(letter, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Whether a message of this key is looked for in this file.
#[cfg(test)]
pub(crate) fn stands_in(key: &str, file: &str) -> bool {
    ENGLISH[area(key)].0 == file
}

fn area(key: &str) -> usize {
    let first = key.split('-').next().unwrap_or_default();
    AREAS.iter().find(|(word, _)| *word == first).map_or(0, |(_, index)| *index)
}

fn argument<'a>(name: &str, value: &'a str) -> FluentValue<'a> {
    match value.parse::<i64>() {
        Ok(number) if NUMBERS.contains(&name) => FluentValue::from(number),
        _ => FluentValue::from(plain(value)),
    }
}
