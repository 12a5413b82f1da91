//! `export`, `check`, `completions`, `open`: what other programs are given of what there is.

use std::io::{ErrorKind, Write};
use std::process::{Command, Stdio};

use chrono::{DateTime, Local, Utc};
use obnova_api::{ItemView, Level, StatusView};

use crate::arguments::Shell;
use crate::calendar::{Due, calendar};
use crate::ending::{Ending, Failure};
use crate::session::{Session, dictionary, read};
use crate::{completions, find};

/// The program of the window.
const WINDOW: &str = "obnova-window";

/// So many days before the deadline, a calendar reminds: as the warnings come.
const REMINDERS: [u32; 2] = [21, 7];

/// What a monitoring plugin says (Monitoring Plugins Development Guidelines): its word, and its exit code, which those of the
/// other verbs are not.
const VERDICTS: [(&str, Ending); 4] =
    [("OK", Ending::Done), ("WARNING", Ending::Failed), ("CRITICAL", Ending::Usage), ("UNKNOWN", Ending::NeedsPerson)];

/// A calendar of all deadlines.
pub(crate) async fn calendar_of_deadlines(session: &mut Session<'_>) -> Result<Ending, Failure> {
    let items: Vec<ItemView> = session.items(&dictionary([])?).await?;
    let mut dues = Vec::new();
    for item in &items {
        let Some(deadline) = item.deadline.as_deref().and_then(instant) else { continue };
        dues.push(Due {
            id: item.id.clone(),
            day: deadline.with_timezone(&Local).date_naive(),
            summary: session.text.say("cli-calendar-summary", &[("name", &item.name)]),
            description: session.text.deadline(item, session.now).unwrap_or_default(),
            reminders: REMINDERS.to_vec(),
        });
    }
    let calendar = calendar(&session.text.say("cli-calendar", &[]), &dues, session.now);
    if session.door.json {
        session.json(&calendar.json())?;
    } else {
        session.out.write_all(calendar.lines().as_bytes())?;
    }
    Ok(Ending::Done)
}

/// One line for a monitoring system, with figures behind a bar.
pub(crate) async fn check(session: &mut Session<'_>) -> Result<Ending, Failure> {
    let reply = session.call("Status", &()).await?;
    let status: StatusView = read(&reply)?;
    let items: Vec<ItemView> = session.items(&dictionary([])?).await?;
    let deadlines = items.iter().filter_map(|item| item.deadline.as_deref().and_then(instant));
    let days = deadlines.min().map(|first| (first - session.now).num_days());
    let verdict = match Level::of(&status.level) {
        Level::Ok | Level::Notice => 0,
        Level::Warning => 1,
        Level::Critical => 2,
    };
    let mut figures = vec![format!("watched={};;;0", status.watched)];
    for level in Level::ALL {
        let count = status.levels.get(level.as_str()).copied().unwrap_or_default();
        figures.push(format!("{}={count};;;0", level.as_str()));
    }
    figures.extend(days.map(|days| format!("days={days}")));
    let line = session.text.status_line(&status, session.now);
    say(session.out, verdict, &line, &figures, session.door.json)
}

/// What a monitoring system is told when nothing could be found out.
pub(crate) fn unknown(out: &mut dyn Write, why: &str, json: bool) -> Result<Ending, Failure> {
    let ending = say(out, 3, why, &[], json)?;
    out.flush()?;
    Ok(ending)
}

fn say(out: &mut dyn Write, verdict: usize, line: &str, figures: &[String], json: bool) -> Result<Ending, Failure> {
    let (word, ending) = VERDICTS[verdict];
    if json {
        let state = word.to_lowercase();
        let value = serde_json::json!({ "state": state, "code": ending as u8, "line": line, "figures": figures });
        writeln!(out, "{value:#}")?;
        return Ok(ending);
    }
    // A bar begins the figures.
    let line = line.replace('|', "/").replace('\n', " ");
    let figures = if figures.is_empty() { String::new() } else { format!(" | {}", figures.join(" ")) };
    writeln!(out, "OBNOVA {word} - {line}{figures}")?;
    Ok(ending)
}

/// What a shell has to run so that it completes command lines.
pub(crate) fn register_completions(out: &mut dyn Write, shell: Shell) -> Result<Ending, Failure> {
    let script = completions::registration(shell)?;
    out.write_all(&script)?;
    Ok(Ending::Done)
}

/// Opens the window, at an item if one is meant. It goes on by itself.
pub(crate) async fn open(session: &mut Session<'_>, word: Option<&str>) -> Result<Ending, Failure> {
    let item = match word {
        Some(word) => Some(find::any(session, word).await?),
        None => None,
    };
    let mut window = Command::new(WINDOW);
    window.args(item.iter().map(|item| &item.id)).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    match window.spawn() {
        Ok(_goes_on) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => return Err(Failure::new("no-window", [])),
        Err(error) => return Err(Failure::new("internal", [("detail", &error.to_string())])),
    }
    if session.door.json {
        session.json(&serde_json::json!({ "id": item.map(|item| item.id) }))?;
    }
    Ok(Ending::Done)
}

fn instant(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(text).ok().map(|moment| moment.to_utc())
}
