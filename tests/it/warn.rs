//! Warnings over the real programs: which notice comes for which certificate, once, and what `list` and `status` say of it.

use std::path::{Path, PathBuf};

use chrono::{DateTime, SecondsFormat};
use obnova_tests::fixture::openssl;
use obnova_tests::{Made, News, Notice, Recipe, Scene};
use openssl::asn1::{Asn1Time, Asn1TimeRef};
use serde_json::json;

const PASSWORD: &str = "geheim";

/// The ways in which the same certificate may lie on the disk.
#[derive(Clone, Copy, Debug)]
enum Form {
    Pkcs12,
    Pkcs12Legacy,
    PemPair,
    PemBoth,
}

impl Form {
    /// Writes it, watches it, and gives its place.
    async fn watched(self, scene: &Scene, made: &Made) -> String {
        let (path, password) = match self {
            Self::Pkcs12 | Self::Pkcs12Legacy => {
                let arguments: &[&str] = if matches!(self, Self::Pkcs12) { &[] } else { &["-legacy"] };
                made.write_p12(&scene.file("anna.p12"), PASSWORD, arguments);
                (scene.file("anna.p12"), Some(PASSWORD))
            }
            Self::PemPair => {
                scene.write("anna.key", made.key_pem());
                (scene.write("anna.crt", made.pem()), None)
            }
            Self::PemBoth => (scene.write("anna.pem", [made.key_pem(), made.pem()].concat()), None),
        };
        scene.watch(&path, password).await;
        let scheme = if password.is_some() { "p12" } else { "file" };
        format!("{scheme}:{}", path.display())
    }
}

#[tokio::test]
async fn a_modern_p12_warns_three_weeks_ahead() {
    warns_three_weeks_ahead(Form::Pkcs12, &Recipe::new("Anna Nová")).await;
}

#[tokio::test]
async fn a_legacy_p12_warns_three_weeks_ahead() {
    warns_three_weeks_ahead(Form::Pkcs12Legacy, &Recipe::new("Anna Nová")).await;
}

#[tokio::test]
async fn two_files_as_openssl_req_makes_them_warn_three_weeks_ahead() {
    warns_three_weeks_ahead(Form::PemPair, &Recipe::new("Anna Nová").as_req_makes_it()).await;
}

#[tokio::test]
async fn one_file_as_openssl_req_makes_it_warns_three_weeks_ahead() {
    warns_three_weeks_ahead(Form::PemBoth, &Recipe::new("Anna Nová").as_req_makes_it()).await;
}

/// Exactly one notice; `list --json` and `status` as the contract says.
async fn warns_three_weeks_ahead(form: Form, recipe: &Recipe) {
    let scene = Scene::set().await;
    let daemon = scene.start().await;
    let news = News::on(&scene.bus).await;
    let made = recipe.make();
    let place = form.watched(&scene, &made).await;
    scene.settle(&news).await;

    let list = scene.obnova(&["list", "--json"]).await.ends(0).json();
    let id = list[0]["id"].as_str().expect("an id");
    assert!(id.len() == 16 && id.bytes().all(|digit| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit)), "{id}");
    let notice = Notice { id: id.into(), event: "three-weeks".into(), level: "warning".into() };
    assert_eq!(news.notices(), [notice], "{}", daemon.log());

    let ends = time(made.certificate.not_after());
    let name = "CN=Anna Nová,O=Žluťoučký kůň\\, s. r. o.,C=CZ";
    let serial = made.certificate.serial_number().to_bn().expect("a number").to_hex_str().expect("hex").to_lowercase();
    let expected = json!([{
        "id": id,
        "kind": "identity",
        "name": "Anna Nová",
        "owner": "anna",
        "scope": "user",
        "state": "expiring",
        "level": "warning",
        "deadline": ends,
        "next_step": { "who": "you", "what": "renew", "by": ends, "action": "renew" },
        "programme": "self-signed",
        "not_after": ends,
        "place": place,
        "certificates": [{
            "role": "general",
            "subject": name,
            "issuer": name,
            "serial": serial,
            "not_before": time(made.certificate.not_before()),
            "not_after": ends,
            "sha256": made.sha256(),
            "place": place,
        }],
    }]);
    assert_eq!(list, expected);
    let show = scene.obnova(&["show", "anna", "--json"]).await.ends(0).json();
    assert_eq!(show, expected[0]);

    let status = scene.obnova(&["status"]).await.ends(3);
    assert!(status.out.contains("Anna Nová"), "{status:?}");
    assert!(format!("{}{}", status.out, status.err).contains("obnova renew 'Anna Nová'"), "{status:?}");
    let status = scene.obnova(&["status", "--json"]).await.ends(3).json();
    assert_eq!((&status["level"], &status["watched"]), (&json!("warning"), &json!(1)));
    assert_eq!(status["first"]["next_step"]["action"], "renew");
}

