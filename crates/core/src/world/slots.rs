//! Room for very many things of one kind. Owns no order and no index: who looks for a thing by what it is keeps the numbers of
//! slots, which take four bytes where a key would take thirty.

use std::num::NonZeroU32;

/// The number of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot(NonZeroU32);

/// Things in slots, in one piece of memory. A slot that has become free is taken again.
#[derive(Debug)]
pub(super) struct Slots<T> {
    slots: Vec<Option<T>>,
    free: Vec<Slot>,
}

impl<T> Slots<T> {
    pub(super) const fn new() -> Self {
        Self { slots: Vec::new(), free: Vec::new() }
    }

    /// Puts a thing into a free slot.
    pub(super) fn insert(&mut self, thing: T) -> Slot {
        if let Some(slot) = self.free.pop() {
            self.slots[slot.index()] = Some(thing);
            return slot;
        }
        // Saturates: four thousand million things do not fit into the memory.
        let slot = Slot(NonZeroU32::MIN.saturating_add(self.slots.len().try_into().unwrap_or(u32::MAX)));
        self.slots.push(Some(thing));
        slot
    }

    /// Empties a slot.
    pub(super) fn remove(&mut self, slot: Slot) -> Option<T> {
        let thing = self.slots.get_mut(slot.index())?.take()?;
        self.free.push(slot);
        Some(thing)
    }

    pub(super) fn get(&self, slot: Slot) -> Option<&T> {
        self.slots.get(slot.index())?.as_ref()
    }

    pub(super) fn get_mut(&mut self, slot: Slot) -> Option<&mut T> {
        self.slots.get_mut(slot.index())?.as_mut()
    }

    /// All things, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.slots.iter().flatten()
    }

    /// Whether the thing in a slot is like that.
    pub(super) fn is(&self, slot: Slot, like: impl FnOnce(&T) -> bool) -> bool {
        self.get(slot).is_some_and(like)
    }
}

impl Slot {
    const fn index(self) -> usize {
        self.0.get() as usize - 1
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
