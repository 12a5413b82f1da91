//! The certificates in what an authority answered, whatever form they come in, and which of them are ours. Judges none of them.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use const_oid::ObjectIdentifier;
use const_oid::db::rfc5911::ID_SIGNED_DATA;
use der::asn1::Any;
use der::{Decode, Encode, Reader, SliceReader, Tag, TagNumber, Tagged};
use obnova_core::{Certificate, Fingerprint};

/// The most certificates in one answer.
const MOST: usize = 32;

/// Why an answer holds nothing for us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// It is in no form that certificates have.
    #[error("no certificates")]
    Form,
    /// It holds more than anybody needs.
    #[error("too many certificates")]
    TooMany,
    /// None, or more than one, is for this key of ours.
    #[error("not one certificate for the new key")]
    NotOurs,
}

/// All certificates (DER) in an answer: one in DER, several in PEM, or CMS without signers (RFC 5652, as RFC 7030 section 4.1.3 has
/// it), the latter in base64 or PEM, too.
pub fn certificates(content: &[u8]) -> Result<Vec<Vec<u8>>, AnswerError> {
    let found = if content.first() == Some(&0x30) {
        in_der(content)
    } else {
        let text = std::str::from_utf8(content).map_err(|_| AnswerError::Form)?;
        if text.contains("-----BEGIN ") { in_pem(text)? } else { in_der(&of_base64(text)?) }
    };
    let mut distinct: Vec<Vec<u8>> = Vec::new();
    for der in found {
        Certificate::from_der(&der).map_err(|_| AnswerError::Form)?;
        if !distinct.contains(&der) {
            distinct.push(der);
        }
    }
    match distinct.len() {
        0 => Err(AnswerError::Form),
        1..=MOST => Ok(distinct),
        _ => Err(AnswerError::TooMany),
    }
}

/// The certificates of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sorted {
    /// Those for our keys (DER), in the order of the keys.
    pub ours: Vec<Vec<u8>>,
    /// The others (DER).
    pub others: Vec<Vec<u8>>,
}

/// Tells the certificates (DER) for our public keys (DER of `SubjectPublicKeyInfo`) from the others. Each key has just one.
pub fn sorted(certificates: Vec<Vec<u8>>, keys: &[&[u8]]) -> Result<Sorted, AnswerError> {
    let keys: Vec<Fingerprint> = keys.iter().map(|key| Fingerprint::of(key)).collect();
    let mut ours: Vec<Option<Vec<u8>>> = vec![None; keys.len()];
    let mut others = Vec::new();
    for der in certificates {
        let certified = Certificate::from_der(&der).map_err(|_| AnswerError::Form)?.public_key;
        match keys.iter().position(|key| *key == certified) {
            Some(at) if ours[at].is_none() => ours[at] = Some(der),
            Some(_) => return Err(AnswerError::NotOurs),
            None => others.push(der),
        }
    }
    let ours = ours.into_iter().collect::<Option<Vec<_>>>().ok_or(AnswerError::NotOurs)?;
    Ok(Sorted { ours, others })
}

fn in_pem(text: &str) -> Result<Vec<Vec<u8>>, AnswerError> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once("-----BEGIN ") {
        let (label, after) = after.split_once("-----").ok_or(AnswerError::Form)?;
        let (inside, after) = after.split_once("-----END ").ok_or(AnswerError::Form)?;
        let der = of_base64(inside)?;
        match label {
            "CERTIFICATE" => found.push(der),
            "PKCS7" | "CMS" => found.extend(in_der(&der)),
            _ => return Err(AnswerError::Form),
        }
        rest = after;
    }
    Ok(found)
}

fn of_base64(text: &str) -> Result<Vec<u8>, AnswerError> {
    let text: String = text.split_ascii_whitespace().collect();
    BASE64_STANDARD.decode(text).map_err(|_| AnswerError::Form)
}

/// One certificate, or those of a CMS `SignedData`.
fn in_der(der: &[u8]) -> Vec<Vec<u8>> {
    in_cms(der).unwrap_or_else(|_| vec![der.to_vec()])
}

/// `ContentInfo` (RFC 5652 section 3) with `SignedData` (section 5.1), of which only the certificates are read.
fn in_cms(der: &[u8]) -> der::Result<Vec<Vec<u8>>> {
    let mut reader = SliceReader::new(der)?;
    let content = reader.sequence(|reader| {
        let kind = ObjectIdentifier::decode(reader)?;
        let content = Any::decode(reader)?;
        if kind == ID_SIGNED_DATA { Ok::<_, der::Error>(content) } else { Err(Tag::ObjectIdentifier.value_error().into()) }
    })?;
    reader.finish()?;
    let certificates = TagNumber(0);
    let inside = content.value().to_vec();
    let mut reader = SliceReader::new(&inside)?;
    let found = reader.sequence(|reader| {
        let mut found = Vec::new();
        while !reader.is_finished() {
            let part = Any::decode(reader)?;
            if part.tag() == (Tag::ContextSpecific { constructed: true, number: certificates }) {
                found = set_of(part.value())?;
            }
        }
        Ok::<_, der::Error>(found)
    })?;
    reader.finish()?;
    Ok(found)
}

/// The elements of an implicitly tagged SET, in whatever order they stand.
fn set_of(content: &[u8]) -> der::Result<Vec<Vec<u8>>> {
    let mut reader = SliceReader::new(content)?;
    let mut elements = Vec::new();
    while !reader.is_finished() {
        elements.push(Any::decode(&mut reader)?.to_der()?);
    }
    Ok(elements)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            prop_assert!(certificates(&bytes).is_err());
        }

        #[test]
        fn no_sequence_panics(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            let mut der = vec![0x30, u8::try_from(bytes.len()).expect("short")];
            der.extend(bytes);
            prop_assert!(certificates(&der).is_err());
        }

        #[test]
        fn no_text_panics(text in "(-----BEGIN (CERTIFICATE|PKCS7|X)-----)?[A-Za-z0-9+/=\n]{0,80}(-----END (CERTIFICATE|PKCS7|X)-----)?") {
            prop_assert!(certificates(text.as_bytes()).is_err());
        }
    }
}
