//! A card in words, and what was looked at before a renewal.

use obnova_api::{CardView, CheckView, Level, SpotView};

use crate::args::borrowed;
use crate::{Advice, Text, capitalised, spaced};

impl Text {
    /// What a card can do with keys: "holds many keys".
    pub fn card_can(&self, card: &CardView) -> String {
        self.word("card-can", &card.kind)
    }

    /// How many tries are left, "blocked", or that the card does not say.
    pub fn tries(&self, left: Option<u32>) -> String {
        let left = left.map_or_else(|| "unknown".to_owned(), |left| left.to_string());
        self.say("card-tries", &[("left", &left)])
    }

    /// What lies in a slot: "RSA-2048", "key", "free".
    pub fn spot(&self, spot: &SpotView) -> String {
        match &spot.algorithm {
            Some(algorithm) if spot.key == "key" => self.plain(algorithm).into_owned(),
            _ => self.word("card-key", &spot.key),
        }
    }

    /// The sentence for what was looked at, and the hint where something can be done about it; empty where nothing needs to be.
    pub fn check(&self, check: &CheckView) -> Advice {
        if let Some(problem) = &check.problem {
            let mut problem = problem.clone();
            problem.args.insert("again".to_owned(), self.say("check-again", &[]));
            return match check.args.get("name") {
                Some(name) => self.problem_of(name, &problem),
                None => self.problem(&problem),
            };
        }
        let mut args = self.readable(&check.args);
        for (name, value) in &mut args {
            if matches!(name.as_str(), "now" | "written") {
                *value = self.time(value);
            }
        }
        args.push(("result".to_owned(), check.state.clone()));
        let key = format!("check-{}", check.check);
        let sentence = self.catalogue.format(&key, None, &borrowed(&args));
        let hint = self.catalogue.format(&key, Some("hint"), &borrowed(&args)).filter(|_| Level::of(&check.state) > Level::Ok);
        Advice {
            sentence: sentence.unwrap_or_else(|| {
                let values = check.args.iter().map(|(name, value)| format!("{name}: {value}"));
                let words: Vec<String> = std::iter::once(capitalised(&spaced(&check.check))).chain(values).collect();
                self.plain(&words.join(", ")).into_owned()
            }),
            hint: hint.unwrap_or_default(),
        }
    }
}
