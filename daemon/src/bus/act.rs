//! What callers do about items: which records or jobs come of it. Who may is `admission`'s.

use chrono::{DateTime, Utc};
use obnova_api::{Options, QuestionView};
use obnova_core::job::{Job, JobEvent, Outcome, Phase, Start};
use obnova_core::programme::SecretRule;
use obnova_core::record::Record;
use obnova_core::world::Condition;
use obnova_core::{ItemId, Now, Place, Problem, Scheme, World};

use super::Desk;
use super::agents::Requester;
use crate::engine::State;
use crate::runner::backup::Backup;
use crate::runner::sitting::TRIES;

impl Desk {
    /// Does something about an item; the number of the job that it started or moved on.
    pub(super) async fn act(
        &self,
        id: ItemId,
        action: &str,
        options: &Options,
        requester: Requester,
    ) -> Result<Option<u64>, Problem> {
        match action {
            "renew" => self.renew(id, options.to.as_deref(), requester).await.map(Some),
            "resume" => {
                let number = self.job_of(id).await?;
                self.resume(number, requester).await?;
                Ok(Some(number))
            }
            "cancel" => {
                let number = self.job_of(id).await?;
                self.cancel(number).await?;
                Ok(Some(number))
            }
            "done" => {
                let number = self.job_of(id).await?;
                self.done(number, requester).await?;
                Ok(Some(number))
            }
            "adopt" => {
                let written = options.to.as_deref().unwrap_or_default();
                let place = Place::parse(written);
                let wrong = |reason: String| Problem::InvalidPlace { place: written.to_owned(), reason };
                self.adopt(id, place.map_err(|error| wrong(error.to_string()))?, requester).await.map(Some)
            }
            "backup" => self.backup(id, options.to.as_deref(), &requester).await.map(|()| None),
            "test" => self.test_mailbox(id, &requester).await.map(|()| None),
            "sign-in" => self.sign_in(id, &requester).await.map(|()| None),
            "unwatch" => self.unwatch(id).await.map(|()| None),
            "unlock" => self.unlock(id, &requester).await.map(|()| None),
            "remember" => self.remember(id, &requester).await.map(|()| None),
            "forget" => self.forget(id).await.map(|()| None),
            "snooze" => {
                let until = options.until.as_deref().unwrap_or_default();
                let wrong = || Problem::InvalidArgument { argument: "until".into(), value: until.to_owned() };
                let until = DateTime::parse_from_rfc3339(until).map_err(|_| wrong())?.to_utc();
                self.mark(id, action, Some(until)).await.map(|()| None)
            }
            "change-pin" | "unblock" => self.at_pin(id, action, &requester).await.map(|()| None),
            "ordered" => self.ordered(id).await.map(|()| None),
            "open-letter" => self.open_letter(id, &requester).await.map(|()| None),
            "seen" | "dismiss" => self.mark(id, action, None).await.map(|()| None),
            _ => Err(Problem::InvalidArgument { argument: "action".into(), value: action.to_owned() }),
        }
    }

    /// Starts a renewal, or goes on with one that waits.
    async fn renew(&self, id: ItemId, to: Option<&str>, requester: Requester) -> Result<u64, Problem> {
        let waiting =
            self.engine.read(move |state| state.world.renewal_of(id).map(|(number, job)| (number, job.problem().is_some())));
        match waiting.await? {
            Some((number, true)) => {
                self.resume(number, requester).await?;
                return Ok(number);
            }
            Some((number, false)) => return Err(Problem::AlreadyRenewing { job: number.to_string() }),
            None => {}
        }
        let (to, uid) = (to.map(str::to_owned), requester.uid);
        self.engine
            .write(move |world, now| {
                let start = start(world, id, to.as_deref(), uid, now)?;
                let what = JobEvent::Started(Box::new(start));
                Ok(vec![Record::Job { job: world.next_job(), what }])
            })
            .await?;
        let number = self.engine.read(move |state| state.world.renewal_of(id).map(|(number, _)| number)).await?;
        let number = number.ok_or(Problem::Internal { detail: "the renewal that began is not there".into() })?;
        self.runner.drive(number, requester);
        Ok(number)
    }

    /// What a renewal of this item would do.
    pub(super) async fn plan(&self, id: ItemId, to: Option<String>, requester: Requester) -> Result<QuestionView, Problem> {
        let uid = requester.uid;
        let start = self.engine.read(move |state| start(&state.world, id, to.as_deref(), uid, state.now())).await??;
        self.runner.plan(start, requester).await
    }

