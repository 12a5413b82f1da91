//! Where a PIV card keeps keys and objects (NIST SP 800-73-4 part 1, table 4b and 3.1.3; part 2, 2.4.1).

use obnova_core::card::Spot;

use crate::cards::step::CardError;

/// A slot for a key, and with it the object of its certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Slot(u8);

/// The number of a data object.
pub(super) type ObjectId = [u8; 3];

/// Card Holder Unique Identifier.
pub(super) const CHUID: ObjectId = [0x5F, 0xC1, 0x02];
/// Printed Information; read after the PIN only, and so where ykman keeps a management key.
pub(super) const PRINTED: ObjectId = [0x5F, 0xC1, 0x09];
/// Key History.
pub(super) const KEY_HISTORY: ObjectId = [0x5F, 0xC1, 0x0C];
/// Where ykman notes what it has done with PUK and management key.
pub(super) const YKMAN: ObjectId = [0x5F, 0xFF, 0x00];

impl Slot {
    pub(super) const AUTHENTICATION: Self = Self(0x9A);
    pub(super) const SIGNATURE: Self = Self(0x9C);
    pub(super) const KEY_MANAGEMENT: Self = Self(0x9D);
    pub(super) const CARD_AUTHENTICATION: Self = Self(0x9E);
    /// The first of the 20 retired keys.
    pub(super) const FIRST_RETIRED: Self = Self(0x82);
    const LAST_RETIRED: Self = Self(0x95);

    /// All of them, the four that programs use by themselves first.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        [Self::AUTHENTICATION, Self::SIGNATURE, Self::KEY_MANAGEMENT, Self::CARD_AUTHENTICATION]
            .into_iter()
            .chain(Self::retired())
    }

    /// The retired ones.
    pub(super) fn retired() -> impl DoubleEndedIterator<Item = Self> {
        (Self::FIRST_RETIRED.0..=Self::LAST_RETIRED.0).map(Self)
    }

    pub(super) fn parse(at: &Spot) -> Result<Self, CardError> {
        let number = u8::from_str_radix(&at.0, 16).ok();
        let slot = number.and_then(|number| Self::all().find(|slot| slot.0 == number && slot.spot() == *at));
        slot.ok_or_else(|| CardError::Unsupported { what: format!("hold keys in {at}") })
    }

    pub(super) fn spot(self) -> Spot {
        Spot(format!("{:02x}", self.0))
    }

    /// The key reference, P2 of most commands.
    pub(super) fn reference(self) -> u8 {
        self.0
    }

    /// Among the retired keys the first is 1; `None` for the others.
    pub(super) fn retired_number(self) -> Option<u8> {
        (Self::FIRST_RETIRED..=Self::LAST_RETIRED).contains(&self).then(|| self.0 - Self::FIRST_RETIRED.0 + 1)
    }

    /// The object of the certificate.
    pub(super) fn object(self) -> ObjectId {
        let last = match self {
            Self::AUTHENTICATION => 0x05,
            Self::SIGNATURE => 0x0A,
            Self::KEY_MANAGEMENT => 0x0B,
            Self::CARD_AUTHENTICATION => 0x01,
            Self(retired) => retired - Self::FIRST_RETIRED.0 + 0x0D,
        };
        [0x5F, 0xC1, last]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_have_their_objects_and_one_name() {
        let objects: std::collections::BTreeSet<ObjectId> = Slot::all().map(Slot::object).collect();
        assert_eq!(objects.len(), 24);
        let object = |name: &str| Slot::parse(&Spot(name.into())).expect("a slot").object();
        assert_eq!([object("9a"), object("9c"), object("9d"), object("9e")].map(|id| id[2]), [0x05, 0x0A, 0x0B, 0x01]);
        assert_eq!([object("82"), object("95")].map(|id| id[2]), [0x0D, 0x20]);
        for wrong in ["", "9A", "9b", "81", "96", "082", "+9a", "zz"] {
            assert!(Slot::parse(&Spot(wrong.into())).is_err(), "{wrong}");
        }
        assert_eq!(Slot::retired().filter_map(Slot::retired_number).collect::<Vec<_>>(), (1..=20).collect::<Vec<_>>());
        assert_eq!(Slot::SIGNATURE.retired_number(), None);
    }
}
