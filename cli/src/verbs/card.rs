//! `card list`, `show`, `unblock`, `change-pin`: smart cards and their PINs. Which card is meant is found here.

use obnova_api::dict::{Dictionary, to_json};
use obnova_api::{CardView, ItemView, SpotView};
use obnova_text::shell_word;
use zbus::zvariant::Value;

use crate::ending::{Ending, Failure};
use crate::session::{Session, dictionary};
use crate::table;
use crate::verbs::act::act;
use crate::verbs::look::command;

/// A card, as view and key by key.
pub(crate) type Card = (ItemView, Dictionary);

pub(crate) async fn list(session: &mut Session<'_>) -> Result<Ending, Failure> {
    let (cards, keys): (Vec<_>, Vec<_>) = all(session).await?.into_iter().unzip();
    if session.door.json {
        session.json_array(&keys)?;
        return Ok(Ending::Done);
    }
    if cards.is_empty() {
        let (none, hint) = (session.text.say("cli-card-none", &[]), session.text.say("cli-card-none-hint", &[]));
        session.tell(&none)?;
        session.hint(&hint)?;
        return Ok(Ending::Done);
    }
    let columns = ["cli-column-name", "cli-column-state", "cli-column-pin", "cli-column-free", "cli-column-reader"];
    let mut rows = vec![columns.map(|column| session.text.say(column, &[]))];
    rows.extend(cards.iter().map(|item| {
        let card = item.card.as_ref();
        let dash = || "–".to_owned();
        [
            session.text.plain(&item.name).into_owned(),
            session.text.state(item),
            card.map_or_else(dash, |card| session.text.tries(card.pin_tries)),
            card.and_then(|card| card.free).map_or_else(dash, |free| free.to_string()),
            card.map(|card| session.text.plain(&card.reader).into_owned()).filter(|name| !name.is_empty()).unwrap_or_else(dash),
        ]
    }));
    for line in table::lines(&rows) {
        session.line(&line)?;
    }
    Ok(Ending::Done)
}

pub(crate) async fn show(session: &mut Session<'_>, id: Option<&str>) -> Result<Ending, Failure> {
    let (item, keys) = find(session, id).await?;
    if session.door.json {
        session.json(&to_json(&keys))?;
        return Ok(Ending::Done);
    }
    let name = session.text.plain(&item.name).into_owned();
    session.line(&name)?;
    for line in table::lines(&facts(session, &item)) {
        session.line(&format!("  {line}"))?;
    }
    match &item.card {
        Some(card) => slots(session, &card.spots),
        None => remembered(session, &item),
    }
}

pub(crate) async fn unblock(session: &mut Session<'_>, id: Option<&str>) -> Result<Ending, Failure> {
    at_pin(session, id, "unblock", "cli-command-unblock", "cli-card-unblocked").await
}

pub(crate) async fn change_pin(session: &mut Session<'_>, id: Option<&str>) -> Result<Ending, Failure> {
    at_pin(session, id, "change-pin", "cli-command-change-pin", "cli-card-changed").await
}

/// Has the daemon ask for what it needs, here or in the tray. `again`: the message of the command that begins anew.
async fn at_pin(session: &mut Session<'_>, id: Option<&str>, action: &str, again: &str, done: &str) -> Result<Ending, Failure> {
    let (item, _) = find(session, id).await?;
    let again = session.text.say(again, &[("name_quoted", &shell_word(&item.name))]);
    act(session, &item, action, done, |failure| beginning_anew(failure, again)).await
}

/// The same failure with the command that begins anew: no renewal was interrupted.
fn beginning_anew(failure: Failure, again: String) -> Failure {
    match failure {
        Failure::Problem(mut problem, name) => {
            if problem.kind == "refused" {
                "card-refused".clone_into(&mut problem.kind);
            }
            problem.args.insert("again".to_owned(), again);
            Failure::Problem(problem, name)
        }
        other => other,
    }
}

/// All cards that are there or watched.
pub(crate) async fn all(session: &Session<'_>) -> Result<Vec<Card>, Failure> {
    session.items_both_ways(&dictionary([("kind", Value::new("card"))])?).await
}

/// The card that a word means; without one, the only one that is there.
async fn find(session: &Session<'_>, word: Option<&str>) -> Result<Card, Failure> {
    let mut cards = all(session).await?;
    let Some(word) = word else {
        if cards.iter().any(is_there) {
            cards.retain(is_there);
        }
        return match cards.len() {
            0 => Err(Failure::new("no-card", [])),
            1 => Ok(cards.remove(0)),
            _ => Err(Failure::new("several-cards", [("ids", &names(&cards))])),
        };
    };
    meant(&cards, word)
}

/// The card that a word means: by its name, serial number or id, or the beginning of one.
pub(crate) fn meant(cards: &[Card], word: &str) -> Result<Card, Failure> {
    let small = word.to_lowercase();
    let serial = |item: &ItemView| item.card.as_ref().map(|card| card.serial.to_lowercase()).unwrap_or_default();
    let place = |item: &ItemView| item.place.clone().unwrap_or_default();
    let readings: [&dyn Fn(&ItemView) -> bool; 3] = [
        &|item| item.name == word || item.id == word || place(item) == word,
        &|item| item.name.to_lowercase() == small || (serial(item) == small && !small.is_empty()),
        &|item| {
            let begins = |text: &str| text.to_lowercase().starts_with(&small);
            !small.is_empty() && (begins(&item.name) || begins(&item.id) || begins(&serial(item)))
        },
    ];
    for reading in readings {
        let mut fitting: Vec<Card> = cards.iter().filter(|(item, _)| reading(item)).cloned().collect();
        if fitting.len() > 1 && fitting.iter().any(is_there) {
            fitting.retain(is_there);
        }
        match fitting.len() {
            0 => {}
            1 => return Ok(fitting.remove(0)),
            _ => return Err(Failure::new("several-cards", [("ids", &names(&fitting))])),
        }
    }
    Err(Failure::new("no-such-card", [("id", word)]))
}

