//! A question in words: what is asked, why, and what happens with the answer. Asking, and taking the answer, is the agent's.

use std::path::Path;

use obnova_api::{QuestionView, RulesView};

use crate::args::borrowed;
use crate::{Text, capitalised};

/// The questions for a yes that have words of their own, and the messages that hold them.
const BY_THEMSELVES: [(&str, &str); 2] = [("last-try", "question-last-try"), ("send-again", "question-send-again")];

/// What a new certificate may say otherwise than was asked for: the arguments with both, and the message for each.
const DIFFERENCES: [(&str, &str); 4] = [
    ("subject_new", "question-differs-subject"),
    ("addresses_new", "question-differs-addresses"),
    ("usage_new", "question-differs-usage"),
    ("names_new", "question-differs-names"),
];

/// Which of the methods of `org.obnova.Agent1` asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// A secret that exists.
    Secret,
    /// A new secret.
    NewSecret,
    /// One of several choices.
    Choose,
    /// A yes.
    Consent,
    /// Whether to open a link.
    OpenLink,
    /// Whether something has been done by hand.
    ConfirmHandStep,
}

/// What a person reads of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// One line: what is asked.
    pub title: String,
    /// What happens with the answer, one sentence per line; why the last answer was refused, first. May be empty.
    pub body: String,
    /// What stands before the field or the cursor, without a colon.
    pub prompt: String,
    /// What asks for a new secret a second time, without a colon.
    pub again: String,
    /// That the two new secrets differ.
    pub differ: String,
    /// The label for yes.
    pub yes: String,
    /// The label for no.
    pub no: String,
}

impl Text {
    /// The words of a question.
    pub fn question(&self, asked: Asked, question: &QuestionView) -> Question {
        let secret = question.secret.as_deref().unwrap_or("password");
        let about_secret = [("secret", secret)];
        let (title, body, prompt, yes) = match asked {
            Asked::Secret => (
                self.secret_title("question-secret", question, secret),
                self.secret_body(question, secret),
                self.say("question-secret-prompt", &about_secret),
                self.say("question-yes", &[]),
            ),
            Asked::NewSecret => (
                self.secret_title("question-new-secret", question, secret),
                question.rules.as_ref().map(|rules| self.rules(rules)).unwrap_or_default(),
                self.say("question-new-secret-prompt", &about_secret),
                self.say("question-yes", &[]),
            ),
            Asked::Choose => (
                self.say("question-choose", &[]),
                self.say("question-choose-body", &[("name", &question.name)]),
                self.say("question-choose-prompt", &[]),
                self.say("question-yes", &[]),
            ),
            Asked::Consent => self.consent(question),
            Asked::OpenLink => self.hand("question-link", question),
            Asked::ConfirmHandStep if question.about == "insert-card" => self.hand("question-insert-card", question),
            Asked::ConfirmHandStep => self.hand("question-hand-step", question),
        };
        Question {
            title,
            body,
            prompt,
            again: self.say("question-new-secret-again", &[]),
            differ: self.say("question-new-secret-differ", &[]),
            yes,
            no: self.say("question-no", &[]),
        }
    }

    /// What a new secret must look like: "4 to 8 digits."
    pub fn rules(&self, rules: &RulesView) -> String {
        self.say("question-rules", &rule_args(rules).each_ref().map(|(name, value)| (*name, value.as_str())))
    }

    /// Why a new secret does not keep the rules, or `None` if it does. Length is counted in characters, or in bytes where
    /// it is no UTF-8. Nothing of the secret gets into the answer.
    pub fn rule_broken(&self, rules: &RulesView, secret: &[u8]) -> Option<String> {
        let length = std::str::from_utf8(secret).map_or(secret.len(), |text| text.chars().count());
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        let key = if rules.digits_only && !secret.iter().all(u8::is_ascii_digit) {
            "question-rules-digits"
        } else if length < rules.min {
            "question-rules-short"
        } else if length > rules.max {
            "question-rules-long"
        } else {
            return None;
        };
        Some(self.say(key, &rule_args(rules).each_ref().map(|(name, value)| (*name, value.as_str()))))
    }

    fn secret_title(&self, key: &str, question: &QuestionView, secret: &str) -> String {
        let path = question.args.as_ref().and_then(|args| args.get("path"));
        let file = path.and_then(|path| Path::new(path).file_name()).map(|name| name.to_string_lossy().into_owned());
        let card = question.args.as_ref().and_then(|args| args.get("card")).map(|card| format!("“{card}”"));
        let account = question.args.as_ref().and_then(|args| args.get("account")).cloned();
        let what = account.or(file).or(card).unwrap_or_else(|| question.name.clone());
        if what.is_empty() {
            self.say(key, &[("secret", secret)])
        } else {
            self.say(&format!("{key}-of"), &[("secret", secret), ("what", &what)])
        }
    }

    fn secret_body(&self, question: &QuestionView, secret: &str) -> String {
        let mut lines = Vec::new();
        if question.refused == Some(true) {
            lines.push(self.say("question-secret-refused", &[("secret", secret)]));
        }
        if let Some(tries) = question.tries_left {
            lines.push(self.say("question-secret-tries", &[("tries_left", &tries.to_string())]));
        }
        let uses: Vec<_> = question.uses.iter().flatten().map(|word| self.word("use", word)).collect();
        if let Some(uses) = self.list(&uses) {
            lines.push(self.say("question-secret-used", &[("uses", &uses)]));
        }
        lines.join("\n")
    }

