//! The daemon as systemd sees it: when it says that it is ready, what it says of itself, how it ends.

use std::path::PathBuf;
use std::time::Instant;

use obnova_api::BUS_NAME;
use obnova_tests::{Daemon, PATIENCE, Recipe, Scene};
use tokio::net::UnixDatagram;
use tokio::time::timeout;
use zbus::fdo::DBusProxy;

/// Where a daemon speaks to systemd.
struct Ear {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Ear {
    fn on(scene: &Scene) -> Self {
        let path = scene.home().join("notify");
        Self { socket: UnixDatagram::bind(&path).expect("a socket"), path }
    }

    /// The next message.
    async fn hears(&self) -> String {
        let mut bytes = [0; 4096];
        let length = timeout(PATIENCE, self.socket.recv(&mut bytes)).await.expect("a message in time").expect("received");
        String::from_utf8(bytes[..length].to_vec()).expect("UTF-8")
    }

    /// Hears until one begins so; gives it and all before it.
    async fn hears_of(&self, beginning: &str) -> Vec<String> {
        let mut all = Vec::new();
        loop {
            let message = self.hears().await;
            let found = message.starts_with(beginning);
            all.push(message);
            if found {
                return all;
            }
        }
    }

    /// What waits to be heard.
    fn waits(&self) -> Option<String> {
        let mut bytes = [0; 4096];
        let length = self.socket.try_recv(&mut bytes).ok()?;
        Some(String::from_utf8_lossy(&bytes[..length]).into_owned())
    }
}

#[tokio::test]
async fn systemd_hears_ready_status_and_stopping_in_their_order() {
    let scene = Scene::set().await;
    let ear = Ear::on(&scene);
    let mut command = scene.obnovad();
    command.env("NOTIFY_SOCKET", &ear.path);
    let mut daemon = Daemon::spawn(command);
    assert_eq!(ear.hears().await.trim_end(), "READY=1");
    let connection = scene.bus.connect().await;
    let bus = DBusProxy::new(&connection).await.expect("a bus");
    assert!(bus.name_has_owner(BUS_NAME.try_into().expect("a name")).await.expect("an answer"), "ready before it has its name");
    assert!(ear.hears_of("STATUS=").await.len() == 1);
    let made = Recipe::new("Anna").days_left(20).make();
    let path = scene.write("anna.pem", [made.pem(), made.key_pem()].concat());
    scene.watch(&path, None).await;
    loop {
        let status = ear.hears_of("STATUS=").await.pop().expect("a status");
        if status.contains("Anna") {
            break;
        }
    }
    assert!(daemon.stop().await.success(), "{}", daemon.log());
    let last = ear.hears_of("STOPPING=1").await;
    assert!(last.iter().all(|message| !message.starts_with("READY")), "{last:?}");
    assert_eq!(ear.waits(), None, "nothing follows the end");
}

#[tokio::test]
async fn a_daemon_that_cannot_have_its_name_is_never_ready() {
    let scene = Scene::set().await;
    let other = scene.bus.connect().await;
    other.request_name(BUS_NAME).await.expect("a free name");
    let ear = Ear::on(&scene);
    let mut command = scene.obnovad();
    command.env("NOTIFY_SOCKET", &ear.path);
    let mut daemon = Daemon::spawn(command);
    assert!(!daemon.ended().await.success());
    assert_eq!(ear.waits(), None);
}

#[tokio::test]
async fn the_watchdog_is_pinged_also_while_things_change_all_the_time() {
    let scene = Scene::set().await;
    let ear = Ear::on(&scene);
    let mut command = scene.obnovad();
    command.env("NOTIFY_SOCKET", &ear.path).env("WATCHDOG_USEC", "2000000");
    let daemon = scene.start_as(command).await;
    ear.hears_of("WATCHDOG=1").await;
    ear.hears_of("WATCHDOG=1").await;

    let path = scene.file("anna.pem");
    let directory = format!("file:{}", scene.files().display());
    let manager = scene.manager().await;
    manager.watch(&directory, &obnova_api::Options::default()).await.expect("watched");
    let (mut changes, mut pings) = (0, 0);
    let begun = Instant::now();
    while begun.elapsed().as_secs() < 4 {
        // A daemon that is kept busy changes its status with each of these.
        let made = Recipe::new(&format!("Anna {changes}")).days_left(20).make();
        std::fs::write(&path, [made.pem(), made.key_pem()].concat()).expect("written");
        scene.item("the new certificate", |item| item.name == format!("Anna {changes}")).await;
        changes += 1;
        while let Some(message) = ear.waits() {
            pings += usize::from(message.starts_with("WATCHDOG=1"));
        }
    }
    assert!(changes > 8, "{changes} changes in four seconds put nothing off");
    assert!(pings >= 2, "{pings} pings in four seconds");
    drop(daemon);
}

#[tokio::test]
async fn a_bus_that_goes_away_ends_the_daemon_with_a_failure() {
    let mut scene = Scene::set().await;
    let mut daemon = scene.start().await;
    scene.bus.kill().await;
    let begun = Instant::now();
    assert_eq!(daemon.ended().await.code(), Some(1), "{}", daemon.log());
    assert!(begun.elapsed().as_secs() < 3, "{:?}", begun.elapsed());
    // What was known is whole: the next daemon, on another bus, goes on with it.
    let other = obnova_tests::Bus::start().await;
    let mut command = scene.command("obnovad");
    command.arg("--state-dir").arg(scene.state_dir()).args(["--bus", other.address()]);
    let ear = Ear::on(&scene);
    command.env("NOTIFY_SOCKET", &ear.path);
    let _daemon = Daemon::spawn(command);
    ear.hears_of("READY=1").await;
}
