//! Disks that are full or read-only in the middle of a renewal, in mount namespaces of their own. Needs root.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};

use obnova_api::{ItemView, Options};
use obnova_tests::{Agent, Answer, Asked, Daemon, Made, Recipe, Scene, eventually};
use tokio::process::Command;

const PASSWORD: &str = "geheim";

/// A daemon one of whose directories is a small file system of its own.
struct Small {
    scene: Scene,
    daemon: Daemon,
    /// That file system, as processes outside reach it.
    inside: PathBuf,
    mounted: PathBuf,
    agent: Agent,
    old: Made,
    before: Vec<u8>,
}

impl Small {
    /// With a watched `.p12` among the files, where `at` is mounted; at the first question for consent `then` happens, given
    /// the small file system.
    async fn at(at: fn(&Scene) -> PathBuf, then: impl Fn(&Path, u32) + Send + Sync + Clone + 'static) -> Self {
        let scene = Scene::set().await;
        let mounted = at(&scene);
        std::fs::create_dir_all(&mounted).expect("a directory");
        let old = Recipe::new("Anna").days_left(20).make();
        let outside = scene.home().join("anna.p12");
        old.write_p12(&outside, PASSWORD, &[]);
        let before = std::fs::read(&outside).expect("the file");
        let script = format!(
            "mount -t tmpfs -o size=512k,mode=0700 tmpfs '{}' && cp '{}' '{}' && exec \"$@\"",
            mounted.display(),
            outside.display(),
            scene.files().display()
        );
        let plain = scene.obnovad();
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c", &script, "sh"]).arg(plain.as_std().get_program());
        command.args(plain.as_std().get_args()).env_clear();
        command.envs(plain.as_std().get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.stdin(Stdio::null()).kill_on_drop(true);
        let daemon = scene.start_as(command).await;
        let pid = daemon.pid();
        let within =
            |path: &Path| PathBuf::from(format!("/proc/{pid}/root")).join(path.strip_prefix("/").expect("an absolute path"));
        let inside = within(&mounted);
        let filling = inside.clone();
        let once = AtomicBool::new(false);
        let agent = Agent::on(&scene.bus, move |asked, _| {
            if asked == Asked::Consent {
                if !once.swap(true, Ordering::Relaxed) {
                    then(&filling, pid);
                }
                std::future::ready(Answer::Yes)
            } else {
                std::future::ready(Answer::Secret(PASSWORD.into()))
            }
        })
        .await;
        agent.register(false).await;
        let place = format!("p12:{}", scene.file("anna.p12").display());
        agent.manager().await.watch(&place, &Options::default()).await.expect("watched");
        Self { scene, daemon, inside, mounted, agent, old, before }
    }

    async fn renew(&self) {
        let item = self.scene.item("the certificate", |item| item.kind == "identity").await;
        self.agent.manager().await.act(&item.id, "renew", &Options::default()).await.expect("begun");
    }

    async fn renewal(&self, state: &str) -> ItemView {
        self.scene.item(&format!("a renewal that is {state}"), |item| item.kind == "renewal" && item.state == state).await
    }

    /// The files that are watched, as the daemon sees them.
    fn files(&self) -> Vec<String> {
        let directory = self.inside_of(&self.scene.files());
        let entries = std::fs::read_dir(directory).expect("a readable directory");
        let mut names: Vec<String> =
            entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
        names.retain(|name| name != FILLER);
        names.sort();
        names
    }

    fn inside_of(&self, path: &Path) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root", self.daemon.pid())).join(path.strip_prefix("/").expect("an absolute path"))
    }

    /// Says "go on" and sees the renewal to its end: one new file, whose key fits and is new, and the old one as it was.
    async fn resumes_and_ends(&mut self, renewal: &ItemView) {
        self.agent.manager().await.act(&renewal.id, "resume", &Options::default()).await.expect("resumed");
        self.renewal("done").await;
        let names = self.files();
        let new: Vec<&String> = names.iter().filter(|name| *name != "anna.p12").collect();
        assert_eq!(new.len(), 2, "{names:?}");
        let made = new.iter().find(|name| Path::new(name).extension() == Some("p12".as_ref())).expect("a new .p12");
        let made = Made::read_p12(&self.inside_of(&self.scene.file(made)), PASSWORD);
        assert!(made.fits() && !made.key.public_eq(&self.old.key), "its own key, and a new one");
        let file = self.inside_of(&self.scene.file("anna.p12"));
        assert_eq!(std::fs::read(file).expect("the old file"), self.before, "the old file is as it was");
        let log = self.scene.obnova(&["--json", "log"]).await.json();
        let lines = log.as_array().expect("lines");
        let keys = lines.iter().filter(|line| line["event"] == "step-done" && line["args"]["step"] == "generate-keys").count();
        assert_eq!(keys, 1, "one key, whatever happened: {log:#}");
        let pending = self.inside_of(&self.scene.state_dir().join("pending"));
        assert_eq!(std::fs::read_dir(pending).map_or(0, Iterator::count), 0, "nothing is left over");
        assert!(self.daemon.stop().await.success(), "{}", self.daemon.log());
    }
}

