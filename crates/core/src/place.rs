//! Where a certificate lives, as a URI. Owns the syntax; reading a place is the daemon's.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A place as a URI: `file:/etc/ssl/mail.pem`, `p12:/home/anna/anna.p12`, `piv:9a3f…`, `pkcs11:serial=42;token=Anna`. Cheap to
/// clone.
///
/// With files, the part behind the scheme is an absolute path in which `%XX` stands for a byte; `%`, control characters and
/// what is not UTF-8 are written that way. With PIV cards it is the card's GUID (NIST SP 800-73-4 part 1, 3.1.2) or another
/// number of its own. With PKCS#11 tokens it is the path of RFC 7512 section 2.3, as far as it tells tokens apart, the
/// attributes in alphabetical order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Place(Arc<str>);

/// The kinds of place, an open table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// `file:`: PEM or DER, certificate and key in one file or two; or a directory of such.
    File,
    /// `p12:`: a PKCS#12 file (RFC 7292).
    Pkcs12,
    /// `piv:`: a PIV card (NIST SP 800-73-4).
    Piv,
    /// `pkcs11:`: a token behind a PKCS#11 module (RFC 7512).
    Pkcs11,
}

impl Scheme {
    const ALL: [Self; 4] = [Self::File, Self::Pkcs12, Self::Piv, Self::Pkcs11];

    /// The word before the colon.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Pkcs12 => "p12",
            Self::Piv => "piv",
            Self::Pkcs11 => "pkcs11",
        }
    }

    /// A card or token, which a person inserts, and not a file.
    pub fn is_card(self) -> bool {
        matches!(self, Self::Piv | Self::Pkcs11)
    }
}

/// What tells one PKCS#11 token from another (RFC 7512 section 2.3); `None`: any. Of a token that is there, all are known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenId {
    /// `manufacturer`.
    pub manufacturer: Option<String>,
    /// `model`.
    pub model: Option<String>,
    /// `serial`.
    pub serial: Option<String>,
    /// `token`: its label.
    pub token: Option<String>,
}

impl TokenId {
    fn attributes(&self) -> [(&'static str, Option<&String>); 4] {
        [
            ("manufacturer", self.manufacturer.as_ref()),
            ("model", self.model.as_ref()),
            ("serial", self.serial.as_ref()),
            ("token", self.token.as_ref()),
        ]
    }

    /// Whether `token` is one that this describes.
    pub fn covers(&self, token: &Self) -> bool {
        self.attributes().into_iter().zip(token.attributes()).all(|((_, asked), (_, is))| asked.is_none() || asked == is)
    }

    fn parse(path: &str) -> Result<Self, PlaceError> {
        let mut id = Self::default();
        for attribute in path.split(';') {
            let (name, value) = attribute.split_once('=').ok_or(PlaceError::BadAttribute)?;
            let value = decode(value)?;
            let value = value.to_str().ok_or(PlaceError::BadEscape)?.to_owned();
            let slot = match name {
                "manufacturer" => &mut id.manufacturer,
                "model" => &mut id.model,
                "serial" => &mut id.serial,
                "token" => &mut id.token,
                // These name an object on a token, or the module that shows it: the place is the token.
                "id"
                | "object"
                | "type"
                | "library-description"
                | "library-manufacturer"
                | "library-version"
                | "slot-description"
                | "slot-id"
                | "slot-manufacturer" => continue,
                _ => return Err(PlaceError::BadAttribute),
            };
            if slot.replace(value).is_some() {
                return Err(PlaceError::BadAttribute);
            }
        }
        if id == Self::default() { Err(PlaceError::Empty) } else { Ok(id) }
    }
}

/// Why a text is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    /// Nothing stands before or behind the colon.
    #[error("empty")]
    Empty,
    /// The scheme is none that Obnova reads.
    #[error("unknown-scheme")]
    UnknownScheme,
    /// The path does not begin with a slash.
    #[error("not-absolute")]
    NotAbsolute,
    /// A `%` without two hexadecimal digits behind it, or a NUL byte.
    #[error("bad-escape")]
    BadEscape,
    /// An attribute that RFC 7512 does not know, twice the same, or none.
    #[error("bad-attribute")]
    BadAttribute,
    /// A PIN, or where to find one, which no place may hold.
    #[error("holds-pin")]
    HoldsPin,
}

