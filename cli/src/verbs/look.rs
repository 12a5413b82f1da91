//! `status`, `list`, `show`, `renewals`: what there is. They know items, not kinds.

use obnova_api::dict::{Dictionary, to_json};
use obnova_api::{CertificateView, ItemView, Level, StatusView};
use obnova_text::shell_word;
use zbus::zvariant::Value;

use crate::ending::{Ending, Failure};
use crate::find::{self, needs_person};
use crate::session::{Session, dictionary, read};
use crate::table::{self, Colour};

/// How many items `status` names.
const STATUS_ITEMS: u32 = 5;

pub(crate) async fn status(session: &mut Session<'_>) -> Result<Ending, Failure> {
    let reply = session.call("Status", &()).await?;
    let status: StatusView = read(&reply)?;
    if session.door.json {
        let status: Dictionary = read(&reply)?;
        session.json(&to_json(&status))?;
    } else {
        let line = session.text.status_line(&status, session.now);
        session.line(&line)?;
        if let Some(mailboxes) = status.mailboxes {
            let line = session.text.say("cli-status-mailboxes", &[("count", &mailboxes.to_string())]);
            session.line(&line)?;
        }
        if let Some(first) = &status.first {
            needs_attention(session, &status, first).await?;
        } else if status.watched == 0 {
            let hint = session.text.say("cli-none-hint", &[]);
            session.hint(&hint)?;
        }
    }
    Ok(if status.first.as_ref().is_some_and(needs_person) { Ending::NeedsPerson } else { Ending::Done })
}

pub(crate) async fn list(session: &mut Session<'_>, all: bool) -> Result<Ending, Failure> {
    let filter = if all { dictionary([("all", Value::new(true))])? } else { dictionary([])? };
    if session.door.json {
        let items = session.items(&filter).await?;
        session.json_array(&items)?;
        return Ok(Ending::Done);
    }
    let items: Vec<ItemView> = session.items(&filter).await?;
    if items.is_empty() {
        let (none, hint) = (session.text.say("cli-none", &[]), session.text.say("cli-none-hint", &[]));
        session.tell(&none)?;
        session.hint(&hint)?;
    } else {
        items_table(session, &items)?;
    }
    Ok(Ending::Done)
}

pub(crate) async fn show(session: &mut Session<'_>, id: &str) -> Result<Ending, Failure> {
    let found = find::any(session, id).await?;
    let (item, keys) = session.item(&found.id).await?;
    if session.door.json {
        session.json(&to_json(&keys))?;
        return Ok(Ending::Done);
    }
    let name = session.text.plain(&item.name).into_owned();
    session.line(&name)?;
    let rows = facts(session, &item);
    for line in table::lines(&rows) {
        session.line(&format!("  {line}"))?;
    }
    for certificate in item.certificates.iter().flatten() {
        let heading = session.text.say("cli-show-certificate", &[]);
        session.line("")?;
        session.line(&format!("  {heading}: {}", session.text.plain(&certificate.role)))?;
        for line in table::lines(&certificate_facts(session, certificate)) {
            session.line(&format!("    {line}"))?;
        }
    }
    Ok(Ending::Done)
}

pub(crate) async fn renewals(session: &mut Session<'_>, all: bool) -> Result<Ending, Failure> {
    let filter = dictionary([("kind", Value::new("renewal")), ("all", Value::new(all))])?;
    let mut both: Vec<(ItemView, Dictionary)> = session.items_both_ways(&filter).await?;
    both.retain(|(item, _)| all || find::is_present(item));
    let (items, keys): (Vec<_>, Vec<_>) = both.into_iter().unzip();
    if session.door.json {
        session.json_array(&keys)?;
        return Ok(Ending::Done);
    }
    if items.is_empty() {
        let none = session.text.say("cli-no-renewals", &[]);
        session.tell(&none)?;
        return Ok(Ending::Done);
    }
    let columns = ["cli-column-number", "cli-column-name", "cli-column-state", "cli-column-next"];
    let mut rows = vec![columns.map(|column| session.text.say(column, &[]))];
    rows.extend(items.iter().map(|item| {
        [
            find::job_number(item).unwrap_or("–").to_owned(),
            session.text.plain(&item.name).into_owned(),
            session.text.state(item),
            session.text.next_step(item, session.now).unwrap_or_else(|| "–".to_owned()),
        ]
    }));
    for line in table::lines(&rows) {
        session.line(&line)?;
    }
    Ok(Ending::Done)
}

/// The table of `list`.
pub(crate) fn items_table(session: &mut Session<'_>, items: &[ItemView]) -> Result<(), Failure> {
    let columns = ["cli-column-name", "cli-column-state", "cli-column-ends", "cli-column-next"];
    let mut rows = Vec::with_capacity(items.len() + 1);
    rows.push(columns.map(|column| session.text.say(column, &[])));
    rows.extend(items.iter().map(|item| {
        [
            session.text.plain(&item.name).into_owned(),
            session.text.state(item),
            ends(session, item),
            session.text.next_step(item, session.now).unwrap_or_else(|| "–".to_owned()),
        ]
    }));
    let colour = |row: usize, column: usize| {
        let item = items.get(row.checked_sub(1)?).filter(|_| session.colour && column == 1)?;
        match Level::of(&item.level) {
            Level::Ok => Some(Colour::Green),
            Level::Notice => None,
            Level::Warning => Some(Colour::Yellow),
            Level::Critical => Some(Colour::Red),
        }
    };
    for line in table::painted(&rows, colour) {
        session.line(&line)?;
    }
    Ok(())
}

