//! Arguments of problems, log records and questions made fit to be read: dates local, known words translated, places as
//! paths, and a second copy quoted for a shell where a command is to be copied.

use std::collections::BTreeMap;

use crate::Text;
use crate::catalogue::plain;

/// Arguments that are instants, RFC 3339.
const INSTANTS: [&str; 8] = ["not_after", "not_before", "until", "by", "at", "deadline", "since", "ends"];
/// Arguments that a sentence asks for and that may be left out, and what stands for them then.
const OPTIONAL: [(&str, &str); 4] = [("tries_left", "none"), ("name_quoted", "NAME"), ("page", "none"), ("card", "none")];

impl Text {
    /// A place as a person knows it: the path of a file, or the URI of what is none. Harmless for a terminal.
    pub fn place(&self, uri: &str) -> String {
        plain(&place(uri)).into_owned()
    }

    /// The arguments as the messages take them.
    pub(crate) fn readable(&self, args: &BTreeMap<String, String>) -> Vec<(String, String)> {
        let mut readable = Vec::with_capacity(args.len() + 4);
        for (name, value) in args {
            let shown = match name.as_str() {
                name if INSTANTS.contains(&name) => self.full_date(value),
                "state" => self.state_word(value),
                "action" => self.action(value),
                "step" => self.step(value),
                "place" => place(value),
                _ => value.clone(),
            };
            if matches!(name.as_str(), "path" | "id" | "name" | "file" | "called") {
                readable.push((format!("{name}_quoted"), shell_word(value)));
            }
            readable.push((name.clone(), shown));
        }
        for (name, absent) in OPTIONAL {
            if !readable.iter().any(|(given, _)| given == name) {
                readable.push((name.to_owned(), absent.to_owned()));
            }
        }
        readable
    }
}

/// Borrowed pairs, as the catalogue takes them.
pub(crate) fn borrowed(args: &[(String, String)]) -> Vec<(&str, &str)> {
    args.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

/// A place as a person knows it: the path of a file, or the URI of what is none.
fn place(uri: &str) -> String {
    match uri.split_once(':') {
        Some(("file" | "p12", path)) => decoded(path).unwrap_or_else(|| path.to_owned()),
        _ => uri.to_owned(),
    }
}

/// A word that a POSIX shell reads as this text.
pub fn shell_word(text: &str) -> String {
    let plain = |letter: char| letter.is_alphanumeric() || "/._-+:@,".contains(letter);
    if !text.is_empty() && text.chars().all(plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

/// What `%XX` stands for, where the whole is UTF-8 without control characters; a terminal shall not obey a file's name.
fn decoded(path: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(if byte == b'%' {
            let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16));
            u8::try_from(digit()? * 16 + digit()?).ok()?
        } else {
            byte
        });
    }
    String::from_utf8(bytes).ok().filter(|text| !text.contains(char::is_control))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_shown_as_a_path() {
        assert_eq!(place("p12:/home/anna/100%25 Anna.p12"), "/home/anna/100% Anna.p12");
        assert_eq!(place("file:/a%1bb"), "/a%1bb", "a control character stays written out");
        assert_eq!(place("pkcs11:token=x"), "pkcs11:token=x");
    }

    #[test]
    fn a_shell_reads_back_what_was_quoted() {
        assert_eq!(shell_word("/home/anna/anna.p12"), "/home/anna/anna.p12");
        assert_eq!(shell_word("Anna's key"), r"'Anna'\''s key'");
        assert_eq!(shell_word(""), "''");
    }
}
