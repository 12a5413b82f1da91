//! Watching over the real programs: passwords, files that change, what is watched no more.

use std::path::Path;
use std::time::{Duration, Instant};

use obnova_tests::{Agent, Answer, Asked, Daemon, Made, News, Recipe, Scene};
use serde_json::Value;

const PASSWORD: &str = "geheim";

/// A change on disk must be known within this.
const SOON: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_wrong_password_is_asked_for_again() {
    let (scene, _daemon) = with_package().await;
    let path = text(&scene.file("anna.p12"));
    let outcome = scene.obnova_answering("password=wrong\npassword=\npassword=geheim\n", &["watch", &path]).await;
    assert_eq!(outcome.code, 0, "{outcome:?}");
    assert_eq!(states(&scene).await, ["expiring"]);

    let answers = std::sync::Mutex::new(vec!["geheim", "wrong"]);
    let agent = Agent::on(&scene.bus, move |asked, _| {
        assert_eq!(asked, Asked::Secret);
        let answer = answers.lock().expect("answers").pop().map_or(Answer::Refuse, |answer| Answer::Secret(answer.into()));
        std::future::ready(answer)
    })
    .await;
    scene.obnova(&["unwatch", "anna"]).await.ends(0);
    agent.register(false).await;
    let place = format!("p12:{path}");
    agent.manager().await.watch(&place, &obnova_api::Options::default()).await.expect("watched");
    let asked = agent.asked();
    assert_eq!(asked.len(), 2);
    let (first, second) = (&asked[0].1, &asked[1].1);
    assert_eq!((first.about.as_str(), first.secret.as_deref(), first.refused), ("watch", Some("password"), None));
    assert_eq!((second.refused, &second.id), (Some(true), &first.id), "the same question returns");
    assert_eq!(first.args.as_ref().expect("arguments")["path"], path);
}

#[tokio::test]
async fn after_a_refusal_nothing_is_watched() {
    let (scene, mut daemon) = with_package().await;
    let path = text(&scene.file("anna.p12"));
    for answers in ["password=wrong\n", ""] {
        let outcome = scene.obnova_answering(answers, &["watch", &path]).await.ends(1);
        assert!(outcome.out.is_empty() && outcome.err.contains("hint:"), "{outcome:?}");
    }
    // Nobody is there to be asked.
    let outcome = scene.obnova(&["watch", &path]).await.ends(1);
    assert!(outcome.err.contains("hint:"), "{outcome:?}");
    assert_eq!(scene.obnova(&["list", "--json"]).await.ends(0).json(), serde_json::json!([]));
    assert_eq!(events(&scene).await, ["born"]);
    assert!(daemon.stop().await.success());
    let _daemon = scene.start().await;
    assert_eq!(scene.obnova(&["list", "--json"]).await.ends(0).json(), serde_json::json!([]));
}

#[tokio::test]
async fn a_broken_file_is_not_a_wrong_password() {
    let (scene, _daemon) = with_package().await;
    let whole = std::fs::read(scene.file("anna.p12")).expect("read");
    let garbage: Vec<u8> = (0..2000_u32).map(|number| number.to_le_bytes()[0]).collect();
    for (name, content) in [("half.p12", &whole[..whole.len() / 2]), ("empty.p12", b""), ("garbage.p12", &garbage)] {
        let path = text(&scene.write(name, content));
        let outcome = scene.obnova_answering("password=geheim\n", &["watch", &path]).await.ends(1);
        assert!(outcome.err.contains(name) && !outcome.err.to_lowercase().contains("password"), "{outcome:?}");
    }
    assert_eq!(scene.obnova(&["list", "--json"]).await.ends(0).json(), serde_json::json!([]));
}

#[tokio::test]
async fn what_is_not_there_is_said_so() {
    let scene = Scene::set().await;
    let _daemon = scene.start().await;
    let outcome = scene.obnova(&["watch", "nowhere.p12"]).await.ends(1);
    assert!(outcome.err.contains("nowhere.p12") && outcome.err.contains("hint:"), "{outcome:?}");
    let outcome = scene.obnova(&["watch", "ftp:/nowhere"]).await.ends(2);
    assert!(outcome.err.contains("ftp"), "{outcome:?}");
}

#[tokio::test]
async fn a_file_that_is_renamed_over_ends_the_warning_at_once() {
    is_replaced("anna.crt", |path, content| {
        let beside = path.with_extension("new");
        std::fs::write(&beside, content).expect("written");
        std::fs::rename(&beside, path).expect("renamed");
    })
    .await;
}

