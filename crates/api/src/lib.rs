//! The D-Bus contract between the daemon and whoever speaks to it.
//!
//! Owns names, proxies, views, questions and wire errors. Knows nothing of certificates, journals or programmes: a client that
//! links this crate links no more than zbus.

pub mod dict;
mod error;
mod proxy;
mod view;

pub use error::{ERROR_PREFIX, Error, Result};
pub use proxy::{AgentProxy, ChangedStream, JobProxy, ManagerProxy, NoticedStream, RemovedStream};
pub use view::{
    AgentOptions, CardView, CertificateView, CheckView, ItemView, JobView, LetterView, Level, LogView, MailboxOptions,
    NextStepView, Options, ProblemView, ProgrammeView, QuestionView, ReasonView, RevocationView, RulesView, SpotView,
    StatusView, StepView,
};

/// The well-known bus name of the daemon, on the session bus (user scope) or the system bus (system scope).
pub const BUS_NAME: &str = "org.obnova.Daemon1";
/// Where `org.obnova.Manager1` is served.
pub const MANAGER_PATH: &str = "/org/obnova";
/// Below this stand the unfinished jobs, one object each: `/org/obnova/job/N`.
pub const JOB_PATH: &str = "/org/obnova/job";
/// Where a client of ours serves `org.obnova.Agent1`; others may choose another path.
pub const AGENT_PATH: &str = "/org/obnova/agent";
/// The most items that one call of `Items` returns.
pub const PAGE: u32 = 100;

/// The introspection data of `org.obnova.Manager1`, as served.
pub const MANAGER_XML: &str = include_str!("../introspection/org.obnova.Manager1.xml");
/// The introspection data of `org.obnova.Job1`, as served.
pub const JOB_XML: &str = include_str!("../introspection/org.obnova.Job1.xml");
/// The introspection data of `org.obnova.Agent1`, as clients serve it.
pub const AGENT_XML: &str = include_str!("../introspection/org.obnova.Agent1.xml");

/// What protects the file of a rehearsal, for a programme that wants at least so many characters: nothing secret, and told to
/// whoever rehearses.
pub fn rehearsal_secret(min: u32) -> String {
    "1234".chars().cycle().take(min.max(4) as usize).collect()
}
