//! `snooze`, `export`, `check`, `completions`, `open`: what is put off, and what other programs are given.

use obnova::Ending;
use obnova_api::{ItemView, Level};

use super::daemon::{Daemon, anna, locked, mail, retired};
use super::run;

#[tokio::test]
async fn a_warning_is_put_off() {
    let (daemon, connection) = everything().await;
    let mut shown = Vec::new();
    for line in [
        "snooze anna --until 3d",
        "snooze anna --until 2026-11-01T09:00:00+01:00 --json",
        "snooze anna --until yesterday",
        "snooze berta --until 3d",
    ] {
        shown.push(format!("$ obnova {line}\n{}", run(&connection, line).await.shown()));
    }
    insta::assert_snapshot!(shown.join("\n"));
    let calls = daemon.state().calls.clone();
    assert_eq!(
        calls,
        ["snooze a1a1a1a1a1a1a1a1 until 2026-10-24T08:00:00Z", "snooze a1a1a1a1a1a1a1a1 until 2026-11-01T08:00:00Z"]
    );
}

#[tokio::test]
async fn what_is_found_and_how_it_is_renewed_is_shown() {
    let (_daemon, connection) = everything().await;
    let mut shown = Vec::new();
    for line in ["discover", "discover --json", "programme list", "programme list --json", "programme show vps-postfach"] {
        shown.push(format!("$ obnova {line}\n{}", run(&connection, line).await.shown()));
    }
    for line in ["programme show --json vps-postfach", "programme show nothing", "programme check /nowhere/x.toml"] {
        shown.push(format!("$ obnova {line}\n{}", run(&connection, line).await.shown()));
    }
    insta::assert_snapshot!(shown.join("\n"));
    let file = tempfile::NamedTempFile::new().expect("a file");
    let line = format!("programme check {}", file.path().display());
    let wrong = run(&connection, &line).await.shown().replace(&file.path().display().to_string(), "[file]");
    std::fs::write(file.path(), "name").expect("written");
    let right = run(&connection, &line).await.shown().replace(&file.path().display().to_string(), "[file]");
    insta::assert_snapshot!(format!("{wrong}\n{right}"));
}

#[tokio::test]
async fn a_copy_is_made_where_it_is_wanted() {
    let (daemon, connection) = everything().await;
    let text = run(&connection, "backup anna --to /home/anna/copy.p12").await.shown();
    let json = run(&connection, "backup anna --to /home/anna/copy.p12 --json").await.shown();
    insta::assert_snapshot!(format!("{text}\n{json}"));
    assert_eq!(daemon.state().calls, ["backup a1a1a1a1a1a1a1a1 to /home/anna/copy.p12"; 2]);
}

#[tokio::test]
async fn what_exists_is_taken_over() {
    let (daemon, connection) = everything().await;
    daemon.plays(|run| async move {
        run.has_done(1).await;
        run.ends("done", "/home/anna/neu.p12").await;
    });
    let text = run(&connection, "adopt anna /home/anna/neu.p12").await.shown();
    insta::assert_snapshot!(text);
    assert_eq!(daemon.state().calls, ["adopt a1a1a1a1a1a1a1a1 to p12:/home/anna/neu.p12"]);
    let (daemon, connection) = everything().await;
    daemon.plays(|run| async move {
        run.has_done(1).await;
        run.ends("done", "/home/anna/neu.p12").await;
    });
    insta::assert_snapshot!(run(&connection, "adopt anna /home/anna/neu.p12 --json").await.shown());
    let (daemon, connection) = everything().await;
    daemon.plays(|run| async move { run.ends("superseded", "").await });
    let overtaken = run(&connection, "renew anna --wait").await;
    assert_eq!(overtaken.ending, Ending::Done);
    assert!(overtaken.err.contains("renewed elsewhere"), "{}", overtaken.err);
}

#[tokio::test]
async fn a_monitoring_system_reads_one_line_and_four_codes() {
    let mut shown = Vec::new();
    for level in Level::ALL {
        let name = "Anna | Novak\nand others".to_owned();
        let next_step = anna().next_step.filter(|_| level > Level::Ok);
        let item = ItemView { level: level.as_str().into(), name, next_step, ..anna() };
        let (daemon, connection) = Daemon::with(vec![item, mail()]).await;
        daemon.state().status.level = level.as_str().into();
        let outcome = run(&connection, "check").await;
        let expected = [Ending::Done, Ending::Done, Ending::Failed, Ending::Usage][level as usize];
        assert_eq!(outcome.ending, expected, "{level:?}");
        assert_eq!((outcome.out.lines().count(), outcome.err.as_str()), (1, ""), "{}", outcome.out);
        // Figures: 'label'=value[unit];[warn];[crit];[min];[max], behind the only bar.
        let (_, figures) = outcome.out.trim_end().split_once(" | ").expect("figures");
        for figure in figures.split(' ') {
            let (label, values) = figure.split_once('=').expect("a label");
            let value = values.split(';').next().expect("a value");
            assert!(!label.is_empty() && value.parse::<i64>().is_ok(), "{figure}");
        }
        shown.push(outcome.shown());
        shown.push(run(&connection, "check --json").await.shown());
    }
    let (daemon, connection) = everything().await;
    daemon.dies().await;
    let outcome = run(&connection, "check").await;
    assert_eq!((outcome.ending, outcome.err.as_str()), (Ending::NeedsPerson, ""));
    shown.push(outcome.shown());
    insta::assert_snapshot!(shown.join("\n"));
}

#[tokio::test]
async fn deadlines_go_into_a_calendar() {
    let (_daemon, connection) = everything().await;
    let exported = run(&connection, "export ics").await;
    assert!(exported.out.lines().all(|line| line.len() <= 75), "{}", exported.out);
    assert_eq!(exported.out.matches('\n').count(), exported.out.matches("\r\n").count());
    let version = format!("obnova {}//EN", env!("CARGO_PKG_VERSION"));
    let shown = |text: String| text.replace("\r\n", "\n").replace(&version, "obnova [version]//EN");
    insta::assert_snapshot!(shown(exported.shown()));
    insta::assert_snapshot!(shown(run(&connection, "export ics --json").await.shown()));
}

#[tokio::test]
async fn shells_are_told_whom_to_ask() {
    let (daemon, connection) = everything().await;
    for (shell, sign) in [("bash", "complete "), ("zsh", "#compdef obnova"), ("fish", "complete ")] {
        let told = run(&connection, &format!("completions {shell}")).await;
        assert_eq!((told.ending, told.err.as_str()), (Ending::Done, ""));
        assert!(told.out.contains(sign) && told.out.contains("COMPLETE"), "{shell}: {}", told.out);
    }
    assert!(daemon.state().calls.is_empty(), "the daemon is not needed");
}

#[tokio::test]
async fn without_a_window_there_is_the_list() {
    let (_daemon, connection) = everything().await;
    insta::assert_snapshot!(run(&connection, "open anna").await.shown());
}

async fn everything() -> (Daemon, zbus::Connection) {
    Daemon::with(vec![anna(), locked(), mail(), retired()]).await
}
