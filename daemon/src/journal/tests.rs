//! The journal over reopening, tampering and versions.

use std::sync::Arc;

use obnova_core::Place;
use obnova_core::certificate::{KeyAlgorithm, Texts};

use super::*;

fn moment(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + seconds, 123_456_789).expect("a time")
}

fn watched(number: u32) -> Record {
    Record::Watched { place: Place::parse(&format!("file:/etc/{number}.pem")).expect("a place") }
}

fn born() -> Record {
    Record::Born { salt: "00".into() }
}

fn certificate(byte: u8) -> Certificate {
    Certificate {
        fingerprint: Fingerprint([byte; 32]),
        public_key: Fingerprint([byte.wrapping_add(1); 32]),
        holder: Fingerprint([byte.wrapping_add(2); 32]),
        texts: Texts::new("CN=Anna", "CN=Authority", "Anna", "anna@example.org\n", &[1, byte]),
        not_before: DateTime::from_timestamp(1_700_000_000, 0).expect("a time"),
        not_after: DateTime::from_timestamp(2_600_000_000, 0).expect("a time"),
        key: KeyAlgorithm::Rsa(2048),
        authority: byte.is_multiple_of(2),
        usage: byte.is_multiple_of(3).then_some(5),
    }
}

#[tokio::test]
async fn what_was_appended_is_read_again_and_goes_on() {
    let directory = tempfile::tempdir().expect("a directory");
    let (journal, entries, seen) = open(directory.path()).expect("opened");
    assert!(entries.is_empty() && seen.is_empty());
    let mut written = journal.append(moment(0), vec![born(), watched(1)]).await.expect("appended");
    let head = journal.head().await.expect("a head");
    drop(journal);
    let (journal, entries, _) = open(directory.path()).expect("opened again");
    assert_eq!(entries, written, "what is applied live is what is replayed");
    assert_eq!(journal.head().await.expect("a head"), head);
    written.extend(journal.append(moment(5), vec![watched(2)]).await.expect("appended"));
    assert_eq!(written.iter().map(|entry| entry.sequence).collect::<Vec<_>>(), [1, 2, 3]);
    drop(journal);
    assert_eq!(open(directory.path()).expect("opened again").1, written);
}

#[tokio::test]
async fn a_part_of_the_journal_is_read() {
    let directory = tempfile::tempdir().expect("a directory");
    let (journal, ..) = open(directory.path()).expect("opened");
    for second in 0..10 {
        journal.append(moment(second), vec![watched(u32::try_from(second).expect("small"))]).await.expect("appended");
    }
    let read = async |query| {
        let entries = journal.read(query).await.expect("read");
        entries.iter().map(|entry| entry.sequence).collect::<Vec<_>>()
    };
    let all = Query { limit: 100, ..Query::default() };
    assert_eq!(read(all).await.len(), 10);
    assert_eq!(read(Query { after: 8, ..all }).await, [9, 10]);
    assert_eq!(read(Query { last: Some(2), ..all }).await, [9, 10], "the newest, in order");
    assert_eq!(read(Query { limit: 3, ..all }).await, [1, 2, 3]);
    assert_eq!(read(Query { since: Some(moment(8)), ..all }).await, [9, 10]);
}

#[tokio::test]
async fn a_changed_record_is_noticed() {
    for sql in [
        "UPDATE record SET body = replace(body, '/etc/1', '/etc/9') WHERE sequence = 2",
        "UPDATE record SET at = at + 1 WHERE sequence = 2",
        "DELETE FROM record WHERE sequence = 2",
    ] {
        let directory = tempfile::tempdir().expect("a directory");
        let (journal, ..) = open(directory.path()).expect("opened");
        journal.append(moment(0), vec![born(), watched(1), watched(2)]).await.expect("appended");
        let path = journal.path().to_owned();
        drop(journal);
        rusqlite::Connection::open(&path).and_then(|database| database.execute(sql, [])).expect("tampered");
        assert!(matches!(open(directory.path()), Err(JournalError::Damaged { .. })), "{sql}");
    }
}

