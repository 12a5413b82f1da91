//! Authentication-Results (RFC 8601): what a server says of signatures. Whether it is believed is not asked here.

use obnova_core::mail::Stamp;

/// The longest field that is read, in bytes.
const LONGEST: usize = 8 * 1024;

/// Reads the value of the field; `None` if it is none.
pub(super) fn read(value: &str) -> Option<Stamp> {
    if value.len() > LONGEST {
        return None;
    }
    let value = without_comments(value)?;
    let mut parts = value.split(';').map(str::trim);
    // A version may follow the name.
    let server = parts.next()?.split_whitespace().next()?.to_lowercase();
    let mut stamp = Stamp { server, passed: Vec::new(), dmarc_passed: false };
    for part in parts {
        let mut words = part.split_whitespace();
        let property = |name: &str| {
            let named = part.split_whitespace().find_map(|word| word.strip_prefix(name));
            named.map(|value| value.trim_matches('"').to_lowercase())
        };
        match words.next().map(str::to_lowercase).as_deref() {
            Some("dkim=pass") => stamp.passed.extend(property("header.d=").map(|domain| (domain, property("header.s=")))),
            Some("dmarc=pass") => stamp.dmarc_passed = true,
            _ => {}
        }
    }
    Some(stamp)
}

/// The text without what stands in parentheses; `None` where they do not fit, or something is quoted in which they may stand.
fn without_comments(text: &str) -> Option<String> {
    let (mut plain, mut depth) = (String::with_capacity(text.len()), 0_u32);
    for letter in text.chars() {
        match letter {
            '(' => depth += 1,
            ')' => depth = depth.checked_sub(1)?,
            '\\' => return None,
            letter if depth == 0 => plain.push(letter),
            _ => {}
        }
    }
    (depth == 0).then_some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_servers_write_is_read() {
        let stamp = read(
            " MX.example.org 1;\r\n dkim=pass (2048-bit key; dkim=fail) header.d=ica.cz header.s=s1 header.b=abc;\r\n\tdmarc=pass (p=none) header.from=ica.cz;\r\n spf=fail",
        )
        .expect("a stamp");
        assert_eq!(stamp.server, "mx.example.org");
        assert_eq!(stamp.passed, [("ica.cz".to_owned(), Some("s1".to_owned()))]);
        assert!(stamp.dmarc_passed);
        let stamp = read("a.example; dkim=fail header.d=ica.cz; xdkim=pass header.d=ica.cz; none").expect("a stamp");
        assert_eq!((stamp.passed, stamp.dmarc_passed), (vec![], false));
        for bad in ["", ";", "(a.example; dkim=pass header.d=x", "a) ; dkim=pass", "a\\(; dkim=pass header.d=x"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