impl Place {
    /// Reads a place and brings it into its one canonical form (no trailing slash, no `//`, no `/./`).
    pub fn parse(text: &str) -> Result<Self, PlaceError> {
        let (scheme, rest) = text.split_once(':').ok_or(PlaceError::UnknownScheme)?;
        let scheme = Scheme::ALL.into_iter().find(|known| known.as_str() == scheme).ok_or(PlaceError::UnknownScheme)?;
        if rest.is_empty() {
            return Err(PlaceError::Empty);
        }
        match scheme {
            Scheme::File | Scheme::Pkcs12 => {}
            Scheme::Piv => return Self::piv(rest),
            Scheme::Pkcs11 => {
                let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
                if query.split('&').any(|attribute| attribute.starts_with("pin-")) {
                    return Err(PlaceError::HoldsPin);
                }
                return TokenId::parse(path).map(|token| Self::token(&token));
            }
        }
        // What was written by this crate, as nearly all is that is read, needs no second look.
        if is_canonical(rest) {
            return Ok(Self(text.into()));
        }
        let path = decode(rest)?;
        if !path.is_absolute() {
            return Err(PlaceError::NotAbsolute);
        }
        Ok(Self::new(scheme, &path))
    }

    /// A PIV card by its number: letters, digits and hyphens.
    pub fn piv(number: &str) -> Result<Self, PlaceError> {
        match number {
            "" => Err(PlaceError::Empty),
            _ if !number.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') => Err(PlaceError::BadAttribute),
            _ => Ok(Self(format!("piv:{}", number.to_ascii_lowercase()).into())),
        }
    }

    /// A PKCS#11 token, or all those that `token` covers.
    pub fn token(token: &TokenId) -> Self {
        let known = token.attributes().into_iter().filter_map(|(name, value)| Some((name, value?)));
        let attributes: Vec<String> = known.map(|(name, value)| format!("{name}={}", encode_attribute(value))).collect();
        Self(format!("pkcs11:{}", attributes.join(";")).into())
    }

    /// The file place of this kind at an absolute path.
    pub fn new(scheme: Scheme, path: &Path) -> Self {
        let normal: PathBuf = path.components().collect();
        Self(format!("{}:{}", scheme.as_str(), encode(normal.as_os_str())).into())
    }

    /// The kind of place.
    pub fn scheme(&self) -> Scheme {
        let is = |scheme: &Scheme| self.0.strip_prefix(scheme.as_str()).is_some_and(|rest| rest.starts_with(':'));
        Scheme::ALL.into_iter().find(is).unwrap_or(Scheme::File)
    }

    /// The path of the file or directory; empty for a card.
    pub fn path(&self) -> PathBuf {
        if self.scheme().is_card() {
            return PathBuf::new();
        }
        decode(self.encoded_path()).unwrap_or_default()
    }

    /// What tells the token apart; `None` for other places.
    pub fn token_id(&self) -> Option<TokenId> {
        if self.scheme() == Scheme::Pkcs11 { TokenId::parse(self.encoded_path()).ok() } else { None }
    }

    /// The shortest that a person may recognise it by: a file's name, a token's label, a card's number.
    pub fn name(&self) -> String {
        match self.token_id() {
            Some(id) => id.token.or(id.serial).or(id.model).or(id.manufacturer).unwrap_or_default(),
            None if self.scheme().is_card() => self.encoded_path().to_owned(),
            None => {
                let path = self.path();
                path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
            }
        }
    }

