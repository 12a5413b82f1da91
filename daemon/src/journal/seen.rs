//! The cache of what was seen in the places.

use std::sync::Arc;

use chrono::DateTime;
use obnova_core::certificate::{KeyAlgorithm, Texts};
use obnova_core::{Certificate, Fingerprint, Place};
use rusqlite::types::Type;
use rusqlite::{Row, Transaction, params};

use super::database::{Database, signed, unsigned};
use super::{JournalError, Remember, Seen};
use crate::stores::Stamp;

impl Database {
    /// Hands over what was last seen in the places, in their order.
    pub(super) fn seen(&self, take: impl FnMut(Seen)) -> Result<(), JournalError> {
        self.read_seen(take).map_err(|source| self.failed(source))
    }

    fn read_seen(&self, mut take: impl FnMut(Seen)) -> rusqlite::Result<()> {
        let mut statement = self.connection.prepare(
            "SELECT s.place, s.stamp, s.readable, s.key, c.sha256, c.public_key, c.holder, c.name, c.subject, c.issuer,
                    c.serial, c.not_before, c.not_after, c.key, c.authority, c.usage, c.addresses
             FROM seen s LEFT JOIN certificate c ON c.sha256 = s.sha256 ORDER BY s.place, s.position",
        )?;
        let mut open: Option<Seen> = None;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let place = row.get_ref(0)?.as_str()?;
            let mut seen = match open.take() {
                Some(seen) if seen.place.as_str() == place => seen,
                before => {
                    before.into_iter().for_each(&mut take);
                    let place = Place::parse(place).map_err(|error| unreadable(0, error))?;
                    Seen { place, stamp: Stamp(unsigned(row.get(1)?)), readable: row.get(2)?, certificates: Vec::new() }
                }
            };
            if row.get_ref(4)?.as_blob_or_null()?.is_some() {
                seen.certificates.push((Arc::new(certificate(row)?), row.get(3)?));
            }
            open = Some(seen);
        }
        open.into_iter().for_each(take);
        Ok(())
    }

    pub(super) fn remember(&mut self, changes: &[Remember]) -> Result<(), JournalError> {
        let remembered = self.connection.transaction().and_then(|transaction| {
            for change in changes {
                remember(&transaction, change)?;
            }
            transaction.commit()
        });
        remembered.map_err(|source| self.failed(source))
    }
}

fn remember(transaction: &Transaction<'_>, change: &Remember) -> rusqlite::Result<()> {
    transaction.prepare_cached("DELETE FROM seen WHERE place = ?1")?.execute([change.place.as_str()])?;
    let Some(seen) = &change.seen else { return Ok(()) };
    let mut insert = transaction
        .prepare_cached("INSERT INTO seen (place, position, stamp, readable, sha256, key) VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
    let stamp = signed(seen.stamp.0);
    if seen.certificates.is_empty() {
        insert.execute(params![seen.place.as_str(), -1, stamp, seen.readable, None::<&[u8]>, false])?;
    }
    for (position, (certificate, key)) in (0_i64..).zip(&seen.certificates) {
        let sha256 = certificate.fingerprint.0.as_slice();
        insert.execute(params![seen.place.as_str(), position, stamp, seen.readable, sha256, key])?;
        let sql = "INSERT OR IGNORE INTO certificate (sha256, public_key, holder, name, subject, issuer, serial,
                   not_before, not_after, key, authority, usage, addresses)
                   VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13)";
        transaction.prepare_cached(sql)?.execute(params![
            sha256,
            certificate.public_key.0.as_slice(),
            certificate.holder.0.as_slice(),
            certificate.name(),
            certificate.subject(),
            certificate.issuer(),
            certificate.serial(),
            certificate.not_before.timestamp(),
            certificate.not_after.timestamp(),
            certificate.key.to_string(),
            certificate.authority,
            certificate.usage,
            certificate.texts.addresses(),
        ])?;
    }
    for der in &change.der {
        let mut insert = transaction.prepare_cached("INSERT OR IGNORE INTO der (sha256, der) VALUES (?1, ?2)")?;
        insert.execute(params![Fingerprint::of(der).0.as_slice(), der])?;
    }
    Ok(())
}

fn certificate(row: &Row<'_>) -> rusqlite::Result<Certificate> {
    let digest = |column: usize| -> rusqlite::Result<Fingerprint> { Ok(Fingerprint(row.get(column)?)) };
    let time = |column: usize| {
        let seconds = row.get(column)?;
        DateTime::from_timestamp(seconds, 0).ok_or(rusqlite::Error::IntegralValueOutOfRange(column, seconds))
    };
    let text = |column: usize| -> rusqlite::Result<&str> { Ok(row.get_ref(column)?.as_str()?) };
    Ok(Certificate {
        fingerprint: digest(4)?,
        public_key: digest(5)?,
        holder: digest(6)?,
        texts: Texts::new(text(8)?, text(9)?, text(7)?, text(16)?, row.get_ref(10)?.as_blob()?),
        not_before: time(11)?,
        not_after: time(12)?,
        key: text(13)?.parse::<KeyAlgorithm>().unwrap_or(KeyAlgorithm::Other),
        authority: row.get(14)?,
        usage: row.get(15)?,
    })
}

fn unreadable(column: usize, error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error))
}
