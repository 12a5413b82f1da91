//! The PIV application of a card, selected: who it is, what it tells of its keys, its objects. Decides nothing about keys.

use std::cell::OnceCell;

use iso7816::Status;
use obnova_core::Place;
use obnova_core::card::CardKind;
use obnova_core::certificate::KeyAlgorithm;
use zeroize::Zeroizing;

use super::Transmit;
use super::apdu::{self, Answer, Command, exchange, refused};
use super::key::{self, PublicKey};
use super::object::{self, History, Stored};
use super::slot::{self, ObjectId, Slot};
use super::tlv;
use crate::cards::step::CardError;

const SELECT: u8 = 0xA4;
const GET_DATA: u8 = 0xCB;
const PUT_DATA: u8 = 0xDB;
const GET_METADATA: u8 = 0xF7;
const GET_SERIAL: u8 = 0xF8;
const GET_VERSION: u8 = 0xFD;

/// The application's identifier without its version (SP 800-73-4 part 1, 2.2).
const AID: [u8; 9] = [0xA0, 0x00, 0x00, 0x03, 0x08, 0x00, 0x00, 0x10, 0x00];

/// The management key's reference.
pub(super) const MANAGEMENT: u8 = 0x9B;

/// An application, selected. Whoever has verified, or tried to, says so by `opened`.
pub(super) struct Applet<'card, C> {
    card: &'card mut C,
    label: String,
    named_algorithms: Vec<u8>,
    version: OnceCell<Option<[u8; 3]>>,
    place: OnceCell<Place>,
    /// The PIN may be verified: the card must be reset in the end.
    pub(super) opened: bool,
}

/// What a card tells of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Metadata {
    pub(super) key: Told,
    /// When PIN and touch are demanded, as GENERATE takes it.
    pub(super) policies: Option<Policies>,
}

/// Whether there is a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// None: the card says so.
    None,
    /// This one.
    Key(PublicKey),
    /// The card does not say.
    Nothing,
}

/// PIN and touch policy as Yubico numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Policies {
    pub(super) pin: u8,
    pub(super) touch: u8,
}

impl Policies {
    pub(super) const NEVER: u8 = 1;
    pub(super) const ALWAYS: u8 = 3;
    const MATCH_ALWAYS: u8 = 5;

    /// The PIN (or a finger) before each use.
    pub(super) fn always(self) -> bool {
        matches!(self.pin, Self::ALWAYS | Self::MATCH_ALWAYS)
    }

    /// A touch at some uses or all.
    pub(super) fn touch(self) -> bool {
        self.touch > Self::NEVER
    }
}

/// What GET METADATA tells of PIN, PUK or management key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct SecretMetadata {
    pub(super) algorithm: Option<u8>,
    pub(super) touch: bool,
    /// It is the one that the card left the factory with.
    pub(super) factory: bool,
    /// Tries left.
    pub(super) left: Option<u8>,
}

impl<'card, C: Transmit> Applet<'card, C> {
    /// Selects it.
    pub(super) fn select(card: &'card mut C) -> Result<Self, CardError> {
        let mut applet = Self {
            card,
            label: String::new(),
            named_algorithms: Vec::new(),
            version: OnceCell::new(),
            place: OnceCell::new(),
            opened: false,
        };
        applet.select_again()?;
        Ok(applet)
    }

    fn select_again(&mut self) -> Result<(), CardError> {
        let command = Command { instruction: SELECT, p1: 0x04, p2: 0, data: &AID, answers: true };
        let answer = self.exchange(&command)?;
        match answer.status {
            Status::Success => (self.label, self.named_algorithms) = object::properties(&answer.data),
            Status::NotFound
            | Status::InstructionNotSupportedOrInvalid
            | Status::ClassNotSupported
            | Status::FunctionNotSupported => {
                return Err(CardError::Unsupported { what: "PIV".to_owned() });
            }
            status => return Err(refused("SELECT", status)),
        }
        Ok(())
    }

