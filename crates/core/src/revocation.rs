//! Whether a certificate has been revoked, and until when the chain above it holds, as far as that was found out: the words for it, and
//! when it is looked at again. Asking and judging are the daemon's.

use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};

/// No certificate is looked at more often.
pub const DAY: Duration = Duration::hours(24);

/// It is looked at again after this time at the latest, however long an answer holds and however often there was none.
const LONGEST: Duration = Duration::days(7);

/// How soon it is tried again where nobody was reached: the network may come back.
const SOON: Duration = Duration::hours(1);

/// Why a certificate was revoked (RFC 5280 section 5.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// The authority does not say.
    Unspecified,
    /// Somebody else may have its key.
    KeyCompromise,
    /// Somebody else may have the authority's key.
    AuthorityCompromise,
    /// What it says of its holder is not true any more.
    AffiliationChanged,
    /// Another one has taken its place.
    Superseded,
    /// It is needed no more.
    CessationOfOperation,
    /// It is suspended: the one reason that may be taken back.
    Hold,
    /// Its holder has lost a right that it says they have.
    PrivilegeWithdrawn,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Unspecified,
        Self::KeyCompromise,
        Self::AuthorityCompromise,
        Self::AffiliationChanged,
        Self::Superseded,
        Self::CessationOfOperation,
        Self::Hold,
        Self::PrivilegeWithdrawn,
    ];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::KeyCompromise => "key-compromise",
            Self::AuthorityCompromise => "authority-compromise",
            Self::AffiliationChanged => "affiliation-changed",
            Self::Superseded => "superseded",
            Self::CessationOfOperation => "cessation-of-operation",
            Self::Hold => "hold",
            Self::PrivilegeWithdrawn => "privilege-withdrawn",
        }
    }
}

/// That a certificate was revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revoked {
    /// Since when it does not count.
    pub since: DateTime<Utc>,
    /// Why.
    pub reason: Reason,
}

/// What an authority says of a certificate, proved by its signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// It has not been revoked.
    Good,
    /// It has.
    Revoked(Revoked),
}

/// What an authority says, and how long that holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What.
    pub standing: Standing,
    /// When it will say something newer, if it tells.
    pub next: Option<DateTime<Utc>>,
}

/// How an authority says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// Asked about this one certificate (RFC 6960).
    Ocsp,
    /// By its list of all that it has revoked (RFC 5280 section 5).
    List,
}

impl Way {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ocsp => "ocsp",
            Self::List => "list",
        }
    }
}

/// Why it could not be found out. What is not proved says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// The certificate names nobody who would say it.
    NoAddress,
    /// The issuer's certificate is not known, and so nothing that it signs can be proved.
    NoIssuer,
    /// Nobody was reached.
    Unreachable,
    /// There was no whole answer in time.
    Late,
    /// The address leads into the local network, or is none of the web's.
    Forbidden,
    /// It leads elsewhere.
    Redirected,
    /// The server refuses, or does not work.
    Refused,
    /// The answer is longer than any that is read.
    TooLong,
    /// The answer makes no sense.
    Malformed,
    /// The answer was not signed by whom it must be.
    Unproven,
    /// The answer is out of date, or not yet valid.
    Stale,
    /// The answer is about others.
    Other,
    /// Whoever was asked does not know the certificate.
    Unknown,
    /// Obnova itself failed.
    Failed,
}

impl Why {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::NoAddress,
        Self::NoIssuer,
        Self::Unreachable,
        Self::Late,
        Self::Forbidden,
        Self::Redirected,
        Self::Refused,
        Self::TooLong,
        Self::Malformed,
        Self::Unproven,
        Self::Stale,
        Self::Other,
        Self::Unknown,
        Self::Failed,
    ];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoAddress => "no-address",
            Self::NoIssuer => "no-issuer",
            Self::Unreachable => "unreachable",
            Self::Late => "late",
            Self::Forbidden => "forbidden",
            Self::Redirected => "redirected",
            Self::Refused => "refused",
            Self::TooLong => "too-long",
            Self::Malformed => "malformed",
            Self::Unproven => "unproven",
            Self::Stale => "stale",
            Self::Other => "other",
            Self::Unknown => "unknown",
            Self::Failed => "failed",
        }
    }

    /// Whether it is the way there that failed, and may soon work.
    fn is_passing(self) -> bool {
        matches!(self, Self::Unreachable | Self::Late)
    }
}

