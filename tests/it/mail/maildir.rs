//! A Maildir that is watched: each mail is read once, whatever happens to its file, and nothing in it is changed.

use std::collections::BTreeMap;
use std::fs::{self, File, FileTimes};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use obnova_api::{ItemView, MailboxOptions};
use obnova_core::Mailbox;
use obnova_tests::eventually;
use obnova_tests::letter::Mail;
use tempfile::TempDir;

use super::story::{house, log, signed, unsigned};
use crate::inside::{Inside, clock, pem};

/// A Maildir, empty.
fn maildir(scratch: &TempDir) -> PathBuf {
    let root = scratch.path().join("Maildir");
    for folder in ["tmp", "new", "cur"] {
        fs::create_dir_all(root.join(folder)).expect("made");
    }
    root
}

fn address(root: &Path) -> String {
    format!("maildir:{}", root.display())
}

/// Delivers a mail as maildir(5) says: written elsewhere, then renamed.
fn deliver(root: &Path, name: &str, mail: &Mail) -> PathBuf {
    let (tmp, new) = (root.join("tmp").join(name), root.join("new").join(name));
    fs::write(&tmp, mail.bytes()).expect("written");
    fs::rename(&tmp, &new).expect("delivered");
    new
}

/// A mail that came so many days ago.
fn deliver_before(root: &Path, name: &str, mail: &Mail, days: u64) {
    let tmp = root.join("tmp").join(name);
    fs::write(&tmp, mail.bytes()).expect("written");
    let then = SystemTime::now() - Duration::from_hours(24 * days);
    let file = File::options().write(true).open(&tmp).expect("a file");
    file.set_times(FileTimes::new().set_modified(then)).expect("set");
    fs::rename(&tmp, root.join("cur").join(format!("{name}:2,S"))).expect("delivered");
}

/// How many letters were written down.
pub(crate) async fn letters(daemon: &Inside) -> usize {
    log(daemon).await.iter().filter(|event| *event == "letter-came").count()
}

pub(crate) async fn came(daemon: &Inside, count: usize) {
    eventually(&format!("{count} letters"), async || (letters(daemon).await >= count).then_some(())).await;
    assert_eq!(letters(daemon).await, count);
}

/// The one mailbox, once it is in this state.
pub(crate) async fn mailbox(daemon: &Inside, state: &str) -> ItemView {
    eventually(&format!("a mailbox that is {state}"), async || {
        daemon.items().await.into_iter().find(|item| item.kind == "mailbox" && item.state == state)
    })
    .await
}

/// All names below a directory and what is in them.
fn content(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut content = BTreeMap::new();
    let mut directories = vec![root.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                directories.push(path);
            } else {
                content.insert(path.clone(), fs::read(&path).expect("a file"));
            }
        }
    }
    content
}

#[tokio::test]
async fn an_invitation_that_is_delivered_is_told_and_nothing_is_changed() {
    let scratch = TempDir::new().expect("a directory");
    let (root, clock) = (maildir(&scratch), clock());
    let daemon = house(&scratch, &clock).await;
    daemon.watch(&pem(scratch.path(), "Anna", 60).1).await;
    let id = daemon.manager.add_mailbox(&address(&root), &MailboxOptions::default()).await.expect("added");
    let item = mailbox(&daemon, "connected").await;
    assert_eq!((item.id.as_str(), item.level.as_str(), item.next_step), (id.as_str(), "ok", None));
    assert_eq!((item.name, item.place), (root.display().to_string(), Some(address(&root))));

    deliver(&root, "1.M1.host", &signed(&daemon, 1));
    assert_eq!(daemon.noticed(1).await, ["letter-invited"]);
    let before = content(&root);
    let anna = daemon.identity().await;
    assert_eq!(anna.letter.expect("its origin").standing, "trusted");
    assert_eq!(content(&root), before);

    // It is remembered, and goes on.
    daemon.stop().await;
    let daemon = house(&scratch, &clock).await;
    mailbox(&daemon, "connected").await;
    deliver(&root, "2.M2.host", &signed(&daemon, 2));
    came(&daemon, 2).await;
    daemon.stop().await;
}

