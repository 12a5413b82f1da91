//! `log`: what has been done, from the first record or the newest few, and what is added meanwhile.

use chrono::Local;
use futures_util::StreamExt;
use obnova_api::dict::{Dictionary, to_json};
use obnova_api::{LogView, PAGE};
use zbus::zvariant::Value;

use crate::ending::{Ending, Failure};
use crate::moment::since;
use crate::session::{Session, dictionary, read};

/// How many lines stand before those that are added, unless told.
const BEFORE_FOLLOWING: u32 = 10;

pub(crate) async fn log(
    session: &mut Session<'_>,
    follow: bool,
    number: Option<u32>,
    from: Option<&str>,
) -> Result<Ending, Failure> {
    let mut filter = dictionary([])?;
    if let Some(written) = from {
        filter.extend(dictionary([("since", Value::new(since(written, session.now, &Local)?))])?);
    }
    let newest = number.or((follow && from.is_none()).then_some(BEFORE_FOLLOWING));
    if let Some(last) = newest {
        filter.extend(dictionary([("last", Value::new(last))])?);
    }
    // Listening begins before reading, so that nothing falls between the two.
    let mut changes = if follow { Some(session.door.manager.receive_changed().await?) } else { None };
    let mut position = 0;
    let mut array = Vec::new();
    pages(session, filter, &mut position, &mut |session, view, keys| {
        match (follow, session.door.json) {
            (false, true) => array.push(to_json(keys)),
            _ => record(session, view, keys)?,
        }
        Ok(())
    })
    .await?;
    if session.door.json && !follow {
        session.json(&serde_json::Value::Array(array))?;
    }
    let Some(changes) = &mut changes else { return Ok(Ending::Done) };
    loop {
        session.out.flush()?;
        tokio::select! {
            change = changes.next() => if change.is_none() { return Err(Failure::Lost) },
            () = &mut session.interrupted => return Ok(Ending::Done),
        }
        pages(session, dictionary([])?, &mut position, &mut record).await?;
    }
}

/// Hands over every record behind `position`, and moves it on.
pub(super) async fn pages(
    session: &mut Session<'_>,
    mut filter: Dictionary,
    position: &mut u64,
    take: &mut dyn FnMut(&mut Session<'_>, &LogView, &Dictionary) -> Result<(), Failure>,
) -> Result<(), Failure> {
    loop {
        let reply = session.call("Log", &(&filter, *position, PAGE)).await?;
        let (views, keys): (Vec<LogView>, Vec<Dictionary>) = (read(&reply)?, read(&reply)?);
        for (view, keys) in views.iter().zip(&keys) {
            take(session, view, keys)?;
            *position = view.sequence;
        }
        if views.is_empty() {
            return Ok(());
        }
        // The newest few have been counted from the end; what follows them is all of the rest.
        filter.remove("last");
    }
}

/// One record on one line.
fn record(session: &mut Session<'_>, view: &LogView, keys: &Dictionary) -> Result<(), Failure> {
    let line = if session.door.json {
        to_json(keys).to_string()
    } else {
        format!("{}  {}", session.text.time(&view.at), session.text.log_line(view))
    };
    Ok(session.line(&line)?)
}
