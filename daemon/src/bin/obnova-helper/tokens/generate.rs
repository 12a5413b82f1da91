//! Makes a key pair on a token, beside all others. Destroys nothing, also not what it has made itself.

use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use obnova_core::card::Spot;
use obnova_core::certificate::KeyAlgorithm;
use obnova_core::job::Bytes;
use obnovad::cards::step::{CardAnswer, CardError};

use super::failure::{failed, of_module, of_openssl, unsupported};
use super::pins::Open;
use super::{objects, public_keys, sign};

/// DER of the object identifiers that `CKA_EC_PARAMS` takes.
const P256: &[u8] = &[6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
const P384: &[u8] = &[6, 5, 0x2b, 0x81, 4, 0, 0x22];

/// 65537.
const EXPONENT: [u8; 3] = [1, 0, 1];

/// A new pair in a spot where nothing is, with the policies of the key in `like`.
pub(super) fn pair(
    open: &Open<'_>,
    spot: &Spot,
    algorithm: KeyAlgorithm,
    like: &Spot,
    label: &str,
) -> Result<CardAnswer, CardError> {
    let session = open.session;
    let id = objects::id_of(spot).ok_or_else(|| unsupported("keep a key without an id"))?;
    let policies = Policies::of(session, like)?;
    if !open.token.algorithms()?.contains(&algorithm) {
        return Err(unsupported(&format!("make keys of the kind {algorithm}")));
    }
    if policies.always && !open.token.offers(sign::hashing(algorithm)?)? {
        return Err(unsupported("sign with such a key that demands the PIN for each use"));
    }
    if !objects::find(session, &[Attribute::Id(id.clone())])?.is_empty() {
        return Err(CardError::Occupied { spot: spot.clone() });
    }
    let (mechanism, kind, mut public_template) = match algorithm {
        KeyAlgorithm::Rsa(bits) => {
            let numbers = [Attribute::ModulusBits(u64::from(bits).into()), Attribute::PublicExponent(EXPONENT.to_vec())];
            (Mechanism::RsaPkcsKeyPairGen, KeyType::RSA, numbers.to_vec())
        }
        KeyAlgorithm::P256 => (Mechanism::EccKeyPairGen, KeyType::EC, vec![Attribute::EcParams(P256.to_vec())]),
        KeyAlgorithm::P384 => (Mechanism::EccKeyPairGen, KeyType::EC, vec![Attribute::EcParams(P384.to_vec())]),
        KeyAlgorithm::Other => return Err(unsupported("make keys of an unnamed kind")),
    };
    let common =
        [Attribute::Token(true), Attribute::KeyType(kind), Attribute::Id(id), Attribute::Label(label.as_bytes().to_vec())];
    public_template.extend([Attribute::Class(ObjectClass::PUBLIC_KEY), Attribute::Private(false)]);
    public_template.extend(common.clone());
    public_template.extend(policies.public(kind));
    let mut private_template = vec![
        Attribute::Class(ObjectClass::PRIVATE_KEY),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
    ];
    private_template.extend(common);
    private_template.extend(policies.private(kind));
    let made = session.generate_key_pair(&mechanism, &public_template, &private_template).map_err(of_module)?;
    judged(session, made, algorithm, &policies)
}

/// What was made, if it is what was asked for.
fn judged(
    session: &Session,
    (public, private): (ObjectHandle, ObjectHandle),
    algorithm: KeyAlgorithm,
    policies: &Policies,
) -> Result<CardAnswer, CardError> {
    let flag = |kind| objects::flag(session, private, kind);
    if policies.always && flag(AttributeType::AlwaysAuthenticate)? != Some(true) {
        return Err(failed("the token made a key that does not demand the PIN for each use"));
    }
    if flag(AttributeType::Sensitive)? == Some(false) || flag(AttributeType::Extractable)? == Some(true) {
        return Err(failed("the token made a key that it would give away"));
    }
    let key = public_keys::of_object(session, public)?.ok_or_else(|| failed("the token does not tell the public key"))?;
    if public_keys::algorithm(&key) != algorithm {
        return Err(failed("the token made a key of another kind"));
    }
    Ok(CardAnswer::PublicKey { public_key: Bytes(key.public_key_to_der().map_err(of_openssl)?) })
}

/// What an old key demands and may be used for.
#[expect(clippy::struct_excessive_bools, reason = "each is an attribute of its own")]
struct Policies {
    always: bool,
    sign: bool,
    decrypt: bool,
    unwrap: bool,
    derive: bool,
}

impl Policies {
    fn of(session: &Session, like: &Spot) -> Result<Self, CardError> {
        let missing = || CardError::KeyMissing { spot: like.clone() };
        let id = objects::id_of(like).ok_or_else(missing)?;
        let old = objects::in_spot(session, ObjectClass::PRIVATE_KEY, &id)?.into_iter().next().ok_or_else(missing)?;
        let flag = |kind, silent: bool| Ok::<_, CardError>(objects::flag(session, old, kind)?.unwrap_or(silent));
        Ok(Self {
            always: flag(AttributeType::AlwaysAuthenticate, false)?,
            sign: flag(AttributeType::Sign, true)?,
            decrypt: flag(AttributeType::Decrypt, false)?,
            unwrap: flag(AttributeType::Unwrap, false)?,
            derive: flag(AttributeType::Derive, false)?,
        })
    }

    /// Some tokens take a use that is not named for allowed, so that each is named.
    fn private(&self, kind: KeyType) -> Vec<Attribute> {
        let mut attributes = vec![Attribute::Sign(self.sign)];
        if kind == KeyType::RSA {
            attributes.extend([Attribute::Decrypt(self.decrypt), Attribute::Unwrap(self.unwrap)]);
        } else {
            attributes.push(Attribute::Derive(self.derive));
        }
        if self.always {
            attributes.push(Attribute::AlwaysAuthenticate(true));
        }
        attributes
    }

    fn public(&self, kind: KeyType) -> Vec<Attribute> {
        let mut attributes = vec![Attribute::Verify(self.sign)];
        if kind == KeyType::RSA {
            attributes.extend([Attribute::Encrypt(self.decrypt), Attribute::Wrap(self.unwrap)]);
        }
        attributes
    }
}
