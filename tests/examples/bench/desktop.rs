//! As much of a desktop as an icon needs: a panel that takes it, and notifications that nobody looks at.

#![expect(
    clippy::used_underscore_binding,
    clippy::needless_pass_by_value,
    clippy::unused_self,
    reason = "so zbus wants methods and their arguments, needed or not"
)]

use std::collections::HashMap;
use std::time::{Duration, Instant};

use obnova_tests::{Bus, PATIENCE};
use tokio::process::Command;
use tokio::sync::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;
use zbus::Connection;
use zbus::message::Header;
use zbus::names::OwnedUniqueName;
use zbus::object_server::SignalEmitter;
use zbus::zvariant::OwnedValue;

use super::process::Running;

/// The desktop on a bus.
pub(crate) struct Desktop {
    connection: Connection,
    registered: Mutex<UnboundedReceiver<OwnedUniqueName>>,
}

impl Desktop {
    pub(crate) async fn on(bus: &Bus) -> Self {
        let connection = bus.connect().await;
        let (registrations, registered) = unbounded_channel();
        let objects = connection.object_server();
        objects.at("/StatusNotifierWatcher", Panel { registrations }).await.expect("an object");
        objects.at("/org/freedesktop/Notifications", Notifications).await.expect("an object");
        connection.request_name("org.kde.StatusNotifierWatcher").await.expect("a name");
        connection.request_name("org.freedesktop.Notifications").await.expect("a name");
        Self { connection, registered: Mutex::new(registered) }
    }

    /// Starts a program; how long it took until its icon and its menu could be drawn.
    pub(crate) async fn icon(&self, command: &mut Command) -> (Running, Duration) {
        let begun = Instant::now();
        let running = Running::begin(command);
        let drawn = async {
            let owner = self.registered.lock().await.recv().await.expect("a panel");
            let of_item = Some("org.freedesktop.DBus.Properties");
            let properties = self
                .connection
                .call_method(Some(&owner), "/StatusNotifierItem", of_item, "GetAll", &"org.kde.StatusNotifierItem")
                .await
                .expect("properties");
            let properties: HashMap<String, OwnedValue> = properties.body().deserialize().expect("properties");
            let pictures = properties["IconPixmap"].try_clone().expect("a value");
            let pictures: Vec<(i32, i32, Vec<u8>)> = pictures.try_into().expect("pictures");
            assert!(pictures.iter().any(|(width, height, _)| *width > 0 && *height > 0), "an icon");
            let whole = (0, -1, Vec::<String>::new());
            let of_menu = Some("com.canonical.dbusmenu");
            self.connection.call_method(Some(&owner), "/MenuBar", of_menu, "GetLayout", &whole).await.expect("a menu");
        };
        timeout(PATIENCE, drawn).await.expect("an icon");
        (running, begun.elapsed())
    }
}

struct Panel {
    registrations: UnboundedSender<OwnedUniqueName>,
}

#[zbus::interface(name = "org.kde.StatusNotifierWatcher")]
impl Panel {
    fn register_status_notifier_item(&self, _service: &str, #[zbus(header)] header: Header<'_>) {
        let sender = header.sender().expect("a bus names senders").to_owned();
        self.registrations.send(sender.into()).expect("the desktop stands");
    }

    fn register_status_notifier_host(&self, _service: &str) {}

    #[zbus(property)]
    fn registered_status_notifier_items(&self) -> Vec<String> {
        Vec::new()
    }

    #[zbus(property)]
    fn is_status_notifier_host_registered(&self) -> bool {
        true
    }

    #[zbus(property)]
    fn protocol_version(&self) -> i32 {
        0
    }
}

struct Notifications;

#[zbus::interface(name = "org.freedesktop.Notifications")]
impl Notifications {
    fn get_capabilities(&self) -> Vec<&str> {
        vec!["body", "actions"]
    }

    fn get_server_information(&self) -> (&str, &str, &str, &str) {
        ("nobody", "Obnova", "1", "1.2")
    }

    #[expect(clippy::too_many_arguments, reason = "the specification's")]
    fn notify(
        &self,
        _program: &str,
        replaces: u32,
        _icon: &str,
        _title: &str,
        _body: &str,
        _actions: Vec<String>,
        _hints: HashMap<String, OwnedValue>,
        _milliseconds: i32,
    ) -> u32 {
        replaces.max(1)
    }

    fn close_notification(&self, _id: u32) {}

    #[zbus(signal)]
    async fn notification_closed(emitter: &SignalEmitter<'_>, id: u32, reason: u32) -> zbus::Result<()>;

    #[zbus(signal)]
    async fn action_invoked(emitter: &SignalEmitter<'_>, id: u32, action: &str) -> zbus::Result<()>;
}
