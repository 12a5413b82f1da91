//! How instants are written for a person: days in the reader's time zone, short where the year is this one.

use chrono::{DateTime, Datelike, FixedOffset, Local, NaiveDateTime, Utc};

use crate::Text;

/// The reader's time zone.
pub(crate) enum Zone {
    /// That of the machine, summer time included.
    Local,
    /// A fixed distance from UTC.
    Fixed(FixedOffset),
}

impl Zone {
    fn at(&self, instant: DateTime<Utc>) -> NaiveDateTime {
        match self {
            Self::Local => instant.with_timezone(&Local).naive_local(),
            Self::Fixed(offset) => instant.with_timezone(offset).naive_local(),
        }
    }
}

impl Text {
    /// The day of an instant (RFC 3339): "3 Nov", or "3 Nov 2027" outside the year of `now`. What is no instant is shown as it is.
    pub fn date(&self, instant: &str, now: DateTime<Utc>) -> String {
        match parse(instant).map(|instant| self.zone.at(instant)) {
            Some(day) if day.year() == self.zone.at(now).year() => self.short(day),
            _ => self.full_date(instant),
        }
    }

    /// The day of an instant with its year: "3 Nov 2026".
    pub fn full_date(&self, instant: &str) -> String {
        parse(instant).map(|instant| self.zone.at(instant)).map_or_else(
            || instant.to_owned(),
            |day| self.say("date-full", &[("short", &self.short(day)), ("year", &day.year().to_string())]),
        )
    }

    /// An instant to the minute, for lines that stand below each other: "2026-11-03 08:15".
    pub fn time(&self, instant: &str) -> String {
        parse(instant).map_or_else(|| instant.to_owned(), |instant| self.zone.at(instant).format("%Y-%m-%d %H:%M").to_string())
    }

    /// How far away an instant is, in days of the calendar: "today", "tomorrow", "in 20 days", "3 days ago".
    pub fn remaining(&self, instant: &str, now: DateTime<Utc>) -> String {
        match self.days_until(instant, now) {
            Some(days) if days < 0 => self.say("date-days-ago", &[("days", &(-days).to_string())]),
            Some(days) => self.say("date-in-days", &[("days", &days.to_string())]),
            None => instant.to_owned(),
        }
    }

    /// Days of the calendar from `now` on; negative if it has passed.
    pub(crate) fn days_until(&self, instant: &str, now: DateTime<Utc>) -> Option<i64> {
        let day = self.zone.at(parse(instant)?).date();
        Some(day.signed_duration_since(self.zone.at(now).date()).num_days())
    }

    /// Whether the two are the same day for the reader.
    pub(crate) fn same_day(&self, one: &str, other: &str) -> bool {
        match (parse(one), parse(other)) {
            (Some(one), Some(other)) => self.zone.at(one).date() == self.zone.at(other).date(),
            _ => one == other,
        }
    }

    fn short(&self, day: NaiveDateTime) -> String {
        self.say("date-short", &[("day", &day.day().to_string()), ("month", &day.month().to_string())])
    }
}

/// Whether the instant lies before `now`; what is no instant does not.
pub(crate) fn passed(instant: &str, now: DateTime<Utc>) -> bool {
    parse(instant).is_some_and(|instant| instant < now)
}

fn parse(instant: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(instant).ok().map(|instant| instant.to_utc())
}
