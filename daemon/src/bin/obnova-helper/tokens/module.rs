//! A PKCS#11 module while it is loaded, and the tokens that it shows. What lies on them is `objects`'.

use std::fs::File;
use std::path::Path;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::{MechanismInfo, MechanismType};
use cryptoki::session::Session;
use cryptoki::slot::{Slot, TokenInfo};
use obnova_core::Place;
use obnova_core::certificate::KeyAlgorithm;
use obnova_core::place::TokenId;
use obnovad::cards::step::CardError;
use rustix::process::{Resource, Rlimit, setrlimit};

use super::failure::of_module;

/// How much address space the process may have once it loads a module, in bytes. Large modules with all their libraries take a
/// few hundred megabytes; a module that claims to show a milliard of tokens gets no further than this.
const ADDRESS_SPACE: u64 = 1024 * 1024 * 1024;

/// The most slots that are looked into. Several readers with several PINs each have a dozen.
const MOST_SLOTS: usize = 64;

/// A module that is loaded and initialised.
pub(super) struct Module {
    context: Pkcs11,
}

impl Module {
    /// Loads it, under limits that this process keeps till its end.
    pub(super) fn load(path: &Path) -> Result<Self, CardError> {
        confine().map_err(|error| super::failure::failed(&error.to_string()))?;
        let blame = |error: Error| CardError::Module {
            module: path.display().to_string(),
            detail: format!("cannot be loaded: {error}"),
        };
        let context = Pkcs11::new(path).map_err(blame)?;
        context.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)).map_err(blame)?;
        Ok(Self { context })
    }

    /// Uses it, and lets go of all cards afterwards, whatever came of it.
    pub(super) fn used<T>(self, work: impl FnOnce(&Self) -> Result<T, CardError>) -> Result<T, CardError> {
        let outcome = work(&self);
        // A failure here changes nothing of what was done, and this process ends in a moment anyway.
        let _finalized = self.context.finalize();
        outcome
    }

    /// The tokens that have been set up, and why another could not be read, if one could not.
    pub(super) fn tokens(&self) -> Result<(Vec<Token>, Option<CardError>), CardError> {
        let (mut tokens, mut trouble) = (Vec::new(), None);
        for slot in self.context.get_slots_with_token().map_err(of_module)?.into_iter().take(MOST_SLOTS) {
            match self.token(slot) {
                Ok(token) if token.info.token_initialized() => tokens.push(token),
                // Not set up, or gone since.
                Ok(_) | Err(Error::Pkcs11(RvError::TokenNotPresent | RvError::DeviceRemoved, _)) => {}
                Err(error) => trouble = Some(of_module(error)),
            }
        }
        Ok((tokens, trouble))
    }

    /// Whether tokens can come and go in slots that are no readers of the card service, which PKCS#11 names by their first 64 bytes.
    pub(super) fn has_slots_beside(&self, readers: &[String]) -> Result<bool, CardError> {
        for slot in self.context.get_all_slots().map_err(of_module)?.into_iter().take(MOST_SLOTS) {
            let info = self.context.get_slot_info(slot).map_err(of_module)?;
            let name = text(info.slot_description());
            if info.removable_device() && !readers.iter().any(|reader| !name.is_empty() && reader.starts_with(&name)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Sleeps until something happens in a slot; `false` if the module cannot tell.
    pub(super) fn wait(&self) -> Result<bool, CardError> {
        match self.context.wait_for_slot_event() {
            Ok(_) => Ok(true),
            Err(Error::Pkcs11(RvError::FunctionNotSupported, _)) => Ok(false),
            Err(error) => Err(of_module(error)),
        }
    }

    fn token(&self, slot: Slot) -> Result<Token, Error> {
        let info = self.context.get_token_info(slot)?;
        let slot_info = self.context.get_slot_info(slot)?;
        let reader = if slot_info.hardware_slot() { text(slot_info.slot_description()) } else { String::new() };
        Ok(Token { context: self.context.clone(), slot, info, reader })
    }
}

/// A token that is there.
pub(super) struct Token {
    context: Pkcs11,
    slot: Slot,
    /// What it said of itself when it was found.
    pub(super) info: TokenInfo,
    /// The reader that it is in; empty for one of software.
    pub(super) reader: String,
}

impl Token {
    /// What tells it from others.
    pub(super) fn id(&self) -> TokenId {
        TokenId {
            manufacturer: Some(text(self.info.manufacturer_id())),
            model: Some(text(self.info.model())),
            serial: Some(text(self.info.serial_number())),
            token: Some(text(self.info.label())),
        }
    }

    pub(super) fn place(&self) -> Place {
        Place::token(&self.id())
    }

    /// What it says of itself now.
    pub(super) fn info_now(&self) -> Result<TokenInfo, CardError> {
        self.context.get_token_info(self.slot).map_err(of_module)
    }

    pub(super) fn session(&self, write: bool) -> Result<Session, CardError> {
        let session = if write { self.context.open_rw_session(self.slot) } else { self.context.open_ro_session(self.slot) };
        session.map_err(of_module)
    }

    /// Whether it does this.
    pub(super) fn offers(&self, mechanism: MechanismType) -> Result<bool, CardError> {
        Ok(self.context.get_mechanism_list(self.slot).map_err(of_module)?.contains(&mechanism))
    }

    /// The kinds of key that it makes, of those that we make.
    pub(super) fn algorithms(&self) -> Result<Vec<KeyAlgorithm>, CardError> {
        let offered = self.context.get_mechanism_list(self.slot).map_err(of_module)?;
        let sizes = |mechanism| -> Result<Option<MechanismInfo>, CardError> {
            let asked = offered.contains(&mechanism).then(|| self.context.get_mechanism_info(self.slot, mechanism));
            asked.transpose().map_err(of_module)
        };
        let (rsa, curves) = (sizes(MechanismType::RSA_PKCS_KEY_PAIR_GEN)?, sizes(MechanismType::ECC_KEY_PAIR_GEN)?);
        let makes = |algorithm: &KeyAlgorithm| match algorithm {
            KeyAlgorithm::Rsa(bits) => rsa.is_some_and(|sizes| includes(sizes, usize::from(*bits))),
            KeyAlgorithm::P256 => curves.is_some_and(|sizes| includes(sizes, 256)),
            KeyAlgorithm::P384 => curves.is_some_and(|sizes| includes(sizes, 384)),
            KeyAlgorithm::Other => false,
        };
        Ok(KeyAlgorithm::MADE.into_iter().filter(makes).collect())
    }
}

/// Whether a mechanism takes keys of so many bits. Some modules give bytes for bits, some give no sizes at all.
fn includes(sizes: MechanismInfo, bits: usize) -> bool {
    let (least, most) = (sizes.min_key_size(), sizes.max_key_size());
    match most {
        0 => true,
        1..=66 => least <= bits / 8 && bits / 8 <= most,
        67..=1023 if bits >= 1024 => least <= bits / 8 && bits / 8 <= most,
        _ => least <= bits && bits <= most,
    }
}

/// A field as it may be shown and compared: without the padding, for which some modules take NUL, and without anything that is
/// no text.
fn text(field: &str) -> String {
    let letters: String = field.chars().filter(|letter| !letter.is_control()).collect();
    letters.trim_end().to_owned()
}

/// Keeps a module from the memory of the machine and from our socket, for which it may take its standard input.
fn confine() -> std::io::Result<()> {
    setrlimit(Resource::As, Rlimit { current: Some(ADDRESS_SPACE), maximum: Some(ADDRESS_SPACE) })?;
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    Ok(())
}
