//! Renewals whose daemon or helper is killed: whatever the moment, the next daemon finishes them, with one key and nothing lost.

mod anywhen;
mod everywhere;
mod helper;

use std::collections::BTreeMap;
use std::path::PathBuf;

use obnova_api::{ItemView, Options};
use obnova_tests::{Agent, Made, Recipe, Scene, eventually};
use serde_json::Value;

const PASSWORD: &str = "geheim";

/// A watched `.p12` with 20 days left, and a person who knows its password.
struct Story {
    scene: Scene,
    old: Made,
    before: BTreeMap<String, Vec<u8>>,
    agent: Agent,
}

impl Story {
    /// With a daemon that ran to watch the file and has stopped again.
    async fn begins(recipe: &Recipe) -> Self {
        let scene = Scene::set().await;
        let old = recipe.make();
        old.write_p12(&scene.file("anna.p12"), PASSWORD, &[]);
        let mut daemon = scene.start().await;
        scene.watch(&scene.file("anna.p12"), Some(PASSWORD)).await;
        assert!(daemon.stop().await.success(), "{}", daemon.log());
        let before = scene.contents();
        let agent = Agent::with_secret(&scene.bus, PASSWORD).await;
        Self { scene, old, before, agent }
    }

    /// Says that the certificate is to be renewed. The daemon may die before it answers.
    async fn renew(&self) {
        let item = self.scene.item("the old certificate", |item| item.kind == "identity").await;
        match self.agent.manager().await.act(&item.id, "renew", &Options::default()).await {
            Ok(_) | Err(obnova_api::Error::Bus(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }

    /// The one renewal; `None` while the daemon is away.
    async fn renewal(&self) -> Option<ItemView> {
        let filter = [("all".to_owned(), true.into()), ("kind".to_owned(), zbus::zvariant::Str::from("renewal").into())];
        let (items, _) = self.agent.manager().await.items(filter.into_iter().collect(), "", 100).await.ok()?;
        assert!(items.len() <= 1, "one renewal, not several: {items:?}");
        items.into_iter().next()
    }

    /// Sees the renewal through to its end as a person does: says "go on" once if it waits because nobody was there.
    async fn sees_it_through(&self) {
        self.agent.register(false).await;
        let mut resumed = false;
        loop {
            let renewal = eventually("a renewal that has ended or waits", async || {
                self.renewal().await.filter(|renewal| renewal.state != "running")
            })
            .await;
            if renewal.state == "done" {
                return;
            }
            let problem = renewal.problem.expect("why it waits");
            assert!(renewal.state == "waiting" && !resumed, "{} with {problem:?}", renewal.state);
            assert_eq!(problem.kind, "no-agent", "{problem:?}");
            resumed = true;
            self.agent.manager().await.act(&renewal.id, "resume", &Options::default()).await.expect("resumed");
        }
    }

    /// One new pair whose key fits; the old file as it was; one key, one certificate, one end in the journal; no leftovers;
    /// the new one watched, the old one retired.
    async fn ends_well(&self) {
        let after = self.scene.contents();
        let new: Vec<&String> = after.keys().filter(|name| !self.before.contains_key(*name)).collect();
        assert_eq!(new.len(), 2, "{new:?}");
        let (certificate, package) = (self.scene.file(new[0]), self.scene.file(new[1]));
        assert_eq!(certificate.with_extension("p12"), package);
        for (name, content) in &self.before {
            assert!(after[name] == *content, "{name} has changed");
        }
        let made = Made::read_p12(&package, PASSWORD);
        assert!(made.fits(), "the key is the certificate's");
        assert!(!made.key.public_eq(&self.old.key), "the key is new");
        assert_eq!(std::fs::read(&certificate).expect("read"), made.pem());
        assert_eq!(made.printed(), self.old.printed());

        let log = self.scene.obnova(&["log", "--json"]).await.ends(0).json();
        let log = log.as_array().expect("an array");
        let count = |event: &str, step: &str| {
            let fits = |line: &&Value| line["event"] == event && (step.is_empty() || line["args"]["step"] == step);
            log.iter().filter(fits).count()
        };
        for (event, step) in [
            ("job-started", ""),
            ("step-done", "generate-keys"),
            ("step-done", "request"),
            ("step-done", "install"),
            ("job-done", ""),
        ] {
            assert_eq!(count(event, step), 1, "{event} {step} in {log:#?}");
        }
        let done = log.iter().find(|line| line["event"] == "job-done").expect("an end");
        assert_eq!(done["args"]["made"], format!("{}, {}", package.display(), certificate.display()));

        assert_eq!(self.leftovers(), Vec::<PathBuf>::new());
        let items = self.scene.items().await;
        let identity = |state: &str| items.iter().filter(|item| item.kind == "identity" && item.state == state).count();
        assert_eq!((identity("valid"), identity("retired")), (1, 1), "{items:#?}");
        let valid = items.iter().find(|item| item.state == "valid").expect("the new one");
        assert_eq!(valid.certificates.as_ref().expect("certificates")[0].sha256, made.sha256());
        assert_eq!(valid.place.as_deref(), Some(format!("p12:{}", package.display()).as_str()));
        self.scene.obnova(&["status"]).await.ends(0);
    }

    /// What lies in the state directory besides the journal and its lock.
    fn leftovers(&self) -> Vec<PathBuf> {
        let mut open = vec![self.scene.state_dir()];
        let mut found = Vec::new();
        while let Some(directory) = open.pop() {
            for entry in std::fs::read_dir(directory).expect("a directory") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    open.push(path);
                } else {
                    let name = path.file_name().expect("a name").to_string_lossy().into_owned();
                    if name != "lock" && !name.starts_with("journal") {
                        found.push(path);
                    }
                }
            }
        }
        found
    }
}
