//! `watch`, `unwatch`, `discover` and `snooze`: which files Obnova looks after, and when it speaks of them.

use std::ffi::OsString;

use chrono::Local;
use obnova_api::dict::Dictionary;
use obnova_api::{ItemView, Options};
use obnova_text::shell_word;

use crate::agent::Registered;
use crate::ending::{Ending, Failure};
use crate::session::{Session, read};
use crate::verbs::look::{ends, items_table};
use crate::{find, moment, place, table};

/// Watches each of the places and shows what stands there. One that fails does not keep the others from being watched.
pub(crate) async fn watch(session: &mut Session<'_>, places: &[OsString]) -> Result<Ending, Failure> {
    let directory = std::env::current_dir()?;
    let agent = Registered::at_hand(session).await?;
    let (mut items, mut keys) = (Vec::new(), Vec::new());
    let mut ending = Ending::Done;
    for written in places {
        let uri = place::uri(written, &directory);
        match watch_one(session, &agent, &uri).await {
            Ok(None) => {
                ending = Ending::Failed;
                break;
            }
            Ok(Some(found)) => {
                let key = if found.is_empty() { "cli-watching-nothing" } else { "cli-watching" };
                let told = session.text.say(key, &[("path", &session.text.place(&uri))]);
                session.tell(&told)?;
                for (item, dictionary) in found {
                    items.push(item);
                    keys.push(dictionary);
                }
            }
            Err(failure) if failure.ending() == Ending::Unreachable => return Err(failure),
            Err(failure) => {
                let failure = without_password(session, failure, &uri);
                session.tell_failure(&failure)?;
                ending = failure.ending();
            }
        }
    }
    agent.leave().await;
    if session.door.json {
        session.json_array(&keys)?;
    } else if !items.is_empty() {
        items_table(session, &items)?;
    }
    Ok(ending)
}

pub(crate) async fn unwatch(session: &mut Session<'_>, id: &str) -> Result<Ending, Failure> {
    let item = find::any(session, id).await?;
    session.door.manager.unwatch(&item.id).await.map_err(|error| Failure::from(error).of(&item.name))?;
    if session.door.json {
        session.json(&serde_json::json!({ "id": item.id }))?;
    }
    let told = session.text.say("cli-unwatched", &[("name", &item.name)]);
    session.tell(&told)?;
    Ok(Ending::Done)
}

/// Shows certificates that nobody looks after, and how to have one looked after.
pub(crate) async fn discover(session: &mut Session<'_>) -> Result<Ending, Failure> {
    let reply = session.call("Discover", &()).await?;
    if session.door.json {
        let keys: Vec<Dictionary> = read(&reply)?;
        session.json_array(&keys)?;
        return Ok(Ending::Done);
    }
    let items: Vec<ItemView> = read(&reply)?;
    let Some(first) = items.first() else {
        let none = session.text.say("cli-discovered-nothing", &[]);
        session.tell(&none)?;
        return Ok(Ending::Done);
    };
    let columns = ["cli-column-name", "cli-column-state", "cli-column-ends", "cli-column-file"];
    let mut rows = vec![columns.map(|column| session.text.say(column, &[]))];
    rows.extend(items.iter().map(|item| {
        let path = item.place.as_deref().map(|place| session.text.place(place)).unwrap_or_default();
        [session.text.plain(&item.name).into_owned(), session.text.state(item), ends(session, item), path]
    }));
    for line in table::lines(&rows) {
        session.line(&line)?;
    }
    let path = shell_word(&first.place.as_deref().map(|place| session.text.place(place)).unwrap_or_default());
    let hint = session.text.say("cli-discovered-hint", &[("path_quoted", &path)]);
    session.hint(&hint)?;
    Ok(Ending::Done)
}

/// Puts the warning of an item off.
pub(crate) async fn snooze(session: &mut Session<'_>, id: &str, until: &str) -> Result<Ending, Failure> {
    let until = moment::until(until, session.now, &Local)?;
    let item = find::any(session, id).await?;
    let options = Options { until: Some(until.clone()), ..Options::default() };
    let acted = session.door.manager.act(&item.id, "snooze", &options).await;
    acted.map_err(|error| Failure::from(error).of(&item.name))?;
    if session.door.json {
        session.json(&serde_json::json!({ "id": item.id, "until": until }))?;
    }
    let told = session.text.say("cli-snoozed", &[("name", &item.name), ("until", &session.text.full_date(&until))]);
    session.tell(&told)?;
    Ok(Ending::Done)
}

type Found = Vec<(ItemView, Dictionary)>;

/// What stands at a place that is watched now; `None` if the person left while asked for a password.
async fn watch_one(session: &mut Session<'_>, agent: &Registered, uri: &str) -> Result<Option<Found>, Failure> {
    let manager = session.door.manager.clone();
    let options = Options::default();
    let body = (uri, &options);
    let call = manager.inner().call_method("Watch", &body);
    let reply = if agent.is_on() {
        tokio::select! {
            reply = call => reply?,
            () = &mut session.interrupted => return Ok(None),
        }
    } else {
        call.await?
    };
    let ids: Vec<String> = read(&reply)?;
    let mut found = Vec::with_capacity(ids.len());
    for id in ids {
        found.push(session.item(&id).await?);
    }
    Ok(Some(found))
}

/// Watching asks for nothing but the password: without an answer, that is what is missing.
fn without_password(session: &Session<'_>, failure: Failure, uri: &str) -> Failure {
    match failure {
        Failure::Problem(problem, _) if matches!(problem.kind.as_str(), "refused" | "no-agent") => {
            Failure::new("secret-needed", [("path", &session.text.place(uri))])
        }
        other => other,
    }
}
