//! An address whose domain names its mail server: what is believed of the domain name system, and what is not.

use std::net::SocketAddr;

use obnova_api::MailboxOptions;
use obnovad::courier::Courier;
use obnovad::courier::protocol::Names;
use tempfile::TempDir;
use tokio::net::UdpSocket;

use crate::inside::{Inside, clock};

/// A name server by which the service of a name is at a host and port (RFC 2782); it answers until the test ends.
async fn names(services: Vec<(&'static str, &'static str, u16)>) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
    let address = socket.local_addr().expect("an address");
    tokio::spawn(async move {
        let mut question = [0; 1500];
        while let Ok((length, from)) = socket.recv_from(&mut question).await {
            socket.send_to(&answer(&question[..length], &services), from).await.expect("sent");
        }
    });
    address
}

fn answer(question: &[u8], services: &[(&str, &str, u16)]) -> Vec<u8> {
    let (mut labels, mut at) = (Vec::new(), 12);
    while question[at] != 0 {
        let length = usize::from(question[at]);
        labels.push(String::from_utf8_lossy(&question[at + 1..=at + length]).to_lowercase());
        at += length + 1;
    }
    let found = services.iter().find(|(name, ..)| *name == labels.join("."));
    let (flags, answers) = if found.is_some() { ([0x84, 0x00], 1) } else { ([0x84, 0x03], 0) };
    let mut reply = [&question[..2], &flags, &[0, 1, 0, answers, 0, 0, 0, 0], &question[12..at + 5]].concat();
    if let Some((_, host, port)) = found {
        let mut target: Vec<u8> = Vec::new();
        for label in host.split('.') {
            target.push(u8::try_from(label.len()).expect("63 at most"));
            target.extend(label.bytes());
        }
        target.push(0);
        // SRV, IN, for a minute: priority, weight, port, target.
        let data = [&[0, 0, 0, 1], &port.to_be_bytes()[..], &target].concat();
        let length = u16::try_from(data.len()).expect("short");
        reply.extend([&[0xc0, 12, 0, 33, 0, 1, 0, 0, 0, 60], &length.to_be_bytes()[..], &data].concat());
    }
    reply
}

async fn house(scratch: &TempDir, names: SocketAddr) -> Inside {
    Inside::start_with(&scratch.path().join("state"), &clock(), |parts| {
        parts.courier = Courier::at(obnova_tests::program("obnova-courier"), Names::Server(names));
    })
    .await
}

async fn refused(daemon: &Inside, address: &str) -> obnova_api::ProblemView {
    let options = MailboxOptions { command: Some("echo x".into()), ..MailboxOptions::default() };
    let refused = daemon.manager.add_mailbox(address, &options).await.expect_err("not added");
    let obnova_api::Error::Problem(problem) = refused else { panic!("{refused:?}") };
    problem
}

#[tokio::test]
async fn a_server_of_the_domain_itself_is_used() {
    let scratch = TempDir::new().expect("a directory");
    let services = vec![("_imaps._tcp.here.example", "mail.here.example", 9993)];
    let daemon = house(&scratch, names(services).await).await;
    // It is called, and there is none.
    let problem = refused(&daemon, "anna@here.example").await;
    assert_eq!((problem.kind.as_str(), problem.args["host"].as_str()), ("mail-unreachable", "mail.here.example:9993"));
    daemon.stop().await;
}

#[tokio::test]
async fn a_server_elsewhere_is_only_proposed_and_none_is_said() {
    let scratch = TempDir::new().expect("a directory");
    let services = vec![
        ("_imaps._tcp.example.org", "mail.evil.test", 993),
        ("_imaps._tcp.example.net", "notexample.net", 993),
        ("_imap._tcp.example.com", "imap.provider.test", 143),
    ];
    let daemon = house(&scratch, names(services).await).await;
    for (address, proposed) in [
        ("anna@example.org", "imaps://anna%40example.org@mail.evil.test:993"),
        ("anna@example.net", "imaps://anna%40example.net@notexample.net:993"),
        ("anna@example.com", "imap://anna%40example.com@imap.provider.test:143"),
    ] {
        let problem = refused(&daemon, address).await;
        assert_eq!((problem.kind.as_str(), problem.args["mailbox"].as_str()), ("mail-server-elsewhere", proposed));
    }
    assert_eq!(refused(&daemon, "anna@nowhere.test").await.kind, "mail-server-unknown");
    assert_eq!(refused(&daemon, "pop3s://anna@nowhere.test").await.kind, "mail-pop3");
    assert_eq!(daemon.items().await, []);
    daemon.stop().await;
}