/// The fixture above is what the real command makes.
#[tokio::test]
async fn openssl_req_is_met_as_it_is() {
    let scene = Scene::set().await;
    let (certificate, key) = (scene.file("anna.crt"), scene.file("anna.key"));
    let subject = "/C=CZ/O=Zlutoucky kun/CN=Anna";
    let (to_certificate, to_key) = (certificate.to_str().expect("UTF-8"), key.to_str().expect("UTF-8"));
    let fixed = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "365", "-subj", subject];
    openssl(&[&fixed[..], &["-keyout", to_key, "-out", to_certificate]].concat());
    let ours = scene.write("ours.pem", Recipe::new("Anna").as_req_makes_it().make().pem());
    assert_eq!(extensions(&certificate), extensions(&ours));

    let _daemon = scene.start().await;
    let news = News::on(&scene.bus).await;
    scene.watch(&certificate, None).await;
    scene.settle(&news).await;
    assert_eq!(news.notices(), []);
    let list = scene.obnova(&["list", "--json"]).await.ends(0).json();
    assert_eq!((&list[0]["state"], &list[0]["programme"]), (&json!("valid"), &json!("self-signed")));
    scene.obnova(&["status"]).await.ends(0);
}

/// The names of the extensions, and what those say that say the same for everybody.
fn extensions(certificate: &Path) -> Vec<String> {
    let printed = openssl(&["x509", "-in", certificate.to_str().expect("UTF-8"), "-noout", "-text"]);
    let printed = String::from_utf8(printed).expect("UTF-8");
    let told = printed.lines().map(str::trim).filter(|line| line.starts_with("X509v3 ") || line.starts_with("CA:"));
    told.map(str::to_owned).collect()
}

#[tokio::test]
async fn each_span_has_its_own_notice() {
    let cases = [
        (30, None, "valid", 0),
        (21, None, "valid", 0),
        (20, Some("three-weeks"), "expiring", 3),
        (7, Some("three-weeks"), "expiring", 3),
        (6, Some("one-week"), "expiring", 3),
        (2, Some("three-days"), "expiring", 3),
        (1, Some("two-days"), "expiring", 3),
        (-1, Some("expired"), "expired", 3),
    ];
    for (days, event, state, code) in cases {
        let scene = Scene::set().await;
        let _daemon = scene.start().await;
        let news = News::on(&scene.bus).await;
        let made = Recipe::new("Anna Nová").days_left(days).make();
        Form::PemPair.watched(&scene, &made).await;
        scene.settle(&news).await;
        let expected: Vec<String> = event.iter().map(|event| (*event).to_owned()).collect();
        assert_eq!(news.events(), expected, "{days} days left");
        let list = scene.obnova(&["list", "--json"]).await.ends(0).json();
        assert_eq!(list[0]["state"], state, "{days} days left");
        let status = scene.obnova(&["status"]).await.ends(code);
        if days < 0 {
            assert!(status.out.contains("ended") || status.out.contains("expired"), "{status:?}");
        }
    }
}

