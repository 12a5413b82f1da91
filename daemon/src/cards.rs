//! Smart cards and tokens: who is in which reader, what lies on it, and what a renewal does with it, one transaction for each step.
//! Owns no state of a renewal, and asks a person for nothing but the secrets of a card, by its guard.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use obnova_core::card::{Card, Presence};
use obnova_core::certificate::Certificate;
use obnova_core::world::{Condition, Found, Sight};
use obnova_core::{Place, Problem, Scheme};
use tokio::sync::{Notify, watch};

use crate::engine::Engine;
use crate::helper::Helper;
use crate::shares::{self, Whose};
use crate::stores::{Sighting, Stamp};

pub mod census;
pub(crate) mod guard;
pub mod modules;
pub mod piv;
pub mod readers;
pub mod secrets;
mod slots;
pub mod step;
pub mod survey;

use modules::Module;
use readers::Readers;
use secrets::Secrets;
use step::{CardAnswer, CardError, CardStep};

/// The cards that can be reached. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Cards {
    helper: Helper,
    /// `None`: this daemon uses no readers.
    readers: Option<Arc<Readers>>,
    /// Replaced when the configuration is read anew.
    modules: Arc<Mutex<Arc<[Module]>>>,
    /// The tokens that each module showed last. Shared by all who use it; a wrong entry costs a search.
    shown: Arc<Mutex<HashMap<Module, Vec<Place>>>>,
    /// Somebody has begun to watch tokens.
    tokens_wanted: Arc<Notify>,
    /// The cards that are in readers now, by their places.
    present: Arc<watch::Sender<BTreeMap<Place, Card>>>,
}

impl Cards {
    /// The cards in these readers, and the tokens that these modules show.
    pub fn new(helper: Helper, readers: Option<Readers>, modules: Vec<Module>) -> Self {
        let present = Arc::new(watch::Sender::new(BTreeMap::new()));
        let (shown, tokens_wanted) = (Arc::default(), Arc::default());
        Self {
            helper,
            readers: readers.map(Arc::new),
            modules: Arc::new(Mutex::new(modules.into())),
            shown,
            tokens_wanted,
            present,
        }
    }

    /// Takes one step at a card: one transaction.
    pub async fn perform(&self, place: &Place, step: CardStep, secrets: Secrets) -> Result<CardAnswer, CardError> {
        shares::spent(Whose::Card, self.transact(place, step, secrets)).await
    }

    async fn transact(&self, place: &Place, step: CardStep, secrets: Secrets) -> Result<CardAnswer, CardError> {
        if place.scheme() == Scheme::Piv {
            let readers = self.readers.as_ref().ok_or(CardError::Absent {})?;
            return readers.perform(place, step, secrets).await;
        }
        let module = self.module_of(place).await?;
        let answer = self.helper.token(&module, place, &step, &secrets).await;
        if matches!(answer, Err(CardError::Absent {})) {
            self.shown().values_mut().for_each(|places| places.retain(|shown| shown != place));
        }
        answer
    }

    /// The cards that a place names, of those that can be reached now.
    pub async fn matching(&self, place: &Place) -> Result<Vec<Card>, CardError> {
        let present = self.present();
        let here: Vec<Card> = present.into_values().filter(|card| card.place.is_within(place)).collect();
        if !here.is_empty() {
            return Ok(here);
        }
        if place.scheme() == Scheme::Piv {
            // It may have come just now, and not have been looked at yet.
            return match self.perform(place, CardStep::Look {}, Secrets::default()).await {
                Ok(CardAnswer::Card { card }) => Ok(vec![*card]),
                Ok(_) | Err(CardError::Absent {} | CardError::NoService { .. } | CardError::NotInFront {}) => Ok(Vec::new()),
                Err(error) => Err(error),
            };
        }
        Ok(self.tokens().await.into_iter().filter(|card| card.place.is_within(place)).collect())
    }

    /// How a person calls the card: by its own label where it has been seen, else by what its place tells.
    pub fn label(&self, place: &Place) -> String {
        self.present.borrow().get(place).map_or_else(|| place.name(), |card| card.label.clone())
    }

