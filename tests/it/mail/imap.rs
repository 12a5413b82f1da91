//! A mailbox on a server: what comes is read once, whatever the server does, and nothing is changed in it. The server is the tests' own; real
//! ones are in `peers`.

mod hostile;

use std::path::{Path, PathBuf};

use chrono::{Duration, Utc};
use obnova_api::{ItemView, MailboxOptions};
use obnova_tests::eventually;
use obnova_tests::post::{Fault, Manner, PASSWORD, PostOffice, Stored};
use tempfile::TempDir;

use super::maildir::{came, letters, mailbox};
use super::story::{house, invitation};
use crate::inside::{Inside, clock, pem};

/// A daemon, a server, and what leads from one to the other.
struct Correspondence {
    scratch: TempDir,
    daemon: Inside,
    office: PostOffice,
}

impl Correspondence {
    async fn with(manner: Manner) -> Self {
        let scratch = TempDir::new().expect("a directory");
        let daemon = house(&scratch, &clock()).await;
        let office = PostOffice::start(manner);
        std::fs::write(scratch.path().join("anchor.pem"), office.anchor()).expect("written");
        std::fs::write(scratch.path().join("password"), PASSWORD).expect("written");
        Self { scratch, daemon, office }
    }

    fn options(&self) -> MailboxOptions {
        let shown = |path: PathBuf| path.display().to_string();
        MailboxOptions {
            command: Some(format!("cat {}", shown(self.scratch.path().join("password")))),
            authority: Some(shown(self.scratch.path().join("anchor.pem"))),
            ..MailboxOptions::default()
        }
    }

    /// Adds the mailbox and waits until it is read.
    async fn add(&self) -> String {
        let id = self.daemon.manager.add_mailbox(&self.office.mailbox(), &self.options()).await.expect("added");
        mailbox(&self.daemon, "connected").await;
        id
    }

    /// Why the mailbox is not added.
    async fn refused(&self) -> String {
        let refused = self.daemon.manager.add_mailbox(&self.office.mailbox(), &self.options()).await;
        let obnova_api::Error::Problem(problem) = refused.expect_err("not added") else { panic!("no problem") };
        assert_eq!(self.daemon.items().await, [], "nothing is kept of it");
        problem.kind
    }

    fn deliver(&self, folder: &str, number: u32) {
        self.office.deliver(folder, mail(number));
    }

    /// Has it connect anew, as after a short sleep of the computer.
    async fn sleeps(&self) {
        self.daemon.pass(Duration::seconds(1)).await;
    }

    /// Waits until somebody listens at the server.
    async fn listens(&self) {
        eventually("somebody who listens", async || (self.office.state().idling > 0).then_some(())).await;
    }

    fn is_never_logged_in_to(&self) {
        for command in ["AUTHENTICATE", "LOGIN"] {
            assert_eq!(self.office.said(command), [""; 0]);
        }
    }
}

fn mail(number: u32) -> Vec<u8> {
    invitation(Utc::now().fixed_offset(), number).bytes()
}

/// How a server is that is encrypted by STARTTLS.
fn starttls() -> Manner {
    Manner { tls: false, ..Manner::default() }
}

#[tokio::test]
async fn what_is_pushed_is_told_and_nothing_is_changed() {
    for manner in [Manner::default(), starttls()] {
        let post = Correspondence::with(manner).await;
        post.daemon.watch(&pem(post.scratch.path(), "Anna", 60).1).await;
        let id = post.add().await;
        let item = mailbox(&post.daemon, "connected").await;
        assert_eq!((item.id, item.level.as_str(), item.problem), (id, "ok", None));
        post.listens().await;
        post.deliver("INBOX", 1);
        assert_eq!(post.daemon.noticed(1).await, ["letter-invited"]);
        let anna = post.daemon.identity().await;
        assert_eq!(anna.letter.expect("its origin").standing, "trusted");
        reads_only(&post.office);
        post.daemon.stop().await;
    }
}

/// Nothing but looking was asked for, and nothing before the encryption but that.
fn reads_only(office: &PostOffice) {
    let harmless = ["CAPABILITY", "STARTTLS", "AUTHENTICATE PLAIN", "LIST", "STATUS", "EXAMINE", "NOOP", "IDLE", "DONE"];
    for said in &office.state().said {
        let looks = said.contains("FETCH ")
            && (said.ends_with("(UID RFC822.SIZE INTERNALDATE)") || said.ends_with("(UID BODY.PEEK[])"));
        assert!(looks || harmless.iter().any(|command| said.starts_with(command)), "{said}");
    }
}

#[tokio::test]
async fn junk_is_read_and_other_folders_are_not() {
    let post = Correspondence::with(Manner::default()).await;
    post.deliver("Archive", 1);
    post.deliver("Spam", 2);
    post.add().await;
    came(&post.daemon, 1).await;
    assert_eq!(post.office.said("EXAMINE \"Archive\""), [""; 0]);
    post.daemon.stop().await;
}

