//! What is looked after: the places that people and the configuration name; on a machine for which nobody has said which those are,
//! the leaf certificates with a key in the usual directories. Owns the one task that hands sightings to the engine. How places are read
//! is the stores'.

use std::collections::BTreeSet;
use std::path::PathBuf;

use chrono::Utc;
use obnova_core::record::Record;
use obnova_core::world::{Condition, Sight};
use obnova_core::{Place, Problem, Scheme, World};
use tokio::sync::mpsc;

use crate::cards::Cards;
use crate::config::Settings;
use crate::credentials::Credentials;
use crate::engine::Engine;
use crate::keyring::Keyring;
use crate::mailboxes::Mailboxes;
use crate::stores::others::{Others, Report};
use crate::stores::{self, Sighting, Stamp, Surveyor};
use crate::{Configured, opening};

/// Where the programs of a machine have their certificates, as Debian and Fedora place them.
const USUAL: [&str; 16] = [
    "etc/ssl",
    "etc/pki/tls",
    "etc/letsencrypt/live",
    "etc/nginx",
    "etc/apache2",
    "etc/httpd",
    "etc/haproxy",
    "etc/postfix",
    "etc/dovecot",
    "etc/exim4",
    "etc/prosody/certs",
    "etc/ldap",
    "etc/openvpn",
    "etc/stunnel",
    "etc/cockpit/ws-certs.d",
    "var/lib/acme",
];

/// The machine on which a daemon runs.
#[derive(Debug)]
pub struct Machine {
    root: PathBuf,
    others: Others,
    /// What was read of other tools before anything was served, until it is taken note of.
    read: Option<Report>,
    /// Its own certificates are to be looked after.
    own: bool,
}

impl Machine {
    /// The one whose files begin here. `own`: its own certificates are looked after, where nobody says which.
    pub fn at(root: impl Into<PathBuf>, own: bool) -> Self {
        let root = root.into();
        Self { others: Others::at(root.clone()), root, read: None, own }
    }

    /// None that matters.
    pub fn none() -> Self {
        Self { root: PathBuf::new(), others: Others::none(), read: None, own: false }
    }

    /// Has the world know what other tools renew, before it warns of anything or starts anything by itself. Blocks.
    pub(crate) fn introduce(&mut self, world: &mut World) {
        let report = self.others.look();
        // Nobody has been told of anything yet.
        drop(world.renew_elsewhere(report.renewed.clone()));
        self.read = Some(report);
    }

    /// The directories where its certificates may be.
    fn usual(&self) -> impl Iterator<Item = Place> {
        USUAL.iter().map(|name| Place::new(Scheme::File, &self.root.join(name)))
    }
}

/// Looks after the places.
pub(crate) struct Watching {
    engine: Engine,
    surveyor: Surveyor,
    cards: Cards,
    keyring: Keyring,
    credentials: Credentials,
    machine: Machine,
    mailboxes: Mailboxes,
    /// Those of the usual directories and files that are looked into now.
    usual: BTreeSet<Place>,
    /// What cannot be read of other tools' files.
    closed: BTreeSet<Place>,
}

impl Watching {
    pub(crate) fn new(
        engine: Engine,
        surveyor: Surveyor,
        cards: Cards,
        keyring: Keyring,
        credentials: Credentials,
        machine: Machine,
        mailboxes: Mailboxes,
    ) -> Self {
        Self {
            engine,
            surveyor,
            cards,
            keyring,
            credentials,
            machine,
            mailboxes,
            usual: BTreeSet::new(),
            closed: BTreeSet::new(),
        }
    }

    /// Looks into all places, then listens for what changes in them and in the configuration.
    pub(crate) async fn run(
        mut self,
        settings: Settings,
        seen: mpsc::Receiver<Vec<Sighting>>,
        reloads: Option<mpsc::UnboundedReceiver<Configured>>,
    ) {
        if let Err(problem) = self.look(settings, seen, reloads).await {
            tracing::error!(%problem, "the places are watched no more");
        }
    }

