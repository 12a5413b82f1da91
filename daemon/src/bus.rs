//! The daemon on D-Bus: objects, signals, questions. What they mean is decided elsewhere; here it is said and asked.

use std::collections::BTreeSet;
use std::sync::Arc;

use obnova_api::MANAGER_PATH;
use obnova_core::ItemId;
use tokio::sync::mpsc;
use zbus::Connection;
use zbus::object_server::SignalEmitter;

use crate::cards::Cards;
use crate::courier::Courier;
use crate::credentials::Credentials;
use crate::engine::{Engine, Publication};
use crate::helper::Helper;
use crate::herald::Herald;
use crate::keyring::Keyring;
use crate::mailboxes::Mailboxes;
use crate::runner::Runner;
use crate::stores::Surveyor;

mod act;
pub mod admission;
pub mod agents;
mod cards;
mod discovery;
mod doctor;
mod job;
mod log;
mod mail;
pub(crate) mod mailboxes;
mod manager;
mod remember;
pub(crate) mod screen;
mod succession;
pub mod views;

use admission::Admission;
use agents::{Agents, Requester};
use manager::Manager;
use views::Household;

/// What the objects need to do their work.
#[derive(Clone)]
pub struct Desk {
    /// What is known.
    pub engine: Engine,
    /// Who does the renewals.
    pub runner: Runner,
    /// Who reaches cards.
    pub cards: Cards,
    /// Who opens files.
    pub helper: Helper,
    /// Who remembers passwords.
    pub keyring: Keyring,
    /// What opens without a question.
    pub credentials: Credentials,
    /// Who tells the executables of notices.
    pub herald: Herald,
    /// Who looks into the places.
    pub surveyor: Surveyor,
    /// Who opens mails.
    pub courier: Courier,
    /// Who reads mailboxes.
    pub mailboxes: Mailboxes,
    /// The servers whose Authentication-Results the person trusts, in lower case.
    pub mail_servers: Arc<[String]>,
    /// Who can be asked.
    pub agents: Arc<Agents>,
    /// Whose items these are.
    pub household: Household,
    /// Who is heard.
    pub admission: Admission,
}

/// Puts the manager and the unfinished jobs on the connection. The bus name is taken by the caller, last of all.
pub async fn serve(connection: &Connection, desk: &Desk, unfinished: &[u64]) -> zbus::Result<()> {
    connection.object_server().at(MANAGER_PATH, Manager::new(desk.clone())).await?;
    for number in unfinished {
        job::serve(connection, desk, *number).await?;
    }
    Ok(())
}

/// Takes the objects off the connection, which would keep each other for ever.
pub async fn withdraw(connection: &Connection, unfinished: &[u64]) -> zbus::Result<()> {
    for number in unfinished {
        job::withdraw(connection, *number).await?;
    }
    connection.object_server().remove::<Manager, _>(MANAGER_PATH).await.map(drop)
}

/// Turns what the engine publishes into signals, those of one moment together; ends with the engine. `changed` is told each
/// time something has changed.
pub async fn publish(
    connection: Connection,
    desk: Desk,
    mut publications: mpsc::UnboundedReceiver<Publication>,
    changed: impl Fn(),
) -> zbus::Result<()> {
    let emitter = SignalEmitter::new(&connection, MANAGER_PATH)?.into_owned();
    let mut batch = Vec::new();
    while publications.recv_many(&mut batch, 1024).await > 0 {
        let (mut there, mut gone, mut jobs) = (BTreeSet::<ItemId>::new(), BTreeSet::<ItemId>::new(), BTreeSet::new());
        let (mut notices, mut revision) = (Vec::new(), 0);
        for publication in batch.drain(..) {
            match publication {
                Publication::Changed(ids, counted) => {
                    revision = revision.max(counted);
                    gone.retain(|id| !ids.contains(id));
                    there.extend(ids);
                }
                Publication::Removed(ids) => {
                    there.retain(|id| !ids.contains(id));
                    gone.extend(ids);
                }
                Publication::Noticed(id, event, level) => notices.push((id, event, level)),
                Publication::Begun(number) => desk.runner.drive(number, Requester::default()),
                Publication::Arrived(number) => desk.go_on(number).await,
                Publication::Job(number) => {
                    jobs.insert(number);
                }
            }
        }
        if revision > 0
            && let Err(problem) = desk.end_overtaken().await
        {
            tracing::warn!(%problem, "renewals that are not needed any more go on");
        }
        if revision > 0
            && let Err(problem) = desk.go_on_with_arrived().await
        {
            tracing::warn!(%problem, "renewals whose certificates have come do not go on");
        }
        if !notices.is_empty()
            && let Ok(now) = desk.engine.read(|state| state.now().to_utc()).await
        {
            for (id, event, level) in &notices {
                desk.herald.tell(*id, event, views::level(*level), now);
            }
        }
        desk.herald.look(&desk.engine, &there.union(&gone).copied().collect()).await;
        let text = |ids: BTreeSet<ItemId>| ids.iter().map(ToString::to_string).collect::<Vec<_>>();
        if !there.is_empty() {
            Manager::changed(&emitter, text(there), revision).await?;
        }
        if !gone.is_empty() {
            Manager::removed(&emitter, text(gone)).await?;
        }
        for number in jobs {
            job::publish(&connection, &desk, number).await?;
        }
        for (id, event, level) in notices {
            Manager::noticed(&emitter, id.to_string(), event.to_owned(), views::level(level).as_str().to_owned()).await?;
        }
        changed();
    }
    Ok(())
}