#[tokio::test]
async fn no_mail_is_lost_or_read_twice() {
    let scratch = TempDir::new().expect("a directory");
    let (root, clock) = (maildir(&scratch), clock());
    let daemon = house(&scratch, &clock).await;
    daemon.manager.add_mailbox(&address(&root), &MailboxOptions::default()).await.expect("added");
    mailbox(&daemon, "connected").await;
    let first = deliver(&root, "1.M1.host", &signed(&daemon, 1));
    came(&daemon, 1).await;
    // Seen by the person, flagged, and copied: each is the same mail.
    let seen = root.join("cur/1.M1.host:2,");
    fs::rename(&first, &seen).expect("renamed");
    let flagged = root.join("cur/1.M1.host:2,FS");
    fs::rename(&seen, &flagged).expect("renamed");
    fs::copy(&flagged, root.join("cur/9.copy.host:2,S")).expect("copied");
    deliver(&root, "2.M2.host", &signed(&daemon, 2));
    came(&daemon, 2).await;
    daemon.stop().await;
    // What comes while nobody looks is read later; what was read is not.
    fs::rename(&flagged, root.join("cur/1.M1.host:2,RS")).expect("renamed");
    let daemon_away = signed_now(3);
    deliver(&root, "3.M3.host", &daemon_away);
    let daemon = house(&scratch, &clock).await;
    came(&daemon, 3).await;
    daemon.stop().await;
    let daemon = house(&scratch, &clock).await;
    mailbox(&daemon, "connected").await;
    deliver(&root, "4.M4.host", &signed(&daemon, 4));
    came(&daemon, 4).await;
    daemon.stop().await;
}

fn signed_now(number: u32) -> Mail {
    super::story::invitation(chrono::Utc::now().fixed_offset(), number)
}

#[tokio::test]
async fn a_link_and_a_file_that_is_copied_in_come_whole() {
    let scratch = TempDir::new().expect("a directory");
    let root = maildir(&scratch);
    let daemon = house(&scratch, &clock()).await;
    daemon.manager.add_mailbox(&address(&root), &MailboxOptions::default()).await.expect("added");
    mailbox(&daemon, "connected").await;
    let tmp = root.join("tmp/1.M1.host");
    fs::write(&tmp, signed(&daemon, 1).bytes()).expect("written");
    fs::hard_link(&tmp, root.join("new/1.M1.host")).expect("linked");
    fs::remove_file(&tmp).expect("removed");
    came(&daemon, 1).await;
    fs::write(root.join("new/2.M2.host"), signed(&daemon, 2).bytes()).expect("written");
    came(&daemon, 2).await;
    daemon.stop().await;
}

#[tokio::test]
async fn at_first_only_what_is_recent_is_read() {
    let scratch = TempDir::new().expect("a directory");
    let root = maildir(&scratch);
    let daemon = house(&scratch, &clock()).await;
    deliver_before(&root, "1.M1.host", &unsigned(&daemon, 1), 61);
    deliver_before(&root, "2.M2.host", &unsigned(&daemon, 2), 59);
    daemon.manager.add_mailbox(&address(&root), &MailboxOptions::default()).await.expect("added");
    came(&daemon, 1).await;
    deliver(&root, "3.M3.host", &signed(&daemon, 3));
    came(&daemon, 2).await;
    daemon.stop().await;
}

#[tokio::test]
async fn what_filters_take_for_junk_is_read_too() {
    let scratch = TempDir::new().expect("a directory");
    let root = maildir(&scratch);
    let daemon = house(&scratch, &clock()).await;
    daemon.manager.add_mailbox(&address(&root), &MailboxOptions::default()).await.expect("added");
    mailbox(&daemon, "connected").await;
    // The folder comes into being with its first mail.
    for folder in ["tmp", "new", "cur"] {
        fs::create_dir_all(root.join("building").join(folder)).expect("made");
    }
    deliver(&root.join("building"), "1.M1.host", &signed(&daemon, 1));
    fs::rename(root.join("building"), root.join(".Junk")).expect("renamed");
    came(&daemon, 1).await;
    deliver(&root.join(".Junk"), "2.M2.host", &signed(&daemon, 2));
    came(&daemon, 2).await;
    daemon.stop().await;
}

