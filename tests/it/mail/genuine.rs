//! Mails as the authorities send them, in four languages, in the charsets of their countries, with each kind of signature.

use obnova_core::mail::Kind;
use obnova_tests::letter::{Dkim, Mail, base64_lines, encoded_word, in_charset, quoted_printable};

use super::{ANNA, Case, Expected};

/// An authority and how it writes.
pub(super) struct Tongue {
    pub(super) name: &'static str,
    pub(super) from: &'static str,
    pub(super) domain: &'static str,
    pub(super) invites: &'static str,
    pub(super) issues: &'static str,
    pub(super) text: &'static str,
    pub(super) click: &'static str,
    pub(super) link: &'static str,
    charset: &'static str,
}

pub(super) const TONGUES: [Tongue; 4] = [
    Tongue {
        name: "Czech",
        from: "info.renewal@ica.test",
        domain: "ica.test",
        invites: "Vydání následného certifikátu",
        issues: "Certifikát byl vydán",
        text: "Dobrý den,\ndne 10. 11. 2026 skončí platnost Vašeho certifikátu.\nSériové číslo: 1A2B3C\n\nO následný certifikát požádáte zde:\n",
        click: "Požádat o následný certifikát",
        link: "https://www.ica.test/obnova/?sn=1a2b3c&lang=cs",
        charset: "iso-8859-2",
    },
    Tongue {
        name: "Danish",
        from: "noreply@certifikat.test",
        domain: "certifikat.test",
        invites: "Forny din signatur",
        issues: "Dit certifikat er klar",
        text: "Kære bruger\nDin medarbejdersignatur udløber den 10. november 2026.\nSerienummer: 1A:2B:3C\n\nForny den på følgende side:\n",
        click: "Forny på få minutter",
        link: "https://forny.certifikat.test/signatur/9f3c",
        charset: "iso-8859-1",
    },
    Tongue {
        name: "German",
        from: "service@trust.test",
        domain: "trust.test",
        invites: "Ihr Zertifikat läuft ab",
        issues: "Ihr Zertifikat wurde ausgestellt",
        text: "Guten Tag,\nIhr Zertifikat läuft am 10. November 2026 ab.\nSeriennummer: 001a2b3c\n\nBitte erneuern Sie es rechtzeitig über diese Adresse:\n",
        click: "Jetzt für ein weiteres Jahr erneuern",
        link: "https://www.trust.test/erneuern/antrag?k=77",
        charset: "iso-8859-15",
    },
    Tongue {
        name: "English",
        from: "renewals@authority.test",
        domain: "authority.test",
        invites: "Your certificate is about to expire",
        issues: "Your certificate has been issued",
        text: "Hello,\nyour certificate expires on 10 November 2026.\nSerial number: 0x1a2b3c\n\nPlease renew it here:\n",
        click: "Renew now",
        link: "https://renew.authority.test/r/5511-aa",
        charset: "us-ascii",
    },
];

impl Tongue {
    /// The headers that all its mails have.
    pub(super) fn headers(&self, subject: &str) -> Mail {
        let id = format!("<{}.{}@{}>", subject.len(), self.name.to_lowercase(), self.domain);
        Mail::new()
            .header(
                "Received",
                &format!("from mail.{} by mx.example.org with ESMTPS;\r\n\tMon, 2 Nov 2026 10:00:10 +0100", self.domain),
            )
            .header("From", &format!("\"{}\" <{}>", self.domain, self.from))
            .header("To", ANNA)
            .header("Subject", &encoded_word("utf-8", subject.as_bytes()))
            .header("Date", "Mon, 2 Nov 2026 10:00:00 +0100")
            .header("Message-ID", &id)
            .header("Reply-To", self.from)
            .header("MIME-Version", "1.0")
    }

    /// Its plainest invitation, without a signature.
    pub(super) fn unsigned(&self) -> Mail {
        self.headers(self.invites)
            .header("Content-Type", "text/plain; charset=utf-8")
            .header("Content-Transfer-Encoding", "8bit")
            .body(format!("{}{}\n", self.text, self.link))
    }

    /// Its plainest invitation, with a good signature.
    pub(super) fn invitation(&self) -> Mail {
        self.unsigned().signed(&self.dkim())
    }

    pub(super) fn dkim(&self) -> Dkim {
        Dkim::by(self.domain, "s1")
    }

    /// As hypertext.
    pub(super) fn html(&self) -> String {
        let paragraphs = self.text.replace('\n', "<br>\n");
        let link = self.link.replace('&', "&amp;");
        format!(
            "<html><body><p>{paragraphs}</p>\n<p><a href=\"{link}\">{}</a></p>\n<p><a href=\"https://www.{}/\">www.{}</a></p></body></html>\n",
            self.click, self.domain, self.domain
        )
    }

