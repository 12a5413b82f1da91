//! The addresses in a certificate where its issuer says what became of it. Whoever made the certificate wrote them: they are hostile until
//! somebody has looked where they lead.

use url::Url;
use x509_parser::extensions::{AccessDescription, DistributionPointName, GeneralName, ParsedExtension};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::CertificateError;

/// `id-ad-ocsp` (RFC 5280 section 4.2.2.1).
const OCSP: &str = "1.3.6.1.5.5.7.48.1";

/// `id-ad-caIssuers`.
const ISSUERS: &str = "1.3.6.1.5.5.7.48.2";

/// How many of each are taken: the first ones.
const MOST: usize = 2;

/// The longest address in characters that is taken.
const LONGEST: usize = 1024;

/// The addresses, all of them `http` or `https` and without a name or password to log in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    /// Who is asked whether it has been revoked.
    pub ocsp: Vec<String>,
    /// Where a list of all is that have been.
    pub lists: Vec<String>,
    /// Where the issuer's certificate is.
    pub issuers: Vec<String>,
}

impl Sources {
    /// Reads them from the DER of a certificate (RFC 5280 sections 4.2.1.13 and 4.2.2.1).
    pub fn of(der: &[u8]) -> Result<Self, CertificateError> {
        let (_, parsed) = X509Certificate::from_der(der).map_err(|error| CertificateError::Malformed(error.to_string()))?;
        let mut sources = Self::default();
        for extension in parsed.extensions() {
            match extension.parsed_extension() {
                ParsedExtension::AuthorityInfoAccess(access) => {
                    let named = |method: &str| {
                        let these = access.accessdescs.iter().filter(move |description| is(description, method));
                        taken(these.map(|description| &description.access_location))
                    };
                    (sources.ocsp, sources.issuers) = (named(OCSP), named(ISSUERS));
                }
                ParsedExtension::CRLDistributionPoints(points) => {
                    // A list of some reasons, or by somebody else, says nothing of the rest.
                    let whole = points.points.iter().filter(|point| point.reasons.is_none() && point.crl_issuer.is_none());
                    let names = whole.filter_map(|point| match &point.distribution_point {
                        Some(DistributionPointName::FullName(names)) => Some(names),
                        _ => None,
                    });
                    sources.lists = taken(names.flatten());
                }
                _ => {}
            }
        }
        Ok(sources)
    }

    /// Whether nobody can be asked about it.
    pub fn tell_nothing(&self) -> bool {
        self.ocsp.is_empty() && self.lists.is_empty()
    }
}

fn is(description: &AccessDescription<'_>, method: &str) -> bool {
    description.access_method.to_id_string() == method
}

fn taken<'name, 'a: 'name>(names: impl Iterator<Item = &'name GeneralName<'a>>) -> Vec<String> {
    let addresses = names.filter_map(|name| match name {
        GeneralName::URI(text) if text.len() <= LONGEST => Url::parse(text).ok(),
        _ => None,
    });
    let plain = |url: &Url| {
        let of_the_web = matches!(url.scheme(), "http" | "https") && url.host_str().is_some_and(|host| !host.is_empty());
        of_the_web && url.username().is_empty() && url.password().is_none()
    };
    addresses.filter(plain).map(String::from).take(MOST).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_addresses_of_the_web_are_taken() {
        let uris = [
            "ldap://directory.example/cn=ca",
            "file:///etc/passwd",
            "http://anna:secret@ocsp.example/",
            "http://ocsp.example",
            "not an address",
            "https://ocsp.example/other",
            "http://third.example",
        ];
        let names: Vec<GeneralName<'_>> =
            uris.iter().map(|uri| GeneralName::URI(uri)).chain([GeneralName::DNSName("ocsp.example")]).collect();
        assert_eq!(taken(names.iter()), ["http://ocsp.example/", "https://ocsp.example/other"]);
        let long = format!("http://ocsp.example/{}", "x".repeat(LONGEST));
        assert!(taken([GeneralName::URI(&long)].iter()).is_empty());
    }

    proptest! {
        #[test]
        fn no_address_panics(text in "\\PC{0,40}", rest in "(https?|ldap|file|[a-z]{1,5})://\\PC{0,40}") {
            for uri in [&text, &rest] {
                for address in taken([GeneralName::URI(uri)].iter()) {
                    prop_assert!(address.starts_with("http://") || address.starts_with("https://"), "{address}");
                }
            }
        }

        #[test]
        fn no_certificate_panics(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            prop_assert!(Sources::of(&bytes).is_err());
        }
    }
}
