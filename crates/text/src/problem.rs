//! A problem in words: what happened, and what to do about it.

use obnova_api::ProblemView;

use crate::args::borrowed;
use crate::{Text, spaced};

/// What a person is told when something went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advice {
    /// What happened, a whole sentence.
    pub sentence: String,
    /// What to do, with a command to copy where one helps.
    pub hint: String,
}

impl Text {
    /// The sentence and the hint for a problem; for one of an unknown kind, its words and where to find more.
    pub fn problem(&self, problem: &ProblemView) -> Advice {
        self.problem_if_whole(problem).unwrap_or_else(|| {
            let mut words = spaced(&problem.kind);
            for (name, value) in &problem.args {
                words.push_str(", ");
                words.push_str(name);
                words.push_str(": ");
                words.push_str(value);
            }
            self.advice("problem-other", &[("words", &words)]).unwrap_or(Advice { sentence: words, hint: String::new() })
        })
    }

    /// The same for the problem of an item of this name, which then stands in the commands to copy.
    pub fn problem_of(&self, name: &str, problem: &ProblemView) -> Advice {
        let mut named = problem.clone();
        named.args.entry("name".to_owned()).or_insert_with(|| name.to_owned());
        self.problem(&named)
    }

    /// The sentence and the hint, or `None` if the kind is unknown or the sentence lacks an argument.
    pub(crate) fn problem_if_whole(&self, problem: &ProblemView) -> Option<Advice> {
        let mut args = self.readable(&problem.args);
        if !problem.args.contains_key("again") {
            // What was interrupted is a renewal, unless the caller says otherwise.
            let name = args.iter().find(|(name, _)| name == "name_quoted").map_or("NAME", |(_, quoted)| quoted);
            let again = self.say("problem-again", &[("name_quoted", name)]);
            args.push(("again".to_owned(), again));
        }
        self.advice(&format!("problem-{}", problem.kind), &borrowed(&args))
    }

    fn advice(&self, key: &str, args: &[(&str, &str)]) -> Option<Advice> {
        Some(Advice {
            sentence: self.catalogue.format(key, None, args)?,
            hint: self.catalogue.format(key, Some("hint"), args)?,
        })
    }
}
