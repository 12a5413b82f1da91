//! The proxy of a job; apart from the others because its signal is named like the manager's.

use crate::dict::Dictionary;
use crate::error::Error;
use crate::view::JobView;

/// `org.obnova.Job1`, at `/org/obnova/job/N` while the job is unfinished.
#[zbus::proxy(interface = "org.obnova.Job1", default_service = "org.obnova.Daemon1")]
pub trait Job {
    /// How far it is.
    fn status(&self) -> Result<JobView, Error>;

    /// The same, every key as it came.
    #[zbus(name = "Status")]
    fn status_as_dictionary(&self) -> Result<Dictionary, Error>;

    /// Goes on after a problem.
    fn retry(&self) -> Result<(), Error>;

    /// Ends it; what was already made stays where it is and is named in the log.
    fn cancel(&self) -> Result<(), Error>;

    /// It has moved; `Status` tells how.
    #[zbus(signal)]
    fn changed(&self) -> zbus::Result<()>;
}
