//! `programme list`, `show`, `check`: how certificates are renewed.

use std::path::Path;

use obnova_api::ProgrammeView;
use obnova_api::dict::{Dictionary, to_json};

use crate::ending::{Ending, Failure};
use crate::session::{Session, read};
use crate::table;

/// The largest file that may be a programme, in bytes.
const LARGEST: u64 = 64 * 1024;

pub(crate) async fn list(session: &mut Session<'_>) -> Result<Ending, Failure> {
    let reply = session.call("Programmes", &()).await?;
    if session.door.json {
        let keys: Vec<Dictionary> = read(&reply)?;
        session.json_array(&keys)?;
        return Ok(Ending::Done);
    }
    let programmes: Vec<ProgrammeView> = read(&reply)?;
    let columns = ["cli-column-name", "cli-column-certificates", "cli-column-authority"];
    let mut rows = vec![columns.map(|column| session.text.say(column, &[]))];
    rows.extend(programmes.iter().map(|programme| {
        let authority = session.text.authority(&programme.authority);
        [session.text.plain(&programme.name).into_owned(), programme.roles.join(", "), authority]
    }));
    for line in table::lines(&rows) {
        session.line(&line)?;
    }
    Ok(Ending::Done)
}

pub(crate) async fn show(session: &mut Session<'_>, name: &str) -> Result<Ending, Failure> {
    let reply = session.call("Programmes", &()).await?;
    let programmes: Vec<ProgrammeView> = read(&reply)?;
    let keys: Vec<Dictionary> = read(&reply)?;
    let found = programmes.iter().zip(&keys).find(|(programme, _)| programme.name == name);
    let (programme, keys) = found.ok_or_else(|| Failure::new("no-such-programme", [("name", name)]))?;
    if session.door.json {
        session.json(&to_json(keys))?;
        return Ok(Ending::Done);
    }
    tell(session, programme)?;
    Ok(Ending::Done)
}

/// Reads a file as a programme and says what is wrong with it, or what it means.
pub(crate) async fn check(session: &mut Session<'_>, file: &Path) -> Result<Ending, Failure> {
    let shown = file.display().to_string();
    let text = contents(file).map_err(|error| {
        let detail = error.to_string();
        Failure::new("file-unreadable", [("path", shown.as_str()), ("detail", detail.as_str())])
    })?;
    let reply = session.call("CheckProgramme", &(shown.as_str(), text.as_str())).await?;
    if session.door.json {
        let keys: Dictionary = read(&reply)?;
        session.json(&to_json(&keys))?;
        return Ok(Ending::Done);
    }
    let programme: ProgrammeView = read(&reply)?;
    tell(session, &programme)?;
    let right = session.text.say("cli-programme-right", &[("path", &shown)]);
    session.tell(&right)?;
    Ok(Ending::Done)
}

fn contents(file: &Path) -> std::io::Result<String> {
    use std::io::Read as _;
    let mut text = String::new();
    let read = std::fs::File::open(file)?.take(LARGEST + 1).read_to_string(&mut text)?;
    if read as u64 > LARGEST { Err(std::io::ErrorKind::FileTooLarge.into()) } else { Ok(text) }
}

fn tell(session: &mut Session<'_>, programme: &ProgrammeView) -> Result<(), Failure> {
    let text = &session.text;
    let steps: Vec<String> = programme.steps.iter().map(|step| text.step(step)).collect();
    let mut rows = Vec::new();
    let mut add = |key: &str, value: Option<String>| rows.extend(value.map(|value| [text.say(key, &[]), value]));
    add("cli-show-roles", Some(programme.roles.join(", ")));
    add("cli-show-authority", Some(text.authority(&programme.authority)));
    add("cli-show-key", Some(programme.key.clone()));
    let days = programme.validity_days.map(|days| text.say("cli-show-days", &[("days", &days.to_string())]));
    add("cli-show-validity", days);
    add("cli-show-secret", Some(text.rules(&programme.secret)));
    add("cli-show-steps", Some(steps.join(" · ")));
    let cards = programme.visiting_cards.join(", ");
    add("cli-show-mailboxes", Some(cards).filter(|cards| !cards.is_empty()));
    let name = text.plain(&programme.name).into_owned();
    session.line(&name)?;
    for line in table::lines(&rows) {
        session.line(&format!("  {line}"))?;
    }
    Ok(())
}
