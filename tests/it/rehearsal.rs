//! A whole renewal with neither bus nor running daemon, which leaves nothing behind.

use std::fs;
use std::process::Stdio;

use obnova_tests::Scene;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// Runs `obnova rehearse` where no bus is, with these answers.
async fn rehearse(scene: &Scene, answers: &str, arguments: &[&str]) -> obnova_tests::Outcome {
    let mut command: Command = scene.command("obnova");
    command.env_remove("DBUS_SESSION_BUS_ADDRESS").env("TMPDIR", scene.home());
    command.args(arguments).args(["--secret-fd", "0"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("obnova");
    child.stdin.take().expect("a pipe").write_all(answers.as_bytes()).await.expect("written");
    let output = tokio::time::timeout(std::time::Duration::from_mins(2), child.wait_with_output()).await;
    let output = output.expect("it ends").expect("it ran");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    obnova_tests::Outcome { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
}

/// Nothing is left in the directory for what is temporary, nor anywhere else in the home.
fn nothing_is_left(scene: &Scene) {
    let left: Vec<_> = fs::read_dir(scene.home()).expect("a directory").map(|entry| entry.expect("an entry").path()).collect();
    assert!(left.is_empty(), "{left:?}");
    assert!(scene.contents().is_empty() && !scene.state_dir().exists());
}

#[tokio::test]
async fn a_mailboxs_renewal_is_played_through() {
    let scene = Scene::set().await;
    let answers = "consent=renewal:yes\npin=1234\nnew-pin=87654321\n";
    let outcome = rehearse(&scene, answers, &["rehearse", "vps-postfach"]).await.ends(0);
    assert!(outcome.err.contains("What protects the file in it is 1234."), "{outcome:?}");
    for step in ["the new key is made", "the new certificate is checked", "the new certificate is installed"] {
        assert!(outcome.err.contains(step), "{step}: {outcome:?}");
    }
    assert!(outcome.err.contains("nothing is left of it"), "{outcome:?}");
    assert_eq!(outcome.out, "", "paths that are gone are no data");
    insta::assert_snapshot!(outcome.err);
    nothing_is_left(&scene);
}

#[tokio::test]
async fn a_script_reads_how_it_went() {
    let scene = Scene::set().await;
    let answers = "consent=renewal:yes\npassword=1234\n";
    let outcome = rehearse(&scene, answers, &["rehearse", "self-signed", "--json"]).await.ends(0);
    let told = outcome.steady_json();
    assert_eq!(told["state"], "done", "{outcome:?}");
    insta::assert_json_snapshot!(told);
    nothing_is_left(&scene);
}

#[tokio::test]
async fn a_no_and_a_wrong_name_leave_nothing_either() {
    let scene = Scene::set().await;
    rehearse(&scene, "consent=renewal:no\n", &["rehearse", "vps-postfach"]).await.ends(1);
    nothing_is_left(&scene);
    rehearse(&scene, "consent=renewal:yes\n", &["rehearse", "vps-postfach"]).await.ends(3);
    nothing_is_left(&scene);
    let outcome = rehearse(&scene, "", &["rehearse", "nothing"]).await.ends(1);
    assert!(outcome.err.contains("There is no programme called “nothing”") && outcome.err.contains("hint: "), "{outcome:?}");
    nothing_is_left(&scene);
}
