//! Certificates that were made elsewhere: adopted by name, or found; what they replace warns no more and is renewed no more. And
//! copies of what there is.

use std::fs;

use obnova_tests::{Agent, Answer, Asked, Daemon, KeyKind, Made, News, Recipe, Scene, eventually};

const OLD: &str = "geheim";
const NEW: &str = "ganz neu";

/// A `.p12` with 20 days left, watched.
async fn watched() -> (Scene, Made, Daemon) {
    let scene = Scene::set().await;
    let old = Recipe::new("Anna Nová").make();
    old.write_p12(&scene.file("anna.p12"), OLD, &[]);
    let daemon = scene.start().await;
    scene.watch(&scene.file("anna.p12"), Some(OLD)).await;
    (scene, old, daemon)
}

/// What somebody else has made for Anna today.
fn later() -> Recipe {
    Recipe::new("Anna Nová").begun_days_ago(1).days_left(700)
}

/// The state of the one renewal there ever was.
async fn renewal(scene: &Scene) -> String {
    let renewals = scene.obnova(&["renewals", "--all", "--json"]).await.ends(0).json();
    assert_eq!(renewals.as_array().map(Vec::len), Some(1), "{renewals}");
    renewals[0]["state"].as_str().expect("a state").to_owned()
}

#[tokio::test]
async fn a_certificate_that_exists_is_checked_tried_and_used() {
    let (scene, old, _daemon) = watched().await;
    let new = later().make();
    new.write_p12(&scene.file("neu.p12"), NEW, &[]);
    let before = scene.contents();
    let item = scene.item("Anna", |item| item.kind == "identity").await;

    // Opened to be seen, and again to have its key tried: nothing is kept in between.
    let answers = format!("password={NEW}\nconsent=renewal:yes\npassword={NEW}\n");
    let adopted = scene.obnova_answering(&answers, &["adopt", "anna", "neu.p12"]).await.ends(0);
    assert_eq!(adopted.out, format!("{}\n", scene.file("neu.p12").display()));
    let after = scene.item("Anna", |item| item.kind == "identity" && item.state == "valid").await;
    assert_eq!(after.id, item.id);
    assert_eq!(after.certificates.expect("certificates")[0].sha256, new.sha256());
    assert_eq!(scene.contents(), before, "nothing is written, nothing is moved");
    scene.obnova(&["status"]).await.ends(0);
    let retired = scene.item("the old one", |item| item.state == "retired").await;
    assert_eq!(retired.not_after.as_deref().map(|end| &end[..4]), Some(&old.certificate.not_after().to_string()[16..20]));
    let log = scene.obnova(&["log"]).await.ends(0);
    assert!(log.out.lines().last().is_some_and(|line| line.ends_with("neu.p12")), "{log:?}");
}

#[tokio::test]
async fn pem_files_are_adopted_too_and_a_no_leaves_everything() {
    let (scene, _old, _daemon) = watched().await;
    let new = later().key(KeyKind::Rsa(3072)).make();
    scene.write("neu.key", new.key_pem());
    scene.write("neu.crt", new.pem());
    scene.obnova_answering("consent=renewal:no\n", &["adopt", "anna", "neu.crt"]).await.ends(1);
    assert_eq!(renewal(&scene).await, "cancelled");
    scene.obnova_answering("consent=renewal:yes\n", &["adopt", "anna", "neu.crt"]).await.ends(0);
    let item = scene.item("Anna", |item| item.kind == "identity" && item.state == "valid").await;
    assert_eq!(item.certificates.expect("certificates")[0].sha256, new.sha256());
}

#[tokio::test]
async fn what_is_no_successor_is_not_adopted() {
    let (scene, old, _daemon) = watched().await;
    let stranger = Recipe::new("Berta").begun_days_ago(1).days_left(700).make();
    let older = Recipe::new("Anna Nová").begun_days_ago(900).days_left(700).make();
    let keyless = later().make();
    for (name, made, key) in
        [("berta", &stranger, true), ("older", &older, true), ("keyless", &keyless, false), ("same", &old, true)]
    {
        if key {
            scene.write(&format!("{name}.key"), made.key_pem());
        }
        scene.write(&format!("{name}.crt"), made.pem());
        let refused = scene.obnova_answering("consent=renewal:yes\n", &["adopt", "anna", &format!("{name}.crt")]).await;
        let refused = refused.ends(1);
        assert!(refused.err.contains("no newer certificate") && refused.err.contains("hint: "), "{refused:?}");
    }
    let items = scene.items().await;
    assert_eq!(items.len(), 1, "none of them is watched because of it: {items:#?}");
    scene.obnova_answering("", &["adopt", "anna", "nowhere.crt"]).await.ends(1);
}

