//! Cards that are pulled and cards that lie, behind a real pcscd. Every command is broken off in the unit tests of the PIV layer;
//! here it is every third, and what PC/SC makes of it.

use std::path::{Path, PathBuf};

use obnova_tests::card::Fault;

use super::*;

/// A scene with a renewed key of 9C in 82, certified and ready to be swapped; the card is out.
struct Ready {
    scene: Scene,
    swap: CardStep,
    new: X509,
    state: PathBuf,
}

impl Ready {
    async fn new() -> Self {
        let mut scene = Scene::new(CardKind::Moves).await;
        let key = scene.generate("82", KeyAlgorithm::P256, "9c").await.expect("a key");
        let new = scene.issue(&key);
        assert_eq!(scene.step(&install("82", &new)).await, DONE);
        let (new_der, old) = (der(&new), der(scene.old("9c")));
        let swap = CardStep::Promote { from: spot("82"), to: spot("9c"), archive: spot("83"), new: new_der, old };
        let state = scene.readers.state("anna");
        let mut ready = Self { scene, swap, new, state };
        ready.pull().await;
        ready
    }

    async fn pull(&mut self) {
        self.scene.card.remove().await;
        self.scene.line.event("removed", Some(READERS[0])).await;
    }

    /// Inserts a card that is as this one was made ready.
    async fn insert_twin(&mut self, name: &str) {
        let state = self.scene.readers.state(name);
        copy(&self.state, &state);
        self.scene.card = self.scene.readers.insert(CardKind::Moves, &state).await;
        self.scene.line.event("inserted", Some(READERS[0])).await;
        self.scene.look().await;
        self.scene.card.reset_count().await;
    }

    async fn insert_again(&mut self) {
        self.scene.card.is_seen(false).await;
        self.scene.card.works_again().await;
        self.scene.card.insert().await;
        self.scene.line.event("inserted", Some(READERS[0])).await;
    }

    /// The swap is done: the new key signs where the old one was, and the old one where it was put.
    async fn assert_swapped(&mut self, when: &str) {
        let (new, old) = (key_of(&self.new), key_of(self.scene.old("9c")));
        self.scene.signs("9c", &new).await.unwrap_or_else(|error| panic!("{when}: {error}"));
        self.scene.signs("83", &old).await.unwrap_or_else(|error| panic!("{when}: {error}"));
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("made");
    for entry in std::fs::read_dir(from).expect("listed") {
        let entry = entry.expect("an entry");
        let kind = entry.file_type().expect("a kind");
        if kind.is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()));
        } else if kind.is_file() {
            std::fs::copy(entry.path(), to.join(entry.file_name())).expect("copied");
        }
    }
}

#[tokio::test]
async fn a_card_that_is_pulled_in_the_middle_of_a_swap_is_made_whole() {
    let mut ready = Ready::new().await;
    let mut struck = 0;
    for at in (1..).step_by(3) {
        let fault = if at % 2 == 0 { Fault::Remove.after() } else { Fault::Remove };
        ready.insert_twin(&format!("pulled-{at}")).await;
        ready.scene.card.fails_at(at, &fault).await;
        let outcome = ready.scene.step(&ready.swap).await;
        if ready.scene.card.fired().await == 0 {
            assert_eq!(outcome, DONE, "the whole swap has fewer commands");
            break;
        }
        assert_eq!(outcome, Err(CardError::Removed {}), "at {at}");
        ready.insert_again().await;
        assert_eq!(ready.scene.step(&ready.swap).await, DONE, "after {fault} at {at}");
        ready.assert_swapped(&format!("after {fault} at {at}")).await;
        ready.pull().await;
        struck += 1;
    }
    assert!(struck > 15, "{struck}");
}

#[tokio::test]
async fn a_card_that_fails_in_the_middle_of_a_swap_is_made_whole() {
    let mut ready = Ready::new().await;
    for (at, status) in (1..).step_by(3).zip([0x6F00, 0x6982, 0x6A80, 0x6985].into_iter().cycle()) {
        let fault = if at % 2 == 0 { Fault::Status(status).after() } else { Fault::Status(status) };
        ready.insert_twin(&format!("failed-{at}")).await;
        ready.scene.card.fails_at(at, &fault).await;
        let outcome = ready.scene.step(&ready.swap).await;
        let fired = ready.scene.card.fired().await;
        ready.scene.card.works_again().await;
        assert_eq!(ready.scene.step(&ready.swap).await, DONE, "after {fault} at {at}, which gave {outcome:?}");
        ready.assert_swapped(&format!("after {fault} at {at}")).await;
        ready.pull().await;
        if fired == 0 {
            return;
        }
    }
}

#[tokio::test]
async fn a_card_that_answers_without_end_is_left() {
    let mut scene = Scene::new(CardKind::Moves).await;
    for answer in [vec![0x61, 0x00], [vec![0x53; 256], vec![0x61, 0xFF]].concat(), vec![0x6C, 0x01]] {
        scene.card.reset_count().await;
        scene.card.fails_from(3, &Fault::Answer(answer.clone())).await;
        let outcome = scene.line.look(READERS[0]).await;
        assert!(matches!(outcome, Err(CardError::Failed { .. })), "{outcome:?}");
        assert!(scene.card.count().await < 600, "left after some time");
        scene.card.works_again().await;
        scene.look().await;
    }
}
