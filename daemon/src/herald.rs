//! Tells the executables in `notify.d` of each notice, for machines at which nobody sits. Owns which of them are run, what they are
//! told, and who of them failed. When there is a notice is the engine's.
//!
//! Each regular file there that may be executed is run once for each notice, in the order of their names, one after the other, each for
//! a minute at most, with the event and the item's id as arguments and with the environment that [`Herald`] documents. A notice of which
//! they were told and that is not true any more is taken back once, as the event `withdrawn`. No secret is ever among it.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use obnova_api::{ItemView, Level};
use obnova_core::ItemId;
use obnova_core::job::{Job, Phase};
use tokio::sync::mpsc;

use crate::bus::views::{self, Household};
use crate::engine::Engine;
use crate::{executables, service};

/// How many notices wait to be told. More at a time are no news to anybody.
const MOST_WAITING: usize = 256;

/// How many executables are run.
const MOST: usize = 32;

/// Who tells the executables. Cheap to clone.
///
/// Their environment is `PATH` and these: `OBNOVA_EVENT` (what has happened: `three-weeks`, `one-week`, `third`, `tenth`, `three-days`,
/// `two-days`, `one-day`, `today`, `expired`, `revoked`, `renewed`, `renewed-elsewhere`, `problem`, `locked`, `withdrawn`, and others that may come),
/// `OBNOVA_LEVEL` (`ok`, `notice`, `warning`, `critical`), `OBNOVA_ITEM` (its id), `OBNOVA_KIND`, `OBNOVA_NAME`, `OBNOVA_STATE`,
/// `OBNOVA_OWNER`, `OBNOVA_SCOPE`, `OBNOVA_TITLE` and `OBNOVA_BODY` (the notice in words, in the language of the service), and, where the
/// item has them, `OBNOVA_NOT_AFTER`, `OBNOVA_DEADLINE` (RFC 3339, UTC) and `OBNOVA_PLACE`.
#[derive(Clone, Debug)]
pub struct Herald {
    directory: Option<PathBuf>,
    waiting: Option<mpsc::Sender<News>>,
    /// The items of which a warning was told, and when first.
    told: Arc<Mutex<BTreeMap<ItemId, DateTime<Utc>>>>,
    /// How each executable failed that did when it was run last.
    failures: Arc<Mutex<BTreeMap<PathBuf, String>>>,
}

#[derive(Debug)]
struct News {
    item: ItemId,
    event: &'static str,
    level: Level,
}

impl Herald {
    /// Tells those in this directory from now on; `None`: nobody is told.
    pub fn new(directory: Option<PathBuf>, engine: Engine, household: Household) -> Self {
        let herald = Self { directory: directory.clone(), waiting: None, told: Arc::default(), failures: Arc::default() };
        let Some(directory) = directory else { return herald };
        let (waiting, news) = mpsc::channel(MOST_WAITING);
        tokio::spawn(tell(directory, engine, household, news, Arc::clone(&herald.failures)));
        Self { waiting: Some(waiting), ..herald }
    }

    /// A person is to be told this.
    pub(crate) fn tell(&self, item: ItemId, event: &'static str, level: Level, now: DateTime<Utc>) {
        if event == "renewed" || event == "renewed-elsewhere" {
            lock(&self.told).remove(&item);
        } else if level >= Level::Warning {
            lock(&self.told).entry(item).or_insert(now);
        }
        self.send(News { item, event, level });
    }

    /// These items look otherwise, or are gone: what was told of them and is not true any more is taken back.
    pub(crate) async fn look(&self, engine: &Engine, changed: &BTreeSet<ItemId>) {
        let told: Vec<(ItemId, DateTime<Utc>)> = {
            let told = lock(&self.told);
            told.iter().filter(|(id, _)| changed.contains(id)).map(|(id, since)| (*id, *since)).collect()
        };
        if told.is_empty() {
            return;
        }
        let calm = engine.read(move |state| {
            let now = state.now();
            let calm = |id: ItemId| state.world.item(id, now).is_none_or(|item| item.level < obnova_core::Level::Warning);
            // A renewal's end is told as such, and may only be on the way.
            let renewed = |id: ItemId, since: DateTime<Utc>| {
                let of_it = |job: &Job| job.start.identity == id && !matches!(job.phase, Phase::Cancelled);
                state.world.jobs().any(|(_, job)| of_it(job) && job.finished.is_none_or(|finished| finished >= since))
            };
            let back = told.into_iter().filter(|(id, since)| calm(*id) && !renewed(*id, *since));
            back.map(|(id, _)| id).collect::<Vec<ItemId>>()
        });
        // Without the engine there is nothing to tell.
        for item in calm.await.unwrap_or_default() {
            lock(&self.told).remove(&item);
            self.send(News { item, event: "withdrawn", level: Level::Ok });
        }
    }