#[tokio::test]
async fn a_restart_tells_nothing_twice() {
    let scene = Scene::set().await;
    let news = News::on(&scene.bus).await;
    let mut daemon = scene.start().await;
    Form::PemBoth.watched(&scene, &Recipe::new("Anna Nová").make()).await;
    Recipe::new("Bob").make().write_p12(&scene.file("bob.p12"), PASSWORD, &[]);
    scene.watch(&scene.file("bob.p12"), Some(PASSWORD)).await;
    scene.settle(&news).await;
    assert_eq!(news.events(), ["three-weeks"; 2]);
    for (count, killed) in [false, true, false].into_iter().enumerate() {
        if killed {
            daemon.kill().await;
        } else {
            assert!(daemon.stop().await.success(), "{}", daemon.log());
        }
        // It changes while nobody looks, but says the same.
        for name in ["anna.pem", "bob.p12"] {
            let content = std::fs::read(scene.file(name)).expect("read");
            scene.write(name, content);
        }
        daemon = scene.start().await;
        scene.settle(&news).await;
        assert_eq!(news.events(), ["three-weeks"; 2], "after restart {count}");
    }
    let log = scene.obnova(&["log", "--json"]).await.ends(0).json();
    let announced = log.as_array().expect("an array").iter().filter(|line| line["event"] == "announced");
    assert_eq!(announced.count(), 2);
}

#[tokio::test]
async fn each_certificate_of_a_directory_warns_for_itself() {
    let scene = Scene::set().await;
    let _daemon = scene.start().await;
    let news = News::on(&scene.bus).await;
    for (name, days) in [("Anna", 20), ("Bob", 6), ("Cyril", 200)] {
        let made = Recipe::new(name).days_left(days).make();
        scene.write(&format!("{name}.crt"), made.pem());
        scene.write(&format!("{name}.key"), made.key_pem());
    }
    scene.watch(&scene.files(), None).await;
    scene.settle(&news).await;
    assert_eq!(news.events(), ["one-week", "three-weeks"], "the most urgent first");
    let list = scene.obnova(&["list", "--json"]).await.ends(0).json();
    let names: Vec<&str> = list.as_array().expect("an array").iter().filter_map(|item| item["name"].as_str()).collect();
    assert_eq!(names, ["Bob", "Anna", "Cyril"]);
}

/// An authority whose certificate another found one chains to is not warned about in a directory; by name it is.
#[tokio::test]
async fn what_is_named_always_warns() {
    let scene = Scene::set().await;
    let _daemon = scene.start().await;
    let news = News::on(&scene.bus).await;
    let root = Recipe::new("Root").authority().make();
    let path: PathBuf = scene.write("root.crt", root.pem());
    scene.watch(&path, None).await;
    scene.settle(&news).await;
    assert_eq!(news.events(), ["three-weeks"]);
    let list = scene.obnova(&["list", "--json"]).await.ends(0).json();
    // Its key is nowhere: somebody else must renew it.
    assert_eq!(list[0]["next_step"]["what"], "renew-elsewhere");
}

fn time(moment: &Asn1TimeRef) -> String {
    let since = Asn1Time::from_unix(0).expect("a time").diff(moment).expect("a span");
    let seconds = i64::from(since.days) * 86_400 + i64::from(since.secs);
    DateTime::from_timestamp(seconds, 0).expect("a time").to_rfc3339_opts(SecondsFormat::Secs, true)
}

#[tokio::test]
async fn a_warning_is_put_off_until_then() {
    let scene = Scene::set().await;
    let _daemon = scene.start().await;
    let place = Form::PemPair.watched(&scene, &Recipe::new("Anna Nová").make()).await;
    let item = scene.item("the certificate", |item| item.place.as_ref() == Some(&place)).await;
    scene.obnova(&["snooze", "anna", "--until", "2d"]).await.ends(0);
    let log = scene.obnova(&["log", "--json"]).await.ends(0).json();
    let last = log.as_array().and_then(|log| log.last()).expect("a record");
    assert_eq!((&last["event"], &last["item"]), (&json!("snoozed"), &json!(item.id)));
    // What has not been warned of cannot be put off.
    let later = scene.write("later.crt", Recipe::new("Berta").days_left(200).make().pem());
    scene.watch(&later, None).await;
    scene.obnova(&["snooze", "berta", "--until", "2d"]).await.ends(1);
    scene.obnova(&["snooze", "anna", "--until", "2020-01-01"]).await.ends(2);
}
