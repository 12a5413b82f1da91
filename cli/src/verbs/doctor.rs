//! `doctor`: whether renewals can succeed, one line for each thing that was looked at.

use obnova_api::dict::Dictionary;
use obnova_api::{CheckView, Level};

use crate::ending::{Ending, Failure};
use crate::find;
use crate::session::{Session, read};
use crate::verbs::card;

pub(crate) async fn doctor(session: &mut Session<'_>, word: Option<&str>) -> Result<Ending, Failure> {
    let id = match word {
        None => String::new(),
        Some(word) => match find::any(session, word).await {
            Ok(item) => item.id,
            // No certificate and no file: a card, perhaps.
            Err(Failure::Problem(problem, name)) if problem.kind == "no-such-item" => {
                match card::meant(&card::all(session).await?, word) {
                    Ok((item, _)) => item.id,
                    Err(Failure::Problem(other, _)) if other.kind == "no-such-card" => {
                        return Err(Failure::Problem(problem, name));
                    }
                    Err(failure) => return Err(failure),
                }
            }
            Err(failure) => return Err(failure),
        },
    };
    let reply = session.call("Doctor", &(id,)).await?;
    let checks: Vec<CheckView> = read(&reply)?;
    let found = checks.iter().filter(|check| Level::of(&check.state) >= Level::Warning).count();
    if session.door.json {
        let checks: Vec<Dictionary> = read(&reply)?;
        session.json_array(&checks)?;
    } else {
        for check in &checks {
            tell(session, check)?;
        }
        let told = match found {
            0 => session.text.say("cli-doctor-well", &[]),
            found => session.text.say("cli-doctor-found", &[("count", &found.to_string())]),
        };
        session.tell(&told)?;
    }
    Ok(if found == 0 { Ending::Done } else { Ending::Failed })
}

fn tell(session: &mut Session<'_>, check: &CheckView) -> Result<(), Failure> {
    let mark = match Level::of(&check.state) {
        Level::Ok => "cli-mark-ok",
        Level::Notice => "cli-mark-notice",
        Level::Warning => "cli-mark-warning",
        Level::Critical => "cli-mark-critical",
    };
    let (mark, advice) = (session.text.say(mark, &[]), session.text.check(check));
    session.line(&format!("{mark} {}", advice.sentence))?;
    if !advice.hint.is_empty() {
        let hint = session.text.say("cli-doctor-hint", &[("hint", &advice.hint)]);
        session.line(&format!("  {hint}"))?;
    }
    Ok(())
}