    /// Goes on with a job that waits.
    pub(super) async fn resume(&self, number: u64, requester: Requester) -> Result<(), Problem> {
        let driven = self.runner.is_driving(number);
        self.engine
            .write(move |world, _| match world.job(number) {
                Some(job) if matches!(job.phase, Phase::Waiting(..)) => {
                    Ok(vec![Record::Job { job: number, what: JobEvent::Resumed {} }])
                }
                // It stands still though it is not written down why: there was no room to write.
                Some(job) if !job.is_ended() && !driven => Ok(vec![]),
                _ => Err(Problem::NotWaiting { job: number.to_string() }),
            })
            .await?;
        self.engine.stall(number, None).await?;
        self.runner.drive(number, requester);
        Ok(())
    }

    /// Takes note that the person has done by hand what a job waits for, and goes on with it.
    async fn done(&self, number: u64, requester: Requester) -> Result<(), Problem> {
        let not_waiting = move || Problem::NotWaiting { job: number.to_string() };
        let by_hand = self.engine.read(move |state| state.world.job(number).is_some_and(Job::is_by_hand));
        if !by_hand.await? {
            return Err(not_waiting());
        }
        // Where somebody is just being asked, that is the answer.
        self.runner.stop(number).await;
        self.engine
            .write(move |world, _| {
                let job = world.job(number).filter(|job| job.is_by_hand()).ok_or_else(not_waiting)?;
                let waits = matches!(job.phase, Phase::Waiting(..)).then_some(JobEvent::Resumed {});
                let done = JobEvent::Done { outcome: Outcome::ByHand {} };
                Ok(waits.into_iter().chain([done]).map(|what| Record::Job { job: number, what }).collect())
            })
            .await?;
        self.runner.drive(number, requester);
        Ok(())
    }

    /// Ends a job.
    pub(super) async fn cancel(&self, number: u64) -> Result<(), Problem> {
        let may = self.engine.read(move |state| state.world.job(number).is_none_or(Job::may_cancel));
        if !may.await? {
            return Err(Problem::NotPossible { action: "cancel".into(), state: "swapping".into() });
        }
        self.runner.stop(number).await;
        self.engine
            .write(move |world, _| match world.job(number) {
                Some(job) if !job.is_ended() && job.may_cancel() => {
                    Ok(vec![Record::Job { job: number, what: JobEvent::Cancelled {} }])
                }
                Some(job) => Err(Problem::NotPossible { action: "cancel".into(), state: job.state().into() }),
                None => Err(Problem::NoSuchItem { id: number.to_string() }),
            })
            .await?;
        self.runner.tidy(number).await;
        Ok(())
    }

    /// Writes down that a renewal was ordered elsewhere: a mail is to follow.
    async fn ordered(&self, id: ItemId) -> Result<(), Problem> {
        self.engine
            .write(move |world, now| {
                let item = world.item(id, now).ok_or(Problem::NoSuchItem { id: id.to_string() })?;
                let impossible = || Problem::NotPossible { action: "ordered".into(), state: item.state.into() };
                world.ordered(id).map(|record| vec![record]).ok_or_else(impossible)
            })
            .await
    }

    /// Has the person asked whether the page is to be opened to which a trusted mail invites. Opening it is the agent's.
    async fn open_letter(&self, id: ItemId, requester: &Requester) -> Result<(), Problem> {
        let found = self.engine.read(move |state| {
            let item = state.world.item(id, state.now()).ok_or(Problem::NoSuchItem { id: id.to_string() })?;
            let link = state.world.invitation(id).and_then(|(_, verdict)| verdict.link().map(str::to_owned));
            let link = link.ok_or(Problem::NotPossible { action: "open-letter".into(), state: item.state.into() })?;
            Ok((item.name, link))
        });
        let (name, link) = found.await??;
        let question = QuestionView {
            id: crate::random::hex(8),
            item: id.to_string(),
            name,
            about: "letter".into(),
            args: Some([("link".to_owned(), link)].into()),
            ..QuestionView::default()
        };
        if self.agents.open_link(requester, &question).await? { Ok(()) } else { Err(Problem::Refused {}) }
    }

    async fn job_of(&self, id: ItemId) -> Result<u64, Problem> {
        let number = self.engine.read(move |state| state.world.job_by_item(id).map(|(number, _)| number)).await?;
        number.ok_or(Problem::NoSuchItem { id: id.to_string() })
    }

