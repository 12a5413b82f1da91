//! The helper that dies in the middle of its work, and the daemon that dies while its helper works or a person thinks.

use std::path::Path;

use obnova_api::Options;
use obnova_tests::{Agent, Answer, Asked, Daemon, KeyKind, Recipe, eventually};
use rustix::process::{Pid, Signal, kill_process};

use super::{PASSWORD, Story};

/// A slow key: time enough to be killed while it is made. A helper that was faster all the same is tried again.
const ATTEMPTS: usize = 8;

fn slow() -> Recipe {
    Recipe::new("Anna Nová").key(KeyKind::Rsa(4096))
}

#[tokio::test]
async fn a_helper_that_is_killed_costs_one_word() {
    for _ in 0..ATTEMPTS {
        let story = Story::begins(&slow()).await;
        let daemon = story.scene.start().await;
        story.agent.register(false).await;
        story.renew().await;
        let Some(helper) = helper_making_a_key(&story, &daemon).await else { continue };
        if kill_process(helper, Signal::KILL).is_err() {
            continue;
        }
        let settled = async || story.renewal().await.filter(|renewal| renewal.state != "running");
        let renewal = eventually("a renewal that has ended or waits", settled).await;
        if renewal.state == "done" {
            continue;
        }
        assert_eq!(renewal.state, "waiting");
        assert_eq!(renewal.problem.expect("a problem").kind, "helper-failed");
        story.agent.manager().await.act(&renewal.id, "resume", &Options::default()).await.expect("resumed");
        story.sees_it_through().await;
        story.ends_well().await;
        return;
    }
    panic!("no helper was slow enough in {ATTEMPTS} attempts");
}

#[tokio::test]
async fn a_daemon_that_is_killed_while_its_helper_works_makes_one_key() {
    for _ in 0..ATTEMPTS {
        let story = Story::begins(&slow()).await;
        let mut daemon = story.scene.start().await;
        story.agent.register(false).await;
        story.renew().await;
        if helper_making_a_key(&story, &daemon).await.is_none() {
            continue;
        }
        daemon.kill().await;
        let _daemon = story.scene.start().await;
        story.sees_it_through().await;
        story.ends_well().await;
        return;
    }
    panic!("no helper was slow enough in {ATTEMPTS} attempts");
}

#[tokio::test]
async fn a_daemon_that_is_killed_while_a_question_is_open_asks_again() {
    for open in [Asked::Consent, Asked::Secret] {
        let story = Story::begins(&Recipe::new("Anna Nová")).await;
        let mut daemon = story.scene.start().await;
        let thinking = Agent::on(&story.scene.bus, move |asked, _| {
            std::future::ready(if asked == open { Answer::Silence } else { Answer::Yes })
        })
        .await;
        thinking.register(false).await;
        story.renew().await;
        eventually("a question", async || thinking.asked().iter().any(|(asked, _)| *asked == open).then_some(())).await;
        daemon.kill().await;
        thinking.leave().await;
        let _daemon = story.scene.start().await;
        story.sees_it_through().await;
        assert_eq!(story.agent.secrets_asked(), 1);
        story.ends_well().await;
    }
}

/// The same with nobody there after the restart: the command line is the person.
#[tokio::test]
async fn the_command_line_sees_it_through_with_one_secret() {
    let story = Story::begins(&Recipe::new("Anna Nová")).await;
    let mut command = story.scene.obnovad();
    command.env("OBNOVA_HALT_AT", "generate-keys:acted");
    let mut daemon = story.scene.start_as(command).await;
    story.agent.register(false).await;
    story.renew().await;
    daemon.ended().await;
    let Story { scene, old, before, agent } = story;
    agent.leave().await;
    let _daemon = scene.start().await;
    scene.item("a renewal that waits", |item| item.kind == "renewal" && item.state == "waiting").await;
    scene.obnova(&["status"]).await.ends(3);
    scene.obnova_answering(&format!("password={PASSWORD}\n"), &["resume", "anna", "--wait"]).await.ends(0);
    let agent = Agent::with_secret(&scene.bus, PASSWORD).await;
    Story { scene, old, before, agent }.ends_well().await;
}

/// The helper that makes the key, once the journal says that it is being made; `None` if that is over already.
async fn helper_making_a_key(story: &Story, daemon: &Daemon) -> Option<Pid> {
    eventually("a helper that makes a key", async || {
        let log = story.scene.obnova(&["log", "--json"]).await.ends(0).json();
        let at = |event: &str| {
            let fits = |line: &&serde_json::Value| line["event"] == event && line["args"]["step"] == "generate-keys";
            log.as_array().expect("an array").iter().any(|line| fits(&line))
        };
        if at("step-done") {
            return Some(None);
        }
        at("step-begun").then(|| child_of(daemon.pid(), "obnova-helper")).flatten().map(Some)
    })
    .await
}

fn child_of(parent: u32, name: &str) -> Option<Pid> {
    let processes = std::fs::read_dir("/proc").expect("/proc").filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let is_child = |pid: &i32| {
        // `pid (comm) state ppid …`; comm is cut to 15 bytes.
        let stat = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat")).unwrap_or_default();
        let Some((front, back)) = stat.rsplit_once(") ") else { return false };
        front.ends_with(&name[..name.len().min(15)]) && back.split(' ').nth(1) == Some(parent.to_string().as_str())
    };
    processes.filter_map(|name| name.parse().ok()).find(is_child).and_then(Pid::from_raw)
}
