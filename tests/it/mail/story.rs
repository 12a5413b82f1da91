//! What comes of mails for the certificates that are watched: one notification, a next step, and never a start.

use chrono::{DateTime, Duration, FixedOffset};
use obnova_api::LetterView;
use obnova_api::dict::Dictionary;
use obnova_core::programme;
use obnova_tests::letter::{Dkim, Mail};
use obnovad::Parts;
use obnovad::clock::SimulatedClock;
use tempfile::TempDir;
use zbus::zvariant::OwnedFd;

use super::genuine::TONGUES;
use super::zone;
use crate::inside::{Inside, clock, courier, pem};

/// A daemon that knows the authorities of the corpus and asks its zone.
pub(crate) async fn house(scratch: &TempDir, clock: &SimulatedClock) -> Inside {
    Inside::start_with(&scratch.path().join("state"), clock, equip).await
}

pub(super) fn equip(parts: &mut Parts) {
    parts.programmes = [vec![super::programme()], programme::built_in().expect("right programmes")].concat();
    parts.courier = courier(zone().into_iter().map(|(name, text)| (name, vec![text.into_bytes()])));
}

/// Hands a mail over, as `obnova mail read` does; what it is worth.
async fn comes(daemon: &Inside, scratch: &TempDir, mail: &Mail) -> Option<LetterView> {
    let path = scratch.path().join("mail.eml");
    std::fs::write(&path, mail.bytes()).expect("written");
    let file = std::os::fd::OwnedFd::from(std::fs::File::open(&path).expect("a file"));
    let letter = daemon.manager.read_mail("mail.eml", OwnedFd::from(file)).await.expect("read").into_iter().next();
    daemon.settle().await;
    letter
}

/// An invitation, written now, to the address in the certificate that [`pem`] makes.
pub(super) fn unsigned(daemon: &Inside, number: u32) -> Mail {
    written(daemon.now(), number)
}

fn written(now: DateTime<FixedOffset>, number: u32) -> Mail {
    let tongue = &TONGUES[0];
    tongue
        .unsigned()
        .with("To", "anna@example.org")
        .with("Date", &now.to_rfc2822())
        .with("Message-ID", &format!("<{number}@ica.test>"))
        .body(format!("Dobrý den,\nbrzy skončí platnost Vašeho certifikátu ({number}).\n{}\n", tongue.link))
}

pub(super) fn signed(daemon: &Inside, number: u32) -> Mail {
    invitation(daemon.now(), number)
}

/// The same, written at this moment and signed by the authority.
pub(crate) fn invitation(now: DateTime<FixedOffset>, number: u32) -> Mail {
    written(now, number).signed(&Dkim::by("ica.test", "s1"))
}

pub(super) async fn log(daemon: &Inside) -> Vec<String> {
    let lines = daemon.manager.log(Dictionary::new(), 0, 1000).await.expect("a log");
    lines.into_iter().map(|line| line.event).collect()
}

#[tokio::test]
async fn a_trusted_invitation_makes_one_notice_and_the_next_step() {
    let scratch = TempDir::new().expect("a directory");
    let clock = clock();
    let daemon = house(&scratch, &clock).await;
    daemon.watch(&pem(scratch.path(), "Anna", 60).1).await;
    assert_eq!(daemon.identity().await.next_step, None, "long before its end");
    let letter = comes(&daemon, &scratch, &signed(&daemon, 1)).await.expect("a letter");
    assert_eq!((letter.standing.as_str(), letter.kind.as_str()), ("trusted", "invitation"), "{letter:?}");
    let anna = daemon.identity().await;
    assert_eq!(letter.item.as_ref(), Some(&anna.id));
    let next = anna.next_step.expect("a next step");
    assert_eq!((next.what.as_str(), next.action.as_deref()), ("renew", Some("renew")));
    assert_eq!(anna.letter.expect("its origin").link.as_deref(), Some(TONGUES[0].link));
    assert_eq!(daemon.noticed(1).await, ["letter-invited"]);

    // The same again, and a second one: nobody is told twice, and nothing has begun.
    comes(&daemon, &scratch, &signed(&daemon, 1)).await;
    comes(&daemon, &scratch, &signed(&daemon, 2)).await;
    assert_eq!(daemon.noticed(1).await, ["letter-invited"]);
    let events = log(&daemon).await;
    assert_eq!(events.iter().filter(|event| *event == "letter-came").count(), 2);
    assert!(!events.iter().any(|event| event == "job-started"));

    // It is remembered.
    daemon.stop().await;
    let daemon = house(&scratch, &clock).await;
    let anna = daemon.identity().await;
    assert_eq!(anna.letter.expect("remembered").standing, "trusted");
    daemon.stop().await;
}

