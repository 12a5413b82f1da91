//! What was found out about certificates beside the records: high in volume and of no lasting meaning, and bounded.

use chrono::{DateTime, Utc};
use obnova_core::revocation::Checked;
use obnova_core::{Certificate, Fingerprint};
use rusqlite::{Transaction, params};

use super::JournalError;
use super::database::Database;

pub(super) const TABLES: &str = "CREATE TABLE checked (
        sha256 BLOB PRIMARY KEY,
        at INTEGER NOT NULL,          -- seconds since 1970
        body TEXT NOT NULL            -- JSON of a Checked
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE issuer (             -- certificates of authorities that were fetched
        sha256 BLOB PRIMARY KEY,
        at INTEGER NOT NULL,
        subject TEXT NOT NULL,
        der BLOB NOT NULL
    ) STRICT, WITHOUT ROWID;";

/// How many certificates something is kept about; more than are looked at.
const MOST_CHECKED: u32 = 8192;

/// How many certificates of authorities are kept.
const MOST_ISSUERS: u32 = 256;

impl Database {
    /// Hands over what was found out. What cannot be read any more is found out anew.
    pub(super) fn checks(&self, mut take: impl FnMut(Fingerprint, Checked)) -> Result<(), JournalError> {
        let mut read = || -> rusqlite::Result<()> {
            let mut statement = self.connection.prepare("SELECT sha256, body FROM checked")?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                if let Ok(checked) = serde_json::from_str(row.get_ref(1)?.as_str()?) {
                    take(Fingerprint(row.get(0)?), checked);
                }
            }
            Ok(())
        };
        read().map_err(|source| self.failed(source))
    }

    pub(super) fn keep_check(&mut self, certificate: Fingerprint, checked: &Checked) -> Result<(), JournalError> {
        let Ok(body) = serde_json::to_string(checked) else { return Ok(()) };
        self.change(|transaction| {
            let sql = "INSERT OR REPLACE INTO checked (sha256, at, body) VALUES (?1, ?2, ?3)";
            transaction.prepare_cached(sql)?.execute(params![certificate.0.as_slice(), checked.at.timestamp(), body])?;
            let sql = "DELETE FROM checked WHERE (SELECT count(*) FROM checked) > ?1
                       AND sha256 NOT IN (SELECT sha256 FROM checked ORDER BY at DESC LIMIT ?1)";
            transaction.prepare_cached(sql)?.execute([MOST_CHECKED]).map(drop)
        })
    }

    pub(super) fn keep_issuers(&mut self, issuers: &[Vec<u8>], at: DateTime<Utc>) -> Result<(), JournalError> {
        self.change(|transaction| {
            for der in issuers {
                // What cannot be read stands above no certificate.
                let Ok(issuer) = Certificate::from_der(der) else { continue };
                let sql = "INSERT OR IGNORE INTO issuer (sha256, at, subject, der) VALUES (?1, ?2, ?3, ?4)";
                let values = params![issuer.fingerprint.0.as_slice(), at.timestamp(), issuer.subject(), der];
                transaction.prepare_cached(sql)?.execute(values)?;
            }
            let sql = "DELETE FROM issuer WHERE sha256 NOT IN (SELECT sha256 FROM issuer ORDER BY at DESC LIMIT ?1)";
            transaction.prepare_cached(sql)?.execute([MOST_ISSUERS]).map(drop)
        })
    }

    pub(super) fn issuers(&self, subject: &str) -> Result<Vec<Vec<u8>>, JournalError> {
        let read = || -> rusqlite::Result<Vec<Vec<u8>>> {
            let mut statement = self.connection.prepare_cached("SELECT der FROM issuer WHERE subject = ?1")?;
            statement.query_map([subject], |row| row.get(0))?.collect()
        };
        read().map_err(|source| self.failed(source))
    }

    fn change(&mut self, act: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<()>) -> Result<(), JournalError> {
        let changed = self.connection.transaction().and_then(|transaction| {
            act(&transaction)?;
            transaction.commit()
        });
        changed.map_err(|source| self.failed(source))
    }
}
