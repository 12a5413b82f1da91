//! Questions at a terminal: what is shown, what is not, and that the terminal is always left as it was found.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use obnova::Ending;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, tcgetattr};
use tokio::sync::Notify;

use super::daemon::{Daemon, Run, anna, new_pin, password};
use super::{run_at, text};

/// A terminal with a person in front of it.
struct Person {
    keyboard: File,
    /// Another opening of the terminal: keeps it in being, and shows its settings.
    terminal: File,
    path: PathBuf,
    screen: Arc<Mutex<String>>,
    drawn: Arc<Notify>,
}

impl Person {
    fn sits_down() -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a pseudo-terminal");
        grantpt(&master).expect("access");
        unlockpt(&master).expect("unlocked");
        let name = ptsname(&master, Vec::new()).expect("a name");
        let path = PathBuf::from(std::ffi::OsStr::from_bytes(name.as_bytes()));
        let terminal = File::options().read(true).write(true).open(&path).expect("a terminal");
        let keyboard = File::from(master);
        let (screen, drawn) = (Arc::new(Mutex::new(String::new())), Arc::new(Notify::new()));
        let mut lines = keyboard.try_clone().expect("a descriptor");
        let (screen_too, drawn_too) = (Arc::clone(&screen), Arc::clone(&drawn));
        // Ends with the terminal: its last closing makes the read fail.
        std::thread::spawn(move || {
            let mut bytes = [0; 1024];
            while let Ok(count) = lines.read(&mut bytes) {
                screen_too.lock().expect("a screen").push_str(&String::from_utf8_lossy(&bytes[..count]));
                drawn_too.notify_one();
            }
        });
        Self { keyboard, terminal, path, screen, drawn }
    }

    /// Waits until the end of the screen reads so.
    async fn reads(&self, end: &str) {
        let there = async {
            while !self.screen.lock().expect("a screen").ends_with(end) {
                self.drawn.notified().await;
            }
        };
        let seen = tokio::time::timeout(Duration::from_secs(10), there).await;
        assert!(seen.is_ok(), "no {end:?} at the end of {:?}", self.screen.lock().expect("a screen"));
    }

    fn types(&self, keys: &str) {
        (&self.keyboard).write_all(keys.as_bytes()).expect("typed");
    }

    fn sees_what_is_typed(&self) -> bool {
        tcgetattr(&self.terminal).expect("settings").local_modes.contains(LocalModes::ECHO)
    }

    /// All that was on the screen, with the line ends of a file.
    fn screen(&self) -> String {
        self.screen.lock().expect("a screen").replace("\r\n", "\n")
    }
}

#[tokio::test]
async fn consent_is_shown_and_a_password_is_not() {
    let (daemon, connection, person) = scene().await;
    daemon.plays(|run| async move {
        if run.asks_consent().await.expect("an answer") {
            let password = run.asks(password("/home/anna/anna.p12"), false).await.expect("an answer");
            run.notes(format!("password {password}"));
        }
        run.ends("done", "/home/anna/new.p12").await;
    });
    let typing = async {
        person.reads("Go on? [y/N] ").await;
        person.types("y\n");
        person.reads("Password: ").await;
        assert!(!person.sees_what_is_typed());
        person.types("heslo žluť\n");
    };
    let renewing = run_at(&connection, "renew --wait", Some(person.path.clone()), never());
    let (outcome, ()) = tokio::join!(renewing, typing);
    assert_eq!((outcome.ending, outcome.out.as_str()), (Ending::Done, "/home/anna/new.p12\n"));
    assert_eq!(daemon.state().calls.last().expect("a call"), "password heslo žluť");
    assert!(person.sees_what_is_typed());
    person.reads("Password: \r\n").await;
    insta::assert_snapshot!(person.screen());
}

#[tokio::test]
async fn whatever_is_not_a_yes_is_a_no() {
    for keys in ["\n", "n\n", "no\n", "\u{4}"] {
        let (daemon, connection, person) = scene().await;
        daemon.plays(|run| async move {
            let yes = run.asks_consent().await.expect("an answer");
            run.notes(format!("consent {yes}"));
            run.waits("consent-refused", &[]).await;
        });
        let typing = async {
            person.reads("[y/N] ").await;
            person.types(keys);
        };
        let renewing = run_at(&connection, "renew --wait", Some(person.path.clone()), never());
        let (outcome, ()) = tokio::join!(renewing, typing);
        assert_eq!(outcome.ending, Ending::NeedsPerson);
        assert_eq!(daemon.state().calls.last().expect("a call"), "consent false", "{keys:?}");
    }
}

