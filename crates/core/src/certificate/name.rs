//! Distinguished names as text.

use x509_parser::objects::{oid_registry, oid2abbrev};
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

use super::hex;

/// The name in the string form of RFC 4514: the most specific part first, special characters escaped.
pub(super) fn rfc4514(name: &X509Name<'_>) -> String {
    let parts: Vec<String> = name.iter_rdn().map(|part| part.iter().map(attribute).collect::<Vec<_>>().join("+")).collect();
    parts.into_iter().rev().collect::<Vec<_>>().join(",")
}

/// The common name, if there is one that is not empty.
pub(super) fn common(name: &X509Name<'_>) -> Option<String> {
    name.iter_common_name().last().map(text).filter(|name| !name.trim().is_empty())
}

/// An attribute as it stands in the string form of a name.
pub fn attribute_text(key: &str, value: &str) -> String {
    format!("{key}={}", escape(value))
}

/// The parts of a name in the string form of RFC 4514.
pub fn attribute_texts(name: &str) -> Vec<&str> {
    let (mut parts, mut from, mut escaped) = (Vec::new(), 0, false);
    for (at, letter) in name.char_indices() {
        match letter {
            '\\' if !escaped => escaped = true,
            ',' if !escaped => {
                parts.push(&name[from..at]);
                from = at + 1;
            }
            _ => escaped = false,
        }
    }
    parts.push(&name[from..]);
    parts
}

fn attribute(attribute: &AttributeTypeAndValue<'_>) -> String {
    let oid = attribute.attr_type();
    let key = oid2abbrev(oid, oid_registry()).map_or_else(|_| oid.to_id_string(), str::to_owned);
    attribute_text(&key, &text(attribute))
}

fn text(attribute: &AttributeTypeAndValue<'_>) -> String {
    match attribute.as_str() {
        Ok(text) => text.to_owned(),
        // Latin-1 in TeletexString and UTF-16 in BMPString are what old authorities wrote.
        Err(_) => match attribute.attr_value().header.tag().0 {
            30 => {
                let units = attribute.as_slice().chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
                char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
            }
            _ => attribute.as_slice().iter().copied().map(char::from).collect(),
        },
    }
}

/// RFC 4514 section 2.4.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let last = text.chars().count().saturating_sub(1);
    for (position, letter) in text.chars().enumerate() {
        match letter {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => escaped.extend(['\\', letter]),
            ' ' | '#' if position == 0 => escaped.extend(['\\', letter]),
            ' ' if position == last => escaped.push_str("\\ "),
            control if control.is_control() => {
                let mut bytes = [0; 4];
                for byte in control.encode_utf8(&mut bytes).bytes() {
                    escaped.push('\\');
                    escaped.push_str(&hex(&[byte]));
                }
            }
            _ => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_characters_are_escaped() {
        assert_eq!(escape("Novák, Anna"), "Novák\\, Anna");
        assert_eq!(escape(" #a "), "\\ #a\\ ");
        assert_eq!(escape("#a\n"), "\\#a\\0a");
        assert_eq!(attribute_texts("CN=Novák\\, Anna,O=a\\\\,C=CZ"), ["CN=Novák\\, Anna", "O=a\\\\", "C=CZ"]);
    }
}