#[tokio::test]
async fn a_file_that_is_written_in_place_ends_the_warning_at_once() {
    is_replaced("anna.crt", |path, content| std::fs::write(path, content).expect("written")).await;
}

/// Replaces the certificate by others, and measures until the warning is gone. The best of three counts: the machine may be
/// busy with other tests, the daemon may not.
async fn is_replaced(name: &str, replace: impl Fn(&Path, &[u8])) {
    let mut best = Duration::MAX;
    for _ in 0..3 {
        let scene = Scene::set().await;
        let _daemon = scene.start().await;
        let news = News::on(&scene.bus).await;
        let old = Recipe::new("Anna Nová").make();
        let path = scene.write(name, [old.key_pem(), old.pem()].concat());
        scene.watch(&path, None).await;
        news.count(1).await;
        let new = Recipe::new("Anna Nová").begun_days_ago(0).days_left(300).make();
        let since = Instant::now();
        replace(&path, &[new.key_pem(), new.pem()].concat());
        let item = scene.item("the new certificate", |item| item.kind == "identity" && item.state == "valid").await;
        best = best.min(since.elapsed());
        assert_eq!(item.certificates.expect("certificates")[0].sha256, new.sha256());
        scene.settle(&news).await;
        assert_eq!(news.events(), ["three-weeks"], "nothing new to tell");
        assert_eq!(states(&scene).await, ["valid"]);
        scene.obnova(&["status"]).await.ends(0);
        assert!(events(&scene).await.contains(&"replaced".to_owned()));
    }
    assert!(best < SOON, "{best:?}");
}

#[tokio::test]
async fn a_package_that_changes_wants_its_password() {
    let (scene, mut daemon) = with_package().await;
    let news = News::on(&scene.bus).await;
    let path = scene.file("anna.p12");
    scene.watch(&path, Some(PASSWORD)).await;
    let new = Recipe::new("Anna Nová").begun_days_ago(0).days_left(300).make();
    let since = Instant::now();
    new.write_p12(&path, "neues Passwort", &[]);
    let item = scene.item("a changed item", |item| item.state == "changed").await;
    let passed = since.elapsed();
    let next = item.next_step.expect("a next step");
    assert_eq!((next.what.as_str(), next.who.as_str(), next.action.as_deref()), ("unlock", "you", Some("unlock")));
    assert!(passed < 10 * SOON, "{passed:?}");
    let status = scene.obnova(&["status"]).await.ends(3);
    assert!(format!("{}{}", status.out, status.err).contains("obnova watch"), "{status:?}");

    // It is remembered over a restart.
    assert!(daemon.stop().await.success());
    let _daemon = scene.start().await;
    scene.settle(&news).await;
    assert_eq!(states(&scene).await, ["changed"]);
    assert_eq!(news.events(), ["three-weeks", "locked"], "told once");

    // The old password opens it no more; the new one does.
    let agent = Agent::with_secret(&scene.bus, "neues Passwort").await;
    agent.register(false).await;
    agent.manager().await.act(&item.id, "unlock", &obnova_api::Options::default()).await.expect("unlocked");
    assert_eq!(agent.asked()[0].1.about, "unlock");
    let item = scene.item("the new certificate", |item| item.state == "valid").await;
    assert_eq!(item.certificates.expect("certificates")[0].sha256, new.sha256());
    assert_eq!(states(&scene).await, ["valid"]);
}

#[tokio::test]
async fn a_changed_package_is_unlocked_by_watching_it_again() {
    let (scene, _daemon) = with_package().await;
    let path = scene.file("anna.p12");
    scene.watch(&path, Some(PASSWORD)).await;
    Recipe::new("Anna Nová").begun_days_ago(0).days_left(300).make().write_p12(&path, "neu", &[]);
    scene.item("a changed item", |item| item.state == "changed").await;
    scene.watch(&path, Some("neu")).await;
    assert_eq!(states(&scene).await, ["valid"]);
}

#[tokio::test]
async fn a_certificate_beside_a_changed_package_tells_at_once() {
    let (scene, _daemon) = with_package().await;
    let news = News::on(&scene.bus).await;
    let path = scene.file("anna.p12");
    scene.watch(&path, Some(PASSWORD)).await;
    let new = Recipe::new("Anna Nová").begun_days_ago(0).days_left(300).make();
    scene.write("anna.crt", new.pem());
    new.write_p12(&path, "neues Passwort", &[]);
    let item = scene.item("the new certificate", |item| item.kind == "identity" && item.state == "valid").await;
    assert_eq!(item.certificates.expect("certificates")[0].sha256, new.sha256());
    scene.settle(&news).await;
    assert_eq!(states(&scene).await, ["valid"]);
}

