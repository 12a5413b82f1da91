//! A transcript of a step takes the card's place: the same commands are sent again, byte for byte.
//!
//! With `RECORD=DIRECTORY` the transcripts are left there; those in `daemon/tests/cards/` were made so.

use super::*;

#[tokio::test]
async fn looking_and_signing_send_the_same_commands_again() {
    for kind in [CardKind::Moves, CardKind::Generates, CardKind::Strict] {
        let mut scene = Scene::new(kind).await;
        let transcript = scene.readers.state("transcript");
        scene.card.remove().await;
        scene.line.event("removed", Some(READERS[0])).await;
        scene.card.record(&transcript).await;
        scene.card.insert().await;
        scene.line.event("inserted", Some(READERS[0])).await;
        let seen = scene.look().await;
        let key = key_of(scene.old("9a"));
        scene.signs("9a", &key).await.expect("a signature");
        let recorded = std::fs::read_to_string(&transcript).expect("a transcript");
        assert!(!recorded.to_uppercase().contains("313233343536"), "the PIN is in it");
        if let Some(directory) = std::env::var_os("RECORD") {
            let name = format!("{kind:?}.apdu").to_lowercase();
            std::fs::write(std::path::Path::new(&directory).join(name), &recorded).expect("written");
        }

        scene.card.remove().await;
        scene.line.event("removed", Some(READERS[0])).await;
        let mut replayed = scene.readers.replay(&transcript, &scene.readers.state("replay")).await;
        scene.line.event("inserted", Some(READERS[0])).await;
        assert_eq!(scene.look().await, seen, "{kind:?}");
        scene.signs("9a", &key).await.expect("the recorded signature");
        let followed = replayed.replayed().await;
        assert_eq!((followed.done, followed.strange), (followed.of, None), "{kind:?}");
    }
}
