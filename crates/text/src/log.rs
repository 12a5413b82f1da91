//! The log in words, and the steps of a job.

use obnova_api::LogView;

use crate::args::borrowed;
use crate::{Text, capitalised, spaced};

impl Text {
    /// What a record of the log says, without its time.
    pub fn log_line(&self, record: &LogView) -> String {
        let given = |name: &str| record.args.get(name).map(String::as_str).filter(|value| !value.is_empty());
        let mut args = self.readable(&record.args);
        if let Some(step) = given("step") {
            args.push(("doing".to_owned(), self.step_doing(step)));
            args.push(("done".to_owned(), self.step_done(step)));
        }
        if let Some(problem) = given("problem") {
            args.retain(|(name, _)| name != "problem");
            args.push(("problem".to_owned(), self.problem_word(problem)));
        }
        if record.event == "letter-came"
            && let Some(kind) = given("kind")
        {
            args.retain(|(name, _)| name != "kind");
            args.push(("kind".to_owned(), self.letter_kind(kind)));
        }
        let key = match record.event.as_str() {
            "announced" if given("threshold") == Some("revoked") => "log-announced-revoked".to_owned(),
            "announced" if given("days").is_some_and(|days| days.starts_with('-')) => "log-announced-past".to_owned(),
            "step-done" if given("detail").is_some() => "log-step-done-detail".to_owned(),
            event => format!("log-{event}"),
        };
        self.catalogue.format(&key, None, &borrowed(&args)).unwrap_or_else(|| {
            let words = spaced(&record.event);
            match given("name") {
                Some(name) => self.say("log-other-named", &[("name", name), ("words", &words)]),
                None => self.say("log-other", &[("words", &capitalised(&words))]),
            }
        })
    }

    /// A step as something to do: "make the new key".
    pub fn step(&self, step: &str) -> String {
        self.word("step", step)
    }

    /// A step that is under way: "making the new key".
    pub fn step_doing(&self, step: &str) -> String {
        self.step_in("doing", step)
    }

    /// A step that is over: "the new key is made".
    pub fn step_done(&self, step: &str) -> String {
        self.step_in("done", step)
    }

    fn step_in(&self, voice: &str, step: &str) -> String {
        self.catalogue.format(&format!("step-{step}"), Some(voice), &[]).unwrap_or_else(|| spaced(step))
    }
}
