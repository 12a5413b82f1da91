//! Follows the daemon: what it says becomes orders to the desktop, what the person did becomes calls of `Act`. Owns what the
//! tray knows of the items, which is only what is on the screen. Sleeps until somebody says something.

use std::collections::BTreeMap;

use chrono::{DateTime, Local, Utc};
use futures_util::future::FutureExt;
use futures_util::stream::StreamExt;
use obnova_api::dict::Dictionary;
use obnova_api::{
    AGENT_PATH, AgentOptions, BUS_NAME, ChangedStream, Error, ItemView, ManagerProxy, NoticedStream, ProblemView, RemovedStream,
};
use obnova_text::Text;
use tokio::task::JoinSet;
use tracing::{debug, info, warn};
use zbus::Connection;
use zbus::fdo::{DBusProxy, NameOwnerChangedStream};
use zbus::proxy::CacheProperties;
use zbus::zvariant::ObjectPath;

use crate::agent;
use crate::desktop::{Desktop, Order, Response};
use crate::menu::{self, SHOWN};
use crate::news::{self, Act, News};

/// What the follower is made of.
pub struct Parts {
    /// The connection to the daemon, on which the agent is served.
    pub daemon: Connection,
    /// The desktop.
    pub desktop: Desktop,
    /// The words.
    pub text: Text,
    /// The time.
    pub now: fn() -> DateTime<Utc>,
}

/// Why the tray stops following: there is nothing left to follow.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// The bus cannot be used.
    #[error("the bus refuses the tray")]
    Bus(#[from] zbus::Error),
    /// The bus, or the peer in place of a bus, has gone away.
    #[error("the connection to the bus is lost")]
    Lost,
    /// The desktop has ended.
    #[error("the desktop takes no more orders")]
    Desktop,
}

/// Subscribed to everything, so that nothing said from now on is missed.
pub struct Follower {
    parts: Parts,
    manager: ManagerProxy<'static>,
    changed: ChangedStream,
    removed: RemovedStream,
    noticed: NoticedStream,
    /// Comings and goings of the daemon; none without a bus.
    owners: Option<NameOwnerChangedStream>,
    /// Notifications that may be on the screen, by item.
    shown: BTreeMap<String, News>,
    /// Whether there is a menu on the screen.
    visible: bool,
    /// Calls of `Act` under way.
    acts: JoinSet<Outcome>,
}

/// How a call of `Act` ended.
struct Outcome {
    item: String,
    action: String,
    /// The person waits for what it does, and is told when it fails.
    wanted: bool,
    result: Result<(), Error>,
}

impl Follower {
    /// Subscribes; does not speak to the daemon yet.
    pub async fn subscribe(parts: Parts) -> Result<Self, FollowError> {
        let daemon = &parts.daemon;
        let manager = ManagerProxy::builder(daemon).cache_properties(CacheProperties::No).build().await?;
        let (changed, removed) = (manager.receive_changed().await?, manager.receive_removed().await?);
        let noticed = manager.receive_noticed().await?;
        let owners = if daemon.is_bus() {
            Some(DBusProxy::new(daemon).await?.receive_name_owner_changed_with_args(&[(0, BUS_NAME)]).await?)
        } else {
            None
        };
        Ok(Self {
            parts,
            manager,
            changed,
            removed,
            noticed,
            owners,
            shown: BTreeMap::new(),
            visible: false,
            acts: JoinSet::new(),
        })
    }

    /// Follows until the connection or the desktop ends. The first call to the daemon starts it, where the bus can; one that
    /// ends later is waited for, not started again: it knows when it has nothing to do.
    pub async fn follow(mut self) -> Result<(), FollowError> {
        self.arrived().await?;
        loop {
            tokio::select! {
                // What the person did was done to what stood there then: before anything new.
                biased;
                response = self.parts.desktop.responses.recv() => self.respond(response.ok_or(FollowError::Desktop)?),
                owner = next_owner(&mut self.owners) => {
                    if owner.ok_or(FollowError::Lost)? {
                        self.arrived().await?;
                    } else {
                        self.left().await?;
                    }
                }
                changed = self.changed.next() => {
                    let mut ids = changed.ok_or(FollowError::Lost)?.args()?.ids;
                    while let Some(Some(more)) = self.changed.next().now_or_never() {
                        ids.extend(more.args()?.ids);
                    }
                    self.looked_at_again(&ids).await?;
                }
                removed = self.removed.next() => {
                    let ids = removed.ok_or(FollowError::Lost)?.args()?.ids;
                    self.looked_at_again(&ids).await?;
                }
                noticed = self.noticed.next() => {
                    let noticed = noticed.ok_or(FollowError::Lost)?;
                    let noticed = noticed.args()?;
                    self.noticed(&noticed.id, &noticed.event, &noticed.level).await?;
                }
                Some(outcome) = self.acts.join_next() => match outcome {
                    Ok(outcome) => self.ended(outcome)?,
                    Err(error) => warn!(%error, "a click came to nothing"),
                },
            }
        }
    }

    /// The daemon is there: it is told where questions are asked, and everything is looked at anew.
    async fn arrived(&mut self) -> Result<(), FollowError> {
        let path = ObjectPath::from_static_str_unchecked(AGENT_PATH);
        match self.manager.register_agent(&path, &AgentOptions { notifies: Some(true) }).await {
            Ok(()) => debug!("questions come here"),
            Err(error @ Error::Bus(_)) => {
                info!(error = &error as &dyn std::error::Error, "the daemon is not there yet");
                return Ok(());
            }
            Err(error) => warn!(error = &error as &dyn std::error::Error, "questions will not come here"),
        }
        let ids: Vec<String> = self.shown.keys().cloned().collect();
        self.looked_at_again(&ids).await
    }

