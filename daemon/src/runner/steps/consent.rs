//! Tells the person what will happen, and asks for a yes. Asks for no secret.

use obnova_api::QuestionView;
use obnova_core::Problem;
use obnova_core::job::Outcome;

use super::Ground;
use crate::bus::views;
use crate::runner::sitting::Sitting;

pub(super) async fn perform(ground: &Ground<'_>, sitting: &Sitting) -> Result<Outcome, Problem> {
    let start = &ground.job.start;
    let (_, protected) = ground.preflight()?;
    let (new, old) = (ground.new_key()?, ground.old()?);
    let mut args = vec![
        ("name", start.name.clone()),
        ("not_after", views::time(ground.job.not_after())),
        ("to", new.place.shown()),
        ("old", old.place.shown()),
        ("programme", start.programme.clone()),
        ("algorithm", new.algorithm.to_string()),
    ];
    if protected {
        args.push(("secret", ground.programme().await?.secret.kind.as_str().to_owned()));
    }
    let question = QuestionView {
        id: crate::random::hex(8),
        item: start.identity.to_string(),
        name: start.name.clone(),
        about: "renewal".into(),
        job: Some(views::job_path(ground.number)),
        steps: Some(start.plan.steps().iter().map(ToString::to_string).collect()),
        args: Some(args.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
        ..QuestionView::default()
    };
    if ground.tools.agents.consent(&sitting.whom, &question).await? {
        Ok(Outcome::Consent {})
    } else {
        Err(Problem::ConsentRefused {})
    }
}
