//! The card in software, before anything relies on it: that it answers as the cards do that it stands for, and that programs of
//! other people, who know nothing of us, take it for one of them.

mod answers;
mod keys;
mod mishaps;
mod presence;
mod secrets;
mod witnesses;

use obnova_tests::CardKind;
use obnova_tests::card::Wire;
use tempfile::TempDir;

/// A new card on a line of its own, and the directory of its state.
async fn new_card(kind: CardKind) -> (Wire, TempDir) {
    let state = tempfile::tempdir().expect("a directory");
    (Wire::open(kind, state.path()).await, state)
}
