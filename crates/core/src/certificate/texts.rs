//! The texts and the number in a certificate, in one piece of memory: most are a few words, and a hundred thousand
//! certificates of four small pieces each would mostly consist of their seams.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// Subject, issuer, name and serial number of a certificate.
#[derive(Clone, PartialEq, Eq)]
pub struct Texts {
    /// The subject; the name, where it is no part of the subject; the addresses, a line feed behind each; the serial number.
    bytes: Box<[u8]>,
    /// Where the subject ends.
    subject: u32,
    /// Where the name stands.
    name: Range<u32>,
    /// How long the addresses are.
    addresses: u32,
    /// The issuer, where it is not the subject.
    issuer: Option<Arc<str>>,
}

impl Texts {
    /// Puts them together. `subject` and `issuer`: RFC 4514; `name`: what a person calls the certificate; `addresses`: for mail, a
    /// line feed behind each; `serial`: big-endian, without leading zeros.
    pub fn new(subject: &str, issuer: &str, name: &str, addresses: &str, serial: &[u8]) -> Self {
        let within = subject.find(name);
        let start = within.unwrap_or(subject.len());
        let apart = if within.is_some() { "" } else { name };
        // Saturates: a certificate that is read is far smaller.
        let at = |position: usize| u32::try_from(position).unwrap_or(u32::MAX);
        Self {
            bytes: [subject.as_bytes(), apart.as_bytes(), addresses.as_bytes(), serial].concat().into(),
            subject: at(subject.len()),
            name: at(start)..at(start + name.len()),
            addresses: at(addresses.len()),
            issuer: (issuer != subject).then(|| issuer.into()),
        }
    }

    /// Distinguished name of the subject, RFC 4514.
    pub fn subject(&self) -> &str {
        self.text(0..self.subject)
    }

    /// Distinguished name of the issuer, RFC 4514.
    pub fn issuer(&self) -> &str {
        self.issuer.as_deref().unwrap_or_else(|| self.subject())
    }

    /// The issuer's text, where it is not the subject's: certificates of one issuer may share it.
    pub(crate) fn other_issuer(&self) -> Option<&Arc<str>> {
        self.issuer.as_ref()
    }

    /// The same, to be replaced by an equal one.
    pub(crate) fn other_issuer_mut(&mut self) -> Option<&mut Arc<str>> {
        self.issuer.as_mut()
    }

    /// What a person calls it.
    pub fn name(&self) -> &str {
        self.text(self.name.clone())
    }

    /// The addresses for mail, in lower case, a line feed behind each.
    pub fn addresses(&self) -> &str {
        let start = self.subject.max(self.name.end);
        self.text(start..start.saturating_add(self.addresses))
    }

    /// Serial number, big-endian, without leading zeros.
    pub fn serial(&self) -> &[u8] {
        let texts = self.subject.max(self.name.end).saturating_add(self.addresses);
        self.bytes.get(texts as usize..).unwrap_or_default()
    }

    fn text(&self, at: Range<u32>) -> &str {
        let bytes = self.bytes.get(at.start as usize..at.end as usize).unwrap_or_default();
        // Cut where texts were put together: always whole letters.
        std::str::from_utf8(bytes).unwrap_or_default()
    }
}

impl fmt::Debug for Texts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (subject, issuer, name) = (self.subject(), self.issuer(), self.name());
        write!(f, "{name:?}, {subject:?} of {issuer:?}, {}", super::hex(self.serial()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_was_put_together_comes_out(
            subject in ".{0,9}", issuer in ".{0,9}", name in ".{0,9}", part in any::<(prop::sample::Index, prop::sample::Index)>(),
            addresses in "([a-z@]{1,5}\n){0,3}", serial in proptest::collection::vec(any::<u8>(), 0..30), same in any::<[bool; 2]>(),
        ) {
            let issuer = if same[0] { &subject } else { &issuer };
            let mut ends: Vec<usize> = subject.char_indices().map(|(at, _)| at).chain([subject.len()]).collect();
            ends = vec![ends[part.0.index(ends.len())], ends[part.1.index(ends.len())]];
            ends.sort_unstable();
            let name = if same[1] { &subject[ends[0]..ends[1]] } else { &name };
            let texts = Texts::new(&subject, issuer, name, &addresses, &serial);
            prop_assert_eq!(texts.addresses(), &*addresses);
            prop_assert_eq!((texts.subject(), texts.issuer(), texts.name(), texts.serial()), (&*subject, &**issuer, name, &*serial));
            prop_assert_eq!(texts.other_issuer().is_none(), *issuer == subject);
            prop_assert_eq!(Texts::new(texts.subject(), texts.issuer(), texts.name(), texts.addresses(), texts.serial()), texts);
        }
    }
}
