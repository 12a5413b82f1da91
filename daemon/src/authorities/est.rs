//! Enrolment over Secure Transport (RFC 7030): the old key logs in by TLS, wherever it lives, and the request that the new key has
//! signed is posted. Owns what is sent there and what the answers mean.
//!
//! EST has no names for orders and no way to ask which requests a server has. After 202 the very same request is posted again, not
//! before its time (section 4.2.3): what stands for an order is that time.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use chrono::{DateTime, Utc};
use const_oid::ObjectIdentifier;
use const_oid::db::rfc5912::{ID_EC_PUBLIC_KEY, RSA_ENCRYPTION, SECP_256_R_1, SECP_384_R_1};
use der::asn1::Any;
use der::{Decode, Reader, SliceReader, Tag, Tagged};
use obnova_core::Problem;
use obnova_core::certificate::KeyAlgorithm;
use obnova_core::programme::{Enrol, Remote, Resend};

use super::https::{Meaning, call, senseless};
use super::{Failed, Progress, Submitted};
use crate::companions::Bytes;
use crate::courier::Courier;
use crate::courier::protocol::{Answer, Call, Login};

/// `challengePassword` (RFC 2985 section 5.4.1): a server that wants it wants the request bound to the very TLS connection.
const CHALLENGE_PASSWORD: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.7");

/// The posting of the request (DER of PKCS #10).
pub(crate) fn enrol(remote: &Remote, request: &[u8], login: Login) -> Call {
    let operation = match remote.enrol {
        None | Some(Enrol::Again) => "simplereenroll",
        Some(Enrol::Anew) => "simpleenroll",
    };
    let body = BASE64_STANDARD.encode(request).into_bytes();
    let body = Some(("application/pkcs10".into(), Bytes(body)));
    Call { login: Some(login), ..call(remote, &at(remote, operation), body) }
}

/// What came of posting it for the first time.
pub(crate) fn enrolled(remote: &Remote, answer: &Answer) -> Result<Submitted, Failed> {
    match Meaning::of(remote, answer).map_err(Failed::of)? {
        Meaning::Issued(issued) => Ok(Submitted { order: String::new(), issued }),
        Meaning::Taken { again } => Ok(Submitted { order: again, issued: Vec::new() }),
        Meaning::Nothing => Err(Failed::before(Problem::AuthorityRefused { reason: "404".into() })),
    }
}

/// What came of posting it again after it was taken.
pub(crate) fn progress(remote: &Remote, answer: &Answer) -> Result<Progress, Problem> {
    let submitted = enrolled(remote, answer).map_err(|failed| failed.problem)?;
    Ok(if submitted.issued.is_empty() {
        Progress::Waits(Problem::AwaitingIssue { host: remote.url.host().to_owned(), again: submitted.order })
    } else {
        Progress::Issued(submitted.issued)
    })
}

/// The reason to wait, as long as it is not time to post the request again.
pub(crate) fn too_soon(remote: &Remote, order: &str, now: DateTime<Utc>) -> Option<Problem> {
    let then = DateTime::parse_from_rfc3339(order).ok()?;
    let wait = || Problem::AwaitingIssue { host: remote.url.host().to_owned(), again: order.to_owned() };
    (now < then).then(wait)
}

/// Whether the same request may be posted once more where nobody knows whether it has arrived.
pub(super) fn may_resend(remote: &Remote) -> Result<(), Problem> {
    match remote.resend {
        Resend::Harmless => Ok(()),
        Resend::Ask => Err(Problem::MaybeSent { host: remote.url.host().to_owned() }),
    }
}

/// The certificates (DER) of the authority itself (section 4.1): links of chains, trusted by nobody for that.
pub(super) async fn links(courier: &Courier, remote: &Remote) -> Result<Vec<Vec<u8>>, Problem> {
    let answer = courier.ask(call(remote, &at(remote, "cacerts"), None)).await?;
    match Meaning::of(remote, &answer)? {
        Meaning::Issued(links) => Ok(links),
        Meaning::Taken { .. } | Meaning::Nothing => Err(senseless(remote, "cacerts")),
    }
}

/// Looks whether a request for this kind of key can be what the authority wants (section 4.5). Changes nothing.
pub(super) async fn suits(courier: &Courier, remote: &Remote, key: KeyAlgorithm) -> Result<(), Problem> {
    let answer = courier.ask(call(remote, &at(remote, "csrattrs"), None)).await?;
    let wishes = match answer.status {
        200 => {
            let text: String = String::from_utf8_lossy(&answer.body).split_ascii_whitespace().collect();
            let der = BASE64_STANDARD.decode(text).map_err(|_| senseless(remote, "csrattrs"))?;
            wishes(&der).map_err(|_| senseless(remote, "csrattrs"))?
        }
        // It wishes nothing.
        204 | 404 => Vec::new(),
        _ => return Meaning::of(remote, &answer).map(|_| ()),
    };
    match wishes.into_iter().find(|wish| !wish.is_granted(key)) {
        None => Ok(()),
        Some(wish) => Err(Problem::AuthorityWants { host: remote.url.host().to_owned(), what: wish.what }),
    }
}

