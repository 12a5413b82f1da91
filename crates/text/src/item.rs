//! An item in words: its kind, state, next step and dates; and the one line that says how everything stands.

use chrono::{DateTime, Utc};
use obnova_api::{ItemView, ProblemView, StatusView};

use crate::date::passed;
use crate::{Text, capitalised, spaced};

impl Text {
    /// The kind of item: "certificate", "file".
    pub fn kind(&self, item: &ItemView) -> String {
        self.word("kind", &item.kind)
    }

    /// Who issues, by which way: "the new key itself".
    pub fn authority(&self, authority: &str) -> String {
        self.word("authority", authority)
    }

    /// The item's state: "ends soon", "waiting for your administrator".
    pub fn state(&self, item: &ItemView) -> String {
        let who = item.problem.as_ref().map_or("you", |problem| problem.who.as_str());
        self.catalogue.format(&format!("state-{}-{who}", item.state), None, &[]).unwrap_or_else(|| self.state_word(&item.state))
    }

    /// How much it matters: "needs attention".
    pub fn level(&self, level: &str) -> String {
        self.word("level", level)
    }

    /// What happens next, with the last day on which it helps where that is not the day on which the item ends anyway:
    /// "Renew by 3 Nov". `None` if nothing is to be done.
    pub fn next_step(&self, item: &ItemView, now: DateTime<Utc>) -> Option<String> {
        let next = item.next_step.as_ref()?;
        let mut step = self
            .catalogue
            .format(&format!("next-{}", next.what), None, &[("who", &next.who)])
            .unwrap_or_else(|| capitalised(&spaced(&next.what)));
        if let Some(by) = &next.by
            && !item.not_after.as_ref().is_some_and(|end| self.same_day(by, end))
        {
            step = self.say("next-by", &[("step", &step), ("date", &self.date(by, now))]);
        }
        Some(match next.who.as_str() {
            "administrator" if next.what != "wait" => self.say("next-administrator", &[("step", &step)]),
            _ => step,
        })
    }

    /// The label of the button that does this: "Renew".
    pub fn action(&self, action: &str) -> String {
        capitalised(&self.word("action", action))
    }

    /// The last day for acting beside the day on which it ends: "renew by 3 Nov · ends 10 Nov", just "ends 10 Nov" where they
    /// are the same, "by 3 Nov" for what does not end. `None` for what has no date.
    pub fn deadline(&self, item: &ItemView, now: DateTime<Utc>) -> Option<String> {
        let Some(end) = &item.not_after else {
            let by = item.deadline.as_ref()?;
            let key = if passed(by, now) { "ends-done-by" } else { "ends-by" };
            return Some(self.say(key, &[("by", &self.date(by, now))]));
        };
        let end_date = self.date(end, now);
        if passed(end, now) {
            return Some(self.say("ends-past", &[("end", &end_date)]));
        }
        Some(match &item.deadline {
            Some(by) if !self.same_day(by, end) => {
                let key = if passed(by, now) { "ends-late" } else { "ends-both" };
                self.say(key, &[("by", &self.date(by, now)), ("end", &end_date)])
            }
            _ => self.say("ends-at", &[("end", &end_date)]),
        })
    }

    /// How everything stands and what comes next, in one line:
    /// "3 certificates watched · next: renew “Anna Novak” by 3 Nov · ends 10 Nov".
    pub fn status_line(&self, status: &StatusView, now: DateTime<Utc>) -> String {
        if status.watched == 0 && status.first.is_none() {
            return self.say("status-none", &[]);
        }
        let watched = self.watched(status.watched);
        match &status.first {
            None => self.say("status-well", &[("watched", &watched)]),
            Some(item) => self.say("status-next", &[("watched", &watched), ("step", &self.status_step(item, now))]),
        }
    }

    /// [`Text::status_line`], and where the other scope is looked at.
    pub fn service_line(&self, status: &StatusView, now: DateTime<Utc>) -> String {
        let line = self.status_line(status, now);
        let key = if status.scope == "system" { "status-line-system" } else { "status-line-user" };
        self.say(key, &[("line", &line)])
    }

    /// "3 certificates watched".
    pub fn watched(&self, count: u64) -> String {
        self.say("status-watched", &[("count", &count.to_string())])
    }

    /// The word of a state, whoever must act.
    pub(crate) fn state_word(&self, state: &str) -> String {
        self.word("state", state)
    }

    fn status_step(&self, item: &ItemView, now: DateTime<Utc>) -> String {
        let renewing = item.next_step.as_ref().is_some_and(|next| next.what == "renew" && next.who == "you");
        if renewing {
            let (by, end) = (item.deadline.as_deref(), item.not_after.as_deref());
            let date = |instant: Option<&str>| instant.map(|instant| self.date(instant, now)).unwrap_or_default();
            let key = match (by, end) {
                (_, None) => "status-renew",
                (_, Some(end)) if passed(end, now) => "status-renew-past",
                (Some(by), Some(end)) if !passed(by, now) && !self.same_day(by, end) => "status-renew-dated",
                _ => "status-renew-ends",
            };
            return self.say(key, &[("name", &item.name), ("by", &date(by)), ("end", &date(end))]);
        }
        let step = self.next_step(item, now).unwrap_or_else(|| capitalised(&self.state(item)));
        match self.deadline(item, now).filter(|_| item.not_after.is_some()) {
            Some(deadline) => self.say("status-step-dated", &[("step", &step), ("name", &item.name), ("deadline", &deadline)]),
            None => self.say("status-step", &[("step", &step), ("name", &item.name)]),
        }
    }

    /// What a problem is called where there is only its kind, as in the log.
    pub(crate) fn problem_word(&self, kind: &str) -> String {
        let bare = ProblemView { kind: kind.to_owned(), ..Default::default() };
        self.problem_if_whole(&bare).map_or_else(|| spaced(kind), |advice| advice.sentence.trim_end_matches('.').to_owned())
    }
}
