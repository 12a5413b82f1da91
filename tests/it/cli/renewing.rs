//! `renew`, `resume`, `cancel`, `watch`, `unwatch`: what is done, what is asked of a script, and how each ends.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsRawFd, OwnedFd};

use obnova::Ending;
use obnova_api::ItemView;

use super::daemon::{Daemon, Run, anna, locked, mail, new_pin, password, problem, renewal, retired};
use super::{run, run_at};

const MADE: &str = "/home/anna/anna-2026.p12, /home/anna/anna-2026.crt";

/// A whole renewal: asks, does all steps, and is gone.
async fn renews(run: Run) {
    run.has_done(1).await;
    if !run.asks_consent().await.expect("an answer") {
        return run.waits("consent-refused", &[]).await;
    }
    run.has_done(2).await;
    let mut question = password("/home/anna/anna.p12");
    loop {
        match run.asks(question.clone(), false).await {
            Ok(answer) if answer == "geheim" => break,
            Ok(_) => question.refused = Some(true),
            Err(_) => return run.waits("refused", &[]).await,
        }
    }
    run.has_done(5).await;
    run.ends("done", MADE).await;
}

#[tokio::test]
async fn a_script_renews_to_the_end() {
    let (daemon, connection) = world().await;
    daemon.plays(renews);
    let answers = answers("password=wrong\nconsent=renewal:yes\npassword=geheim\n");
    let outcome = run(&connection, &format!("renew --wait --to /home/anna/new.p12 --secret-fd {}", answers.as_raw_fd())).await;
    insta::assert_snapshot!(outcome.shown());
    assert_eq!(
        daemon.state().calls,
        ["register an agent", "renew a1a1a1a1a1a1a1a1 to /home/anna/new.p12"],
        "asked for what it was told, once"
    );
}

#[tokio::test]
async fn a_script_reads_json() {
    let (daemon, connection) = world().await;
    daemon.plays(renews);
    let answers = answers("consent=renewal:yes\npassword=geheim\n");
    let outcome = run(&connection, &format!("renew Anna --wait --json --secret-fd {}", answers.as_raw_fd())).await;
    insta::assert_snapshot!(outcome.shown());
}

#[tokio::test]
async fn a_job_that_stays_on_the_bus_when_done_tells_what_it_made() {
    let (daemon, connection) = world().await;
    daemon.plays(|run| async move {
        run.moves(|job| {
            job.steps.iter_mut().for_each(|step| step.state = "done".into());
            job.state = "done".into();
            job.made = Some(vec!["/home/anna/new.p12".into()]);
        })
        .await;
    });
    let outcome = run(&connection, "renew --wait").await;
    assert_eq!((outcome.ending, outcome.out.as_str()), (Ending::Done, "/home/anna/new.p12\n"));
}

#[tokio::test]
async fn an_answer_that_is_missing_is_a_refusal() {
    let (daemon, connection) = world().await;
    daemon.plays(renews);
    let answers = answers("consent=watch:yes\nconsent=renewal:yes\npassword=wrong\nnew-password=geheim\n");
    let outcome = run(&connection, &format!("renew --wait --secret-fd {}", answers.as_raw_fd())).await;
    insta::assert_snapshot!(outcome.shown());
}

#[tokio::test]
async fn a_no_leaves_it_waiting() {
    let (daemon, connection) = world().await;
    daemon.plays(renews);
    let answers = answers("consent=renewal:no\n");
    let outcome = run(&connection, &format!("renew --wait --secret-fd {}", answers.as_raw_fd())).await;
    assert_eq!(outcome.ending, Ending::NeedsPerson);
    assert!(outcome.err.contains("hint: When it suits you: obnova resume 'Anna Novak' --wait"), "{}", outcome.err);
}