    /// How it is shown: a path, or the URI of a card.
    pub fn shown(&self) -> String {
        if self.scheme().is_card() { self.0.to_string() } else { self.path().display().to_string() }
    }

    /// Whether this place stands below the directory `root`, is a token that `root` describes, or is `root` itself.
    pub fn is_within(&self, root: &Self) -> bool {
        if self.scheme().is_card() || root.scheme().is_card() {
            let described = || root.token_id().zip(self.token_id()).is_some_and(|(root, token)| root.covers(&token));
            return self == root || described();
        }
        let root = root.encoded_path();
        // Both are canonical, and no byte of a path is written in two ways.
        self.encoded_path().strip_prefix(root).is_some_and(|below| below.is_empty() || below.starts_with('/') || root == "/")
    }

    fn encoded_path(&self) -> &str {
        self.0.get(self.scheme().as_str().len() + 1..).unwrap_or_default()
    }

    /// The URI.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Place {
    type Error = PlaceError;

    fn try_from(text: String) -> Result<Self, PlaceError> {
        Self::parse(&text)
    }
}

impl From<Place> for String {
    fn from(place: Place) -> Self {
        place.0.as_ref().to_owned()
    }
}

/// Whether this is surely the one form of a path: plain letters of ASCII, which need no escape, and no part too many.
fn is_canonical(path: &str) -> bool {
    let plain = |byte: &u8| matches!(byte, b' '..=b'~') && *byte != b'%';
    let Some(parts) = path.as_bytes().strip_prefix(b"/") else { return false };
    parts.iter().all(plain) && parts.split(|byte| *byte == b'/').all(|part| !part.is_empty() && part != b".")
}

fn encode(path: &OsStr) -> String {
    let mut text = String::with_capacity(path.len());
    for chunk in path.as_bytes().utf8_chunks() {
        for letter in chunk.valid().chars() {
            if letter == '%' || letter.is_control() {
                let mut bytes = [0; 4];
                letter.encode_utf8(&mut bytes).bytes().for_each(|byte| escape(&mut text, byte));
            } else {
                text.push(letter);
            }
        }
        chunk.invalid().iter().for_each(|byte| escape(&mut text, *byte));
    }
    text
}

/// As [`encode`], with everything else that has a meaning in a PKCS#11 URI written by its bytes, too.
fn encode_attribute(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for byte in value.bytes() {
        // RFC 7512 section 2.3: `pk11-pchar` without what separates.
        if byte.is_ascii_alphanumeric() || b"-._~:[]@!$'()*+,&".contains(&byte) {
            text.push(char::from(byte));
        } else {
            escape(&mut text, byte);
        }
    }
    text
}

fn escape(text: &mut String, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    text.push('%');
    text.push(char::from(DIGITS[usize::from(byte >> 4)]));
    text.push(char::from(DIGITS[usize::from(byte & 15)]));
}

