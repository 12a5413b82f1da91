//! `org.obnova.Job1`: an unfinished job as an object.

use obnova_api::{Error, JobView, Result};
use zbus::Connection;
use zbus::message::Header;
use zbus::object_server::SignalEmitter;

use super::admission::Right;
use super::{Desk, views};

/// A job on the bus.
pub(super) struct JobObject {
    number: u64,
    desk: Desk,
}

/// Puts a job on the bus, if it is not there yet.
pub(super) async fn serve(connection: &Connection, desk: &Desk, number: u64) -> zbus::Result<()> {
    let object = JobObject { number, desk: desk.clone() };
    connection.object_server().at(views::job_path(number), object).await?;
    Ok(())
}

/// Says that a job has moved; one that has ended leaves the bus.
pub(super) async fn publish(connection: &Connection, desk: &Desk, number: u64) -> zbus::Result<()> {
    let ended = desk.engine.read(move |state| state.world.job(number).is_none_or(obnova_core::Job::is_ended)).await;
    // The engine is gone: so is the daemon.
    let Ok(ended) = ended else { return Ok(()) };
    serve(connection, desk, number).await?;
    let path = views::job_path(number);
    JobObject::changed(&SignalEmitter::new(connection, path.as_str())?).await?;
    if ended { withdraw(connection, number).await } else { Ok(()) }
}

/// Takes a job off the bus, if it is there.
pub(super) async fn withdraw(connection: &Connection, number: u64) -> zbus::Result<()> {
    match connection.object_server().remove::<JobObject, _>(views::job_path(number)).await {
        Ok(_) | Err(zbus::Error::InterfaceNotFound) => Ok(()),
        Err(error) => Err(error),
    }
}

#[zbus::interface(name = "org.obnova.Job1")]
impl JobObject {
    async fn status(&self, #[zbus(header)] header: Header<'_>) -> Result<JobView> {
        let extent = self.desk.extent(&header).await?;
        let number = self.number;
        let view = self.desk.engine.read(move |state| state.world.job(number).map(|job| views::job(number, job, &state.world)));
        let view = view.await.map_err(|problem| views::error(&problem))?;
        let view = view.ok_or_else(|| Error::new("no-such-item", [("id", views::job_path(number))]))?;
        Ok(extent.of(view, views::outline_of_job))
    }

    async fn retry(&self, #[zbus(header)] header: Header<'_>) -> Result<()> {
        let requester = self.desk.admit(&header, Right::Act).await?;
        self.desk.resume(self.number, requester).await.map_err(|problem| views::error(&problem))
    }

    async fn cancel(&self, #[zbus(header)] header: Header<'_>) -> Result<()> {
        self.desk.admit(&header, Right::Act).await?;
        self.desk.cancel(self.number).await.map_err(|problem| views::error(&problem))
    }

    #[zbus(signal)]
    async fn changed(emitter: &SignalEmitter<'_>) -> zbus::Result<()>;
}
