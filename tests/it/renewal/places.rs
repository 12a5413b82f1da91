//! Where the new files go, and what becomes of the old.

use std::time::{SystemTime, UNIX_EPOCH};

use obnova_tests::{Agent, Answer, Asked, Made, News, Recipe, eventually};

use super::{AGREES, Form, PASSWORD, Watched};

#[tokio::test]
async fn the_person_says_where() {
    let watched = Watched::package().await;
    std::fs::create_dir(watched.scene.file("elsewhere")).expect("a directory");
    // Relative to where the person stands.
    watched.renew(AGREES, &["--to", "elsewhere/nová.p12"]).await.ends(0);
    assert_eq!(watched.new_files(), Vec::<String>::new(), "nothing beside the old");
    let made = watched.is_renewed_at(&watched.scene.file("elsewhere/nová.p12"));
    let item = watched.scene.item("the new one", |item| item.state == "valid").await;
    assert_eq!(item.certificates.expect("certificates")[0].sha256, made.sha256());
}

#[tokio::test]
async fn nothing_is_overwritten() {
    for taken in ["new.p12", "new.crt"] {
        let watched = Watched::package().await;
        watched.scene.write(taken, "precious");
        let outcome = watched.renew(AGREES, &["--to", "new.p12"]).await.ends(3);
        assert!(outcome.err.contains(taken) && outcome.err.contains("hint:"), "{outcome:?}");
        assert_eq!(watched.new_files(), [taken]);
        assert_eq!(std::fs::read(watched.scene.file(taken)).expect("read"), b"precious");
        watched.old_is_untouched();
        let item = watched.scene.item("what waits", |item| item.kind == "renewal").await;
        assert_eq!(item.problem.expect("a problem").kind, "target-exists");
        // Out of the way, it goes on.
        std::fs::remove_file(watched.scene.file(taken)).expect("removed");
        watched.scene.obnova_answering(AGREES, &["resume", "anna", "--wait"]).await.ends(0);
        watched.is_renewed_at(&watched.scene.file("new.p12"));
    }
}

#[tokio::test]
async fn not_even_what_comes_meanwhile_is_overwritten() {
    let watched = Watched::package().await;
    let target = watched.scene.file("new.p12");
    let path = target.clone();
    let agent = Agent::on(&watched.scene.bus, move |asked, _| {
        let answer = if asked == Asked::Consent {
            Answer::Yes
        } else {
            std::fs::write(&path, "precious").expect("written");
            Answer::Secret(PASSWORD.into())
        };
        std::future::ready(answer)
    })
    .await;
    agent.register(false).await;
    let id = watched.scene.item("the old one", |item| item.kind == "identity").await.id;
    let options = obnova_api::Options { to: Some(target.display().to_string()), until: None };
    agent.manager().await.act(&id, "renew", &options).await.expect("begun");
    let item = watched.scene.item("what waits", |item| item.kind == "renewal" && item.state == "waiting").await;
    assert_eq!(item.problem.expect("a problem").kind, "target-exists");
    assert_eq!(std::fs::read(&target).expect("read"), b"precious");
    assert_eq!(watched.new_files(), ["new.p12"]);
    std::fs::remove_file(&target).expect("removed");
    agent.leave().await;
    watched.scene.obnova_answering(AGREES, &["resume", "anna", "--wait"]).await.ends(0);
    watched.is_renewed_at(&target);
}

#[tokio::test]
async fn a_directory_that_is_not_there_is_not_made() {
    let watched = Watched::package().await;
    let outcome = watched.renew(AGREES, &["--to", "nowhere/new.p12"]).await.ends(3);
    assert!(outcome.err.contains("nowhere") && outcome.err.contains("hint:"), "{outcome:?}");
    let item = watched.scene.item("what waits", |item| item.kind == "renewal").await;
    assert_eq!(item.problem.expect("a problem").kind, "target-missing");
    watched.nothing_is_written();
    watched.scene.obnova(&["cancel", "anna"]).await.ends(0);
    watched.nothing_is_written();
}

