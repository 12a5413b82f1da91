//! The mailboxes that are read, and how things stand with each. What comes into them is `letters`'.

use std::collections::BTreeMap;

use super::World;
use crate::item::{Item, ItemId, Kind};
use crate::mailbox::{Mailbox, Standing};

/// The mailboxes by their addresses.
#[derive(Debug, Default)]
pub(super) struct Mailboxes(BTreeMap<String, (Mailbox, Standing)>);

impl World {
    /// The mailboxes that are read.
    pub fn mailboxes(&self) -> impl Iterator<Item = &Mailbox> {
        self.mailboxes.0.values().map(|(mailbox, _)| mailbox)
    }

    /// The mailbox at this address.
    pub fn mailbox(&self, address: &str) -> Option<&Mailbox> {
        self.mailboxes.0.get(address).map(|(mailbox, _)| mailbox)
    }

    /// The mailbox whose item has this id.
    pub fn mailbox_by_id(&self, id: ItemId) -> Option<&Mailbox> {
        self.mailboxes().find(|mailbox| self.mailbox_id(&mailbox.address()) == id)
    }

    /// The id of a mailbox's item.
    pub fn mailbox_id(&self, address: &str) -> ItemId {
        ItemId::derive(self.salt(), &[b"mailbox", address.as_bytes()])
    }

    /// Takes note of how things stand with a mailbox. The id of its item, and how they stood before; `None` where nothing is new.
    pub fn mailbox_stands(&mut self, address: &str, standing: Standing) -> Option<(ItemId, Standing)> {
        let id = self.mailbox_id(address);
        let (_, known) = self.mailboxes.0.get_mut(address)?;
        (*known != standing).then(|| (id, std::mem::replace(known, standing)))
    }

    /// How things stand with each mailbox.
    pub fn mailbox_standings(&self) -> impl Iterator<Item = (&Mailbox, &Standing)> {
        self.mailboxes.0.values().map(|(mailbox, standing)| (mailbox, standing))
    }

    pub(super) fn take_mailbox(&mut self, mailbox: &Mailbox) {
        self.mailboxes.0.insert(mailbox.address(), (mailbox.clone(), Standing::default()));
    }

    pub(super) fn drop_mailbox(&mut self, address: &str) {
        self.mailboxes.0.remove(address);
    }

    pub(super) fn mailbox_items(&self) -> impl Iterator<Item = Item> {
        self.mailboxes.0.iter().map(|(address, (mailbox, standing))| Item {
            id: self.mailbox_id(address),
            name: mailbox.name(),
            state: standing.state(),
            level: standing.level(),
            deadline: None,
            next_step: standing.next_step(),
            problem: standing.problem().cloned(),
            kind: Kind::Mailbox { address: address.clone() },
        })
    }
}
