//! What comes of changing a good mail: each signed byte, each header, whoever gets it and when. And of bytes that are no mail.

use chrono::Duration;
use obnova_core::mail::Standing;
use obnova_tests::letter::{COVERED, Dkim, Mail};

use super::{ANNA, Case, arrival, certificate, genuine, letter};

/// The good mails, and none that is not.
fn good() -> Vec<Case> {
    let cases: Vec<Case> = genuine::cases().into_iter().filter(|case| case.expected.standing == "trusted").collect();
    assert!(cases.len() >= 20, "{} good mails", cases.len());
    cases
}

async fn is_trusted(mail: &[u8]) -> bool {
    let letter = letter(mail, arrival()).await;
    letter.is_some_and(|letter| {
        let verdict = letter.for_certificate(&certificate(ANNA));
        assert!(verdict.link().is_none() || verdict.standing == Standing::Trusted, "a link of what is not trusted");
        verdict.standing == Standing::Trusted
    })
}

/// Where the bytes stand that the authority's signature covers, and the signature itself, up to its last letters: they have bits that
/// mean nothing, and what they are is covered by nothing.
fn covered(mail: &[u8]) -> Vec<usize> {
    let body = mail.windows(4).position(|window| window == b"\r\n\r\n").expect("a body") + 4;
    let mut covered: Vec<usize> = Vec::new();
    let mut within = false;
    let mut start = 0;
    while start < body - 2 {
        let end = mail[start..].windows(2).position(|window| window == b"\r\n").expect("a line") + start + 2;
        let line = String::from_utf8_lossy(&mail[start..end]).to_lowercase();
        if !line.starts_with([' ', '\t']) {
            let signature = line.starts_with("dkim-signature:");
            within = signature || COVERED.iter().any(|name| line.starts_with(&format!("{}:", name.to_lowercase())));
        }
        if within {
            let last = mail[..end].ends_with(b"=\r\n");
            let rest = if last && line.starts_with("\t ") { 6 } else { 0 };
            covered.extend(start..end - rest);
        }
        start = end;
    }
    covered.extend(body..mail.len());
    covered
}

#[tokio::test]
async fn no_signed_byte_can_be_changed() {
    for case in good() {
        // The mailing house's signature is its own matter.
        if case.about.contains("mailing house") {
            continue;
        }
        assert!(is_trusted(&case.mail).await, "{}", case.about);
        let positions = covered(&case.mail);
        assert!(positions.len() > 500, "{}: {} bytes", case.about, positions.len());
        for at in positions {
            let mut changed = case.mail.clone();
            changed[at] = if changed[at].eq_ignore_ascii_case(&b'Q') { b'X' } else { b'Q' };
            assert!(!is_trusted(&changed).await, "{}: byte {at} was {:?}", case.about, char::from(case.mail[at]));
        }
    }
}

#[tokio::test]
async fn nothing_can_be_doubled_added_or_sent_again() {
    for case in good() {
        let text = String::from_utf8_lossy(&case.mail).into_owned();
        for line in text.split("\r\n").take_while(|line| !line.is_empty()) {
            let name = line.split(':').next().unwrap_or_default();
            // MIME-Version is covered, but nothing hangs on it.
            if COVERED.contains(&name) && name != "MIME-Version" {
                let doubled = [line.as_bytes(), b"\r\n", &case.mail].concat();
                assert!(!is_trusted(&doubled).await, "{}: {name} twice", case.about);
            }
        }
        let foreign = Mail::new().header("From", "eve@evil.test").signed(&Dkim::by("evil.test", "other"));
        let signature = foreign.bytes();
        let end = signature.windows(6).position(|window| window == b"\r\nFrom").expect("a header") + 2;
        assert!(!is_trusted(&[&signature[..end], &case.mail].concat()).await, "{}: another's signature", case.about);
        for days in [365, -365, 4] {
            let letter = letter(&case.mail, arrival() + Duration::days(days)).await.expect("a letter");
            assert_ne!(letter.standing, Standing::Trusted, "{}: {days} days later", case.about);
        }
        let letter = letter(&case.mail, arrival()).await.expect("a letter");
        let other = letter.for_certificate(&certificate("eva@example.org"));
        assert_ne!(other.standing, Standing::Trusted, "{}: somebody else's", case.about);
        assert_eq!(other.link(), None);
    }
}

/// A generator of numbers that begins the same each time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("32 bits") % limit.max(1)
    }
}

/// The whole path from bytes to verdict, over mails that were cut, spliced and spoilt. `FUZZ=rounds` for more of it.
#[tokio::test]
async fn no_bytes_break_the_path_from_mail_to_verdict() {
    let rounds: usize = std::env::var("FUZZ").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(2_000);
    let corpus: Vec<Vec<u8>> = super::cases().into_iter().map(|case| case.mail).filter(|mail| mail.len() < 10_000).collect();
    let mut numbers = Numbers(20_261_122);
    for _ in 0..rounds {
        let mut mail = corpus[numbers.below(corpus.len())].clone();
        for _ in 0..=numbers.below(4) {
            let at = numbers.below(mail.len());
            match numbers.below(5) {
                0 => mail.truncate(at),
                1 => mail[at..].iter_mut().take(3).for_each(|byte| *byte = u8::try_from(numbers.below(256)).expect("a byte")),
                2 => {
                    let other = &corpus[numbers.below(corpus.len())];
                    mail.truncate(at);
                    mail.extend(&other[numbers.below(other.len())..]);
                }
                3 => {
                    let piece = mail[at..(at + numbers.below(80)).min(mail.len())].to_vec();
                    mail.splice(at..at, piece);
                }
                _ => drop(mail.drain(at..(at + numbers.below(80)).min(mail.len()))),
            }
            if mail.is_empty() {
                mail.push(b'\n');
            }
        }
        let letter = letter(&mail, arrival()).await;
        if let Some(letter) = letter {
            let verdict = letter.for_certificate(&certificate(ANNA));
            assert!(verdict.link().is_none() || verdict.standing == Standing::Trusted);
            assert!(letter.content.link.is_none() || letter.standing == Standing::Trusted);
        }
    }
}