#[tokio::test]
async fn the_old_one_is_retired_for_good() {
    let mut watched = Watched::package().await;
    let news = News::on(&watched.scene.bus).await;
    watched.renew(AGREES, &[]).await.ends(0);
    let made = watched.is_renewed_beside();
    watched.scene.settle(&news).await;
    news.forget();
    for round in 0..3 {
        let items = watched.scene.items().await;
        let states: Vec<&str> = items.iter().filter(|item| item.kind == "identity").map(|item| item.state.as_str()).collect();
        assert_eq!(states, ["valid", "retired"], "round {round}");
        let retired = items.iter().find(|item| item.state == "retired").expect("the old one");
        assert_eq!(retired.place.as_deref(), Some(format!("p12:{}", watched.path.display()).as_str()));
        let valid = items.iter().find(|item| item.state == "valid").expect("the new one");
        assert_eq!(valid.certificates.as_ref().expect("certificates")[0].sha256, made.sha256());
        let list = watched.scene.obnova(&["list", "--json"]).await.ends(0).json();
        assert_eq!(list.as_array().expect("an array").len(), 1, "{list:#}");
        watched.scene.obnova(&["status"]).await.ends(0);
        // It is touched, and the daemon starts again.
        let content = std::fs::read(&watched.path).expect("read");
        std::fs::write(&watched.path, content).expect("written");
        watched.scene.settle(&news).await;
        assert!(watched.daemon.stop().await.success(), "{}", watched.daemon.log());
        watched.daemon = watched.scene.start().await;
        watched.scene.settle(&news).await;
        assert_eq!(news.events(), Vec::<String>::new(), "round {round}");
    }
    // Even named again, it has a successor.
    watched.scene.watch(&watched.path, Some(PASSWORD)).await;
    watched.scene.settle(&news).await;
    assert_eq!(news.events(), Vec::<String>::new());
    watched.scene.obnova(&["status"]).await.ends(0);
}

#[tokio::test]
async fn a_renewal_within_a_watched_directory() {
    let watched = Watched::new(Form::Pair { protected: false }, &Recipe::new("Anna Nová")).await;
    let news = News::on(&watched.scene.bus).await;
    watched.scene.obnova(&["unwatch", "anna"]).await.ends(0);
    watched.scene.write("bob.crt", Recipe::new("Bob").days_left(200).make().pem());
    watched.scene.watch(&watched.scene.files(), None).await;
    watched.scene.settle(&news).await;
    news.forget();
    watched.scene.obnova_answering("consent=renewal:yes\n", &["renew", "--wait"]).await.ends(0);
    watched.scene.settle(&news).await;
    assert_eq!(news.events(), ["renewed"]);
    let list = watched.scene.obnova(&["list", "--json"]).await.ends(0).json();
    let list = list.as_array().expect("an array");
    assert_eq!(list.iter().filter_map(|item| item["name"].as_str()).collect::<Vec<_>>(), ["Bob", "Anna Nová"]);
    assert!(list.iter().all(|item| item["state"] == "valid"), "{list:#?}");
    let new = watched.new_files();
    let certificate = new.iter().find(|name| name.starts_with("anna") && name.ends_with("crt")).expect("the new file");
    watched.is_renewed_at(&watched.scene.file(certificate));
    let mut watched = watched;
    assert!(watched.daemon.stop().await.success());
    watched.daemon = watched.scene.start().await;
    watched.scene.settle(&news).await;
    assert_eq!(news.events(), ["renewed"]);
    watched.scene.obnova(&["status"]).await.ends(0);
}

#[tokio::test]
async fn renewed_twice_in_a_row_it_has_two_successors() {
    let watched = Watched::package().await;
    watched.renew(AGREES, &[]).await.ends(0);
    let first = watched.is_renewed_beside();
    // Certificates count in seconds, and a successor begins later.
    let begun = first.certificate.not_before().to_owned();
    eventually("the next second", async || {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs().cast_signed();
        (openssl::asn1::Asn1Time::from_unix(now).expect("a time") > begun).then_some(())
    })
    .await;
    watched.renew(AGREES, &[]).await.ends(0);
    let new = watched.new_files();
    assert_eq!(new.len(), 4, "{new:?}");
    let second = new.iter().find(|name| name.ends_with("-2.p12")).expect("another name");
    let second = Made::read_p12(&watched.scene.file(second), PASSWORD);
    assert!(second.fits() && !second.key.public_eq(&first.key));
    let item = watched.scene.item("the newest", |item| item.state == "valid").await;
    assert_eq!(item.certificates.expect("certificates")[0].sha256, second.sha256());
    let retired = watched.scene.items().await.into_iter().filter(|item| item.state == "retired").count();
    assert_eq!(retired, 2);
    watched.old_is_untouched();
}
