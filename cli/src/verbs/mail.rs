//! `mail read` and `programme test`: what a mail is worth, and why.

use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;

use obnova_api::LetterView;
use obnova_api::dict::Dictionary;
use zbus::message::Message;
use zbus::zvariant::OwnedFd;

use crate::ending::{Ending, Failure};
use crate::session::{Session, read as body};
use crate::table;

/// Reads a mail as if it had come now.
pub(crate) async fn read(session: &mut Session<'_>, file: &Path) -> Result<Ending, Failure> {
    let mail = opened(file)?;
    let reply = session.call("ReadMail", &(shown(file), mail)).await?;
    tell(session, &reply, "cli-mail-stranger").await
}

/// Judges a mail by a programme that is only tried out.
pub(crate) async fn test(session: &mut Session<'_>, file: &Path, mail: &Path) -> Result<Ending, Failure> {
    let programme = std::fs::read_to_string(file).map_err(|error| unreadable(file, &error))?;
    let descriptor = opened(mail)?;
    let reply = session.call("JudgeMail", &(shown(file), programme, shown(mail), descriptor)).await?;
    tell(session, &reply, "cli-mail-stranger-here").await
}

/// What the daemon found; `none` says that it was nothing.
async fn tell(session: &mut Session<'_>, reply: &Message, none: &str) -> Result<Ending, Failure> {
    let letters: Vec<LetterView> = body(reply)?;
    if session.door.json {
        let letters: Vec<Dictionary> = body(reply)?;
        session.json_array(&letters)?;
        return Ok(Ending::Done);
    }
    if letters.is_empty() {
        let told = session.text.say(none, &[]);
        session.tell(&told)?;
    }
    for letter in &letters {
        let mut about = None;
        if let Some(item) = &letter.item {
            about = Some(session.item(item).await?.0.name);
        }
        let rows = facts(session, letter, about.as_deref());
        for line in table::lines(&rows) {
            session.line(&line)?;
        }
    }
    Ok(Ending::Done)
}

fn facts(session: &Session<'_>, letter: &LetterView, about: Option<&str>) -> Vec<[String; 2]> {
    let text = &session.text;
    let plain = |value: &str| text.plain(value).into_owned();
    let mut rows = vec![[text.say("cli-mail-verdict", &[]), text.letter(letter)]];
    let reasons = text.letter_reasons(letter).into_iter();
    rows.extend(reasons.map(|reason| [text.say("cli-mail-why", &[]), reason]));
    let more = [
        ("cli-mail-link", letter.link.as_deref().map(plain)),
        ("cli-mail-about", about.map(plain)),
        ("cli-mail-from", Some(plain(&letter.sender)).filter(|sender| !sender.is_empty())),
        ("cli-mail-to", Some(plain(&letter.to.join(", "))).filter(|to| !to.is_empty())),
        ("cli-mail-date", letter.date.as_ref().map(|date| text.full_date(date))),
        ("cli-mail-serial", letter.serial.clone()),
        ("cli-mail-programme", Some(plain(&letter.programme))),
    ];
    rows.extend(more.into_iter().filter_map(|(key, value)| Some([text.say(key, &[]), value?])));
    rows
}

fn opened(path: &Path) -> Result<OwnedFd, Failure> {
    let file = File::open(path).map_err(|error| unreadable(path, &error))?;
    Ok(std::os::fd::OwnedFd::from(file).into())
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    match error.kind() {
        ErrorKind::NotFound => Failure::new("place-missing", [("path", &shown(path))]),
        _ => Failure::new("place-broken", [("path", &shown(path)), ("detail", &error.to_string())]),
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
