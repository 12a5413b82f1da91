//! The guard over PIN and PUK, over the card in software: what is asked and in which order, how often anything is sent, and that nothing
//! is sent without the person.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use obnova_api::dict::Dictionary;
use obnova_api::{ItemView, Options};
use obnova_tests::arithmetic::OpenSslKeys;
use obnova_tests::{Agent, Answer, Asked, eventually};
use obnovad::cards::piv::simulated::{Kind, SimulatedCard};
use obnovad::cards::readers::Readers;
use obnovad::cards::readers::simulated::SimulatedReader;
use tempfile::TempDir;
use zbus::zvariant::Value;

use crate::inside::{Inside, clock};

const VERIFY: u8 = 0x20;

/// A daemon beside a card, and a person who gives these answers, one after the other, and then none.
struct Guarded {
    reader: SimulatedReader,
    daemon: Inside,
    agent: Agent,
    answers: Arc<Mutex<VecDeque<Answer>>>,
    _state: TempDir,
}

impl Guarded {
    async fn new() -> Self {
        let reader = SimulatedReader::new(SimulatedCard::new(Kind::YubiKey, Arc::new(OpenSslKeys::default())));
        let state = TempDir::new().expect("a directory");
        let readers = Readers::simulated(&reader);
        let daemon = Inside::start_with(state.path(), &clock(), |parts| parts.readers = Some(readers)).await;
        let answers = Arc::<Mutex<VecDeque<Answer>>>::default();
        let given = Arc::clone(&answers);
        let agent = Agent::at(daemon.client.clone(), move |_, _| {
            std::future::ready(given.lock().expect("no panic while held").pop_front().unwrap_or(Answer::Refuse))
        })
        .await;
        agent.register(false).await;
        Self { reader, daemon, agent, answers, _state: state }
    }

    async fn card(&self) -> ItemView {
        let filter = || Dictionary::from([("kind".to_owned(), Value::from("card").try_to_owned().expect("a value"))]);
        eventually("a card", async || self.daemon.manager.items(filter(), "", 10).await.expect("a page").0.pop()).await
    }

    /// Does this with these answers. What was asked for: the secret, and the tries that were shown with it; and the kind of
    /// problem that it ended with.
    async fn acts(&self, action: &str, answers: &[&str]) -> (Vec<(String, Option<u32>)>, Option<String>) {
        let id = self.card().await.id;
        let answer = |text: &&str| if *text == "yes" { Answer::Yes } else { Answer::Secret((*text).to_owned()) };
        *self.answers.lock().expect("no panic while held") = answers.iter().map(answer).collect();
        let before = self.agent.asked().len();
        let ended = self.daemon.manager.act(&id, action, &Options::default()).await;
        let asked = self.agent.asked().split_off(before).into_iter().map(|(asked, question)| {
            let what = match asked {
                Asked::NewSecret => "new-pin".to_owned(),
                Asked::Consent => question.about,
                _ => question.secret.unwrap_or_default(),
            };
            (what, question.tries_left)
        });
        (asked.collect(), ended.err().map(|error| error.kind().unwrap_or("the bus").to_owned()))
    }

    /// How often a PIN was sent since this was last asked: an empty VERIFY reads the counter.
    fn sent(&self) -> usize {
        self.reader.at_card(|card| card.came.drain(..).filter(|header| header[1] == VERIFY && header[4] != 0).count())
    }
}

fn asked(questions: &[(&str, Option<u32>)]) -> Vec<(String, Option<u32>)> {
    questions.iter().map(|(what, left)| ((*what).to_owned(), *left)).collect()
}

#[tokio::test]
async fn the_counter_is_shown_and_the_last_try_needs_a_yes() {
    let scene = Guarded::new().await;
    scene.sent();

    // One that breaks the card's format is never sent, and costs nothing.
    let (questions, problem) = scene.acts("change-pin", &["1", "123456", "222222"]).await;
    assert_eq!(questions, asked(&[("pin", Some(3)), ("pin", Some(3)), ("new-pin", None)]));
    assert_eq!((problem, scene.sent()), (None, 1), "tried once by itself");
    assert_eq!(scene.reader.at_card(|card| card.pin), *b"222222\xFF\xFF");

    let (questions, problem) = scene.acts("change-pin", &["111111", "111111"]).await;
    assert_eq!(questions, asked(&[("pin", Some(3)), ("pin", Some(2)), ("last-try", None)]));
    assert_eq!((problem.as_deref(), scene.sent()), (Some("refused"), 2));
    assert_eq!(scene.reader.at_card(|card| card.pin_left), 1, "the machine tries nothing by itself");

    let (questions, problem) = scene.acts("change-pin", &["yes", "111111"]).await;
    assert_eq!(questions, asked(&[("last-try", None), ("pin", Some(1))]));
    assert_eq!((problem.as_deref(), scene.sent()), (Some("pin-blocked"), 1));
    let card = scene.card().await;
    assert_eq!((card.state.as_str(), card.next_step.and_then(|next| next.action).as_deref()), ("blocked", Some("unblock")));
    let (questions, problem) = scene.acts("change-pin", &["222222"]).await;
    assert_eq!((questions, problem.as_deref()), (asked(&[]), Some("pin-blocked")), "nobody is asked in vain");
    scene.daemon.stop().await;
}

#[tokio::test]
async fn the_puk_is_guarded_likewise_and_the_new_pin_asked_for_once() {
    let scene = Guarded::new().await;
    let (questions, problem) = scene.acts("unblock", &["00000000", "222222", "00000000"]).await;
    assert_eq!(questions, asked(&[("puk", Some(3)), ("new-pin", None), ("puk", Some(2)), ("last-try", None)]));
    assert_eq!(problem.as_deref(), Some("refused"));
    assert_eq!(scene.reader.at_card(|card| (card.puk_left, card.pin)), (1, *b"123456\xFF\xFF"));

    let (questions, problem) = scene.acts("unblock", &["yes", "12345678", "222222"]).await;
    assert_eq!((questions, problem), (asked(&[("last-try", None), ("puk", Some(1)), ("new-pin", None)]), None));
    assert_eq!(scene.reader.at_card(|card| (card.puk_left, card.pin, card.is_open())), (3, *b"222222\xFF\xFF", false));

    // Letters are no PIN that every program can type: another is asked for.
    let (questions, problem) = scene.acts("change-pin", &["222222", "abcdef", "12345", "333333"]).await;
    assert_eq!(problem, None);
    assert_eq!(questions.iter().filter(|(what, _)| what == "new-pin").count(), 3);
    scene.daemon.stop().await;
}
