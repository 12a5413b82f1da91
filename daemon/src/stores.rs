//! The watched places: reading them, and noticing their changes. Owns the stamps, the kernel's watches and the reading of
//! files; what a sighting means is the engine's, and opening PKCS#12 files is obnova-helper's.
//!
//! A `file:` root is a file (PEM or DER) or a directory. A directory is looked into, and the directories below it down to
//! the fourth, up to 50,000 names in all. Files of any name count if they begin like PEM or DER and hold a certificate;
//! `.p12` and `.pfx` files are places of their own (`p12:`). Larger files than 1 MiB are passed over, as are FIFOs, sockets,
//! devices, links to directories and links to files of the same directory. What cannot be read and is meant to hold a
//! certificate, by its name, is a failed place. A file or directory that was named is a failed place whenever nothing can be
//! read there.
//!
//! Nothing runs while nothing changes: one task waits for inotify and for its callers, and files are read on a thread of
//! tokio's pool, which goes away.

mod content;
mod eyes;
mod files;
mod keys;
pub mod others;
mod reading;
mod survey;

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use obnova_core::certificate::Certificate;
use obnova_core::world::{Condition, Found, Sight};
use obnova_core::{Fingerprint, Place, Problem, Scheme};
use obnova_secret::Secret;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinError, JoinHandle, spawn_blocking};
use tokio::time::{Instant, sleep_until};
use zeroize::Zeroizing;

use crate::helper::{Helper, HelperError, Opened};
use eyes::Dirt;
use files::Unread;
use reading::Candidate;
use survey::{Harvest, Survey};

/// How long nothing may have happened before a burst of changes counts as over.
const CALM: Duration = Duration::from_millis(150);

/// How long the first change of a burst waits at most.
const PATIENCE: Duration = Duration::from_millis(700);

/// How many PKCS#12 files are opened at a time.
const OPENED_AT_ONCE: usize = 4;

/// What a place was like when it was last looked at: a hash of inode, size, and times of modification and change in
/// nanoseconds, of the file (of a PKCS#12 file: of its content) and of those beside it that tell more about it. The same in
/// every run, so that it can be stored. Equal stamps: nothing to read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stamp(pub u64);

impl Stamp {
    /// This stamp and a file's content.
    fn of_content(self, content: &[u8]) -> Self {
        let digest = Fingerprint::of(content);
        Self(files::Hash::new().add(&self.0.to_le_bytes()).add(&digest.0).0)
    }
}

/// Why a directory cannot be looked into, as the person is told it.
pub(crate) fn unreadable(directory: &Path, error: &io::Error) -> Problem {
    let path = directory.display().to_string();
    match error.kind() {
        io::ErrorKind::NotFound => Problem::PlaceMissing { path },
        io::ErrorKind::PermissionDenied => Problem::PlaceDenied { path, command: files::opening_command(directory, true) },
        _ => Problem::PlaceBroken { path, detail: error.to_string() },
    }
}

/// What was seen in a place.
#[derive(Clone, Debug, PartialEq)]
pub struct Sighting {
    /// The place.
    pub place: Place,
    /// To be handed to [`Surveyor::start`] the next time; without meaning where `sight` is `None`.
    pub stamp: Stamp,
    /// What was seen; `None`: nothing of ours is there any more. [`Condition::Failed`] comes without certificates.
    pub sight: Option<Sight>,
    /// The DER of the certificates in `sight`, in the same order.
    pub der: Vec<Vec<u8>>,
}

impl Sighting {
    /// Nothing of ours is at this place, or nobody wants to know any more.
    pub fn gone(place: Place) -> Self {
        Self { place, stamp: Stamp(0), sight: None, der: Vec::new() }
    }
}

/// A handle to the one task that looks at places.
#[derive(Clone, Debug)]
pub struct Surveyor {
    helper: Helper,
    requests: mpsc::Sender<Request>,
}

#[derive(Debug)]
enum Request {
    Watch(Vec<Place>, oneshot::Sender<Vec<Sighting>>),
    Unwatch(Place, oneshot::Sender<()>),
    LookAgain(oneshot::Sender<()>),
    Opened(Place, Stamp),
    Forget(Place),
}

impl Surveyor {
    /// Starts the task, which ends when `sightings` is closed or every handle is gone. `known`: the stamps of an earlier
    /// run; what has them still is not read, and not reported.
    ///
    /// Must be called on the thread whose runtime drives the helper. Fails when the user has no more inotify instances
    /// (`fs.inotify.max_user_instances`).
    pub fn start(
        helper: Helper,
        known: Vec<(Place, Stamp)>,
        sightings: mpsc::Sender<Vec<Sighting>>,
    ) -> io::Result<(Self, JoinHandle<()>)> {
        let survey = Box::new(Survey::new(known)?);
        #[expect(deprecated, reason = "its successor is unsafe for the sake of types that may change their descriptor")]
        let reports = AsyncFd::with_interest(survey.eyes.descriptor(), Interest::READABLE)?;
        let (requests, inbox) = mpsc::channel(16);
        let handle = Self { helper: helper.clone(), requests };
        let task = tokio::spawn(async move {
            match run(survey, reports, helper, inbox, sightings).await {
                Ok(()) => {}
                Err(Stopped::Thread(error)) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                Err(error) => tracing::error!(?error, "places are no longer watched"),
            }
        });
        Ok((handle, task))
    }

