//! The cache of what was seen in the places.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::DateTime;
use obnova_core::certificate::KeyAlgorithm;
use obnova_core::{Certificate, Fingerprint, Place};
use rusqlite::types::Type;
use rusqlite::{Row, Transaction, params};

use super::database::{Database, signed, unsigned};
use super::{JournalError, Remember, Seen};
use crate::stores::Stamp;

impl Database {
    pub(super) fn seen(&self) -> Result<Vec<Seen>, JournalError> {
        self.read_seen().map_err(|source| self.failed(source))
    }

    fn read_seen(&self) -> rusqlite::Result<Vec<Seen>> {
        let mut statement = self.connection.prepare(
            "SELECT s.place, s.stamp, s.readable, s.key, c.sha256, c.public_key, c.holder, c.name, c.subject, c.issuer,
                    c.serial, c.not_before, c.not_after, c.key, c.authority, c.usage
             FROM seen s LEFT JOIN certificate c ON c.sha256 = s.sha256 ORDER BY s.place, s.position",
        )?;
        let mut all: Vec<Seen> = Vec::new();
        let mut issuers: HashMap<String, Arc<str>> = HashMap::new();
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let place = Place::parse(row.get_ref(0)?.as_str()?).map_err(|error| unreadable(0, error))?;
            if all.last().is_none_or(|last| last.place != place) {
                let stamp = Stamp(unsigned(row.get(1)?));
                all.push(Seen { place, stamp, readable: row.get(2)?, certificates: Vec::new() });
            }
            if row.get_ref(4)?.as_blob_or_null()?.is_some()
                && let Some(seen) = all.last_mut()
            {
                let certificate = certificate(row, &mut issuers)?;
                seen.certificates.push((Arc::new(certificate), row.get(3)?));
            }
        }
        Ok(all)
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
                   not_before, not_after, key, authority, usage) VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12)";
        transaction.prepare_cached(sql)?.execute(params![
            sha256,
            certificate.public_key.0.as_slice(),
            certificate.holder.0.as_slice(),
            certificate.name,
            certificate.subject,
            certificate.issuer,
            certificate.serial,
            certificate.not_before.timestamp(),
            certificate.not_after.timestamp(),
            certificate.key.to_string(),
            certificate.authority,
            certificate.usage,
        ])?;
    }
    for der in &change.der {
        let mut insert = transaction.prepare_cached("INSERT OR IGNORE INTO der (sha256, der) VALUES (?1, ?2)")?;
        insert.execute(params![Fingerprint::of(der).0.as_slice(), der])?;
    }
    Ok(())
}

fn certificate(row: &Row<'_>, issuers: &mut HashMap<String, Arc<str>>) -> rusqlite::Result<Certificate> {
    let digest = |column: usize| -> rusqlite::Result<Fingerprint> { Ok(Fingerprint(row.get(column)?)) };
    let time = |column: usize| {
        let seconds = row.get(column)?;
        DateTime::from_timestamp(seconds, 0).ok_or(rusqlite::Error::IntegralValueOutOfRange(column, seconds))
    };
    let issuer: String = row.get(9)?;
    let issuer = Arc::clone(issuers.entry(issuer).or_insert_with_key(|issuer| issuer.as_str().into()));
    let subject = row.get_ref(8)?.as_str()?;
    let subject = if *subject == *issuer { Arc::clone(&issuer) } else { subject.into() };
    let key: String = row.get(13)?;
    Ok(Certificate {
        fingerprint: digest(4)?,
        public_key: digest(5)?,
        holder: digest(6)?,
        name: row.get(7)?,
        subject,
        issuer,
        serial: row.get::<_, Vec<u8>>(10)?.into(),
        not_before: time(11)?,
        not_after: time(12)?,
        key: key.parse::<KeyAlgorithm>().unwrap_or(KeyAlgorithm::Other),
        authority: row.get(14)?,
        usage: row.get(15)?,
    })
}

fn unreadable(column: usize, error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error))
}
