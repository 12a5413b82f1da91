//! A certificate that its own key signs: the old one's subject, alternative names and usages over a new key.

use chrono::{DateTime, Datelike, Utc};
use const_oid::ObjectIdentifier;
use const_oid::db::rfc5280::{ID_CE_AUTHORITY_KEY_IDENTIFIER, ID_CE_KEY_USAGE, ID_CE_SUBJECT_KEY_IDENTIFIER};
use const_oid::db::rfc5912::{
    ECDSA_WITH_SHA_256, ECDSA_WITH_SHA_384, ID_EC_PUBLIC_KEY, RSA_ENCRYPTION, SECP_256_R_1, SECP_384_R_1,
    SHA_256_WITH_RSA_ENCRYPTION,
};
use der::asn1::{Any, BitString, GeneralizedTime, Int, OctetString, UtcTime};
use der::{Choice, Decode, Encode, Sequence};
use sha2::{Digest, Sha256};
use spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};

/// What the new certificate is made of.
#[derive(Debug)]
pub struct Request<'data> {
    /// DER of the old certificate.
    pub old: &'data [u8],
    /// DER of the new `SubjectPublicKeyInfo`.
    pub public_key: &'data [u8],
    /// Random; made positive and of at most 16 octets (RFC 5280 section 4.1.2.2).
    pub serial: [u8; 16],
    /// Start of validity.
    pub not_before: DateTime<Utc>,
    /// End of validity.
    pub not_after: DateTime<Utc>,
    /// DER of the `Name` of its holder, where that is not the old one's.
    pub subject: Option<&'data [u8]>,
}

/// Why no certificate can be made.
#[derive(Debug, thiserror::Error)]
pub enum SelfSignedError {
    /// The old certificate, the key or the signature is not in the form that it should be in.
    #[error("not DER of the expected form: {0}")]
    Encoding(#[from] der::Error),
    /// The new key is of a kind that does not sign here.
    #[error("no signature algorithm for keys of {0}")]
    Algorithm(ObjectIdentifier),
}

/// `TBSCertificate` (RFC 5280 section 4.1), the names and the key taken as they are, byte for byte.
#[derive(Clone, Debug, Sequence)]
pub(super) struct TbsCertificate {
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", default = "version_1")]
    version: u8,
    pub(super) serial: Int,
    signature: AlgorithmIdentifierOwned,
    pub(super) issuer: Any,
    validity: Validity,
    pub(super) subject: Any,
    pub(super) public_key: Any,
    #[asn1(context_specific = "1", tag_mode = "IMPLICIT", optional = "true")]
    issuer_id: Option<BitString>,
    #[asn1(context_specific = "2", tag_mode = "IMPLICIT", optional = "true")]
    subject_id: Option<BitString>,
    #[asn1(context_specific = "3", tag_mode = "EXPLICIT", optional = "true")]
    pub(super) extensions: Option<Vec<Extension>>,
}

fn version_1() -> u8 {
    0
}

#[derive(Clone, Debug, Sequence)]
struct Validity {
    not_before: Time,
    not_after: Time,
}

#[derive(Clone, Debug, Choice)]
pub(super) enum Time {
    #[asn1(type = "UTCTime")]
    Utc(UtcTime),
    #[asn1(type = "GeneralizedTime")]
    General(GeneralizedTime),
}

#[derive(Clone, Debug, Sequence)]
pub(super) struct Extension {
    pub(super) id: ObjectIdentifier,
    #[asn1(default = "Default::default")]
    critical: bool,
    value: OctetString,
}

#[derive(Clone, Debug, Sequence)]
pub(super) struct Certificate {
    pub(super) tbs: Any,
    algorithm: AlgorithmIdentifierOwned,
    signature: BitString,
}

/// `AuthorityKeyIdentifier` with the key identifier alone (RFC 5280 section 4.2.1.1).
#[derive(Clone, Debug, Sequence)]
struct AuthorityKeyIdentifier {
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT", optional = "true")]
    key: Option<OctetString>,
}

impl Request<'_> {
    /// DER of the `TBSCertificate` that is to be signed.
    pub fn encode(&self) -> Result<Vec<u8>, SelfSignedError> {
        let old: TbsCertificate =
            Certificate::from_der(self.old)?.tbs.to_der().and_then(|tbs| TbsCertificate::from_der(&tbs))?;
        let key = SubjectPublicKeyInfoOwned::from_der(self.public_key)?;
        let mut serial = self.serial;
        serial[0] = serial[0] & 0x7f | 0x40;
        let identifier = key_identifier(&key)?;
        let extensions = old.extensions.map(|extensions| {
            extensions.into_iter().map(|extension| renewed(extension, &identifier)).collect::<Result<Vec<_>, _>>()
        });
        let extensions = extensions.transpose()?;
        let subject = self.subject.map_or(Ok(old.subject), Any::from_der)?;
        let tbs = TbsCertificate {
            // Extensions make version 3; without any it is 1 (RFC 5280 section 4.1.2.1).
            version: if extensions.is_some() { 2 } else { 0 },
            serial: Int::new(&serial)?,
            signature: signature_algorithm(&key)?,
            issuer: subject.clone(),
            validity: Validity { not_before: time(self.not_before)?, not_after: time(self.not_after)? },
            subject,
            public_key: Any::from_der(self.public_key)?,
            issuer_id: None,
            subject_id: None,
            extensions,
        };
        Ok(tbs.to_der()?)
    }
}

