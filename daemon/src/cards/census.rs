//! Everything at the readers and behind the modules, looked at anew because somebody asks. Changes nothing, and remembers nothing:
//! what comes and goes by itself is `survey`'s.

use std::path::PathBuf;

use obnova_core::Place;
use obnova_core::card::Card;

use super::readers::{Reader, Service};
use super::secrets::Secrets;
use super::step::{CardAnswer, CardError, CardStep};
use super::{Cards, add_new, without_piv};

/// What there is.
#[derive(Clone, Debug, Default)]
pub struct Census {
    /// Whether there is a card service; `None`: this daemon uses no readers.
    pub service: Option<Service>,
    /// The readers.
    pub readers: Vec<Reader>,
    /// The cards and tokens that could be looked at, in the order of their places.
    pub cards: Vec<Card>,
    /// The readers in which something is that could not be looked at, and why. A card that is no PIV card and that no module shows
    /// is among them.
    pub obstacles: Vec<Obstacle>,
    /// The modules, and what is wrong with those that failed.
    pub modules: Vec<(PathBuf, Option<CardError>)>,
}

/// A card that could not be looked at.
#[derive(Clone, Debug)]
pub struct Obstacle {
    /// The reader that it is in.
    pub reader: String,
    /// Whose place it has been so far.
    pub place: Option<Place>,
    /// Why.
    pub error: CardError,
}

impl Cards {
    /// What lies on a card now.
    pub async fn look(&self, place: &Place) -> Result<Card, CardError> {
        match self.perform(place, CardStep::Look {}, Secrets::default()).await? {
            CardAnswer::Card { card } => Ok(*card),
            other => Err(CardError::Failed { detail: format!("answered {other:?} to a look") }),
        }
    }

    /// Looks at everything. Takes as long as the slowest module and the busiest reader.
    pub async fn census(&self) -> Census {
        let mut census = Census::default();
        if let Some(readers) = &self.readers {
            census.service = Some(readers.service());
            census.readers = readers.readers();
            for reader in census.readers.iter().filter(|reader| reader.inserted) {
                match readers.look(&reader.name).await {
                    Ok(card) => census.cards.push(card),
                    // Pulled out meanwhile.
                    Err(CardError::Absent {} | CardError::Removed {}) => {}
                    Err(error) => {
                        let (reader, place) = (reader.name.clone(), reader.place.clone());
                        census.obstacles.push(Obstacle { reader, place, error });
                    }
                }
            }
        }
        let mut tokens: Vec<Card> = Vec::new();
        for module in self.modules().iter() {
            let failed = match self.tokens_of(module).await {
                Ok(shown) => {
                    add_new(&mut tokens, shown);
                    None
                }
                Err(error) => Some(error),
            };
            census.modules.push((module.path.clone(), failed));
        }
        let seen = census.cards.iter().map(|card| (card.place.clone(), card.clone())).collect();
        census.cards.extend(without_piv(tokens, &seen).into_iter().map(|(_, card)| card));
        let Census { cards, obstacles, .. } = &mut census;
        obstacles.retain(|obstacle| {
            let shown = || cards.iter().any(|card| card.reader == obstacle.reader);
            !(matches!(obstacle.error, CardError::Unsupported { .. }) && shown())
        });
        cards.sort_by(|first, second| first.place.cmp(&second.place));
        census
    }
}
