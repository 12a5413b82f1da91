//! Which links may be opened, and which imitate one of those. Owns the comparison of hosts after IDN normalisation (UTS 46);
//! whether the mail may be believed at all is not asked here.

use url::{Host, Url};

/// The longest link that is looked at, in bytes.
const LONGEST: usize = 2_000;

/// The shortest name that is looked for in others: shorter ones stand in many by chance.
const TELLING: usize = 5;

/// What a link must begin with: a host, and a path up to one of its slashes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prefix {
    host: String,
    path: String,
}

impl Prefix {
    /// Reads `https://HOST/PATH`; `None` if it is something else, or says more.
    pub fn parse(text: &str) -> Option<Self> {
        let url = Url::parse(text).ok()?;
        let Some(Host::Domain(host)) = url.host() else { return None };
        let bare = url.query().is_none() && url.fragment().is_none();
        (bare && is_plain(text, &url) && host.contains('.'))
            .then(|| Self { host: host.to_owned(), path: url.path().to_owned() })
    }

    /// The host, as the domain name system knows it.
    pub fn host(&self) -> &str {
        &self.host
    }

    fn begins(&self, path: &str) -> bool {
        let rest = path.strip_prefix(self.path.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || self.path.ends_with('/'))
    }
}

/// What a link is in view of what may be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judged {
    /// It may be opened: the link in its normal form, and which of the prefixes it has.
    Listed(String, usize),
    /// It leads to a host that is listed, but has something about it that may lead elsewhere.
    Unsafe,
    /// It leads to a host that looks like one of ours, by this name.
    Imitates(String),
    /// It leads elsewhere: no concern of ours.
    Elsewhere,
}

/// Judges a link. `domains` are those that sign the authority's mails: hosts below them are its own.
pub fn judge(target: &str, prefixes: &[Prefix], domains: &[String]) -> Judged {
    if target.len() > LONGEST {
        return Judged::Elsewhere;
    }
    let Ok(url) = Url::parse(target.trim()) else { return Judged::Elsewhere };
    let Some(Host::Domain(host)) = url.host() else { return Judged::Elsewhere };
    let named = || domains.iter().map(String::as_str).chain(prefixes.iter().map(Prefix::host));
    let bare = host.trim_end_matches('.');
    let deceiving = !url.username().is_empty() && named().any(|name| is_within(&folded(url.username()), name));
    let own = named().any(|name| is_at_or_below(bare, name));
    if deceiving || (!own && named().any(|name| imitates(bare, name))) {
        return Judged::Imitates(bare.to_owned());
    }
    let listed = prefixes.iter().position(|prefix| prefix.host == host && prefix.begins(url.path()));
    match listed {
        Some(prefix) if is_plain(target.trim(), &url) && leads_nowhere_else(&url) => Judged::Listed(url.to_string(), prefix),
        Some(_) => Judged::Unsafe,
        None => Judged::Elsewhere,
    }
}

/// The host of a link, or of a text that looks like one; `None`: it names no host.
pub fn host_in(text: &str) -> Option<String> {
    let text = text.trim();
    if text.len() > LONGEST || text.contains(char::is_whitespace) || text.contains('@') {
        return None;
    }
    let url = if text.contains("://") { Url::parse(text) } else { Url::parse(&format!("https://{text}")) };
    match url.ok()?.host()? {
        Host::Domain(host) if host.contains('.') && !host.ends_with('.') => Some(host.to_owned()),
        _ => None,
    }
}

