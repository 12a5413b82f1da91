//! `renew`, `adopt`, `resume`, `done`, `cancel`, `backup`: what starts a renewal, goes on with it, ends it; and a copy of what there is.

mod follow;

use std::ffi::OsStr;
use std::path::Path;

use obnova_api::dict::{Dictionary, to_json};
use obnova_api::{ItemView, JobProxy, JobView, Options};
use obnova_text::Asked;
use zbus::proxy::CacheProperties;
use zbus::zvariant::OwnedObjectPath;

use crate::agent::Registered;
use crate::ending::{Ending, Failure, vanished};
use crate::session::{Session, read};
use crate::verbs::renew::follow::News;
use crate::{find, place};

pub(crate) async fn renew(
    session: &mut Session<'_>,
    id: Option<&str>,
    to: Option<&Path>,
    wait: bool,
) -> Result<Ending, Failure> {
    let to = to.map(|to| place::target(to, &std::env::current_dir()?)).transpose()?;
    let item = find::to_renew(session, id).await?;
    let options = Options { to, ..Options::default() };
    begin(session, &item, "renew", &options, wait).await
}

/// Says what a renewal would do. Asks for nothing and changes nothing.
pub(crate) async fn plan(session: &mut Session<'_>, id: Option<&str>, to: Option<&Path>) -> Result<Ending, Failure> {
    let to = to.map(|to| place::target(to, &std::env::current_dir()?)).transpose()?;
    let item = find::to_renew(session, id).await?;
    let options = Options { to, ..Options::default() };
    let named = |error| Failure::from(error).of(&item.name);
    if session.door.json {
        let plan = session.door.manager.plan_as_dictionary(&item.id, &options).await.map_err(named)?;
        session.json(&to_json(&plan))?;
        return Ok(Ending::Done);
    }
    let plan = session.door.manager.plan(&item.id, &options).await.map_err(named)?;
    let question = session.text.question(Asked::Consent, &plan);
    for line in question.body.lines() {
        session.line(line)?;
    }
    Ok(Ending::Done)
}

/// Has a certificate that exists already take the place of an item's. Stays: there is nothing to wait for but answers.
pub(crate) async fn adopt(session: &mut Session<'_>, id: &str, written: &OsStr) -> Result<Ending, Failure> {
    let uri = place::uri(written, &std::env::current_dir()?);
    let item = find::to_renew(session, Some(id)).await?;
    let options = Options { to: Some(uri), ..Options::default() };
    begin(session, &item, "adopt", &options, true).await
}

/// Copies a certificate and its key into a new file under a password of its own.
pub(crate) async fn backup(session: &mut Session<'_>, id: &str, to: &Path) -> Result<Ending, Failure> {
    let to = place::target(to, &std::env::current_dir()?)?;
    let item = find::to_renew(session, Some(id)).await?;
    let options = Options { to: Some(to.clone()), ..Options::default() };
    let agent = Registered::at_hand(session).await?;
    let manager = session.door.manager.clone();
    let ending = tokio::select! {
        done = manager.act(&item.id, "backup", &options) => done.map_err(|error| Failure::from(error).of(&item.name)).map(Some),
        () = &mut session.interrupted => Ok(None),
    };
    agent.leave().await;
    if ending?.is_none() {
        return Ok(Ending::Failed);
    }
    if session.door.json {
        session.json(&serde_json::json!({ "id": item.id, "to": to }))?;
    } else {
        session.line(&to)?;
    }
    let told = session.text.say("cli-backed-up", &[("name", &item.name)]);
    session.tell(&told)?;
    Ok(Ending::Done)
}

/// Goes on with a renewal: `resume`, or `done`, which says that what it waits for was done by hand.
pub(crate) async fn go_on(session: &mut Session<'_>, renewal: &str, action: &str, wait: bool) -> Result<Ending, Failure> {
    let item = find::renewal(session, renewal).await?;
    begin(session, &item, action, &Options::default(), wait).await
}

