//! Which item a person means: its id, its name, the beginning of either, or nothing when just one is due.

use obnova_api::{ItemView, Level};
use zbus::zvariant::Value;

use crate::ending::Failure;
use crate::session::{Session, dictionary};

/// Any item; of several, those that are no renewal.
pub(crate) async fn any(session: &Session<'_>, word: &str) -> Result<ItemView, Failure> {
    find(session, None, word, |item| item.kind != "renewal").await
}

/// An item to be renewed: the one that is due if no word is given.
pub(crate) async fn to_renew(session: &Session<'_>, word: Option<&str>) -> Result<ItemView, Failure> {
    let Some(word) = word else { return due(session).await };
    find(session, None, word, |item| !matches!(item.kind.as_str(), "renewal" | "place")).await
}

/// A renewal, by the number of its job, too.
pub(crate) async fn renewal(session: &Session<'_>, word: &str) -> Result<ItemView, Failure> {
    find(session, Some("renewal"), word, |_| true).await
}

/// A mailbox; the only one if no word is given.
pub(crate) async fn mailbox(session: &Session<'_>, word: Option<&str>) -> Result<ItemView, Failure> {
    if let Some(word) = word {
        return find(session, Some("mailbox"), word, |_| true).await;
    }
    let mut all: Vec<ItemView> = session.items(&dictionary([("kind", Value::new("mailbox"))])?).await?;
    match (all.pop(), all.is_empty()) {
        (Some(only), true) => Ok(only),
        (Some(last), false) => {
            all.push(last);
            Err(Failure::new("several-mailboxes", [("ids", &names(&all))]))
        }
        (None, _) => Err(Failure::new("no-mailbox", [])),
    }
}

/// The number of an item's job.
pub(crate) fn job_number(item: &ItemView) -> Option<&str> {
    item.job.as_deref().and_then(|path| path.rsplit('/').next())
}

/// Whether this item waits for somebody: what is at work by itself does not.
pub(crate) fn needs_person(item: &ItemView) -> bool {
    match &item.next_step {
        Some(next) => match next.who.as_str() {
            "obnova" => false,
            "authority" => next.what != "wait",
            _ => true,
        },
        None => item.problem.as_ref().is_some_and(|problem| problem.who != "obnova"),
    }
}

async fn due(session: &Session<'_>) -> Result<ItemView, Failure> {
    let items: Vec<ItemView> = session.items(&dictionary([])?).await?;
    let is_due = |item: &ItemView| {
        let next = item.next_step.as_ref();
        Level::of(&item.level) > Level::Ok
            && next.is_some_and(|next| next.who == "you" && next.action.as_deref() == Some("renew"))
    };
    let mut due: Vec<_> = items.into_iter().filter(is_due).collect();
    match (due.pop(), due.is_empty()) {
        (None, _) => Err(Failure::new("nothing-due", [])),
        (Some(item), true) => Ok(item),
        (Some(item), false) => {
            due.push(item);
            Err(Failure::new("several-due", [("ids", &names(&due))]))
        }
    }
}

async fn find(
    session: &Session<'_>,
    kind: Option<&str>,
    word: &str,
    fits: impl Fn(&ItemView) -> bool,
) -> Result<ItemView, Failure> {
    if is_id(word) {
        match session.item(word).await {
            Ok((item, _)) if kind.is_none_or(|kind| item.kind == kind) => return Ok(item),
            Ok(_) => {}
            Err(Failure::Problem(problem, _)) if problem.kind == "no-such-item" => {}
            Err(failure) => return Err(failure),
        }
    }
    let mut filter = dictionary([("all", Value::new(true))])?;
    if let Some(kind) = kind {
        filter.extend(dictionary([("kind", Value::new(kind.to_owned()))])?);
    }
    let items: Vec<ItemView> = session.items(&filter).await?;
    let small = word.to_lowercase();
    // From the most exact reading to the least; the first that fits anything is meant.
    let readings: [&dyn Fn(&ItemView) -> bool; 3] = [
        &|item| item.name == word || (kind == Some("renewal") && job_number(item) == Some(word)),
        &|item| item.name.to_lowercase() == small,
        &|item| !word.is_empty() && (item.name.to_lowercase().starts_with(&small) || item.id.starts_with(&small)),
    ];
    for reading in readings {
        let mut meant: Vec<&ItemView> = items.iter().filter(|item| reading(item)).collect();
        for preferred in [&fits as &dyn Fn(&ItemView) -> bool, &is_present] {
            if meant.len() > 1 && meant.iter().any(|item| preferred(item)) {
                meant.retain(|item| preferred(item));
            }
        }
        match meant.as_slice() {
            [] => {}
            [item] => return Ok((*item).clone()),
            several => {
                let several: Vec<_> = several.iter().map(|item| format!("{} ({})", item.name, item.id)).collect();
                return Err(Failure::new("ambiguous", [("id", word), ("matches", &several.join(", "))]));
            }
        }
    }
    Err(Failure::new("no-such-item", [("id", word)]))
}

/// Whether it looks like an id: a name that does is still found by its name.
fn is_id(word: &str) -> bool {
    word.len() == 16 && word.bytes().all(|letter| letter.is_ascii_hexdigit())
}

/// Whether it is still going on; of two of a name that one is meant.
pub(crate) fn is_present(item: &ItemView) -> bool {
    !matches!(item.state.as_str(), "retired" | "superseded" | "done" | "cancelled")
}

fn names(items: &[ItemView]) -> String {
    items.iter().map(|item| item.name.as_str()).collect::<Vec<_>>().join(", ")
}
