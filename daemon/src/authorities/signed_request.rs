//! A request for a new certificate that the old one's key authorises: PKCS #10 inside CMS `SignedData`, as the renewals of
//! Windows are (MS-WCCE section 3.1.1.4.3.2.1). Owns what is signed and how it is put together; signs and sends nothing.
//!
//! The order of things: [`Request::encode`], which the new key signs; [`certification_request`]; [`signed_attributes`], which
//! the old key signs; [`message`].

use chrono::{DateTime, Utc};
use const_oid::ObjectIdentifier;
use const_oid::db::rfc5280::{ID_CE_CERTIFICATE_POLICIES, ID_CE_EXT_KEY_USAGE, ID_CE_KEY_USAGE, ID_CE_SUBJECT_ALT_NAME};
use const_oid::db::rfc5911::{
    ID_AA_SIGNING_CERTIFICATE_V_2, ID_CONTENT_TYPE, ID_DATA, ID_MESSAGE_DIGEST, ID_SIGNED_DATA, ID_SIGNING_TIME,
};
use const_oid::db::rfc5912::{ECDSA_WITH_SHA_384, ID_EXTENSION_REQ, ID_SHA_256, ID_SHA_384};
use der::asn1::{Any, BitString, Int, OctetString, SetOfVec};
use der::{Decode, Encode, EncodeValue, Sequence, Tagged, ValueOrd};
use sha2::{Digest, Sha256, Sha384};
use spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};

use super::self_signed::{Certificate, Extension, SelfSignedError, TbsCertificate, signature_algorithm, time};

/// `szOID_RENEWAL_CERTIFICATE` (MS-WCCE section 2.2.2.7.3): its value is the certificate that is renewed.
const RENEWAL_CERTIFICATE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.13.1");

/// The extensions that the new certificate is to have as the old one has them. The others are the authority's to choose.
const REQUESTED: [ObjectIdentifier; 4] =
    [ID_CE_SUBJECT_ALT_NAME, ID_CE_KEY_USAGE, ID_CE_EXT_KEY_USAGE, ID_CE_CERTIFICATE_POLICIES];

/// What is asked for: the old certificate over a new key.
#[derive(Debug)]
pub struct Request<'data> {
    /// DER of the old certificate.
    pub old: &'data [u8],
    /// DER of the new `SubjectPublicKeyInfo`.
    pub public_key: &'data [u8],
}

/// Why no request can be made, or read.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// The certificate, the key, the request or the attributes are not in the form that they should be in.
    #[error("not DER of the expected form: {0}")]
    Encoding(#[from] der::Error),
    /// One of the keys is of a kind that does not sign here.
    #[error("no signature algorithm for keys of {0}")]
    Algorithm(ObjectIdentifier),
    /// The request does not name one old certificate.
    #[error("the request does not say which certificate it renews")]
    NoRenewal,
}

impl From<SelfSignedError> for RequestError {
    fn from(error: SelfSignedError) -> Self {
        match error {
            SelfSignedError::Encoding(source) => Self::Encoding(source),
            SelfSignedError::Algorithm(oid) => Self::Algorithm(oid),
        }
    }
}

impl Request<'_> {
    /// DER of the `CertificationRequestInfo` (RFC 2986 section 4.1), which the new key signs. Subject and extensions are the
    /// old certificate's, byte for byte; the old certificate itself stands among the attributes.
    pub fn encode(&self) -> Result<Vec<u8>, RequestError> {
        let old = body(self.old)?;
        // A key of a kind that cannot sign the request is refused now, not when it has been asked to.
        signature_algorithm(&SubjectPublicKeyInfoOwned::from_der(self.public_key)?)?;
        let mut attributes = vec![Attribute::of(RENEWAL_CERTIFICATE, Any::from_der(self.old)?)?];
        let extensions: Vec<Extension> =
            old.extensions.into_iter().flatten().filter(|extension| REQUESTED.contains(&extension.id)).collect();
        if !extensions.is_empty() {
            attributes.push(Attribute::of(ID_EXTENSION_REQ, any(&extensions)?)?);
        }
        let info = CertificationRequestInfo {
            version: 0,
            subject: old.subject,
            public_key: Any::from_der(self.public_key)?,
            attributes: attributes.try_into()?,
        };
        Ok(info.to_der()?)
    }
}

