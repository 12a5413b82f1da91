//! Servers that fail, lie, or are not who they say: what the item says, that nothing is lost or doubled, and that all is bounded.

use super::*;

/// Every state in which a connection may be cut.
const STATES: [Fault; 11] = [
    Fault::Cut("GREETING"),
    Fault::Cut("CAPABILITY"),
    Fault::Cut("AUTHENTICATE"),
    Fault::Cut("LIST"),
    Fault::Cut("EXAMINE"),
    Fault::Cut("FETCH"),
    Fault::CutWithin("FETCH"),
    Fault::Cut("BODY"),
    Fault::CutWithin("BODY"),
    Fault::Cut("NOOP"),
    Fault::Cut("IDLE"),
];

#[tokio::test]
async fn a_connection_that_is_cut_in_any_state_loses_and_doubles_nothing() {
    let post = Correspondence::with(Manner::default()).await;
    post.add().await;
    let mut number = 0;
    for fault in STATES {
        number += 2;
        post.office.state().fault = Some(fault);
        post.deliver("INBOX", number - 1);
        post.deliver("Spam", number);
        post.sleeps().await;
        eventually(&format!("{fault:?}"), async || post.office.state().fault.is_none().then_some(())).await;
        post.sleeps().await;
        came(&post.daemon, number as usize).await;
    }
    mailbox(&post.daemon, "connected").await;
    assert_eq!(post.daemon.noticed(0).await, [""; 0], "within two minutes of a sleep nobody is told");
    post.daemon.stop().await;
}

#[tokio::test]
async fn a_connection_that_is_cut_while_it_rests_comes_back_by_itself() {
    let post = Correspondence::with(Manner::default()).await;
    post.add().await;
    post.listens().await;
    post.office.state().fault = Some(Fault::Cut("IDLING"));
    post.deliver("INBOX", 1);
    came(&post.daemon, 1).await;
    post.daemon.stop().await;
}

#[tokio::test]
async fn nobody_logs_in_where_there_is_no_encryption() {
    for (capabilities, fault) in [
        ("IMAP4rev1 AUTH=PLAIN NOSTARTTLS", None),
        ("IMAP4rev1 AUTH=PLAIN", Some(Fault::Injects)),
        ("IMAP4rev1 AUTH=PLAIN", Some(Fault::Preauth)),
    ] {
        let post = Correspondence::with(Manner { capabilities, ..starttls() }).await;
        post.office.state().fault = fault;
        assert_eq!(post.refused().await, "mail-bare", "{capabilities} {fault:?}");
        post.is_never_logged_in_to();
        post.daemon.stop().await;
    }
}

#[tokio::test]
async fn nobody_logs_in_to_whoever_does_not_prove_to_be_the_server() {
    for (manner, known) in [
        (Manner { days: 0, ..Manner::default() }, true),
        (Manner { name: "mail.example", ..Manner::default() }, true),
        (Manner::default(), false),
        (Manner { days: 0, ..starttls() }, true),
        (Manner { name: "mail.example", ..starttls() }, true),
        (starttls(), false),
    ] {
        let post = Correspondence::with(manner).await;
        if !known {
            let other = PostOffice::start(Manner::default());
            std::fs::write(post.scratch.path().join("anchor.pem"), other.anchor()).expect("written");
        }
        assert_eq!(post.refused().await, "mail-untrusted", "{manner:?} {known}");
        post.is_never_logged_in_to();
        post.daemon.stop().await;
    }
}

#[tokio::test]
async fn a_server_that_is_trusted_no_more_is_said_and_not_logged_in_to() {
    let post = Correspondence::with(Manner::default()).await;
    post.add().await;
    let before = post.office.said("AUTHENTICATE").len();
    let other = PostOffice::start(Manner::default());
    std::fs::write(post.scratch.path().join("anchor.pem"), other.anchor()).expect("written");
    post.sleeps().await;
    let item = mailbox(&post.daemon, "untrusted").await;
    assert_eq!((item.level.as_str(), item.problem.expect("why").kind.as_str()), ("warning", "mail-untrusted"));
    assert_eq!(post.office.said("AUTHENTICATE").len(), before);
    post.daemon.stop().await;
}

#[tokio::test]
async fn a_wrong_password_adds_nothing() {
    let post = Correspondence::with(Manner::default()).await;
    post.office.state().fault = Some(Fault::Refuses);
    assert_eq!(post.refused().await, "mail-refused");
    assert_eq!(post.office.said("AUTHENTICATE").len(), 1, "tried once");
    post.daemon.stop().await;
}

#[tokio::test]
async fn a_server_that_is_not_there_or_drips_is_given_up() {
    let post = Correspondence::with(Manner::default()).await;
    post.office.state().fault = Some(Fault::Silent("GREETING"));
    assert_eq!(post.refused().await, "mail-unreachable");
    post.daemon.stop().await;
}

#[tokio::test]
async fn of_fifty_thousand_mails_the_newest_are_looked_at() {
    let post = Correspondence::with(Manner::default()).await;
    {
        let mut state = post.office.state();
        let inbox = state.folders.get_mut("INBOX").expect("a folder");
        let old = Stored { at: Utc::now() - Duration::days(400), bytes: b"Subject: x\r\n\r\nx\r\n".to_vec(), size: 17 };
        (0..50_000).for_each(|_| inbox.put(old.clone()));
    }
    post.deliver("INBOX", 1);
    post.add().await;
    came(&post.daemon, 1).await;
    assert_eq!(post.office.said("FETCH"), ["FETCH 49502:* (UID RFC822.SIZE INTERNALDATE)"], "500 of them");
    assert!(post.office.state().sent < 10_000, "what is old is not fetched");
    // And as many again while nobody looks.
    {
        let mut state = post.office.state();
        let inbox = state.folders.get_mut("INBOX").expect("a folder");
        let old = Stored { at: Utc::now() - Duration::days(400), bytes: Vec::new(), size: 1 };
        (0..50_000).for_each(|_| inbox.put(old.clone()));
    }
    post.deliver("INBOX", 2);
    post.sleeps().await;
    came(&post.daemon, 2).await;
    post.daemon.stop().await;
}

#[tokio::test]
async fn what_is_too_long_is_not_fetched() {
    let post = Correspondence::with(Manner::default()).await;
    let long = Stored { at: Utc::now(), bytes: vec![b'x'; 1024], size: 50 * 1024 * 1024 };
    post.office.state().folders.get_mut("INBOX").expect("a folder").put(long);
    post.deliver("INBOX", 1);
    post.add().await;
    came(&post.daemon, 1).await;
    let bodies: Vec<String> = post.office.said("UID FETCH").into_iter().filter(|said| said.contains("BODY")).collect();
    assert_eq!(bodies, ["UID FETCH 2 (UID BODY.PEEK[])"]);
    post.daemon.stop().await;
}

#[tokio::test]
async fn a_server_that_sends_more_than_it_says_or_what_makes_no_sense_is_left() {
    let post = Correspondence::with(Manner::default()).await;
    post.add().await;
    for (fault, number) in [(Fault::Literal("BODY", 400 * 1024 * 1024), 1), (Fault::Garbage("EXAMINE"), 2)] {
        post.office.state().fault = Some(fault);
        post.deliver("INBOX", number);
        post.sleeps().await;
        let item = mailbox(&post.daemon, "unreadable").await;
        assert_eq!(item.problem.expect("why").kind, "mail-answer", "{fault:?}");
        post.office.state().fault = None;
        post.sleeps().await;
        came(&post.daemon, number as usize).await;
    }
    assert_eq!(letters(&post.daemon).await, 2);
    post.daemon.stop().await;
}
