//! `mail read` and `programme test` as a person sees them, with a daemon that asks a real server for keys.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use obnova_tests::letter::directory;
use obnova_tests::{Daemon, Scene};
use tokio::net::UdpSocket;

use super::zone;

/// A server that knows the zone of the corpus; it answers until the test ends.
async fn serve_zone() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
    let address = socket.local_addr().expect("an address");
    let zone: BTreeMap<String, String> = zone().into_iter().collect();
    tokio::spawn(async move {
        let mut question = [0; 1500];
        while let Ok((length, from)) = socket.recv_from(&mut question).await {
            let answer = answer(&question[..length], &zone);
            socket.send_to(&answer, from).await.expect("sent");
        }
    });
    address
}

/// The answer to a question for a text (RFC 1035 section 4).
fn answer(question: &[u8], zone: &BTreeMap<String, String>) -> Vec<u8> {
    let (mut labels, mut at) = (Vec::new(), 12);
    while question[at] != 0 {
        let length = usize::from(question[at]);
        labels.push(String::from_utf8_lossy(&question[at + 1..=at + length]).to_lowercase());
        at += length + 1;
    }
    let found = zone.get(&labels.join("."));
    // Authoritative; NXDOMAIN where there is nothing.
    let (flags, answers) = if found.is_some() { ([0x84, 0x00], 1) } else { ([0x84, 0x03], 0) };
    let mut reply = [&question[..2], &flags, &[0, 1, 0, answers, 0, 0, 0, 0], &question[12..at + 5]].concat();
    if let Some(text) = found {
        let pieces: Vec<u8> = text
            .as_bytes()
            .chunks(255)
            .flat_map(|piece| [&[u8::try_from(piece.len()).expect("255 at most")][..], piece].concat())
            .collect();
        let length = u16::try_from(pieces.len()).expect("a short text").to_be_bytes();
        reply.extend([&[0xc0, 12, 0, 16, 0, 1, 0, 0, 0, 60][..], &length, &pieces].concat());
    }
    reply
}

async fn daemon(scene: &Scene, resolver: SocketAddr) -> Daemon {
    let config = scene.home().join("obnova.toml");
    std::fs::write(&config, format!("[mail]\nresolver = \"{resolver}\"\n")).expect("written");
    let programmes = scene.home().join("programmes.d");
    std::fs::create_dir(&programmes).expect("a directory");
    std::fs::copy(directory().join("programme.toml"), programmes.join("letters.toml")).expect("the programme");
    let mut command = scene.obnovad();
    command.arg("--config").arg(config);
    scene.start_as(command).await
}

fn path(name: &str) -> String {
    directory().join(name).to_str().expect("UTF-8").to_owned()
}

#[tokio::test]
async fn an_administrator_tries_rules_with_a_mail() {
    let scene = Scene::set().await;
    let _daemon = daemon(&scene, serve_zone().await).await;
    let rules = path("programme.toml");
    // The corpus came weeks ago: that is all that is wrong with it.
    let outcome = scene.obnova(&["programme", "test", &rules, &path("001.eml")]).await;
    assert_eq!(outcome.code, 0, "{outcome:?}");
    for told in ["Not confirmed: an invitation to renew", "It was not written when it came", "info.renewal@ica.test", "1a2b3c"]
    {
        assert!(outcome.out.contains(told), "{told} is not told: {}", outcome.out);
    }
    assert!(!outcome.out.contains("https://"), "no link: {}", outcome.out);
    let outcome = scene.obnova(&["programme", "test", "--json", &rules, &path("001.eml")]).await;
    let letters: serde_json::Value = serde_json::from_str(&outcome.out).expect("JSON");
    assert_eq!(letters[0]["reasons"], serde_json::json!([{ "why": "date-off", "about": "" }]), "the signature is good");

    let mistaken = scene
        .write("mistaken.toml", std::fs::read_to_string(&rules).expect("rules").replace("https://www.ica", "http://www.ica"));
    let outcome = scene.obnova(&["programme", "test", mistaken.to_str().expect("UTF-8"), &path("001.eml")]).await;
    assert_eq!(outcome.code, 1);
    assert!(outcome.err.contains("mistaken.toml:") && outcome.err.contains("hint: "), "{}", outcome.err);
    let nothing = scene.write("nothing.eml", "");
    let outcome = scene.obnova(&["mail", "read", nothing.to_str().expect("UTF-8")]).await;
    assert!(outcome.code == 1 && outcome.err.contains("nothing.eml is no mail"), "{outcome:?}");
    let large = scene.write("large.eml", vec![b'x'; 3 * 1024 * 1024]);
    let outcome = scene.obnova(&["mail", "read", large.to_str().expect("UTF-8")]).await;
    assert!(outcome.code == 1 && outcome.err.contains("2 MiB"), "{outcome:?}");
    let outcome = scene.obnova(&["mail", "read", "nowhere.eml"]).await;
    assert!(outcome.code == 1 && outcome.err.contains("nowhere.eml is not there"), "{outcome:?}");
}

#[tokio::test]
async fn a_mail_that_is_read_stands_in_the_log() {
    let scene = Scene::set().await;
    let _daemon = daemon(&scene, serve_zone().await).await;
    let outcome = scene.obnova(&["mail", "read", &path("001.eml")]).await;
    assert!(outcome.code == 0 && outcome.out.contains("Not confirmed"), "{outcome:?}");
    let log = scene.obnova(&["log"]).await.out;
    assert!(log.contains("A mail came (letters): not confirmed, an invitation to renew."), "{log}");
    assert!(!log.contains('@'), "no address in the log: {log}");
    let stranger = scene.write("stranger.eml", "From: eva@example.org\r\nSubject: Ahoj\r\n\r\nAhoj.\r\n");
    let outcome = scene.obnova(&["mail", "read", stranger.to_str().expect("UTF-8")]).await;
    assert!(outcome.code == 0 && outcome.out.is_empty() && outcome.err.contains("no concern"), "{outcome:?}");
}