/// What the person can type for the next step, where this program does it.
pub(crate) fn command(session: &Session<'_>, item: &ItemView) -> Option<String> {
    let next = item.next_step.as_ref().filter(|next| next.who == "you")?;
    let name = shell_word(&item.name);
    let args = [("name_quoted", name.as_str())];
    match next.action.as_deref().unwrap_or(&next.what) {
        "renew" => Some(session.text.say("cli-command-renew", &args)),
        "resume" | "answer" => Some(session.text.say("cli-command-resume", &args)),
        "sign-in" => Some(session.text.say("cli-command-sign-in", &args)),
        "unblock" => Some(session.text.say("cli-command-unblock", &args)),
        "unlock" => {
            let path = shell_word(&session.text.place(item.place.as_deref()?));
            Some(session.text.say("cli-command-watch", &[("path_quoted", &path)]))
        }
        _ => None,
    }
}

/// What needs somebody, and the command for the first of it.
async fn needs_attention(session: &mut Session<'_>, status: &StatusView, first: &ItemView) -> Result<(), Failure> {
    let reply = session.call("Items", &(dictionary([])?, "", STATUS_ITEMS)).await?;
    let (mut items, _): (Vec<ItemView>, String) = read(&reply)?;
    items.retain(|item| Level::of(&item.level) > Level::Ok && item.id != first.id);
    items.insert(0, first.clone());
    session.line("")?;
    items_table(session, &items)?;
    let all: u64 = status.levels.iter().filter(|(level, _)| Level::of(level) > Level::Ok).map(|(_, count)| count).sum();
    let more = all.saturating_sub(items.len() as u64);
    if more > 0 {
        let line = session.text.say("cli-status-more", &[("count", &more.to_string())]);
        session.line(&line)?;
    }
    let hint = match (&first.problem, command(session, first)) {
        (Some(problem), _) => {
            let advice = session.text.problem_of(&first.name, problem);
            session.line("")?;
            session.line(&advice.sentence)?;
            Some(advice.hint)
        }
        (None, Some(command)) => Some(session.text.say("cli-status-do", &[("command", &command)])),
        (None, None) => None,
    };
    hint.map_or(Ok(()), |hint| session.hint(&hint))?;
    Ok(())
}

/// When it ends, and how far away that is.
pub(crate) fn ends(session: &Session<'_>, item: &ItemView) -> String {
    match item.not_after.as_ref().or(item.deadline.as_ref()) {
        Some(end) => session.text.say(
            "cli-ends",
            &[("date", &session.text.date(end, session.now)), ("remaining", &session.text.remaining(end, session.now))],
        ),
        None => "–".to_owned(),
    }
}

fn facts(session: &Session<'_>, item: &ItemView) -> Vec<[String; 2]> {
    let text = &session.text;
    let mut rows = Vec::new();
    let mut add = |key: &str, value: Option<String>| {
        rows.extend(value.map(|value| [text.say(key, &[]), value]));
    };
    let advice = item.problem.as_ref().map(|problem| text.problem_of(&item.name, problem));
    add("cli-show-kind", Some(text.kind(item)));
    add("cli-show-state", Some(text.state(item)));
    add("cli-show-deadline", text.deadline(item, session.now));
    add("cli-show-next", text.next_step(item, session.now));
    add("cli-show-command", command(session, item).filter(|_| advice.is_none()));
    add("cli-show-problem", advice.as_ref().map(|advice| advice.sentence.clone()));
    add("cli-show-advice", advice.map(|advice| advice.hint));
    add("cli-show-renewed-by", item.renewed_by.as_ref().map(|tool| text.plain(tool).into_owned()));
    add("cli-show-programme", item.programme.as_ref().map(|programme| text.plain(programme).into_owned()));
    add("cli-show-file", item.place.as_ref().map(|place| text.place(place)));
    add("cli-show-owner", Some(text.plain(&item.owner).into_owned()).filter(|owner| !owner.is_empty()));
    add("cli-show-id", Some(item.id.clone()));
    rows
}

fn certificate_facts(session: &Session<'_>, certificate: &CertificateView) -> Vec<[String; 2]> {
    let text = &session.text;
    let span = [("from", text.full_date(&certificate.not_before)), ("end", text.full_date(&certificate.not_after))];
    let span = span.each_ref().map(|(name, date)| (*name, date.as_str()));
    [
        ("cli-show-subject", text.plain(&certificate.subject).into_owned()),
        ("cli-show-issuer", text.plain(&certificate.issuer).into_owned()),
        ("cli-show-valid", text.say("cli-show-valid-span", &span)),
        ("cli-show-serial", certificate.serial.clone()),
        ("cli-show-sha256", certificate.sha256.clone()),
        ("cli-show-file", text.place(&certificate.place)),
    ]
    .map(|(key, value)| [text.say(key, &[]), value])
    .to_vec()
}