fn decode(text: &str) -> Result<PathBuf, PlaceError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let byte = if byte == b'%' {
            let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16)).ok_or(PlaceError::BadEscape);
            u8::try_from(digit()? * 16 + digit()?).map_err(|_| PlaceError::BadEscape)?
        } else {
            byte
        };
        if byte == 0 {
            return Err(PlaceError::BadEscape);
        }
        bytes.push(byte);
    }
    Ok(PathBuf::from(std::ffi::OsString::from_vec(bytes)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_no_place_says_why() {
        for (text, error) in [
            ("/etc/x.pem", PlaceError::UnknownScheme),
            ("http:/etc/x", PlaceError::UnknownScheme),
            ("p12:", PlaceError::Empty),
            ("p12:anna.p12", PlaceError::NotAbsolute),
            ("file:/a%2", PlaceError::BadEscape),
            ("file:/a%00b", PlaceError::BadEscape),
        ] {
            assert_eq!(Place::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn one_file_has_one_name() {
        let plain = Place::parse("file:/etc/ssl").expect("a place");
        assert_eq!(Place::parse("file:/etc//ssl/./").expect("a place"), plain);
        assert!(Place::parse("file:/etc/ssl/a.pem").expect("a place").is_within(&plain));
        assert!(!Place::parse("file:/etc/ssl2/a.pem").expect("a place").is_within(&plain));
    }

    #[test]
    fn a_token_has_one_name_however_it_is_written() {
        let named = Place::parse("pkcs11:token=Anna%20Nov%c3%a1k;serial=0042;id=%01;type=cert?module-name=x").expect("a place");
        assert_eq!(named.as_str(), "pkcs11:serial=0042;token=Anna%20Nov%C3%A1k");
        assert_eq!(named.scheme(), Scheme::Pkcs11);
        assert_eq!(named.token_id().and_then(|id| id.token).as_deref(), Some("Anna Novák"));
        let whole = Place::parse("pkcs11:manufacturer=X;model=Y;token=Anna%20Nov%C3%A1k;serial=0042").expect("a place");
        assert!(whole.is_within(&named) && !named.is_within(&whole));
        assert!(!whole.is_within(&Place::parse("file:/").expect("a place")));
        for (text, error) in [
            ("pkcs11:", PlaceError::Empty),
            ("pkcs11:id=%01", PlaceError::Empty),
            ("pkcs11:token", PlaceError::BadAttribute),
            ("pkcs11:tokn=x", PlaceError::BadAttribute),
            ("pkcs11:token=a;token=b", PlaceError::BadAttribute),
            ("pkcs11:token=a?pin-value=1234", PlaceError::HoldsPin),
            ("piv:", PlaceError::Empty),
            ("piv:a/b", PlaceError::BadAttribute),
        ] {
            assert_eq!(Place::parse(text), Err(error), "{text}");
        }
        assert_eq!(Place::parse("piv:9A3F").expect("a place").as_str(), "piv:9a3f");
    }

    proptest! {
        #[test]
        fn every_label_survives(label in ".{1,32}", serial in "[ -~]{1,16}") {
            let id = TokenId { token: Some(label.replace('\0', "")), serial: Some(serial), ..TokenId::default() };
            let place = Place::token(&id);
            prop_assert_eq!(&Place::parse(place.as_str()).expect("canonical"), &place);
            prop_assert_eq!(place.token_id(), Some(id));
        }

        #[test]
        fn every_path_survives(bytes in proptest::collection::vec(1_u8.., 0..40)) {
            let path = PathBuf::from("/").join(OsStr::from_bytes(&bytes));
            let path: PathBuf = path.components().collect();
            let place = Place::new(Scheme::Pkcs12, &path);
            prop_assert_eq!(&Place::parse(place.as_str()).expect("canonical"), &place);
            prop_assert_eq!(place.path(), path);
        }

        #[test]
        fn however_a_path_is_written_it_is_one_place(path in "[./a%é2f ]{0,8}") {
            if let Ok(place) = Place::parse(&format!("p12:/{path}")) {
                let written = decode(&format!("/{path}")).expect("it was read");
                prop_assert_eq!(place, Place::new(Scheme::Pkcs12, &written));
            }
        }

        #[test]
        fn within_is_as_paths_say(names in proptest::collection::vec("[a%é ]{1,2}", 0..4), root in 0_usize..5, other in "[/a]{0,3}") {
            let path = Path::new("/").join(names.join("/"));
            let above = path.ancestors().nth(root).unwrap_or(&path).to_owned();
            for root in [above.clone(), PathBuf::from(format!("{}{other}", above.display()))] {
                let within = Place::new(Scheme::Pkcs12, &path).is_within(&Place::new(Scheme::File, &root));
                prop_assert_eq!(within, path.starts_with(&root), "{} in {}", path.display(), root.display());
            }
        }

        #[test]
        fn no_text_panics(text in ".{0,60}") {
            let _ = Place::parse(&text);
        }
    }
}
