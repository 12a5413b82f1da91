//! Executables that are told of notices: once each, with what is documented, and of what fails the doctor knows.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use obnova_tests::{Daemon, Recipe, Scene, eventually};

/// A home with executables in it.
async fn home(scripts: &[(&str, &str, u32)]) -> (Scene, PathBuf) {
    let scene = Scene::set().await;
    let directory = scene.home().join(".config/obnova/notify.d");
    fs::create_dir_all(&directory).expect("a directory");
    let told = scene.home().join("told");
    fs::create_dir(&told).expect("a directory");
    for (name, text, mode) in scripts {
        let path = directory.join(name);
        fs::write(&path, format!("#!/bin/sh\ncd {}\n{text}\n", told.display())).expect("written");
        fs::set_permissions(&path, Permissions::from_mode(*mode)).expect("permitted");
    }
    (scene, told)
}

/// What a file holds once it has that many lines.
async fn lines(path: PathBuf, count: usize) -> Vec<String> {
    let read = async || {
        let text = fs::read_to_string(&path).unwrap_or_default();
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        (lines.len() >= count).then_some(lines)
    };
    eventually(&path.display().to_string(), read).await
}

async fn watched(scene: &Scene) -> Daemon {
    let daemon = scene.start().await;
    let made = Recipe::new("Anna").days_left(20).make();
    scene.write("anna.pem", [made.pem(), made.key_pem()].concat());
    scene.watch(&scene.file("anna.pem"), None).await;
    daemon
}

#[tokio::test]
async fn each_notice_is_told_once_and_taken_back_once() {
    let told = "echo \"$1 $OBNOVA_EVENT $OBNOVA_LEVEL $OBNOVA_NAME $OBNOVA_STATE\" >>events; env >\"$1.env\"; [ \"$2\" = \"$OBNOVA_ITEM\" ]";
    let (scene, told) = home(&[
        ("10-tell", told, 0o755),
        ("20-second", "echo second $1 >>events", 0o700),
        ("30-text", "echo no >>events", 0o644),
        (".hidden", "echo no >>events", 0o755),
        ("tell~", "echo no >>events", 0o755),
    ])
    .await;
    let mut daemon = watched(&scene).await;
    let events = lines(told.join("events"), 2).await;
    assert_eq!(events, ["three-weeks three-weeks warning Anna expiring", "second three-weeks"]);
    let environment = fs::read_to_string(told.join("three-weeks.env")).expect("written");
    let place = format!("OBNOVA_PLACE=file:{}", scene.file("anna.pem").display());
    for line in ["OBNOVA_KIND=identity", "OBNOVA_SCOPE=user", &place] {
        assert!(environment.lines().any(|other| other == line), "{line} in {environment}");
    }
    for name in ["OBNOVA_TITLE=", "OBNOVA_BODY=", "OBNOVA_NOT_AFTER=20", "OBNOVA_DEADLINE=20", "OBNOVA_OWNER=", "PATH="] {
        assert!(environment.lines().any(|line| line.starts_with(name)), "{name} in {environment}");
    }
    assert!(!environment.contains("HOME="), "nothing else: {environment}");

    // Somebody else has put a new one there.
    let newer = Recipe::new("Anna").days_left(300).make();
    scene.write("anna.pem", [newer.pem(), newer.key_pem()].concat());
    let events = lines(told.join("events"), 4).await;
    assert_eq!(&events[2..], ["withdrawn withdrawn ok Anna valid", "second withdrawn"]);

    // Not again after a restart.
    assert!(daemon.stop().await.success(), "{}", daemon.log());
    let mut daemon = scene.start().await;
    let doctor = scene.obnova(&["doctor"]).await;
    assert_eq!(doctor.out.matches("is told of each notice").count(), 2, "{doctor:?}");
    assert!(daemon.stop().await.success(), "{}", daemon.log());
    assert_eq!(fs::read_to_string(told.join("events")).expect("there").lines().count(), 4);
}

#[tokio::test]
async fn a_renewal_is_told_and_one_that_fails_harms_no_other() {
    let (scene, told) = home(&[
        ("10-fails", "echo 'no way out' >&2; exit 3", 0o755),
        ("20-open-to-all", "echo open >>events", 0o777),
        ("30-tell", "echo $1 >>events", 0o755),
    ])
    .await;
    let daemon = watched(&scene).await;
    assert_eq!(lines(told.join("events"), 1).await, ["three-weeks"]);
    let doctor = scene.obnova(&["doctor"]).await;
    assert!(doctor.out.contains("10-fails was to tell of a notice, and did not: exit status: 3: no way out."), "{doctor:?}");
    assert!(doctor.out.contains("20-open-to-all was to tell of a notice, and did not: writable by others."), "{doctor:?}");
    assert!(doctor.out.contains("30-tell is told of each notice."), "{doctor:?}");
    assert!(daemon.log().contains("10-fails"), "{}", daemon.log());
    scene.obnova_answering("consent=renewal:yes\n", &["renew", "anna", "--wait"]).await.ends(0);
    assert_eq!(lines(told.join("events"), 2).await, ["three-weeks", "renewed"]);
}

#[tokio::test]
async fn what_strangers_write_stays_in_its_line() {
    let (scene, told) = home(&[("tell", "printf '%s' \"$OBNOVA_NAME|$OBNOVA_TITLE\" | wc -l >lines", 0o755)]).await;
    let _daemon = scene.start().await;
    let made = Recipe::new("Anna\nBcc: berta@example.org").days_left(20).make();
    scene.write("anna.pem", [made.pem(), made.key_pem()].concat());
    scene.watch(&scene.file("anna.pem"), None).await;
    assert_eq!(lines(told.join("lines"), 1).await[0].trim(), "0");
}
