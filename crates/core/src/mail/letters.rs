//! The letters that came: the fold of their records. Owns what tells a mail that came again from one that is sent again.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Duration, Utc};

use super::{Facts, Letter, Standing};
use crate::certificate::Fingerprint;

/// How many letters that are not trusted are written down within a day: whoever sends more fills no disk.
const MOST_IN_A_DAY: usize = 40;

/// All letters that were written down, the oldest first.
#[derive(Clone, Debug, Default)]
pub struct Letters {
    all: Vec<Letter>,
    by_digest: BTreeMap<(Fingerprint, String), usize>,
    message_ids: HashMap<String, Fingerprint>,
    bodies: HashMap<Fingerprint, Fingerprint>,
    keys: BTreeMap<String, Fingerprint>,
}

impl Letters {
    /// Takes a letter in. One that could not be judged before and is now takes the place of the earlier judgement.
    pub fn add(&mut self, letter: Letter) {
        if letter.standing == Standing::Trusted {
            if let Some(id) = &letter.message_id {
                self.message_ids.entry(id.clone()).or_insert(letter.digest);
            }
            self.bodies.entry(letter.body).or_insert(letter.digest);
            for (name, key) in &letter.keys {
                self.keys.entry(name.clone()).or_insert(*key);
            }
        }
        let position = *self.by_digest.entry((letter.digest, letter.programme.clone())).or_insert(self.all.len());
        if position < self.all.len() {
            self.all[position] = letter;
        } else {
            self.all.push(letter);
        }
    }

    /// All of them, the oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Letter> {
        self.all.iter()
    }

    /// The letters that this very mail was: one by each programme that it concerned.
    pub fn all_of(&self, digest: &Fingerprint) -> impl Iterator<Item = &Letter> + use<'_> {
        let digest = *digest;
        let of_mail = self.by_digest.range((digest, String::new())..).take_while(move |((other, _), _)| *other == digest);
        of_mail.map(|(_, position)| &self.all[*position])
    }

    /// The letter that this very mail was by the first of those programmes.
    pub fn of(&self, digest: &Fingerprint) -> Option<&Letter> {
        self.all_of(digest).next()
    }

    /// Whether a letter is to be written down: it is new or now better known, and not one of too many.
    pub fn wants(&self, letter: &Letter, now: DateTime<Utc>) -> bool {
        if let Some(before) = self.all_of(&letter.digest).find(|before| before.programme == letter.programme) {
            let better = letter.standing == Standing::Trusted || before.is_worth_another_try();
            return better && before.standing != letter.standing;
        }
        let day = now - Duration::days(1);
        let recent = self.all.iter().rev().take_while(|before| before.arrived > day);
        letter.standing == Standing::Trusted
            || recent.filter(|before| before.standing != Standing::Trusted).count() < MOST_IN_A_DAY
    }

    /// Whether a trusted mail with this Message-ID or this body has come before, and was another mail. Copies that no signature
    /// vouched for count not: whoever sends one first must not make the right one look late.
    pub(super) fn is_replayed(&self, facts: &Facts) -> bool {
        let by_id = facts.heads.message_id.as_ref().and_then(|id| self.message_ids.get(id));
        [by_id, self.bodies.get(&facts.body)].into_iter().flatten().any(|digest| *digest != facts.digest)
    }

    /// Whether trusted mails were signed by another key of this name.
    pub(super) fn knows_other_key(&self, name: &str, key: Fingerprint) -> bool {
        self.keys.get(name).is_some_and(|known| *known != key)
    }
}