#[tokio::test]
async fn a_key_that_does_not_work_is_not_adopted() {
    let (scene, _old, _daemon) = watched().await;
    let (new, other) = (later().make(), KeyKind::P256.generate());
    // By its name it is the certificate's, and it is read as somebody else's only when it is tried.
    scene.write("neu.crt", new.pem());
    scene.write("neu.key", other.private_key_to_pem_pkcs8().expect("PEM"));
    let refused = scene.obnova_answering("consent=renewal:yes\n", &["adopt", "anna", "neu.crt"]).await;
    assert!(matches!(refused.code, 1 | 3), "{refused:?}");
    assert!(!scene.items().await.iter().any(|item| item.state == "retired"), "the old one is kept");
}

#[tokio::test]
async fn a_renewal_that_waits_ends_when_a_newer_one_appears() {
    let (scene, _old, _daemon) = watched().await;
    let news = News::on(&scene.bus).await;
    let id = scene.item("Anna", |item| item.kind == "identity").await.id;
    scene.obnova_answering("consent=renewal:yes\n", &["renew", "anna", "--wait"]).await.ends(3);
    assert_eq!(renewal(&scene).await, "waiting");
    let new = later().make();
    new.write_p12(&scene.file("neu.p12"), NEW, &[]);
    scene.watch(&scene.file("neu.p12"), Some(NEW)).await;
    eventually("the notice", async || {
        news.notices().iter().any(|notice| notice.id == id && notice.event == "renewed-elsewhere").then_some(())
    })
    .await;
    assert_eq!(renewal(&scene).await, "superseded");
    let item = scene.item("Anna", |item| item.kind == "identity").await;
    assert_eq!((item.state.as_str(), item.certificates.expect("certificates")[0].sha256.as_str()), ("valid", &*new.sha256()));
    scene.obnova(&["status"]).await.ends(0);
    scene.obnova(&["resume", "1"]).await.ends(1);
    let log = scene.obnova(&["log"]).await.ends(0);
    assert!(log.out.contains("not needed any more; Anna Nová has been renewed elsewhere"), "{log:?}");
    assert!(!scene.state_dir().join("pending/1").exists(), "its working files are gone");
}

#[tokio::test]
async fn an_open_question_is_taken_back_and_the_end_outlives_a_restart() {
    let (scene, _old, mut daemon) = watched().await;
    let agent = Agent::on(&scene.bus, |asked, _| {
        std::future::ready(if asked == Asked::Consent { Answer::Silence } else { Answer::Refuse })
    })
    .await;
    agent.register(false).await;
    scene.obnova(&["renew", "anna"]).await.ends(0);
    eventually("the question", async || (!agent.asked().is_empty()).then_some(())).await;
    later().make().write_p12(&scene.file("neu.p12"), NEW, &[]);
    scene.watch(&scene.file("neu.p12"), Some(NEW)).await;
    eventually("it is taken back", async || (!agent.withdrawn().is_empty()).then_some(())).await;
    eventually("its end", async || (renewal(&scene).await == "superseded").then_some(())).await;
    daemon.kill().await;
    drop(daemon);
    let _daemon = scene.start().await;
    assert_eq!(renewal(&scene).await, "superseded");
    assert!(scene.items().await.iter().all(|item| item.job.is_none()));
}

#[tokio::test]
async fn a_snoozed_warning_ends_with_what_it_was_about() {
    let (scene, _old, _daemon) = watched().await;
    scene.obnova(&["snooze", "anna", "--until", "2d"]).await.ends(0);
    let new = later().make();
    scene.write("neu.key", new.key_pem());
    scene.watch(&scene.write("neu.crt", new.pem()), None).await;
    let status = scene.obnova(&["status", "--json"]).await.ends(0).json();
    // The next moment is one of the new certificate's: three weeks before its end.
    let wake = status["next_wake"].as_str().expect("a moment");
    let item = scene.item("Anna", |item| item.kind == "identity").await;
    let end = chrono::DateTime::parse_from_rfc3339(item.not_after.as_deref().expect("an end")).expect("a time");
    let wake = chrono::DateTime::parse_from_rfc3339(wake).expect("a time");
    assert!((end - wake).num_days() <= 21, "{status}");
    scene.obnova(&["snooze", "anna", "--until", "2d"]).await.ends(1);
}

