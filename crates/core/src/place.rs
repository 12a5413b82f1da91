//! Where a certificate lives, as a URI. Owns the syntax; reading a place is the daemon's.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A place as a URI: `file:/etc/ssl/mail.pem`, `p12:/home/anna/anna.p12`. Cheap to clone.
///
/// The part behind the scheme is an absolute path in which `%XX` stands for a byte; `%`, control characters and what is not
/// UTF-8 are written that way.
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
}

impl Scheme {
    const ALL: [Self; 2] = [Self::File, Self::Pkcs12];

    /// The word before the colon.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Pkcs12 => "p12",
        }
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
}

impl Place {
    /// Reads a place and brings it into its one canonical form (no trailing slash, no `//`, no `/./`).
    pub fn parse(text: &str) -> Result<Self, PlaceError> {
        let (scheme, rest) = text.split_once(':').ok_or(PlaceError::UnknownScheme)?;
        let scheme = Scheme::ALL.into_iter().find(|known| known.as_str() == scheme).ok_or(PlaceError::UnknownScheme)?;
        if rest.is_empty() {
            return Err(PlaceError::Empty);
        }
        let path = decode(rest)?;
        if !path.is_absolute() {
            return Err(PlaceError::NotAbsolute);
        }
        Ok(Self::new(scheme, &path))
    }

    /// The place of this kind at an absolute path.
    pub fn new(scheme: Scheme, path: &Path) -> Self {
        let normal: PathBuf = path.components().collect();
        Self(format!("{}:{}", scheme.as_str(), encode(normal.as_os_str())).into())
    }

    /// The kind of place.
    pub fn scheme(&self) -> Scheme {
        if self.0.starts_with("p12:") { Scheme::Pkcs12 } else { Scheme::File }
    }

    /// The path of the file or directory.
    pub fn path(&self) -> PathBuf {
        decode(self.encoded_path()).unwrap_or_default()
    }

    /// Whether this place stands below the directory `root`, or is `root` itself.
    pub fn is_within(&self, root: &Self) -> bool {
        let root = root.encoded_path();
        // Both are canonical, and no byte of a path is written in two ways.
        self.encoded_path().strip_prefix(root).is_some_and(|below| below.is_empty() || below.starts_with('/') || root == "/")
    }

    fn encoded_path(&self) -> &str {
        self.0.split_once(':').unwrap_or_default().1
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

    proptest! {
        #[test]
        fn every_path_survives(bytes in proptest::collection::vec(1_u8.., 0..40)) {
            let path = PathBuf::from("/").join(OsStr::from_bytes(&bytes));
            let path: PathBuf = path.components().collect();
            let place = Place::new(Scheme::Pkcs12, &path);
            prop_assert_eq!(&Place::parse(place.as_str()).expect("canonical"), &place);
            prop_assert_eq!(place.path(), path);
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
