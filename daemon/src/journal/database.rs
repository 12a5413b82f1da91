//! The database: schema, migrations, the running hash.

use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use obnova_core::record::{Entry, Record};
use obnova_core::{Certificate, Fingerprint};
use rusqlite::{Connection, ErrorCode, OptionalExtension, Params, Transaction, params};
use rusqlite_migration::{HookError, M, Migrations};
use sha2::{Digest, Sha256};

use super::{JournalError, Query};

/// One step for each version of the schema; what stands here is never changed, only added to.
fn steps() -> [M<'static>; 4] {
    [
        M::up(FIRST),
        M::up_with_hook("ALTER TABLE certificate ADD COLUMN addresses TEXT NOT NULL DEFAULT ''", |transaction| {
            addresses(transaction).map_err(HookError::from)
        }),
        M::up(MARKS),
        M::up(super::checks::TABLES),
    ]
}

const FIRST: &str = "CREATE TABLE record (
        sequence INTEGER PRIMARY KEY,
        at INTEGER NOT NULL,          -- microseconds since 1970
        body TEXT NOT NULL,           -- JSON of a Record
        chain BLOB NOT NULL           -- SHA-256 over the previous chain, sequence, at and body
    ) STRICT;
    CREATE TABLE certificate (
        sha256 BLOB PRIMARY KEY,
        public_key BLOB NOT NULL,
        holder BLOB NOT NULL,
        name TEXT NOT NULL,
        subject TEXT NOT NULL,
        issuer TEXT NOT NULL,
        serial BLOB NOT NULL,
        not_before INTEGER NOT NULL,
        not_after INTEGER NOT NULL,
        key TEXT NOT NULL,
        authority INTEGER NOT NULL,
        usage INTEGER
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE der (sha256 BLOB PRIMARY KEY, der BLOB NOT NULL) STRICT;
    CREATE TABLE seen (
        place TEXT NOT NULL,
        position INTEGER NOT NULL,    -- of the certificate in the place; -1 for a place without any
        stamp INTEGER NOT NULL,
        readable INTEGER NOT NULL,
        sha256 BLOB,
        key INTEGER NOT NULL,
        PRIMARY KEY (place, position)
    ) STRICT, WITHOUT ROWID;";

const MARKS: &str = "CREATE TABLE mark (
        mailbox TEXT NOT NULL,
        name TEXT NOT NULL,           -- of what was read, unique in the mailbox
        at INTEGER NOT NULL,          -- when it came, seconds since 1970
        value TEXT NOT NULL,          -- how far
        PRIMARY KEY (mailbox, name)
    ) STRICT, WITHOUT ROWID;";

/// Reads the addresses out of the certificates that were seen before they were kept: a file that needs its password cannot be
/// looked at again.
fn addresses(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    let mut update = transaction.prepare("UPDATE certificate SET addresses = ?2 WHERE sha256 = ?1")?;
    let mut select = transaction.prepare("SELECT d.sha256, d.der FROM der d JOIN certificate c ON c.sha256 = d.sha256")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        // What cannot be read was none of ours.
        let Ok(certificate) = Certificate::from_der(row.get_ref(1)?.as_blob()?) else { continue };
        if !certificate.texts.addresses().is_empty() {
            update.execute(params![row.get_ref(0)?.as_blob()?, certificate.texts.addresses()])?;
        }
    }
    Ok(())
}

pub(super) struct Database {
    pub(super) connection: Connection,
    path: PathBuf,
    sequence: u64,
    chain: [u8; 32],
}

impl Database {
    pub(super) fn open(path: &Path) -> Result<Self, JournalError> {
        let failed = |source| translate(path, source);
        // Made before SQLite opens it: what it holds is nobody else's business, and its siblings take their mode from it.
        let mut options = std::fs::OpenOptions::new();
        let made = options.create(true).truncate(false).write(true).mode(0o600).open(path);
        made.map_err(|source| JournalError::Unusable { path: path.to_owned(), source })?;
        let mut connection = Connection::open(path).map_err(failed)?;
        let prepare = |connection: &Connection| -> rusqlite::Result<()> {
            connection.pragma_update(None, "journal_mode", "WAL")?;
            connection.pragma_update(None, "synchronous", "FULL")?;
            connection.pragma_update(None, "foreign_keys", true)?;
            // The working set is the last few records: a small cache is enough, and stays small.
            connection.pragma_update(None, "cache_size", -256)?;
            connection.pragma_update(None, "trusted_schema", false)?;
            connection.pragma_update(None, "wal_autocheckpoint", 256)
        };
        prepare(&connection).map_err(failed)?;
        Migrations::new(steps().into()).to_latest(&mut connection).map_err(|error| match error {
            rusqlite_migration::Error::MigrationDefinition(
                rusqlite_migration::MigrationDefinitionError::DatabaseTooFarAhead,
            ) => JournalError::Newer(path.to_owned()),
            rusqlite_migration::Error::RusqliteError { err, .. } => translate(path, err),
            other => JournalError::Damaged { path: path.to_owned(), detail: other.to_string() },
        })?;
        Ok(Self { connection, path: path.to_owned(), sequence: 0, chain: [0; 32] })
    }

    /// Hands over all records, checking the running hash from the first on and keeping its head.
    pub(super) fn replay<E: From<JournalError>>(&mut self, mut take: impl FnMut(Entry) -> Result<(), E>) -> Result<(), E> {
        let (mut sequence, mut chain) = (0, [0; 32]);
        self.each("SELECT sequence, at, body, chain FROM record ORDER BY sequence", [], |row| {
            sequence += 1;
            chain = link(&chain, sequence, row.at, row.body);
            if row.sequence != sequence || row.chain != chain {
                return Err(E::from(self.damaged(format!("record {sequence} is not what was written"))));
            }
            take(self.entry(&row)?)
        })?;
        (self.sequence, self.chain) = (sequence, chain);
        Ok(())
    }

