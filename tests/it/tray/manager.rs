//! A daemon in the tests' own hands: serves whatever items it is given, and writes down what it is asked to do.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use obnova_api::dict::Dictionary;
use obnova_api::{AgentOptions, AgentProxy, BUS_NAME, Error, ItemView, MANAGER_PATH, Options, PAGE, StatusView};
use zbus::Connection;
use zbus::message::Header;
use zbus::object_server::SignalEmitter;
use zbus::zvariant::{ObjectPath, OwnedObjectPath};

/// What is served, and what was asked; shared with the test.
#[derive(Clone, Default)]
pub(crate) struct World {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
pub(crate) struct State {
    /// In order of urgency.
    pub(crate) items: Vec<ItemView>,
    /// `Act`, in order: id, action, options.
    pub(crate) acts: Vec<(String, String, Options)>,
    /// Where agents are: unique name (empty without a bus) and path.
    pub(crate) agents: Vec<(String, String)>,
    /// `Items`, in order: after, limit.
    pub(crate) pages: Vec<(String, u32)>,
    /// The problem that `Act` meets.
    pub(crate) refuses: Option<&'static str>,
}

impl World {
    pub(crate) fn with(items: Vec<ItemView>) -> Self {
        let world = Self::default();
        world.state().items = items;
        world
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test panics while it holds this")
    }

    /// Serves it on a connection; on a bus, takes the daemon's name last.
    pub(crate) async fn serve(&self, connection: &Connection) {
        connection.object_server().at(MANAGER_PATH, Manager { world: self.clone() }).await.expect("a free path");
        if connection.is_bus() {
            connection.request_name(BUS_NAME).await.expect("a free name");
        }
    }

    /// Puts this item in the place of the one with its id, and tells.
    pub(crate) async fn change(&self, connection: &Connection, item: ItemView) {
        let id = item.id.clone();
        let place = self.state().items.iter().position(|known| known.id == id).expect("an item that exists");
        self.state().items[place] = item;
        Manager::changed(&emitter(connection), &[&id], 2).await.expect("a signal");
    }

    pub(crate) async fn remove(&self, connection: &Connection, id: &str) {
        self.state().items.retain(|item| item.id != id);
        Manager::removed(&emitter(connection), &[id]).await.expect("a signal");
    }

    pub(crate) async fn notice(connection: &Connection, id: &str, event: &str, level: &str) {
        Manager::noticed(&emitter(connection), id, event, level).await.expect("a signal");
    }

    /// The agent that registered last, as the daemon reaches it.
    pub(crate) async fn agent(&self, connection: &Connection) -> AgentProxy<'static> {
        let (name, path) = self.state().agents.last().expect("an agent").clone();
        // Without a bus a name says nothing, but there must be one.
        let name = if name.is_empty() { BUS_NAME.to_owned() } else { name };
        AgentProxy::builder(connection)
            .destination(name)
            .expect("a name")
            .path(path)
            .expect("a path")
            .cache_properties(zbus::proxy::CacheProperties::No)
            .build()
            .await
            .expect("a proxy")
    }
}

struct Manager {
    world: World,
}

#[expect(
    clippy::needless_pass_by_value,
    clippy::unnecessary_wraps,
    reason = "the shape of the served methods is the contract's"
)]
#[zbus::interface(name = "org.obnova.Manager1")]
impl Manager {
    fn items(&self, filter: Dictionary, after: &str, limit: u32) -> Result<(Vec<ItemView>, String), Error> {
        assert!(filter.is_empty() && (1..=PAGE).contains(&limit), "the tray asks for all kinds, page by page");
        let mut state = self.world.state();
        state.pages.push((after.to_owned(), limit));
        let from = state.items.iter().position(|item| item.id == after).map_or(0, |index| index + 1);
        // Pages as small as a server may make them: a client must go on to the end.
        let page: Vec<ItemView> = state.items[from..].iter().take(limit.min(5) as usize).cloned().collect();
        let more = from + page.len() < state.items.len();
        let next = page.last().filter(|_| more).map(|item| item.id.clone()).unwrap_or_default();
        Ok((page, next))
    }

    fn item(&self, id: &str) -> Result<ItemView, Error> {
        let found = self.world.state().items.iter().find(|item| item.id == id).cloned();
        found.ok_or_else(|| Error::new("no-such-item", [("id", id.to_owned())]))
    }

    fn act(&self, id: &str, action: &str, options: Options) -> Result<OwnedObjectPath, Error> {
        let mut state = self.world.state();
        state.acts.push((id.to_owned(), action.to_owned(), options));
        match state.refuses {
            Some(kind) => Err(Error::new(kind, [("job", "1".to_owned())])),
            None => Ok(ObjectPath::from_static_str_unchecked("/").into()),
        }
    }

    fn status(&self) -> Result<StatusView, Error> {
        let state = self.world.state();
        let mut levels = BTreeMap::new();
        for item in &state.items {
            *levels.entry(item.level.clone()).or_insert(0) += 1;
        }
        Ok(StatusView {
            scope: "user".into(),
            watched: state.items.len() as u64,
            levels,
            first: state.items.first().filter(|item| item.next_step.is_some()).cloned(),
            ..StatusView::default()
        })
    }

    fn register_agent(
        &self,
        path: ObjectPath<'_>,
        options: AgentOptions,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<(), Error> {
        assert_eq!(options.notifies, Some(true), "the tray shows notifications");
        let sender = header.sender().map(ToString::to_string).unwrap_or_default();
        self.world.state().agents.push((sender, path.to_string()));
        Ok(())
    }

    #[zbus(signal)]
    async fn changed(emitter: &SignalEmitter<'_>, ids: &[&str], revision: u64) -> zbus::Result<()>;

    #[zbus(signal)]
    async fn removed(emitter: &SignalEmitter<'_>, ids: &[&str]) -> zbus::Result<()>;

    #[zbus(signal)]
    async fn noticed(emitter: &SignalEmitter<'_>, id: &str, event: &str, level: &str) -> zbus::Result<()>;
}

fn emitter(connection: &Connection) -> SignalEmitter<'static> {
    SignalEmitter::new(connection, MANAGER_PATH).expect("a path")
}
