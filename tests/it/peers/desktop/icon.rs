//! The icon and its menu, and a desktop whose parts come and go.

use std::collections::HashMap;
use std::fs;
use std::time::Duration;

use tokio::time::timeout;
use zbus::Connection;
use zbus::zvariant::{OwnedObjectPath, OwnedValue, Value};

use super::{PATIENCE, RENEW, act_after, with_anna};
use crate::tray::manager::World;

#[tokio::test]
async fn the_icon_stands_for_the_worst_and_its_menu_acts() {
    let (desk, bus, world) = with_anna(&[]).await;
    let (menu_of, labels) = menu(&bus).await;
    let texts: Vec<&str> = labels.iter().map(|(_, text)| text.as_str()).collect();
    assert_eq!(texts, ["Anna Nováková & Co — ends soon · ends 10 Nov 2099", "    Renew"]);
    let (address, path) = icon_appears(&bus).await;
    let item = proxy(&bus, &address, &path, "org.kde.StatusNotifierItem").await;
    let id: String = item.get_property("Id").await.expect("an id");
    assert_eq!(id, "obnova");

    // The panel shows it: a click where the tray begins opens the menu.
    desk.until("the menu", || {
        desk.xdotool(&["mousemove", "12", "16", "click", "3"]);
        desk.window("wrapper-2.0")
    })
    .await;
    desk.keep_picture("menu");
    desk.xdotool(&["key", "Escape"]);

    let () = menu_of.call("Event", &(labels[1].0, "clicked", Value::from(0), 0_u32)).await.expect("clicked");
    let act = desk.until("the act of a click", || world.state().acts.first().cloned()).await;
    assert_eq!((act.0.as_str(), act.1.as_str()), ("a1", "renew"));

    world.remove(&bus, "a1").await;
    timeout(PATIENCE, async {
        while icon(&bus).await.is_some() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .expect("no icon without items");
}

#[tokio::test]
async fn panel_and_notifications_may_come_later_and_the_daemon_may_go() {
    let (mut desk, bus, world) = with_anna(&["PANEL", "NOTIFICATIONS"]).await;
    World::notice(&bus, "a1", "three-weeks", "warning").await;
    let log = desk.log();
    desk.until("a word about it", || fs::read_to_string(&log).ok().filter(|text| text.contains("nobody shows"))).await;
    desk.bring("panel");
    icon_appears(&bus).await;
    desk.bring("notifications");
    desk.appears("xfce4-notifyd").await;

    // It goes and comes again under another name of the bus: the tray says so, then finds it, and what it showed still counts.
    bus.release_name(obnova_api::BUS_NAME).await.expect("released");
    timeout(PATIENCE, async {
        while menu(&bus).await.1.iter().any(|(_, text)| text.contains("Anna")) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .expect("the silence is shown");
    let again = desk.connect().await;
    world.serve(&again).await;
    desk.until("another agent", || (world.state().agents.len() == 2).then_some(())).await;
    assert_eq!(act_after(&desk, &world, RENEW).await.1, "renew");

    assert_eq!(fs::read_to_string(&log).expect("the log").matches("nobody shows").count(), 1, "said once");
    assert!(desk.stop_tray().success(), "SIGTERM ends it well");
}

#[tokio::test]
async fn a_bus_that_goes_away_is_a_failure() {
    let (mut desk, bus, _world) = with_anna(&[]).await;
    icon_appears(&bus).await;
    drop(desk.commands.take());
    let mut tray = desk.tray.take().expect("a tray that runs");
    let ended = desk.until("its end", || tray.try_wait().expect("a child")).await;
    assert_eq!(ended.code(), Some(1));
}

/// Address and path of the menu of the only icon.
async fn icon(bus: &Connection) -> Option<(String, String)> {
    let watcher = proxy(bus, "org.kde.StatusNotifierWatcher", "/StatusNotifierWatcher", "org.kde.StatusNotifierWatcher").await;
    // None where there is no panel.
    let items: Vec<String> = watcher.get_property("RegisteredStatusNotifierItems").await.unwrap_or_default();
    let item = items.first()?;
    let (address, path) = item
        .split_once('/')
        .map_or((item.as_str(), "/StatusNotifierItem".to_owned()), |(address, path)| (address, format!("/{path}")));
    Some((address.to_owned(), path))
}

async fn proxy(bus: &Connection, name: &str, path: &str, interface: &str) -> zbus::Proxy<'static> {
    zbus::proxy::Builder::new(bus)
        .destination(name.to_owned())
        .expect("a name")
        .path(path.to_owned())
        .expect("a path")
        .interface(interface.to_owned())
        .expect("an interface")
        .cache_properties(zbus::proxy::CacheProperties::No)
        .build()
        .await
        .expect("a proxy")
}

async fn icon_appears(bus: &Connection) -> (String, String) {
    timeout(PATIENCE, async {
        loop {
            if let Some(icon) = icon(bus).await {
                return icon;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .expect("an icon in time")
}

type Layout = (u32, (i32, HashMap<String, OwnedValue>, Vec<OwnedValue>));

/// The labels of the menu with their numbers, and who answers for them.
async fn menu(bus: &Connection) -> (zbus::Proxy<'static>, Vec<(i32, String)>) {
    let (address, path) = icon_appears(bus).await;
    let item = proxy(bus, &address, &path, "org.kde.StatusNotifierItem").await;
    let at: OwnedObjectPath = item.get_property("Menu").await.expect("a menu");
    let menu = proxy(bus, &address, at.as_str(), "com.canonical.dbusmenu").await;
    let (_, (_, _, children)): Layout = menu.call("GetLayout", &(0, -1, ["label"].as_slice())).await.expect("a layout");
    let labels = children.into_iter().map(|child| {
        let (number, properties, _): (i32, HashMap<String, OwnedValue>, Vec<OwnedValue>) = child.try_into().expect("an entry");
        let label = properties.get("label").map(|label| label.downcast_ref::<String>().expect("a text")).unwrap_or_default();
        (number, label)
    });
    (menu, labels.collect())
}
