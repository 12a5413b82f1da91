//! What a person wants remembered of an item: the password of its file, in their keyring. Asks for it once, and only keeps what
//! has opened the file.

use obnova_api::QuestionView;
use obnova_core::record::Record;
use obnova_core::{ItemId, Place, Problem};
use obnova_secret::Secret;

use super::Desk;
use super::agents::Requester;
use crate::runner::sitting::TRIES;
use crate::stores;

impl Desk {
    /// Keeps the passwords of an item's files.
    pub(super) async fn remember(&self, id: ItemId, requester: &Requester) -> Result<(), Problem> {
        let (name, places) = self.files_of(id).await?;
        let mut kept = false;
        for place in places {
            if !stores::has_password(&self.helper, &place).await? {
                continue;
            }
            let password = self.password(id, &name, &place, requester).await?;
            self.keyring.keep(&place, &password).await?;
            self.engine.write(move |_, _| Ok(vec![Record::Remembered { place }])).await?;
            kept = true;
        }
        if kept { Ok(()) } else { Err(Problem::NoPassword { name }) }
    }

    /// Forgets the passwords of an item's files, of those that its renewals left behind, too.
    pub(super) async fn forget(&self, id: ItemId) -> Result<(), Problem> {
        let (name, _) = self.files_of(id).await?;
        let places = self.engine.read(move |state| state.world.remembered_of(id)).await?;
        if places.is_empty() {
            return Err(Problem::NoPassword { name });
        }
        for place in places {
            self.keyring.forget(&place).await?;
            self.engine.write(move |_, _| Ok(vec![Record::Forgotten { place }])).await?;
        }
        Ok(())
    }

    async fn files_of(&self, id: ItemId) -> Result<(String, Vec<Place>), Problem> {
        let found = self.engine.read(move |state| {
            let name = state.world.item(id, state.now()).map(|item| item.name)?;
            Some((name, state.world.places_of_item(id)))
        });
        let (name, mut places) = found.await?.ok_or(Problem::NoSuchItem { id: id.to_string() })?;
        places.retain(|place| !place.scheme().is_card());
        Ok((name, places))
    }

    async fn password(&self, id: ItemId, name: &str, place: &Place, requester: &Requester) -> Result<Secret, Problem> {
        let path = place.path().display().to_string();
        let mut question = QuestionView {
            id: crate::random::hex(8),
            item: id.to_string(),
            name: name.to_owned(),
            about: "remember".into(),
            secret: Some("password".into()),
            uses: Some(vec!["keep".into()]),
            args: Some([("path".to_owned(), path.clone())].into()),
            ..QuestionView::default()
        };
        for _ in 0..TRIES {
            let password = self.agents.secret(requester, &question).await?;
            if stores::opens(&self.helper, place, &password).await? {
                return Ok(password);
            }
            question.refused = Some(true);
        }
        Err(Problem::WrongSecret { path })
    }
}
