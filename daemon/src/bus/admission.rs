//! Who calls, and what they may: the owner on the session bus, anybody within polkit's answers on the system bus, the one peer of a
//! socket pair. What is done for whoever was admitted is decided elsewhere.

use std::collections::HashMap;
use std::time::Duration;

use obnova_api::Error;
use obnova_core::Problem;
use zbus::fdo::DBusProxy;
use zbus::message::{Flags, Header};
use zbus::zvariant::{OwnedObjectPath, Value};

use super::agents::Requester;
use super::{Desk, views};

/// How long polkit may take to answer by itself.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long it may take when it asks a person to show who they are.
const PERSONS_PATIENCE: Duration = Duration::from_mins(5);

/// Polkit may ask the person (`AllowUserInteraction`).
const MAY_ASK: u32 = 1;

/// Who is heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Whoever holds the other end of a socket pair: they may all.
    Peer,
    /// This user alone, who may all.
    Owner(u32),
    /// Everybody, for what polkit allows them; root for all.
    Polkit,
}

/// What a caller wants to do, each a polkit action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Right {
    /// To see names, places and serials; counts, states and dates are seen by everybody.
    Look,
    /// To renew, to answer questions, to put warnings off.
    Act,
    /// To say what is watched.
    Configure,
}

impl Right {
    fn action(self) -> &'static str {
        match self {
            Self::Look => "org.obnova.look",
            Self::Act => "org.obnova.act",
            Self::Configure => "org.obnova.configure",
        }
    }
}

/// How much a caller sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    /// All there is.
    Whole,
    /// Counts, states and dates.
    Outline,
}

impl Extent {
    /// What the caller sees of a view, `outline` being what everybody sees of it.
    pub(super) fn of<T>(self, view: T, outline: impl FnOnce(T) -> T) -> T {
        match self {
            Self::Whole => view,
            Self::Outline => outline(view),
        }
    }
}

impl Desk {
    /// Who calls; an error where they may not do this.
    pub(super) async fn admit(&self, header: &Header<'_>, right: Right) -> Result<Requester, Error> {
        let Some(uid) = self.caller(header).await? else { return Ok(Requester::default()) };
        let sender = header.sender().map(|sender| sender.to_owned().into());
        match self.admission {
            Admission::Peer | Admission::Owner(_) => Ok(Requester { sender, uid: Some(uid), session: None }),
            Admission::Polkit => {
                // Only a caller that says so wants a person asked on its account.
                let may_ask = header.primary().flags().contains(Flags::AllowInteractiveAuth);
                if uid != 0 && !self.polkit_allows(header, right, may_ask).await? {
                    return Err(not_authorized());
                }
                Ok(Requester { sender, uid: Some(uid), session: self.session_of(header).await? })
            }
        }
    }

    /// How much the caller sees. Nobody is asked to show who they are for a look.
    pub(super) async fn extent(&self, header: &Header<'_>) -> Result<Extent, Error> {
        let uid = self.caller(header).await?;
        let whole = self.admission != Admission::Polkit
            || uid.is_none_or(|uid| uid == 0)
            || self.polkit_allows(header, Right::Look, false).await?;
        Ok(if whole { Extent::Whole } else { Extent::Outline })
    }

    /// The user who calls, if there is a bus in between; an error where only another one is heard.
    async fn caller(&self, header: &Header<'_>) -> Result<Option<u32>, Error> {
        let sender = match (self.admission, header.sender()) {
            (Admission::Peer, _) => return Ok(None),
            // A bus always says who sends.
            (_, None) => return Err(not_authorized()),
            (_, Some(sender)) => sender,
        };
        let bus = DBusProxy::new(self.agents.connection()).await?;
        let uid = bus.get_connection_unix_user(sender.clone().into()).await?;
        match self.admission {
            Admission::Owner(owner) if owner != uid => Err(not_authorized()),
            _ => Ok(Some(uid)),
        }
    }

    /// Whether polkit lets the caller do this. Where there is no polkit, only root may.
    async fn polkit_allows(&self, header: &Header<'_>, right: Right, may_ask: bool) -> Result<bool, Error> {
        let Some(sender) = header.sender() else { return Ok(false) };
        let polkit = AuthorityProxy::new(self.agents.connection()).await?;
        let subject = ("system-bus-name", HashMap::from([("name", Value::from(sender.as_str()))]));
        let (flags, patience) = if may_ask { (MAY_ASK, PERSONS_PATIENCE) } else { (0, PATIENCE) };
        let details = HashMap::new();
        let asked = polkit.check_authorization(&subject, right.action(), &details, flags, "");
        match tokio::time::timeout(patience, asked).await {
            Ok(Ok((allowed, _, _))) => Ok(allowed),
            Ok(Err(error)) => {
                tracing::warn!(%error, action = right.action(), "polkit does not say who may what");
                Ok(false)
            }
            Err(_) => Ok(false),
        }
    }

    /// The login session of the caller, as logind knows it; `None` where it is in none, or where there is no logind.
    async fn session_of(&self, header: &Header<'_>) -> Result<Option<OwnedObjectPath>, Error> {
        let Some(sender) = header.sender() else { return Ok(None) };
        let connection = self.agents.connection();
        let pid = DBusProxy::new(connection).await?.get_connection_unix_process_id(sender.clone().into()).await?;
        let logind = LogindProxy::new(connection).await?;
        match tokio::time::timeout(PATIENCE, logind.get_session_by_pid(pid)).await {
            Ok(Ok(session)) => Ok(Some(session)),
            Ok(Err(error)) => {
                tracing::debug!(%error, "the caller is in no session");
                Ok(None)
            }
            Err(_) => Ok(None),
        }
    }
}

fn not_authorized() -> Error {
    views::error(&Problem::NotAuthorized {})
}

/// The part of polkit's interface that is used here.
#[zbus::proxy(
    interface = "org.freedesktop.PolicyKit1.Authority",
    default_service = "org.freedesktop.PolicyKit1",
    default_path = "/org/freedesktop/PolicyKit1/Authority",
    gen_blocking = false
)]
trait Authority {
    /// Whether the subject may do this; whether it might after showing who it is; details.
    fn check_authorization(
        &self,
        subject: &(&str, HashMap<&str, Value<'_>>),
        action_id: &str,
        details: &HashMap<&str, &str>,
        flags: u32,
        cancellation_id: &str,
    ) -> zbus::Result<(bool, bool, HashMap<String, String>)>;
}

/// The part of logind's interface that is used here.
#[zbus::proxy(
    interface = "org.freedesktop.login1.Manager",
    default_service = "org.freedesktop.login1",
    default_path = "/org/freedesktop/login1",
    gen_blocking = false
)]
trait Logind {
    /// The session to which the process belongs.
    #[zbus(name = "GetSessionByPID")]
    fn get_session_by_pid(&self, pid: u32) -> zbus::Result<OwnedObjectPath>;
}
