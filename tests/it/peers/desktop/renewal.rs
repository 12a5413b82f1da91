//! The whole way by clicks: a certificate in a real file, the real daemon, a warning, a click, a yes, a password, a new file.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::process::{Child, Command, Stdio};

use obnova_tests::{Made, Recipe, program};

use super::{Desk, RENEW, YES};

const PASSWORD: &str = "Grüße, kůň";

/// A program of ours that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().expect("it is ours");
        self.0.wait().expect("its end");
    }
}

#[tokio::test]
async fn a_click_a_yes_and_a_password_renew_a_certificate() {
    let mut desk = Desk::start(&[]);
    let file = desk.directory.path().join("anna.p12");
    let old = Recipe::new("Anna Nováková").days_left(20).make();
    old.write_p12(&file, PASSWORD, &[]);
    let before = std::fs::read(&file).expect("the old file");

    let mut daemon = Command::new(program("obnovad"));
    daemon.arg("--state-dir").arg(desk.directory.path().join("state")).stderr(Stdio::null());
    let _daemon = Running(desk.at_home(&mut daemon).spawn().expect("obnovad"));
    desk.start_tray();

    // The command line reads its answers from a descriptor that it is given: here, its input.
    let mut answers = File::options().read(true).write(true).create_new(true).open(desk.directory.path().join("answers"));
    let answers = answers.as_mut().expect("a file");
    writeln!(answers, "password={PASSWORD}").expect("written");
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
    desk.keep_picture("whole-1-warning");
    desk.until("the question", || {
        let window = desk.window("xfce4-notifyd");
        window.inspect(|window| desk.click(window, RENEW));
        desk.window("pinentry").filter(|window| window.height > 200)
    })
    .await;
    desk.keep_picture("whole-2-consent");
    desk.until("the password's window", || {
        let window = desk.window("pinentry")?;
        if window.height > 200 {
            desk.click(&window, YES);
        }
        (window.height < 200).then_some(())
    })
    .await;
    desk.xdotool(&["type", PASSWORD]);
    desk.keep_picture("whole-3-password");
    desk.xdotool(&["key", "Return"]);
    desk.disappears("pinentry").await;
    desk.appears("xfce4-notifyd").await;
    desk.keep_picture("whole-4-renewed");

    let made = desk
        .until("the new file", || {
            let entries = std::fs::read_dir(desk.directory.path()).expect("a directory");
            let paths = entries.map(|entry| entry.expect("an entry").path());
            paths.filter(|path| path.extension().is_some_and(|end| end == "p12")).find(|path| *path != file)
        })
        .await;
    let new = Made::read_p12(&made, PASSWORD);
    assert!(new.fits());
    assert!(!new.key.public_eq(&old.key), "a new key");
    assert_eq!(new.printed(), old.printed(), "the same holder, names and usages");
    assert_eq!(std::fs::read(&file).expect("the old file"), before, "the old file is as it was");
}
