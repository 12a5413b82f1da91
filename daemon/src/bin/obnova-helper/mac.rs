//! Supplies a PKCS#12 that has no MAC with one, because OpenSSL 3.0 opens a file without only if it needs no password. Files
//! that have one are left to OpenSSL.

use der::asn1::{Any, Null, ObjectIdentifier, OctetString};
use der::{Decode, Encode, Sequence};
use openssl::hash::MessageDigest;
use openssl::pkcs12::Pkcs12;
use openssl::pkey::PKey;
use openssl::sha::sha256;
use openssl::sign::Signer;
use spki::AlgorithmIdentifierOwned;

const SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");

/// The block size of SHA-256 in bytes, to whose multiples the key derivation pads.
const BLOCK: usize = 64;

/// Any will do: this MAC authenticates nothing, it only says that the password at hand is the one to use.
const SALT: [u8; 8] = *b"obnova..";

/// `PFX` of RFC 7292 §4.
#[derive(Sequence)]
struct Pfx {
    version: u8,
    auth_safe: ContentInfo,
    mac: Option<Any>,
}

/// `ContentInfo` of RFC 2315 §7, in its one form that a password protects.
#[derive(Sequence)]
struct ContentInfo {
    kind: ObjectIdentifier,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    content: OctetString,
}

/// `MacData` of RFC 7292 §4, with its default of one iteration.
#[derive(Sequence)]
struct MacData {
    digest: DigestInfo,
    salt: OctetString,
}

/// `DigestInfo` of RFC 2315 §9.4.
#[derive(Sequence)]
struct DigestInfo {
    algorithm: AlgorithmIdentifierOwned,
    digest: OctetString,
}

/// The same package with a MAC by `password`, or `None` if it has one already or is of another form.
pub(crate) fn supply(package: &Pkcs12, password: &str) -> Option<Pkcs12> {
    let mut pfx = Pfx::from_der(&package.to_der().ok()?).ok()?;
    if pfx.mac.is_some() {
        return None;
    }
    let key = PKey::hmac(&mac_key(password)).ok()?;
    let digest = Signer::new(MessageDigest::sha256(), &key).ok()?.sign_oneshot_to_vec(pfx.auth_safe.content.as_bytes());
    pfx.mac = Some(describe(digest.ok()?).ok()?);
    Pkcs12::from_der(&pfx.to_der().ok()?).ok()
}

fn describe(digest: Vec<u8>) -> der::Result<Any> {
    let algorithm = AlgorithmIdentifierOwned { oid: SHA256, parameters: Some(Any::encode_from(&Null)?) };
    let digest = DigestInfo { algorithm, digest: OctetString::new(digest)? };
    Any::encode_from(&MacData { digest, salt: OctetString::new(SALT)? })
}

/// The key derivation of RFC 7292 appendix B.2 for a MAC key (ID 3), where one iteration of SHA-256 gives all of it.
fn mac_key(password: &str) -> [u8; 32] {
    let characters: Vec<u8> = password.encode_utf16().chain([0]).flat_map(u16::to_be_bytes).collect();
    let mut input = vec![3; BLOCK];
    input.extend(repeated(&SALT));
    input.extend(repeated(&characters));
    sha256(&input)
}

/// Copies of `bytes`, the last one cut off, that fill whole blocks.
fn repeated(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().copied().cycle().take(bytes.len().next_multiple_of(BLOCK)).collect()
}
