//! What goes wrong around the real daemon: damaged state, hostile files, a second daemon, a bus that dies, a wrong configuration.
//! Each time it says what happened and what to do, and harms nothing.

mod places;
mod service;

use std::path::Path;

use obnova_api::BUS_NAME;
use obnova_tests::{Daemon, Recipe, Scene};
use rusqlite::Connection;

/// A scene whose daemon has watched a certificate, and has stopped.
async fn with_history() -> Scene {
    let scene = Scene::set().await;
    let mut daemon = scene.start().await;
    let made = Recipe::new("Anna").make();
    let path = scene.write("anna.pem", [made.pem(), made.key_pem()].concat());
    scene.watch(&path, None).await;
    scene.item("a certificate", |item| item.kind == "identity").await;
    assert!(daemon.stop().await.success(), "{}", daemon.log());
    scene
}

#[tokio::test]
async fn a_damaged_journal_is_named_and_left_alone() {
    let scene = with_history().await;
    let journal = scene.state_dir().join("journal.sqlite");
    let sound = std::fs::read(&journal).expect("a journal");
    let sql = |statement: &str| {
        let connection = Connection::open(&journal).expect("a database");
        connection.execute_batch(statement).expect("done");
    };
    let newer = "was written by a newer version";
    let damaged = "is damaged";
    let cases: [(&str, &str, &dyn Fn()); 6] = [
        ("garbage", damaged, &|| std::fs::write(&journal, b"This is no database. ".repeat(500)).expect("written")),
        ("cut off", damaged, &|| std::fs::write(&journal, &sound[..sound.len() / 2]).expect("written")),
        ("a letter", damaged, &|| sql("UPDATE record SET body = replace(body, 'anna.pem', 'anne.pem')")),
        ("a time", damaged, &|| sql("UPDATE record SET at = at + 1 WHERE sequence = 2")),
        ("a hole", damaged, &|| sql("DELETE FROM record WHERE sequence = 2")),
        ("newer", newer, &|| sql("PRAGMA user_version = 99")),
    ];
    for (case, says, damage) in cases {
        std::fs::write(&journal, &sound).expect("written");
        damage();
        let before = std::fs::read(&journal).expect("a journal");
        assert_ne!(before, sound, "{case}: nothing was damaged");
        let mut daemon = Daemon::spawn(scene.obnovad());
        assert_eq!(daemon.ended().await.code(), Some(1), "{case}");
        let told = said(&daemon).await;
        assert!(told.contains(says) && told.contains(journal.to_str().expect("UTF-8")), "{case}: {told}");
        assert!(told.contains("\nhint: "), "{case}: {told}");
        assert!(std::fs::read(&journal).expect("a journal") == before, "{case}: the damaged file was changed");
    }
    std::fs::write(&journal, &sound).expect("written");
    let _daemon = scene.start().await;
    scene.item("the certificate", |item| item.name == "Anna").await;
}

/// Without its write-ahead log the database is an older one: that is what is served, and nothing between old and new.
#[tokio::test]
async fn a_journal_without_its_write_ahead_log_is_an_older_journal() {
    let scene = with_history().await;
    let mut daemon = scene.start().await;
    let old = scene.obnova(&["--json", "log"]).await.json();
    let made = Recipe::new("Berta").make();
    let path = scene.write("berta.pem", [made.pem(), made.key_pem()].concat());
    scene.watch(&path, None).await;
    let new = scene.obnova(&["--json", "log"]).await.json();
    assert!(new.as_array().expect("lines").len() > old.as_array().expect("lines").len());
    daemon.kill().await;
    for name in ["journal.sqlite-wal", "journal.sqlite-shm"] {
        std::fs::remove_file(scene.state_dir().join(name)).expect("it was there");
    }
    let _daemon = scene.start().await;
    assert_eq!(scene.obnova(&["--json", "log"]).await.json(), old);
}

#[tokio::test]
async fn a_second_daemon_on_the_same_state_leaves_the_first_alone() {
    let scene = with_history().await;
    let _first = scene.start().await;
    let other = obnova_tests::Bus::start().await;
    let mut command = scene.command("obnovad");
    command.arg("--state-dir").arg(scene.state_dir()).args(["--bus", other.address()]);
    let mut second = Daemon::spawn(command);
    assert_eq!(second.ended().await.code(), Some(1));
    let told = said(&second).await;
    assert!(told.contains("running already") && told.contains(scene.state_dir().to_str().expect("UTF-8")), "{told}");
    assert_eq!(scene.obnova(&["list"]).await.ends(0).out.matches("Anna").count(), 1);
}

