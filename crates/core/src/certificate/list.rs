//! Of which certificates a list of revoked ones speaks. Whether it was signed by whom it must be is not decided here.

use x509_parser::extensions::{DistributionPointName, GeneralName, IssuingDistributionPoint, ParsedExtension};
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::revocation_list::CertificateRevocationList;

use super::CertificateError;

/// Whether a list (DER) says of each certificate like this one (DER) that was revoked that it was (RFC 5280 section 6.3.3 steps b and c):
/// it is whole, by the issuer itself, of all reasons, and of the part of the issuer's certificates in which this one is. One with critical
/// extensions that are not understood says nothing.
pub fn list_covers(list: &[u8], certificate: &[u8]) -> Result<bool, CertificateError> {
    let malformed = |error: &dyn std::fmt::Display| CertificateError::Malformed(error.to_string());
    let (rest, list) = CertificateRevocationList::from_der(list).map_err(|error| malformed(&error))?;
    if !rest.is_empty() {
        return Err(malformed(&"bytes behind its end"));
    }
    let (_, certificate) = X509Certificate::from_der(certificate).map_err(|error| malformed(&error))?;
    Ok(list.extensions().iter().all(|extension| match extension.parsed_extension() {
        ParsedExtension::IssuingDistributionPoint(point) => is_of(point, &certificate),
        _ => !extension.critical,
    }))
}

fn is_of(point: &IssuingDistributionPoint<'_>, certificate: &X509Certificate<'_>) -> bool {
    let authority = certificate.is_ca();
    let of_its_kind = if authority { !point.only_contains_user_certs } else { !point.only_contains_ca_certs };
    let whole = !point.only_contains_attribute_certs && !point.indirect_crl && point.only_some_reasons.is_none();
    of_its_kind && whole && point.distribution_point.as_ref().is_none_or(|name| names(certificate, name))
}

/// Whether the certificate says that it is on the list of this name.
fn names(certificate: &X509Certificate<'_>, name: &DistributionPointName<'_>) -> bool {
    let DistributionPointName::FullName(wanted) = name else { return false };
    certificate.extensions().iter().any(|extension| {
        let ParsedExtension::CRLDistributionPoints(points) = extension.parsed_extension() else { return false };
        let named = points.points.iter().filter_map(|point| match &point.distribution_point {
            Some(DistributionPointName::FullName(names)) => Some(names),
            _ => None,
        });
        named.flatten().any(|named| wanted.iter().any(|wanted| same(named, wanted)))
    })
}

fn same(one: &GeneralName<'_>, other: &GeneralName<'_>) -> bool {
    matches!((one, other), (GeneralName::URI(one), GeneralName::URI(other)) if one == other)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_list_panics(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            prop_assert!(list_covers(&bytes, &bytes).is_err());
        }
    }
}
