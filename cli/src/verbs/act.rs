//! An action in the course of which the daemon may ask something: done, told, and answered here where that is possible.

use obnova_api::{ItemView, Options};

use crate::agent::Registered;
use crate::ending::{Ending, Failure};
use crate::session::Session;

/// Has the daemon do this about an item, and tells so by the message `done`. `blame`: what a failure of it means.
pub(crate) async fn act(
    session: &mut Session<'_>,
    item: &ItemView,
    action: &str,
    done: &str,
    blame: impl FnOnce(Failure) -> Failure,
) -> Result<Ending, Failure> {
    let agent = Registered::at_hand(session).await?;
    let manager = session.door.manager.clone();
    let options = Options::default();
    let acted = tokio::select! {
        acted = manager.act(&item.id, action, &options) => Some(acted),
        () = &mut session.interrupted => None,
    };
    agent.leave().await;
    match acted {
        None => return Ok(Ending::Failed),
        Some(acted) => acted.map_err(|error| blame(Failure::from(error).of(&item.name)))?,
    };
    if session.door.json {
        session.json(&serde_json::json!({ "id": item.id }))?;
    }
    let quoted = obnova_text::shell_word(&item.name);
    let told = session.text.say(done, &[("name", &item.name), ("name_quoted", &quoted)]);
    session.tell(&told)?;
    Ok(Ending::Done)
}