    fn send(&self, news: News) {
        if let Some(waiting) = &self.waiting
            && let Err(error) = waiting.try_send(news)
        {
            tracing::warn!(%error, "a notice is not told to the executables");
        }
    }

    /// The executables, and how those failed that did, or why they are not run.
    pub(crate) fn state(&self) -> Vec<(PathBuf, Option<String>)> {
        let failures = lock(&self.failures);
        let all = self.directory.iter().flat_map(|directory| executables_in(directory));
        all.map(|(path, fit)| (path.clone(), fit.err().map(str::to_owned).or_else(|| failures.get(&path).cloned()))).collect()
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn tell(
    directory: PathBuf,
    engine: Engine,
    household: Household,
    mut waiting: mpsc::Receiver<News>,
    failures: Arc<Mutex<BTreeMap<PathBuf, String>>>,
) {
    while let Some(news) = waiting.recv().await {
        let all = executables_in(&directory);
        if all.is_empty() {
            continue;
        }
        let (id, owners) = (news.item, household.clone());
        let view = engine.read(move |state| {
            let now = state.now();
            (state.world.item(id, now).map(|item| views::item(&item, &state.world, &owners)), now)
        });
        let Ok((view, now)) = view.await else { return };
        // An item that is gone is all the same one that was told of.
        let view = view.unwrap_or_else(|| ItemView {
            id: id.to_string(),
            name: id.to_string(),
            state: "gone".into(),
            owner: household.owner.clone(),
            scope: household.scope.into(),
            ..ItemView::default()
        });
        let notice = service::text().in_zone(*now.offset()).notice(news.event, &view, now.to_utc());
        let environment = environment(&news, &view, &notice.title, &notice.body);
        let environment: Vec<(&str, &str)> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
        for (path, fit) in all {
            let outcome = match fit {
                Ok(()) => {
                    let run = executables::run(&path, &[news.event, &view.id], &environment).await;
                    run.map_err(|failure| failure.to_string())
                }
                Err(why) => Err(why.to_owned()),
            };
            match outcome {
                Ok(()) => drop(lock(&failures).remove(&path)),
                Err(failure) => {
                    tracing::error!(program = %path.display(), event = news.event, %failure, "a notice did not reach an executable");
                    lock(&failures).insert(path, failure);
                }
            }
        }
    }
}

fn environment(news: &News, view: &ItemView, title: &str, body: &str) -> Vec<(&'static str, String)> {
    // What stands in a certificate is a stranger's: it is one line, wherever it is put.
    let line = |text: &str| text.replace(|letter: char| letter.is_control(), " ");
    let always = [
        ("OBNOVA_EVENT", news.event.to_owned()),
        ("OBNOVA_LEVEL", news.level.as_str().to_owned()),
        ("OBNOVA_ITEM", view.id.clone()),
        ("OBNOVA_KIND", view.kind.clone()),
        ("OBNOVA_NAME", line(&view.name)),
        ("OBNOVA_STATE", view.state.clone()),
        ("OBNOVA_OWNER", line(&view.owner)),
        ("OBNOVA_SCOPE", view.scope.clone()),
        ("OBNOVA_TITLE", line(title)),
        ("OBNOVA_BODY", body.lines().map(line).collect::<Vec<_>>().join("\n")),
    ];
    let some = [
        ("OBNOVA_NOT_AFTER", view.not_after.clone()),
        ("OBNOVA_DEADLINE", view.deadline.clone()),
        ("OBNOVA_PLACE", view.place.as_deref().map(line)),
    ];
    always.into_iter().chain(some.into_iter().filter_map(|(name, value)| Some((name, value?)))).collect()
}

/// What is to be run, in the order of names; or why a file is not.
fn executables_in(directory: &Path) -> Vec<(PathBuf, Result<(), &'static str>)> {
    // Where nobody wants to be told there is no directory.
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let left_over = |name: &str| name.starts_with('.') || name.ends_with('~') || name.contains(".dpkg-");
    let named = entries.filter(|entry| entry.file_name().to_str().is_some_and(|name| !left_over(name)));
    let mut paths: Vec<PathBuf> = named.map(|entry| entry.path()).collect();
    paths.sort();
    paths.truncate(MOST);
    let us = rustix::process::geteuid().as_raw();
    let fit = |path: PathBuf| {
        let metadata = path.metadata().ok().filter(std::fs::Metadata::is_file)?;
        // Neither a text that explains the others.
        if metadata.mode() & 0o111 == 0 {
            return None;
        }
        let fit = if metadata.uid() != 0 && metadata.uid() != us {
            Err("owned by another user")
        } else if metadata.mode() & 0o022 != 0 {
            Err("writable by others")
        } else {
            Ok(())
        };
        Some((path, fit))
    };
    paths.into_iter().filter_map(fit).collect()
}
