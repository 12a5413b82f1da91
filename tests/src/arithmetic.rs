//! The mathematics of the card in software that is the daemon's own: OpenSSL's, with keys that are made when they are first named.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use obnovad::cards::piv::simulated::Arithmetic;
use openssl::bn::BigNumContext;
use openssl::derive::Deriver;
use openssl::ec::{EcKey, EcPoint, PointConversionForm};
use openssl::ecdsa::EcdsaSig;
use openssl::pkey::{PKey, Private, Public};
use openssl::rsa::Padding;

use crate::KeyKind;

/// All keys of a test. Cards that share it share the keys of the same names.
#[derive(Default)]
pub struct OpenSslKeys(Mutex<BTreeMap<(u8, u32), PKey<Private>>>);

impl fmt::Debug for OpenSslKeys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("OpenSslKeys").finish_non_exhaustive()
    }
}

impl OpenSslKeys {
    /// The public half of a key; `None` if no such keys are made.
    pub fn public(&self, algorithm: u8, seed: u32) -> Option<PKey<Public>> {
        let der = self.key(algorithm, seed)?.public_key_to_der().expect("DER");
        Some(PKey::public_key_from_der(&der).expect("a public key"))
    }

    fn key(&self, algorithm: u8, seed: u32) -> Option<PKey<Private>> {
        let kind = match algorithm {
            0x07 => KeyKind::Rsa(2048),
            0x11 => KeyKind::P256,
            0x14 => KeyKind::P384,
            _ => return None,
        };
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Some(keys.entry((algorithm, seed)).or_insert_with(|| kind.generate()).clone())
    }
}

impl Arithmetic for OpenSslKeys {
    fn public_half(&self, algorithm: u8, seed: u32) -> Vec<u8> {
        let Some(key) = self.key(algorithm, seed) else { return Vec::new() };
        if let Ok(key) = key.rsa() {
            return [object(0x81, &key.n().to_vec()), object(0x82, &key.e().to_vec())].concat();
        }
        let key = key.ec_key().expect("a curve");
        let mut context = BigNumContext::new().expect("a context");
        let point = key.public_key().to_bytes(key.group(), PointConversionForm::UNCOMPRESSED, &mut context);
        object(0x86, &point.expect("a point"))
    }

    fn apply(&self, algorithm: u8, seed: u32, input: &[u8]) -> Option<Vec<u8>> {
        let key = self.key(algorithm, seed)?;
        if let Ok(key) = key.rsa() {
            let mut output = vec![0; input.len()];
            // A number that is not below the modulus is the sender's mistake.
            key.private_encrypt(input, &mut output, Padding::NONE).ok()?;
            return Some(output);
        }
        EcdsaSig::sign(input, &*key.ec_key().ok()?).ok()?.to_der().ok()
    }

    fn agree(&self, algorithm: u8, seed: u32, point: &[u8]) -> Option<Vec<u8>> {
        let own = self.key(algorithm, seed)?;
        let curve = own.ec_key().ok()?;
        let mut context = BigNumContext::new().ok()?;
        // A point that is not on the curve is the sender's mistake.
        let point = EcPoint::from_bytes(curve.group(), point, &mut context).ok()?;
        let other = PKey::from_ec_key(EcKey::from_public_key(curve.group(), &point).ok()?).ok()?;
        let mut deriver = Deriver::new(&own).ok()?;
        deriver.set_peer(&other).ok()?;
        deriver.derive_to_vec().ok()
    }
}

/// A value behind its tag and length (ISO 7816-4, 5.2.2.1).
fn object(tag: u8, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len()).expect("a short value").to_be_bytes();
    let head = match length {
        [0, short @ ..=0x7F] => vec![tag, short],
        [0, long] => vec![tag, 0x81, long],
        [high, low] => vec![tag, 0x82, high, low],
    };
    [head, value.to_vec()].concat()
}
