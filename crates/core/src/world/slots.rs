//! Room for very many things of one kind. Owns no order and no index: who looks for a thing by what it is keeps the numbers of
//! slots, which take four bytes where a key would take thirty.

use std::num::NonZeroU32;

/// The number of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot(NonZeroU32);

/// How many slots stand in one piece of memory.
const PIECE: usize = 32;

/// Things in slots. A slot that has become free is taken again. They stay where they are when more are added: pieces that had
/// to grow would leave holes of all sizes behind them.
#[derive(Debug)]
pub(super) struct Slots<T> {
    pieces: Vec<Vec<Option<T>>>,
    free: Vec<Slot>,
}

impl<T> Slots<T> {
    pub(super) const fn new() -> Self {
        Self { pieces: Vec::new(), free: Vec::new() }
    }

    /// Puts a thing into a free slot.
    pub(super) fn insert(&mut self, thing: T) -> Slot {
        if let Some(slot) = self.free.pop() {
            let (piece, at) = slot.position();
            self.pieces[piece][at] = Some(thing);
            return slot;
        }
        let piece = self.pieces.pop_if(|last| last.len() < PIECE);
        let mut piece = piece.unwrap_or_else(|| Vec::with_capacity(PIECE));
        let slot = Slot::at(self.pieces.len(), piece.len());
        piece.push(Some(thing));
        self.pieces.push(piece);
        slot
    }

    /// Empties a slot.
    pub(super) fn remove(&mut self, slot: Slot) -> Option<T> {
        let (piece, at) = slot.position();
        let thing = self.pieces.get_mut(piece)?.get_mut(at)?.take()?;
        self.free.push(slot);
        Some(thing)
    }

    pub(super) fn get(&self, slot: Slot) -> Option<&T> {
        let (piece, at) = slot.position();
        self.pieces.get(piece)?.get(at)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, slot: Slot) -> Option<&mut T> {
        let (piece, at) = slot.position();
        self.pieces.get_mut(piece)?.get_mut(at)?.as_mut()
    }

    /// All things, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.pieces.iter().flatten().flatten()
    }

    /// Whether the thing in a slot is like that.
    pub(super) fn is(&self, slot: Slot, like: impl FnOnce(&T) -> bool) -> bool {
        self.get(slot).is_some_and(like)
    }
}

impl Slot {
    fn at(piece: usize, at: usize) -> Self {
        // Saturates: four thousand million things do not fit into the memory.
        Self(NonZeroU32::MIN.saturating_add(u32::try_from(piece * PIECE + at).unwrap_or(u32::MAX)))
    }

    const fn position(self) -> (usize, usize) {
        let number = self.0.get() as usize - 1;
        (number / PIECE, number % PIECE)
    }
}

/// A list that is nearly always of one: that one takes no memory of its own.
#[derive(Debug, Default)]
pub(super) enum Few<T> {
    #[default]
    None,
    One(T),
    #[expect(clippy::box_collection, reason = "as small as the one that is the rule")]
    More(Box<Vec<T>>),
}

impl<T: Copy + PartialEq> Few<T> {
    pub(super) fn as_slice(&self) -> &[T] {
        match self {
            Self::None => &[],
            Self::One(one) => std::slice::from_ref(one),
            Self::More(more) => more,
        }
    }

    pub(super) fn push(&mut self, thing: T) {
        match self {
            Self::None => *self = Self::One(thing),
            Self::One(one) => *self = Self::More(Box::new(vec![*one, thing])),
            Self::More(more) => more.push(thing),
        }
    }

    /// Takes out one that equals this; the order of the others may change.
    pub(super) fn remove(&mut self, thing: T) {
        let Some(position) = self.as_slice().iter().position(|other| *other == thing) else { return };
        match self {
            Self::None | Self::One(_) => *self = Self::None,
            Self::More(more) => {
                more.swap_remove(position);
                if let [one] = more.as_slice() {
                    *self = Self::One(*one);
                }
            }
        }
    }
}
