//! The certificate of a VPS mailbox: known by its visiting card, renewed long after its end, for three years, under a PIN.

use std::fs;
use std::time::Duration;

use obnova_tests::{Daemon, KeyKind, Made, Recipe, Scene};

use super::mode;

const CARD: &str = "[visiting-card]\nname = \"Anna Nová\"\norganisation = \"Žluťoučký kůň, s. r. o.\"\ncountry = \"CZ\"\n";

/// A mailbox whose certificate is watched; the daemon looks after it.
async fn mailbox(card: &str, days_left: i64) -> (Scene, Made, Daemon) {
    let scene = Scene::set().await;
    let cards = scene.home().join(".config/obnova/programmes.d/vps-postfach.d");
    fs::create_dir_all(&cards).expect("a directory");
    fs::write(cards.join("office.toml"), card).expect("written");
    let recipe = Recipe::new("Anna Nová").key(KeyKind::Rsa(3072)).begun_days_ago(1125).days_left(days_left);
    let old = recipe.make();
    old.write_p12(&scene.file("postfach.p12"), "1234", &[]);
    let daemon = scene.start().await;
    scene.watch(&scene.file("postfach.p12"), Some("1234")).await;
    (scene, old, daemon)
}

#[tokio::test]
async fn thirty_days_after_its_end_it_is_renewed_as_before_it() {
    let (scene, old, _daemon) = mailbox(CARD, -31).await;
    let item = scene.item("the mailbox", |item| item.kind == "identity").await;
    assert_eq!((item.state.as_str(), item.level.as_str()), ("receive-only", "critical"), "{item:?}");
    assert_eq!(item.programme.as_deref(), Some("vps-postfach"));
    let list = scene.obnova(&["list"]).await.ends(0);
    assert!(list.out.contains("expired: can still receive, cannot send"), "{list:?}");

    // What breaks the rules is refused, and nothing is made.
    let mut renew = vec!["renew", "--wait", "--to", "neu"];
    for bad in ["123", "123456789", "12ab"] {
        let answers = format!("consent=renewal:yes\npin=1234\nnew-pin={bad}\n");
        scene.obnova_answering(&answers, &renew).await.ends(3);
        assert_eq!(scene.contents().len(), 1, "{bad}");
        renew = vec!["renew", "anna", "--wait"];
    }
    let renewed = scene.obnova_answering("pin=1234\nnew-pin=1234\n", &renew).await.ends(0);
    let (package, certificate) = (scene.file("neu.p12"), scene.file("neu.crt"));
    assert_eq!(renewed.out, format!("{}\n{}\n", package.display(), certificate.display()));
    assert_eq!((mode(&package), mode(&certificate)), (0o600, 0o644));
    let new = Made::read_p12(&package, "1234");
    assert_eq!(fs::read(&certificate).expect("read"), new.pem());
    assert!(new.fits() && !new.key.public_eq(&old.key), "a new key");
    assert_eq!(new.printed(), old.printed(), "the same holder, names and usages");
    let life = new.certificate.not_before().diff(new.certificate.not_after()).expect("a span");
    assert_eq!((life.days, life.secs), (1095, 0), "three years");

    let after = scene.item("the mailbox", |item| item.kind == "identity" && item.state == "valid").await;
    assert_eq!(after.id, item.id, "the same mailbox");
    scene.obnova(&["status"]).await.ends(0);
}

#[tokio::test]
async fn the_subject_is_what_the_visiting_card_says() {
    let changed = "[visiting-card]\nname = \"Anna Horáková\"\norganisation = \"Kanzlei\"\ncountry = \"DE\"\n\
                   formerly = ['CN=Anna Nová,O=Žluťoučký kůň\\, s. r. o.,C=CZ']\n";
    let (scene, old, _daemon) = mailbox(changed, 20).await;
    let item = scene.item("the mailbox", |item| item.kind == "identity").await;
    assert_eq!((item.programme.as_deref(), item.name.as_str()), (Some("vps-postfach"), "Anna Nová"));
    let plan = scene.obnova_answering("", &["renew", "--dry-run"]).await.ends(0);
    assert!(plan.out.contains("the new certificate says CN=Anna Horáková,O=Kanzlei,C=DE"), "{plan:?}");

    scene
        .obnova_answering("consent=renewal:yes\npin=1234\nnew-pin=87654321\n", &["renew", "--wait", "--to", "neu"])
        .await
        .ends(0);
    let new = Made::read_p12(&scene.file("neu.p12"), "87654321");
    let subject = |made: &Made| {
        let parts = made.certificate.subject_name().entries();
        parts.map(|part| part.data().to_string().expect("UTF-8")).collect::<Vec<_>>()
    };
    assert_eq!(subject(&new), ["DE", "Kanzlei", "Anna Horáková"]);
    assert_eq!(subject(&old), ["CZ", "Žluťoučký kůň, s. r. o.", "Anna Nová"]);
    let names = |made: &Made| made.printed().lines().skip(2).collect::<Vec<_>>().join("\n");
    assert_eq!(names(&new), names(&old), "addresses and usages are as they were");
    let after = scene.item("the mailbox", |item| item.kind == "identity" && item.state == "valid").await;
    assert_eq!((after.id, after.name.as_str()), (item.id, "Anna Horáková"), "the same mailbox");
}

#[tokio::test]
async fn without_a_visiting_card_it_is_any_self_made_certificate() {
    let other = "[visiting-card]\nname = \"Somebody else\"\n";
    let (scene, _old, mut daemon) = mailbox(other, -31).await;
    let item = scene.item("the certificate", |item| item.kind == "identity").await;
    assert_eq!((item.programme.as_deref(), item.state.as_str()), (Some("self-signed"), "expired"));
    let ended = tokio::time::timeout(Duration::from_mins(1), daemon.stop()).await.expect("it ends");
    assert!(ended.success());

    let card = scene.home().join(".config/obnova/programmes.d/vps-postfach.d/office.toml");
    fs::write(&card, "[visiting-card]\nname = \"Anna\"\ncountry = \"Germany\"\n").expect("written");
    let check = scene.command("obnovad").arg("--check").output().await.expect("obnovad runs");
    let said = String::from_utf8(check.stderr).expect("UTF-8");
    assert!(!check.status.success() && said.contains("office.toml:1:1: a country is two capital letters"), "{said}");
}