#[tokio::test]
async fn a_new_secret_of_a_script_keeps_the_rules_too() {
    let (daemon, connection) = world().await;
    daemon.plays(|run| async move {
        for _ in 0..2 {
            match run.asks(new_pin(), true).await {
                Ok(pin) => run.notes(format!("pin {pin}")),
                Err(error) => run.notes(error.to_string()),
            }
        }
        run.ends("done", MADE).await;
    });
    let answers = answers("new-pin=12a4\nnew-pin=1234\n");
    let outcome = run(&connection, &format!("renew --wait --secret-fd {}", answers.as_raw_fd())).await;
    assert_eq!(outcome.ending, Ending::Done);
    assert_eq!(daemon.state().calls[2..], [r#"secret-rules digits="true" max="8" min="4""#.to_owned(), "pin 1234".to_owned()]);
}

#[tokio::test]
async fn each_other_end_has_its_exit_code() {
    for (state, ending) in [("cancelled", Ending::Failed), ("quarantined", Ending::Failed), ("running", Ending::Unreachable)] {
        let (daemon, connection) = world().await;
        daemon.plays(move |run| async move { run.ends(state, "").await });
        assert_eq!(run(&connection, "renew --wait").await.ending, ending, "{state}");
    }
    let (daemon, connection) = world().await;
    daemon.plays(|run| async move { run.waits("disk-full", &[("path", "/home/anna/new.p12")]).await });
    insta::assert_snapshot!(run(&connection, "renew --wait").await.shown());
}

#[tokio::test]
async fn a_daemon_that_dies_in_between_loses_nothing() {
    let (daemon, connection) = world().await;
    let dying = daemon.clone();
    daemon.plays(move |run| {
        let dying = dying.clone();
        async move {
            run.has_done(3).await;
            dying.dies().await;
        }
    });
    let outcome = run(&connection, "renew --wait").await;
    assert_eq!(outcome.ending, Ending::Unreachable);
    assert!(outcome.err.contains("hint: Nothing is lost"), "{}", outcome.err);
}

#[tokio::test]
async fn leaving_leaves_the_renewal() {
    let (daemon, connection) = world().await;
    let (leave, left) = tokio::sync::oneshot::channel::<()>();
    let leave = std::sync::Arc::new(std::sync::Mutex::new(Some(leave)));
    daemon.plays(move |_| {
        let leave = leave.lock().expect("one script").take();
        async move {
            leave.expect("one start").send(()).expect("somebody who waits");
        }
    });
    let interrupted = Box::pin(async move { left.await.expect("a script that begins") });
    insta::assert_snapshot!(run_at(&connection, "renew --wait", None, interrupted).await.shown());
}

#[tokio::test]
async fn without_wait_it_only_begins() {
    let (daemon, connection) = world().await;
    insta::assert_snapshot!(run(&connection, "renew").await.shown());
    let json: serde_json::Value = serde_json::from_str(&run(&connection, "renew --json").await.out).expect("an object");
    assert_eq!((json["id"].as_u64(), json["state"].as_str()), (Some(7), Some("running")));
    assert!(daemon.state().calls.iter().all(|call| call != "register an agent"));
}

#[tokio::test]
async fn only_one_that_is_due_needs_no_name() {
    let (_daemon, connection) = Daemon::with(vec![mail(), locked()]).await;
    insta::assert_snapshot!(run(&connection, "renew").await.shown(), @r"
    exit 1
    --- out
    --- err
    obnova: Nothing needs to be renewed now.
    hint: To renew one all the same, name it: obnova renew NAME
    ");
    let other = ItemView { id: "f6f6f6f6f6f6f6f6".into(), name: "Berta".into(), ..anna() };
    let (_daemon, connection) = Daemon::with(vec![anna(), other]).await;
    insta::assert_snapshot!(run(&connection, "renew").await.shown(), @r"
    exit 1
    --- out
    --- err
    obnova: More than one needs to be renewed: Anna Novak, Berta.
    hint: Say which: obnova renew NAME
    ");
}

#[tokio::test]
async fn a_renewal_goes_by_the_number_of_its_job_or_its_name() {
    for word in ["7", "'Anna Novak'", "anna", "e5e5"] {
        let (daemon, connection) = world().await;
        daemon.plays(|run| async move { run.ends("done", MADE).await });
        let outcome = run(&connection, &format!("resume {word} --wait")).await;
        assert_eq!(outcome.ending, Ending::Done, "{word}: {}", outcome.err);
        assert_eq!(daemon.state().calls, ["resume e5e5e5e5e5e5e5e5"]);
    }
    let (daemon, connection) = world().await;
    insta::assert_snapshot!(run(&connection, "cancel 7").await.shown());
    assert_eq!(daemon.state().calls, ["cancel e5e5e5e5e5e5e5e5"]);
    assert_eq!(run(&connection, "cancel 8").await.ending, Ending::Failed);
}

#[tokio::test]
async fn what_was_done_before_is_not_told_again() {
    let (daemon, connection) = world().await;
    daemon.has_begun(5).await;
    daemon.plays(|run| async move { run.ends("done", MADE).await });
    insta::assert_snapshot!(run(&connection, "resume 7 --wait").await.shown(), @r"
    exit 0
    --- out
    /home/anna/anna-2026.p12
    /home/anna/anna-2026.crt
    --- err
    · the new certificate is installed
    · the old certificate warns no more, and its key is kept
    Anna Novak has a new certificate:
    ");
}

#[tokio::test]
async fn what_is_watched_is_shown() {
    let (daemon, connection) = world().await;
    daemon.state().locked = Some("geheim");
    let answers = answers("password=wrong\npassword=geheim\n");
    let line = format!("watch /home/anna/anna.p12 --secret-fd {}", answers.as_raw_fd());
    insta::assert_snapshot!(run(&connection, &line).await.shown());
    daemon.state().locked = None;
    insta::assert_snapshot!(run(&connection, "watch '/home/anna/100%.pem' /home/anna/mail.pem").await.shown());
    let json: serde_json::Value =
        serde_json::from_str(&run(&connection, "watch --json /home/anna/mail.pem").await.out).expect("JSON");
    assert_eq!(json[0]["id"], "b2b2b2b2b2b2b2b2");
    let watched: Vec<_> = daemon.state().calls.iter().filter(|call| call.starts_with("watch")).cloned().collect();
    assert_eq!(watched[..2], ["watch p12:/home/anna/anna.p12", "watch file:/home/anna/100%25.pem"]);
}

#[tokio::test]
async fn what_cannot_be_watched_says_why() {
    let (daemon, connection) = world().await;
    daemon.state().refuses = Some(problem("place-denied", &[("path", "/k.pem"), ("command", "sudo chmod o+r /k.pem")]));
    insta::assert_snapshot!(run(&connection, "watch /k.pem").await.shown());
    daemon.state().refuses = Some(problem("no-agent", &[]));
    insta::assert_snapshot!(run(&connection, "watch '/home/anna/old key.p12'").await.shown(), @r"
    exit 1
    --- out
    --- err
    obnova: /home/anna/old key.p12 opens only with its password.
    hint: Type it once: obnova watch '/home/anna/old key.p12'
    ");
    daemon.state().refuses = Some(problem("invalid-place", &[("place", "nss:x"), ("reason", "unknown-scheme")]));
    assert_eq!(run(&connection, "watch nss:x").await.ending, Ending::Usage);
}

#[tokio::test]
async fn what_is_watched_no_longer_stays_as_it_is() {
    let (daemon, connection) = world().await;
    insta::assert_snapshot!(run(&connection, "unwatch mail").await.shown());
    assert_eq!(daemon.state().calls, ["unwatch b2b2b2b2b2b2b2b2"]);
}

#[tokio::test]
async fn a_descriptor_that_is_not_there_is_a_mistake_of_the_caller() {
    let (_daemon, connection) = world().await;
    insta::assert_snapshot!(run(&connection, "renew --wait --secret-fd 987").await.shown());
}

async fn world() -> (Daemon, zbus::Connection) {
    Daemon::with(vec![anna(), mail(), retired(), renewal()]).await
}

/// A pipe with a script's answers; its number is good as long as this lives.
pub(super) fn answers(lines: &str) -> OwnedFd {
    let (reading, writing) = obnova_secret::pipe().expect("a pipe");
    File::from(writing).write_all(lines.as_bytes()).expect("written");
    reading
}