/// DER of the PKCS #10 request: what [`Request::encode`] made, and the new key's signature over it, which is PKCS #1 v1.5
/// with SHA-256 for RSA, ECDSA (DER form) with SHA-256 for P-256 and with SHA-384 for P-384.
pub fn certification_request(info: &[u8], signature: &[u8]) -> Result<Vec<u8>, RequestError> {
    let key = CertificationRequestInfo::from_der(info)?.public_key.decode_as()?;
    let request = CertificationRequest {
        info: Any::from_der(info)?,
        algorithm: signature_algorithm(&key)?,
        signature: BitString::from_bytes(signature)?,
    };
    Ok(request.to_der()?)
}

/// DER of the `SET OF Attribute` that the old key signs (RFC 5652 section 5.4), with the algorithm that
/// [`certification_request`] names for a key of its kind.
pub fn signed_attributes(pkcs10: &[u8], old_certificate: &[u8], signing_time: DateTime<Utc>) -> Result<Vec<u8>, RequestError> {
    let signer = Signer::of(old_certificate)?;
    let certificate = SigningCertificate {
        certificates: vec![SigningCertificateId { hash: OctetString::new(Sha256::digest(old_certificate).as_slice())? }],
    };
    let attributes = SetOfVec::try_from([
        Attribute::of(ID_CONTENT_TYPE, ID_DATA.into())?,
        Attribute::of(ID_MESSAGE_DIGEST, any(&OctetString::new(signer.digest(pkcs10))?)?)?,
        Attribute::of(ID_SIGNING_TIME, any(&time(signing_time)?)?)?,
        Attribute::of(ID_AA_SIGNING_CERTIFICATE_V_2, any(&certificate)?)?,
    ])?;
    Ok(attributes.to_der()?)
}

/// DER of the whole message, a CMS `ContentInfo` with `SignedData` (RFC 5652): the request, the old certificate, what
/// [`signed_attributes`] made, and the old key's signature over that.
pub fn message(
    pkcs10: &[u8],
    old_certificate: &[u8],
    signed_attributes: &[u8],
    signature: &[u8],
) -> Result<Vec<u8>, RequestError> {
    let signer = Signer::of(old_certificate)?;
    let info = SignerInfo {
        version: 1,
        signer: IssuerAndSerialNumber { issuer: signer.certificate.issuer, serial: signer.certificate.serial },
        digest: signer.digest_algorithm.clone(),
        attributes: SetOfVec::from_der(signed_attributes)?,
        algorithm: signer.algorithm,
        signature: OctetString::new(signature)?,
    };
    let data = SignedData {
        version: 1,
        digests: SetOfVec::try_from([signer.digest_algorithm])?,
        content: EncapsulatedContent { kind: ID_DATA, content: OctetString::new(pkcs10)? },
        certificates: SetOfVec::try_from([Any::from_der(old_certificate)?])?,
        signers: SetOfVec::try_from([Any::encode_from(&info)?])?,
    };
    Ok(ContentInfo { kind: ID_SIGNED_DATA, content: data }.to_der()?)
}

/// DER of the certificate that a PKCS #10 request asks to renew. Checks no signature.
pub fn renewed_certificate(pkcs10: &[u8]) -> Result<Vec<u8>, RequestError> {
    let info: CertificationRequestInfo = CertificationRequest::from_der(pkcs10)?.info.decode_as()?;
    let mut found = info.attributes.iter().filter(|attribute| attribute.id == RENEWAL_CERTIFICATE);
    match (found.next().map(|attribute| attribute.values.as_slice()), found.next()) {
        (Some([certificate]), None) => Ok(certificate.to_der()?),
        _ => Err(RequestError::NoRenewal),
    }
}

