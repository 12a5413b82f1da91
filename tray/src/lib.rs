//! Obnova beside the clock: an icon with a menu of items, one notification per notice, and the questions that a renewal asks.
//!
//! [`menu`] and [`news`] decide what is said, purely; [`follow`] listens to the daemon; [`desktop`] shows; [`agent`] asks.
//! Knows items, not certificates: what the daemon will watch one day is shown without a change here.

pub mod agent;
pub mod desktop;
pub mod follow;
pub mod menu;
pub mod news;

use std::io;

use chrono::Utc;
use obnova_api::AGENT_PATH;
use obnova_text::Text;
use sd_notify::NotifyState;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{info, warn};

use crate::agent::{Agent, Pinentry};
use crate::follow::{FollowError, Follower, Parts};

/// How the tray is started.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Address of the bus on which the daemon is; the session's if absent. Icon and notifications are always on the session's.
    pub bus: Option<String>,
    /// What asks for secrets.
    pub pinentry: Pinentry,
    /// The person's locale, for [`Text::for_environment`].
    pub locale: String,
}

/// Why the tray ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no session bus, or not the one that was named.
    #[error("no connection to the bus")]
    Bus(#[source] zbus::Error),
    /// The icon's thread does not start.
    #[error("cannot open the desktop")]
    Desktop(#[source] desktop::IconError),
    /// Signals cannot be received.
    #[error("cannot listen to signals")]
    Signals(#[source] io::Error),
    /// There is nothing left to follow.
    #[error("cannot follow the daemon")]
    Follow(#[from] FollowError),
}

/// Runs until SIGTERM or SIGINT, which end it well. A bus that goes away ends it with an error, so that systemd starts it again
/// unless the session ends as well (the unit is part of `graphical-session.target`, which stops it).
pub async fn run(options: Options) -> Result<(), Error> {
    let mut terminate = signal(SignalKind::terminate()).map_err(Error::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Error::Signals)?;
    tokio::select! {
        outcome = serve(options) => outcome,
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    }
}

async fn serve(options: Options) -> Result<(), Error> {
    let session = zbus::Connection::session().await.map_err(Error::Bus)?;
    let daemon = match &options.bus {
        Some(address) => {
            zbus::connection::Builder::address(address.as_str()).map_err(Error::Bus)?.build().await.map_err(Error::Bus)?
        }
        None => session.clone(),
    };
    let agent = Agent::new(options.pinentry, Text::for_environment(&options.locale));
    daemon.object_server().at(AGENT_PATH, agent).await.map_err(Error::Bus)?;
    let desktop = desktop::open(session).map_err(Error::Desktop)?;
    let text = Text::for_environment(&options.locale);
    let follower = Follower::subscribe(Parts { daemon, desktop, text, now: Utc::now }).await?;
    if let Err(error) = sd_notify::notify(&[NotifyState::Ready]) {
        warn!(error = &error as &dyn std::error::Error, "the service manager was not told");
    }
    info!(version = env!("CARGO_PKG_VERSION"), "listening");
    Ok(follower.follow().await?)
}
