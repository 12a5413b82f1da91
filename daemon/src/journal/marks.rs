//! What was read in the mailboxes: enough to read nothing twice, and no more of it than is needed for that.

use chrono::DateTime;
use rusqlite::{Transaction, params};

use super::JournalError;
use super::Mark;
use super::database::Database;

/// The most marks of one mailbox; the oldest go first.
pub const MOST_MARKS: usize = 20_000;

impl Database {
    /// The marks of a mailbox.
    pub(super) fn marks(&self, mailbox: &str) -> Result<Vec<Mark>, JournalError> {
        let read = || {
            let sql = "SELECT name, at, value FROM mark WHERE mailbox = ?1 ORDER BY at DESC, name";
            let mut statement = self.connection.prepare_cached(sql)?;
            let mark = |row: &rusqlite::Row<'_>| {
                let seconds: i64 = row.get(1)?;
                let at = DateTime::from_timestamp(seconds, 0);
                let at = at.ok_or(rusqlite::Error::IntegralValueOutOfRange(1, seconds))?;
                Ok(Mark { name: row.get(0)?, at, value: row.get(2)? })
            };
            statement.query_map([mailbox], mark)?.collect::<rusqlite::Result<Vec<Mark>>>()
        };
        read().map_err(|source| self.failed(source))
    }

    /// Sets marks of a mailbox, and forgets those that are too many.
    pub(super) fn mark(&mut self, mailbox: &str, marks: &[Mark]) -> Result<(), JournalError> {
        let written = self.connection.transaction().and_then(|transaction| {
            write(&transaction, mailbox, marks)?;
            transaction.commit()
        });
        written.map_err(|source| self.failed(source))
    }

    /// Forgets all marks of a mailbox.
    pub(super) fn unmark(&mut self, mailbox: &str) -> Result<(), JournalError> {
        let forgotten = self.connection.execute("DELETE FROM mark WHERE mailbox = ?1", [mailbox]);
        forgotten.map(drop).map_err(|source| self.failed(source))
    }
}

fn write(transaction: &Transaction<'_>, mailbox: &str, marks: &[Mark]) -> rusqlite::Result<()> {
    let sql = "INSERT OR REPLACE INTO mark (mailbox, name, at, value) VALUES (?1, ?2, ?3, ?4)";
    let mut insert = transaction.prepare_cached(sql)?;
    for mark in marks {
        insert.execute(params![mailbox, mark.name, mark.at.timestamp(), mark.value])?;
    }
    let sql = "DELETE FROM mark WHERE mailbox = ?1 AND name IN
               (SELECT name FROM mark WHERE mailbox = ?1 ORDER BY at DESC, name LIMIT -1 OFFSET ?2)";
    transaction.prepare_cached(sql)?.execute(params![mailbox, i64::try_from(MOST_MARKS).unwrap_or(i64::MAX)]).map(drop)
}
