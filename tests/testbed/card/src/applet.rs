//! The PIV applet (`piv-authenticator`) on a platform of files: its commands, and what it can do but has no command for.
//! Owns nothing that outlives a card's power but its two files of state.

use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;

use piv_authenticator::state::State;
use piv_authenticator::{AsymmetricAlgorithms, Authenticator, Options, commands::containers::AsymmetricKeyReference};
use rand_core::OsRng;
use trussed::ClientImplementation;
use trussed::pipe::{ServiceEndpoint, TrussedChannel};
use trussed::platform;
use trussed::service::Service;
use trussed::types::CoreContext;
use trussed::virt::{StorageConfig, Store, StoreConfig, UserInterface};
use trussed_auth::AuthClient as _;
use trussed_core::types::{Bytes, KeyId, KeySerialization, Location, Mechanism, PathBuf, StorageAttributes};
use trussed_core::{CryptoClient as _, syscall, try_syscall};
use trussed_rsa_types::{RsaImportFormat, RsaPublicParts};
use trussed_wrap_key_to_file::WrapKeyToFileClient as _;

use crate::apdu::{Answer, Command, NOT_FOUND, OK, WRONG_DATA};
use crate::backends::{self, Backend, Backends, Contexts, Refused};
use crate::tlv;

/// A PIN or PUK, padded to its eight bytes.
pub(crate) type Secret = [u8; 8];

/// The PIN of a new card.
pub(crate) const DEFAULT_PIN: Secret = *b"123456\xFF\xFF";
/// The PUK of a new card.
pub(crate) const DEFAULT_PUK: Secret = *b"12345678";

const PIN: u8 = 0;
const PUK: u8 = 1;

/// Under this name the applet keeps what the PUK opens.
const PIN_KEY_BACKUP: &str = "puk-user-pin-key.bin";

/// Longer than any answer.
const REPLY: usize = 8192;

/// The private half of a key from outside.
pub(crate) enum PrivateKey<'a> {
    /// The primes; the exponent is 65537.
    Rsa { p: &'a [u8], q: &'a [u8] },
    /// The scalar.
    Elliptic(&'a [u8]),
}

/// The applet of a card under power.
pub(crate) struct Applet<'a> {
    application: Authenticator<Client<'a>>,
    /// Sees the same files as the applet, past its commands.
    beside: Client<'a>,
    refused: Refused,
}

type Client<'a> = ClientImplementation<'a, Direct<'a>, Backends>;

/// Gives a card power: runs with its applet, on the state in a directory.
pub(crate) fn power<R>(directory: &Path, label: &'static [u8], run: impl FnOnce(Applet<'_>) -> R) -> R {
    let mut files = StoreConfig {
        internal: StorageConfig::filesystem(directory.join("internal")),
        external: StorageConfig::filesystem(directory.join("external")),
        volatile: StorageConfig::ram(),
    };
    files.with_store(|store| {
        let channels = [TrussedChannel::new(), TrussedChannel::new()];
        let ends = channels.each_ref().map(|channel| channel.split().expect("a channel is split once"));
        let (requesters, endpoints): (Vec<_>, Vec<_>) = ends
            .into_iter()
            .map(|(requester, responder)| {
                let context = CoreContext::new(PathBuf::try_from("piv").expect("a name"));
                (requester, ServiceEndpoint::<Backend, Contexts>::new(responder, context, backends::ALL))
            })
            .unzip();
        let refused = Refused::default();
        let hardware = Hardware { store, random: OsRng, interface: UserInterface::new() };
        let machine = Machine { service: Service::with_dispatch(hardware, Backends::new(refused.clone())), endpoints };
        let machine = Direct(Rc::new(RefCell::new(machine)));
        let mut clients = requesters.into_iter().map(|requester| Client::new(requester, machine.clone(), None));
        let mut client = || clients.next().expect("one for each channel");
        let options = Options::new().label(label).url(b"");
        run(Applet { application: Authenticator::new(client(), options), beside: client(), refused })
    })
}

