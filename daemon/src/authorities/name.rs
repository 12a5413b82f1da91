//! Distinguished names as they are written into certificates.

use const_oid::ObjectIdentifier;
use const_oid::db::rfc4519::{C, CN, L, O, OU, ST};
use der::asn1::{Any, PrintableString, SetOfVec, Utf8StringRef};
use der::{Encode, Sequence, ValueOrd};

/// Why no name can be made.
#[derive(Debug, thiserror::Error)]
pub enum NameError {
    /// A text does not fit.
    #[error("not a text for a name: {0}")]
    Encoding(#[from] der::Error),
    /// No attribute is called so.
    #[error("no attribute of a name is called {0}")]
    Attribute(String),
}

/// DER of the `Name` (RFC 5280 section 4.1.2.4) of these attributes, by their short names, one after the other.
pub fn encode(attributes: &[(&str, &str)]) -> Result<Vec<u8>, NameError> {
    let parts = attributes.iter().map(|(key, value)| {
        let kind = ATTRIBUTES.iter().find(|(known, _)| known == key).map(|(_, kind)| *kind);
        let kind = kind.ok_or_else(|| NameError::Attribute((*key).to_owned()))?;
        // A country is PrintableString, everything else UTF8String (appendix A.1).
        let value = if *key == "C" {
            Any::encode_from(&PrintableString::new(*value)?)?
        } else {
            Any::encode_from(&Utf8StringRef::new(value)?)?
        };
        Ok(SetOfVec::try_from([Attribute { kind, value }])?)
    });
    let parts = parts.collect::<Result<Vec<_>, NameError>>()?;
    Ok(parts.to_der()?)
}

/// The attributes of which a name may be made (RFC 4514 section 3).
const ATTRIBUTES: [(&str, ObjectIdentifier); 6] = [("C", C), ("ST", ST), ("L", L), ("O", O), ("OU", OU), ("CN", CN)];

/// `AttributeTypeAndValue` (RFC 5280 section 4.1.2.4).
#[derive(Clone, Debug, PartialEq, Eq, Sequence, ValueOrd)]
struct Attribute {
    kind: ObjectIdentifier,
    value: Any,
}