#[test]
fn what_is_no_database_is_damaged_and_one_of_a_newer_version_is_newer() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("journal.sqlite");
    std::fs::write(&path, "not a database, but long enough to be taken for one".repeat(100)).expect("written");
    assert!(matches!(open(directory.path()), Err(JournalError::Damaged { .. })));
    std::fs::remove_file(&path).expect("removed");
    let newer = |database: rusqlite::Connection| database.pragma_update(None, "user_version", 999);
    rusqlite::Connection::open(&path).and_then(newer).expect("a newer version");
    assert!(matches!(open(directory.path()), Err(JournalError::Newer(_))));
}

#[tokio::test]
async fn what_was_seen_is_remembered_whole() {
    let directory = tempfile::tempdir().expect("a directory");
    let (journal, ..) = open(directory.path()).expect("opened");
    let place = |name: &str| Place::parse(&format!("file:/m/{name}")).expect("a place");
    let seen = |name: &str, certificates: Vec<(Arc<Certificate>, bool)>| Remember {
        place: place(name),
        seen: Some(Seen { place: place(name), stamp: Stamp(u64::MAX - 7), readable: !certificates.is_empty(), certificates }),
        der: vec![b"some der".to_vec()],
    };
    let (a, b) = (Arc::new(certificate(2)), Arc::new(certificate(3)));
    let both = vec![(Arc::clone(&b), true), (Arc::clone(&a), false)];
    journal.remember(vec![seen("a", both.clone()), seen("b", vec![]), seen("c", vec![(a, true)])]).await.expect("kept");
    journal.remember(vec![Remember { place: place("c"), seen: None, der: vec![] }]).await.expect("forgotten");
    assert_eq!(journal.der(Fingerprint::of(b"some der")).await.expect("read").as_deref(), Some(&b"some der"[..]));
    assert_eq!(journal.der(Fingerprint::of(b"other")).await.expect("read"), None);
    drop(journal);
    let (_, _, seen) = open(directory.path()).expect("opened again");
    let [a, b] = seen.as_slice() else { panic!("two places: {seen:?}") };
    assert_eq!((a.place.clone(), a.stamp, a.readable, &a.certificates), (place("a"), Stamp(u64::MAX - 7), true, &both));
    assert_eq!((b.place.clone(), b.readable, b.certificates.len()), (place("b"), false, 0));
}

/// Nothing is answered before all has been read; what is asked meanwhile waits.
#[tokio::test]
async fn it_is_read_before_it_is_served() {
    let directory = tempfile::tempdir().expect("a directory");
    let (journal, mut contents) = Journal::open(directory.path()).expect("opened");
    contents.records(|entry| Err::<(), _>(JournalError::Newer(entry.sequence.to_string().into()))).expect("there are none");
    assert!(contents.is_new());
    let first = contents.append(moment(0), vec![born()]).expect("appended");
    assert!(!contents.is_new());
    let second = journal.append(moment(1), vec![watched(1)]);
    let (second, ()) = tokio::join!(second, async { contents.serve().expect("served") });
    drop(journal);
    let (_, entries, _) = open(directory.path()).expect("opened again");
    assert_eq!(entries, [first, second.expect("appended")].concat());

    let (journal, mut contents) = Journal::open(directory.path()).expect("opened");
    let mut taken = 0;
    let refused = contents.records(|entry| {
        taken += 1;
        Err(JournalError::Newer(entry.sequence.to_string().into()))
    });
    assert!(matches!(refused, Err(JournalError::Newer(at)) if at.as_os_str() == "1") && taken == 1, "whoever takes may stop");
    drop(contents);
    assert!(matches!(journal.head().await, Err(JournalError::Closed)), "it will never be served");
}

/// Opens and reads a journal. If its last handle has just been dropped, SQLite waits for the thread to close it.
fn open(directory: &Path) -> Result<(Journal, Vec<Entry>, Vec<Seen>), JournalError> {
    let (journal, mut contents) = Journal::open(directory)?;
    let (mut entries, mut seen) = (Vec::new(), Vec::new());
    contents.records(|entry| {
        entries.push(entry);
        Ok::<(), JournalError>(())
    })?;
    contents.seen(|place| seen.push(place))?;
    contents.serve()?;
    Ok((journal, entries, seen))
}
