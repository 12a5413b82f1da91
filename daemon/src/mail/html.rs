//! Where the links of a hypertext lead, and what stands on them. No parser of HTML: what is not plainly written is passed over, and a
//! link that is passed over is not offered.

use mail_parser::decoders::html::html_to_text;
use obnova_core::mail::Link;

use super::text::MOST_LINKS;

/// The longest tag, and the longest text on a link, that is read, in bytes.
const LONGEST: usize = 8 * 1024;

/// The links, and what is odd about the text.
pub(super) fn links(text: &str) -> (Vec<Link>, Option<&'static str>) {
    let (mut links, mut fault, mut rest) = (Vec::new(), None, text);
    while let Some(start) = rest.find('<') {
        rest = &rest[start + 1..];
        if let Some(comment) = rest.strip_prefix("!--") {
            rest = comment.find("-->").map_or("", |end| &comment[end + 3..]);
            continue;
        }
        let Some((tag, behind)) = tag(rest) else { continue };
        rest = behind;
        let name = tag.split(|letter: char| letter.is_ascii_whitespace() || letter == '/').next().unwrap_or_default();
        match name.to_ascii_lowercase().as_str() {
            "base" => fault = Some("base-link"),
            "a" | "area" if links.len() <= MOST_LINKS => {
                if let Some(target) = attribute(tag, "href") {
                    let shown = shown(behind);
                    links.push(Link { text: html_to_text(shown).trim().to_owned(), target });
                }
            }
            _ => {}
        }
    }
    (links, fault)
}

/// What stands behind `<` up to the `>` that ends the tag, and the rest.
fn tag(text: &str) -> Option<(&str, &str)> {
    let mut quoted = None;
    for (at, letter) in text.char_indices().take_while(|(at, _)| *at < LONGEST) {
        match (quoted, letter) {
            (None, '>') => return Some((&text[..at], &text[at + 1..])),
            (None, '"' | '\'') => quoted = Some(letter),
            (Some(quote), letter) if quote == letter => quoted = None,
            _ => {}
        }
    }
    None
}

/// What stands between the tag of a link and its end.
fn shown(text: &str) -> &str {
    let text = &text[..text.floor_char_boundary(LONGEST)];
    let end = text.char_indices().find(|(at, letter)| {
        *letter == '<'
            && text.as_bytes().get(at + 1) == Some(&b'/')
            && text.as_bytes().get(at + 2).is_some_and(|byte| byte.eq_ignore_ascii_case(&b'a'))
    });
    &text[..end.map_or(text.len(), |(at, _)| at)]
}

/// The value of the first attribute of this name (what stands twice counts once, HTML section 13.2.5.33).
fn attribute(tag: &str, name: &str) -> Option<String> {
    let mut rest = tag.split_once(|letter: char| letter.is_ascii_whitespace() || letter == '/')?.1;
    loop {
        rest = rest.trim_start_matches(|letter: char| letter.is_ascii_whitespace() || letter == '/');
        let end = rest.find(|letter: char| letter == '=' || letter.is_ascii_whitespace() || letter == '/');
        let (key, behind) = rest.split_at(end.unwrap_or(rest.len()));
        if key.is_empty() && behind.is_empty() {
            return None;
        }
        let Some(value) = behind.trim_start().strip_prefix('=') else {
            // One without a value. A stray `=` would else be looked at for ever.
            rest = if key.is_empty() { behind.get(1..)? } else { behind };
            continue;
        };
        let value = value.trim_start();
        let (value, behind) = match value.chars().next() {
            Some(quote @ ('"' | '\'')) => value[1..].split_once(quote)?,
            _ => value.split_at(value.find(|letter: char| letter.is_ascii_whitespace()).unwrap_or(value.len())),
        };
        if key.eq_ignore_ascii_case(name) {
            return Some(unescaped(value));
        }
        rest = behind;
    }
}

/// Character references (`&amp;`, `&#38;`, `&#x26;`) undone.
fn unescaped(text: &str) -> String {
    let (mut plain, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = rest.find('&') {
        plain.push_str(&rest[..at]);
        rest = &rest[at..];
        let end = rest.char_indices().take(12).find(|(_, letter)| *letter == ';').map(|(end, _)| end);
        let letter = end.and_then(|end| match &rest[1..end] {
            "amp" => Some('&'),
            "lt" => Some('<'),
            "gt" => Some('>'),
            "quot" => Some('"'),
            "apos" => Some('\''),
            number => {
                let number = number.strip_prefix('#')?;
                let code = match number.strip_prefix(['x', 'X']) {
                    Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                    None => number.parse().ok()?,
                };
                char::from_u32(code)
            }
        });
        let (letter, end) = letter.zip(end).unwrap_or(('&', 0));
        plain.push(letter);
        rest = &rest[end + 1..];
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<(String, String)> {
        links(text).0.into_iter().map(|link| (link.text, link.target)).collect()
    }

    #[test]
    fn links_are_found_as_they_are_written() {
        let text = "<p><A class=x HREF='https://a.test/?x=1&amp;y=&#50;'>Ob<b>nova</b></A> <!-- <a href=\"https://no.test\">no</a> -->\n\
                    <a href = https://b.test/z >B</a><a name=c>none</a><area href=\"https://c.test\"/><a href>x</a>";
        let expected = [("Obnova", "https://a.test/?x=1&y=2"), ("B", "https://b.test/z")];
        assert_eq!(found(text)[..2], expected.map(|(text, target)| (text.to_owned(), target.to_owned())));
        assert_eq!(found(text)[2].1, "https://c.test");
        assert_eq!(found("<a href='https://a.test' href='https://b.test'>x</a>")[0].1, "https://a.test");
        assert!(links("<base href=https://x.test><a href=/y>y</a>").1.is_some());
    }

    #[test]
    fn broken_text_ends() {
        for text in [
            "<a",
            "<a href",
            "<a href=",
            "<a href='x",
            "<a ====>x",
            "<a / = / =x>",
            "<!--",
            "<a href=\"&#x110000;&;&#;\">é</a",
            "<é><a é=é>",
        ] {
            let _ = links(text);
            for cut in (0..text.len()).filter(|cut| text.is_char_boundary(*cut)) {
                let _ = links(&text[..cut]);
                let _ = links(&text[cut..]);
            }
        }
    }
}
