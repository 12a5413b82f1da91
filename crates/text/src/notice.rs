//! A notification in words: one title, one body, one button and "Later".

use chrono::{DateTime, Utc};
use obnova_api::ItemView;

use crate::date::passed;
use crate::{Text, capitalised, spaced};

/// What a notification says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// One line: what is the matter.
    pub title: String,
    /// What to do, and until when. May be empty.
    pub body: String,
    /// The label of the button that takes the item's next step; absent where that is not done from here.
    pub action_label: Option<String>,
    /// The label of the button that puts it off.
    pub later_label: String,
}

impl Text {
    /// The notification for an event (the second argument of `Noticed`) of an item.
    pub fn notice(&self, event: &str, item: &ItemView, now: DateTime<Utc>) -> Notice {
        let (title, body) = match event {
            "renewed" => self.renewed(item, now),
            "problem" => self.in_trouble(item, now),
            "revoked" => self.revoked(item, now),
            "found" => (self.say("notice-found", &[("name", &item.name)]), self.say("notice-found-body", &[])),
            "renewed-elsewhere" => {
                (self.say("notice-elsewhere", &[("name", &item.name)]), self.say("notice-elsewhere-body", &[]))
            }
            "locked" => (self.say("notice-locked", &[("name", &item.name)]), self.say("notice-locked-body", &[])),
            "letter-invited" => self.of_letter("notice-letter-invited", "notice-letter-invited-body", item, now),
            "letter-doubtful" => self.of_letter("notice-letter-doubtful", "notice-letter-doubtful-body", item, now),
            "letter-forged" => self.of_letter("notice-letter-forged", "notice-letter-forged-body", item, now),
            "letter-missing" => self.of_letter("notice-letter-missing", "notice-letter-missing-body", item, now),
            _ if is_warning(event) && (item.not_after.is_some() || item.deadline.is_some()) => {
                (self.warning_title(item, now), self.warning_body(item, now))
            }
            _ => (item.name.clone(), self.other_body(event, item, now)),
        };
        // What was begun without asking can be undone by one click.
        let undo = (event == "found").then_some("unwatch");
        let action = undo.or_else(|| item.next_step.as_ref().and_then(|next| next.action.as_deref()));
        Notice {
            title,
            body,
            action_label: action.map(|action| self.action(action)),
            later_label: self.say("notice-later", &[]),
        }
    }

    fn warning_title(&self, item: &ItemView, now: DateTime<Utc>) -> String {
        let count = count(item);
        let args = |rest: (&'static str, String)| -> [(&'static str, String); 3] {
            [("count", count.clone()), ("name", item.name.clone()), rest]
        };
        let say = |key: &str, args: [(&'static str, String); 3]| {
            let args: Vec<_> = args.iter().map(|(name, value)| (*name, value.as_str())).collect();
            self.say(key, &args)
        };
        match (&item.not_after, &item.deadline) {
            (Some(end), _) if passed(end, now) => say("notice-expired", args(("when", String::new()))),
            (Some(end), Some(by)) if !self.same_day(end, by) && !passed(by, now) => {
                say("notice-renew-by", args(("by", self.date(by, now))))
            }
            (Some(end), _) => say("notice-ends", args(("when", self.remaining(end, now)))),
            // Not a certificate: only that it is due is known.
            (None, _) => item.name.clone(),
        }
    }

    fn warning_body(&self, item: &ItemView, now: DateTime<Utc>) -> String {
        // Why its own date is not the one that counts.
        if let Some(problem) = item.problem.as_ref().filter(|problem| problem.kind == "authority-ends") {
            let advice = self.problem_of(&item.name, problem);
            return format!("{}\n{}", advice.sentence, advice.hint);
        }
        let deadline = capitalised(&self.deadline(item, now).unwrap_or_default());
        let next = item.next_step.as_ref();
        match self.next_step(item, now) {
            Some(_) if next.is_some_and(|next| next.action.as_deref() == Some("renew")) => {
                self.say("notice-body-renew", &[("deadline", &deadline)])
            }
            Some(step) => self.say("notice-body-step", &[("deadline", &deadline), ("step", &step)]),
            None => self.say("notice-body", &[("deadline", &deadline)]),
        }
    }

    fn of_letter(&self, title: &str, body: &str, item: &ItemView, now: DateTime<Utc>) -> (String, String) {
        let deadline = self.deadline(item, now).unwrap_or_default();
        (self.say(title, &[("name", &item.name)]), self.say(body, &[("deadline", &deadline)]))
    }

    fn renewed(&self, item: &ItemView, now: DateTime<Utc>) -> (String, String) {
        let count = count(item);
        let title = self.say("notice-renewed", &[("count", &count), ("name", &item.name)]);
        let body = match &item.not_after {
            Some(end) => self.say("notice-renewed-body", &[("count", &count), ("end", &self.date(end, now))]),
            None => self.say("notice-renewed-body-undated", &[]),
        };
        (title, body)
    }

    fn revoked(&self, item: &ItemView, now: DateTime<Utc>) -> (String, String) {
        let title = self.say("notice-revoked", &[("count", &count(item)), ("name", &item.name)]);
        (title, self.in_trouble(item, now).1)
    }

    fn in_trouble(&self, item: &ItemView, now: DateTime<Utc>) -> (String, String) {
        let who = item.problem.as_ref().map_or("you", |problem| problem.who.as_str());
        let title = self.say("notice-problem", &[("who", who), ("name", &item.name)]);
        let body = match &item.problem {
            Some(problem) => {
                let advice = self.problem_of(&item.name, problem);
                format!("{}\n{}", advice.sentence, advice.hint)
            }
            None => self.next_step(item, now).unwrap_or_else(|| capitalised(&self.state(item))),
        };
        (title, body)
    }

    fn other_body(&self, event: &str, item: &ItemView, now: DateTime<Utc>) -> String {
        let event = capitalised(&spaced(event));
        match self.next_step(item, now) {
            Some(step) => self.say("notice-other-step", &[("event", &event), ("step", &step)]),
            None => self.say("notice-other", &[("event", &event)]),
        }
    }
}

/// The thresholds of a schedule. What the warning says is counted from the present day, so one that comes late is right too.
fn is_warning(event: &str) -> bool {
    matches!(
        event,
        "three-weeks" | "one-week" | "three-days" | "two-days" | "one-day" | "today" | "expired" | "third" | "tenth"
    )
}

fn count(item: &ItemView) -> String {
    item.certificates.as_ref().map_or(1, |certificates| certificates.len().max(1)).to_string()
}
