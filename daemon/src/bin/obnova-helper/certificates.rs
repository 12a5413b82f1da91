//! Reads certificates strictly and checks who issued them. Chains and trust are not judged here.

use obnovad::helper::HelperError;
use openssl::x509::X509;

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
