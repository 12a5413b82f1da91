//! Passwords that systemd hands over: used where a secret is due and nobody is there, by renewals that start by themselves, too.

use std::fs;
use std::path::PathBuf;

use obnova_tests::{Daemon, Made, News, Recipe, Scene, eventually};
use tokio::process::Command;

const PASSWORD: &str = "kukuruku v žitě";

/// A home with a programme that renews by itself and replaces, and a directory as systemd makes one for a service.
struct Unattended {
    scene: Scene,
    handed_over: PathBuf,
}

impl Unattended {
    /// `place`: what is watched, and opened by the credential `office`.
    async fn set(place: &str) -> Self {
        let scene = Scene::set().await;
        let handed_over = scene.home().join("credentials");
        let configuration = scene.home().join(".config/obnova");
        fs::create_dir_all(configuration.join("programmes.d")).expect("a directory");
        fs::create_dir(&handed_over).expect("a directory");
        let place = place.replace("FILES", &scene.file("").display().to_string());
        let text = format!("credentials = [{{ place = \"{place}\", name = \"office\" }}]\n[watch]\nplaces = [\"{place}\"]\n");
        fs::write(configuration.join("obnova.toml"), text).expect("written");
        let programme = include_str!("../fixtures/programmes/server.toml").replace("HOOK", "/bin/true");
        fs::write(configuration.join("programmes.d/server.toml"), programme).expect("written");
        Self { scene, handed_over }
    }

    fn hand_over(&self, password: &str) {
        fs::write(self.handed_over.join("office"), password).expect("written");
    }

    async fn start(&self) -> Daemon {
        let mut command: Command = self.scene.obnovad();
        command.env("CREDENTIALS_DIRECTORY", &self.handed_over).env("OBNOVA_LOG", "debug");
        self.scene.start_as(command).await
    }

    /// The renewal that waits, and why.
    async fn trouble(&self) -> (String, obnova_api::ProblemView) {
        let waits = |item: &obnova_api::ItemView| item.kind == "renewal" && item.problem.is_some();
        let item = self.scene.item("a renewal that waits", waits).await;
        (item.id, item.problem.expect("why it waits"))
    }

    async fn renewed(&self) {
        let done = |item: &obnova_api::ItemView| item.kind == "identity" && item.state == "valid" && item.job.is_none();
        self.scene.item("a valid certificate", done).await;
    }

    /// The doctor's line on the credential.
    async fn doctor(&self) -> String {
        let told = self.scene.obnova(&["doctor"]).await;
        told.out.lines().find(|line| line.contains("“office”")).unwrap_or_else(|| panic!("{told:?}")).to_owned()
    }
}

#[tokio::test]
async fn a_package_is_opened_and_renewed_while_nobody_is_there() {
    let unattended = Unattended::set("p12:FILES/office.p12").await;
    let scene = &unattended.scene;
    let path = scene.file("office.p12");
    let old = Recipe::new("Office").days_left(20).make();
    old.write_p12(&path, PASSWORD, &[]);
    // As an editor leaves a file.
    unattended.hand_over(&format!("{PASSWORD}\n"));
    let mut daemon = unattended.start().await;
    unattended.renewed().await;
    let new = Made::read_p12(&path, PASSWORD);
    assert!(new.fits() && new.sha256() != old.sha256());
    assert!(unattended.doctor().await.contains("was handed over"));

    // Another one in its place, and no certificate beside it: opened, and no word of a lock.
    fs::remove_file(path.with_extension("crt")).expect("the renewal has written it");
    let news = News::on(&scene.bus).await;
    let other = Recipe::new("Office").days_left(300).make();
    other.write_p12(&path, PASSWORD, &[]);
    let shows = |item: &obnova_api::ItemView| {
        item.certificates.iter().flatten().any(|certificate| certificate.sha256 == other.sha256())
    };
    scene.item("the other one", shows).await;
    assert!(!news.events().contains(&"locked".to_owned()), "{:?}", news.events());
    assert!(daemon.stop().await.success(), "{}", daemon.log());
    assert!(!daemon.log().contains("kukuruku"), "{}", daemon.log());
}