    /// Reads records.
    pub(super) fn entries(&self, query: Query) -> Result<Vec<Entry>, JournalError> {
        let sql = "SELECT sequence, at, body, chain FROM (
                SELECT * FROM record WHERE sequence > ?1 AND at >= ?2 ORDER BY sequence DESC LIMIT ?3
            ) ORDER BY sequence LIMIT ?4";
        let since = query.since.map_or(i64::MIN, |since| since.timestamp_micros());
        let last = query.last.map_or(-1, i64::from);
        let mut entries = Vec::new();
        self.each(sql, params![signed(query.after), since, last, query.limit], |row| {
            entries.push(self.entry(&row)?);
            Ok::<(), JournalError>(())
        })?;
        Ok(entries)
    }

    fn each<E: From<JournalError>>(
        &self,
        sql: &str,
        parameters: impl Params,
        mut take: impl FnMut(Row<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let failed = |source| E::from(self.failed(source));
        let mut statement = self.connection.prepare_cached(sql).map_err(failed)?;
        let mut rows = statement.query(parameters).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            take(Row::of(row).map_err(failed)?)?;
        }
        Ok(())
    }

    fn entry(&self, row: &Row<'_>) -> Result<Entry, JournalError> {
        let unreadable = |error| self.damaged(format!("record {}: {error}", row.sequence));
        let record: Record = serde_json::from_str(row.body).map_err(unreadable)?;
        let at = DateTime::from_timestamp_micros(row.at);
        let at = at.ok_or_else(|| self.damaged(format!("record {} has no time", row.sequence)))?;
        Ok(Entry { sequence: row.sequence, at, record })
    }

    pub(super) fn append(&mut self, at: DateTime<Utc>, records: Vec<Record>) -> Result<Vec<Entry>, JournalError> {
        let (mut sequence, mut chain) = (self.sequence, self.chain);
        // The database keeps microseconds: what is applied live must be what is read again.
        let at = DateTime::from_timestamp_micros(at.timestamp_micros()).unwrap_or(at);
        let transaction = self.connection.transaction().map_err(|source| translate(&self.path, source))?;
        let mut entries = Vec::with_capacity(records.len());
        for record in records {
            sequence += 1;
            let body = serde_json::to_string(&record).map_err(|error| JournalError::Damaged {
                path: self.path.clone(),
                detail: format!("a record cannot be written: {error}"),
            })?;
            chain = link(&chain, sequence, at.timestamp_micros(), &body);
            let sql = "INSERT INTO record (sequence, at, body, chain) VALUES (?1, ?2, ?3, ?4)";
            transaction
                .prepare_cached(sql)
                .and_then(|mut insert| insert.execute(params![signed(sequence), at.timestamp_micros(), body, chain.as_slice()]))
                .map_err(|source| translate(&self.path, source))?;
            entries.push(Entry { sequence, at, record });
        }
        transaction.commit().map_err(|source| translate(&self.path, source))?;
        (self.sequence, self.chain) = (sequence, chain);
        Ok(entries)
    }

    pub(super) fn der(&self, certificate: Fingerprint) -> Result<Option<Vec<u8>>, JournalError> {
        self.connection
            .prepare_cached("SELECT der FROM der WHERE sha256 = ?1")
            .and_then(|mut select| select.query_row([certificate.0.as_slice()], |row| row.get(0)).optional())
            .map_err(|source| self.failed(source))
    }

    pub(super) fn close(self) -> Result<(), JournalError> {
        let Self { connection, path, .. } = self;
        connection.close().map_err(|(_, source)| translate(&path, source))
    }

    /// Gives back the memory that reading everything took: from here on single records are written.
    pub(super) fn shrink(&self) -> Result<(), JournalError> {
        self.connection.flush_prepared_statement_cache();
        self.connection.execute_batch("PRAGMA shrink_memory").map_err(|source| self.failed(source))
    }

    pub(super) fn head(&self) -> (u64, Fingerprint) {
        (self.sequence, Fingerprint(self.chain))
    }

    pub(super) fn failed(&self, source: rusqlite::Error) -> JournalError {
        translate(&self.path, source)
    }

    fn damaged(&self, detail: String) -> JournalError {
        JournalError::Damaged { path: self.path.clone(), detail }
    }
}

/// A row of the table `record`.
struct Row<'row> {
    sequence: u64,
    at: i64,
    body: &'row str,
    chain: &'row [u8],
}

impl<'row> Row<'row> {
    fn of(row: &'row rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        let (body, chain) = (row.get_ref(2)?.as_str()?, row.get_ref(3)?.as_blob()?);
        Ok(Self { sequence: unsigned(row.get(0)?), at: row.get(1)?, body, chain })
    }
}

fn link(previous: &[u8; 32], sequence: u64, at: i64, body: &str) -> [u8; 32] {
    let mut digest = Sha256::new_with_prefix(previous);
    digest.update(sequence.to_be_bytes());
    digest.update(at.to_be_bytes());
    digest.update(body.as_bytes());
    digest.finalize().into()
}

/// SQLite's integers are signed; positions stay far below the difference.
pub(super) fn signed(number: u64) -> i64 {
    number.cast_signed()
}

pub(super) fn unsigned(number: i64) -> u64 {
    number.cast_unsigned()
}

fn translate(path: &Path, source: rusqlite::Error) -> JournalError {
    let path = path.to_owned();
    match source.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => JournalError::Full(path),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            JournalError::Damaged { path, detail: source.to_string() }
        }
        _ => JournalError::Database { path, source },
    }
}