    /// Copies a certificate and its key, under a password of their own.
    async fn backup(&self, id: ItemId, to: Option<&str>, requester: &Requester) -> Result<(), Problem> {
        let written = to.unwrap_or_default().to_owned();
        let what = self.engine.read(move |state| {
            let current = state.world.current(id);
            let first = current.first().ok_or(Problem::NoSuchItem { id: id.to_string() })?;
            let old = state.world.old(first)?;
            if old.place.scheme().is_card() {
                return Err(Problem::KeyOnCard { card: old.place.name() });
            }
            let programme = state.world.programme_of(first.certificate);
            let rule = programme.map_or_else(SecretRule::any_password, |programme| programme.secret.clone());
            let to = target(&written, Scheme::Pkcs12)?;
            Ok(Backup { item: id.to_string(), name: first.certificate.name().to_owned(), old, rule, to })
        });
        self.runner.back_up(&what.await??, requester).await
    }

    /// Writes down that a person has seen a warning, or wants it later.
    async fn mark(&self, id: ItemId, action: &str, until: Option<DateTime<Utc>>) -> Result<(), Problem> {
        let action = action.to_owned();
        self.engine
            .write(move |world, now| {
                let item = world.item(id, now).ok_or(Problem::NoSuchItem { id: id.to_string() })?;
                let told = world.told(id);
                if told.is_empty() && until.is_some() {
                    return Err(Problem::NotPossible { action, state: item.state.into() });
                }
                let record = |certificate| match until {
                    Some(until) => Record::Snoozed { certificate, name: item.name.clone(), until },
                    None => Record::Seen { certificate, name: item.name.clone() },
                };
                Ok(told.into_iter().map(record).collect())
            })
            .await
    }

    /// Watches a place, asking for its password where it needs one. Nothing is watched that could not be read once.
    pub(super) async fn watch(&self, place: Place, requester: &Requester) -> Result<Vec<ItemId>, Problem> {
        if place.scheme().is_card() {
            return self.watch_card(place).await;
        }
        let watched = place.clone();
        let look = move |state: &mut State| (state.world.is_watched(&watched), state.world.is_excluded(&watched));
        let (known, excluded) = self.engine.read(look).await?;
        if excluded {
            // What was seen there meanwhile was passed over: it is to be told again.
            self.surveyor.forget(place.clone()).await;
        }
        let mut sightings = self.surveyor.watch(place.clone()).await;
        let condition = if let Some(mine) = sightings.iter().find(|sighting| sighting.place == place) {
            mine.sight.as_ref().map(|sight| sight.condition.clone())
        } else {
            // Nothing new: it is as it was, which may be that its password is still wanted.
            let place = place.clone();
            self.engine.read(move |state| state.world.sight(&place).map(|sight| sight.condition)).await?
        };
        let opened = match condition {
            Some(Condition::Failed(problem)) => Err(problem),
            Some(Condition::Locked | Condition::Changed) => self.open(&place, "watch", requester).await.map(Some),
            Some(Condition::Readable) | None => Ok(None),
        };
        match opened {
            Ok(Some(sighting)) => {
                sightings.retain(|other| other.place != place);
                sightings.push(sighting);
            }
            Ok(None) => {}
            Err(problem) => {
                if !known {
                    self.surveyor.unwatch(place).await;
                }
                return Err(problem);
            }
        }
        if !known {
            let place = place.clone();
            self.engine.write(move |_, _| Ok(vec![Record::Watched { place }])).await?;
        }
        self.engine.see(sightings).await?;
        self.items_within(place).await
    }

    /// Watches a card, whether it is in a reader or not; what lies on it needs no PIN.
    async fn watch_card(&self, place: Place) -> Result<Vec<ItemId>, Problem> {
        let wanted = place.clone();
        let new = move |world: &World, _| {
            Ok(if world.is_watched(&wanted) { Vec::new() } else { vec![Record::Watched { place: wanted }] })
        };
        let cards = self.cards.matching(&place).await;
        let cards = cards.map_err(|error| crate::runner::trouble::card(&error, place.name()))?;
        self.engine.write(new).await?;
        crate::cards::survey::see(&self.engine, &cards).await?;
        if place.scheme() == Scheme::Pkcs11 {
            self.cards.want_tokens();
        }
        self.items_within(place).await
    }

