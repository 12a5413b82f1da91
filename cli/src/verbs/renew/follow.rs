//! Stays with a job until it ends or needs a person: by signals, never by asking again and again.

use futures_util::StreamExt;
use obnova_api::dict::{Dictionary, to_json};
use obnova_api::{BUS_NAME, ItemView, JobView, ProblemView};
use serde_json::{Value as Json, json};
use zbus::fdo::{DBusProxy, NameOwnerChangedStream};
use zbus::message::Type;
use zbus::zvariant::Value;
use zbus::{MatchRule, MessageStream};

use crate::agent::Registered;
use crate::ending::{Ending, Failure};
use crate::find;
use crate::session::{Session, dictionary};
use crate::verbs::log;
use crate::verbs::renew::Job;

/// How many of the newest records are searched for what a finished job made.
const NEWEST: u32 = 50;

/// What tells that something may have moved.
pub(crate) struct News {
    signals: MessageStream,
    owner: Option<NameOwnerChangedStream>,
}

impl News {
    /// Listens to all that the daemon tells.
    pub(crate) async fn of(session: &Session<'_>) -> Result<Self, Failure> {
        let connection = &session.door.connection;
        let rule =
            MatchRule::builder().msg_type(Type::Signal).sender(BUS_NAME)?.path_namespace(obnova_api::MANAGER_PATH)?.build();
        let signals = MessageStream::for_match_rule(rule, connection, None).await?;
        let owner = if connection.is_bus() {
            let bus = DBusProxy::new(connection).await?;
            Some(bus.receive_name_owner_changed_with_args(&[(0, BUS_NAME)]).await?)
        } else {
            None
        };
        Ok(Self { signals, owner })
    }

    /// Waits until something may have moved; fails when the daemon has gone.
    async fn wait(&mut self) -> Result<(), Failure> {
        tokio::select! {
            signal = self.signals.next() => match signal {
                Some(Ok(_)) => Ok(()),
                Some(Err(_)) | None => Err(Failure::Lost),
            },
            _ = async {
                match &mut self.owner {
                    Some(owner) => owner.next().await,
                    None => std::future::pending().await,
                }
            } => Err(Failure::Lost),
        }
    }
}

/// Follows a job, telling each step that is done and was not done `before`.
pub(crate) async fn to_the_end(
    session: &mut Session<'_>,
    job: &Job,
    news: &mut News,
    agent: &Registered,
    before: Option<(JobView, Dictionary)>,
) -> Result<Ending, Failure> {
    let mut told = before.as_ref().map_or(0, |(view, _)| steps_done(view));
    let mut last = before.map(|(view, keys)| (view, to_json(&keys)));
    loop {
        match job.status().await? {
            Some((view, keys)) => {
                // Not into the middle of a prompt: it is made good once that is answered.
                if !agent.is_asking() {
                    told = tell_steps(session, &view, told)?;
                }
                let over = match view.state.as_str() {
                    "done" | "cancelled" | "superseded" | "quarantined" => true,
                    // A question that is open here is not yet a problem.
                    "waiting" => view.problem.is_some() && !agent.is_asking(),
                    _ => false,
                };
                if over {
                    return finish(session, job, &view, &to_json(&keys));
                }
                last = Some((view, to_json(&keys)));
            }
            None => return vanished(session, job, last, told).await,
        }
        tokio::select! {
            // What has been done before the person leaves is told.
            biased;
            moved = news.wait() => moved?,
            () = &mut session.interrupted => return left(session, &job.name),
        }
    }
}

/// The person goes, the renewal stays.
pub(crate) fn left(session: &mut Session<'_>, name: &str) -> Result<Ending, Failure> {
    let told = session.text.say("cli-left", &[("name", name)]);
    let hint = session.text.say("cli-left-hint", &[("name_quoted", &obnova_text::shell_word(name))]);
    session.tell("")?;
    session.tell(&told)?;
    session.hint(&hint)?;
    Ok(Ending::Failed)
}

/// How many steps are done.
fn steps_done(view: &JobView) -> usize {
    view.steps.iter().take_while(|step| step.state == "done").count()
}

/// Tells the steps that are done and not yet told; how many are told then.
fn tell_steps(session: &mut Session<'_>, view: &JobView, told: usize) -> Result<usize, Failure> {
    let done = steps_done(view);
    for step in view.steps.iter().take(done).skip(told) {
        let step = session.text.step_done(&step.step);
        let line = session.text.say("cli-step", &[("step", &step)]);
        session.tell(&line)?;
    }
    Ok(done.max(told))
}

