//! Who issues, as a programme says it: the protocol, the addresses, and whom to trust. What is spoken there is the daemon's.

use std::fmt;

use serde::Deserialize;
use x509_parser::pem::Pem;

use crate::certificate::Certificate;

/// The most certificates that a programme trusts.
const MOST_ANCHORS: usize = 32;

/// Who issues the new certificate, and by which protocol.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "protocol", deny_unknown_fields, rename_all = "kebab-case")]
pub enum Authority {
    /// The new key signs its own certificate.
    SelfSigned {
        /// Days of validity; as many as the old certificate had where nothing is said.
        #[serde(rename = "validity-days")]
        validity_days: Option<u32>,
    },
    /// The authority of rehearsals: issues what is asked for, from a key that lies beside the journal, and is trusted by nobody.
    Simulated {
        /// Days of validity.
        #[serde(rename = "validity-days")]
        validity_days: u32,
        /// It issues only when somebody says go on, as one that waits for a payment.
        pause: bool,
    },
    /// A message that the old key signs around the request that the new one signs (MS-WCCE section 3.1.1.4.3.2), sent by HTTPS.
    SignedRequest(Remote),
    /// Enrolment over Secure Transport (RFC 7030): the old key logs in by TLS. `url` ends before the operation.
    Est(Remote),
    /// The same message inside a mail that the old key signs (S/MIME, RFC 8551), sent through the person's mail server. What comes of it
    /// comes by mail, too.
    SignedMail(Correspondence),
    /// The person renews at the authority's page, here or on another computer; nothing is spoken with it. What other programs make
    /// meanwhile is noticed where it is watched.
    Web(Page),
}

/// An authority that takes requests by mail.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Correspondence {
    /// To whom requests are sent.
    pub to: MailAddress,
    /// What the mail's subject is.
    #[serde(default = "request")]
    pub subject: String,
    /// Who must have signed the chain of what it issues.
    pub anchors: Anchors,
}

fn request() -> String {
    "Certificate renewal request".to_owned()
}

/// A full mail address, in lower case.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct MailAddress(String);

/// A text that is no such address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a full address in lower case is expected, as `renewal@example.org`")]
pub struct NoMailAddress;

impl MailAddress {
    /// The whole of it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands behind the `@`.
    pub fn domain(&self) -> &str {
        self.0.rsplit('@').next().unwrap_or_default()
    }
}

impl TryFrom<String> for MailAddress {
    type Error = NoMailAddress;

    fn try_from(text: String) -> Result<Self, NoMailAddress> {
        if crate::mail::is_address(&text) { Ok(Self(text)) } else { Err(NoMailAddress) }
    }
}

/// An authority that speaks with people alone.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Page {
    /// Its page.
    pub page: Option<Address>,
    /// On which computers the page works.
    #[serde(default)]
    pub computer: Computer,
    /// Who must have signed the chain of what it issues; where nothing is said, nobody knows.
    pub anchors: Option<Anchors>,
}

/// The computers on which an authority's page works.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Computer {
    /// On this one, too.
    #[default]
    This,
    /// Only on those with Windows or macOS.
    WindowsOrMacos,
}

impl Computer {
    /// The word in views.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::This => "this",
            Self::WindowsOrMacos => "windows-or-macos",
        }
    }
}

/// An authority in the network.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Remote {
    /// Where requests are sent.
    pub url: Address,
    /// Where it says whether it has a request: the SHA-256 of what was sent, in hex, is appended. Without it, it cannot be asked.
    pub orders: Option<Address>,
    /// Who must have signed the chain of what it issues.
    pub anchors: Anchors,
    /// Who must have signed the chain of the server's own certificate.
    pub tls_anchors: Anchors,
    /// How many seconds the server has for one answer.
    #[serde(default = "sixty")]
    pub timeout_seconds: u32,
    /// What may be done where it cannot be told whether the request has arrived.
    #[serde(default)]
    pub resend: Resend,
    /// By which operation of EST; [`Enrol::Again`] where nothing is said.
    pub enrol: Option<Enrol>,
}

/// An operation of EST.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Enrol {
    /// The certificate that logs in is renewed (RFC 7030 section 4.2.2).
    #[serde(rename = "simplereenroll")]
    Again,
    /// Whoever logs in gets a certificate (section 4.2.1), for servers that know nothing else.
    #[serde(rename = "simpleenroll")]
    Anew,
}

fn sixty() -> u32 {
    60
}