    fn consent(&self, question: &QuestionView) -> (String, String, String, String) {
        let args = question.args.clone().unwrap_or_default();
        let given = |name: &str| args.get(name).filter(|value| !value.is_empty());
        let prompt = self.say("question-consent-prompt", &[]);
        let steps = question.steps.as_deref().unwrap_or_default();
        if let Some((_, key)) = BY_THEMSELVES.iter().find(|(about, _)| *about == question.about) {
            return self.hand(key, question);
        }
        if question.about == "differences" {
            let readable = self.readable(&args);
            let told = DIFFERENCES.iter().filter(|(arg, _)| args.contains_key(*arg));
            let mut lines: Vec<String> = told.map(|(_, key)| self.say(key, &borrowed(&readable))).collect();
            lines.push(self.say("question-differs-then", &[]));
            let title = self.say("question-differs", &[("name", &question.name)]);
            return (title, lines.join("\n"), prompt, self.say("question-differs-yes", &[]));
        }
        if question.about != "renewal" {
            let title = self.say("question-consent-other", &[("name", &question.name)]);
            let steps: Vec<_> = steps.iter().map(|step| self.step(step)).collect();
            let body = self.list(&steps).map(|steps| self.say("question-consent-then", &[("steps", &steps)]));
            return (title, body.unwrap_or_default(), prompt, self.say("question-yes", &[]));
        }
        let readable = self.readable(&args);
        let readable = borrowed(&readable);
        let mut lines = Vec::new();
        if given("not_after").is_some() {
            lines.push(self.say("question-consent-ends", &readable));
        }
        let makes = steps.is_empty() || steps.iter().any(|step| step == "generate-keys");
        if given("computer").is_some() {
            let keys = ["question-consent-page", "question-consent-page-test", "question-consent-page-then"];
            lines.extend(keys.map(|key| self.say(key, &readable)));
        } else if given("card").is_some() {
            let keys = ["question-consent-card", "question-consent-card-keeps", "question-consent-sittings"];
            lines.extend(keys.map(|key| self.say(key, &readable)));
        } else {
            let replaces = given("replaces").is_some();
            lines.push(match (makes, given("to").filter(|_| !replaces)) {
                (true, Some(_)) => self.say("question-consent-makes", &readable),
                (true, None) => self.say("question-consent-makes-somewhere", &[]),
                (false, Some(_)) => self.say("question-consent-adopts-from", &readable),
                (false, None) => self.say("question-consent-adopts", &[]),
            });
            lines.push(self.say(if replaces { "question-consent-replaces" } else { "question-consent-keeps" }, &readable));
            if given("subject").is_some() {
                lines.push(self.say("question-consent-subject", &readable));
            }
            if makes && given("new_secret").is_some() {
                lines.push(self.say("question-consent-new-secret", &readable));
            } else if makes && let Some(secret) = given("secret") {
                lines.push(self.say("question-consent-secret", &[("secret", secret)]));
            }
        }
        for (arg, key) in [("tells", "question-consent-tells"), ("programs", "question-consent-programs")] {
            if given(arg).is_some() {
                lines.push(self.say(key, &readable));
            }
        }
        if given("mail_to").is_some() {
            lines.push(self.say("question-consent-mails", &readable));
        }
        if given("host").is_some() {
            lines.push(self.say("question-consent-sends", &readable));
        }
        if given("computer").is_some() {
            let title = self.say("question-consent", &[("name", &question.name)]);
            let yes = if given("link").is_some() { "question-consent-page-yes" } else { "question-consent-yes" };
            return (title, lines.join("\n"), prompt, self.say(yes, &[]));
        }
        if !makes {
            let title = self.say("question-adopt", &[("name", &question.name)]);
            return (title, lines.join("\n"), prompt, self.say("question-adopt-yes", &[]));
        }
        if let Some(programme) = given("programme") {
            lines.extend(self.catalogue.format(&format!("question-programme-{programme}"), None, &[]));
        }
        let title = self.say("question-consent", &[("name", &question.name)]);
        (title, lines.join("\n"), prompt, self.say("question-consent-yes", &[]))
    }

    fn hand(&self, key: &str, question: &QuestionView) -> (String, String, String, String) {
        let mut args = self.readable(&question.args.clone().unwrap_or_default());
        args.retain(|(name, _)| name != "name");
        args.push(("name".to_owned(), question.name.clone()));
        args.push(("secret".to_owned(), question.secret.clone().unwrap_or_else(|| "pin".to_owned())));
        let body = self.catalogue.format(&format!("{key}-body"), None, &borrowed(&args));
        (
            self.say(key, &borrowed(&args)),
            body.unwrap_or_else(|| capitalised(&self.word("about", &question.about))),
            self.say("question-consent-prompt", &[]),
            self.say(&format!("{key}-yes"), &[]),
        )
    }

    /// "a, b and c"; `None` if there is nothing.
    fn list(&self, parts: &[String]) -> Option<String> {
        let (last, rest) = parts.split_last()?;
        let Some((nearest, rest)) = rest.split_last() else { return Some(last.clone()) };
        let end = self.say("list-two", &[("first", nearest), ("second", last)]);
        Some(rest.iter().rev().fold(end, |end, part| self.say("list-more", &[("first", part), ("second", &end)])))
    }
}

fn rule_args(rules: &RulesView) -> [(&'static str, String); 3] {
    [("min", rules.min.to_string()), ("max", rules.max.to_string()), ("digits", rules.digits_only.to_string())]
}