    /// The items that stand in a place or below it.
    async fn items_within(&self, place: Place) -> Result<Vec<ItemId>, Problem> {
        let ids = self.engine.read(move |state| {
            let now = state.now();
            let within = state.world.items_within(&place);
            within.into_iter().filter(|id| state.world.item(*id, now).is_some()).collect()
        });
        ids.await
    }

    /// Watches the places of an item no longer: a place that was named is forgotten, one below a directory passed over.
    pub(super) async fn unwatch(&self, id: ItemId) -> Result<(), Problem> {
        if let Some(mailbox) = self.mailboxes.by_id(id).await? {
            return self.mailboxes.remove(&mailbox).await;
        }
        let (roots, files) = self
            .engine
            .read(move |state| {
                let places = state.world.places_of_item(id);
                let (roots, mut files): (Vec<_>, Vec<_>) = places.into_iter().partition(|place| state.world.is_watched(place));
                // Named itself, and below a directory that was named, too.
                let covered = |root: &&Place| state.world.watches().any(|other| other != *root && root.is_within(other));
                files.extend(roots.iter().filter(covered).cloned());
                (roots, files)
            })
            .await?;
        if roots.is_empty() && files.is_empty() {
            return Err(Problem::NoSuchItem { id: id.to_string() });
        }
        let records = roots.iter().cloned().map(|place| Record::Unwatched { place });
        let records: Vec<Record> = records.chain(files.iter().cloned().map(|place| Record::Excluded { place })).collect();
        self.engine.write(move |_, _| Ok(records)).await?;
        for root in roots {
            self.surveyor.unwatch(root).await;
        }
        self.engine.forget_unwatched().await
    }

    /// Opens what is locked below an item.
    async fn unlock(&self, id: ItemId, requester: &Requester) -> Result<(), Problem> {
        let locked = self.engine.read(move |state| {
            let locked = |place: &Place| {
                let sight = state.world.sight(place);
                sight.is_some_and(|sight| matches!(sight.condition, Condition::Locked | Condition::Changed))
            };
            state.world.places_of_item(id).into_iter().filter(locked).collect::<Vec<_>>()
        });
        let locked = locked.await?;
        if locked.is_empty() {
            return Err(Problem::NotPossible { action: "unlock".into(), state: "readable".into() });
        }
        for place in locked {
            let sighting = self.open(&place, "unlock", requester).await?;
            self.engine.see(vec![sighting]).await?;
        }
        Ok(())
    }

    /// Asks for a place's password until it opens or the person has enough.
    async fn open(&self, place: &Place, about: &str, requester: &Requester) -> Result<crate::stores::Sighting, Problem> {
        let path = place.path();
        let item = place.clone();
        let item = self.engine.read(move |state| state.world.place_id(&item)).await?;
        let mut question = QuestionView {
            id: crate::random::hex(8),
            item: item.to_string(),
            name: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            about: about.into(),
            secret: Some("password".into()),
            uses: Some(vec!["open-old".into()]),
            args: Some([("path".to_owned(), path.display().to_string())].into()),
            ..QuestionView::default()
        };
        for _ in 0..TRIES {
            let secret = self.agents.secret(requester, &question).await?;
            match self.surveyor.open(place, &secret).await {
                Err(Problem::WrongSecret { .. }) => question.refused = Some(true),
                other => return other,
            }
        }
        Err(Problem::WrongSecret { path: path.display().to_string() })
    }
}

/// What a renewal of this item is about.
fn start(world: &World, id: ItemId, to: Option<&str>, uid: Option<u32>, now: Now) -> Result<Start, Problem> {
    let scheme = world.places_of_item(id).first().map_or(Scheme::File, Place::scheme);
    world.start(id, to.map(|path| target(path, scheme)).transpose()?, uid, now)
}

/// The place that a person means by `--to`.
pub(super) fn target(path: &str, scheme: Scheme) -> Result<Place, Problem> {
    let wrong = || Problem::InvalidArgument { argument: "to".into(), value: path.to_owned() };
    let path = std::path::Path::new(path);
    let named = path.file_name().is_some() && !path.as_os_str().as_encoded_bytes().ends_with(b"/");
    if !path.is_absolute() || !named || scheme.is_card() {
        return Err(wrong());
    }
    // Two files come of one name: it needs no ending.
    let ended = scheme != Scheme::Pkcs12 || path.extension().is_some();
    Ok(if ended { Place::new(scheme, path) } else { Place::new(scheme, &path.with_extension("p12")) })
}