/// Whether `host` is `domain` or stands below it.
pub fn is_at_or_below(host: &str, domain: &str) -> bool {
    host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// https, the usual port, nobody's name in front of the host, and nothing that readers of links understand in different ways.
fn is_plain(written: &str, url: &Url) -> bool {
    let odd = |letter: char| letter.is_control() || letter.is_whitespace() || letter == '\\';
    url.scheme() == "https"
        && url.port().is_none()
        && url.username().is_empty()
        && url.password().is_none()
        && !written.contains(odd)
        && written.get(..8).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://"))
        && !["%2f", "%5c", "%2e", "%00", "//"].iter().any(|trick| url.path().to_ascii_lowercase().contains(trick))
}

/// Whether nothing in query or fragment looks like another link.
fn leads_nowhere_else(url: &Url) -> bool {
    let parts = [url.query(), url.fragment()];
    parts.into_iter().flatten().all(|part| {
        let mut text = part.to_owned();
        for _ in 0..4 {
            let lower = text.to_lowercase();
            // The last is how base64 begins to say `http`.
            if ["//", "\\\\", "http:", "https:", "javascript:", "data:", "www.", "ahr0c"]
                .iter()
                .any(|link| lower.contains(link))
            {
                return false;
            }
            text = unescaped(&text);
        }
        true
    })
}

/// Percent-encoding undone once.
fn unescaped(text: &str) -> String {
    let (bytes, mut plain, mut at) = (text.as_bytes(), Vec::with_capacity(text.len()), 0);
    while let Some(byte) = bytes.get(at) {
        let escaped = bytes.get(at + 1..at + 3).filter(|_| *byte == b'%').and_then(crate::certificate::hex_byte);
        plain.push(escaped.unwrap_or(*byte));
        at += if escaped.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&plain).into_owned()
}

/// Whether a host that is not the domain's own is made to be taken for it.
fn imitates(host: &str, domain: &str) -> bool {
    let host = folded(&url::quirks::domain_to_unicode(host));
    let domain = folded(domain);
    // The same to the eye, or the whole of it within something longer: `www.ica.cz.example.com`, `ica-cz.com`.
    if is_at_or_below(&host, &domain) || is_within(&host, &domain) {
        return true;
    }
    // The name itself, nearly or as a part: `postsignun.cz`, `postsignum-renewal.eu`.
    let name = name_of(&domain);
    if name.chars().count() < TELLING {
        return false;
    }
    let labels = host.rsplit_once('.').map_or(host.as_str(), |(labels, _)| labels);
    labels.split(['.', '-']).any(|label| label == name || is_one_apart(label, name))
}

/// Whether the labels of `name` follow each other somewhere in `text`, hyphens counting as dots.
fn is_within(text: &str, name: &str) -> bool {
    let (text, name) = (format!(".{}.", text.replace('-', ".")), format!(".{}.", name.replace('-', ".")));
    text.contains(&name)
}

/// What a domain is called: its label in front of the top.
fn name_of(domain: &str) -> &str {
    domain.rsplit('.').nth(1).unwrap_or(domain)
}

/// A name as the eye takes it in: letters of other scripts and digits as the Latin letters that they resemble.
fn folded(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for letter in text.chars().flat_map(char::to_lowercase) {
        folded.push(match letter {
            'а' | 'à' | 'á' | 'â' | 'ã' | 'ä' | 'å' | 'ā' | 'ă' | 'ą' | 'α' | 'ɑ' => 'a',
            'ь' | 'β' => 'b',
            'с' | 'ç' | 'ć' | 'č' | 'ϲ' | 'ċ' => 'c',
            'ԁ' | 'ď' | 'đ' => 'd',
            'е' | 'è' | 'é' | 'ê' | 'ë' | 'ē' | 'ę' | 'ě' | 'ё' | 'ε' => 'e',
            'ɡ' | 'ğ' | 'ģ' => 'g',
            'һ' | 'հ' => 'h',
            'і' | 'ì' | 'í' | 'î' | 'ï' | 'ī' | 'ı' | 'ι' | 'ї' | 'ӏ' | 'l' | '1' | '|' | 'ł' | 'ľ' => 'i',
            'ј' => 'j',
            'κ' | 'к' => 'k',
            'м' => 'm',
            'п' | 'ñ' | 'ń' | 'ň' | 'η' | 'ո' => 'n',
            'о' | 'ò' | 'ó' | 'ô' | 'õ' | 'ö' | 'ø' | 'ō' | 'ő' | 'ο' | 'σ' | '0' | 'օ' => 'o',
            'р' | 'ρ' => 'p',
            'ԛ' => 'q',
            'г' | 'ŕ' | 'ř' => 'r',
            'ѕ' | 'ś' | 'š' | 'ş' | '5' => 's',
            'т' | 'τ' | 'ť' => 't',
            'υ' | 'ù' | 'ú' | 'û' | 'ü' | 'ū' | 'ů' | 'ս' => 'u',
            'ν' | 'ѵ' => 'v',
            'ԝ' | 'ω' => 'w',
            'х' | 'χ' => 'x',
            'у' | 'ý' | 'ÿ' | 'γ' => 'y',
            'ź' | 'ž' | 'ż' => 'z',
            other => other,
        });
    }
    folded.replace("rn", "m").replace("vv", "w").replace("cj", "g")
}

/// Whether one letter less, more or another makes the one of the other, or two that stand beside each other have changed places.
fn is_one_apart(one: &str, other: &str) -> bool {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let front = one.iter().zip(&other).take_while(|(a, b)| a == b).count();
    let (one, other) = (&one[front..], &other[front..]);
    let back = one.iter().rev().zip(other.iter().rev()).take_while(|(a, b)| a == b).count();
    let (one, other) = (&one[..one.len() - back], &other[..other.len() - back]);
    match (one, other) {
        ([a, b], [c, d]) => a == d && b == c,
        (one, other) => one.len() <= 1 && other.len() <= 1 && one.len() + other.len() > 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefixes() -> Vec<Prefix> {
        ["https://www.ica.cz/obnova", "https://s.ica.cz/r/"].iter().map(|text| Prefix::parse(text).expect("a prefix")).collect()
    }

    fn judged(target: &str) -> Judged {
        judge(target, &prefixes(), &["ica.cz".to_owned(), "postsignum.cz".to_owned()])
    }

    #[test]
    fn what_is_listed_may_be_opened() {
        for (target, normal) in [
            ("https://www.ica.cz/obnova", "https://www.ica.cz/obnova"),
            ("HTTPS://WWW.ICA.CZ/obnova?sn=1A2B&lang=cs", "https://www.ica.cz/obnova?sn=1A2B&lang=cs"),
            ("https://www.ica.cz:443/obnova/krok/1", "https://www.ica.cz/obnova/krok/1"),
            ("https://s.ica.cz/r/abc#top", "https://s.ica.cz/r/abc#top"),
            ("https://www.ica.cz/jinam/../obnova/x", "https://www.ica.cz/obnova/x"),
        ] {
            assert!(matches!(judged(target), Judged::Listed(link, _) if link == normal), "{target}: {:?}", judged(target));
        }
    }

    #[test]
    fn what_may_lead_elsewhere_is_not() {
        for target in [
            "http://www.ica.cz/obnova",
            "https://www.ica.cz:8443/obnova",
            "https://www.ica.cz/obnova?next=https://evil.example/",
            "https://www.ica.cz/obnova?next=https%3A%2F%2Fevil.example",
            "https://www.ica.cz/obnova?next=%2568ttps%253A%252F%252Fevil.example",
            "https://www.ica.cz/obnova?next=%2F%2Fevil.example",
            "https://www.ica.cz/obnova?next=aHR0cHM6Ly9ldmlsLmV4YW1wbGU=",
            "https://www.ica.cz/obnova?u=www.evil.example",
            "https://www.ica.cz/obnova#https://evil.example",
            "https://anna@www.ica.cz/obnova",
            "https://anna:pw@www.ica.cz/obnova",
            "https:/\\www.ica.cz/obnova",
            "https://www.ica.cz/obnova/%2e%2e%2fevil",
            "https://www.ica.cz/obnova//evil.example",
            "https://www.ica.cz/obnova/\u{200}\tx",
        ] {
            assert_eq!(judged(target), Judged::Unsafe, "{target}");
        }
    }

    #[test]
    fn what_lies_elsewhere_is_no_concern() {
        for target in [
            "https://www.ica.cz/obnovaX",
            "https://www.ica.cz/kontakt",
            "https://other.ica.cz/obnova",
            "https://www.example.org/",
            "https://ics.cz/",
            "https://ice.cz/obnova",
            "https://127.0.0.1/obnova",
            "https://[::1]/obnova",
            "mailto:info@ica.cz",
            "javascript:alert(1)",
            "www.ica.cz/obnova",
            "",
            "https://",
            "https://www.mojeid.cz/",
            "https://www.postsignum.cz/obnova",
            "https://www.postsignal.cz/",
        ] {
            assert_eq!(judged(target), Judged::Elsewhere, "{target}");
        }
        assert_eq!(judged(&format!("https://www.ica.cz/obnova?{}", "x".repeat(LONGEST))), Judged::Elsewhere);
    }

    #[test]
    fn what_is_made_to_be_mistaken_is_seen() {
        for target in [
            "https://www.ica.cz.evil.example/obnova",
            "https://ica.cz.example/",
            "https://www-ica-cz.example/obnova",
            "https://ica-cz.com/",
            "https://www.іca.cz/obnova",
            "https://www.icа.cz/obnova",
            "https://www.1ca.cz/obnova",
            "https://íca.cz/",
            "https://www.ica.cz@evil.example/obnova",
            "https://ica.cz:x@evil.example/",
            "https://postsignun.cz/",
            "https://postsignurn.cz/",
            "https://postisgnum.cz/",
            "https://postsignum-obnova.eu/",
            "https://postsignum.eu/",
            "https://p0stsignum.cz/",
        ] {
            assert!(matches!(judged(target), Judged::Imitates(_)), "{target}: {:?}", judged(target));
        }
    }

    #[test]
    fn only_a_host_and_a_path_are_a_prefix() {
        for bad in [
            "http://www.ica.cz/",
            "https://www.ica.cz/?x",
            "https://www.ica.cz/#x",
            "https://u@www.ica.cz/",
            "https://www.ica.cz:444/",
            "https://10.0.0.1/",
            "https://localhost/",
            "www.ica.cz",
        ] {
            assert_eq!(Prefix::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn hosts_in_texts() {
        assert_eq!(host_in(" https://www.ica.cz/x ").as_deref(), Some("www.ica.cz"));
        assert_eq!(host_in("www.ica.cz").as_deref(), Some("www.ica.cz"));
        for none in ["Renew now", "renew", "info@ica.cz", "here.", "", "1.2.3.4"] {
            assert_eq!(host_in(none), None, "{none}");
        }
    }
}