/// What may be done where it cannot be told whether a request has arrived.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Resend {
    /// The person is asked whether the same bytes are sent once more.
    #[default]
    Ask,
    /// The same bytes are sent once more: the authority has declared that this makes no second order.
    Harmless,
}

/// What is wrong with an authority by itself, and what is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Mistake {
    #[error("`validity-days` is expected to be between 1 and 36525")]
    Validity,
    #[error("`timeout-seconds` is expected to be between 1 and 600")]
    Timeout,
    #[error("`orders` is expected on the host of `url`")]
    Orders,
    #[error("`orders` is expected with `signed-request` alone")]
    OrdersOfEst,
    #[error("`subject` is expected to have 1 to 200 characters of ASCII")]
    Subject,
    #[error("`enrol` is expected with `est` alone")]
    Enrol,
}

impl Authority {
    /// Whether certificates come from somebody else.
    pub fn is_elsewhere(&self) -> bool {
        !matches!(self, Self::SelfSigned { .. })
    }

    /// Whether requests are sent to it.
    pub fn takes_requests(&self) -> bool {
        !matches!(self, Self::SelfSigned { .. } | Self::Web(_))
    }

    /// The word for it in programmes and views.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::SelfSigned { .. } => "self-signed",
            Self::Simulated { .. } => "simulated",
            Self::SignedRequest(_) => "signed-request",
            Self::Est(_) => "est",
            Self::SignedMail(_) => "signed-mail",
            Self::Web(_) => "web",
        }
    }

    /// Days of validity that the programme asks for.
    pub fn validity_days(&self) -> Option<u32> {
        match self {
            Self::SelfSigned { validity_days } => *validity_days,
            Self::Simulated { validity_days, .. } => Some(*validity_days),
            Self::SignedRequest(_) | Self::Est(_) | Self::SignedMail(_) | Self::Web(_) => None,
        }
    }

    /// The authority in the network, if it is one.
    pub fn remote(&self) -> Option<&Remote> {
        match self {
            Self::SelfSigned { .. } | Self::Simulated { .. } | Self::SignedMail(_) | Self::Web(_) => None,
            Self::SignedRequest(remote) | Self::Est(remote) => Some(remote),
        }
    }

    /// What is wrong with it by itself, and what is allowed.
    pub(super) fn mistake(&self) -> Option<Mistake> {
        if self.validity_days().is_some_and(|days| days == 0 || days > 36_525) {
            return Some(Mistake::Validity);
        }
        if let Self::SignedMail(Correspondence { subject, .. }) = self
            && (subject.is_empty() || subject.len() > 200 || !subject.bytes().all(|byte| (b' '..=b'~').contains(&byte)))
        {
            return Some(Mistake::Subject);
        }
        let remote = self.remote()?;
        if !(1..=600).contains(&remote.timeout_seconds) {
            return Some(Mistake::Timeout);
        }
        match self {
            Self::Est(_) if remote.orders.is_some() => return Some(Mistake::OrdersOfEst),
            Self::SignedRequest(_) if remote.enrol.is_some() => return Some(Mistake::Enrol),
            _ => {}
        }
        if remote.orders.as_ref().is_some_and(|orders| orders.origin() != remote.url.origin()) {
            return Some(Mistake::Orders);
        }
        None
    }
}

/// An address of an authority: `https`, a host, and a path that may be empty; nothing else.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Address(String);

/// A text that is no address of an authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`https://HOST/PATH` is expected, without user, query and fragment")]
pub struct NoAddress;

impl Address {
    /// The whole of it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Host and, if it is said, port.
    pub fn host(&self) -> &str {
        self.origin().strip_prefix("https://").unwrap_or_default()
    }

    /// Scheme, host and port: what comes before the path.
    pub fn origin(&self) -> &str {
        let path = self.0.match_indices('/').nth(2).map_or(self.0.len(), |(at, _)| at);
        &self.0[..path]
    }

    /// The address with this behind it.
    #[must_use]
    pub fn followed_by(&self, more: &str) -> Self {
        Self(format!("{}{more}", self.0))
    }

    /// Another address as this one's server names it: a whole one on the same host, or a path there. `None` for everything else.
    pub fn resolve(&self, location: &str) -> Option<Self> {
        let whole = if location.starts_with('/') { format!("{}{location}", self.origin()) } else { location.to_owned() };
        Self::try_from(whole).ok().filter(|address| address.origin() == self.origin())
    }
}

impl TryFrom<String> for Address {
    type Error = NoAddress;