#[tokio::test]
async fn a_key_under_a_password_is_renewed_under_the_same() {
    let unattended = Unattended::set("file:FILES/server.pem").await;
    let scene = &unattended.scene;
    let old = Recipe::new("Server").days_left(20).make();
    let (certificate, key) = (scene.write("server.pem", old.pem()), scene.write("server.key", old.key_pem_protected(PASSWORD)));
    unattended.hand_over(PASSWORD);
    let mut command = scene.obnovad();
    // Killed once the new key is there: what protects it is at hand again after that.
    command.env("CREDENTIALS_DIRECTORY", &unattended.handed_over).env("OBNOVA_HALT_AT", "generate-keys:done");
    let mut daemon = scene.start_as(command).await;
    daemon.ended().await;
    let _daemon = unattended.start().await;
    unattended.renewed().await;
    let new = Made::read_pem(&certificate, &key, Some(PASSWORD));
    assert!(new.fits() && new.sha256() != old.sha256());
}

#[tokio::test]
async fn one_that_is_missing_or_wrong_says_what_to_do() {
    let unattended = Unattended::set("file:FILES/server.pem").await;
    let scene = &unattended.scene;
    let old = Recipe::new("Server").days_left(20).make();
    scene.write("server.pem", old.pem());
    scene.write("server.key", old.key_pem_protected(PASSWORD));
    let _daemon = unattended.start().await;
    let (id, problem) = unattended.trouble().await;
    assert_eq!((problem.kind.as_str(), problem.who.as_str()), ("no-credential", "administrator"));
    assert!(problem.args["command"].contains("systemd-creds encrypt -p --name=office"), "{problem:?}");
    assert!(unattended.doctor().await.contains("was not handed to the service"));
    let shown = scene.obnova(&["show", &id]).await.ends(0);
    assert!(shown.out.contains("systemd-ask-password -n | sudo"), "{shown:?}");

    unattended.hand_over("something else");
    scene.obnova(&["resume", &id]).await.ends(0);
    let wrong = async || (unattended.trouble().await.1.kind == "wrong-credential").then_some(());
    eventually("the wrong one is told", wrong).await;

    unattended.hand_over(PASSWORD);
    scene.obnova(&["resume", &id]).await.ends(0);
    unattended.renewed().await;
}

#[tokio::test]
async fn a_package_that_stays_locked_is_told_of_and_opened_by_hand() {
    let unattended = Unattended::set("p12:FILES/office.p12").await;
    let scene = &unattended.scene;
    Recipe::new("Office").days_left(100).make().write_p12(&scene.file("office.p12"), PASSWORD, &[]);
    let _daemon = unattended.start().await;
    let item = scene.item("a locked file", |item| item.state == "locked").await;
    assert!(unattended.doctor().await.contains("was not handed to the service"));
    scene.watch(&scene.file("office.p12"), Some(PASSWORD)).await;
    scene.item("the certificate", |item| item.kind == "identity" && item.state == "valid").await;
    assert!(!scene.items().await.iter().any(|other| other.id == item.id));
}

#[tokio::test]
async fn a_package_that_is_locked_says_so_after_a_restart_and_opens_once_there_is_a_credential() {
    let unattended = Unattended::set("p12:FILES/office.p12").await;
    let scene = &unattended.scene;
    Recipe::new("Office").days_left(100).make().write_p12(&scene.file("office.p12"), PASSWORD, &[]);
    let news = News::on(&scene.bus).await;
    for _ in 0..2 {
        let mut daemon = unattended.start().await;
        scene.item("a locked file", |item| item.state == "locked").await;
        let tried = async || daemon.log().contains("what is at hand does not open a file").then_some(());
        eventually("what is at hand is tried", tried).await;
        scene.settle(&news).await;
        assert!(daemon.stop().await.success(), "{}", daemon.log());
    }
    assert_eq!(news.events(), ["locked"], "told once");
    unattended.hand_over(PASSWORD);
    let _daemon = unattended.start().await;
    scene.item("the certificate", |item| item.kind == "identity" && item.state == "valid").await;
    assert_eq!(scene.items().await.len(), 1);
}
