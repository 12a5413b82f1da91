//! The configuration is read anew when the daemon is asked to: what it names is watched, by the programmes that there are now, and a
//! mistake changes nothing.

use obnova_tests::{Recipe, Scene, eventually};
use rustix::process::Signal;

#[tokio::test]
async fn a_changed_configuration_is_taken_up_while_the_daemon_runs() {
    let scene = Scene::set().await;
    let made = Recipe::new("Anna").days_left(40).make();
    let path = scene.write("anna.pem", [made.pem(), made.key_pem()].concat());
    let directory = scene.home().join(".config/obnova");
    std::fs::create_dir_all(directory.join("programmes.d")).expect("a directory");
    let mut daemon = scene.start().await;
    let pid = daemon.pid();
    assert_eq!(scene.items().await, []);

    let watch = format!("[watch]\nplaces = [\"file:{}\"]\n", path.display());
    std::fs::create_dir(directory.join("obnova.toml.d")).expect("a directory");
    std::fs::write(directory.join("obnova.toml.d/anna.toml"), &watch).expect("written");
    daemon.signal(Signal::HUP);
    let anna = scene.item("Anna", |item| item.name == "Anna").await;
    assert_eq!(anna.programme.as_deref(), Some("self-signed"));

    // A mistake changes nothing, and is told.
    std::fs::write(directory.join("obnova.toml"), "[watch]\nplace = 1\n").expect("written");
    daemon.signal(Signal::HUP);
    eventually("the mistake in the log", async || daemon.log().contains("obnova.toml:2:1").then_some(())).await;
    assert_eq!(scene.items().await.len(), 1);

    // A programme of one's own comes before those that are built in.
    std::fs::write(directory.join("obnova.toml"), "").expect("written");
    let programme = include_str!("../fixtures/programmes/server.toml").replace("HOOK", "/bin/true");
    std::fs::write(directory.join("programmes.d/server.toml"), programme).expect("written");
    daemon.signal(Signal::HUP);
    scene.item("Anna by another programme", |item| item.programme.as_deref() == Some("server")).await;
    assert_eq!(scene.items().await.len(), 1, "it is the same certificate");

    // The level of the log, and modules.
    assert!(!daemon.log().contains("DEBUG"), "{}", daemon.log());
    let text = "modules = [{ path = \"/nowhere/card.so\" }]\n[log]\nlevel = \"debug\"\n";
    std::fs::write(directory.join("obnova.toml"), text).expect("written");
    daemon.signal(Signal::HUP);
    let tried = async || scene.obnova(&["doctor"]).await.out.contains("/nowhere/card.so").then_some(());
    eventually("the new module is asked", tried).await;
    eventually("more is logged", async || daemon.log().contains("DEBUG").then_some(())).await;
    assert_eq!(daemon.pid(), pid);
    assert!(daemon.stop().await.success(), "{}", daemon.log());
}