fn is_there((item, _): &Card) -> bool {
    item.state != "away"
}

fn names(cards: &[Card]) -> String {
    let name = |(item, _): &Card| match item.card.as_ref().filter(|card| !card.serial.is_empty()) {
        Some(card) => format!("{} ({})", item.name, card.serial),
        None => format!("{} ({})", item.name, item.id),
    };
    cards.iter().map(name).collect::<Vec<_>>().join(", ")
}

fn facts(session: &Session<'_>, item: &ItemView) -> Vec<[String; 2]> {
    let text = &session.text;
    let mut rows = Vec::new();
    let mut add = |key: &str, value: Option<String>| {
        rows.extend(value.filter(|value| !value.is_empty()).map(|value| [text.say(key, &[]), value]));
    };
    let card = item.card.as_ref();
    let plain = |value: &String| text.plain(value).into_owned();
    let of = |value: fn(&CardView) -> &String| card.map(|card| plain(value(card)));
    let again = text.say("cli-command-card-show", &[("name_quoted", &shell_word(&item.name))]);
    let advice = item.problem.as_ref().map(|problem| {
        let mut problem = problem.clone();
        problem.args.insert("again".to_owned(), again);
        text.problem_of(&item.name, &problem)
    });
    add("cli-show-state", Some(text.state(item)));
    add("cli-show-next", text.next_step(item, session.now));
    add("cli-show-command", command(session, item));
    add("cli-show-problem", advice.as_ref().map(|advice| advice.sentence.clone()));
    add("cli-show-advice", advice.map(|advice| advice.hint));
    add("cli-card-can", card.map(|card| text.card_can(card)));
    add("cli-card-model", of(|card| &card.model));
    add("cli-card-serial", of(|card| &card.serial));
    add("cli-card-reader", of(|card| &card.reader));
    add("cli-card-pin", card.map(|card| text.tries(card.pin_tries)));
    add("cli-card-puk", card.map(|card| text.tries(card.puk_tries)));
    add("cli-card-pad", card.filter(|card| card.pin_pad).map(|_| text.say("cli-card-pad-on-reader", &[])));
    add("cli-card-makes", card.map(|card| text.plain(&card.algorithms.join(", ")).into_owned()));
    add("cli-card-free", card.and_then(|card| card.free).map(|free| free.to_string()));
    let yes_no = |yes| text.say(if yes { "cli-card-yes" } else { "cli-card-no" }, &[]);
    add("cli-card-watched", card.map(|card| yes_no(card.watched)));
    add("cli-card-uri", item.place.as_ref().map(plain));
    add("cli-show-id", Some(item.id.clone()));
    rows
}

/// What lies in the slots that are not free.
fn slots(session: &mut Session<'_>, spots: &[SpotView]) -> Result<Ending, Failure> {
    let text = std::sync::Arc::clone(&session.text);
    let columns = ["cli-column-slot", "cli-column-key", "cli-column-certificate", "cli-column-ends", "cli-column-note"];
    let mut rows = vec![columns.map(|column| text.say(column, &[]))];
    let told = |spot: &&SpotView| spot.subject.is_some() || !matches!(spot.key.as_str(), "free" | "unproven");
    rows.extend(spots.iter().filter(told).map(|spot| {
        let mut notes = Vec::new();
        if spot.always == Some(true) {
            notes.push(text.say("cli-card-always", &[]));
        }
        if !spot.known {
            notes.push(text.say("cli-card-unexplained", &[]));
        }
        let dash = || "–".to_owned();
        [
            text.plain(&spot.spot).into_owned(),
            text.spot(spot),
            spot.subject.as_ref().map_or_else(dash, |subject| text.plain(subject).into_owned()),
            spot.not_after.as_ref().map_or_else(dash, |end| text.date(end, session.now)),
            notes.join(", "),
        ]
    }));
    if rows.len() > 1 {
        session.line("")?;
        for line in table::lines(&rows) {
            session.line(&format!("  {line}"))?;
        }
    }
    Ok(Ending::Done)
}

/// What was on a card that is not there.
fn remembered(session: &mut Session<'_>, item: &ItemView) -> Result<Ending, Failure> {
    let certificates = item.certificates.as_deref().unwrap_or_default();
    if certificates.is_empty() {
        return Ok(Ending::Done);
    }
    let heading = session.text.say("cli-card-seen-last", &[]);
    let columns = ["cli-column-certificate", "cli-column-ends"];
    let mut rows = vec![columns.map(|column| session.text.say(column, &[]))];
    rows.extend(certificates.iter().map(|certificate| {
        [session.text.plain(&certificate.subject).into_owned(), session.text.date(&certificate.not_after, session.now)]
    }));
    session.line("")?;
    session.line(&format!("  {heading}"))?;
    for line in table::lines(&rows) {
        session.line(&format!("  {line}"))?;
    }
    Ok(Ending::Done)
}