pub(crate) async fn cancel(session: &mut Session<'_>, renewal: &str) -> Result<Ending, Failure> {
    let item = find::renewal(session, renewal).await?;
    let acted = session.door.manager.act(&item.id, "cancel", &Options::default()).await;
    acted.map_err(|error| Failure::from(error).of(&item.name))?;
    if session.door.json {
        session.json(&serde_json::json!({ "id": item.id }))?;
    }
    let told = session.text.say("cli-cancelled", &[("name", &item.name)]);
    session.tell(&told)?;
    Ok(Ending::Done)
}

/// A job as the verbs follow it.
pub(crate) struct Job {
    pub(crate) proxy: JobProxy<'static>,
    pub(crate) path: OwnedObjectPath,
    /// What it works on, as the person calls it.
    pub(crate) name: String,
    /// The item that was acted on: the certificate, or the renewal itself.
    pub(crate) acted_on: ItemView,
}

impl Job {
    async fn new(session: &Session<'_>, path: OwnedObjectPath, item: &ItemView) -> Result<Self, Failure> {
        let proxy = JobProxy::builder(&session.door.connection)
            .path(path.clone())?
            .cache_properties(CacheProperties::No)
            .build()
            .await?;
        Ok(Self { proxy, path, name: item.name.clone(), acted_on: item.clone() })
    }

    /// How far it is; `None` once it is over and no object any more.
    pub(crate) async fn status(&self) -> Result<Option<(JobView, Dictionary)>, Failure> {
        match self.proxy.inner().call_method("Status", &()).await {
            Ok(reply) => Ok(Some((read(&reply)?, read(&reply)?))),
            Err(error) if vanished(&error) => Ok(None),
            Err(error) => Err(Failure::from(error)),
        }
    }
}

/// Starts a job or goes on with it, and stays if that is wanted.
pub(crate) async fn begin(
    session: &mut Session<'_>,
    item: &ItemView,
    action: &str,
    options: &Options,
    wait: bool,
) -> Result<Ending, Failure> {
    let named = |error| Failure::from(error).of(&item.name);
    if !wait {
        let path = session.door.manager.act(&item.id, action, options).await.map_err(named)?;
        let status = Job::new(session, path, item).await?.status().await?;
        if let Some((_, keys)) = status.filter(|_| session.door.json) {
            session.json(&to_json(&keys))?;
        }
        let key = if matches!(action, "resume" | "done") { "cli-resumed" } else { "cli-begun" };
        let told = session.text.say(key, &[("name", &item.name)]);
        session.tell(&told)?;
        let hint = session.text.say("cli-begun-hint", &[("name_quoted", &obnova_text::shell_word(&item.name))]);
        session.hint(&hint)?;
        return Ok(Ending::Done);
    }
    let agent = Registered::at_hand(session).await?;
    let before = status_before(session, item).await?;
    // Listening begins before the job does, so that no news is missed.
    let mut news = News::of(session).await?;
    let manager = session.door.manager.clone();
    let ending = tokio::select! {
        started = manager.act(&item.id, action, options) => match started {
            Ok(path) => {
                let job = Job::new(session, path, item).await?;
                follow::to_the_end(session, &job, &mut news, &agent, before).await
            }
            Err(error) => Err(named(error)),
        },
        () = &mut session.interrupted => follow::left(session, &item.name),
    };
    agent.leave().await;
    // It was there when this began.
    ending.map_err(|failure| if failure.ending() == Ending::Unreachable { Failure::Lost } else { failure })
}

/// How far a job that waits has come already; whoever goes on with it was told.
async fn status_before(session: &Session<'_>, item: &ItemView) -> Result<Option<(JobView, Dictionary)>, Failure> {
    match item.job.as_deref().and_then(|path| OwnedObjectPath::try_from(path).ok()) {
        Some(path) => Job::new(session, path, item).await?.status().await,
        None => Ok(None),
    }
}
