//! Tells the person what will happen, and asks for a yes. Asks for no secret.

use obnova_api::QuestionView;
use obnova_core::job::{Home, NewKey, Outcome};
use obnova_core::programme::{Authority, Computer, Consumer, NewSecret, Page};
use obnova_core::{Certificate, Problem};

use super::{Ground, replace};
use crate::bus::views;
use crate::runner::sitting::Sitting;

pub(super) async fn perform(ground: &Ground<'_>, sitting: &Sitting) -> Result<Outcome, Problem> {
    // The yes of whoever wrote the programme.
    if ground.job.start.auto {
        return Ok(Outcome::Consent {});
    }
    if ground.tools.agents.consent(&sitting.whom, &question(ground).await?).await? {
        Ok(Outcome::Consent {})
    } else {
        Err(Problem::ConsentRefused {})
    }
}

/// What will happen, as far as Preflight could find out.
pub(in crate::runner) async fn question(ground: &Ground<'_>) -> Result<QuestionView, Problem> {
    let start = &ground.job.start;
    let (keys, protected) = ground.preflight()?;
    let (new, old) = (ground.new_key()?, ground.old()?);
    let programme = ground.programme().await?;
    let mut args = vec![
        ("name", start.name.clone()),
        ("not_after", views::time(ground.job.not_after())),
        ("programme", start.programme.clone()),
        ("algorithm", each(keys, |key| key.algorithm.to_string())),
    ];
    match &new.home {
        Home::File(_) => {
            args.extend([("to", new.place.shown()), ("old", old.place.shown())]);
            if programme.secret.new == NewSecret::Ask && protected {
                args.push(("new_secret", programme.secret.kind.as_str().to_owned()));
            }
            if let Some(subject) = ground.job.new_subject() {
                args.push(("subject", name_text(subject)?));
            }
        }
        Home::There(_) => args.extend([("to", new.place.shown()), ("old", old.place.shown())]),
        Home::Others(_) => {
            if let Authority::Web(page) = &programme.authority {
                args.extend(at_page(page));
            }
            if new.place.scheme().is_card() {
                args.push(("card", ground.tools.cards.label(&new.place)));
            }
        }
        Home::Card(reservation) => {
            args.push(("card", ground.tools.cards.label(&new.place)));
            args.push(("count", keys.len().to_string()));
            args.push(("moves", reservation.archive.is_some().to_string()));
            args.push(("spots", each(keys, spot)));
            // Where the authority pauses between request and certificate, the person is needed twice.
            let sittings = match programme.authority {
                Authority::Simulated { pause: true, .. } | Authority::SignedMail(_) => "2",
                // Nobody knows before.
                Authority::SignedRequest(_) | Authority::Est(_) => "2-perhaps",
                Authority::SelfSigned { .. } | Authority::Simulated { .. } | Authority::Web(_) => "1",
            };
            args.push(("sittings", sittings.to_owned()));
        }
    }
    if replace::is_meant(ground) {
        args.push(("replaces", "true".to_owned()));
    }
    let command = |consumer: &Consumer| match consumer {
        Consumer::Hook { command } => Some(command.join(" ")),
        Consumer::Nss {} => None,
    };
    let commands: Vec<String> = programme.consumers.iter().filter_map(command).collect();
    if !commands.is_empty() {
        args.push(("tells", commands.join(", ")));
    }
    if programme.consumers.contains(&Consumer::Nss {}) {
        args.push(("programs", "nss".to_owned()));
    }
    if let (Authority::SignedMail(letter), Some(outgoing)) = (&programme.authority, &ground.tools.outgoing) {
        args.push(("mail_to", letter.to.as_str().to_owned()));
        args.push(("mail_from", outgoing.from.as_str().to_owned()));
    }
    if let Some(remote) = programme.authority.remote() {
        args.push(("host", remote.url.host().to_owned()));
    }
    if protected {
        let secret = if ground.reservation()?.is_some() { "pin" } else { programme.secret.kind.as_str() };
        args.push(("secret", secret.to_owned()));
    }
    Ok(QuestionView {
        id: crate::random::hex(8),
        item: start.identity.to_string(),
        name: start.name.clone(),
        about: "renewal".into(),
        job: (ground.number > 0).then(|| views::job_path(ground.number)),
        steps: Some(start.plan.steps().iter().map(ToString::to_string).collect()),
        args: Some(args.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
        ..QuestionView::default()
    })
}

/// Where the person renews. An agent opens a `link` after the yes.
fn at_page(page: &Page) -> Vec<(&'static str, String)> {
    let mut args = vec![("computer", page.computer.as_str().to_owned())];
    if let Some(address) = &page.page {
        args.push(("page", address.as_str().to_owned()));
        if page.computer == Computer::This {
            args.push(("link", address.as_str().to_owned()));
        }
    }
    args
}

fn name_text(subject: &[u8]) -> Result<String, Problem> {
    Certificate::name_text(subject).map_err(|error| Problem::Internal { detail: error.to_string() })
}

fn spot(key: &NewKey) -> String {
    match &key.home {
        Home::Card(reservation) => reservation.spot.to_string(),
        Home::File(file) => file.clone(),
        Home::There(_) | Home::Others(_) => String::new(),
    }
}

fn each(keys: &[NewKey], of: impl Fn(&NewKey) -> String) -> String {
    keys.iter().map(of).collect::<Vec<_>>().join(" ")
}