/// Says how it ended.
fn finish(session: &mut Session<'_>, job: &Job, view: &JobView, keys: &Json) -> Result<Ending, Failure> {
    if session.door.json {
        session.json(keys)?;
    }
    let made = view.made.as_deref().unwrap_or_default();
    match (view.state.as_str(), &view.problem) {
        ("done", _) => {
            let key = if made.is_empty() || session.door.json { "cli-renewed-bare" } else { "cli-renewed" };
            let told = session.text.say(key, &[("name", &job.name)]);
            session.tell(&told)?;
            if !session.door.json {
                for path in made {
                    session.line(path)?;
                }
            }
            Ok(Ending::Done)
        }
        ("superseded", _) => {
            let told = session.text.say("cli-overtaken", &[("name", &job.name)]);
            session.tell(&told)?;
            Ok(Ending::Done)
        }
        (state, Some(problem)) => {
            session.tell_failure(&Failure::Problem(problem.clone(), Some(job.name.clone())))?;
            Ok(if state == "waiting" { Ending::NeedsPerson } else { Ending::Failed })
        }
        (_, None) => {
            let told = session.text.say("cli-was-cancelled", &[("name", &job.name)]);
            session.tell(&told)?;
            Ok(Ending::Failed)
        }
    }
}

/// The job is no object any more: its item tells how it ended, and the log what it made.
async fn vanished(session: &mut Session<'_>, job: &Job, last: Option<(JobView, Json)>, told: usize) -> Result<Ending, Failure> {
    let (mut view, mut keys) = last.unwrap_or_default();
    let item = renewal_item(session, job, &view).await?;
    if keys.is_null() {
        // Over before it could be looked at.
        keys = json!({ "item": item.id, "kind": item.kind, "name": item.name });
    }
    view.state.clone_from(&item.state);
    view.problem.clone_from(&item.problem);
    if view.state == "done" {
        view.steps.iter_mut().for_each(|step| "done".clone_into(&mut step.state));
        tell_steps(session, &view, told)?;
        (view.finished, view.made) = ended(session, job).await?;
    }
    if !matches!(view.state.as_str(), "done" | "cancelled" | "superseded" | "quarantined") {
        // Neither over nor there: another daemon has taken its place.
        return Err(Failure::Lost);
    }
    if view.state == "quarantined" && view.problem.is_none() {
        let reason = [("job", find::job_number(&item).unwrap_or_default()), ("reason", item.state.as_str())];
        view.problem = Some(ProblemView {
            kind: "quarantined".into(),
            args: reason.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
            who: "you".into(),
            by: None,
        });
    }
    if let Json::Object(keys) = &mut keys {
        keys.insert("state".into(), Json::from(view.state.as_str()));
        keys.retain(|key, _| key != "problem" || view.problem.is_some());
        keys.extend(view.made.clone().map(|made| ("made".to_owned(), Json::from(made))));
        keys.extend(view.finished.clone().map(|finished| ("finished".to_owned(), Json::from(finished))));
        for step in keys.get_mut("steps").and_then(Json::as_array_mut).into_iter().flatten().filter(|_| view.state == "done") {
            step["state"] = Json::from("done");
        }
    }
    finish(session, job, &view, &keys)
}

/// The item of the renewal itself.
async fn renewal_item(session: &Session<'_>, job: &Job, view: &JobView) -> Result<ItemView, Failure> {
    if !view.item.is_empty() {
        return Ok(session.item(&view.item).await?.0);
    }
    if job.acted_on.kind == "renewal" {
        return Ok(session.item(&job.acted_on.id).await?.0);
    }
    let filter = dictionary([("kind", Value::new("renewal")), ("all", Value::new(true))])?;
    let renewals: Vec<ItemView> = session.items(&filter).await?;
    let of_this = |item: &&ItemView| item.item.as_ref() == Some(&job.acted_on.id);
    renewals.iter().find(of_this).cloned().ok_or(Failure::Lost)
}

/// When the job was done, and what it has made, as the log says it.
async fn ended(session: &mut Session<'_>, job: &Job) -> Result<(Option<String>, Option<Vec<String>>), Failure> {
    let number = job.path.as_str().rsplit('/').next();
    let (mut finished, mut made) = (None, None);
    log::pages(session, dictionary([("last", Value::new(NEWEST))])?, &mut 0, &mut |_, record, _| {
        if record.event == "job-done" && record.args.get("job").map(String::as_str) == number {
            finished = Some(record.at.clone());
            made = record.args.get("made").map(|made| paths(made));
        }
        Ok(())
    })
    .await?;
    Ok((finished, made))
}

/// The paths in a list of absolute paths; a comma inside a name ends none.
fn paths(made: &str) -> Vec<String> {
    let mut rest = made.split(", /");
    let first = rest.next().filter(|first| !first.is_empty()).map(str::to_owned);
    first.into_iter().chain(rest.map(|path| format!("/{path}"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comma_in_a_name_ends_no_path() {
        assert_eq!(paths("/a/Novak, Anna.p12, /a/Novak, Anna.crt"), ["/a/Novak, Anna.p12", "/a/Novak, Anna.crt"]);
        assert!(paths("").is_empty());
    }
}