#[tokio::test]
async fn a_server_that_does_not_push_is_asked() {
    let post = Correspondence::with(Manner { capabilities: "IMAP4rev1 AUTH=PLAIN", ..Manner::default() }).await;
    post.deliver("INBOX", 1);
    post.add().await;
    came(&post.daemon, 1).await;
    post.deliver("INBOX", 2);
    post.sleeps().await;
    came(&post.daemon, 2).await;
    assert_eq!(post.office.said("IDLE"), [""; 0]);
    post.daemon.stop().await;
}

#[tokio::test]
async fn a_server_without_sasl_is_logged_in_to_by_its_own_command() {
    let post = Correspondence::with(Manner { capabilities: "IMAP4rev1 IDLE", ..Manner::default() }).await;
    post.deliver("INBOX", 1);
    post.add().await;
    came(&post.daemon, 1).await;
    assert!(!post.office.said("LOGIN").is_empty());
    post.daemon.stop().await;
}

#[tokio::test]
async fn what_came_while_nobody_looked_is_read_and_nothing_twice() {
    let post = Correspondence::with(Manner::default()).await;
    post.deliver("INBOX", 1);
    post.add().await;
    came(&post.daemon, 1).await;
    post.listens().await;
    let Correspondence { scratch, daemon, office } = post;
    daemon.stop().await;
    office.deliver("INBOX", mail(2));
    office.deliver("Spam", mail(3));
    let fetched = office.said("UID FETCH").iter().filter(|said| said.contains("BODY")).count();
    let daemon = house(&scratch, &clock()).await;
    came(&daemon, 3).await;
    mailbox(&daemon, "connected").await;
    eventually("somebody who listens", async || (office.state().idling > 0).then_some(())).await;
    let after = office.said("UID FETCH").iter().filter(|said| said.contains("BODY")).count();
    assert_eq!(after - fetched, 2, "each once, and the first not again");
    daemon.stop().await;
}

#[tokio::test]
async fn a_folder_that_is_made_anew_is_read_anew_and_told_once() {
    let post = Correspondence::with(Manner::default()).await;
    for number in 1..4 {
        post.deliver("INBOX", number);
    }
    post.add().await;
    came(&post.daemon, 3).await;
    {
        let mut state = post.office.state();
        let inbox = state.folders.get_mut("INBOX").expect("a folder");
        let kept: Vec<Stored> = inbox.mails.values().cloned().collect();
        (inbox.validity, inbox.next) = (77, 1);
        inbox.mails.clear();
        kept.into_iter().rev().for_each(|mail| inbox.put(mail));
    }
    post.deliver("INBOX", 4);
    post.sleeps().await;
    came(&post.daemon, 4).await;
    post.daemon.stop().await;
}

#[tokio::test]
async fn a_week_of_sleep_loses_nothing() {
    let post = Correspondence::with(Manner::default()).await;
    post.add().await;
    post.listens().await;
    // Asleep, it hears of nothing; awake again, its connection is no more.
    post.office.state().fault = Some(Fault::Cut("IDLING"));
    post.deliver("INBOX", 1);
    post.daemon.pass(Duration::days(7)).await;
    came(&post.daemon, 1).await;
    mailbox(&post.daemon, "connected").await;
    assert_eq!(post.daemon.noticed(0).await, [""; 0], "nobody is told of a server that is slow to come back");
    post.daemon.stop().await;
}

#[tokio::test]
async fn a_password_that_is_refused_is_not_tried_again_until_somebody_says_so() {
    let post = Correspondence::with(Manner::default()).await;
    let id = post.add().await;
    "another".clone_into(&mut post.office.state().password);
    post.sleeps().await;
    let item: ItemView = mailbox(&post.daemon, "refused").await;
    assert_eq!(item.problem.expect("why").kind, "mail-refused");
    assert_eq!(item.next_step.expect("a next step").action.as_deref(), Some("sign-in"));
    assert_eq!(post.daemon.noticed(1).await, ["problem"]);
    let tried = post.office.state().connections;
    post.daemon.pass(Duration::hours(1)).await;
    post.daemon.pass(Duration::days(1)).await;
    assert_eq!(post.office.state().connections, tried);
    PASSWORD.clone_into(&mut post.office.state().password);
    post.deliver("INBOX", 1);
    post.daemon.act(&id, "sign-in").await;
    mailbox(&post.daemon, "connected").await;
    came(&post.daemon, 1).await;
    assert_eq!(post.daemon.noticed(1).await.len(), 1, "told once");
    post.daemon.stop().await;
}

#[tokio::test]
async fn no_secret_and_no_body_is_left_anywhere() {
    let post = Correspondence::with(Manner::default()).await;
    post.deliver("INBOX", 1);
    post.add().await;
    came(&post.daemon, 1).await;
    let Correspondence { scratch, daemon, .. } = post;
    daemon.stop().await;
    let state = scratch.path().join("state");
    for text in [PASSWORD, "Vašeho certifikátu"] {
        for entry in std::fs::read_dir(&state).expect("a directory") {
            let path = entry.expect("an entry").path();
            assert!(!holds(&path, text), "{} holds {text}", path.display());
        }
    }
}

fn holds(path: &Path, text: &str) -> bool {
    let bytes = std::fs::read(path).unwrap_or_default();
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}
