//! A mail in words: what it is worth, and why.

use obnova_api::LetterView;

use crate::{Text, spaced};

impl Text {
    /// What a mail is worth: "Trusted: an invitation to renew".
    pub fn letter(&self, letter: &LetterView) -> String {
        let kind = self.letter_kind(&letter.kind);
        self.say("letter-verdict", &[("standing", &letter.standing), ("kind", &kind)])
    }

    /// What a mail is about: "an invitation to renew".
    pub fn letter_kind(&self, kind: &str) -> String {
        self.word("letter-kind", kind)
    }

    /// Why it is not trusted, a sentence without its full stop for each reason.
    pub fn letter_reasons(&self, letter: &LetterView) -> Vec<String> {
        let reason = |reason: &obnova_api::ReasonView| {
            let about = self.plain(&reason.about);
            let said = self.catalogue.format(&format!("why-{}", reason.why), None, &[("about", &about)]);
            said.unwrap_or_else(|| spaced(&reason.why))
        };
        letter.reasons.iter().map(reason).collect()
    }
}
