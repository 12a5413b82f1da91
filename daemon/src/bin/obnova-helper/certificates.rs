//! Reads certificates strictly and checks who issued them. Whom to trust is not decided here.

use chrono::{DateTime, Utc};
use obnovad::helper::HelperError;
use obnovad::helper::protocol::Bytes;
use openssl::error::ErrorStack;
use openssl::stack::Stack;
use openssl::x509::store::X509StoreBuilder;
use openssl::x509::verify::{X509VerifyFlags, X509VerifyParam};
use openssl::x509::{X509, X509StoreContext, X509VerifyResult};

use crate::failure::{of_content, of_openssl};

/// Parses one DER certificate, with nothing after it and nothing in it that DER would encode otherwise.
pub(crate) fn parse(der: &[u8]) -> Result<X509, HelperError> {
    let certificate = X509::from_der(der).map_err(|error| of_content(&error))?;
    if certificate.to_der().map_err(|error| of_openssl(&error))? != der {
        return Err(HelperError::Broken { detail: "the certificate is not strictly encoded".to_owned() });
    }
    Ok(certificate)
}

/// Verifies that `certificate` names the subject of `issuer` as its issuer and bears its signature.
pub(crate) fn judge(certificate: &[u8], issuer: &[u8]) -> Result<(), HelperError> {
    let (certificate, issuer) = (parse(certificate)?, parse(issuer)?);
    let (named, actual) = (certificate.issuer_name().to_der(), issuer.subject_name().to_der());
    if named.map_err(|error| of_openssl(&error))? != actual.map_err(|error| of_openssl(&error))? {
        return Err(HelperError::NotIssued { detail: "it names another issuer".to_owned() });
    }
    let key = issuer.public_key().map_err(|error| of_content(&error))?;
    // An error here is a signature of another kind than the key, or of another length: just as little the issuer's.
    match certificate.verify(&key) {
        Ok(true) => Ok(()),
        Ok(false) | Err(_) => Err(HelperError::NotIssued { detail: "the signature does not verify".to_owned() }),
    }
}

/// Verifies that a chain leads from `certificate`, by some of `links`, to one of `anchors` (RFC 5280 section 6).
pub(crate) fn chain(certificate: &[u8], links: &[Bytes], anchors: &[Bytes], at: DateTime<Utc>) -> Result<(), HelperError> {
    let certificate = parse(certificate)?;
    let read = |ders: &[Bytes]| ders.iter().map(|der| parse(der)).collect::<Result<Vec<_>, _>>();
    let (links, anchors) = (read(links)?, read(anchors)?);
    let verified = || {
        let mut parameters = X509VerifyParam::new()?;
        // Who is trusted is trusted for what they are, a root or not.
        parameters.set_flags(X509VerifyFlags::PARTIAL_CHAIN)?;
        parameters.set_time(at.timestamp());
        let mut store = X509StoreBuilder::new()?;
        store.set_param(&parameters)?;
        for anchor in anchors {
            store.add_cert(anchor)?;
        }
        let mut untrusted = Stack::new()?;
        for link in links {
            untrusted.push(link)?;
        }
        let mut context = X509StoreContext::new()?;
        context.init(&store.build(), &certificate, &untrusted, |context| {
            Ok::<X509VerifyResult, ErrorStack>(if context.verify_cert()? { X509VerifyResult::OK } else { context.error() })
        })
    };
    match verified().map_err(|error| of_openssl(&error))? {
        X509VerifyResult::OK => Ok(()),
        other => Err(HelperError::NotIssued { detail: other.error_string().to_owned() }),
    }
}