    /// Ready as soon as the card is in a reader.
    pub async fn inserted(&self, place: &Place) {
        let mut present = self.present.subscribe();
        // An error means that there is no sender any more: no card will come.
        if present.wait_for(|present| present.contains_key(place)).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// The cards that are in readers now.
    pub fn present(&self) -> BTreeMap<Place, Card> {
        self.present.borrow().clone()
    }

    fn set_present(&self, present: BTreeMap<Place, Card>) {
        self.present.send_replace(present);
    }

    /// What lies in all readers but one.
    fn outside(&self, reader: &str) -> BTreeMap<Place, Card> {
        let mut present = self.present();
        present.retain(|_, card| card.reader != reader);
        present
    }

    /// What lies in all readers, after something has come into one.
    async fn look_into(&self, reader: &str) -> BTreeMap<Place, Card> {
        let mut present = self.outside(reader);
        let Some(readers) = &self.readers else { return present };
        if !readers.readers().iter().any(|seat| seat.name == reader && seat.inserted) {
            return present;
        }
        let looked = match readers.look(reader).await {
            // Nobody else will have it looked at again, and looking changes nothing.
            Err(CardError::Failed { .. }) => readers.look(reader).await,
            looked => looked,
        };
        match looked {
            Ok(card) => drop(present.insert(card.place.clone(), card)),
            Err(CardError::Unsupported { .. }) => {
                // No PIV card: its maker's module may know it.
                let new = self.tokens().await;
                present.retain(|place, _| place.scheme() != Scheme::Pkcs11);
                present.extend(without_piv(new, &present));
            }
            Err(error) => tracing::info!(%error, "a card cannot be looked at"),
        }
        present
    }

    /// The tokens of software and of cards, where somebody watches one: loading every maker's module is only worth it then. `None`:
    /// nobody does.
    async fn look_at_tokens(&self, engine: &Engine) -> Result<Option<BTreeMap<Place, Card>>, Problem> {
        let watched = engine.read(|state| state.world.watches().any(|place| place.scheme() == Scheme::Pkcs11)).await?;
        if !watched {
            return Ok(None);
        }
        let tokens = self.tokens().await;
        let mut present = self.present();
        present.retain(|place, _| place.scheme() != Scheme::Pkcs11);
        present.extend(without_piv(tokens, &present));
        Ok(Some(present))
    }

    /// From now on tokens are looked for behind these modules.
    pub fn remodule(&self, modules: Vec<Module>) {
        *self.modules.lock().unwrap_or_else(PoisonError::into_inner) = modules.into();
        self.want_tokens();
    }

    /// The modules that may show tokens.
    fn modules(&self) -> Arc<[Module]> {
        Arc::clone(&self.modules.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Has tokens looked after from now on, as somebody watches one.
    pub fn want_tokens(&self) {
        self.tokens_wanted.notify_one();
    }

    /// The tokens that all modules show. A module that fails hides no other.
    async fn tokens(&self) -> Vec<Card> {
        let mut all: Vec<Card> = Vec::new();
        for module in self.modules().iter() {
            match self.tokens_of(module).await {
                Ok(cards) => add_new(&mut all, cards),
                Err(error) => tracing::warn!(module = %module.path.display(), %error, "a module shows no tokens"),
            }
        }
        all
    }

    async fn tokens_of(&self, module: &Module) -> Result<Vec<Card>, CardError> {
        let cards = self.helper.tokens(module).await?;
        let places = cards.iter().map(|card| card.place.clone()).collect();
        self.shown().insert(module.clone(), places);
        Ok(cards)
    }

    async fn module_of(&self, place: &Place) -> Result<Module, CardError> {
        if let Some(module) = self.shows(place) {
            return Ok(module);
        }
        self.tokens().await;
        self.shows(place).ok_or(CardError::Absent {})
    }

    /// The module that showed a token last; of several, the one that is asked first.
    fn shows(&self, place: &Place) -> Option<Module> {
        let shown = self.shown();
        let by = |module: &&Module| shown.get(module).is_some_and(|places| places.contains(place));
        self.modules().iter().find(by).cloned()
    }

    /// The module by which other programs reach a card or token: the one that shows it to us; for a PIV card, OpenSC's.
    pub fn module_for_others(&self, place: &Place) -> Option<Module> {
        let opensc =
            |module: &&Module| module.path.file_name().is_some_and(|name| name.to_string_lossy().contains("opensc-pkcs11"));
        match place.scheme() {
            Scheme::Piv => self.modules().iter().find(opensc).cloned(),
            _ => self.shows(place),
        }
    }

    fn shown(&self) -> std::sync::MutexGuard<'_, HashMap<Module, Vec<Place>>> {
        // Whole values are put in and taken out: what a panicked holder left is right all the same.
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Adds what another module shows and no earlier one did.
fn add_new(all: &mut Vec<Card>, shown: Vec<Card>) {
    for card in shown {
        if all.iter().all(|other| other.place != card.place) {
            all.push(card);
        }
    }
}

/// The tokens that are not a PIV card in other clothes: one module at least shows those, too.
fn without_piv(tokens: Vec<Card>, present: &BTreeMap<Place, Card>) -> Vec<(Place, Card)> {
    let seen: Vec<&[u8]> = present.values().filter(|card| card.place.scheme() == Scheme::Piv).flat_map(certificates).collect();
    let new = |token: &Card| {
        let mut own = certificates(token).peekable();
        own.peek().is_none() || own.any(|certificate| !seen.contains(&certificate))
    };
    tokens.into_iter().filter(new).map(|token| (token.place.clone(), token)).collect()
}

fn certificates(card: &Card) -> impl Iterator<Item = &[u8]> {
    card.spots.iter().filter_map(|state| state.certificate.as_ref().map(|der| der.0.as_slice()))
}

/// What was seen on a card, as the world takes note of it: the certificates that lie there, without those that other programs keep
/// in retired slots for themselves.
pub fn sighting(card: &Card) -> Sighting {
    let (mut certificates, mut ders) = (Vec::new(), Vec::new());
    for state in &card.spots {
        let Some(der) = &state.certificate else { continue };
        // What is no certificate is told by `card show`, not by a warning.
        let Ok(certificate) = Certificate::from_der(&der.0) else { continue };
        let foreign = card.place.scheme() == Scheme::Piv && state.spot.is_retired() && certificate.self_issued();
        if !foreign {
            certificates.push(Found { certificate: Arc::new(certificate), key: state.key != Presence::Free });
            ders.push(der.0.clone());
        }
    }
    let sight = Sight { condition: Condition::Readable, certificates };
    Sighting { place: card.place.clone(), stamp: Stamp(0), sight: Some(sight), der: ders }
}