/// What a certificate is made of that renews no other.
#[derive(Debug)]
pub struct First<'data> {
    /// DER of the `Name` of its holder.
    pub subject: &'data [u8],
    /// DER of the `SubjectPublicKeyInfo`.
    pub public_key: &'data [u8],
    /// As in [`Request`].
    pub serial: [u8; 16],
    /// Start of validity.
    pub not_before: DateTime<Utc>,
    /// End of validity.
    pub not_after: DateTime<Utc>,
}

impl First<'_> {
    /// DER of the `TBSCertificate` that is to be signed: of an end entity, for signatures and for decrypting.
    pub fn encode(&self) -> Result<Vec<u8>, SelfSignedError> {
        let key = SubjectPublicKeyInfoOwned::from_der(self.public_key)?;
        let mut serial = self.serial;
        serial[0] = serial[0] & 0x7f | 0x40;
        let identifier = OctetString::new(key_identifier(&key)?.to_der()?)?;
        let usage = OctetString::new(USAGE)?;
        let extensions = vec![
            Extension { id: ID_CE_SUBJECT_KEY_IDENTIFIER, critical: false, value: identifier },
            Extension { id: ID_CE_KEY_USAGE, critical: true, value: usage },
        ];
        let tbs = TbsCertificate {
            version: 2,
            serial: Int::new(&serial)?,
            signature: signature_algorithm(&key)?,
            issuer: Any::from_der(self.subject)?,
            validity: Validity { not_before: time(self.not_before)?, not_after: time(self.not_after)? },
            subject: Any::from_der(self.subject)?,
            public_key: Any::from_der(self.public_key)?,
            issuer_id: None,
            subject_id: None,
            extensions: Some(extensions),
        };
        Ok(tbs.to_der()?)
    }
}

/// `KeyUsage` (RFC 5280 section 4.2.1.3): digitalSignature, keyEncipherment and keyAgreement.
const USAGE: [u8; 4] = [0x03, 0x02, 0x03, 0b1010_1000];

/// DER of the certificate: what was to be signed, and its signature.
pub fn assemble(request: &[u8], signature: &[u8]) -> Result<Vec<u8>, SelfSignedError> {
    let algorithm = TbsCertificate::from_der(request)?.signature;
    let certificate = Certificate { tbs: Any::from_der(request)?, algorithm, signature: BitString::from_bytes(signature)? };
    Ok(certificate.to_der()?)
}

/// Whether a certificate is the answer to exactly this request. Checks no signature.
pub fn answers(certificate: &[u8], request: &[u8]) -> bool {
    Certificate::from_der(certificate).and_then(|parsed| parsed.tbs.to_der()).is_ok_and(|tbs| tbs == request)
}

/// The old extension; those that name the key name the new one.
fn renewed(mut extension: Extension, identifier: &OctetString) -> der::Result<Extension> {
    if extension.id == ID_CE_SUBJECT_KEY_IDENTIFIER {
        extension.value = OctetString::new(identifier.to_der()?)?;
    } else if extension.id == ID_CE_AUTHORITY_KEY_IDENTIFIER {
        let own = AuthorityKeyIdentifier { key: Some(identifier.clone()) };
        extension.value = OctetString::new(own.to_der()?)?;
    }
    Ok(extension)
}

/// RFC 7093 section 2, method 1: the leftmost 160 bits of the SHA-256 of the key.
fn key_identifier(key: &SubjectPublicKeyInfoOwned) -> der::Result<OctetString> {
    let digest = Sha256::digest(key.subject_public_key.raw_bytes());
    OctetString::new(digest[..20].to_vec())
}

/// PKCS #1 v1.5 with SHA-256 (RFC 4055), ECDSA with SHA-256 or SHA-384 (RFC 5758).
pub(super) fn signature_algorithm(key: &SubjectPublicKeyInfoOwned) -> Result<AlgorithmIdentifierOwned, SelfSignedError> {
    let curve = || key.algorithm.parameters.as_ref().and_then(|curve| curve.decode_as::<ObjectIdentifier>().ok());
    let (oid, parameters) = match key.algorithm.oid {
        RSA_ENCRYPTION => (SHA_256_WITH_RSA_ENCRYPTION, Some(Any::null())),
        ID_EC_PUBLIC_KEY if curve() == Some(SECP_256_R_1) => (ECDSA_WITH_SHA_256, None),
        ID_EC_PUBLIC_KEY if curve() == Some(SECP_384_R_1) => (ECDSA_WITH_SHA_384, None),
        other => return Err(SelfSignedError::Algorithm(other)),
    };
    Ok(AlgorithmIdentifierOwned { oid, parameters })
}

/// `UTCTime` through 2049, `GeneralizedTime` from 2050 on (RFC 5280 section 4.1.2.5).
pub(super) fn time(moment: DateTime<Utc>) -> der::Result<Time> {
    let since = std::time::Duration::from_secs(u64::try_from(moment.timestamp()).unwrap_or(0));
    if moment.year() < 2050 {
        UtcTime::from_unix_duration(since).map(Time::Utc)
    } else {
        GeneralizedTime::from_unix_duration(since).map(Time::General)
    }
}
