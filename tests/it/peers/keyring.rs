//! Passwords in a real keyring, with `secret-tool` as the witness who knows nothing of us.

use std::process::{Output, Stdio};

use obnova_tests::{Made, News, Recipe, Scene, eventually};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};
use zbus::fdo::DBusProxy;
use zbus::names::BusName;

const PASSWORD: &str = "kukuruku";

/// GNOME's keyring on the scene's bus, unlocked; gone when dropped.
struct Keyring {
    _process: Child,
    home: TempDir,
    address: String,
}

impl Keyring {
    async fn on(scene: &Scene) -> Self {
        let home = tempfile::tempdir().expect("a directory");
        let mut command = Self::command("gnome-keyring-daemon", &home, scene.bus.address());
        command.args(["--unlock", "--components=secrets", "--foreground", "--control-directory"]).arg(home.path());
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
        let mut input = process.stdin.take().expect("a pipe");
        input.write_all(b"the keyring's own").await.expect("written");
        drop(input);
        let bus = DBusProxy::new(&scene.bus.connect().await).await.expect("a bus");
        eventually("a keyring", async || {
            let name = BusName::from_static_str("org.freedesktop.secrets").expect("a name");
            bus.name_has_owner(name).await.expect("an answer").then_some(())
        })
        .await;
        Self { _process: process, home, address: scene.bus.address().to_owned() }
    }

    fn command(program: &str, home: &TempDir, address: &str) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("PATH", "/usr/bin:/bin").env("DBUS_SESSION_BUS_ADDRESS", address).kill_on_drop(true);
        for name in ["HOME", "XDG_RUNTIME_DIR", "XDG_DATA_HOME"] {
            command.env(name, home.path());
        }
        command
    }

    /// What is kept for a place.
    async fn kept(&self, place: &str) -> Option<String> {
        let mut command = Self::command("secret-tool", &self.home, &self.address);
        let output: Output = command.args(["lookup", "place", place]).stdin(Stdio::null()).output().await.expect("it runs");
        let kept = String::from_utf8(output.stdout).expect("UTF-8");
        output.status.success().then_some(kept)
    }
}

/// A `.p12` that is watched; its place.
async fn watched(scene: &Scene) -> (Made, String) {
    let made = Recipe::new("Anna Nová").make();
    let path = scene.file("anna.p12");
    made.write_p12(&path, PASSWORD, &[]);
    scene.watch(&path, Some(PASSWORD)).await;
    (made, format!("p12:{}", path.display()))
}

#[tokio::test]
async fn a_password_is_kept_used_and_forgotten() {
    let scene = Scene::set().await;
    let keyring = Keyring::on(&scene).await;
    let _daemon = scene.start().await;
    let (_, place) = watched(&scene).await;
    let news = News::on(&scene.bus).await;

    // A wrong one is asked for again, and only what opens the file is kept.
    let answers = format!("password=wrong\npassword={PASSWORD}\n");
    let outcome = scene.obnova_answering(&answers, &["remember", "anna"]).await.ends(0);
    assert!(outcome.err.contains("obnova forget"), "{outcome:?}");
    assert_eq!(keyring.kept(&place).await.as_deref(), Some(PASSWORD));

    // Another certificate in the same file: opened without a question.
    let newer = Recipe::new("Anna Nová").days_left(100).make();
    newer.write_p12(&scene.file("anna.p12"), PASSWORD, &[]);
    let shows = |item: &obnova_api::ItemView| {
        item.certificates.iter().flatten().any(|certificate| certificate.sha256 == newer.sha256())
    };
    scene.item("the newer one", shows).await;
    assert!(!news.events().contains(&"locked".to_owned()), "{:?}", news.events());

    // Renewed without one, which then opens the new file, too.
    scene.obnova_answering("consent=renewal:yes\n", &["renew", "anna", "--wait"]).await.ends(0);
    let new = scene.item("the new one", |item| item.state == "valid").await.place.expect("a place");
    assert_ne!(new, place);
    eventually("the new file's password", async || keyring.kept(&new).await.filter(|kept| kept == PASSWORD)).await;

    scene.obnova(&["forget", "anna"]).await.ends(0);
    assert_eq!((keyring.kept(&new).await, keyring.kept(&place).await), (None, None), "nor the old file's");
    let outcome = scene.obnova_answering("consent=renewal:yes\n", &["renew", "anna", "--wait"]).await;
    assert_eq!(outcome.code, 3, "the password is asked for again: {outcome:?}");
    let log = scene.obnova(&["log"]).await.ends(0);
    assert!(log.out.contains("is kept in your keyring") && !log.out.contains(PASSWORD), "{log:?}");
}

#[tokio::test]
async fn a_password_that_opens_no_more_is_asked_for() {
    let scene = Scene::set().await;
    let _keyring = Keyring::on(&scene).await;
    let _daemon = scene.start().await;
    watched(&scene).await;
    scene.obnova_answering(&format!("password={PASSWORD}\n"), &["remember", "anna"]).await.ends(0);
    let news = News::on(&scene.bus).await;
    Recipe::new("Anna Nová").make().write_p12(&scene.file("anna.p12"), "another", &[]);
    scene.item("a changed item", |item| item.state == "changed").await;
    eventually("the notice", async || news.events().contains(&"locked".to_owned()).then_some(())).await;
}

#[tokio::test]
async fn without_a_keyring_nothing_is_kept() {
    let scene = Scene::set().await;
    let _daemon = scene.start().await;
    watched(&scene).await;
    let outcome = scene.obnova_answering(&format!("password={PASSWORD}\n"), &["remember", "anna"]).await.ends(1);
    assert!(outcome.err.contains("no keyring") && outcome.err.contains("hint:"), "{outcome:?}");
    scene.obnova(&["forget", "anna"]).await.ends(1);
}