    /// Hypertext, with a good signature.
    pub(super) fn html_invitation(&self, html: &str) -> Mail {
        self.headers(self.invites)
            .header("Content-Type", "text/html; charset=\"utf-8\"")
            .header("Content-Transfer-Encoding", "quoted-printable")
            .body(quoted_printable(html.as_bytes()))
            .signed(&self.dkim())
    }

    fn both_forms(&self) -> Mail {
        let part = |kind: &str, text: &str| {
            format!(
                "--part\nContent-Type: {kind}; charset=UTF-8\nContent-Transfer-Encoding: base64\n\n{}",
                base64_lines(text.as_bytes())
            )
        };
        let plain = part("text/plain", &format!("{}{}\n", self.text, self.link));
        self.headers(self.invites)
            .header("Content-Type", "multipart/alternative;\r\n\tboundary=\"part\"")
            .body(format!("{plain}{}--part--\n", part("text/html", &self.html())))
            .signed(&Dkim::by(self.domain, "e1"))
    }

    fn in_own_charset(&self, charset: &str) -> Mail {
        let text = in_charset(charset, &format!("{}{}\n", self.text, self.link));
        self.headers(self.invites)
            .with("Subject", &encoded_word(charset, &in_charset(charset, self.invites)))
            .header("Content-Type", &format!("text/plain; charset={charset}"))
            .header("Content-Transfer-Encoding", "quoted-printable")
            .body(quoted_printable(&text))
            .signed(&Dkim { simple: true, ..Dkim::by(self.domain, "s2") })
    }

    fn issued(&self) -> Mail {
        self.headers(self.issues)
            .header("Content-Type", "text/html; charset=utf-8")
            .header("Content-Transfer-Encoding", "8bit")
            .body(self.html())
            .signed(&self.dkim())
    }
}

/// All of them.
pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for tongue in &TONGUES {
        let trusted = |kind| Expected::trusted(kind, Some(tongue.link));
        let mut add = |about: &str, mail: &Mail, expected: Expected| {
            cases.push(Case::new(0, format!("{}: {about}", tongue.name), mail, expected));
        };
        add("an invitation in plain text", &tongue.invitation(), trusted(Kind::Invitation));
        add("an invitation in two forms, signed with ed25519", &tongue.both_forms(), trusted(Kind::Invitation));
        add(
            "an invitation in the country's charset, signed letter by letter",
            &tongue.in_own_charset(tongue.charset),
            trusted(Kind::Invitation),
        );
        add("an invitation in hypertext", &tongue.html_invitation(&tongue.html()), trusted(Kind::Invitation));
        add("a certificate has been made", &tongue.issued(), trusted(Kind::Issued));
        let twice = tongue.unsigned().signed(&tongue.dkim()).signed(&Dkim::by("mailer.test", "other"));
        add("an invitation that its mailing house signed, too", &twice, trusted(Kind::Invitation));
    }
    let czech = &TONGUES[0];
    let more: [(&str, Mail, Kind, Option<&str>); 9] = [
        ("Czech in the charset of Windows", czech.in_own_charset("windows-1250"), Kind::Invitation, Some(czech.link)),
        (
            "without Reply-To",
            czech.unsigned().without("Reply-To").signed(&czech.dkim().without("Reply-To")),
            Kind::Invitation,
            Some(czech.link),
        ),
        ("with a short key", czech.unsigned().signed(&Dkim::by("ica.test", "k1024")), Kind::Invitation, Some(czech.link)),
        (
            "with two links of which neither can be said to be meant",
            czech.unsigned().exchange("lang=cs", "lang=cs\nhttps://www.ica.test/obnova/?sn=2").signed(&czech.dkim()),
            Kind::Invitation,
            None,
        ),
        ("without a link", czech.unsigned().exchange(czech.link, "www.ica.test").signed(&czech.dkim()), Kind::Invitation, None),
        (
            "an Authentication-Results that nobody named",
            czech.invitation().above("Authentication-Results", "mx.example.net; dkim=fail header.d=ica.test"),
            Kind::Invitation,
            Some(czech.link),
        ),
        (
            "money is due",
            TONGUES[2].headers("Zahlung offen").body("Rechnung folgt.\n").signed(&TONGUES[2].dkim()),
            Kind::PaymentDue,
            None,
        ),
        (
            "a refusal",
            TONGUES[3].headers("Your request was rejected").body("No.\n").signed(&TONGUES[3].dkim()),
            Kind::Rejected,
            None,
        ),
        ("something else", czech.headers("Novinky").body("Nic.\n").signed(&czech.dkim()), Kind::Other, None),
    ];
    let more = more.into_iter().map(|(about, mail, kind, link)| Case::new(0, about, &mail, Expected::trusted(kind, link)));
    cases.extend(more);
    for (case, number) in cases.iter_mut().zip(1..) {
        case.number = number;
    }
    cases
}
