//! A renewal at a card: asks for the card, for its PIN, takes a step, and says what went wrong in the person's words. What a step
//! does is the card's; which step is due is [`steps`](super::steps)'.

use std::sync::Arc;
use std::time::{Duration, Instant};

use obnova_api::{QuestionView, RulesView};
use obnova_core::card::{Card, Tries};
use obnova_core::job::{Home, Reservation};
use obnova_core::{Place, Problem, Step};
use obnova_secret::Secret;

use super::sitting::{LONGEST, Sitting, TRIES};
use super::steps::Ground;
use crate::bus::views;
use crate::cards::secrets::Secrets;
use crate::cards::step::{CardAnswer, CardError, CardStep};

/// How long a click waits for the card that it needs.
const PATIENCE: Duration = Duration::from_mins(10);

/// What a person gave for a card, for this sitting.
#[derive(Default)]
pub(super) struct Opened {
    pin: Option<(Arc<Secret>, Instant)>,
    management_key: Option<Arc<Secret>>,
    last_try: bool,
}

impl Ground<'_> {
    /// What is set aside on the card for the new key; `None` where it lives in a file.
    pub(super) fn reservation(&self) -> Result<Option<&Reservation>, Problem> {
        Ok(match &self.new_key()?.home {
            Home::Card(reservation) => Some(reservation),
            Home::File(_) => None,
        })
    }

    /// What lies on the card now. A person who has just clicked is asked to insert it, where it is in no reader.
    pub(super) async fn card(&self, sitting: &Sitting, place: &Place) -> Result<Card, Problem> {
        match self.look(place).await {
            Err(CardError::Absent {}) => {
                self.ask_to_insert(sitting, place).await?;
                self.look(place).await.map_err(|error| self.card_problem(&error, place))
            }
            other => other.map_err(|error| self.card_problem(&error, place)),
        }
    }

    /// What lies on the card now, asking nobody.
    pub(super) async fn look(&self, place: &Place) -> Result<Card, CardError> {
        match self.tools.cards.perform(place, CardStep::Look {}, Secrets::default()).await? {
            CardAnswer::Card { card } => Ok(*card),
            other => Err(CardError::Failed { detail: format!("answered {other:?} to a look") }),
        }
    }

    /// Takes a step that needs the PIN. A refused PIN is forgotten, and the same question returns with the tries left.
    pub(super) async fn at_card(&self, sitting: &mut Sitting, place: &Place, step: CardStep) -> Result<CardAnswer, Problem> {
        for _ in 0..TRIES {
            let secrets = self.secrets(sitting, place).await?;
            match self.tools.cards.perform(place, step.clone(), secrets).await {
                Err(CardError::WrongPin { .. } | CardError::LastTry {}) => sitting.opened.pin = None,
                Err(CardError::ManagementKeyNeeded {}) => {
                    let question = self.question(place, "management-key", &["make-keys"]);
                    let key = self.tools.agents.secret(&sitting.whom, &question).await?;
                    sitting.opened.management_key = Some(Arc::new(key));
                }
                other => return other.map_err(|error| self.card_problem(&error, place)),
            }
        }
        Err(Problem::Refused {})
    }

    /// Has the PIN typed and tried, unless that has been done in this sitting. Changes nothing on the card.
    pub(super) async fn open_card(&self, sitting: &mut Sitting, place: &Place) -> Result<(), Problem> {
        self.secrets(sitting, place).await.map(|_| ())
    }

    async fn secrets(&self, sitting: &mut Sitting, place: &Place) -> Result<Secrets, Problem> {
        if sitting.opened.pin.as_ref().is_some_and(|(_, since)| since.elapsed() > LONGEST) {
            sitting.opened = Opened::default();
        }
        let mut secrets = Secrets { management_key: sitting.opened.management_key.clone(), ..Secrets::default() };
        secrets.last_try = sitting.opened.last_try;
        if let Some((pin, _)) = &sitting.opened.pin {
            secrets.pin = Some(Arc::clone(pin));
            return Ok(secrets);
        }
        let card = self.card(sitting, place).await?;
        if card.pin_pad {
            return Ok(secrets);
        }
        let pin = self.ask_pin(sitting, place, card).await?;
        sitting.opened.pin = Some((Arc::clone(&pin), Instant::now()));
        secrets.pin = Some(pin);
        secrets.last_try = sitting.opened.last_try;
        Ok(secrets)
    }

    /// Asks until the PIN is right, the person has enough, or no try is left. The counter is read first, each time.
    async fn ask_pin(&self, sitting: &mut Sitting, place: &Place, mut card: Card) -> Result<Arc<Secret>, Problem> {
        let mut question = self.question(place, "pin", &self.uses());
        let (min, max) = card.pin_length;
        question.rules = Some(RulesView { min: min.into(), max: max.into(), digits_only: false });
        question.args = Some([("card".to_owned(), card.label.clone())].into());
        for _ in 0..TRIES {
            question.tries_left = match card.pin {
                Tries::Blocked => return Err(Problem::PinBlocked { card: card.label }),
                Tries::Left(left) => Some(left.into()),
                Tries::Unknown => None,
            };
            sitting.opened.last_try = false;
            if card.pin == Tries::Left(1) {
                self.ask_last_try(sitting, place, &card).await?;
                sitting.opened.last_try = true;
            }
            question.id = crate::random::hex(8);
            let pin = Arc::new(self.tools.agents.secret(&sitting.whom, &question).await?);
            let length = pin.chars_count();
            if length < min.into() || length > max.into() {
                // Never sent: it could not be right, and would cost a try.
                question.refused = Some(true);
                continue;
            }
            let secrets = Secrets { pin: Some(Arc::clone(&pin)), last_try: sitting.opened.last_try, ..Secrets::default() };
            match self.tools.cards.perform(place, CardStep::Verify {}, secrets).await {
                Ok(_) => return Ok(pin),
                Err(CardError::WrongPin { .. } | CardError::PinFormat { .. }) => question.refused = Some(true),
                // The counter was lowered since it was read: it is shown anew.
                Err(CardError::LastTry {}) => {}
                Err(error) => return Err(self.card_problem(&error, place)),
            }
            card = self.look(place).await.map_err(|error| self.card_problem(&error, place))?;
        }
        Err(Problem::Refused {})
    }

    /// The last try needs a yes of its own.
    async fn ask_last_try(&self, sitting: &Sitting, place: &Place, card: &Card) -> Result<(), Problem> {
        let mut question = self.question(place, "pin", &[]);
        question.about = "last-try".into();
        question.args = Some([("card".to_owned(), card.label.clone())].into());
        if self.tools.agents.consent(&sitting.whom, &question).await? { Ok(()) } else { Err(Problem::Refused {}) }
    }

    /// Ends when the card is there, or with [`Problem::CardAbsent`] when nobody inserts it.
    async fn ask_to_insert(&self, sitting: &Sitting, place: &Place) -> Result<(), Problem> {
        let absent = || Problem::CardAbsent { card: self.tools.cards.label(place) };
        let mut question = self.question(place, "pin", &[]);
        question.secret = None;
        question.about = "insert-card".into();
        question.args = Some([("card".to_owned(), self.tools.cards.label(place))].into());
        let asked = tokio::time::timeout(PATIENCE, self.tools.agents.confirm_hand_step(&sitting.whom, &question));
        tokio::select! {
            () = self.tools.cards.inserted(place) => Ok(()),
            answer = asked => match answer {
                Ok(Ok(true)) if self.look(place).await.is_ok() => Ok(()),
                Ok(Err(problem @ Problem::Internal { .. })) => Err(problem),
                _ => Err(absent()),
            },
        }
    }

    /// What the PIN will be used for in this sitting.
    fn uses(&self) -> Vec<&'static str> {
        let left = self.job.start.plan.steps().iter().skip(self.job.steps_done());
        let mut uses = Vec::new();
        for step in left {
            match step {
                Step::GenerateKeys => uses.push("make-keys"),
                Step::Request => uses.push("sign-requests"),
                // Whether the authority pauses cannot be known; what comes after it is said again if it does.
                Step::Install => uses.push("store-certificates"),
                _ => {}
            }
        }
        uses
    }

    fn question(&self, place: &Place, secret: &str, uses: &[&str]) -> QuestionView {
        QuestionView {
            id: crate::random::hex(8),
            item: self.job.start.identity.to_string(),
            name: self.job.start.name.clone(),
            about: "renewal".into(),
            job: Some(views::job_path(self.number)),
            secret: Some(secret.to_owned()),
            uses: Some(uses.iter().map(|used| (*used).to_owned()).collect()),
            args: Some([("card".to_owned(), self.tools.cards.label(place))].into()),
            ..QuestionView::default()
        }
    }

    /// What the person is told of a card's failure.
    pub(super) fn card_problem(&self, error: &CardError, place: &Place) -> Problem {
        super::trouble::card(error, self.tools.cards.label(place))
    }
}
