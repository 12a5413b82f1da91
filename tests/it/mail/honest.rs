//! Honest mails as offices deliver them. They lose their link, and nothing calls them forged.

use obnova_core::mail::Kind;
use obnova_tests::letter::{Dkim, Mail, encoded_word, quoted_printable};

use super::genuine::{TONGUES, Tongue};
use super::{Case, Expected};

/// All of them. The fourth authority has its domain reject such mails: then they cannot be told from an attacker's.
pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for tongue in &TONGUES[..3] {
        for (about, why, mail) in delivered(tongue) {
            let number = 300 + u32::try_from(cases.len()).expect("few");
            let about = format!("{}: {about}", tongue.name);
            cases.push(Case::new(number, about, &mail, Expected::doubtful(Kind::Invitation, why)));
        }
    }
    cases
}

fn delivered(tongue: &Tongue) -> Vec<(&'static str, &'static str, Mail)> {
    let tagged = encoded_word("utf-8", format!("[EXTERN] {}", tongue.invites).as_bytes());
    let rewritten = format!("{}{}\n\n-- \nScanned.\n", tongue.text, tongue.link);
    vec![
        ("with a tag in the subject", "signature-broken", tongue.invitation().with("Subject", &tagged)),
        (
            "with a banner above the text",
            "signature-broken",
            tongue
                .invitation()
                .exchange(tongue.text, &format!("CAUTION: this mail comes from outside.\r\n\r\n{}", tongue.text)),
        ),
        (
            "written anew by a gateway",
            "signature-broken",
            tongue
                .invitation()
                .with("Content-Transfer-Encoding", "quoted-printable")
                .body(quoted_printable(rewritten.as_bytes())),
        ),
        (
            "with links that lead through a guard",
            "signature-broken",
            tongue.invitation().exchange(tongue.link, "https://guard.example.org/?u=https%3A%2F%2Fx"),
        ),
        ("with a key that is published no more", "signature-broken", {
            let mail = tongue.invitation();
            let signature = mail.headers.iter().find(|(name, _)| name == "DKIM-Signature").expect("a signature").1.clone();
            mail.with("DKIM-Signature", &signature.replace("s=s1;", "s=s0;"))
        }),
        ("without a signature", "unsigned", tongue.unsigned()),
        (
            "with the signature of its mailing house alone",
            "signature-foreign",
            tongue.unsigned().signed(&Dkim::by("mailer.test", "other")),
        ),
    ]
}
