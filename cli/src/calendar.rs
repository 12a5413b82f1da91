//! A calendar with what is to be done until when (iCalendar, RFC 5545), as text and as JSON (jCal, RFC 7265).

use chrono::{DateTime, Days, NaiveDate, SecondsFormat, Utc};
use serde_json::{Value, json};

/// The longest line in octets, its end not counted (RFC 5545 section 3.1).
const WIDEST: usize = 75;

/// A component: `VCALENDAR`, `VEVENT`, `VALARM`.
#[derive(Debug)]
pub(crate) struct Component {
    name: &'static str,
    properties: Vec<Property>,
    components: Vec<Component>,
}

#[derive(Debug)]
struct Property {
    name: &'static str,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Text(String),
    /// A whole day.
    Date(NaiveDate),
    /// A moment.
    Moment(DateTime<Utc>),
    /// So many days before the event.
    Before(u32),
}

/// A day on which something is due.
#[derive(Debug)]
pub(crate) struct Due {
    /// Stable over exports, so that a calendar replaces what it has.
    pub(crate) id: String,
    /// The day.
    pub(crate) day: NaiveDate,
    /// What is to be done.
    pub(crate) summary: String,
    /// More about it.
    pub(crate) description: String,
    /// So many days before, the calendar is to remind.
    pub(crate) reminders: Vec<u32>,
}

/// The calendar of these days, as of this moment.
pub(crate) fn calendar(name: &str, dues: &[Due], now: DateTime<Utc>) -> Component {
    let properties = vec![
        text("VERSION", "2.0"),
        text("PRODID", concat!("-//Obnova//obnova ", env!("CARGO_PKG_VERSION"), "//EN")),
        text("CALSCALE", "GREGORIAN"),
        text("METHOD", "PUBLISH"),
        text("X-WR-CALNAME", name),
    ];
    Component { name: "VCALENDAR", properties, components: dues.iter().map(|due| event(due, now)).collect() }
}

fn event(due: &Due, now: DateTime<Utc>) -> Component {
    let alarm = |days: &u32| Component {
        name: "VALARM",
        properties: vec![
            text("ACTION", "DISPLAY"),
            text("DESCRIPTION", &due.summary),
            Property { name: "TRIGGER", content: Content::Before(*days) },
        ],
        components: Vec::new(),
    };
    let components = due.reminders.iter().map(alarm).collect();
    let properties = vec![
        text("UID", &format!("{}@obnova", due.id)),
        Property { name: "DTSTAMP", content: Content::Moment(now) },
        Property { name: "DTSTART", content: Content::Date(due.day) },
        Property { name: "DTEND", content: Content::Date(due.day.checked_add_days(Days::new(1)).unwrap_or(due.day)) },
        text("SUMMARY", &due.summary),
        text("DESCRIPTION", &due.description),
        // The day is not taken up by it.
        text("TRANSP", "TRANSPARENT"),
    ];
    Component { name: "VEVENT", properties, components }
}

fn text(name: &'static str, text: &str) -> Property {
    Property { name, content: Content::Text(text.to_owned()) }
}

impl Component {
    /// The lines, each ended by CRLF and none longer than it may be.
    pub(crate) fn lines(&self) -> String {
        let mut lines = String::new();
        self.write(&mut lines);
        lines
    }

    fn write(&self, lines: &mut String) {
        fold(&format!("BEGIN:{}", self.name), lines);
        for property in &self.properties {
            let (name, content) = (property.name, &property.content);
            let line = match content {
                Content::Text(text) => format!("{name}:{}", escape(text)),
                Content::Date(day) => format!("{name};VALUE=DATE:{}", day.format("%Y%m%d")),
                Content::Moment(moment) => format!("{name}:{}", moment.format("%Y%m%dT%H%M%SZ")),
                Content::Before(days) => format!("{name}:-P{days}D"),
            };
            fold(&line, lines);
        }
        self.components.iter().for_each(|component| component.write(lines));
        fold(&format!("END:{}", self.name), lines);
    }

    /// The same as jCal.
    pub(crate) fn json(&self) -> Value {
        let property = |property: &Property| {
            let (kind, value) = match &property.content {
                Content::Text(text) => ("text", text.clone()),
                Content::Date(day) => ("date", day.to_string()),
                Content::Moment(moment) => ("date-time", moment.to_rfc3339_opts(SecondsFormat::Secs, true)),
                Content::Before(days) => ("duration", format!("-P{days}D")),
            };
            json!([property.name.to_lowercase(), {}, kind, value])
        };
        let properties: Vec<Value> = self.properties.iter().map(property).collect();
        let components: Vec<Value> = self.components.iter().map(Self::json).collect();
        json!([self.name.to_lowercase(), properties, components])
    }
}

/// RFC 5545 section 3.3.11; control characters other than the line's end have no place in a text.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\\' | ';' | ',' => escaped.extend(['\\', letter]),
            '\n' => escaped.push_str("\\n"),
            letter if letter.is_control() => {}
            letter => escaped.push(letter),
        }
    }
    escaped
}

/// Breaks a line where it becomes too long, never within a character.
fn fold(line: &str, lines: &mut String) {
    let mut width = 0;
    for letter in line.chars() {
        if width + letter.len_utf8() > WIDEST {
            lines.push_str("\r\n ");
            width = 1;
        }
        lines.push(letter);
        width += letter.len_utf8();
    }
    lines.push_str("\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_folded_between_characters_and_texts_escaped() {
        let mut lines = String::new();
        fold(&format!("SUMMARY:{}", escape(&"žluťoučký kůň; a, b\\c\nd".repeat(9))), &mut lines);
        assert!(lines.ends_with("\r\n"));
        assert!(lines.split("\r\n").all(|line| line.len() <= WIDEST), "{lines}");
        let unfolded = lines.replace("\r\n ", "");
        assert!(unfolded.starts_with("SUMMARY:žluťoučký kůň\\; a\\, b\\\\c\\ndžlu"), "{unfolded}");
    }
}
