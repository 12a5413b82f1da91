//! The visiting card of a mailbox: what its certificates say of its holder. Which mailboxes there are, a person has configured.

use serde::Deserialize;

use crate::certificate::{Certificate, attribute_text, attribute_texts};

/// What stands on the visiting card of a mailbox, as far as it goes into a certificate.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct VisitingCard {
    /// Which mailbox it is; the name of the file in which the card stands.
    #[serde(skip)]
    pub mailbox: String,
    /// The name (CN).
    pub name: String,
    /// The organisation (O).
    pub organisation: Option<String>,
    /// The part of it (OU).
    pub organisational_unit: Option<String>,
    /// The place (L).
    pub locality: Option<String>,
    /// The state of the country (ST).
    pub state: Option<String>,
    /// The country (C), two capital letters (ISO 3166-1).
    pub country: Option<String>,
    /// Subjects (RFC 4514) of this mailbox's certificates from before the card was changed.
    #[serde(default)]
    pub formerly: Vec<String>,
}

impl VisitingCard {
    /// A card with a name alone, of a mailbox of that name.
    pub fn of(name: &str) -> Self {
        Self {
            mailbox: name.to_owned(),
            name: name.to_owned(),
            organisation: None,
            organisational_unit: None,
            locality: None,
            state: None,
            country: None,
            formerly: Vec::new(),
        }
    }

    /// The parts of the name that it makes, the most general first: the attribute's short name (RFC 4514 section 3) and its value.
    pub fn attributes(&self) -> Vec<(&'static str, &str)> {
        let optional = [
            ("C", &self.country),
            ("ST", &self.state),
            ("L", &self.locality),
            ("O", &self.organisation),
            ("OU", &self.organisational_unit),
        ];
        let optional = optional.into_iter().filter_map(|(key, value)| Some((key, value.as_deref()?)));
        optional.chain([("CN", self.name.as_str())]).collect()
    }

    /// Whether this certificate is one of the mailbox's: it says what the card says, perhaps more, or what it said formerly.
    pub fn is_of(&self, certificate: &Certificate) -> bool {
        let said = attribute_texts(certificate.subject());
        let says_all = self.attributes().into_iter().all(|(key, value)| said.contains(&attribute_text(key, value).as_str()));
        says_all || self.formerly.iter().any(|subject| subject == certificate.subject())
    }

    /// Whether a subject (RFC 4514) says what the card says and nothing else, in whatever order.
    pub fn is_said_by(&self, subject: &str) -> bool {
        let said = attribute_texts(subject);
        let own: Vec<String> = self.attributes().into_iter().map(|(key, value)| attribute_text(key, value)).collect();
        said.len() == own.len() && own.iter().all(|text| said.contains(&text.as_str()))
    }

    /// Whether it can be one: no text is blank or too long, and the country is a country's.
    pub(super) fn check(&self) -> Result<(), &'static str> {
        let fits = |value: &str| {
            let blank = value.trim().is_empty() || value.chars().any(char::is_control);
            !blank && value.chars().count() <= LONGEST
        };
        if !self.attributes().into_iter().all(|(_, value)| fits(value)) {
            return Err("text of 1 to 64 characters is expected");
        }
        let country = |country: &String| country.len() == 2 && country.bytes().all(|letter| letter.is_ascii_uppercase());
        if self.country.as_ref().is_none_or(country) { Ok(()) } else { Err("a country is two capital letters") }
    }
}

/// The most characters of an attribute (RFC 5280 appendix A.1, `ub-common-name` and its like).
const LONGEST: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn card() -> VisitingCard {
        VisitingCard {
            organisation: Some("Kanzlei".into()),
            country: Some("DE".into()),
            formerly: vec!["CN=Stará\\, Anna,O=Kanzlei".into()],
            ..VisitingCard::of("Nová, Anna")
        }
    }

    #[test]
    fn the_order_of_a_name_does_not_matter_and_each_part_does() {
        let card = card();
        assert!(card.is_said_by("CN=Nová\\, Anna,O=Kanzlei,C=DE"));
        assert!(card.is_said_by("C=DE,O=Kanzlei,CN=Nová\\, Anna"));
        assert!(!card.is_said_by("CN=Nová\\, Anna,O=Kanzlei"));
        assert!(!card.is_said_by("CN=Nová\\, Anna,O=Kanzlei,C=DE,L=Kiel"));
        assert!(!card.is_said_by("CN=Nová\\, Anna,O=Kanzlei\\,C=DE"));
    }

    #[test]
    fn a_mistake_is_seen() {
        assert_eq!(card().check(), Ok(()));
        assert!(VisitingCard { name: " ".into(), ..card() }.check().is_err());
        assert!(VisitingCard { name: "x".repeat(65), ..card() }.check().is_err());
        assert!(VisitingCard { country: Some("de".into()), ..card() }.check().is_err());
    }
}
