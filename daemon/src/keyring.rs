//! The person's keyring (Secret Service API 0.2 on the session bus): passwords of files that they wanted remembered, and nothing
//! else; no PIN is ever kept. Owns no copy, and speaks to nobody before something is to be remembered.

use std::collections::HashMap;
use std::time::Duration;

use obnova_core::{Place, Problem};
use obnova_secret::Secret;
use secret_service::{EncryptionType, Error, SecretService};
use zbus::Connection;

/// How long the keyring may take that asks nobody.
const DEADLINE: Duration = Duration::from_secs(15);

/// How long it may take where it asks the person for its own password.
const PATIENCE: Duration = Duration::from_mins(5);

/// What the items of this program have in common (libsecret's convention).
const SCHEMA: &str = "org.obnova.Password";

/// Whom to ask for what is remembered. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Keyring(Option<Connection>);

impl Keyring {
    /// The one of the person whose session bus this is.
    pub fn on(session: Connection) -> Self {
        Self(Some(session))
    }

    /// None: a machine has no person, and a rehearsal remembers nothing.
    pub fn none() -> Self {
        Self(None)
    }

    /// Whether there is one at all.
    pub fn is_there(&self) -> Result<(), Problem> {
        self.0.as_ref().map(drop).ok_or(Problem::NoKeyring { detail: "none".into() })
    }

    /// The password of a place, if it is remembered. `may_ask`: a locked keyring asks the person to open it; else it has nothing.
    pub async fn find(&self, place: &Place, may_ask: bool) -> Result<Option<Secret>, Problem> {
        self.find_at(place.as_str(), may_ask).await
    }

    /// The same for what has an address and is no place.
    pub async fn find_at(&self, address: &str, may_ask: bool) -> Result<Option<Secret>, Problem> {
        self.within(if may_ask { PATIENCE } else { DEADLINE }, async |service| {
            let found = service.search_items(attributes(address)).await?;
            let item = match (found.unlocked.first(), found.locked.first()) {
                (Some(item), _) => item,
                (None, Some(item)) if may_ask => {
                    item.unlock().await?;
                    item
                }
                _ => return Ok(None),
            };
            let mut bytes = item.get_secret().await?;
            // What the library decrypted in memory of its own is wiped with this copy.
            Ok(Some(Secret::from_slice(&mut bytes)))
        })
        .await?
        .transpose()
        .map_err(|error| Problem::Internal { detail: error.to_string() })
    }

    /// Remembers the password of a place in place of an older one; a locked keyring asks the person to open it.
    pub async fn keep(&self, place: &Place, password: &Secret) -> Result<(), Problem> {
        self.keep_at(place.as_str(), &place.shown(), password).await
    }

    /// The same for what has an address and is no place; `shown`: what a person calls it.
    pub async fn keep_at(&self, address: &str, shown: &str, password: &Secret) -> Result<(), Problem> {
        let label = format!("Obnova: {shown}");
        self.within(PATIENCE, async |service| {
            let collection = match service.get_default_collection().await {
                // A desktop on which nothing was ever remembered.
                Err(Error::NoResult) => service.create_collection("Obnova", "default").await?,
                found => found?,
            };
            if collection.is_locked().await? {
                collection.unlock().await?;
            }
            collection.create_item(&label, attributes(address), password.expose(), true, "text/plain").await.map(drop)
        })
        .await
    }

    /// Forgets the password of a place.
    pub async fn forget(&self, place: &Place) -> Result<(), Problem> {
        self.forget_at(place.as_str()).await
    }

    /// The same for what has an address and is no place.
    pub async fn forget_at(&self, address: &str) -> Result<(), Problem> {
        self.within(PATIENCE, async |service| {
            let found = service.search_items(attributes(address)).await?;
            for item in &found.locked {
                item.unlock().await?;
            }
            for item in found.unlocked.iter().chain(&found.locked) {
                item.delete().await?;
            }
            Ok(())
        })
        .await
    }

    async fn within<T>(
        &self,
        deadline: Duration,
        work: impl AsyncFnOnce(&SecretService<'_>) -> Result<T, Error>,
    ) -> Result<T, Problem> {
        let absent = || Problem::NoKeyring { detail: "none".into() };
        let connection = self.0.clone().ok_or_else(absent)?;
        let session = async {
            // A session of its own each time: nobody listens meanwhile. What travels is encrypted for it.
            let service = SecretService::connect_with_existing(EncryptionType::Dh, connection).await?;
            work(&service).await
        };
        match tokio::time::timeout(deadline, session).await {
            Ok(outcome) => outcome.map_err(problem),
            Err(_) => Err(Problem::KeyringClosed {}),
        }
    }
}

fn attributes(place: &str) -> HashMap<&str, &str> {
    HashMap::from([("xdg:schema", SCHEMA), ("place", place)])
}

fn problem(error: Error) -> Problem {
    match error {
        Error::Locked | Error::Prompt | Error::PromptDisconnected => Problem::KeyringClosed {},
        other => Problem::NoKeyring { detail: other.to_string() },
    }
}