    fn try_from(text: String) -> Result<Self, NoAddress> {
        let rest = text.strip_prefix("https://").ok_or(NoAddress)?;
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (name, port) = host.rsplit_once(':').unwrap_or((host, "443"));
        let named = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-');
        let spoken = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@%".contains(&byte);
        let right = text.len() <= 1024
            && !name.is_empty()
            && name.bytes().all(named)
            && !name.starts_with(['.', '-'])
            && port.bytes().all(|byte| byte.is_ascii_digit())
            && port.parse::<u16>().is_ok_and(|port| port > 0)
            && !path.starts_with('/')
            && !path.split('/').any(|part| matches!(part, "." | ".."))
            && path.bytes().all(spoken);
        if right { Ok(Self(text)) } else { Err(NoAddress) }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Certificates that are trusted: DER. Never none.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Anchors(Vec<Vec<u8>>);

impl Anchors {
    /// Their DER.
    pub fn ders(&self) -> &[Vec<u8>] {
        &self.0
    }
}

/// A text that names nobody who can be trusted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoAnchors {
    /// Not the form in which certificates are written.
    #[error("certificates in PEM are expected: {0}")]
    Form(String),
    /// One of them is no authority's.
    #[error("`{0}` is no certification authority (CA:TRUE is expected)")]
    NoAuthority(String),
    /// None, or too many.
    #[error("between 1 and {MOST_ANCHORS} certificates are expected")]
    Number,
}

impl TryFrom<String> for Anchors {
    type Error = NoAnchors;

    fn try_from(text: String) -> Result<Self, NoAnchors> {
        let mut ders = Vec::new();
        for block in Pem::iter_from_buffer(text.as_bytes()) {
            let block = block.map_err(|error| NoAnchors::Form(error.to_string()))?;
            if block.label != "CERTIFICATE" {
                return Err(NoAnchors::Form(block.label));
            }
            let read = Certificate::from_der(&block.contents).map_err(|error| NoAnchors::Form(error.to_string()))?;
            if !read.authority {
                return Err(NoAnchors::NoAuthority(read.subject().to_owned()));
            }
            ders.push(block.contents);
        }
        if (1..=MOST_ANCHORS).contains(&ders.len()) { Ok(Self(ders)) } else { Err(NoAnchors::Number) }
    }
}

impl fmt::Debug for Anchors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} anchors", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn address(text: &str) -> Option<Address> {
        Address::try_from(text.to_owned()).ok()
    }

    #[test]
    fn an_address_is_https_a_host_and_a_path() {
        for good in ["https://ra.example", "https://ra.example/", "https://ra.example:8443/renew/now", "https://10.0.0.1/a%20b"]
        {
            assert_eq!(address(good).map(|address| address.0).as_deref(), Some(good));
        }
        for bad in [
            "http://ra.example/",
            "https://",
            "https:///x",
            "https://ra.example:0/",
            "https://ra.example:99999/",
            "https://ra.example:/",
            "https://user@ra.example/",
            "https://ra.example/?a=b",
            "https://ra.example/#a",
            "https://ra.example//x",
            "https://ra.example/../x",
            "https://RA.example/",
            "https://ra.example/\n",
            "https://rä.example/",
        ] {
            assert_eq!(address(bad), None, "{bad}");
        }
        let address = address("https://ra.example:8443/renew").expect("an address");
        assert_eq!((address.origin(), address.host()), ("https://ra.example:8443", "ra.example:8443"));
        assert_eq!(address.resolve("/orders/7").map(|other| other.0).as_deref(), Some("https://ra.example:8443/orders/7"));
        assert_eq!(
            address.resolve("https://ra.example:8443/7").map(|other| other.0).as_deref(),
            Some("https://ra.example:8443/7")
        );
        for elsewhere in
            ["https://ra.example/7", "https://evil.example:8443/7", "//evil.example/7", "7", "http://ra.example:8443/7"]
        {
            assert_eq!(address.resolve(elsewhere), None, "{elsewhere}");
        }
    }

    #[test]
    fn anchors_are_certificates_of_authorities() {
        for bad in [
            "",
            "x",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            "-----BEGIN X-----\nAAAA\n-----END X-----\n",
        ] {
            assert!(Anchors::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_resolved_stays_on_the_host(location in "[a-z/:.@\\\\?#-]{0,30}") {
            let address = address("https://ra.example/renew").expect("an address");
            if let Some(resolved) = address.resolve(&location) {
                prop_assert!(resolved.as_str() == "https://ra.example" || resolved.as_str().starts_with("https://ra.example/"));
            }
        }
    }
}
