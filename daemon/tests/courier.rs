//! obnova-courier from outside, through the daemon's side of it.

use chrono::{DateTime, Utc};
use obnova_core::Problem;
use obnova_core::mail::Outcome;
use obnovad::courier::Courier;
use obnovad::courier::protocol::{Call, Names, Unread};
use obnovad::mail::LONGEST;

const COURIER: &str = env!("CARGO_BIN_EXE_obnova-courier");

const MAIL: &[u8] = b"DKIM-Signature: v=1; a=rsa-sha256; d=ca.example; s=s1; h=From:To:Subject:Date; bh=AA==; b=AA==\r\n\
    From: <ra@ca.example>\r\nSubject: Renewal\r\n\r\nhttps://ca.example/renew\r\n";

fn courier(program: &str) -> Courier {
    Courier::at(program, Names::zone([]))
}

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).expect("a time")
}

fn call(to: &str) -> Call {
    Call { to: to.into(), host: "ra.example".into(), body: None, anchors: Vec::new(), seconds: 5, login: None }
}

#[tokio::test]
async fn facts_about_a_mail_come_from_another_process() {
    let facts = courier(COURIER).read(MAIL, now()).await.expect("brought").expect("facts");
    assert_eq!(facts.heads.from, ["ra@ca.example"]);
    assert_eq!(facts.signatures[0].outcome, Outcome::Broken);
    assert_eq!(facts.links[0].target, "https://ca.example/renew");
    assert_eq!(facts.arrived, now());
}

#[tokio::test]
async fn what_is_no_mail_is_told_as_that() {
    let read = async |bytes: &[u8]| courier(COURIER).read(bytes, now()).await.expect("brought").expect_err("no facts");
    assert_eq!(read(&vec![b'x'; LONGEST + 1]).await, Unread::TooLong(LONGEST + 1));
    assert_eq!(read(b"").await, Unread::NoMail);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_told_by_its_name() {
    // Nobody listens at a port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port();
    let problem = courier(COURIER).ask(call(&format!("https://127.0.0.1:{port}/"))).await.expect_err("nobody");
    assert!(matches!(&problem, Problem::AuthorityUnreachable { host, .. } if host == "ra.example"), "{problem:?}");
}

#[tokio::test]
async fn only_https_is_spoken() {
    let problem = courier(COURIER).ask(call("http://127.0.0.1:1/")).await.expect_err("never");
    assert!(matches!(&problem, Problem::AuthorityAnswer { detail, .. } if detail.contains("scheme")), "{problem:?}");
}

#[tokio::test]
async fn a_courier_that_brings_nothing_is_told() {
    for (program, said) in [("/nonexistent", "does not start"), ("/bin/false", "brings nothing")] {
        let problem = courier(program).ask(call("https://127.0.0.1:1/")).await.expect_err("no courier");
        assert!(matches!(&problem, Problem::Internal { detail } if detail.contains(said)), "{problem:?}");
    }
}
