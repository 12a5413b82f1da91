//! Signed requests over HTTPS. There is no standard for it: this is what Obnova assumes, and what a server must do.
//!
//! - The message is posted to the programme's `url` as `application/pkcs7-mime`; those of one identity together, as `multipart/mixed`.
//!   The same messages are the same bytes. 200 brings the certificates; 201 and 202 take the order, and `Location` names it.
//! - `orders`, with the SHA-256 of what was posted behind it, says whether it has it: 404, if not. It names the order, too.
//! - An order is asked for: 202 with `Retry-After` while it waits, 200 with the certificates.
//!
//! Everything else is refused and explained; nothing is sent twice from here.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use chrono::Utc;
use obnova_core::programme::{Address, Remote, Resend};
use obnova_core::{Fingerprint, Problem};

use super::{Failed, Progress, Submitted, answers};
use crate::companions::Bytes;
use crate::courier::Courier;
use crate::courier::protocol::{Answer, Call};

/// How soon a server is asked again that does not say when.
const SOON: chrono::Duration = chrono::Duration::minutes(15);

/// The longest text of a server's that a person is shown, in characters.
const SHOWN: usize = 120;

/// What is posted for these messages.
struct Posted {
    media_type: String,
    body: Vec<u8>,
}

impl Posted {
    fn of(messages: &[&[u8]]) -> Self {
        const PART: &str = "application/pkcs7-mime; smime-type=signed-data";
        if let [message] = messages {
            return Self { media_type: PART.into(), body: message.to_vec() };
        }
        // Made of the messages, so that the same ones are the same bytes. It has no place in base64.
        let boundary = format!("_{}_", &Fingerprint::of(&messages.concat()).to_string()[..32]);
        let mut body = String::new();
        for message in messages {
            let content = BASE64_STANDARD.encode(message);
            let head = "Content-Transfer-Encoding: base64";
            body.extend(["--", &boundary, "\r\nContent-Type: ", PART, "\r\n", head, "\r\n\r\n", &content, "\r\n"]);
        }
        body.extend(["--", &boundary, "--\r\n"]);
        Self { media_type: format!("multipart/mixed; boundary={boundary}"), body: body.into_bytes() }
    }

    /// Where the server says whether it has it.
    fn at(&self, orders: &Address) -> Address {
        orders.followed_by(&Fingerprint::of(&self.body).to_string())
    }
}

/// Asks the authority's server at one of its addresses.
pub(super) fn call(remote: &Remote, to: &Address, body: Option<(String, Bytes)>) -> Call {
    Call {
        to: to.as_str().to_owned(),
        host: to.host().to_owned(),
        body,
        anchors: remote.tls_anchors.ders().iter().cloned().map(Bytes).collect(),
        seconds: remote.timeout_seconds,
        login: None,
    }
}

/// Posts the messages, all of them or none.
pub(super) async fn submit(courier: &Courier, remote: &Remote, messages: &[&[u8]]) -> Result<Submitted, Failed> {
    let posted = Posted::of(messages);
    let known = remote.orders.as_ref().map(|orders| posted.at(orders));
    let answer = courier.ask(call(remote, &remote.url, Some((posted.media_type, Bytes(posted.body))))).await;
    let answer = answer.map_err(Failed::of)?;
    let named = answer
        .location
        .as_deref()
        .map(|location| remote.url.resolve(location).ok_or_else(|| redirected(remote, location)).map_err(Failed::maybe));
    let order = || match (named, known) {
        (Some(named), _) => named,
        (None, Some(known)) => Ok(known),
        (None, None) => Err(Failed::maybe(senseless(remote, "Location"))),
    };
    match Meaning::of(remote, &answer).map_err(Failed::of)? {
        Meaning::Issued(issued) => {
            Ok(Submitted { order: order().map(|order| order.as_str().to_owned()).unwrap_or_default(), issued })
        }
        Meaning::Taken { .. } => Ok(Submitted { order: order()?.as_str().to_owned(), issued: Vec::new() }),
        Meaning::Nothing => Err(Failed::before(Problem::AuthorityRefused { reason: "404".into() })),
    }
}