#[tokio::test]
async fn a_copy_opens_with_its_own_password() {
    let (scene, old, _daemon) = watched().await;
    let answers = format!("password=wrong\npassword={OLD}\nnew-password={NEW}\n");
    let copied = scene.obnova_answering(&answers, &["backup", "anna", "--to", "copy"]).await.ends(0);
    let path = scene.file("copy.p12");
    let copy = Made::read_p12(&path, NEW);
    assert!(copy.fits() && copy.key.public_eq(&old.key));
    assert_eq!(copy.sha256(), old.sha256());
    assert!(copied.err.contains("opens with its new password"), "{copied:?}");
    let left = fs::read_dir(scene.state_dir().join("pending")).map_or(0, Iterator::count);
    assert_eq!(left, 0, "nothing is left in between");
    // Never over what is there, and not without an answer.
    let before = fs::read(&path).expect("read");
    scene.obnova_answering(&answers, &["backup", "anna", "--to", "copy.p12"]).await.ends(1);
    assert_eq!(fs::read(&path).expect("read"), before);
    scene.obnova_answering(&format!("password={OLD}\n"), &["backup", "anna", "--to", "other.p12"]).await.ends(1);
    assert!(!scene.file("other.p12").exists());

    let berta = Recipe::new("Berta").make();
    scene.write("berta.key", berta.key_pem());
    scene.watch(&scene.write("berta.crt", berta.pem()), None).await;
    scene.obnova_answering(&format!("new-password={NEW}\n"), &["backup", "berta", "--to", "berta"]).await.ends(0);
    assert_eq!(Made::read_p12(&scene.file("berta.p12"), NEW).sha256(), berta.sha256());
}

#[tokio::test]
async fn what_nobody_watches_is_found_where_people_keep_it() {
    let scene = Scene::set().await;
    let _daemon = scene.start().await;
    scene.obnova(&["discover"]).await.ends(0);
    let home = scene.home();
    let documents = home.join("Dokumente");
    for directory in [home.join("Downloads/deeper"), documents.clone(), home.join(".config")] {
        fs::create_dir_all(directory).expect("a directory");
    }
    fs::write(home.join(".config/user-dirs.dirs"), "XDG_DOCUMENTS_DIR=\"$HOME/Dokumente\"\n").expect("written");
    Recipe::new("Anna Nová").make().write_p12(&home.join("Downloads/deeper/anna.p12"), OLD, &[]);
    let berta = Recipe::new("Berta").days_left(-3).make();
    fs::write(documents.join("berta.key"), berta.key_pem()).expect("written");
    fs::write(documents.join("berta.crt"), berta.pem()).expect("written");
    fs::write(documents.join("theirs.crt"), Recipe::new("Somebody").make().pem()).expect("written");
    fs::write(home.join("photo.jpg"), "no certificate").expect("written");

    let found = scene.obnova(&["discover", "--json"]).await.ends(0).json();
    let mut names: Vec<(&str, &str)> = found
        .as_array()
        .expect("an array")
        .iter()
        .map(|item| (item["name"].as_str().expect("a name"), item["state"].as_str().expect("a state")))
        .collect();
    names.sort_unstable();
    assert_eq!(names, [("Berta", "expired"), ("anna.p12", "locked")], "{found}");
    let told = scene.obnova(&["discover"]).await.ends(0);
    assert!(told.err.contains("hint: To have one watched: obnova watch "), "{told:?}");
    assert!(scene.items().await.is_empty(), "looking watches nothing");

    scene.watch(&documents, None).await;
    let found = scene.obnova(&["discover", "--json"]).await.ends(0).json();
    assert_eq!(found.as_array().map(Vec::len), Some(1), "{found}");
}

#[tokio::test]
async fn programmes_are_shown_and_files_of_them_checked() {
    let scene = Scene::set().await;
    let _daemon = scene.start().await;
    let listed = scene.obnova(&["programme", "list", "--json"]).await.ends(0).json();
    let names: Vec<&str> = listed.as_array().expect("an array").iter().filter_map(|one| one["name"].as_str()).collect();
    assert_eq!(names, ["vps-postfach", "self-signed"]);
    let shown = scene.obnova(&["programme", "show", "vps-postfach"]).await.ends(0);
    assert!(shown.out.contains("4 to 8 digits") && shown.out.contains("1095 days"), "{shown:?}");
    scene.obnova(&["programme", "show", "nothing"]).await.ends(1);

    let (_, text) = obnova_core::programme::BUILT_IN[1];
    let file = scene.write("own.toml", text.replace("name = \"self-signed\"", "name = \"own\""));
    let file = file.to_str().expect("UTF-8");
    let checked = scene.obnova(&["programme", "check", file]).await.ends(0);
    assert!(checked.out.starts_with("own\n") && checked.err.contains("is right"), "{checked:?}");
    scene.write("own.toml", text.replace("start = \"ask\"", "start = \"later\""));
    let line = text.lines().position(|line| line.starts_with("start")).expect("a line") + 1;
    let wrong = scene.obnova(&["programme", "check", file]).await.ends(1);
    assert!(wrong.err.contains(&format!("own.toml, line {line}, column 9: ")), "{wrong:?}");
    scene.obnova(&["programme", "check", "nowhere.toml"]).await.ends(1);
}
