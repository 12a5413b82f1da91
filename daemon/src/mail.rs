//! From the bytes of a mail to the facts that `obnova_core::mail` judges. Owns what is asked of parsers, of the domain name system, and
//! the bounds on each; where mails come from, and what a fact means, is not decided here. Runs in obnova-courier.
//!
//! Nothing is built or resolved until somebody reads a mail. Each step takes time and memory in proportion to the mail's length,
//! and the domain name system is asked a bounded number of times, for a bounded time.

use chrono::{DateTime, Utc};
use mail_auth::AuthenticatedMessage;
use mail_parser::{HeaderName, Message, MessageParser};
use obnova_core::Fingerprint;
use obnova_core::job::Bytes;
use obnova_core::mail::{Facts, Header, Heads, Stamp};

mod enclosed;
mod html;
pub mod imap;
mod resolver;
pub mod servers;
mod signatures;
mod stamp;
mod text;

pub use resolver::{Resolver, Unanswered};

use crate::courier::protocol::Unread;

/// The longest mail that is read, in bytes. Those of authorities have some dozen kilobytes.
pub const LONGEST: usize = 2 * 1024 * 1024;

/// The longest headers that are read, in bytes.
const LONGEST_HEADERS: usize = 64 * 1024;

/// How many addresses of one header are looked at.
const MOST_ADDRESSES: usize = 32;

/// Finds out what there is to know about a mail that came at `arrived`.
pub async fn read(bytes: &[u8], arrived: DateTime<Utc>, resolver: &Resolver) -> Result<Facts, Unread> {
    if bytes.len() > LONGEST {
        return Err(Unread::TooLong(bytes.len()));
    }
    let (bytes, mut malformed) = with_line_ends(bytes);
    let headers = headers_end(&bytes);
    if headers == 0 {
        return Err(Unread::NoMail);
    }
    let message = MessageParser::default().parse(bytes.as_slice()).ok_or(Unread::NoMail)?;
    let signed = if headers > LONGEST_HEADERS {
        malformed.get_or_insert("long-headers");
        None
    } else {
        AuthenticatedMessage::parse_with_opts(&bytes, None, false)
    };
    let counts = counts(&message);
    if let Some(signed) = &signed
        && counts != signatures::counts(signed)
    {
        // Two readers of one mail must see the same: else one is shown what the other has not verified.
        malformed.get_or_insert("ambiguous-headers");
    }
    let (signatures, dmarc) = match &signed {
        Some(signed) => signatures::verify(signed, resolver).await,
        None => (Vec::new(), obnova_core::mail::Dmarc::Unresolved),
    };
    let read = text::read(&message);
    malformed = malformed.or(read.fault);
    Ok(Facts {
        digest: digest(&message, &bytes),
        body: Fingerprint::of(&bytes[headers..]),
        arrived,
        heads: heads(&message),
        counts,
        signatures,
        dmarc,
        seal: None,
        stamp: stamp(&message),
        text: read.text,
        links: read.links,
        certificates: enclosed::certificates(&message).into_iter().map(Bytes).collect(),
        malformed: malformed.map(str::to_owned),
    })
}

/// The mail with CR LF at the end of each line, as it was on its way (RFC 5322 section 2.3): in files often LF stands alone. And what is
/// wrong with its lines: where both stand, readers disagree on what is one.
fn with_line_ends(bytes: &[u8]) -> (Vec<u8>, Option<&'static str>) {
    let mut whole = Vec::with_capacity(bytes.len() + bytes.len() / 32);
    let (mut pairs, mut feeds, mut returns, mut previous) = (0_usize, 0_usize, 0_usize, 0_u8);
    for (at, &byte) in bytes.iter().enumerate() {
        match byte {
            b'\n' if previous == b'\r' => pairs += 1,
            b'\n' => {
                feeds += 1;
                whole.push(b'\r');
            }
            b'\r' if bytes.get(at + 1) != Some(&b'\n') => returns += 1,
            _ => {}
        }
        whole.push(byte);
        previous = byte;
    }
    let fault = if pairs > 0 && feeds > 0 {
        // As it came: what was signed is not to be guessed.
        whole = bytes.to_vec();
        Some("line-ends")
    } else if returns > 0 {
        Some("carriage-return")
    } else if bytes.contains(&0) {
        Some("zero-byte")
    } else {
        None
    };
    (whole, fault)
}

/// Where the body begins: behind the first empty line.
fn headers_end(bytes: &[u8]) -> usize {
    bytes.windows(4).position(|window| window == b"\r\n\r\n").map_or(bytes.len(), |end| end + 4)
}

fn kind_of(name: &HeaderName<'_>) -> Option<Header> {
    match name {
        HeaderName::From => Some(Header::From),
        HeaderName::To => Some(Header::To),
        HeaderName::Subject => Some(Header::Subject),
        HeaderName::Date => Some(Header::Date),
        HeaderName::MessageId => Some(Header::MessageId),
        HeaderName::ReplyTo => Some(Header::ReplyTo),
        HeaderName::ContentType => Some(Header::ContentType),
        HeaderName::ContentTransferEncoding => Some(Header::ContentTransferEncoding),
        _ => None,
    }
}

fn counts(message: &Message<'_>) -> Vec<(Header, u32)> {
    count(message.headers().iter().filter_map(|header| kind_of(&header.name)))
}

fn count(headers: impl Iterator<Item = Header>) -> Vec<(Header, u32)> {
    let mut counts = [0_u32; Header::ALL.len()];
    for header in headers {
        if let Some(position) = Header::ALL.iter().position(|other| *other == header) {
            counts[position] = counts[position].saturating_add(1);
        }
    }
    Header::ALL.into_iter().zip(counts).filter(|(_, count)| *count > 0).collect()
}

fn heads(message: &Message<'_>) -> Heads {
    let addresses = |address: Option<&mail_parser::Address<'_>>| -> Vec<String> {
        let addresses = address.into_iter().flat_map(mail_parser::Address::iter).take(MOST_ADDRESSES);
        // One that cannot be understood is another address, not none.
        addresses.map(|address| address.address().unwrap_or_default().trim().to_lowercase()).collect()
    };
    Heads {
        from: addresses(message.from()),
        to: addresses(message.to()),
        subject: message.subject().map(str::to_owned),
        date: message.date().and_then(|date| DateTime::from_timestamp(date.to_timestamp(), 0)),
        message_id: message.message_id().map(str::to_owned),
    }
}

/// See [`Facts::digest`].
fn digest(message: &Message<'_>, bytes: &[u8]) -> Fingerprint {
    let mut counted: Vec<u8> = Vec::new();
    for header in message.headers() {
        if let Some(kind) = kind_of(&header.name) {
            let value = bytes.get(header.offset_start as usize..header.offset_end as usize).unwrap_or_default();
            counted.extend(kind.as_str().bytes().chain([b':']).chain(value.iter().copied()).chain([0]));
        }
    }
    counted.extend(bytes.get(headers_end(bytes)..).unwrap_or_default());
    Fingerprint::of(&counted)
}

/// The topmost Authentication-Results: only a server of ours writes above all others.
fn stamp(message: &Message<'_>) -> Option<Stamp> {
    message.headers().iter().find(|header| header.name().eq_ignore_ascii_case("authentication-results")).and_then(|header| {
        let value = message.raw_message().get(header.offset_start as usize..header.offset_end as usize)?;
        stamp::read(&String::from_utf8_lossy(value))
    })
}
