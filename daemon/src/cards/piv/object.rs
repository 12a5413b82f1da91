//! What stands in the card's data objects (NIST SP 800-73-4 part 1, appendix A), read and written without a card.

use std::io::Read;

use flate2::read::{GzDecoder, ZlibDecoder};
use iso7816::tlv::Tag;
use obnova_core::certificate::LONGEST;
use obnova_core::job::Bytes;
use zeroize::Zeroizing;

use super::tlv::{self, object};

/// Of the byte `CertInfo`: the certificate is compressed.
const COMPRESSED: u8 = 0x01;

/// What lies in a certificate's object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stored {
    /// Nothing.
    Nothing,
    /// DER of a certificate.
    Certificate(Vec<u8>),
    /// Something that is none, or that expands beyond all measure.
    Strange,
}

impl Stored {
    /// From the content of an object, inside of `53`.
    pub(super) fn parse(content: &[u8]) -> Self {
        let Some(stored) = tlv::find(&[0x70], content).filter(|stored| !stored.is_empty()) else {
            return if content.iter().all(|byte| *byte == 0) || is_hollow(content) { Self::Nothing } else { Self::Strange };
        };
        let compressed = tlv::find(&[0x71], content).and_then(<[u8]>::first).is_some_and(|info| info & COMPRESSED != 0);
        let der = if compressed { expanded(stored) } else { (stored.len() <= LONGEST).then(|| stored.to_vec()) };
        match der {
            Some(der) if super::key::PublicKey::of_certificate(&der).is_some() => Self::Certificate(der),
            _ => Self::Strange,
        }
    }
}

/// The content of a certificate's object, not compressed.
pub(super) fn certificate(der: &[u8]) -> Zeroizing<Vec<u8>> {
    tlv::joined(&[&object(0x70, der), &object(0x71, &[0]), &object(0xFE, &[])])
}

/// Objects that say there is no certificate: `70` and its companions, all without content.
fn is_hollow(content: &[u8]) -> bool {
    tlv::objects(content).all(|object| object.is_ok_and(|(_, value)| value.iter().all(|byte| *byte == 0)))
}

/// GZIP as the standard says, or zlib as some programs write it: told apart by their first bytes.
fn expanded(bytes: &[u8]) -> Option<Vec<u8>> {
    fn read(from: impl Read) -> Option<Vec<u8>> {
        let mut der = Vec::new();
        let limit = u64::try_from(LONGEST).ok()? + 1;
        from.take(limit).read_to_end(&mut der).ok()?;
        (der.len() <= LONGEST).then_some(der)
    }
    match bytes {
        [0x1F, 0x8B, ..] => read(GzDecoder::new(bytes)),
        // Some minidrivers put two bytes of type and two of length before zlib.
        [0x01, 0x00, _, _, zlib @ ..] => read(ZlibDecoder::new(zlib)),
        [0x78, ..] => read(ZlibDecoder::new(bytes)),
        _ => None,
    }
}

/// The card's own number, from the content of its CHUID: the GUID, or the FASC-N where the GUID is empty.
pub(super) fn card_number(chuid: &[u8]) -> Option<String> {
    let told = |tag, length: usize| {
        tlv::find(&[tag], chuid).filter(|value| value.len() == length && value.iter().any(|byte| *byte != 0))
    };
    let federal = told(0x30, 25).filter(|number| !number.starts_with(&NO_AGENCY));
    told(0x34, 16).or(federal).map(|number| Bytes(number.to_vec()).into())
}

/// How a FASC-N begins whose agency, system and credential are all nines: the same on every card outside of the agencies.
const NO_AGENCY: [u8; 4] = [0xD4, 0xE7, 0x39, 0xDA];

/// Key History. All but the number of keys stays as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct History {
    content: Vec<u8>,
    /// Where in it the number of keys stands.
    keys_at: usize,
}

/// The history of a card without retired keys.
const NO_HISTORY: [u8; 8] = [0xC1, 1, 0, 0xC2, 1, 0, 0xFE, 0];

impl History {
    /// From the content of the object; of none where the card has none.
    pub(super) fn parse(content: &[u8]) -> Option<Self> {
        let content = if content.is_empty() { &NO_HISTORY } else { content };
        let mut rest = content;
        while let Some((tag, value, after)) = iso7816::tlv::take_data_object(rest) {
            rest = after;
            if tag == Tag::from(0xC1_u8) && value.len() == 1 {
                return Some(Self { content: content.to_vec(), keys_at: content.len() - rest.len() - 1 });
            }
        }
        None
    }

    /// How many retired keys, from 0x82 on, programs may expect.
    pub(super) fn keys(&self) -> u8 {
        self.content[self.keys_at]
    }

    /// The same with another number of keys.
    pub(super) fn with_keys(&self, keys: u8) -> Self {
        let mut changed = self.clone();
        changed.content[self.keys_at] = keys;
        changed
    }

    /// The content of the object.
    pub(super) fn content(&self) -> &[u8] {
        &self.content
    }
}

/// What ykman wrote: whether it keeps the management key behind the PIN.
pub(super) fn keeps_management_key(content: &[u8]) -> bool {
    tlv::find(&[0x80, 0x81], content).and_then(<[u8]>::first).is_some_and(|flags| flags & 0x02 != 0)
}

/// The management key behind the PIN, in ykman's form.
pub(super) fn kept_management_key(content: &[u8]) -> Option<&[u8]> {
    tlv::find(&[0x88, 0x89], content)
}

/// The PIN that a discovery object names as the one that people use: 80 is the card's, 00 the global one.
pub(super) fn pin_reference(discovery: &[u8]) -> u8 {
    match tlv::find(&[0x5F2F], discovery) {
        // SP 800-73-4 part 1, 3.3.2: both satisfy the card's rules, and the global PIN is the primary one.
        Some(&[policy, 0x20, ..]) if policy & 0x20 != 0 => 0x00,
        _ => 0x80,
    }
}

/// What SELECT tells of the application: how it calls itself, and the algorithms that it names.
pub(super) fn properties(template: &[u8]) -> (String, Vec<u8>) {
    let label = tlv::find(&[0x61, 0x50], template).map(|label| String::from_utf8_lossy(label).into_owned());
    let label = label.unwrap_or_default().chars().filter(|letter| !letter.is_control()).take(64).collect();
    let named = tlv::find(&[0x61, 0xAC], template).unwrap_or_default();
    let algorithm = |object: Result<(Tag, &[u8]), tlv::Malformed>| match object {
        Ok((tag, &[algorithm])) if tag == Tag::from(0x80_u8) => Some(algorithm),
        _ => None,
    };
    (label, tlv::objects(named).filter_map(algorithm).collect())
}
