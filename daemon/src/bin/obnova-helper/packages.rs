//! Opens PKCS#12 files and makes the files in which a renewed key and its certificate leave: PKCS#12 and PEM. Where those go
//! is not decided here.

use std::path::Path;

use obnova_secret::Secret;
use obnovad::helper::protocol::{Bytes, Sha256};
use obnovad::helper::{Format, HelperError, Opened, OpenedCertificate, Product};
use openssl::error::ErrorStack;
use openssl::nid::Nid;
use openssl::pkcs12::{ParsedPkcs12_2, Pkcs12};
use openssl::pkey::{PKey, PKeyRef, Private};
use openssl::provider::Provider;
use openssl::sha::sha256;
use openssl::stack::Stack;
use openssl::x509::{X509, X509Ref};

use crate::failure::{is_unsupported, is_wrong_mac, of_content, of_openssl};
use crate::keys::public_key_info;
use crate::{certificates, files, keys, mac, seal};

/// Iterations of the key derivations in a PKCS#12 that we write. Every program that opens it repeats them three times, and
/// some (on phones) are slow; OpenSSL's default is 2048.
const ITERATIONS: u32 = 100_000;

/// Opens a PKCS#12 file.
pub(crate) fn open_pkcs12(path: &Path, password: Option<&Secret>) -> Result<Opened, HelperError> {
    let parsed = decrypt(&files::read(path)?, password.ok_or(HelperError::SecretNeeded)?)?;
    let own = parsed.cert.iter().map(AsRef::as_ref);
    let others = parsed.ca.iter().flatten();
    let describe = |certificate| describe(certificate, parsed.pkey.as_deref());
    Ok(Opened {
        certificates: own.chain(others).map(describe).collect::<Result<_, _>>()?,
        key: parsed.pkey.as_deref().map(public_key_info).transpose()?,
    })
}

/// The private key in the content of a PKCS#12 file; `None` if it is no such file.
pub(crate) fn key_in(content: &[u8], password: Option<&Secret>) -> Result<Option<PKey<Private>>, HelperError> {
    if Pkcs12::from_der(content).is_err() {
        return Ok(None);
    }
    decrypt(content, password.ok_or(HelperError::SecretNeeded)?)?.pkey.map(Some).ok_or(HelperError::NoKey)
}

/// Makes a product, then opens it as written and compares.
pub(crate) fn package(product: &Product, opens: Option<&Secret>, seals: Option<&Secret>) -> Result<Sha256, HelperError> {
    let certificate = certificates::parse(&product.certificate)?;
    let chain = product.chain.iter().map(|der| certificates::parse(der)).collect::<Result<Vec<_>, _>>()?;
    let key = keys::read(&product.key, opens)?.key;
    if !key.public_eq(&*certificate.public_key().map_err(|error| of_content(&error))?) {
        return Err(HelperError::KeyMismatch);
    }
    let content = match product.format {
        Format::Pkcs12 => to_pkcs12(&key, &certificate, chain, product.friendly_name.as_deref(), seals)?,
        Format::PemKey => seal::to_pem(&key, seals)?,
        Format::PemBoth => to_pem(&key, &certificate, &chain, seals)?,
    };
    files::write_over(&product.out, &content)?;
    let written = files::read(&product.out)?;
    prove(product, &written, &key, seals)?;
    Ok(sha256(&written))
}

fn describe(certificate: &X509Ref, key: Option<&PKeyRef<Private>>) -> Result<OpenedCertificate, HelperError> {
    // A public key of a kind that this OpenSSL does not know is certainly not that of the private key that it does.
    let has_key = key.is_some_and(|key| certificate.public_key().is_ok_and(|public| key.public_eq(&public)));
    Ok(OpenedCertificate {
        der: Bytes(certificate.to_der().map_err(|error| of_openssl(&error))?),
        has_key,
        friendly_name: certificate.alias().map(|name| String::from_utf8_lossy(name).into_owned()),
    })
}

