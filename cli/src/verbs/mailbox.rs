//! `mail add`, `list`, `test` and `remove`: which mailboxes are read. Reading a mail from a file is `mail`'s.

use std::ffi::OsStr;
use std::path::Path;

use obnova_api::dict::Dictionary;
use obnova_api::{ItemView, MailboxOptions};
use zbus::zvariant::Value;

use crate::agent::Registered;
use crate::ending::{Ending, Failure};
use crate::session::{Session, dictionary, read};
use crate::verbs::act::act;
use crate::verbs::look::items_table;
use crate::{find, place};

/// Has a mailbox read, and shows it.
pub(crate) async fn add(session: &mut Session<'_>, mailbox: &OsStr, options: &MailboxOptions) -> Result<Ending, Failure> {
    let written = place::mailbox(mailbox, &std::env::current_dir()?);
    let agent = Registered::at_hand(session).await?;
    let manager = session.door.manager.clone();
    let body = (written, options);
    let added = tokio::select! {
        added = manager.inner().call_method("AddMailbox", &body) => Some(added),
        () = &mut session.interrupted => None,
    };
    agent.leave().await;
    let Some(added) = added else { return Ok(Ending::Failed) };
    let id: String = read(&added?)?;
    let (item, _) = session.item(&id).await?;
    told(session, &item, "cli-mailbox-added")
}

pub(crate) async fn list(session: &mut Session<'_>) -> Result<Ending, Failure> {
    let filter = dictionary([("kind", Value::new("mailbox"))])?;
    let both: Vec<(ItemView, Dictionary)> = session.items_both_ways(&filter).await?;
    let (items, keys): (Vec<_>, Vec<_>) = both.into_iter().unzip();
    if session.door.json {
        session.json_array(&keys)?;
    } else if items.is_empty() {
        let (none, hint) = (session.text.say("cli-mailbox-none", &[]), session.text.say("cli-mailbox-none-hint", &[]));
        session.tell(&none)?;
        session.hint(&hint)?;
    } else {
        items_table(session, &items)?;
    }
    Ok(Ending::Done)
}

pub(crate) async fn test(session: &mut Session<'_>, id: Option<&str>) -> Result<Ending, Failure> {
    let item = find::mailbox(session, id).await?;
    act(session, &item, "test", "cli-mailbox-fine", |failure| failure).await
}

pub(crate) async fn remove(session: &mut Session<'_>, id: &str) -> Result<Ending, Failure> {
    let item = find::mailbox(session, Some(id)).await?;
    session.door.manager.unwatch(&item.id).await.map_err(|error| Failure::from(error).of(&item.name))?;
    told(session, &item, "cli-mailbox-removed")
}

/// The absolute path of a file that the daemon is to read.
pub(crate) fn file(path: &Path) -> Result<String, Failure> {
    place::target(path, &std::env::current_dir()?)
}

fn told(session: &mut Session<'_>, item: &ItemView, done: &str) -> Result<Ending, Failure> {
    if session.door.json {
        session.json(&serde_json::json!({ "id": item.id }))?;
    }
    let name = session.text.plain(&item.name).into_owned();
    let told = session.text.say(done, &[("name", &name)]);
    session.tell(&told)?;
    Ok(Ending::Done)
}