#[tokio::test]
async fn a_new_pin_is_asked_twice_and_explained() {
    let (daemon, connection, person) = scene().await;
    daemon.plays(|run| async move {
        let pin = run.asks(new_pin(), true).await.expect("an answer");
        run.notes(format!("pin {pin}"));
        run.ends("done", "/home/anna/new.p12").await;
    });
    let typing = async {
        for (prompt, keys) in [
            ("New PIN: ", "12a4\n"),
            ("0 to 9.\r\nNew PIN: ", "123\n"),
            ("at least 4 digits.\r\nNew PIN: ", "1234\n"),
            ("once more: ", "4321\n"),
            ("not the same.\r\nNew PIN: ", "1234\n"),
            ("New PIN: \r\nThe same once more: ", "1234\n"),
        ] {
            person.reads(prompt).await;
            person.types(keys);
        }
    };
    let renewing = run_at(&connection, "renew --wait", Some(person.path.clone()), never());
    let (outcome, ()) = tokio::join!(renewing, typing);
    assert_eq!(outcome.ending, Ending::Done);
    assert_eq!(daemon.state().calls.last().expect("a call"), "pin 1234");
    assert!(!person.screen().contains("1234") && person.sees_what_is_typed());
}

#[tokio::test]
async fn a_question_that_is_withdrawn_gives_the_terminal_back() {
    let (daemon, connection, person) = scene().await;
    let prompted = Arc::new(Notify::new());
    let there = Arc::clone(&prompted);
    daemon.plays(move |run: Run| {
        let there = Arc::clone(&there);
        async move {
            let withdrawing = async {
                there.notified().await;
                run.withdraws("q1").await;
            };
            let (answer, ()) = tokio::join!(run.asks(password("/home/anna/anna.p12"), false), withdrawing);
            run.notes(format!("{}", answer.expect_err("no answer")));
            run.waits("refused", &[]).await;
        }
    });
    let watching = async {
        person.reads("Password: ").await;
        person.types("half a pass");
        prompted.notify_one();
    };
    let renewing = run_at(&connection, "renew --wait", Some(person.path.clone()), never());
    let (outcome, ()) = tokio::join!(renewing, watching);
    assert_eq!(outcome.ending, Ending::NeedsPerson);
    assert_eq!(daemon.state().calls.last().expect("a call"), "refused");
    assert!(person.sees_what_is_typed());
}

#[tokio::test]
async fn leaving_at_the_prompt_gives_the_terminal_back() {
    for line in ["renew --wait", "watch /home/anna/anna.p12"] {
        let (daemon, connection, person) = scene().await;
        daemon.state().locked = Some("geheim");
        daemon.plays(|run| async move {
            let refused = run.asks(password("/home/anna/anna.p12"), false).await.expect_err("no answer");
            run.notes(refused.to_string());
        });
        let leaving = {
            let (screen, drawn) = (Arc::clone(&person.screen), Arc::clone(&person.drawn));
            Box::pin(async move {
                while !screen.lock().expect("a screen").ends_with("Password: ") {
                    drawn.notified().await;
                }
            })
        };
        let outcome = run_at(&connection, line, Some(person.path.clone()), leaving).await;
        assert_eq!(outcome.ending, Ending::Failed, "{line}");
        assert!(person.sees_what_is_typed(), "{line}");
    }
}

#[tokio::test]
async fn the_end_of_input_is_a_refusal() {
    let (daemon, connection, person) = scene().await;
    daemon.plays(|run| async move {
        let refused = run.asks(password("/home/anna/anna.p12"), false).await.expect_err("no answer");
        run.notes(refused.to_string());
        run.waits("refused", &[]).await;
    });
    let typing = async {
        person.reads("Password: ").await;
        person.types("\u{4}");
    };
    let renewing = run_at(&connection, "renew --wait", Some(person.path.clone()), never());
    let (outcome, ()) = tokio::join!(renewing, typing);
    assert_eq!(outcome.ending, Ending::NeedsPerson);
    assert_eq!(daemon.state().calls.last().expect("a call"), "refused");
}

#[tokio::test]
async fn where_there_is_no_terminal_nobody_is_asked_here() {
    let (daemon, connection) = Daemon::with(vec![anna()]).await;
    daemon.plays(|run| async move { run.ends("done", "/home/anna/new.p12").await });
    for path in ["/dev/null", "/nowhere/tty"] {
        let outcome = run_at(&connection, "renew --wait", Some(path.into()), never()).await;
        assert_eq!(outcome.ending, Ending::Done);
    }
    assert!(daemon.state().calls.iter().all(|call| call != "register an agent"));
}

/// The letters for yes are not the letters for no.
#[test]
fn yes_has_letters() {
    let letters = text().say("cli-yes-letters", &[]);
    assert!(!letters.is_empty() && !letters.to_lowercase().contains('n'));
}

async fn scene() -> (Daemon, zbus::Connection, Person) {
    let (daemon, connection) = Daemon::with(vec![anna()]).await;
    (daemon, connection, Person::sits_down())
}

fn never() -> std::pin::Pin<Box<dyn Future<Output = ()>>> {
    Box::pin(std::future::pending())
}
