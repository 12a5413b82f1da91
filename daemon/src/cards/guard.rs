//! The guard over a card's PIN and PUK: reads the counter and shows it, asks, sends what was typed once, and asks again with the
//! tries that are left. The one place that asks for either; what the card does with them is `step`'s.

use std::sync::Arc;
use std::time::Duration;

use obnova_api::{QuestionView, RulesView};
use obnova_core::card::{Card, CardKind, Tries};
use obnova_core::{Place, Problem, Scheme};
use obnova_secret::Secret;
use tokio::time::timeout;

use super::Cards;
use super::secrets::Secrets;
use super::step::{CardAnswer, CardError, CardStep};
use crate::bus::agents::{Agents, Requester};
use crate::runner::sitting::{LONGEST, TRIES};
use crate::runner::trouble;

/// How long a click waits for the card that it needs.
const PATIENCE: Duration = Duration::from_mins(10);

/// Asks one person about one card.
pub(crate) struct Guard<'a> {
    /// Reaches the card.
    pub(crate) cards: &'a Cards,
    /// Reaches the person.
    pub(crate) agents: &'a Agents,
    /// Which person.
    pub(crate) whom: &'a Requester,
    /// Which card.
    pub(crate) place: &'a Place,
    /// What all questions say of the matter: item, name, what it is about, job.
    pub(crate) matter: QuestionView,
}

/// A PIN that the card has taken.
pub(crate) struct Taken {
    /// The PIN.
    pub(crate) pin: Arc<Secret>,
    /// The person had agreed to the last try.
    pub(crate) last_try: bool,
}

/// Which of a card's two secrets is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Which {
    Pin,
    Puk,
}