/// The order of exactly these messages, if the server has one. [`Problem::MaybeSent`] where it cannot be asked, and the same bytes
/// must not be sent again without being told so.
pub(super) async fn order_of(courier: &Courier, remote: &Remote, messages: &[&[u8]]) -> Result<Option<String>, Problem> {
    let Some(orders) = &remote.orders else {
        return match remote.resend {
            Resend::Harmless => Ok(None),
            Resend::Ask => Err(Problem::MaybeSent { host: remote.url.host().to_owned() }),
        };
    };
    let order = Posted::of(messages).at(orders);
    let answer = courier.ask(call(remote, &order, None)).await?;
    Ok(match Meaning::of(remote, &answer)? {
        Meaning::Nothing => None,
        Meaning::Issued(_) | Meaning::Taken { .. } => Some(order.as_str().to_owned()),
    })
}

/// How far an order is.
pub(super) async fn progress(courier: &Courier, remote: &Remote, order: &str) -> Result<Progress, Problem> {
    // What the journal says was checked when it was written; the programme may have another address since.
    let to = remote.url.resolve(order).ok_or_else(|| redirected(remote, order))?;
    let answer = courier.ask(call(remote, &to, None)).await?;
    let host = remote.url.host().to_owned();
    match Meaning::of(remote, &answer)? {
        Meaning::Issued(certificates) => Ok(Progress::Issued(certificates)),
        Meaning::Taken { again } => Ok(Progress::Waits(Problem::AwaitingIssue { host, again })),
        Meaning::Nothing => Err(Problem::AuthorityRefused { reason: "404".into() }),
    }
}

/// What an answer means.
#[derive(Debug)]
pub(super) enum Meaning {
    /// These are the certificates.
    Issued(Vec<Vec<u8>>),
    /// It has the request, and has not issued yet.
    Taken {
        /// When it may be asked again (RFC 3339).
        again: String,
    },
    /// It knows nothing of that.
    Nothing,
}

impl Meaning {
    /// Reads an answer by its status (RFC 9110 section 15).
    pub(super) fn of(remote: &Remote, answer: &Answer) -> Result<Self, Problem> {
        let host = remote.url.host().to_owned();
        let again = answer.again.unwrap_or_else(|| Utc::now() + SOON);
        let again = crate::bus::views::time(again);
        match answer.status {
            200 => answers::certificates(&answer.body).map(Self::Issued).map_err(|error| senseless(remote, &error.to_string())),
            201 | 202 => Ok(Self::Taken { again }),
            300..400 => Err(redirected(remote, answer.location.as_deref().unwrap_or_default())),
            404 | 410 => Ok(Self::Nothing),
            429 | 500.. => Err(Problem::AuthorityBusy { host, status: answer.status.to_string(), again }),
            400..500 => Err(Problem::AuthorityRefused { reason: answer.status.to_string() }),
            other => Err(senseless(remote, &other.to_string())),
        }
    }
}

/// The server sends us where we do not go.
fn redirected(remote: &Remote, to: &str) -> Problem {
    let to = to.chars().filter(|letter| !letter.is_control()).take(SHOWN).collect();
    Problem::AuthorityRedirects { host: remote.url.host().to_owned(), to }
}

/// The server's answer makes no sense.
pub(super) fn senseless(remote: &Remote, detail: &str) -> Problem {
    Problem::AuthorityAnswer { host: remote.url.host().to_owned(), detail: detail.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_messages_are_the_same_bytes() {
        let one = Posted::of(&[b"first"]);
        assert_eq!(one.body, b"first");
        let (twice, again) = (Posted::of(&[b"first", b"second"]), Posted::of(&[b"first", b"second"]));
        assert_eq!((&twice.media_type, &twice.body), (&again.media_type, &again.body));
        assert_ne!(twice.body, Posted::of(&[b"second", b"first"]).body);
        let text = String::from_utf8(twice.body).expect("text");
        assert_eq!(text.matches("Content-Type: application/pkcs7-mime").count(), 2);
        assert!(text.ends_with("--\r\n"));
    }
}
