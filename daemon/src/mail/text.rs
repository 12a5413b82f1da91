//! What a person would read in a mail, and where its links lead. Mails within the mail are not looked at: somebody else wrote them.

use mail_parser::{Message, MimeHeaders, PartType};
use obnova_core::mail::Link;

use super::html;

/// How much text is looked at, in bytes.
const LONGEST: usize = 256 * 1024;

/// How many links are looked at.
pub(super) const MOST_LINKS: usize = 200;

/// How many parts a mail may have.
const MOST_PARTS: usize = 200;

/// What was read.
#[derive(Default)]
pub(super) struct Read {
    pub(super) text: String,
    pub(super) links: Vec<Link>,
    /// See `Facts::malformed`.
    pub(super) fault: Option<&'static str>,
}

/// Reads the texts of a mail.
pub(super) fn read(message: &Message<'_>) -> Read {
    let mut read = Read::default();
    if message.parts.len() > MOST_PARTS {
        read.fault = Some("many-parts");
        return read;
    }
    let mut shown: Vec<u32> = message.text_body.iter().chain(&message.html_body).copied().collect();
    shown.sort_unstable();
    shown.dedup();
    for part in shown.into_iter().filter_map(|id| message.part(id)) {
        if part.is_encoding_problem {
            read.fault.get_or_insert("undecodable");
        }
        match &part.body {
            PartType::Text(text) if !is_attached(part) => read.plain(text),
            PartType::Html(text) if !is_attached(part) => read.html(text),
            _ => {}
        }
    }
    if read.text.len() > LONGEST || read.links.len() > MOST_LINKS {
        read.fault.get_or_insert("long-text");
        read.text.truncate(read.text.floor_char_boundary(LONGEST));
        read.links.truncate(MOST_LINKS);
    }
    read
}

fn is_attached(part: &mail_parser::MessagePart<'_>) -> bool {
    part.content_disposition().is_some_and(mail_parser::ContentType::is_attachment)
}

impl Read {
    fn plain(&mut self, text: &str) {
        self.text.push_str(text);
        self.text.push('\n');
        for scheme in ["https://", "http://"] {
            for (at, _) in text.match_indices(scheme).take(MOST_LINKS + 1) {
                let target = &text[at..];
                let ends = |letter: char| letter.is_whitespace() || "<>\"'".contains(letter);
                let target =
                    target[..target.find(ends).unwrap_or(target.len())].trim_end_matches(['.', ',', ';', ':', '!', '?', ')']);
                self.links.push(Link { text: target.to_owned(), target: target.to_owned() });
            }
        }
    }

    fn html(&mut self, text: &str) {
        self.text.push_str(&mail_parser::decoders::html::html_to_text(text));
        self.text.push('\n');
        let (links, fault) = html::links(text);
        self.links.extend(links);
        if let Some(fault) = fault {
            self.fault.get_or_insert(fault);
        }
    }
}
