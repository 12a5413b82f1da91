//! `remember` and `forget`: whether the password of a file is kept in the person's keyring.

use crate::ending::{Ending, Failure};
use crate::find;
use crate::session::Session;

use super::act::act;

pub(crate) async fn remember(session: &mut Session<'_>, id: &str) -> Result<Ending, Failure> {
    let item = find::any(session, id).await?;
    act(session, &item, "remember", "cli-remembered", |failure| failure).await
}

pub(crate) async fn forget(session: &mut Session<'_>, id: &str) -> Result<Ending, Failure> {
    let item = find::any(session, id).await?;
    act(session, &item, "forget", "cli-forgotten", |failure| failure).await
}
