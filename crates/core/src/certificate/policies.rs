//! Under which policies a certificate was issued: what a new one must not lose.

use std::collections::BTreeSet;

use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::CertificateError;

/// `id-pe-qcStatements` (RFC 3739 section 3.2.6).
const STATEMENTS: &str = "1.3.6.1.5.5.7.1.3";

/// DER of `id-etsi-qcs-QcCompliance`, 0.4.0.1862.1.1 (ETSI EN 319 412-5 section 4.2.1): the certificate is a qualified one.
const COMPLIANCE: [u8; 8] = [0x06, 0x06, 0x04, 0x00, 0x8E, 0x46, 0x01, 0x01];

/// The policies of a certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policies {
    /// Their identifiers (RFC 5280 section 4.2.1.4).
    identifiers: BTreeSet<String>,
    /// It is a qualified certificate of the European Union.
    qualified: bool,
}

impl Policies {
    /// Reads them from the DER of a certificate.
    pub fn of(der: &[u8]) -> Result<Self, CertificateError> {
        let (_, parsed) = X509Certificate::from_der(der).map_err(|error| CertificateError::Malformed(error.to_string()))?;
        let mut policies = Self::default();
        for extension in parsed.extensions() {
            if let ParsedExtension::CertificatePolicies(found) = extension.parsed_extension() {
                policies.identifiers.extend(found.iter().map(|policy| policy.policy_id.to_id_string()));
            } else if extension.oid.to_id_string() == STATEMENTS {
                policies.qualified |= extension.value.windows(COMPLIANCE.len()).any(|window| window == COMPLIANCE);
            }
        }
        Ok(policies)
    }

    /// Whether a certificate with these may take the place of one with the older: it loses no policy, and a qualified one stays so.
    pub fn succeed(&self, older: &Self) -> bool {
        older.identifiers.is_subset(&self.identifiers) && (self.qualified || !older.qualified)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_policy_is_lost() {
        let policies = |identifiers: &[&str], qualified| Policies {
            identifiers: identifiers.iter().map(|&identifier| identifier.to_owned()).collect(),
            qualified,
        };
        let old = policies(&["1.2.3"], true);
        assert!(policies(&["1.2.3", "1.2.4"], true).succeed(&old));
        assert!(!policies(&["1.2.4"], true).succeed(&old), "another policy");
        assert!(!policies(&["1.2.3"], false).succeed(&old), "not qualified any more");
        assert!(policies(&[], false).succeed(&Policies::default()));
        assert!(Policies::of(b"x").is_err());
    }
}
