//! Cards come and go, and so does pcscd; readers of several tests do not meet.

use obnova_tests::{CardKind, CardReader, Scene};

#[tokio::test]
async fn a_card_is_seen_to_come_and_to_go() {
    let reader = CardReader::start().await;
    assert_eq!(reader.cards().await, [false, false]);
    let mut card = reader.insert(CardKind::Moves, &reader.state("anna")).await;
    assert_eq!(reader.cards().await, [true, false]);
    card.remove().await;
    assert_eq!(reader.cards().await, [false, false]);
    card.insert().await;
    let name = reader.run("opensc-tool", &["--name"]).await.ends(0);
    assert_eq!(name.out, "Personal Identity Verification Card\n");
    card.kill().await;
    assert_eq!(reader.cards().await, [false, false]);
}

#[tokio::test]
async fn pcscd_may_start_anew() {
    let mut reader = CardReader::start().await;
    let card = reader.insert(CardKind::Generates, &reader.state("anna")).await;
    reader.stop_service().await;
    assert_ne!(reader.run("opensc-tool", &["--atr"]).await.code, 0);
    reader.start_service().await;
    card.is_seen(true).await;
    reader.run("opensc-tool", &["--atr"]).await.ends(0);
}

#[tokio::test]
async fn two_cards_are_in_two_readers() {
    let reader = CardReader::start().await;
    let _first = reader.insert_into(0, CardKind::Moves, &reader.state("anna")).await;
    let _second = reader.insert_into(1, CardKind::Moves, &reader.state("bertil")).await;
    assert_eq!(reader.cards().await, [true, true]);
    let mut serials = Vec::new();
    for name in ["Yubico YubiKey Virtual 00 00", "Yubico YubiKey Virtual 00 01"] {
        let status = reader.run("yubico-piv-tool", &["--reader", name, "--action", "status"]).await.ends(0);
        let serial = status.out.lines().find(|line| line.starts_with("Serial Number:")).expect("a serial number").to_owned();
        serials.push(serial);
    }
    assert_ne!(serials[0], serials[1]);
}

#[tokio::test]
async fn readers_of_two_tests_do_not_meet() {
    let (first, second) = (CardReader::start().await, CardReader::start().await);
    let _card = first.insert(CardKind::Strict, &first.state("anna")).await;
    assert_eq!((first.cards().await, second.cards().await), ([true, false], [false, false]));
}

#[tokio::test]
async fn a_command_is_confined_with_its_directory_and_nothing_else() {
    let reader = CardReader::start().await;
    let _card = reader.insert(CardKind::Strict, &reader.state("anna")).await;
    let mut command = tokio::process::Command::new("sh");
    command.args(["-c", "pwd; env; exec opensc-tool --atr"]).current_dir(reader.state("anna")).env_clear();
    command.env("PATH", "/usr/bin:/bin").env("PWD", "/");
    let output = reader.confine(&command).output().await.expect("it runs");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(output.status.success(), "{text}");
    let mut lines = text.lines();
    assert_eq!(lines.next(), reader.state("anna").to_str());
    assert!(!text.contains("HOME="), "{text}");
    assert_eq!(lines.next_back(), Some("3b:85:80:01:80:53:50:49:56:98"));
}

#[tokio::test]
async fn the_daemon_sees_the_reader_and_its_bus() {
    let (reader, scene) = (CardReader::start().await, Scene::set().await);
    let daemon = scene.start_as(reader.confine(&scene.obnovad())).await;
    scene.obnova(&["list"]).await.ends(0);
    let process = std::fs::read_link(format!("/proc/{}/exe", daemon.pid())).expect("a program");
    assert_eq!(process.file_name().and_then(|name| name.to_str()), Some("obnovad"));
    let inside = format!("/proc/{}/root/run/pcscd/pcscd.comm", daemon.pid());
    assert!(std::fs::metadata(inside).is_ok());
}