#[tokio::test]
async fn a_maildir_that_goes_and_comes_is_said_and_read_on() {
    let scratch = TempDir::new().expect("a directory");
    let root = maildir(&scratch);
    let daemon = house(&scratch, &clock()).await;
    daemon.manager.add_mailbox(&address(&root), &MailboxOptions::default()).await.expect("added");
    mailbox(&daemon, "connected").await;
    let away = scratch.path().join("away");
    fs::rename(&root, &away).expect("renamed");
    let missing = mailbox(&daemon, "missing").await;
    assert_eq!(missing.problem.expect("why").kind, "place-missing");
    assert_eq!(missing.next_step.expect("a next step").who, "you");
    assert_eq!(daemon.noticed(1).await, ["problem"]);
    deliver(&away, "1.M1.host", &signed(&daemon, 1));
    fs::rename(&away, &root).expect("renamed");
    came(&daemon, 1).await;
    mailbox(&daemon, "connected").await;
    daemon.stop().await;
}

#[tokio::test]
async fn what_is_no_mailbox_is_refused_and_one_that_is_removed_is_forgotten() {
    let scratch = TempDir::new().expect("a directory");
    let root = maildir(&scratch);
    let daemon = house(&scratch, &clock()).await;
    for (written, kind) in [
        ("anna.example.org", "invalid-place"),
        ("maildir:relative", "invalid-place"),
        ("maildir:/nonexistent/Maildir", "place-missing"),
        (&address(&root.join("new")), "no-maildir"),
    ] {
        let refused = daemon.manager.add_mailbox(written, &MailboxOptions::default()).await.expect_err("no mailbox");
        let obnova_api::Error::Problem(problem) = refused else { panic!("{refused:?}") };
        assert_eq!(problem.kind, kind, "{written}");
    }
    assert_eq!(daemon.items().await, []);

    let id = daemon.manager.add_mailbox(&address(&root), &MailboxOptions::default()).await.expect("added");
    assert_eq!(daemon.manager.add_mailbox(&address(&root), &MailboxOptions::default()).await.expect("added again"), id);
    mailbox(&daemon, "connected").await;
    daemon.act(&id, "test").await;
    let checks = daemon.manager.doctor(&id).await.expect("looked at");
    assert!(checks.iter().any(|check| check.check == "mailbox" && check.state == "ok"), "{checks:?}");
    deliver(&root, "1.M1.host", &signed(&daemon, 1));
    came(&daemon, 1).await;
    daemon.manager.unwatch(&id).await.expect("removed");
    assert_eq!(daemon.items().await, []);
    let events = log(&daemon).await;
    assert_eq!(events.last().map(String::as_str), Some("mailbox-removed"));
    // Read anew, its letters are those that were known.
    daemon.manager.add_mailbox(&address(&root), &MailboxOptions::default()).await.expect("added");
    deliver(&root, "2.M2.host", &signed(&daemon, 2));
    came(&daemon, 2).await;
    daemon.stop().await;
}

#[tokio::test]
async fn what_is_no_mail_or_too_long_keeps_no_other_from_being_read() {
    let scratch = TempDir::new().expect("a directory");
    let root = maildir(&scratch);
    let daemon = house(&scratch, &clock()).await;
    let long = File::create(root.join("cur/1.long.host:2,")).expect("made");
    long.set_len(50 * 1024 * 1024).expect("a length");
    fs::write(root.join("cur/2.empty.host:2,"), "").expect("written");
    rustix::fs::mknodat(rustix::fs::CWD, root.join("new/3.fifo.host"), rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0)
        .expect("made");
    std::os::unix::fs::symlink("/etc/hostname", root.join("new/4.link.host")).expect("made");
    fs::create_dir(root.join("new/5.directory.host")).expect("made");
    deliver(&root, "6.M6.host", &signed(&daemon, 1));
    daemon.manager.add_mailbox(&address(&root), &MailboxOptions::default()).await.expect("added");
    came(&daemon, 1).await;
    mailbox(&daemon, "connected").await;
    daemon.stop().await;
}

#[tokio::test]
async fn one_that_the_configuration_names_is_read_from_the_start() {
    let scratch = TempDir::new().expect("a directory");
    let root = maildir(&scratch);
    let named = Mailbox::local(&address(&root)).expect("a Maildir").expect("a path");
    deliver(&root, "1.M1.host", &signed_now(1));
    let daemon = Inside::start_with(&scratch.path().join("state"), &clock(), |parts| {
        parts.settings.mailboxes = vec![named];
        super::story::equip(parts);
    })
    .await;
    came(&daemon, 1).await;
    mailbox(&daemon, "connected").await;
    daemon.stop().await;
}
