//! A renewal at a card: asks for the card, for its PIN, takes a step, and says what went wrong in the person's words. What a step
//! does is the card's; which step is due is [`steps`](super::steps)'.

use std::sync::Arc;
use std::time::Instant;

use obnova_api::QuestionView;
use obnova_core::card::Card;
use obnova_core::job::{Home, Reservation};
use obnova_core::{Place, Problem, Step};
use obnova_secret::Secret;

use super::sitting::{LONGEST, Sitting, TRIES, told_instead};
use super::steps::Ground;
use crate::cards::guard::{Guard, Taken};
use crate::cards::secrets::Secrets;
use crate::cards::step::{CardAnswer, CardError, CardStep};

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
            Home::File(_) | Home::There(_) | Home::Others(_) => None,
        })
    }

    /// What lies on the card now. A person who has just clicked is asked to insert it, where it is in no reader.
    pub(super) async fn card(&self, sitting: &Sitting, place: &Place) -> Result<Card, Problem> {
        self.guard(sitting, place).card().await
    }

    /// What lies on the card now, asking nobody.
    pub(super) async fn look(&self, place: &Place) -> Result<Card, CardError> {
        self.tools.cards.look(place).await
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
        let Taken { pin, last_try } = match self.handed_over(sitting, place, &card).await? {
            Ok(taken) => taken,
            Err(failed) => {
                // What the card says of its counter now.
                let card = if failed.is_some() { self.card(sitting, place).await? } else { card };
                let typed = self.guard(sitting, place).pin(card, &self.uses()).await;
                typed.map_err(|problem| told_instead(problem, failed.as_ref()))?
            }
        };
        sitting.opened.pin = Some((Arc::clone(&pin), Instant::now()));
        sitting.opened.last_try = last_try;
        secrets.pin = Some(pin);
        secrets.last_try = last_try;
        Ok(secrets)
    }

    /// The PIN that a credential holds, tried once in a sitting; or why it does not help, if one is named at all.
    async fn handed_over(
        &self,
        sitting: &mut Sitting,
        place: &Place,
        card: &Card,
    ) -> Result<Result<Taken, Option<Problem>>, Problem> {
        let Some((named, pin)) = self.tools.credentials.find(place) else { return Ok(Err(None)) };
        if std::mem::replace(&mut sitting.handed_over, true) {
            return Ok(Err(Some(named.wrong(place))));
        }
        let pin = match pin {
            Ok(pin) => pin,
            Err(problem) => return Ok(Err(Some(problem))),
        };
        let taken = self.guard(sitting, place).given(card, pin).await?;
        Ok(taken.ok_or_else(|| Some(named.wrong(place))))
    }

    /// Who asks for the card and its PIN.
    fn guard<'a>(&'a self, sitting: &'a Sitting, place: &'a Place) -> Guard<'a> {
        let tools = self.tools;
        Guard { cards: &tools.cards, agents: &tools.agents, whom: &sitting.whom, place, matter: self.matter() }
    }

    /// What the PIN will be used for in this sitting.
    fn uses(&self) -> Vec<&'static str> {
        let left = self.job.start.plan.steps().iter().skip(self.job.steps_done());
        let makes = self.job.start.plan.makes_keys();
        let mut uses = Vec::new();
        for step in left {
            match step {
                Step::GenerateKeys => uses.push("make-keys"),
                Step::Request => uses.push("sign-requests"),
                // Whether the authority pauses cannot be known; what comes after it is said again if it does.
                Step::Install if makes => uses.push("store-certificates"),
                Step::Verify if !makes => uses.push("try"),
                _ => {}
            }
        }
        uses
    }

    fn question(&self, place: &Place, secret: &str, uses: &[&str]) -> QuestionView {
        QuestionView {
            id: crate::random::hex(8),
            secret: Some(secret.to_owned()),
            uses: Some(uses.iter().map(|used| (*used).to_owned()).collect()),
            args: Some([("card".to_owned(), self.tools.cards.label(place))].into()),
            ..self.matter()
        }
    }

    /// What the person is told of a card's failure.
    pub(super) fn card_problem(&self, error: &CardError, place: &Place) -> Problem {
        super::trouble::card(error, self.tools.cards.label(place))
    }
}