    async fn look(
        &mut self,
        settings: Settings,
        mut seen: mpsc::Receiver<Vec<Sighting>>,
        mut reloads: Option<mpsc::UnboundedReceiver<Configured>>,
    ) -> Result<(), Problem> {
        self.name_what_opens().await?;
        self.watch_configured(settings.watch).await?;
        self.mailboxes.configure(settings.mailboxes).await?;
        if self.machine.own && !settings.watch_is_said {
            self.usual = self.machine.usual().collect();
        }
        self.name_usual().await?;
        self.engine.forget_unwatched().await?;
        let files = |place: &&Place| !place.scheme().is_card();
        let roots = self.engine.read(move |state| {
            let named = state.world.watches().filter(files);
            named.chain(state.world.usual()).cloned().collect::<Vec<Place>>()
        });
        let sightings = self.surveyor.watch_all(roots.await?).await;
        self.see(sightings).await?;
        // The work of the start is done, and what follows is little for a long time.
        if let Err(error) = obnova_secret::footprint::settle() {
            tracing::debug!(%error, "what only the start needed stays in memory");
        }
        loop {
            let configured = async {
                match &mut reloads {
                    Some(reloads) => reloads.recv().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                sightings = seen.recv() => match sightings {
                    Some(sightings) => self.see(sightings).await?,
                    None => return Ok(()),
                },
                configured = configured => match configured {
                    Some(configured) => match self.reload(configured).await {
                        Ok(()) => tracing::info!("the configuration was read anew"),
                        Err(problem) => tracing::error!(%problem, "the configuration was read anew in part"),
                    },
                    None => reloads = None,
                },
            }
        }
    }

    /// Hands to the engine what was seen, but for what is nobody's concern in the usual directories.
    async fn see(&mut self, mut sightings: Vec<Sighting>) -> Result<(), Problem> {
        if let Some(report) = self.look_at_others().await? {
            sightings.extend(self.take(report).await?);
        }
        let sightings = self.sift(sightings).await?;
        opening::see(&self.engine, &self.surveyor, &self.keyring, &self.credentials, sightings).await
    }

    /// What other tools have written down, where that is news.
    async fn look_at_others(&mut self) -> Result<Option<Report>, Problem> {
        if let Some(read) = self.machine.read.take() {
            return Ok(Some(read));
        }
        if !self.machine.others.is_stale() {
            return Ok(None);
        }
        let mut others = std::mem::replace(&mut self.machine.others, Others::none());
        let looked = tokio::task::spawn_blocking(move || {
            let report = others.look();
            (others, report)
        });
        let (others, report) = looked.await.map_err(|error| Problem::Internal { detail: error.to_string() })?;
        self.machine.others = others;
        Ok(Some(report))
    }

    /// Takes note of it. What is seen in places that were not watched before, and of those that cannot be read.
    async fn take(&mut self, report: Report) -> Result<Vec<Sighting>, Problem> {
        let places: Vec<Place> = report.renewed.keys().cloned().collect();
        self.engine.renew_elsewhere(report.renewed).await?;
        if self.usual.is_empty() {
            return Ok(Vec::new());
        }
        let failed = |(place, problem): (Place, Problem)| Sighting {
            place,
            stamp: Stamp(0),
            sight: Some(Sight { condition: Condition::Failed(problem), certificates: Vec::new() }),
            der: Vec::new(),
        };
        let closed: Vec<Sighting> = report.unreadable.into_iter().map(failed).collect();
        let now_closed: BTreeSet<Place> = closed.iter().map(|sighting| sighting.place.clone()).collect();
        let opened = self.closed.difference(&now_closed).cloned().map(Sighting::gone);
        let mut sightings: Vec<Sighting> = opened.chain(closed).collect();
        self.closed = now_closed;
        let covered = |place: &Place| self.usual.iter().any(|root| place.is_within(root));
        let new: Vec<Place> = places.into_iter().filter(|place| !covered(place)).collect();
        self.usual.extend(new.iter().cloned());
        self.name_usual().await?;
        sightings.extend(self.surveyor.watch_all(new).await);
        Ok(sightings)
    }

    /// Without what lies in the usual directories and is no leaf certificate with a key, nor hides one.
    async fn sift(&self, sightings: Vec<Sighting>) -> Result<Vec<Sighting>, Problem> {
        if self.usual.is_empty() {
            return Ok(sightings);
        }
        let asked: Vec<Place> = sightings.iter().map(|sighting| sighting.place.clone()).collect();
        let only_usual =
            self.engine.read(move |state| asked.iter().map(|place| state.world.is_only_usual(place)).collect::<Vec<bool>>());
        let only_usual = only_usual.await?;
        let mut sifted = Vec::with_capacity(sightings.len());
        let mut above = Vec::new();
        for (sighting, only_usual) in sightings.into_iter().zip(only_usual) {
            let place = sighting.place.clone();
            if only_usual {
                above.extend(authorities(&sighting));
            }
            let kept = if only_usual { concerning(sighting) } else { Some(sighting) };
            if kept.is_none() && !self.usual.contains(&place) {
                // Should somebody name it, it is to be told of.
                self.surveyor.forget(place.clone()).await;
            }
            sifted.push(kept.unwrap_or_else(|| Sighting::gone(place)));
        }
        if !above.is_empty()
            && let Err(error) = self.engine.journal().keep_issuers(above, Utc::now()).await
        {
            tracing::warn!(%error, "the authorities that lie beside the certificates are not kept");
        }
        Ok(sifted)
    }

    /// Takes up what the configuration says when it is read anew. A place that it does not name any more stays watched.
    async fn reload(&mut self, Configured { settings, programmes, modules }: Configured) -> Result<(), Problem> {
        self.engine.reprogramme(programmes).await?;
        self.cards.remodule(modules);
        self.credentials.rename(settings.credentials);
        self.name_what_opens().await?;
        let named = settings.watch.clone();
        let new = self
            .engine
            .read(move |state| named.into_iter().filter(|place| !state.world.is_watched(place)).collect::<Vec<Place>>());
        let mut roots = new.await?;
        self.watch_configured(settings.watch).await?;
        self.mailboxes.configure(settings.mailboxes).await?;
        if self.machine.own && !settings.watch_is_said {
            self.usual.extend(self.machine.usual());
            // What was closed may have been opened.
            roots.extend(self.usual.iter().cloned());
        } else {
            for root in std::mem::take(&mut self.usual) {
                self.surveyor.unwatch(root).await;
            }
            self.closed.clear();
        }
        self.name_usual().await?;
        self.engine.forget_unwatched().await?;
        self.machine.others.forget();
        let sightings = self.surveyor.watch_all(roots).await;
        self.see(sightings).await
    }

    /// Has the engine know what opens without a question.
    async fn name_what_opens(&self) -> Result<(), Problem> {
        let places = self.credentials.named().into_iter().map(|named| named.place).collect();
        self.engine.read(move |state| state.world.open_without_question(places)).await
    }

    /// Has the engine know what is looked into though nobody has named it.
    async fn name_usual(&self) -> Result<(), Problem> {
        let usual = self.usual.union(&self.closed).cloned().collect();
        self.engine.read(move |state| state.world.look_into_usual(usual)).await
    }

    /// Writes down that places named in the configuration are watched.
    async fn watch_configured(&self, configured: Vec<Place>) -> Result<(), Problem> {
        let decide = move |world: &World, _| {
            let new = configured.into_iter().filter(|place| !world.is_watched(place));
            Ok(new.map(|place| Record::Watched { place }).collect())
        };
        self.engine.write(decide).await
    }
}

/// The authorities (DER) that lie beside a certificate with its key: not watched, but its chain is made of them.
fn authorities(sighting: &Sighting) -> Vec<Vec<u8>> {
    let Some(sight) = sighting.sight.as_ref().filter(|sight| sight.certificates.iter().any(|found| found.key)) else {
        return Vec::new();
    };
    let beside = sight.certificates.iter().zip(&sighting.der).filter(|(found, _)| found.certificate.authority && !found.key);
    beside.map(|(_, der)| der.clone()).collect()
}

/// What of a sighting in a usual directory concerns the machine.
fn concerning(mut sighting: Sighting) -> Option<Sighting> {
    let Some(sight) = &mut sighting.sight else { return Some(sighting) };
    match &sight.condition {
        // Most programs are not installed; and what is in their directories besides is theirs.
        Condition::Failed(Problem::PlaceMissing { .. } | Problem::PlaceNotRegular { .. } | Problem::PlaceBroken { .. }) => None,
        Condition::Readable if !sight.certificates.is_empty() => {
            let hidden = stores::may_hide_key(&sighting.place);
            let keep: Vec<bool> =
                sight.certificates.iter().map(|found| found.key || (hidden && !found.certificate.authority)).collect();
            let mut kept = keep.iter();
            sight.certificates.retain(|_| kept.next().copied().unwrap_or_default());
            let mut kept = keep.iter();
            sighting.der.retain(|_| kept.next().copied().unwrap_or_default());
            (!sight.certificates.is_empty()).then_some(sighting)
        }
        _ => Some(sighting),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_usual_directories_lie_below_the_root() {
        let usual: Vec<Place> = Machine::at("/srv/machine", true).usual().collect();
        assert!(usual.contains(&Place::new(Scheme::File, Path::new("/srv/machine/etc/ssl"))));
        assert!(usual.iter().enumerate().all(|(at, place)| !usual[..at].iter().any(|other| place.is_within(other))));
    }
}