    /// Begins to watch a place and looks at it now. Returns what differs from what was known, places that are gone
    /// included; nothing if the task has ended.
    pub async fn watch(&self, root: Place) -> Vec<Sighting> {
        self.watch_all(vec![root]).await
    }

    /// [`watch`](Self::watch) for many at once.
    pub async fn watch_all(&self, roots: Vec<Place>) -> Vec<Sighting> {
        self.ask(|reply| Request::Watch(roots, reply)).await.unwrap_or_default()
    }

    /// Stops watching a root and forgets the stamps of all that no other root covers.
    pub async fn unwatch(&self, root: Place) {
        self.ask(|reply| Request::Unwatch(root, reply)).await.unwrap_or_default();
    }

    /// Looks at all roots: after a sleep, when there may have been changes that nobody reported. What differs goes the way
    /// of all later changes.
    pub async fn look_again(&self) {
        self.ask(Request::LookAgain).await.unwrap_or_default();
    }

    /// Opens a `p12:` place with its password and takes note that it was read. [`Problem::WrongSecret`] if that does not
    /// open it, else a problem of the place or of the helper.
    pub async fn open(&self, place: &Place, password: &Secret) -> Result<Sighting, Problem> {
        if place.scheme() != Scheme::Pkcs12 {
            return Err(Problem::NotPossible { action: "unlock".into(), state: "watching".into() });
        }
        let path = place.path();
        // Taken before the file is read: should it change meanwhile, the next look will tell.
        let stamp = {
            let place = place.clone();
            let stamped = spawn_blocking(move || stamp(&place)).await;
            stamped.map_err(|error| Problem::Internal { detail: error.to_string() })?
        }
        .map_err(|unread| unread.problem(&path, false))?;
        let opened = self.helper.open_pkcs12(&path, password).await.map_err(|error| problem(&path, &error))?;
        let (sight, der) = sight(&path, &opened)?;
        // Without the task nobody compares stamps.
        self.requests.send(Request::Opened(place.clone(), stamp)).await.unwrap_or_default();
        Ok(Sighting { place: place.clone(), stamp, sight: Some(sight), der })
    }

    /// Looks into places once, without watching them: what is there, as it is now.
    pub async fn look_once(&self, roots: Vec<Place>) -> io::Result<Vec<Sighting>> {
        let mut survey = Box::new(Survey::new(Vec::new())?);
        let mut dirt = Dirt::default();
        for root in roots {
            eyes::whole(&mut dirt, &root);
            survey.add_root(root);
        }
        let looked = look(survey, dirt, &self.helper).await;
        looked.map(|(_, sightings)| sightings).map_err(io::Error::other)
    }

    /// Forgets what was known of a place, so that the next look tells of it.
    pub async fn forget(&self, place: Place) {
        // Without the task nothing is known.
        self.requests.send(Request::Forget(place)).await.unwrap_or_default();
    }

    async fn ask<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(request(reply)).await.ok()?;
        answer.await.ok()
    }
}

/// Whether the private key of a place is behind a password.
pub async fn has_password(helper: &Helper, place: &Place) -> Result<bool, Problem> {
    let outcome = if place.scheme() == Scheme::Pkcs12 {
        let empty = Secret::from_slice(&mut []).map_err(|error| Problem::Internal { detail: error.to_string() })?;
        helper.open_pkcs12(&place.path(), &empty).await.map(drop)
    } else {
        match key_file(place) {
            Some(key) => helper.inspect_key(&key, None).await.map(drop),
            None => return Ok(false),
        }
    };
    match outcome {
        Ok(()) => Ok(false),
        Err(HelperError::WrongSecret | HelperError::SecretNeeded) => Ok(true),
        Err(error) => Err(problem(&place.path(), &error)),
    }
}

/// Whether this password opens the private key of a place.
pub async fn opens(helper: &Helper, place: &Place, password: &Secret) -> Result<bool, Problem> {
    let outcome = if place.scheme() == Scheme::Pkcs12 {
        helper.open_pkcs12(&place.path(), password).await.map(drop)
    } else {
        let key = key_file(place).ok_or_else(|| Problem::NoKey { path: place.shown() })?;
        helper.inspect_key(&key, Some(password)).await.map(drop)
    };
    match outcome {
        Ok(()) => Ok(true),
        Err(HelperError::WrongSecret | HelperError::UnfitSecret) => Ok(false),
        Err(error) => Err(problem(&place.path(), &error)),
    }
}

