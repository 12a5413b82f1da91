//! Certificates that another tool of this machine renews: which tool, and from when on it is late. They are watched and left alone.

use std::fmt;

use chrono::{DateTime, Duration, Utc};

/// A tool that renews certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    /// The EFF's ACME client.
    Certbot,
    /// Fedora's daemon, which asks several kinds of authority.
    Certmonger,
}

impl Tool {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Certbot => "certbot",
            Self::Certmonger => "certmonger",
        }
    }

    /// So long before the end of validity it renews, if nobody told it otherwise: certbot's `renew_before_expiry`, certmonger's `ttls`.
    pub fn usual_lead(self) -> Duration {
        match self {
            Self::Certbot => Duration::days(30),
            Self::Certmonger => Duration::days(28),
        }
    }
}

impl fmt::Display for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Who renews a certificate instead of us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Elsewhere {
    /// The tool.
    pub tool: Tool,
    /// How the tool calls it: the name of a certificate, of a request.
    pub name: String,
    /// So long before the end of validity it renews.
    pub lead: Duration,
}

impl Elsewhere {
    /// From this moment on the tool is late. It has a week for what goes wrong once, or half of its time where that is less.
    ///
    /// A certificate of short life is renewed when a third of it is left, whatever the tool was told for others.
    pub fn late(&self, not_before: DateTime<Utc>, not_after: DateTime<Utc>) -> DateTime<Utc> {
        let lead = self.lead.min((not_after - not_before) / 3);
        not_after - lead + Duration::days(7).min(lead / 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_has_its_time_before_it_is_late() {
        let begin = DateTime::from_timestamp(1_700_000_000, 0).expect("a time");
        for (tool, life, left) in
            [(Tool::Certbot, 90, 23), (Tool::Certmonger, 365, 21), (Tool::Certbot, 30, 5), (Tool::Certbot, 6, 1)]
        {
            let end = begin + Duration::days(life);
            let elsewhere = Elsewhere { tool, name: String::new(), lead: tool.usual_lead() };
            assert_eq!((end - elsewhere.late(begin, end)).num_days(), left, "{tool} {life}");
        }
    }
}