#[tokio::test]
async fn a_file_is_watched_no_more() {
    let (scene, mut daemon) = with_package().await;
    let news = News::on(&scene.bus).await;
    let path = scene.file("anna.p12");
    scene.watch(&path, Some(PASSWORD)).await;
    let id = scene.items().await[0].id.clone();
    scene.obnova(&["unwatch", "Anna Nová"]).await.ends(0);
    news.removed(&id).await;
    // Whatever becomes of it is not our business.
    Recipe::new("Anna Nová").days_left(6).make().write_p12(&path, PASSWORD, &[]);
    scene.settle(&news).await;
    assert_eq!(news.events(), ["three-weeks"]);
    assert_eq!(scene.obnova(&["list", "--all", "--json"]).await.ends(0).json(), serde_json::json!([]));
    assert!(daemon.stop().await.success());
    let _daemon = scene.start().await;
    scene.settle(&news).await;
    assert_eq!(scene.obnova(&["list", "--all", "--json"]).await.ends(0).json(), serde_json::json!([]));
    scene.obnova(&["unwatch", "Anna Nová"]).await.ends(1);
}

#[tokio::test]
async fn one_file_of_a_directory_is_watched_no_more() {
    let scene = Scene::set().await;
    let mut daemon = scene.start().await;
    let news = News::on(&scene.bus).await;
    for name in ["Anna", "Bob"] {
        scene.write(&format!("{name}.crt"), Recipe::new(name).make().pem());
    }
    scene.watch(&scene.files(), None).await;
    scene.settle(&news).await;
    scene.obnova(&["unwatch", "Bob"]).await.ends(0);
    assert_eq!(names(&scene).await, ["Anna"]);
    // Not even when it changes, or another comes.
    scene.write("Bob.crt", Recipe::new("Bob").days_left(6).make().pem());
    scene.write("Cyril.crt", Recipe::new("Cyril").make().pem());
    scene.item("the new file", |item| item.name == "Cyril").await;
    assert_eq!(names(&scene).await, ["Anna", "Cyril"]);
    assert!(daemon.stop().await.success());
    let _daemon = scene.start().await;
    scene.settle(&news).await;
    assert_eq!(names(&scene).await, ["Anna", "Cyril"]);
    assert_eq!(news.events(), ["three-weeks"; 3]);
    // Named again, it is watched again.
    scene.watch(&scene.file("Bob.crt"), None).await;
    assert_eq!(names(&scene).await, ["Anna", "Bob", "Cyril"]);
}

#[tokio::test]
async fn a_file_that_goes_is_missing_and_comes_back() {
    let scene = Scene::set().await;
    let _daemon = scene.start().await;
    let made = Recipe::new("Anna Nová").make();
    let path = scene.write("anna.crt", made.pem());
    scene.watch(&path, None).await;
    std::fs::remove_file(&path).expect("removed");
    let item = scene.item("what is missing", |item| item.problem.is_some()).await;
    assert_eq!(item.problem.expect("a problem").kind, "place-missing");
    scene.obnova(&["status"]).await.ends(3);
    scene.write("anna.crt", made.pem());
    scene.item("it is back", |item| item.state == "expiring").await;
}

async fn with_package() -> (Scene, Daemon) {
    let scene = Scene::set().await;
    package().write_p12(&scene.file("anna.p12"), PASSWORD, &[]);
    let daemon = scene.start().await;
    (scene, daemon)
}

fn package() -> Made {
    Recipe::new("Anna Nová").make()
}

async fn states(scene: &Scene) -> Vec<String> {
    column(&scene.obnova(&["list", "--json"]).await.ends(0).json(), "state")
}

async fn names(scene: &Scene) -> Vec<String> {
    let mut names = column(&scene.obnova(&["list", "--json"]).await.ends(0).json(), "name");
    names.sort();
    names
}

async fn events(scene: &Scene) -> Vec<String> {
    column(&scene.obnova(&["log", "--json"]).await.ends(0).json(), "event")
}

fn column(list: &Value, key: &str) -> Vec<String> {
    list.as_array().expect("an array").iter().map(|line| line[key].as_str().expect("a word").to_owned()).collect()
}

fn text(path: &Path) -> String {
    path.to_str().expect("UTF-8").to_owned()
}