    /// Leaves the card so that nobody profits from what was done here.
    pub(super) fn close(self) -> Result<(), CardError> {
        // A card without power has forgotten everything by itself.
        if !self.opened {
            return Ok(());
        }
        match self.card.reset() {
            Ok(()) | Err(super::TransportError::Removed) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes the card forget what others have verified.
    pub(super) fn forget(&mut self) -> Result<(), CardError> {
        self.card.reset()?;
        self.opened = false;
        self.select_again()
    }

    pub(super) fn exchange(&mut self, command: &Command<'_>) -> Result<Answer, CardError> {
        exchange(self.card, command)
    }

    pub(super) fn card(&mut self) -> &mut C {
        self.card
    }

    // --- who it is ---

    /// The card's own number: its GUID, else the serial number that a YubiKey tells.
    pub(super) fn place(&mut self) -> Result<Place, CardError> {
        if let Some(known) = self.place.get() {
            return Ok(known.clone());
        }
        // Where it is refused, not missing, its other number would make another card of it.
        let guid = self.get(slot::CHUID)?.and_then(|content| object::card_number(&content));
        let number = match guid {
            Some(guid) => guid,
            None => self.serial()?.ok_or_else(|| CardError::Unsupported { what: "be told from others".to_owned() })?,
        };
        let place = Place::piv(&number).map_err(|error| CardError::Failed { detail: format!("the card's number: {error}") })?;
        Ok(self.place.get_or_init(|| place).clone())
    }

    /// What the application calls itself.
    pub(super) fn label(&self) -> &str {
        &self.label
    }

    /// The serial number as a YubiKey prints it on itself.
    pub(super) fn serial(&mut self) -> Result<Option<String>, CardError> {
        if self.version()?.is_none() {
            return Ok(None);
        }
        let answer = self.plain(GET_SERIAL, 0)?;
        let done = answer.is_done("GET SERIAL")?;
        let number = <[u8; 4]>::try_from(answer.data.as_slice()).ok().filter(|_| done);
        Ok(number.map(u32::from_be_bytes).filter(|number| *number != 0).map(|number| number.to_string()))
    }

    /// What GET VERSION says, which a YubiKey knows, and others that follow it.
    pub(super) fn version(&mut self) -> Result<Option<[u8; 3]>, CardError> {
        if let Some(known) = self.version.get() {
            return Ok(*known);
        }
        let answer = self.plain(GET_VERSION, 0)?;
        let done = answer.is_done("GET VERSION")?;
        let version = <[u8; 3]>::try_from(answer.data.as_slice()).ok().filter(|_| done);
        Ok(*self.version.get_or_init(|| version))
    }

    /// A YubiKey, and nothing that takes after it: Trussed's application says 6.6.6.
    pub(super) fn is_yubikey(&mut self) -> Result<bool, CardError> {
        Ok(self.version()?.is_some_and(|[major, ..]| matches!(major, 4 | 5)))
    }

    /// Trussed's application (Nitrokey, `SoloKeys`): its GENERAL AUTHENTICATE says 6985 of a slot without a key, and nothing else
    /// that it does.
    pub(super) fn is_trussed(&mut self) -> Result<bool, CardError> {
        Ok(self.version()? == Some([6, 6, 6]))
    }

    /// What it can do with keys. MOVE KEY came with 5.7, and counts only where metadata is told.
    pub(super) fn kind(&mut self) -> Result<CardKind, CardError> {
        Ok(match self.version()? {
            Some(version) if version >= [5, 7, 0] && self.secret_metadata(MANAGEMENT)?.algorithm.is_some() => CardKind::Moves,
            Some(version) if version >= [4, 0, 0] => CardKind::Retires,
            _ => CardKind::Fixed,
        })
    }

    /// The kinds of key that it makes, the strongest last.
    pub(super) fn algorithms(&mut self) -> Result<Vec<KeyAlgorithm>, CardError> {
        let named = std::mem::take(&mut self.named_algorithms);
        let version = self.version()?;
        let yubikey = self.is_yubikey()?;
        let made = |algorithm: KeyAlgorithm| {
            let number = key::reference(algorithm);
            match (version, algorithm) {
                // Keys made by these can be computed from their public half (CVE-2017-15361).
                (Some([4, 2, 6..=255] | [4, 3, 0..=4]), KeyAlgorithm::Rsa(_)) => false,
                (Some(version), KeyAlgorithm::Rsa(3072 | 4096)) if yubikey => version >= [5, 7, 0],
                _ if yubikey => true,
                // What every card has (SP 800-78-4, table 6).
                _ if named.is_empty() => matches!(algorithm, KeyAlgorithm::Rsa(2048) | KeyAlgorithm::P256),
                _ => number.is_some_and(|number| named.contains(&number)),
            }
        };
        let algorithms = KeyAlgorithm::MADE.into_iter().filter(|algorithm| made(*algorithm)).collect();
        self.named_algorithms = named;
        Ok(algorithms)
    }

    /// The reference of the PIN that people use.
    pub(super) fn pin_reference(&mut self) -> Result<u8, CardError> {
        let command = Command { instruction: GET_DATA, p1: 0x3F, p2: 0xFF, data: &[0x5C, 0x01, 0x7E], answers: true };
        let answer = self.exchange(&command)?;
        let done = answer.is_done("GET DATA 7e")?;
        let discovery = tlv::find(&[0x7E], &answer.data).filter(|_| done);
        Ok(object::pin_reference(discovery.unwrap_or_default()))
    }

    // --- its keys ---

    /// What it tells of the key in a slot.
    pub(super) fn metadata(&mut self, slot: Slot) -> Result<Metadata, CardError> {
        let answer = self.plain(GET_METADATA, slot.reference())?;
        let done = answer.is_done("GET METADATA")?;
        Ok(match answer.status {
            Status::KeyReferenceNotFound => Metadata { key: Told::None, policies: None },
            _ if done => {
                let policies = match tlv::find(&[0x02], &answer.data) {
                    Some(&[pin, touch]) => Some(Policies { pin, touch }),
                    _ => None,
                };
                let algorithm = match tlv::find(&[0x01], &answer.data) {
                    Some(&[algorithm]) => Some(algorithm),
                    _ => None,
                };
                let public = tlv::find(&[0x04], &answer.data);
                let key = algorithm.zip(public).and_then(|(algorithm, public)| PublicKey::of_template(algorithm, public));
                Metadata { key: key.map_or(Told::Nothing, Told::Key), policies }
            }
            _ => Metadata { key: Told::Nothing, policies: None },
        })
    }

    /// What it tells of PIN (80), PUK (81) or management key (9B).
    pub(super) fn secret_metadata(&mut self, reference: u8) -> Result<SecretMetadata, CardError> {
        let answer = self.plain(GET_METADATA, reference)?;
        if !answer.is_done("GET METADATA")? {
            return Ok(SecretMetadata::default());
        }
        let byte = |tag: u16, at: usize| tlv::find(&[tag], &answer.data).and_then(|value| value.get(at)).copied();
        Ok(SecretMetadata {
            algorithm: byte(0x01, 0),
            touch: byte(0x02, 1).is_some_and(|touch| touch > Policies::NEVER),
            factory: byte(0x05, 0) == Some(1),
            left: byte(0x06, 1),
        })
    }

    // --- its objects ---

    /// The content of an object, inside of `53`; `None` where there is no such object.
    pub(super) fn get(&mut self, id: ObjectId) -> Result<Option<Zeroizing<Vec<u8>>>, CardError> {
        let answer = self.read(id)?;
        match answer.status {
            Status::Success => {}
            Status::NotFound => return Ok(None),
            status => return Err(refused("GET DATA", status)),
        }
        match tlv::find(&[0x53], &answer.data) {
            Some(content) => Ok(Some(Zeroizing::new(content.to_vec()))),
            None => Err(CardError::Failed { detail: "GET DATA: no object came".to_owned() }),
        }
    }

    /// The same of an object that the card may also refuse to know or to tell.
    pub(super) fn get_if_told(&mut self, id: ObjectId) -> Result<Option<Zeroizing<Vec<u8>>>, CardError> {
        let answer = self.read(id)?;
        let content = tlv::find(&[0x53], &answer.data).filter(|_| answer.status == Status::Success);
        answer.is_done("GET DATA")?;
        Ok(content.map(|content| Zeroizing::new(content.to_vec())))
    }

    fn read(&mut self, id: ObjectId) -> Result<Answer, CardError> {
        let wanted = tlv::object(0x5C, &id);
        self.exchange(&Command { instruction: GET_DATA, p1: 0x3F, p2: 0xFF, data: &wanted, answers: true })
    }

    /// What lies in the object of a slot's certificate. Strange is also what may not be read, and what the card does not know.
    pub(super) fn certificate(&mut self, slot: Slot) -> Result<Stored, CardError> {
        let answer = self.read(slot.object())?;
        let done = answer.is_done("GET DATA certificate")?;
        Ok(match answer.status {
            Status::NotFound => Stored::Nothing,
            _ if done => tlv::find(&[0x53], &answer.data).map_or(Stored::Strange, Stored::parse),
            _ => Stored::Strange,
        })
    }

    /// Replaces an object. Needs the management key to have been proved.
    pub(super) fn put(&mut self, id: ObjectId, content: &[u8]) -> Result<(), CardError> {
        let data = tlv::joined(&[&tlv::object(0x5C, &id), &tlv::object(0x53, content)]);
        let command = Command { instruction: PUT_DATA, p1: 0x3F, p2: 0xFF, data: &data, answers: false };
        match self.exchange(&command)?.status {
            Status::Success => Ok(()),
            Status::NotEnoughMemory | Status::WrongLength => Err(CardError::Full {}),
            status => Err(refused("PUT DATA", status)),
        }
    }

    /// Its Key History.
    pub(super) fn history(&mut self) -> Result<History, CardError> {
        let content = self.get(slot::KEY_HISTORY)?.unwrap_or_default();
        History::parse(&content).ok_or_else(|| CardError::Failed { detail: "the Key History cannot be read".to_owned() })
    }

    fn plain(&mut self, instruction: u8, p2: u8) -> Result<Answer, CardError> {
        apdu::exchange(self.card, &Command { instruction, p1: 0, p2, data: &[], answers: true })
    }
}
