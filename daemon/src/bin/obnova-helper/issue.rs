//! The cryptography of a certification authority: checks that a request is signed by whom it must be, and makes certificates.
//! Who may have one, for how long, and what was issued before is the daemon's to know.

use std::path::Path;

use der::{Decode, SliceReader};
use obnovad::authorities::signed_request::renewed_certificate;
use obnovad::helper::protocol::{Bytes, Validity};
use obnovad::helper::{HelperError, Issued};
use openssl::asn1::{Asn1Integer, Asn1Time};
use openssl::bn::BigNum;
use openssl::cms::{CMSOptions, CmsContentInfo};
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::rand::rand_bytes;
use openssl::stack::Stack;
use openssl::x509::extension::{AuthorityKeyIdentifier, BasicConstraints, KeyUsage, SubjectKeyIdentifier};
use openssl::x509::store::{X509Store, X509StoreBuilder};
use openssl::x509::verify::X509VerifyFlags;
use openssl::x509::{X509, X509Builder, X509Extension, X509NameBuilder, X509PurposeId, X509Req};
use spki::ObjectIdentifier;

use crate::failure::{of_content, of_openssl};
use crate::{certificates, keys};

/// The extensions that are given as they are asked for: alternative names, key usage, extended key usage, policies
/// (RFC 5280 section 4.2.1).
const GRANTED: [&str; 4] = ["2.5.29.17", "2.5.29.15", "2.5.29.37", "2.5.29.32"];

/// `CMS_CADES` of `openssl/cms.h`: the signer's certificate must be the one that the signed attributes name (RFC 5035).
const CADES: u32 = 0x10_0000;

/// The certificate of an authority over its own key.
pub(crate) fn establish(key: &Path, name: &str, validity: Validity) -> Result<Bytes, HelperError> {
    let key = keys::read(key, None)?.key;
    let made = || {
        let mut subject = X509NameBuilder::new()?;
        subject.append_entry_by_text("CN", name)?;
        let subject = subject.build();
        let mut builder = builder(validity)?;
        builder.set_subject_name(&subject)?;
        builder.set_issuer_name(&subject)?;
        builder.set_pubkey(&key)?;
        builder.append_extension(BasicConstraints::new().critical().ca().build()?)?;
        builder.append_extension(KeyUsage::new().critical().key_cert_sign().crl_sign().build()?)?;
        let identifier = SubjectKeyIdentifier::new().build(&builder.x509v3_context(None, None))?;
        builder.append_extension(identifier)?;
        builder.sign(&key, MessageDigest::sha256())?;
        builder.build().to_der()
    };
    made().map(Bytes).map_err(|error| of_openssl(&error))
}

/// The certificate that a signed request asks for.
pub(crate) fn issue(message: &[u8], key: &Path, authority: &[u8], validity: Validity) -> Result<Issued, HelperError> {
    let authority = certificates::parse(authority)?;
    let key = keys::read(key, None)?.key;
    if !authority.public_key().map_err(|error| of_content(&error))?.public_eq(&key) {
        return Err(HelperError::KeyMismatch);
    }
    let (request, renews) = examine(message)?;
    let certificate = certify(&request, &key, &authority, validity)?;
    Ok(Issued { certificate: Bytes(certificate), renews: Bytes(renews) })
}

/// What is asked for, once all that is signed is proved, and the certificate (DER) whose renewal it is.
fn examine(message: &[u8]) -> Result<(X509Req, Vec<u8>), HelperError> {
    // Whoever signed it must be among its certificates (MS-WCCE section 3.2.1.4.2.1.4.2.1); who that is, the content says.
    let content = signed_content(message, None)?;
    let request = X509Req::from_der(&content).map_err(|error| of_content(&error))?;
    if request.to_der().map_err(|error| of_openssl(&error))? != content {
        return Err(HelperError::Broken { detail: "the request is not strictly encoded".to_owned() });
    }
    let new_key = request.public_key().map_err(|error| of_content(&error))?;
    // An error here is a signature of another kind than the key.
    if !matches!(request.verify(&new_key), Ok(true)) {
        return Err(unacceptable("the new key has not signed it"));
    }
    let renews = renewed_certificate(&content).map_err(|error| unacceptable(error.to_string()))?;
    let proved = signed_content(message, Some(certificates::parse(&renews)?))?;
    if proved == content { Ok((request, renews)) } else { Err(unacceptable("it has two contents")) }
}

