//! Errors on the wire: a name behind [`ERROR_PREFIX`], a technical sentence, and the arguments for the one that a person reads.

use std::collections::BTreeMap;

use zbus::message::{Header, Message};
use zbus::names::ErrorName;

use crate::view::ProblemView;

/// What all our error names begin with.
pub const ERROR_PREFIX: &str = "org.obnova.Error.";

/// The result of a call.
pub type Result<T> = std::result::Result<T, Error>;

/// A call that failed, either for a reason of ours or on the way.
#[derive(Debug)]
pub enum Error {
    /// The daemon (or an agent) says what is wrong.
    Problem(ProblemView),
    /// The bus or the connection failed; nothing of ours was reached, or it went away.
    Bus(zbus::Error),
}

impl Error {
    /// A problem of this kind, with these arguments, that the caller can do something about.
    pub fn new<const N: usize>(kind: &str, args: [(&str, String); N]) -> Self {
        Self::Problem(ProblemView {
            kind: kind.into(),
            args: args.into_iter().map(|(key, value)| (key.into(), value)).collect(),
            who: "you".into(),
            by: None,
        })
    }

    /// The kind of problem, or `None` when the bus failed.
    pub fn kind(&self) -> Option<&str> {
        match self {
            Self::Problem(problem) => Some(&problem.kind),
            Self::Bus(_) => None,
        }
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Problem(problem) => {
                f.write_str(&problem.kind)?;
                problem.args.iter().try_for_each(|(key, value)| write!(f, " {key}={value:?}"))
            }
            Self::Bus(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Problem(_) => None,
            Self::Bus(error) => Some(error),
        }
    }
}

impl From<zbus::Error> for Error {
    fn from(error: zbus::Error) -> Self {
        if let zbus::Error::MethodError(name, _, reply) = &error
            && let Some(camel) = name.strip_prefix(ERROR_PREFIX)
        {
            let args = reply.body().deserialize::<(String, BTreeMap<String, String>)>().map(|(_, args)| args);
            return Self::Problem(ProblemView {
                kind: kebab(camel),
                args: args.unwrap_or_default(),
                who: "you".into(),
                by: None,
            });
        }
        Self::Bus(error)
    }
}

impl From<zbus::fdo::Error> for Error {
    fn from(error: zbus::fdo::Error) -> Self {
        Self::Bus(zbus::Error::FDO(Box::new(error)))
    }
}

impl zbus::DBusError for Error {
    fn create_reply(&self, call: &Header<'_>) -> zbus::Result<Message> {
        let (kind, args) = match self {
            Self::Problem(problem) => (problem.kind.as_str(), problem.args.clone()),
            Self::Bus(_) => ("internal", BTreeMap::new()),
        };
        let name = format!("{ERROR_PREFIX}{}", camel(kind));
        Message::error(call, ErrorName::try_from(name)?)?.build(&(self.to_string(), args))
    }

    fn name(&self) -> ErrorName<'_> {
        let name = format!("{ERROR_PREFIX}{}", camel(self.kind().unwrap_or("internal")));
        ErrorName::try_from(name).unwrap_or_else(|_| ErrorName::from_static_str_unchecked("org.obnova.Error.Internal"))
    }

    fn description(&self) -> Option<&str> {
        self.kind()
    }
}

/// `no-such-item` → `NoSuchItem`.
fn camel(kind: &str) -> String {
    kind.split('-')
        .flat_map(|word| {
            let mut letters = word.chars();
            letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters)
        })
        .collect()
}

/// `NoSuchItem` → `no-such-item`.
fn kebab(name: &str) -> String {
    let mut kind = String::with_capacity(name.len() + 4);
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !kind.is_empty() {
            kind.push('-');
        }
        kind.push(letter.to_ascii_lowercase());
    }
    kind
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_survives_the_wire() {
        for kind in ["no-such-item", "refused", "wrong-secret"] {
            assert_eq!(kebab(&camel(kind)), kind);
        }
    }
}
