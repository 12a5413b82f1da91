//! What Obnova knows and decides, without touching the world.
//!
//! Pure: no file, network, clock, environment or thread; time is an argument. The daemon observes and acts; this crate says
//! what follows. The same code applies a live record and a replayed one.

pub mod card;
pub mod certificate;
pub mod elsewhere;
pub mod identity;
pub mod item;
pub mod job;
pub mod mail;
pub mod mailbox;
pub mod place;
pub mod plan;
pub mod problem;
pub mod programme;
pub mod record;
pub mod revocation;
pub mod schedule;
pub mod world;

pub use certificate::{Certificate, Fingerprint};
pub use item::{Item, ItemId, Level};
pub use job::{Job, JobEvent};
pub use mailbox::Mailbox;
pub use place::{Place, Scheme};
pub use plan::{Plan, Step};
pub use problem::Problem;
pub use programme::Programme;
pub use record::{Entry, Record};
pub use schedule::Threshold;
pub use world::World;

/// The present moment with the person's offset from UTC, as every decision takes it.
pub type Now = chrono::DateTime<chrono::FixedOffset>;