impl Applet<'_> {
    /// Performs a command.
    pub(crate) fn perform(&mut self, command: &Command) -> Answer {
        let Ok(length) = u16::try_from(command.data.len()) else { return (Vec::new(), WRONG_DATA) };
        let mut bytes = vec![command.class, command.instruction, command.p1, command.p2, 0];
        if length > 0 {
            bytes.extend_from_slice(&length.to_be_bytes());
            bytes.extend_from_slice(&command.data);
        }
        bytes.extend_from_slice(&[0, 0]);
        let command = iso7816::command::CommandView::try_from(bytes.as_slice()).expect("a well-formed command");
        let mut reply = heapless::Vec::<u8, REPLY>::new();
        match self.application.respond(command, &mut reply) {
            Ok(()) if self.refused.take() => (Vec::new(), WRONG_DATA),
            Ok(()) => (reply.to_vec(), OK),
            Err(status) => (Vec::new(), status.into()),
        }
    }

    /// The tries that PIN and PUK have left. Unlike an empty VERIFY it tells them also after a right PIN.
    pub(crate) fn tries_left(&mut self) -> (u8, u8) {
        let mut left = |secret| try_syscall!(self.beside.pin_retries(secret)).map_or(0, |reply| reply.retries.unwrap_or(0));
        (left(PIN), left(PUK))
    }

    /// Sets how many wrong PINs block the card, and the PIN, of which the present one must be given.
    pub(crate) fn set_pin(&mut self, present: Secret, new: Secret, tries: u8) {
        let key = self.key_of(PIN, present);
        syscall!(self.beside.set_pin_with_key(PIN, Bytes::from(&new), Some(tries), key));
        syscall!(self.beside.delete(key));
    }

    /// Sets the PUK and its tries, given the PIN.
    pub(crate) fn set_puk(&mut self, pin: Secret, new: Secret, tries: u8) {
        syscall!(self.beside.set_pin(PUK, Bytes::from(&new), Some(tries), true));
        let (wrapping, wrapped) = (self.key_of(PUK, new), self.key_of(PIN, pin));
        syscall!(self.beside.wrap_key_to_file(
            Mechanism::Chacha8Poly1305,
            wrapping,
            wrapped,
            PathBuf::try_from(PIN_KEY_BACKUP).expect("a name"),
            Location::External,
            PIN_KEY_BACKUP.as_bytes(),
        ));
        syscall!(self.beside.delete(wrapping));
        syscall!(self.beside.delete(wrapped));
    }

    /// Puts a key from outside into a slot of the applet, and gives its public half as GENERATE would: the objects inside of
    /// `7F49`. The applet knows of it once it has been without power.
    pub(crate) fn import(&mut self, slot: u8, algorithm: u8, key: &PrivateKey<'_>) -> Result<Vec<u8>, u16> {
        let slot = AsymmetricKeyReference::try_from(slot).map_err(|_| NOT_FOUND)?;
        let algorithm = AsymmetricAlgorithms::try_from(algorithm).map_err(|_| WRONG_DATA)?;
        let mechanism = algorithm.key_mechanism();
        let options = Options::new();
        let mut state = State::new();
        let loaded = state.load(&mut self.beside, &options).map_err(u16::from)?;
        let (bytes, format) = match *key {
            PrivateKey::Rsa { p, q } if algorithm.is_rsa() => {
                let parts = RsaImportFormat { e: &[1, 0, 1], p, q };
                (parts.serialize().map_err(|_| WRONG_DATA)?, KeySerialization::RsaParts)
            }
            PrivateKey::Elliptic(scalar) if !algorithm.is_rsa() => {
                (Bytes::try_from(scalar).map_err(|_| WRONG_DATA)?, KeySerialization::Raw)
            }
            _ => return Err(WRONG_DATA),
        };
        let storage = slot.storage(Location::External);
        let id = try_syscall!(self.beside.unsafe_inject_key(mechanism, &bytes, storage, format)).map_err(|_| WRONG_DATA)?.key;
        let public = Self::public_half(&mut self.beside, algorithm, id);
        loaded.persistent.replace_asymmetric_key(slot, algorithm, id, &mut self.beside, Location::External);
        Ok(public)
    }

    fn public_half(client: &mut Client<'_>, algorithm: AsymmetricAlgorithms, id: KeyId) -> Vec<u8> {
        let (mechanism, volatile) = (algorithm.key_mechanism(), StorageAttributes::new().set_persistence(Location::Volatile));
        let public = syscall!(client.derive_key(mechanism, id, None, volatile)).key;
        let mut objects = Vec::new();
        if algorithm.is_rsa() {
            let bytes = syscall!(client.serialize_key(mechanism, public, KeySerialization::RsaParts)).serialized_key;
            let parts = RsaPublicParts::deserialize(&bytes).expect("as it was serialised");
            tlv::put(&mut objects, &[0x81], parts.n);
            tlv::put(&mut objects, &[0x82], parts.e);
        } else {
            let coordinates = syscall!(client.serialize_key(mechanism, public, KeySerialization::Raw)).serialized_key;
            tlv::put(&mut objects, &[0x86], &[&[0x04], coordinates.as_slice()].concat());
        }
        syscall!(client.delete(public));
        objects
    }

    fn key_of(&mut self, secret: u8, value: Secret) -> KeyId {
        syscall!(self.beside.get_pin_key(secret, Bytes::from(&value))).result.expect("the value was verified")
    }
}

/// What the applet runs on: files, and real randomness (Trussed's own virtual platform makes the same keys each time).
struct Hardware<'a> {
    store: Store<'a>,
    random: OsRng,
    interface: UserInterface,
}

impl<'a> platform::Platform for Hardware<'a> {
    type R = OsRng;
    type S = Store<'a>;
    type UI = UserInterface;

    fn rng(&mut self) -> &mut OsRng {
        &mut self.random
    }

    fn store(&self) -> Store<'a> {
        self.store
    }

    fn user_interface(&mut self) -> &mut UserInterface {
        &mut self.interface
    }
}

struct Machine<'a> {
    service: Service<Hardware<'a>, Backends>,
    endpoints: Vec<ServiceEndpoint<'a, Backend, Contexts>>,
}

/// Serves each request where it is made: no thread that looks for one.
#[derive(Clone)]
struct Direct<'a>(Rc<RefCell<Machine<'a>>>);

impl platform::Syscall for Direct<'_> {
    fn syscall(&mut self) {
        let Machine { service, endpoints } = &mut *self.0.borrow_mut();
        service.process(endpoints);
    }
}