/// How far the chain above a certificate is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reach {
    /// The certificate's issuer is not known.
    Nothing,
    /// It ends before a root.
    Part,
    /// It ends at a root that this machine and the programmes do not know.
    Root,
    /// It ends at one that they trust.
    Anchor,
}

impl Reach {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Part => "part",
            Self::Root => "root",
            Self::Anchor => "anchor",
        }
    }
}

/// What was found out about a certificate when it was last looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checked {
    /// When.
    pub at: DateTime<Utc>,
    /// When it is looked at again.
    pub again: DateTime<Utc>,
    /// How often in a row nothing came of it.
    pub failures: u32,
    /// What the authority says, or why nothing is known.
    pub standing: Result<(Standing, Way), Why>,
    /// How far the chain above it is known.
    pub reach: Reach,
    /// The last second at which that chain holds, where it ends before the certificate, and the name of the issuer that ends.
    pub authority_ends: Option<Box<(DateTime<Utc>, String)>>,
}

impl Checked {
    /// When a certificate is looked at again that was looked at now. `spread` is added, so that not everybody comes at once.
    pub fn again(
        now: DateTime<Utc>,
        outcome: Result<Option<DateTime<Utc>>, Why>,
        failures: u32,
        spread: Duration,
    ) -> DateTime<Utc> {
        let doubled = |first: Duration, longest: Duration| (first * 2_i32.pow(failures.clamp(1, 10) - 1)).min(longest);
        let wait = match outcome {
            // There is nobody to ask, or the issuer may be found: the chain is looked at all the same.
            Err(Why::NoAddress | Why::NoIssuer) => DAY,
            Err(why) if why.is_passing() => doubled(SOON, DAY),
            Err(_) => doubled(DAY, LONGEST),
            // What it says now is what it said, until then.
            Ok(next) => next.map_or(DAY, |next| (next - now).clamp(DAY, LONGEST)),
        };
        now + wait + spread
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_is_what_is_written() {
        for reason in Reason::ALL {
            assert_eq!(serde_json::to_value(reason).expect("JSON"), reason.as_str());
        }
        for why in Why::ALL {
            assert_eq!(serde_json::to_value(why).expect("JSON"), why.as_str());
        }
        for reach in [Reach::Nothing, Reach::Part, Reach::Root, Reach::Anchor] {
            assert_eq!(serde_json::to_value(reach).expect("JSON"), reach.as_str());
        }
        for way in [Way::Ocsp, Way::List] {
            assert_eq!(serde_json::to_value(way).expect("JSON"), way.as_str());
        }
    }

    #[test]
    fn it_is_asked_once_a_day_unless_the_answer_holds_longer_or_none_comes() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).expect("a time");
        let hours = |outcome, failures| (Checked::again(now, outcome, failures, Duration::zero()) - now).num_hours();
        assert_eq!(hours(Ok(None), 0), 24);
        assert_eq!(hours(Ok(Some(now + Duration::hours(2))), 0), 24, "no more often");
        assert_eq!(hours(Ok(Some(now + Duration::days(4))), 0), 96);
        assert_eq!(hours(Ok(Some(now + Duration::days(40))), 0), 168, "not for ever");
        assert_eq!([1, 2, 3, 6, 60].map(|failures| hours(Err(Why::Unreachable), failures)), [1, 2, 4, 24, 24]);
        assert_eq!([1, 2, 3, 4, 60].map(|failures| hours(Err(Why::Unproven), failures)), [24, 48, 96, 168, 168]);
        assert_eq!(hours(Err(Why::NoAddress), 60), 24);
        let spread = Checked::again(now, Ok(None), 0, Duration::minutes(7));
        assert_eq!(spread - now, DAY + Duration::minutes(7));
    }
}
