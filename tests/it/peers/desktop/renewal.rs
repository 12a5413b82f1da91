//! The whole way by clicks: a certificate in a real file, the real daemon, a warning, a click, a yes, a password, a new file.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use obnova_tests::{Made, Recipe, program};

use super::{Desk, RENEW, YES};

const PASSWORD: &str = "Grüße, kůň";

/// Whose certificates a mailbox has.
const CARD: &str = "[visiting-card]\nname = \"Anna Nováková\"\ncountry = \"CZ\"\n";

/// Where pinentry-gtk-2 has the field for the second time: from the right and lower edges.
const AGAIN: (i32, i32) = (127, 78);

/// A program of ours that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().expect("it is ours");
        self.0.wait().expect("its end");
    }
}

/// A certificate in a file, watched by a daemon whose warning is on the screen.
async fn warned(desk: &mut Desk, recipe: &Recipe, password: &str) -> (Made, PathBuf, Running) {
    let file = desk.directory.path().join("anna.p12");
    let old = recipe.make();
    old.write_p12(&file, password, &[]);

    let mut daemon = Command::new(program("obnovad"));
    daemon.arg("--state-dir").arg(desk.directory.path().join("state")).stderr(Stdio::null());
    let daemon = Running(desk.at_home(&mut daemon).spawn().expect("obnovad"));
    desk.start_tray();

    // The command line reads its answers from a descriptor that it is given: here, its input.
    let mut answers = File::options().read(true).write(true).create_new(true).open(desk.directory.path().join("answers"));
    let answers = answers.as_mut().expect("a file");
    writeln!(answers, "password={password}").expect("written");
    let watched = desk
        .until("the daemon to watch the file", || {
            answers.seek(SeekFrom::Start(0)).expect("from the beginning");
            let mut watch = Command::new(program("obnova"));
            watch.args(["--secret-fd", "0", "watch"]).arg(&file).stdin(answers.try_clone().expect("a descriptor"));
            let status = desk.at_home(watch.stdout(Stdio::null()).stderr(Stdio::null())).status().expect("obnova");
            status.success().then_some(status)
        })
        .await;
    assert!(watched.success());
    desk.appears("xfce4-notifyd").await;
    (old, file, daemon)
}

/// Clicks on the warning and then on yes; where that has brought the window in which the secret is typed.
async fn agreed(desk: &Desk, name: &str) {
    desk.until("the question", || {
        let window = desk.window("xfce4-notifyd");
        window.inspect(|window| desk.click(window, RENEW));
        desk.window("pinentry").filter(|window| window.height > 200)
    })
    .await;
    desk.keep_picture(&format!("{name}-2-consent"));
    desk.until("the secret's window", || {
        let window = desk.window("pinentry")?;
        if window.height > 200 {
            desk.click(&window, YES);
        }
        (window.height < 200).then_some(())
    })
    .await;
}

/// The new file beside this one.
async fn made_beside(desk: &Desk, file: &Path) -> PathBuf {
    desk.until("the new file", || {
        let entries = std::fs::read_dir(desk.directory.path()).expect("a directory");
        let paths = entries.map(|entry| entry.expect("an entry").path());
        paths.filter(|path| path.extension().is_some_and(|end| end == "p12")).find(|path| path != file)
    })
    .await
}

#[tokio::test]
async fn a_click_a_yes_and_a_password_renew_a_certificate() {
    let mut desk = Desk::start(&[]);
    let (old, file, _daemon) = warned(&mut desk, &Recipe::new("Anna Nováková").days_left(20), PASSWORD).await;
    let before = std::fs::read(&file).expect("the old file");
    desk.keep_picture("whole-1-warning");
    agreed(&desk, "whole").await;
    desk.xdotool(&["type", PASSWORD]);
    desk.keep_picture("whole-3-password");
    desk.xdotool(&["key", "Return"]);
    desk.disappears("pinentry").await;
    desk.appears("xfce4-notifyd").await;
    desk.keep_picture("whole-4-renewed");

    let new = Made::read_p12(&made_beside(&desk, &file).await, PASSWORD);
    assert!(new.fits());
    assert!(!new.key.public_eq(&old.key), "a new key");
    assert_eq!(new.printed(), old.printed(), "the same holder, names and usages");
    assert_eq!(std::fs::read(&file).expect("the old file"), before, "the old file is as it was");
}

#[tokio::test]
async fn a_click_renews_the_certificate_of_a_mailbox_thirty_days_after_its_end() {
    let mut desk = Desk::start(&[]);
    let cards = desk.directory.path().join(".config/obnova/programmes.d/vps-postfach.d");
    std::fs::create_dir_all(&cards).expect("a directory");
    std::fs::write(cards.join("office.toml"), CARD).expect("written");
    let recipe = Recipe::new("Anna Nováková").begun_days_ago(1125).days_left(-30);
    let (old, file, _daemon) = warned(&mut desk, &recipe, "1234").await;
    desk.keep_picture("mailbox-1-warning");
    agreed(&desk, "mailbox").await;
    desk.xdotool(&["type", "1234"]);
    desk.xdotool(&["key", "Return"]);
    // It has two fields, and so is the higher one again.
    let window = desk.until("the new PIN's window", || desk.window("pinentry").filter(|window| window.height > 200)).await;
    desk.keep_picture("mailbox-3-new-pin");
    desk.xdotool(&["type", "56789"]);
    desk.click(&window, AGAIN);
    desk.xdotool(&["type", "56789"]);
    desk.xdotool(&["key", "Return"]);
    desk.disappears("pinentry").await;

    let made = made_beside(&desk, &file).await;
    let new = Made::read_p12(&made, "56789");
    assert!(new.fits() && !new.key.public_eq(&old.key), "a new key");
    assert_eq!(std::fs::read(made.with_extension("crt")).expect("beside it"), new.pem());
    let life = new.certificate.not_before().diff(new.certificate.not_after()).expect("a span");
    assert_eq!((life.days, life.secs), (1095, 0), "three years");
}