/// `CertificationRequestInfo` (RFC 2986 section 4.1), the name and the key taken as they are, byte for byte.
#[derive(Clone, Debug, Sequence)]
struct CertificationRequestInfo {
    version: u8,
    subject: Any,
    public_key: Any,
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT")]
    attributes: SetOfVec<Attribute>,
}

/// `CertificationRequest` (RFC 2986 section 4.2).
#[derive(Clone, Debug, Sequence)]
struct CertificationRequest {
    info: Any,
    algorithm: AlgorithmIdentifierOwned,
    signature: BitString,
}

/// `Attribute` (RFC 2986 section 4.1, RFC 5652 section 5.3).
#[derive(Clone, Debug, Sequence, ValueOrd)]
struct Attribute {
    id: ObjectIdentifier,
    values: SetOfVec<Any>,
}

impl Attribute {
    fn of(id: ObjectIdentifier, value: Any) -> der::Result<Self> {
        Ok(Self { id, values: SetOfVec::try_from([value])? })
    }
}

/// `SigningCertificateV2` (RFC 5035 section 3).
#[derive(Clone, Debug, Sequence)]
struct SigningCertificate {
    certificates: Vec<SigningCertificateId>,
}

/// `ESSCertIDv2` (RFC 5035 section 4): the algorithm is SHA-256 unless it is named.
#[derive(Clone, Debug, Sequence)]
struct SigningCertificateId {
    hash: OctetString,
}

/// `ContentInfo` (RFC 5652 section 3) with the one kind of content that is made here.
#[derive(Clone, Debug, Sequence)]
struct ContentInfo {
    kind: ObjectIdentifier,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    content: SignedData,
}

/// `SignedData` (RFC 5652 section 5.1).
#[derive(Clone, Debug, Sequence)]
struct SignedData {
    version: u8,
    digests: SetOfVec<AlgorithmIdentifierOwned>,
    content: EncapsulatedContent,
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT")]
    certificates: SetOfVec<Any>,
    signers: SetOfVec<Any>,
}

/// `EncapsulatedContentInfo` (RFC 5652 section 5.2).
#[derive(Clone, Debug, Sequence)]
struct EncapsulatedContent {
    kind: ObjectIdentifier,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    content: OctetString,
}

/// `SignerInfo` (RFC 5652 section 5.3).
#[derive(Clone, Debug, Sequence)]
struct SignerInfo {
    version: u8,
    signer: IssuerAndSerialNumber,
    digest: AlgorithmIdentifierOwned,
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT")]
    attributes: SetOfVec<Attribute>,
    algorithm: AlgorithmIdentifierOwned,
    signature: OctetString,
}

/// `IssuerAndSerialNumber` (RFC 5652 section 10.2.4).
#[derive(Clone, Debug, Sequence)]
struct IssuerAndSerialNumber {
    issuer: Any,
    serial: Int,
}

/// Who signs the message, and how.
struct Signer {
    certificate: TbsCertificate,
    algorithm: AlgorithmIdentifierOwned,
    digest_algorithm: AlgorithmIdentifierOwned,
}

impl Signer {
    fn of(certificate: &[u8]) -> Result<Self, RequestError> {
        let certificate = body(certificate)?;
        let algorithm = signature_algorithm(&certificate.public_key.decode_as()?)?;
        let oid = if algorithm.oid == ECDSA_WITH_SHA_384 { ID_SHA_384 } else { ID_SHA_256 };
        // Without parameters (RFC 5754 section 2).
        Ok(Self { certificate, algorithm, digest_algorithm: AlgorithmIdentifierOwned { oid, parameters: None } })
    }

    fn digest(&self, content: &[u8]) -> Vec<u8> {
        if self.digest_algorithm.oid == ID_SHA_384 {
            Sha384::digest(content).to_vec()
        } else {
            Sha256::digest(content).to_vec()
        }
    }
}

fn body(certificate: &[u8]) -> der::Result<TbsCertificate> {
    Certificate::from_der(certificate)?.tbs.decode_as()
}

fn any<T: Tagged + EncodeValue>(value: &T) -> der::Result<Any> {
    Any::encode_from(value)
}
