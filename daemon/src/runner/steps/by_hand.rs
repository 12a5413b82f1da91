//! What the person does in another program: they are told, and say when it is done, to whoever asks them or by `obnova done`. Nobody else
//! can tell whether it has happened, so that after a crash they are asked once more.

use obnova_api::QuestionView;
use obnova_core::Problem;
use obnova_core::job::{Intent, Outcome};

use super::Ground;
use crate::runner::sitting::Sitting;

/// The instruction as the programme has it now; from here on it stands in the journal.
pub(super) async fn prepare(ground: &Ground<'_>) -> Result<Intent, Problem> {
    let (keys, _) = ground.preflight()?;
    let made = ground.job.made.iter().map(obnova_core::Place::path).next_back();
    let file = made.or_else(|| keys.first().map(|key| key.place.path())).unwrap_or_default();
    let programme = ground.programme().await?;
    let gone = || Problem::Internal { detail: "nothing by hand".to_owned() };
    let (instruction, copy) = programme.hand.get(ground.job.done_by_hand()).ok_or_else(gone)?.of(&file);
    Ok(Intent::ByHand { instruction, copy })
}

pub(super) async fn perform(
    ground: &Ground<'_>,
    instruction: &str,
    copy: Option<&str>,
    sitting: &Sitting,
) -> Result<Outcome, Problem> {
    let copy = copy.unwrap_or("none").to_owned();
    let args = [("instruction".to_owned(), instruction.to_owned()), ("copy".to_owned(), copy.clone())];
    let question =
        QuestionView { id: crate::random::hex(8), about: "by-hand".into(), args: Some(args.into()), ..ground.matter() };
    match ground.tools.agents.confirm_hand_step(&sitting.whom, &question).await {
        Ok(true) => Ok(Outcome::ByHand {}),
        // They do it in their own time.
        Ok(false) | Err(Problem::NoAgent {} | Problem::Refused {}) => {
            Err(Problem::ByHand { instruction: instruction.to_owned(), copy })
        }
        Err(problem) => Err(problem),
    }
}