/// Whether a key may lie beside a certificate file where we may not look.
pub fn may_hide_key(place: &Place) -> bool {
    let Ok((directory, _, name)) = reading::stand_at(place) else { return false };
    let hidden = |name: &OsString| matches!(files::look(&directory, name), Err(rustix::io::Errno::ACCESS));
    reading::beside(place.scheme(), &name).iter().any(hidden)
}

/// The file with the private key of a place: for `p12:` the file itself; for `file:` the certificate's own file, or the one
/// beside it that by name and look is its key. Blocks. `None` if there is none.
pub fn key_file(place: &Place) -> Option<PathBuf> {
    let (directory, path, name) = reading::stand_at(place).ok()?;
    if place.scheme() == Scheme::Pkcs12 {
        return Some(path);
    }
    let mut buffer = Zeroizing::default();
    let names = std::iter::once(name.clone()).chain(reading::beside(Scheme::File, &name));
    let key = reading::present(&directory, names)
        .into_iter()
        .map(|(name, _)| name)
        .find(|name| reading::is_key(&directory, name, &mut buffer))?;
    let elsewhere = key.to_str().and_then(|key| key.strip_prefix("../")).map(OsStr::new);
    match elsewhere {
        // Without the detour, unless a link in the path would make that another directory.
        Some(key) if !path.parent()?.is_symlink() => Some(path.parent()?.parent()?.join(key)),
        _ => Some(path.with_file_name(key)),
    }
}

/// Why the task has stopped.
#[derive(Debug)]
enum Stopped {
    /// The thread that reads files has panicked, or the runtime is going down.
    Thread(JoinError),
    /// The kernel's reports cannot be read.
    Reports(#[expect(dead_code, reason = "logged")] io::Error),
}

impl From<JoinError> for Stopped {
    fn from(error: JoinError) -> Self {
        Self::Thread(error)
    }
}

impl From<io::Error> for Stopped {
    fn from(error: io::Error) -> Self {
        Self::Reports(error)
    }
}

/// Changes that wait for the end of their burst.
#[derive(Debug, Default)]
struct Burst {
    dirt: Dirt,
    /// When the first and the last of them came.
    span: Option<(Instant, Instant)>,
}

impl Burst {
    fn grew(&mut self) {
        if !self.dirt.is_empty() {
            let now = Instant::now();
            let (first, _) = self.span.unwrap_or((now, now));
            self.span = Some((first, now));
        }
    }

    async fn over(&self) {
        match self.span {
            Some((first, last)) => sleep_until((first + PATIENCE).min(last + CALM)).await,
            None => std::future::pending().await,
        }
    }