fn at(remote: &Remote, operation: &str) -> obnova_core::programme::Address {
    remote.url.followed_by(&format!("/{operation}"))
}

/// Something that the authority wants in a request.
#[derive(Debug, PartialEq, Eq)]
struct Wish {
    /// The kind of key; `None`: something that no request of ours has.
    key: Option<KeyAlgorithm>,
    /// As it is told.
    what: String,
}

impl Wish {
    fn is_granted(&self, key: KeyAlgorithm) -> bool {
        match (self.key, key) {
            // Without a size, any RSA key will do.
            (Some(KeyAlgorithm::Rsa(0)), KeyAlgorithm::Rsa(_)) => true,
            (wished, key) => wished == Some(key),
        }
    }
}

/// What `CsrAttrs` (section 4.5.2) say of keys and of the one attribute that cannot be given. The extensions that a request has are the
/// old certificate's, whatever is wished.
fn wishes(der: &[u8]) -> der::Result<Vec<Wish>> {
    let mut reader = SliceReader::new(der)?;
    let found = reader.sequence(|reader| {
        let mut found = Vec::new();
        while !reader.is_finished() {
            let wish = Any::decode(reader)?;
            found.extend(if wish.tag() == Tag::ObjectIdentifier { bare(wish.decode_as()?) } else { attribute(&wish)? });
        }
        Ok::<_, der::Error>(found)
    })?;
    reader.finish()?;
    Ok(found)
}

fn bare(identifier: ObjectIdentifier) -> Option<Wish> {
    (identifier == CHALLENGE_PASSWORD).then(|| Wish { key: None, what: "challengePassword".into() })
}

/// `Attribute`: an identifier and a set of values.
fn attribute(wish: &Any) -> der::Result<Option<Wish>> {
    let mut reader = SliceReader::new(wish.value())?;
    let identifier = ObjectIdentifier::decode(&mut reader)?;
    let values = Any::decode(&mut reader)?;
    let mut values = SliceReader::new(values.value())?;
    let value = if values.is_finished() { None } else { Some(Any::decode(&mut values)?) };
    Ok(match identifier {
        RSA_ENCRYPTION => {
            let bits = value.map(|value| value.decode_as::<u16>()).transpose()?.unwrap_or(0);
            let key = KeyAlgorithm::Rsa(bits);
            Some(Wish { key: Some(key), what: key.to_string() })
        }
        ID_EC_PUBLIC_KEY => value.map(|value| value.decode_as::<ObjectIdentifier>()).transpose()?.map(|curve| {
            let key = match curve {
                SECP_256_R_1 => KeyAlgorithm::P256,
                SECP_384_R_1 => KeyAlgorithm::P384,
                _ => KeyAlgorithm::Other,
            };
            Wish { key: Some(key).filter(|key| *key != KeyAlgorithm::Other), what: curve.to_string() }
        }),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// RFC 7030 section 4.5.2's own example: challengePassword, a P-384 key, an extension request for macAddress, SHA-384.
    const EXAMPLE: &str = "MEEGCSqGSIb3DQEJBzASBgcqhkjOPQIBMQcGBSuBBAAiMBYGCSqGSIb3DQEJDjEJBgcrBgEBAQEWBggqhkjOPQQDAw==";

    #[test]
    fn the_example_of_the_standard_wants_a_p_384_key_and_a_challenge_password() {
        let wishes = wishes(&BASE64_STANDARD.decode(EXAMPLE).expect("base64")).expect("read");
        let keys: Vec<_> = wishes.iter().map(|wish| wish.key).collect();
        assert_eq!(keys, [None, Some(KeyAlgorithm::P384)], "{wishes:?}");
        assert!(wishes[1].is_granted(KeyAlgorithm::P384) && !wishes[1].is_granted(KeyAlgorithm::P256));
        assert!(!wishes[0].is_granted(KeyAlgorithm::P384));
        assert_eq!(super::wishes(&[0x30, 0]).expect("no wish"), []);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            let mut der = vec![0x30, u8::try_from(bytes.len()).expect("short")];
            der.extend(&bytes);
            drop(wishes(&der));
            drop(wishes(&bytes));
        }
    }
}