    /// The daemon has gone. What it wanted to know it asks again; its notifications can still be answered, which starts it.
    async fn left(&mut self) -> Result<(), FollowError> {
        info!("the daemon has gone");
        agent::withdraw_all(self.parts.daemon.object_server()).await?;
        if self.visible {
            self.order(Order::Menu(Some(menu::of_silence(&self.parts.text))))?;
        }
        Ok(())
    }

    /// Brings the menu up to date, and takes off the notifications of these items that say nothing any more.
    async fn looked_at_again(&mut self, ids: &[String]) -> Result<(), FollowError> {
        match self.drawn().await {
            Ok(menu) => {
                self.visible = menu.is_some();
                self.order(Order::Menu(menu))?;
            }
            Err(error) => warn!(error = &error as &dyn std::error::Error, "the menu is out of date"),
        }
        for id in ids {
            let Some(news) = self.shown.get(id) else { continue };
            match self.item(id).await {
                Ok(item) if news::stands(news, item.as_ref()) => {}
                Ok(_) => {
                    self.shown.remove(id);
                    self.order(Order::Withdraw(id.clone()))?;
                }
                Err(error) => warn!(error = &error as &dyn std::error::Error, "a notification may be out of date"),
            }
        }
        Ok(())
    }

    /// The menu as it should be. Asks for no more items than it shows, and for one to know whether there are more.
    async fn drawn(&self) -> Result<Option<menu::Menu>, Error> {
        let mut items: Vec<ItemView> = Vec::new();
        let mut after = String::new();
        while items.len() <= SHOWN {
            let wanted = u32::try_from(SHOWN + 1 - items.len()).unwrap_or(1);
            let (page, next) = self.manager.items(Dictionary::new(), &after, wanted).await?;
            let ended = next.is_empty() || page.is_empty();
            items.extend(page);
            if ended {
                break;
            }
            after = next;
        }
        if items.is_empty() {
            return Ok(None);
        }
        let status = self.manager.status().await?;
        Ok(menu::of_items(&items, &status, &self.parts.text, (self.parts.now)()))
    }

    async fn noticed(&mut self, id: &str, event: &str, level: &str) -> Result<(), FollowError> {
        let item = match self.item(id).await {
            Ok(Some(item)) => item,
            Ok(None) => {
                debug!("an item was gone before it could be told of");
                return Ok(());
            }
            Err(error) => {
                warn!(error = &error as &dyn std::error::Error, event, "a notice could not be shown");
                return Ok(());
            }
        };
        match news::of_notice(event, level, &item, &self.parts.text, (self.parts.now)()) {
            Some(news) => self.show(news),
            None => Ok(()),
        }
    }

    fn show(&mut self, news: News) -> Result<(), FollowError> {
        self.shown.insert(news.item.clone(), news.clone());
        self.order(Order::Show(news))
    }

    fn respond(&mut self, response: Response) {
        match response {
            Response::Menu(click) => {
                self.act(click.item, Act { action: click.action, options: obnova_api::Options::default() }, true);
            }
            Response::News(item, reply) => {
                let Some(news) = self.shown.remove(&item) else { return };
                let now = (self.parts.now)().with_timezone(&Local);
                if let Some(act) = news::answer(&news, reply, now) {
                    self.act(item, act, reply != news::Reply::Dismissed);
                }
            }
        }
    }

    /// Calls `Act` and goes on listening meanwhile.
    fn act(&mut self, item: String, act: Act, wanted: bool) {
        let manager = self.manager.clone();
        self.acts.spawn(async move {
            let result = manager.act(&item, &act.action, &act.options).await.map(|_job| ());
            Outcome { item, action: act.action, wanted, result }
        });
    }

    fn ended(&mut self, outcome: Outcome) -> Result<(), FollowError> {
        let Err(error) = outcome.result else { return Ok(()) };
        warn!(error = &error as &dyn std::error::Error, action = outcome.action, "a click did nothing");
        if !outcome.wanted {
            return Ok(());
        }
        let problem = match error {
            Error::Problem(problem) => problem,
            Error::Bus(_) => ProblemView { kind: "unreachable".into(), who: "you".into(), ..Default::default() },
        };
        self.show(news::of_failure(&outcome.item, &problem, &self.parts.text))
    }

    /// The item, or `None` where there is none of this id any more.
    async fn item(&self, id: &str) -> Result<Option<ItemView>, Error> {
        match self.manager.item(id).await {
            Ok(item) => Ok(Some(item)),
            Err(error) if error.kind() == Some("no-such-item") => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn order(&self, order: Order) -> Result<(), FollowError> {
        self.parts.desktop.orders.send(order).map_err(|_closed| FollowError::Desktop)
    }
}

/// Whether the daemon has come (or gone); `None` when the bus is lost. Without a bus it never changes.
async fn next_owner(owners: &mut Option<NameOwnerChangedStream>) -> Option<bool> {
    let Some(owners) = owners else { return std::future::pending().await };
    let changed = owners.next().await?;
    Some(changed.args().is_ok_and(|args| args.new_owner.is_some()))
}