#[tokio::test]
async fn a_name_that_is_taken_ends_the_daemon() {
    let scene = Scene::set().await;
    let other = scene.bus.connect().await;
    other.request_name(BUS_NAME).await.expect("a free name");
    let mut daemon = Daemon::spawn(scene.obnovad());
    assert_eq!(daemon.ended().await.code(), Some(1));
    let told = said(&daemon).await;
    assert!(told.contains(BUS_NAME) && told.contains("\nhint: "), "{told}");
}

#[tokio::test]
async fn a_bus_that_is_not_there_ends_the_daemon() {
    let scene = Scene::set().await;
    let mut command = scene.command("obnovad");
    command.arg("--state-dir").arg(scene.state_dir()).args(["--bus", "unix:path=/nonexistent/bus"]);
    let mut daemon = Daemon::spawn(command);
    assert_eq!(daemon.ended().await.code(), Some(1));
    let told = said(&daemon).await;
    assert!(told.contains("bus") && told.contains("\nhint: "), "{told}");
}

#[tokio::test]
async fn a_wrong_configuration_is_told_with_its_line() {
    let scene = Scene::set().await;
    let wrong = scene.home().join("wrong.toml");
    std::fs::write(&wrong, "[watch]\nplacs = [\"file:/etc/ssl\"]\n").expect("written");
    let right = scene.home().join("right.toml");
    std::fs::write(&right, "[watch]\nplaces = [\"file:/etc/ssl\"]\n").expect("written");
    for (config, check, code) in [(&wrong, true, 1), (&wrong, false, 1), (&right, true, 0)] {
        let mut command = scene.obnovad();
        command.arg("--config").arg(config);
        if check {
            command.arg("--check");
        }
        let mut daemon = Daemon::spawn(command);
        assert_eq!(daemon.ended().await.code(), Some(code), "{}", said(&daemon).await);
        let told = said(&daemon).await;
        let mistake = format!("{}:2:1: unknown field `placs`, expected `places`", wrong.display());
        assert_eq!(told.contains(&mistake), code == 1, "{told}");
    }
    assert!(!scene.state_dir().exists(), "nothing was begun");
}

#[tokio::test]
async fn a_state_directory_that_cannot_be_written_is_named() {
    let scene = with_history().await;
    for (what, mode) in [("", 0o500), ("journal.sqlite", 0o000)] {
        let path = scene.state_dir().join(what);
        let before = mode_of(&path);
        set_mode(&path, mode);
        let mut daemon = Daemon::spawn(bound_by_permissions(scene.obnovad()));
        let code = daemon.ended().await.code();
        set_mode(&path, before);
        assert_eq!(code, Some(1), "{what}");
        let told = said(&daemon).await;
        assert!(told.contains(scene.state_dir().to_str().expect("UTF-8")) && told.contains("\nhint: "), "{told}");
        assert!(told.contains("ermission denied") || told.contains("readonly") || told.contains("unable to open"), "{told}");
    }
    let _daemon = scene.start().await;
    scene.item("the certificate", |item| item.name == "Anna").await;
}

/// What an ended daemon wrote to standard error: the last of it may still be on its way.
async fn said(daemon: &Daemon) -> String {
    let mut before = None;
    obnova_tests::eventually("the end of what it said", async || {
        let now = Some(daemon.log());
        let same = now == before;
        before.clone_from(&now);
        now.filter(|_| same)
    })
    .await
}

/// The same command as a process to which permission bits mean something, also where the tests run as root.
fn bound_by_permissions(command: tokio::process::Command) -> tokio::process::Command {
    if !rustix::process::geteuid().is_root() {
        return command;
    }
    let mut bound = tokio::process::Command::new("setpriv");
    bound.arg("--bounding-set=-dac_override,-dac_read_search").arg(command.as_std().get_program());
    bound.args(command.as_std().get_args()).env_clear();
    bound.envs(command.as_std().get_envs().filter_map(|(name, value)| Some((name, value?))));
    bound.stdin(std::process::Stdio::null()).kill_on_drop(true);
    bound
}

fn mode_of(path: &Path) -> u32 {
    std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(path).expect("it is there").permissions()) & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).expect("changed");
}
