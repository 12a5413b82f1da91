//! A mailbox on a server: how soon a letter is told that the server pushes, and how those sleep who wait for it.

use std::net::UdpSocket;
use std::time::Instant;

use futures_util::StreamExt as _;
use obnova_api::{MailboxOptions, ManagerProxy};
use obnova_tests::letter::{Mail, directory};
use obnova_tests::post::{Manner, PASSWORD, PostOffice};
use obnova_tests::{PATIENCE, Recipe, eventually};
use tokio::time::timeout;

use super::process::{Running, idle_for};
use super::sets::Set;
use super::table::{Row, Table, say};
use super::{ASLEEP, Household, SETTLING};

/// How many letters are timed, each to a certificate of its own: about one, a person is told once.
const LETTERS: usize = 9;

/// Measures it, and tells the table.
pub(crate) async fn report(programs: &std::path::Path, table: &mut Table) {
    say("a mailbox on a server");
    let office = PostOffice::start(Manner::default());
    let household = Household::new(programs).await;
    let scratch = household.scratch.path();
    let names = names_nothing();
    let configuration = scratch.join("obnova");
    std::fs::create_dir_all(configuration.join("programmes.d")).expect("made");
    let write = |name: &str, text: &[u8]| std::fs::write(configuration.join(name), text).expect("written");
    write("obnova.toml", format!("[mail]\nresolver = \"{names}\"\n").as_bytes());
    write("programmes.d/ica.toml", &std::fs::read(directory().join("programme.toml")).expect("a programme"));
    write("anchor.pem", &office.anchor());
    write("password", PASSWORD.as_bytes());
    let (daemon, _) = household.start().await;
    let certificates = scratch.join("certificates");
    std::fs::create_dir(&certificates).expect("made");
    for number in 0..LETTERS {
        let made = Recipe::new(&format!("Anna{number}")).days_left(60).make();
        std::fs::write(certificates.join(format!("{number}.pem")), [made.pem(), made.key_pem()].concat()).expect("written");
    }
    household.watch(&Set { count: LETTERS, roots: vec![certificates] }).await;
    let manager = ManagerProxy::new(&household.connection).await.expect("a proxy");
    let shown = |name: &str| configuration.join(name).display().to_string();
    let options = MailboxOptions {
        command: Some(format!("cat {}", shown("password"))),
        authority: Some(shown("anchor.pem")),
        ..MailboxOptions::default()
    };
    manager.add_mailbox(&office.mailbox(), &options).await.expect("added");
    let listens = async || eventually("somebody who listens", async || (office.state().idling > 0).then_some(())).await;
    listens().await;
    let mut noticed = manager.receive_noticed().await.expect("signals");
    let mut times = Vec::new();
    for number in 0..LETTERS {
        daemon.calm().await;
        listens().await;
        let letter = letter(number);
        let begun = Instant::now();
        office.deliver("INBOX", letter);
        let told = async {
            while let Some(signal) = noticed.next().await {
                if signal.args().expect("arguments").event.starts_with("letter") {
                    return;
                }
            }
        };
        timeout(PATIENCE, told).await.expect("a notice");
        times.push(begun.elapsed().as_secs_f64());
    }
    let courier = daemon.companion("obnova-courier");
    tokio::time::sleep(SETTLING).await;
    let slept = idle_for(&[&daemon, &courier], ASLEEP).await;
    table.head("a mailbox on a server");
    table.add(Row::new("push to notice", "s", times).limit(Some(0.1)));
    table.add(Row::new("daemon: context switches", "", vec![slept[0].switches]).limit(Some(0.0)));
    table.add(Row::new("courier: context switches", "", vec![slept[1].switches]).limit(Some(0.0)));
    table.add(Row::new("daemon: PSS", "MB", daemon.megabytes().into_iter().collect()));
    table.add(Row::new("courier: PSS", "MB", courier.megabytes().into_iter().collect()));
    daemon.stop().await;
    let _: Running = courier;
}

/// An invitation that nobody has signed, from an address that the programme lists.
fn letter(number: usize) -> Vec<u8> {
    let now = chrono::Utc::now().to_rfc2822();
    Mail::new()
        .header("From", "renewals@authority.test")
        .header("To", &format!("anna{number}@example.org"))
        .header("Subject", "Your certificate is about to expire")
        .header("Date", &now)
        .header("Message-ID", &format!("<bench-{number}@authority.test>"))
        .body(format!("Your certificate {number} expires on a day that is near.\n"))
        .bytes()
}

/// A name server by whom there are no names (RFC 1035 section 4).
fn names_nothing() -> std::net::SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let address = socket.local_addr().expect("an address");
    std::thread::spawn(move || {
        let mut question = [0; 1500];
        while let Ok((length, from)) = socket.recv_from(&mut question) {
            let mut answer = question[..length].to_vec();
            answer[2..4].copy_from_slice(&[0x84, 0x03]);
            // An answer of one question and nothing else.
            let end = 12 + answer[12..].iter().position(|byte| *byte == 0).expect("a name") + 5;
            answer.truncate(end);
            answer[4..12].copy_from_slice(&[0, 1, 0, 0, 0, 0, 0, 0]);
            socket.send_to(&answer, from).expect("sent");
        }
    });
    address
}