impl Guard<'_> {
    /// What lies on the card now. A person who has just clicked is asked to insert it, where it is in no reader.
    pub(crate) async fn card(&self) -> Result<Card, Problem> {
        match self.cards.look(self.place).await {
            Err(CardError::Absent {}) => {
                self.ask_to_insert().await?;
                self.cards.look(self.place).await.map_err(|error| self.problem(Which::Pin, error))
            }
            other => other.map_err(|error| self.problem(Which::Pin, error)),
        }
    }

    /// Has the PIN typed and tried until it is right, the person has enough, or no try is left. Changes nothing on the card.
    /// `card`: as it was just found; `uses`: what the PIN will be used for.
    pub(crate) async fn pin(&self, card: Card, uses: &[&str]) -> Result<Taken, Problem> {
        self.ask(Which::Pin, card, uses).await
    }

    /// Tries a PIN that nobody has typed: once, and never as the last try. `None`: the card does not take it.
    pub(crate) async fn given(&self, card: &Card, pin: Secret) -> Result<Option<Taken>, Problem> {
        let (min, max) = card.pin_length;
        let may_be = (usize::from(min)..=usize::from(max)).contains(&pin.chars_count());
        if !may_be || matches!(card.pin, Tries::Left(1) | Tries::Blocked) {
            return Ok(None);
        }
        let pin = Arc::new(pin);
        match self.attempt(Which::Pin, &pin, None, false).await {
            Ok(_) => Ok(Some(Taken { pin, last_try: false })),
            Err(CardError::WrongPin { .. } | CardError::PinFormat { .. } | CardError::LastTry {}) => Ok(None),
            Err(error) => Err(self.problem(Which::Pin, error)),
        }
    }

    /// Has the PIN and a new one typed, and replaces it.
    pub(crate) async fn change_pin(&self) -> Result<(), Problem> {
        let card = self.card().await?;
        if card.pin_pad && card.kind == CardKind::Token {
            // A module does not take a new PIN for it from us, and asking in vain would only teach to type it here.
            return Err(
                self.problem(Which::Pin, CardError::Unsupported { what: "change a PIN typed on the reader".to_owned() })
            );
        }
        let Taken { pin, .. } = self.pin(card.clone(), &["change-pin"]).await?;
        for _ in 0..TRIES {
            let new_pin = Some(self.new_pin(&card).await?);
            let secrets = Secrets { pin: Some(Arc::clone(&pin)), new_pin, ..Secrets::default() };
            match self.cards.perform(self.place, CardStep::ChangePin {}, secrets).await {
                Ok(_) => return Ok(()),
                // The old one was right a moment ago: the new one has a form that the card does not take.
                Err(CardError::PinFormat { .. }) => {}
                Err(error) => return Err(self.problem(Which::Pin, error)),
            }
        }
        Err(Problem::Refused {})
    }

    /// Has the PUK and a new PIN typed, and replaces a PIN that is blocked or forgotten.
    pub(crate) async fn unblock(&self) -> Result<(), Problem> {
        let card = self.card().await?;
        self.ask(Which::Puk, card, &["unblock"]).await.map(drop)
    }

    /// The counter is read first, each time; what was typed is sent once. A card that does not tell its counter may do so when it
    /// refuses: that is believed then.
    async fn ask(&self, which: Which, mut card: Card, uses: &[&str]) -> Result<Taken, Problem> {
        let mut question = self.question(which, &card, uses);
        let (min, max) = card.pin_length;
        let mut told = Tries::Unknown;
        let mut new = None;
        for _ in 0..TRIES {
            let tries = match which.tries(&card) {
                Tries::Unknown => told,
                tries => tries,
            };
            question.tries_left = match tries {
                Tries::Blocked => return Err(self.problem(which, CardError::Blocked {})),
                Tries::Left(left) => Some(left.into()),
                Tries::Unknown => None,
            };
            let last_try = tries == Tries::Left(1);
            if last_try {
                self.ask_last_try(which, &card).await?;
            }
            question.id = crate::random::hex(8);
            let secret = Arc::new(self.agents.secret(self.whom, &question).await?);
            let length = secret.chars_count();
            if which == Which::Pin && (length < min.into() || length > max.into()) {
                // Never sent: it could not be right, and would cost a try.
                question.refused = Some(true);
                continue;
            }
            if which == Which::Puk && new.is_none() {
                new = Some(self.new_pin(&card).await?);
            }
            match self.attempt(which, &secret, new.as_ref(), last_try).await {
                Ok(_) => return Ok(Taken { pin: secret, last_try }),
                Err(CardError::WrongPin { left }) => {
                    question.refused = Some(true);
                    told = left.map_or(Tries::Unknown, Tries::Left);
                }
                Err(CardError::PinFormat { .. }) => {
                    question.refused = Some(true);
                    // It may have been this one.
                    new = None;
                }
                // The counter was lowered since it was read: it is shown anew.
                Err(CardError::LastTry {}) => {}
                Err(error) => return Err(self.problem(which, error)),
            }
            card = self.cards.look(self.place).await.map_err(|error| self.problem(which, error))?;
        }
        Err(Problem::Refused {})
    }

    async fn attempt(
        &self,
        which: Which,
        secret: &Arc<Secret>,
        new: Option<&Arc<Secret>>,
        last_try: bool,
    ) -> Result<CardAnswer, CardError> {
        let secret = Some(Arc::clone(secret));
        let (step, secrets) = match which {
            Which::Pin => (CardStep::Verify {}, Secrets { pin: secret, last_try, ..Secrets::default() }),
            Which::Puk => {
                let new_pin = new.map(Arc::clone);
                (CardStep::Unblock {}, Secrets { puk: secret, new_pin, last_try, ..Secrets::default() })
            }
        };
        self.cards.perform(self.place, step, secrets).await
    }

    /// A new PIN in a form that the card takes. What was typed before is not kept longer than any PIN while this is asked.
    async fn new_pin(&self, card: &Card) -> Result<Arc<Secret>, Problem> {
        let (min, max) = card.pin_length;
        // SP 800-73-4 part 1, 2.4.3: decimal digits.
        let digits_only = self.place.scheme() == Scheme::Piv;
        let mut question = self.question(Which::Pin, card, &[]);
        question.rules = Some(RulesView { min: min.into(), max: max.into(), digits_only });
        for _ in 0..TRIES {
            question.id = crate::random::hex(8);
            let typed = timeout(LONGEST, self.agents.new_secret(self.whom, &question)).await;
            let new = typed.map_err(|_| Problem::Refused {})??;
            let length = new.chars_count();
            let digits = new.expose().iter().all(u8::is_ascii_digit);
            if (usize::from(min)..=usize::from(max)).contains(&length) && (digits || !digits_only) {
                return Ok(Arc::new(new));
            }
            question.refused = Some(true);
        }
        Err(Problem::Refused {})
    }

    /// The last try needs a yes of its own.
    async fn ask_last_try(&self, which: Which, card: &Card) -> Result<(), Problem> {
        let question = QuestionView { about: "last-try".into(), rules: None, ..self.question(which, card, &[]) };
        if self.agents.consent(self.whom, &question).await? { Ok(()) } else { Err(Problem::Refused {}) }
    }

    /// Ends when the card is there, or with [`Problem::CardAbsent`] when nobody inserts it.
    async fn ask_to_insert(&self) -> Result<(), Problem> {
        let label = self.cards.label(self.place);
        let question = QuestionView {
            id: crate::random::hex(8),
            about: "insert-card".into(),
            args: Some([("card".to_owned(), label.clone())].into()),
            ..self.matter.clone()
        };
        let asked = timeout(PATIENCE, self.agents.confirm_hand_step(self.whom, &question));
        tokio::select! {
            () = self.cards.inserted(self.place) => Ok(()),
            answer = asked => match answer {
                Ok(Ok(true)) if self.cards.look(self.place).await.is_ok() => Ok(()),
                Ok(Err(problem @ Problem::Internal { .. })) => Err(problem),
                _ => Err(Problem::CardAbsent { card: label }),
            },
        }
    }

    fn question(&self, which: Which, card: &Card, uses: &[&str]) -> QuestionView {
        let rules = |(min, max): (u8, u8)| RulesView { min: min.into(), max: max.into(), digits_only: false };
        QuestionView {
            id: crate::random::hex(8),
            secret: Some(which.as_str().to_owned()),
            uses: Some(uses.iter().map(|used| (*used).to_owned()).collect()),
            rules: (which == Which::Pin).then(|| rules(card.pin_length)),
            args: Some([("card".to_owned(), card.label.clone())].into()),
            ..self.matter.clone()
        }
    }

    /// What the person is told of a card's failure.
    fn problem(&self, which: Which, error: CardError) -> Problem {
        let card = self.cards.label(self.place);
        match (which, error) {
            (Which::Puk, CardError::Blocked {}) => Problem::PukBlocked { card },
            (Which::Puk, CardError::WrongPin { left }) => {
                Problem::WrongPuk { card, left: left.map_or_else(|| "unknown".to_owned(), |left| left.to_string()) }
            }
            (Which::Puk, CardError::LastTry {}) => Problem::WrongPuk { card, left: "1".to_owned() },
            (_, error) => trouble::card(&error, card),
        }
    }
}

impl Which {
    fn as_str(self) -> &'static str {
        match self {
            Self::Pin => "pin",
            Self::Puk => "puk",
        }
    }

    fn tries(self, card: &Card) -> Tries {
        match self {
            Self::Pin => card.pin,
            Self::Puk => card.puk,
        }
    }
}
