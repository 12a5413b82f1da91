//! Letters in the world: what they lead to, and what they never do.

use chrono::DateTime;

use crate::certificate::Fingerprint;
use crate::mail::{Content, Kind, Letter, Standing};
use crate::record::{Entry, Record};
use crate::{World, programme};

/// Invariant 5: no mail starts anything, whatever it is about and however well it is signed.
#[test]
fn no_letter_starts_anything() {
    let mut world = World::new(programme::built_in().expect("right programmes"));
    let at = DateTime::from_timestamp(1_790_000_000, 0).expect("a time");
    let kinds = [Kind::Invitation, Kind::Issued, Kind::PaymentDue, Kind::Rejected, Kind::Challenge, Kind::Other];
    let letters = kinds.map(|kind| {
        let letter = Letter {
            digest: Fingerprint::of(kind.as_str().as_bytes()),
            body: Fingerprint::of(kind.as_str().as_bytes()),
            message_id: Some(format!("{}@authority.example", kind.as_str())),
            programme: "self-signed".into(),
            kind,
            standing: Standing::Trusted,
            sender: "renewal@authority.example".into(),
            date: Some(at),
            arrived: at,
            content: Content { to: vec!["anna@example.org".into()], sealed: false, serial: None, link: None },
            keys: Vec::new(),
        };
        Record::Letter { letter: Box::new(letter) }
    });
    for (sequence, record) in (1..).zip([Record::Born { salt: "00".into() }].into_iter().chain(letters)) {
        world.apply(&Entry { sequence, at, record }).expect("a record that can follow");
    }
    assert_eq!(world.letters().iter().count(), kinds.len());
    assert_eq!((world.jobs().count(), world.watches().count()), (0, 0));
}
