//! What was found out about revocation and chains: when somebody is to look, and what is made of what they found.

use chrono::TimeDelta;
use obnova_core::revocation::Checked;
use obnova_core::{Fingerprint, Now, Problem};
use tokio::sync::oneshot;

use super::{Engine, Loaded, Request, stopping};
use crate::random;

/// How long after a certificate was first seen it is looked at what became of it, at the earliest: what has just begun has its peace,
/// and the network time to come.
const FIRST: TimeDelta = TimeDelta::minutes(2);

impl Engine {
    /// This was found out about a certificate.
    pub async fn checked(&self, certificate: Fingerprint, checked: Checked) -> Result<(), Problem> {
        let (reply, answer) = oneshot::channel();
        let request = Request::Checked(certificate, Box::new(checked), reply);
        self.requests.send(request).await.map_err(|_| stopping())?;
        answer.await.map_err(|_| stopping())
    }
}

impl Loaded {
    /// Tells whoever looks if some certificates are due.
    pub(super) fn have_checked(&mut self, now: Now) {
        let world = &mut self.state.world;
        world.plan_checks(now, || FIRST + random::within(FIRST * 4));
        if !world.to_check(now).is_empty() {
            self.checks_due.notify_one();
        }
    }

    /// Takes note of what was found out about a certificate. What is news to a person is written down first: without that, it is found
    /// out once more.
    pub(super) async fn take_check(&mut self, certificate: Fingerprint, checked: Checked) {
        let (item, record) = self.state.world.note_check(certificate, checked.clone());
        if let Some(record) = record {
            tracing::info!("a certificate has been revoked, or is not any more");
            if let Err(problem) = self.append(vec![record]).await {
                tracing::error!(%problem, "what became of a certificate cannot be written down; it is found out again later");
                return;
            }
        }
        if let Err(error) = self.journal.keep_check(certificate, checked).await {
            tracing::warn!(%error, "what was found out about a certificate is not kept; it is found out again after the next start");
        }
        self.changed(item.into_iter().collect());
    }
}