/// The content of a message if its signatures verify: those of any certificates in it, or of `signer` alone, which must then
/// be named in the signed attributes. No chain and no validity is looked at.
fn signed_content(message: &[u8], signer: Option<X509>) -> Result<Vec<u8>, HelperError> {
    let mut cms = CmsContentInfo::from_der(message).map_err(|error| of_content(&error))?;
    if cms.to_der().map_err(|error| of_openssl(&error))? != message {
        return Err(HelperError::Broken { detail: "the message is not strictly encoded".to_owned() });
    }
    let mut content = Vec::new();
    let verified = match signer {
        None => cms.verify(None, None, None, Some(&mut content), CMSOptions::NO_SIGNER_CERT_VERIFY | CMSOptions::BINARY),
        Some(signer) => {
            let flags = CMSOptions::NOINTERN | CMSOptions::BINARY | CMSOptions::from_bits_retain(CADES);
            let store = trusting(signer.clone()).map_err(|error| of_openssl(&error))?;
            let mut signers = Stack::new().map_err(|error| of_openssl(&error))?;
            signers.push(signer).map_err(|error| of_openssl(&error))?;
            cms.verify(Some(&signers), Some(&store), None, Some(&mut content), flags)
        }
    };
    verified.map_err(|error| unacceptable(format!("the old key has not signed it: {}", of_openssl(&error))))?;
    Ok(content)
}

/// A store in which a certificate needs no issuer.
fn trusting(certificate: X509) -> Result<X509Store, ErrorStack> {
    let mut store = X509StoreBuilder::new()?;
    store.set_flags(X509VerifyFlags::PARTIAL_CHAIN | X509VerifyFlags::NO_CHECK_TIME)?;
    store.set_purpose(X509PurposeId::ANY)?;
    store.add_cert(certificate)?;
    Ok(store.build())
}

fn certify(request: &X509Req, key: &PKey<Private>, authority: &X509, validity: Validity) -> Result<Vec<u8>, HelperError> {
    let extensions = requested(request)?;
    let made = || {
        let mut builder = builder(validity)?;
        builder.set_subject_name(request.subject_name())?;
        builder.set_issuer_name(authority.subject_name())?;
        let new_key = request.public_key()?;
        builder.set_pubkey(&new_key)?;
        for extension in &extensions {
            builder.append_extension2(extension)?;
        }
        let context = builder.x509v3_context(Some(authority), None);
        let (subject_id, authority_id) =
            (SubjectKeyIdentifier::new().build(&context)?, AuthorityKeyIdentifier::new().keyid(true).build(&context)?);
        builder.append_extension(subject_id)?;
        builder.append_extension(authority_id)?;
        builder.sign(key, MessageDigest::sha256())?;
        builder.build().to_der()
    };
    made().map_err(|error| of_openssl(&error))
}

/// The extensions that a request asks for, if it asks for none but those that are given.
fn requested(request: &X509Req) -> Result<Vec<X509Extension>, HelperError> {
    let extensions = match request.extensions() {
        Ok(extensions) => extensions,
        // OpenSSL has no error to tell when there are none.
        Err(error) if error.errors().is_empty() => return Ok(Vec::new()),
        Err(error) => return Err(of_content(&error)),
    };
    let mut granted = Vec::new();
    for extension in extensions {
        let der = extension.to_der().map_err(|error| of_openssl(&error))?;
        let id = id(&der).map_err(|error| HelperError::Broken { detail: error.to_string() })?;
        if !GRANTED.contains(&id.to_string().as_str()) {
            return Err(unacceptable(format!("it asks for the extension {id}")));
        }
        granted.push(extension);
    }
    Ok(granted)
}

/// The identifier with which the DER of an extension begins.
fn id(extension: &[u8]) -> der::Result<ObjectIdentifier> {
    let fields = der::asn1::Any::from_der(extension)?;
    ObjectIdentifier::decode(&mut SliceReader::new(fields.value())?)
}

/// A certificate of version 3 with a random serial number (RFC 5280 section 4.1.2.2) and this validity.
fn builder(validity: Validity) -> Result<X509Builder, ErrorStack> {
    let mut serial = [0; 16];
    rand_bytes(&mut serial)?;
    // Neither negative nor shorter than it looks.
    serial[0] = serial[0] & 0x7f | 0x40;
    let serial: Asn1Integer = BigNum::from_slice(&serial)?.to_asn1_integer()?;
    let mut builder = X509Builder::new()?;
    builder.set_version(2)?;
    builder.set_serial_number(&serial)?;
    let (not_before, not_after) =
        (Asn1Time::from_unix(validity.not_before.timestamp())?, Asn1Time::from_unix(validity.not_after.timestamp())?);
    builder.set_not_before(&not_before)?;
    builder.set_not_after(&not_after)?;
    Ok(builder)
}

fn unacceptable(detail: impl Into<String>) -> HelperError {
    HelperError::Unacceptable { detail: detail.into() }
}
