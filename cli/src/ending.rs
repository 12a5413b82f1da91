//! How a run ends: the exit codes of the contract, and what is said when it fails.

use std::io;
use std::process::ExitCode;

use obnova_api::{Error, ProblemView};

/// The exit codes, a contract with scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Done, or all is well.
    Done = 0,
    /// It failed.
    Failed = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// Something needs a person.
    NeedsPerson = 3,
    /// The daemon does not answer.
    Unreachable = 4,
}

impl From<Ending> for ExitCode {
    fn from(ending: Ending) -> Self {
        Self::from(ending as u8)
    }
}

/// Why a verb failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// A problem that has a sentence, and the name of the item that has it.
    #[error("{} {:?}", .0.kind, .0.args)]
    Problem(ProblemView, Option<String>),
    /// The daemon cannot be reached.
    #[error("the daemon cannot be reached")]
    Unreachable(#[source] Box<zbus::Error>),
    /// The daemon has gone in the middle.
    #[error("the daemon has gone")]
    Lost,
    /// It failed, and another program has said why.
    #[error("told")]
    Told,
    /// Output could not be written.
    #[error("output")]
    Output(#[from] io::Error),
}

impl Failure {
    /// A problem found on this side of the bus.
    pub(crate) fn new<const N: usize>(kind: &str, args: [(&str, &str); N]) -> Self {
        match Error::new(kind, args.map(|(name, value)| (name, value.to_owned()))) {
            Error::Problem(problem) => Self::Problem(problem, None),
            Error::Bus(error) => Self::from(error),
        }
    }

    /// The same failure, of the item of this name.
    pub(crate) fn of(self, name: &str) -> Self {
        match self {
            Self::Problem(problem, None) => Self::Problem(problem, Some(name.to_owned())),
            other => other,
        }
    }

    /// The exit code.
    pub(crate) fn ending(&self) -> Ending {
        match self {
            Self::Problem(problem, _) => match problem.kind.as_str() {
                "invalid-place" | "invalid-argument" | "not-a-time" | "not-a-time-to-come" | "bad-descriptor" => Ending::Usage,
                _ => Ending::Failed,
            },
            Self::Unreachable(_) | Self::Lost => Ending::Unreachable,
            // Whoever reads has seen enough.
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => Ending::Done,
            Self::Told | Self::Output(_) => Ending::Failed,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Problem(problem) => Self::Problem(problem, None),
            Error::Bus(error) => Self::from(error),
        }
    }
}

impl From<zbus::Error> for Failure {
    fn from(error: zbus::Error) -> Self {
        if vanished(&error) {
            return Self::new("internal", [("detail", &error.to_string())]);
        }
        match &error {
            zbus::Error::MethodError(name, ..) => match name.as_str() {
                "org.freedesktop.DBus.Error.ServiceUnknown"
                | "org.freedesktop.DBus.Error.NameHasNoOwner"
                | "org.freedesktop.DBus.Error.NoReply"
                | "org.freedesktop.DBus.Error.TimedOut"
                | "org.freedesktop.DBus.Error.Disconnected" => Self::Unreachable(Box::new(error)),
                name if name.starts_with("org.freedesktop.DBus.Error.Spawn.")
                    || name.starts_with("org.freedesktop.systemd1.") =>
                {
                    Self::Unreachable(Box::new(error))
                }
                "org.freedesktop.DBus.Error.AccessDenied" => Self::new("not-authorized", []),
                // One of ours is an error of the contract, and has a sentence.
                _ => match Error::from(error) {
                    Error::Problem(problem) => Self::Problem(problem, None),
                    Error::Bus(error) => Self::new("internal", [("detail", &error.to_string())]),
                },
            },
            zbus::Error::FDO(fdo) => match fdo.as_ref() {
                zbus::fdo::Error::AccessDenied(_) => Self::new("not-authorized", []),
                zbus::fdo::Error::ServiceUnknown(_)
                | zbus::fdo::Error::NameHasNoOwner(_)
                | zbus::fdo::Error::NoReply(_)
                | zbus::fdo::Error::ZBus(zbus::Error::InputOutput(_)) => Self::Unreachable(Box::new(error)),
                _ => Self::new("internal", [("detail", &error.to_string())]),
            },
            // Connecting failed, or the connection broke.
            _ => Self::Unreachable(Box::new(error)),
        }
    }
}

/// Whether a call failed because the object is no more: a finished job is none.
pub(crate) fn vanished(error: &zbus::Error) -> bool {
    matches!(error, zbus::Error::MethodError(name, ..) if matches!(
        name.as_str(),
        "org.freedesktop.DBus.Error.UnknownObject"
            | "org.freedesktop.DBus.Error.UnknownInterface"
            | "org.freedesktop.DBus.Error.UnknownMethod"
    ))
}
