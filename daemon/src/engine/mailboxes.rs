//! How things stand with mailboxes: taken note of, and told.

use obnova_core::mailbox::Standing;
use obnova_core::{Level, Problem};

use super::{Engine, Loaded, Publication, Request, stopping};

impl Engine {
    /// How things stand with a mailbox from now on.
    pub async fn mailbox_stands(&self, address: String, standing: Standing) -> Result<(), Problem> {
        self.requests.send(Request::MailboxStands(address, standing)).await.map_err(|_| stopping())
    }
}

impl Loaded {
    pub(super) fn take_standing(&mut self, address: &str, standing: Standing) {
        let needs = standing.needs_somebody();
        let Some((item, before)) = self.state.world.mailbox_stands(address, standing) else { return };
        self.changed([item].into());
        // Once, when it happens.
        if needs && !before.needs_somebody() {
            self.say(Publication::Noticed(item, "problem", Level::Warning));
        }
    }
}