    fn take(&mut self) -> Dirt {
        self.span = None;
        std::mem::take(&mut self.dirt)
    }
}

async fn run(
    mut survey: Box<Survey>,
    reports: AsyncFd<Arc<std::os::fd::OwnedFd>>,
    helper: Helper,
    mut requests: mpsc::Receiver<Request>,
    sightings: mpsc::Sender<Vec<Sighting>>,
) -> Result<(), Stopped> {
    let mut burst = Burst::default();
    // Not sent at once: who waits for an answer of ours may be the one who should receive them.
    let mut outbox: Vec<Sighting> = Vec::new();
    loop {
        let news;
        tokio::select! {
            request = requests.recv() => match request {
                None => return Ok(()),
                Some(Request::Watch(roots, reply)) => {
                    let mut dirt = Dirt::new();
                    for root in roots {
                        eyes::whole(&mut dirt, &root);
                        survey.add_root(root);
                    }
                    (survey, news) = look(survey, dirt, &helper).await?;
                    // A caller that gave up learns of it like of a change.
                    if let Err(news) = reply.send(news) {
                        outbox.extend(news);
                    }
                }
                Some(Request::Unwatch(root, reply)) => {
                    survey.remove_root(&root, &mut burst.dirt);
                    burst.grew();
                    reply.send(()).unwrap_or_default();
                }
                Some(Request::LookAgain(reply)) => {
                    let mut dirt = burst.take();
                    survey.roots().for_each(|root| eyes::whole(&mut dirt, root));
                    (survey, news) = look(survey, dirt, &helper).await?;
                    outbox.extend(news);
                    reply.send(()).unwrap_or_default();
                }
                Some(Request::Opened(place, stamp)) => survey.opened(&place, stamp),
                Some(Request::Forget(place)) => survey.forget(&place),
            },
            ready = reports.readable() => {
                let mut ready = ready?;
                survey.read_reports(&mut burst.dirt)?;
                ready.clear_ready();
                burst.grew();
            }
            () = burst.over() => {
                (survey, news) = look(survey, burst.take(), &helper).await?;
                outbox.extend(news);
            }
            permit = sightings.reserve(), if !outbox.is_empty() => match permit {
                Ok(permit) => permit.send(std::mem::take(&mut outbox)),
                Err(_) => return Ok(()),
            },
            () = sightings.closed() => return Ok(()),
        }
    }
}

/// One survey: the files on a thread of their own, the PKCS#12 files among them through the helper.
async fn look(mut survey: Box<Survey>, dirt: Dirt, helper: &Helper) -> Result<(Box<Survey>, Vec<Sighting>), JoinError> {
    let (returned, Harvest { mut sightings, closed, .. }) = spawn_blocking(move || {
        let harvest = survey.look(dirt);
        (survey, harvest)
    })
    .await?;
    survey = returned;
    let mut attempts = futures_util::stream::iter(closed)
        .map(|(place, stamp)| async move {
            let outcome = try_without_password(&place, helper).await;
            (place, stamp, outcome)
        })
        .buffer_unordered(OPENED_AT_ONCE);
    while let Some((place, stamp, outcome)) = attempts.next().await {
        sightings.extend(match outcome {
            // Gone between two looks.
            Err(Problem::PlaceMissing { .. }) if !survey.is_root(&place) => survey.vanish(&place),
            Ok((sight, der)) => survey.report(&place, stamp, sight, der),
            Err(problem) => {
                let sight = Sight { condition: Condition::Failed(problem), certificates: Vec::new() };
                survey.report(&place, stamp, sight, Vec::new())
            }
        });
    }
    Ok((survey, sightings))
}

/// Many PKCS#12 files have the empty password; those that do not are locked.
async fn try_without_password(place: &Place, helper: &Helper) -> Result<(Sight, Vec<Vec<u8>>), Problem> {
    let path = place.path();
    let empty = Secret::from_slice(&mut []).map_err(|error| Problem::HelperFailed { detail: error.to_string() })?;
    match helper.open_pkcs12(&path, &empty).await {
        Ok(opened) => sight(&path, &opened),
        Err(HelperError::WrongSecret | HelperError::SecretNeeded | HelperError::UnfitSecret) => {
            Ok((Sight { condition: Condition::Locked, certificates: Vec::new() }, Vec::new()))
        }
        Err(error) => Err(problem(&path, &error)),
    }
}

/// What an opened PKCS#12 file holds.
fn sight(path: &Path, opened: &Opened) -> Result<(Sight, Vec<Vec<u8>>), Problem> {
    let broken = |detail: String| Problem::PlaceBroken { path: path.display().to_string(), detail };
    let (mut certificates, mut der, mut fault) = (Vec::new(), Vec::new(), None);
    for found in opened.certificates.iter().take(content::MOST) {
        match Certificate::from_der(&found.der) {
            Ok(certificate) => {
                certificates.push(Found { certificate: Arc::new(certificate), key: found.has_key });
                der.push(found.der.0.clone());
            }
            Err(error) => fault = Some(error.to_string()),
        }
    }
    if certificates.is_empty() {
        return Err(broken(fault.unwrap_or_else(|| "no certificate in it".into())));
    }
    Ok((Sight { condition: Condition::Readable, certificates }, der))
}

/// What a person is told when the helper could not open a PKCS#12 file.
fn problem(path: &Path, error: &HelperError) -> Problem {
    let text = path.display().to_string();
    match error {
        HelperError::WrongSecret | HelperError::UnfitSecret => Problem::WrongSecret { path: text },
        HelperError::SecretNeeded => Problem::SecretNeeded { path: text },
        HelperError::Broken { detail } | HelperError::Unsupported { detail } => {
            Problem::PlaceBroken { path: text, detail: detail.clone() }
        }
        HelperError::TooLarge { .. } => Unread::TooLarge.problem(path, false),
        HelperError::NotRegular => Unread::NotRegular.problem(path, false),
        HelperError::NotFound => Unread::Missing.problem(path, false),
        HelperError::Denied => Unread::Denied.problem(path, false),
        other => Problem::HelperFailed { detail: chain(other) },
    }
}

/// An error and its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// The stamp that a place has now.
fn stamp(place: &Place) -> Result<Stamp, Unread> {
    let (directory, path, name) = reading::stand_at(place)?;
    let stat = files::look(&directory, &name)?;
    let beside = reading::present(&directory, reading::beside(place.scheme(), &name).into_iter());
    let (path, name) = (path.as_path(), name.as_os_str());
    let file =
        Candidate { directory: &directory, path, name, scheme: place.scheme(), stat, beside, found: false, suspect: false };
    Ok(file.stamp(&mut Zeroizing::default()))
}
