//! obnova-courier from outside, through the daemon's side of it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use chrono::{DateTime, Utc};
use obnova_core::Problem;
use obnova_core::mail::Outcome;
use obnova_core::revocation::Why;
use obnovad::courier::Courier;
use obnovad::courier::protocol::{Call, Names, Source, Unread, Within};
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

fn source(from: String, within: Within) -> Source {
    Source { from, body: None, longest: 1000, seconds: 30, within }
}

/// A server that reads a request and then answers so, once for each connection; the number of its port.
fn server(answer: &'static [u8], then: impl Fn(&mut TcpStream) + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                if stream.read_exact(&mut byte).is_err() {
                    break;
                }
                request.extend(byte);
            }
            let asked = String::from_utf8_lossy(&request).to_lowercase();
            assert!(!asked.contains("cookie") && !asked.contains("authorization"), "{asked}");
            // Whoever has asked may have left.
            let _left = stream.write_all(answer);
            then(&mut stream);
        }
    });
    port
}

#[tokio::test]
async fn what_an_address_leads_to_is_fetched() {
    let fetch = async |answer| {
        let port = server(answer, |_| {});
        let source = source(format!("http://localhost:{port}/x"), Within::Machine);
        courier(COURIER).fetch(source).await.expect("brought")
    };
    assert_eq!(fetch(b"HTTP/1.1 200 .\r\nContent-Length: 3\r\n\r\nabc").await, Ok(b"abc".to_vec()));
    for (answer, why) in [
        (&b"HTTP/1.1 302 .\r\nLocation: http://localhost:1/\r\nContent-Length: 0\r\n\r\n"[..], Why::Redirected),
        (b"HTTP/1.1 500 .\r\nContent-Length: 0\r\n\r\n", Why::Refused),
        (b"HTTP/1.1 404 .\r\nContent-Length: 0\r\n\r\n", Why::Refused),
        (b"HTTP/1.1 200 .\r\nContent-Length: 30\r\n\r\nabc", Why::Malformed),
        (b"SSH-2.0-OpenSSH\r\n\r\n", Why::Malformed),
        (b"", Why::Malformed),
    ] {
        assert_eq!(fetch(answer).await, Err(why), "{}", String::from_utf8_lossy(answer));
    }
}

#[tokio::test]
async fn neither_size_nor_time_is_without_bounds() {
    let endless = server(b"HTTP/1.1 200 .\r\n\r\n", |stream| while stream.write_all(&[b'x'; 4096]).is_ok() {});
    let fetch = async |port| {
        courier(COURIER).fetch(source(format!("http://localhost:{port}/"), Within::Machine)).await.expect("brought")
    };
    assert_eq!(fetch(endless).await, Err(Why::TooLong));
    // It says nothing more, and holds the connection until the other side leaves.
    let slow = server(b"HTTP/1.1 200 .\r\nContent-Length: 30\r\n\r\na", |stream| {
        let _left = stream.read(&mut [0]);
    });
    let hurried = Source { seconds: 2, ..source(format!("http://localhost:{slow}/"), Within::Machine) };
    assert_eq!(courier(COURIER).fetch(hurried).await.expect("brought"), Err(Why::Late));
}

#[tokio::test]
async fn an_address_leads_no_further_than_it_may() {
    let port = server(b"HTTP/1.1 200 .\r\nContent-Length: 3\r\n\r\nabc", |_| {});
    for within in [Within::Internet, Within::Network] {
        for host in ["localhost", "127.0.0.1", "127.1", "2130706433", "[::ffff:127.0.0.1]", "[::1]", "0.0.0.0"] {
            let fetched = courier(COURIER).fetch(source(format!("http://{host}:{port}/"), within)).await.expect("brought");
            assert_eq!(fetched, Err(Why::Forbidden), "{host} {within:?}");
        }
    }
    for address in ["ftp://localhost/", "file:///etc/passwd", "http://anna@localhost/", "http://localhost:25/", "", "x"] {
        let fetched = courier(COURIER).fetch(source(address.to_owned(), Within::Machine)).await.expect("brought");
        assert_eq!(fetched, Err(Why::Forbidden), "{address}");
    }
    let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port();
    let nobody = courier(COURIER).fetch(source(format!("http://127.0.0.1:{port}/"), Within::Machine)).await.expect("brought");
    assert_eq!(nobody, Err(Why::Unreachable));
}
