//! What is to go wrong, and at which command.

/// One thing that goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    first: u64,
    last: u64,
    /// Whether the command is performed all the same, and only its answer lost.
    pub(crate) after: bool,
    /// What comes instead of the answer.
    pub(crate) effect: Effect,
}

/// What comes instead of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// The card is pulled.
    Remove,
    /// The program ends; the reader sees a card that was pulled.
    Exit,
    /// These bytes: a status word, or anything.
    Answer(Vec<u8>),
}

impl Fault {
    /// Reads `N remove`, `N exit`, `N status SW`, `N answer HEX`, each also with `-after`; `N` counts from 1. With `on` it is N
    /// and every later one.
    pub(crate) fn parse(on: bool, words: &[&str]) -> Option<Self> {
        let [number, what, ref details @ ..] = *words else { return None };
        let first = number.parse().ok().filter(|number| *number > 0)?;
        let (name, after) = what.strip_suffix("-after").map_or((what, false), |name| (name, true));
        let effect = match (name, details) {
            ("remove", []) => Effect::Remove,
            ("exit", []) => Effect::Exit,
            ("status", [word]) if word.len() == 4 => Effect::Answer(hex::decode(word).ok()?),
            ("answer", [bytes]) => Effect::Answer(hex::decode(bytes).ok()?),
            _ => return None,
        };
        Some(Self { first, last: if on { u64::MAX } else { first }, after, effect })
    }

    /// Whether it strikes at this command.
    pub(crate) fn strikes(&self, number: u64) -> bool {
        (self.first..=self.last).contains(&number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_read() {
        let one = Fault::parse(false, &["3", "status-after", "6F00"]).expect("a fault");
        assert_eq!((one.after, &one.effect), (true, &Effect::Answer(vec![0x6F, 0])));
        assert_eq!([2, 3, 4].map(|number| one.strikes(number)), [false, true, false]);
        let more = Fault::parse(true, &["3", "answer", "6100"]).expect("a fault");
        assert_eq!([2, 3, 4].map(|number| more.strikes(number)), [false, true, true]);
        for wrong in [&["0", "remove"][..], &["1"], &["1", "status", "9"], &["1", "status"], &["x", "exit"], &["1", "burn"]] {
            assert_eq!(Fault::parse(false, wrong), None, "{wrong:?}");
        }
    }
}