/// Opens the content of a PKCS#12. With a MAC, that tells a wrong password; without one, what does not decrypt counts as such.
fn decrypt(content: &[u8], password: &Secret) -> Result<ParsedPkcs12_2, HelperError> {
    let package = Pkcs12::from_der(content).map_err(|error| of_content(&error))?;
    // Neither a zero nor bytes that are no text can be in the password of any PKCS#12: it is a zero-terminated string of
    // characters (RFC 7292 appendix B.1).
    let password = text_of(password).ok_or(HelperError::WrongSecret)?;
    let amended = mac::supply(&package, password);
    // RC2 and the like, as OpenSSL 1 and many authorities still write. Without the provider they are merely unsupported.
    let _legacy = Provider::try_load(None, "legacy", true);
    amended.as_ref().unwrap_or(&package).parse2(password).map_err(|error| {
        if is_wrong_mac(&error) || (amended.is_some() && !is_unsupported(&error)) {
            HelperError::WrongSecret
        } else {
            of_content(&error)
        }
    })
}

fn to_pkcs12(
    key: &PKeyRef<Private>,
    certificate: &X509Ref,
    chain: Vec<X509>,
    friendly_name: Option<&str>,
    password: Option<&Secret>,
) -> Result<Vec<u8>, HelperError> {
    let password = password.and_then(text_of).ok_or(HelperError::UnfitSecret)?;
    if friendly_name.is_some_and(|name| name.contains('\0')) {
        return Err(HelperError::Unsupported { detail: "a friendly name with a zero byte".to_owned() });
    }
    let build = || -> Result<Vec<u8>, ErrorStack> {
        let mut builder = Pkcs12::builder();
        builder.pkey(key).cert(certificate);
        builder.key_algorithm(Nid::AES_256_CBC).cert_algorithm(Nid::AES_256_CBC);
        builder.key_iter(ITERATIONS).mac_iter(ITERATIONS).mac_md(openssl::hash::MessageDigest::sha256());
        if let Some(name) = friendly_name {
            builder.name(name);
        }
        if !chain.is_empty() {
            let mut stack = Stack::new()?;
            for certificate in chain {
                stack.push(certificate)?;
            }
            builder.ca(stack);
        }
        builder.build2(password)?.to_der()
    };
    build().map_err(|error| of_openssl(&error))
}

fn to_pem(
    key: &PKeyRef<Private>,
    certificate: &X509Ref,
    chain: &[X509],
    secret: Option<&Secret>,
) -> Result<Vec<u8>, HelperError> {
    let mut content = Vec::new();
    for certificate in std::iter::once(certificate).chain(chain.iter().map(AsRef::as_ref)) {
        content.extend(certificate.to_pem().map_err(|error| of_openssl(&error))?);
    }
    content.extend(seal::to_pem(key, secret)?);
    Ok(content)
}

/// Opens what was written as its reader will, and compares it with what was meant.
fn prove(product: &Product, written: &[u8], key: &PKeyRef<Private>, secret: Option<&Secret>) -> Result<(), HelperError> {
    let (found_key, found_certificates) = match product.format {
        Format::Pkcs12 => {
            let parsed = decrypt(written, secret.ok_or(HelperError::UnfitSecret)?)?;
            (parsed.pkey, parsed.cert.into_iter().chain(parsed.ca.into_iter().flatten()).collect())
        }
        Format::PemKey => (Some(keys::parse(written, secret)?.key), Vec::new()),
        Format::PemBoth => {
            let certificates = X509::stack_from_pem(written).map_err(|error| of_content(&error))?;
            (Some(keys::parse(written, secret)?.key), certificates)
        }
    };
    let meant: Vec<&[u8]> = match product.format {
        Format::PemKey => Vec::new(),
        Format::Pkcs12 | Format::PemBoth => {
            std::iter::once(&product.certificate).chain(&product.chain).map(|der| &**der).collect()
        }
    };
    let found = found_certificates.iter().map(|certificate| certificate.to_der()).collect::<Result<Vec<_>, _>>();
    let same_key = found_key.is_some_and(|found| found.public_eq(key));
    if same_key && found.map_err(|error| of_openssl(&error))? == meant { Ok(()) } else { Err(HelperError::Changed) }
}

/// A secret as OpenSSL takes passwords: UTF-8 without a zero byte.
fn text_of(secret: &Secret) -> Option<&str> {
    std::str::from_utf8(secret.expose()).ok().filter(|text| !text.contains('\0'))
}