#[tokio::test]
async fn the_schedule_and_a_letter_tell_once() {
    let scratch = TempDir::new().expect("a directory");
    let daemon = house(&scratch, &clock()).await;
    daemon.watch(&pem(scratch.path(), "Anna", 20).1).await;
    assert_eq!(daemon.noticed(1).await, ["three-weeks"]);
    comes(&daemon, &scratch, &signed(&daemon, 1)).await;
    assert_eq!(daemon.noticed(1).await, ["three-weeks"], "it was warned about already");
    assert!(daemon.identity().await.letter.is_some());
    daemon.stop().await;

    let scratch = TempDir::new().expect("a directory");
    let daemon = house(&scratch, &clock()).await;
    daemon.watch(&pem(scratch.path(), "Anna", 23).1).await;
    comes(&daemon, &scratch, &signed(&daemon, 1)).await;
    assert_eq!(daemon.noticed(1).await, ["letter-invited"]);
    daemon.pass(Duration::days(3)).await;
    assert_eq!(daemon.noticed(1).await, ["letter-invited"], "the letter took the warning's place");
    daemon.pass(Duration::days(14)).await;
    assert_eq!(daemon.noticed(2).await, ["letter-invited", "one-week"]);
    daemon.stop().await;
}

#[tokio::test]
async fn a_doubtful_letter_loses_its_link_and_not_the_renewal() {
    let scratch = TempDir::new().expect("a directory");
    let daemon = house(&scratch, &clock()).await;
    daemon.watch(&pem(scratch.path(), "Anna", 60).1).await;
    let letter = comes(&daemon, &scratch, &unsigned(&daemon, 1)).await.expect("a letter");
    assert_eq!((letter.standing.as_str(), letter.link), ("doubtful", None));
    let anna = daemon.identity().await;
    assert_eq!(anna.next_step.expect("a next step").action.as_deref(), Some("renew"));
    let letter = anna.letter.expect("its origin");
    assert_eq!((letter.link, letter.reasons[0].why.as_str()), (None, "unsigned"));
    assert_eq!(daemon.noticed(1).await, ["letter-doubtful"]);
    daemon.manager.act(&anna.id, "open-letter", &obnova_api::Options::default()).await.expect_err("there is nothing to open");
    daemon.stop().await;
}

#[tokio::test]
async fn a_forged_letter_is_one_warning_and_no_step() {
    let scratch = TempDir::new().expect("a directory");
    let daemon = house(&scratch, &clock()).await;
    daemon.watch(&pem(scratch.path(), "Anna", 60).1).await;
    for number in 0..3 {
        let mail = unsigned(&daemon, number).exchange("www.ica.test", "www.ica.test.evil.test");
        let letter = comes(&daemon, &scratch, &mail).await.expect("a letter");
        assert_eq!(letter.standing, "forged");
    }
    assert_eq!(daemon.noticed(1).await, ["letter-forged"]);
    let anna = daemon.identity().await;
    assert_eq!((anna.next_step, anna.letter), (None, None));
    daemon.stop().await;
}

#[tokio::test]
async fn a_letter_waits_for_its_certificate() {
    let scratch = TempDir::new().expect("a directory");
    let daemon = house(&scratch, &clock()).await;
    let letter = comes(&daemon, &scratch, &signed(&daemon, 1)).await.expect("a letter");
    assert_eq!((letter.standing.as_str(), letter.item), ("trusted", None));
    assert_eq!(daemon.noticed(0).await, [""; 0]);
    daemon.watch(&pem(scratch.path(), "Anna", 60).1).await;
    assert_eq!(daemon.noticed(1).await, ["letter-invited"]);
    assert!(daemon.identity().await.letter.is_some());
    daemon.stop().await;
}

#[tokio::test]
async fn strangers_mail_leaves_nothing() {
    let scratch = TempDir::new().expect("a directory");
    let daemon = house(&scratch, &clock()).await;
    let before = log(&daemon).await;
    let mail = Mail::new().header("From", "eva@example.org").header("Subject", "Ahoj").body("Jak se máš?\n");
    assert_eq!(comes(&daemon, &scratch, &mail).await, None);
    assert_eq!(log(&daemon).await, before);
    daemon.stop().await;
}

#[tokio::test]
async fn an_order_whose_letter_does_not_come_is_told() {
    let scratch = TempDir::new().expect("a directory");
    let daemon = house(&scratch, &clock()).await;
    daemon.watch(&pem(scratch.path(), "Anna", 60).1).await;
    let id = daemon.identity().await.id;
    daemon.act(&id, "ordered").await;
    daemon.pass(Duration::minutes(9)).await;
    assert_eq!(daemon.noticed(0).await, [""; 0]);
    daemon.pass(Duration::minutes(2)).await;
    assert_eq!(daemon.noticed(1).await, ["letter-missing"]);
    daemon.act(&id, "ordered").await;
    daemon.pass(Duration::minutes(5)).await;
    comes(&daemon, &scratch, &signed(&daemon, 1)).await;
    daemon.pass(Duration::minutes(20)).await;
    assert_eq!(daemon.noticed(2).await, ["letter-missing", "letter-invited"]);
    daemon.stop().await;
}
