//! Readers, cards and the service come and go; others hold cards; nothing is polled.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::*;

#[tokio::test]
async fn a_card_is_listed_within_a_second() {
    let mut scene = Scene::new(CardKind::Moves).await;
    scene.card.remove().await;
    scene.line.event("removed", Some(READERS[0])).await;
    assert_eq!(scene.step(&CardStep::Verify {}).await, Err(CardError::Absent {}));
    assert_eq!(scene.line.look(READERS[0]).await.map(|card| card.label), Err(CardError::Absent {}));
    scene.card.insert().await;
    scene.line.event("inserted", Some(READERS[0])).await;
    let began = Instant::now();
    let card = scene.look().await;
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!((card.place.clone(), card.reader.as_str()), (scene.place.clone(), READERS[0]));
    for (name, certificate) in &scene.old {
        assert_eq!(state(&card, name).certificate, Some(der(certificate)));
        assert_eq!(state(&card, name).key, Presence::Key(spki(&key_of(certificate))));
    }
    assert_eq!(scene.step(&CardStep::Verify {}).await, DONE);
    assert!(scene.line.end().await < 1000);
}

#[tokio::test]
async fn two_cards_are_told_apart() {
    let mut scene = Scene::new(CardKind::Moves).await;
    let second = scene.readers.insert_into(1, CardKind::Strict, &scene.readers.state("bertil")).await;
    scene.line.event("inserted", Some(READERS[1])).await;
    let other = scene.line.look(READERS[1]).await.expect("a card").place;
    assert_ne!(other, scene.place);
    // The other's PIN is another one; this card's counter tells whether it saw a wrong one.
    let wrong = json!({ "pin": "999999" });
    let tried = scene.line.step_with(&other, &CardStep::Verify {}, &wrong).await;
    assert_eq!(tried, Err(CardError::WrongPin { left: Some(2) }));
    assert_eq!(scene.look().await.pin, obnova_core::card::Tries::Left(3));
    // They change seats.
    second.kill().await;
    scene.line.event("removed", Some(READERS[1])).await;
    scene.card.kill().await;
    scene.line.event("removed", Some(READERS[0])).await;
    let readers = &scene.readers;
    let _first = readers.insert_into(1, CardKind::Moves, &readers.state("anna")).await;
    let _second = readers.insert_into(0, CardKind::Strict, &readers.state("bertil")).await;
    assert_eq!(scene.line.step(&scene.place, &CardStep::Verify {}).await, DONE);
    let again = scene.line.step_with(&other, &CardStep::Verify {}, &wrong).await;
    assert_eq!(again, Err(CardError::WrongPin { left: Some(1) }));
}

#[tokio::test]
async fn the_service_may_go_and_come() {
    let mut scene = Scene::new(CardKind::Moves).await;
    for _ in 0..2 {
        scene.readers.stop_service().await;
        scene.line.event("removed", Some(READERS[0])).await;
        scene.line.event("gone", None).await;
        let step = scene.step(&CardStep::Verify {}).await;
        assert!(matches!(step, Err(CardError::NoService { .. })), "{step:?}");
        assert_eq!(scene.line.readers().await["service"], "Absent");
        scene.readers.start_service().await;
        scene.line.event("came", None).await;
        scene.line.event("inserted", Some(READERS[0])).await;
        assert_eq!(scene.step(&CardStep::Verify {}).await, DONE);
    }
}

#[tokio::test]
async fn without_a_service_there_is_silence() {
    let mut readers = CardReader::start().await;
    readers.stop_service().await;
    let mut line = Line::start(&readers);
    assert_eq!(line.readers().await["service"], "Absent");
    assert!(line.events.is_empty(), "nothing has changed");
    is_still(&line).await;
    readers.start_service().await;
    line.event("came", None).await;
    let _card = readers.insert(CardKind::Generates, &readers.state("anna")).await;
    line.event("inserted", Some(READERS[0])).await;
    assert!(line.end().await < 1000);
}

/// The library of PC/SC is not linked: where there is none there is no card service, and all else goes on.
#[tokio::test]
async fn without_the_library_there_is_no_service() {
    let readers = CardReader::start().await;
    let _card = readers.insert(CardKind::Strict, &readers.state("anna")).await;
    let hide =
        "mount --bind /dev/null \"$(readlink --canonicalize /usr/lib/x86_64-linux-gnu/libpcsclite.so.1)\" && exec \"$0\"";
    let mut command = readers.command("unshare");
    command.args(["--mount", "sh", "-c", hide]).arg(program("card-line"));
    let mut line = Line::run(command);
    assert_eq!(line.readers().await["service"], "Absent");
    assert!(line.events.is_empty(), "{:?}", line.events);
    assert!(line.end().await < 1000);
    for program in ["obnovad", "obnova"].map(program) {
        let linked = std::process::Command::new("ldd").arg(&program).output().expect("ldd runs").stdout;
        assert!(!String::from_utf8_lossy(&linked).contains("pcsclite"), "{}", program.display());
    }
}

#[tokio::test]
async fn a_card_at_rest_wakes_nobody() {
    let mut scene = Scene::new(CardKind::Moves).await;
    assert_eq!(scene.step(&CardStep::Verify {}).await, DONE);
    is_still(&scene.line).await;
}

#[tokio::test]
async fn who_holds_a_card_is_named_and_waited_for() {
    let mut scene = Scene::new(CardKind::Moves).await;
    for how in ["exclusive", "transaction"] {
        let holder = Line::holding(&scene.readers, how, READERS[0]).await;
        let Err(CardError::Busy { program }) = scene.step(&CardStep::Verify {}).await else { panic!("not busy") };
        // Programs of other tests are seen, too: then it is not known which of them it is.
        assert!(program.is_none_or(|program| program == "card-line"));
        drop(holder);
        scene.line.event("released", Some(READERS[0])).await;
        assert_eq!(scene.step(&CardStep::Verify {}).await, DONE, "{how}");
    }
}

/// No thread of it runs for ten seconds, once all have come to rest.
async fn is_still(line: &Line) {
    const REST: Duration = Duration::from_secs(10);
    let process = line.process.id().expect("it runs");
    let mut before = (Instant::now(), switches(process));
    let began = Instant::now();
    while before.0.elapsed() < REST {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let now = switches(process);
        if now != before.1 {
            assert!(began.elapsed() < PATIENCE, "never at rest: {:?}, {now:?}", before.1);
            before = (Instant::now(), now);
        }
    }
}

/// How often each thread was switched to, by its name and number.
fn switches(process: u32) -> BTreeMap<String, u64> {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).expect("it runs");
    let of_task = |task: std::io::Result<std::fs::DirEntry>| {
        let path = task.expect("an entry").path();
        let status = std::fs::read_to_string(path.join("status")).ok()?;
        let count = status.lines().filter_map(|line| line.split_once("ctxt_switches:")).map(|(_, count)| count.trim());
        let name = status.lines().next().unwrap_or_default();
        Some((format!("{name} {}", path.display()), count.map(|count| count.parse::<u64>().expect("a number")).sum()))
    };
    tasks.filter_map(of_task).collect()
}