/// What takes up the room.
const FILLER: &str = "filler";

/// Fills a file system to the last byte.
fn fill(directory: &Path) {
    use std::io::Write;
    let mut file = std::fs::File::create(directory.join(FILLER)).expect("created");
    for size in [4096, 64, 1] {
        while file.write_all(&vec![b'x'; size]).is_ok() {}
    }
    let full = std::fs::write(directory.join("more"), "x".repeat(5000)).expect_err("no room");
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    std::fs::remove_file(directory.join("more")).expect("removed");
}

fn remount(pid: u32, mounted: &Path, how: &str) {
    let status = std::process::Command::new("nsenter")
        .args(["--target", &pid.to_string(), "--mount", "mount", "-o", &format!("remount,{how}")])
        .arg(mounted)
        .status()
        .expect("nsenter runs");
    assert!(status.success(), "remount,{how}: {status}");
}

#[tokio::test]
async fn a_full_disk_at_the_target_loses_nothing() {
    let mut small = Small::at(Scene::files, |inside, _| fill(inside)).await;
    small.renew().await;
    let renewal = small.renewal("waiting").await;
    let problem = renewal.problem.clone().expect("a problem");
    assert_eq!(problem.kind, "disk-full", "{problem:?}");
    assert!(problem.args["path"].starts_with(small.mounted.to_str().expect("UTF-8")), "{problem:?}");
    assert_eq!(small.files(), ["anna.p12"], "nothing half-made lies about");
    std::fs::remove_file(small.inside.join(FILLER)).expect("removed");
    small.resumes_and_ends(&renewal).await;
}

#[tokio::test]
async fn a_target_that_becomes_read_only_loses_nothing() {
    let mut small = Small::at(Scene::files, |inside, pid| {
        let mounted = inside.strip_prefix(format!("/proc/{pid}/root")).expect("inside");
        remount(pid, &Path::new("/").join(mounted), "ro");
    })
    .await;
    small.renew().await;
    let renewal = small.renewal("waiting").await;
    let problem = renewal.problem.clone().expect("a problem");
    assert_eq!(problem.kind, "read-only", "{problem:?}");
    assert_eq!(small.files(), ["anna.p12"]);
    remount(small.daemon.pid(), &small.mounted, "rw");
    small.resumes_and_ends(&renewal).await;
}

#[tokio::test]
async fn a_target_that_is_read_only_is_told_before_anything_is_asked() {
    let small = Small::at(Scene::files, |_, _| ()).await;
    remount(small.daemon.pid(), &small.mounted, "ro");
    small.renew().await;
    let renewal = small.renewal("waiting").await;
    assert_eq!(renewal.problem.expect("a problem").kind, "read-only");
    assert!(small.agent.asked().iter().all(|(_, question)| question.about == "watch"), "{:?}", small.agent.asked());
}

#[tokio::test]
async fn a_full_disk_under_the_journal_loses_nothing() {
    let mut small = Small::at(Scene::state_dir, |inside, _| fill(inside)).await;
    small.renew().await;
    let renewal = eventually("the problem", async || {
        let items = small.scene.items().await;
        items.into_iter().find(|item| item.kind == "renewal" && item.problem.is_some())
    })
    .await;
    assert_eq!(renewal.problem.as_ref().expect("a problem").kind, "journal-full", "{renewal:?}");
    assert_eq!(renewal.state, "waiting");
    // Whatever else is begun meets the same.
    let place = format!("file:{}", small.scene.home().display());
    let watched = small.agent.manager().await.watch(&place, &Options::default()).await;
    assert_eq!(watched.expect_err("no room").kind(), Some("journal-full"));
    let resumed = small.agent.manager().await.act(&renewal.id, "resume", &Options::default()).await;
    assert!(resumed.is_err() || small.renewal("waiting").await.problem.is_some());
    assert_eq!(small.files(), ["anna.p12"]);

    std::fs::remove_file(small.inside.join(FILLER)).expect("removed");
    small.resumes_and_ends(&renewal).await;
}
