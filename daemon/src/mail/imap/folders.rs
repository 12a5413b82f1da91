//! The folders of a mailbox that are read, and how far each was. Mails are told by their unique numbers (RFC 3501 section 2.3.1.1): those
//! above the mark are new, and where the numbering has begun anew, all are. Asks for sizes before it fetches anything.

use std::collections::BTreeMap;
use std::io;

use async_imap::Session;
use async_imap::types::Fetch;
use chrono::{DateTime, Utc};
use futures_util::{StreamExt as _, TryStreamExt as _};
use obnova_core::Problem;
use obnova_core::mail::{Dmarc, Facts, Outcome};
use tokio::time::timeout;

use super::connect::Stream;
use super::{PATIENCE, Talk, gone};
use crate::courier::protocol::{Again, FolderMark, News};
use crate::mail::{LONGEST, Resolver, read};

/// How many of the newest mails are read of a folder that is new to us.
const MOST_AT_FIRST: u32 = 500;

/// How many of the newest are read of what came while nobody looked.
const MOST_AT_ONCE: usize = 5_000;

/// How many mails are read before it is told how far that is.
const TOLD_AFTER: usize = 20;

/// The most mails of a folder that wait to be read again, and how often each is.
const MOST_AGAIN: (usize, u8) = (50, 4);

/// The most folders into which what looks like junk is put, and the most names that are looked through for them.
const MOST_JUNK: (usize, usize) = (4, 10_000);

/// What such folders are called by those who do not mark them (RFC 6154).
const JUNK: [&str; 8] = [
    "junk",
    "spam",
    "junk e-mail",
    "junk email",
    "bulk mail",
    "spamverdacht",
    "unerw&apw-nscht",
    "nevy&az4-&ae0-dan&aoe- po&awe-ta",
];

const INBOX: &str = "INBOX";

/// The folders.
pub(super) struct Folders {
    names: Vec<String>,
    marks: BTreeMap<String, FolderMark>,
    /// What is older is not read.
    since: DateTime<Utc>,
    /// Mails on which this program has failed.
    passed: Vec<(String, u32)>,
    /// The server counts changes of folders (RFC 7162).
    counts: bool,
    selected: Option<String>,
}

/// A mail, as far as it is known before it is fetched.
#[derive(Clone, Copy, Debug)]
struct Outline {
    size: u32,
    at: DateTime<Utc>,
}

type Tell<'tell> = dyn FnMut(News) -> io::Result<()> + Send + 'tell;

impl Folders {
    /// Finds those that are read, and opens the first.
    pub(super) async fn find(
        talk: &Talk<'_>,
        session: &mut Session<Stream>,
        marks: BTreeMap<String, FolderMark>,
        since: DateTime<Utc>,
        passed: Vec<(String, u32)>,
        counts: bool,
    ) -> Result<Self, Problem> {
        let mut names = vec![INBOX.to_owned()];
        let listed = async {
            let mut found = Vec::new();
            let mut all = session.list(Some(""), Some("*")).await?.take(MOST_JUNK.1);
            while let Some(name) = all.try_next().await? {
                let path = name.name();
                let own = name.delimiter().and_then(|delimiter| path.rsplit(delimiter).next()).unwrap_or(path).to_lowercase();
                let attributes: Vec<String> = name.attributes().iter().map(|one| format!("{one:?}").to_lowercase()).collect();
                let has = |word: &str| attributes.iter().any(|attribute| attribute.contains(word));
                if (has("junk") || JUNK.contains(&own.as_str())) && !has("noselect") && found.len() < MOST_JUNK.0 {
                    found.push(path.to_owned());
                }
            }
            Ok(found)
        };
        names.extend(talk.ask(listed).await?);
        let mut folders = Self { names, marks, since, passed, counts, selected: None };
        folders.open(talk, session, INBOX).await?;
        Ok(folders)
    }

    /// Looks at all of them, those that have not changed aside; the first is open afterwards.
    pub(super) async fn look(
        &mut self,
        talk: &Talk<'_>,
        session: &mut Session<Stream>,
        resolver: &Resolver,
        tell: &mut Tell<'_>,
    ) -> Result<(), Problem> {
        for name in self.names.clone().into_iter().rev() {
            if name != INBOX && self.is_unchanged(talk, session, &name).await? {
                continue;
            }
            let (exists, mark) = self.open(talk, session, &name).await?;
            self.marks.insert(name.clone(), mark);
            self.read_new(talk, session, &name, Some(exists), resolver, tell).await?;
        }
        Ok(())
    }

    /// Looks at the first, which is open; how many mails were new.
    pub(super) async fn look_at_inbox(
        &mut self,
        talk: &Talk<'_>,
        session: &mut Session<Stream>,
        resolver: &Resolver,
        tell: &mut Tell<'_>,
    ) -> Result<usize, Problem> {
        self.read_new(talk, session, INBOX, None, resolver, tell).await
    }

    /// Whether the server says that nothing has come into a folder.
    async fn is_unchanged(&self, talk: &Talk<'_>, session: &mut Session<Stream>, name: &str) -> Result<bool, Problem> {
        let Some(mark) = self.marks.get(name).filter(|mark| mark.again.is_empty()) else { return Ok(false) };
        let items = if self.counts { "(UIDNEXT UIDVALIDITY HIGHESTMODSEQ)" } else { "(UIDNEXT UIDVALIDITY)" };
        let now = talk.ask(session.status(name, items)).await?;
        let counted = mark.modseq.is_some() && mark.modseq == now.highest_modseq;
        Ok(now.uid_validity == Some(mark.validity) && (now.uid_next == Some(mark.next) || counted))
    }

    /// Opens a folder for reading alone: how many mails are in it, and how far it was read.
    async fn open(&mut self, talk: &Talk<'_>, session: &mut Session<Stream>, name: &str) -> Result<(u32, FolderMark), Problem> {
        let opened = talk.ask(session.examine(name)).await?;
        self.selected = Some(name.to_owned());
        // Without it no number means anything (RFC 3501 section 2.3.1.1).
        let validity = opened.uid_validity.ok_or_else(|| talk.odd("no UIDVALIDITY"))?;
        let known = self.marks.get(name).filter(|mark| mark.validity == validity).cloned();
        let mut mark = known.unwrap_or(FolderMark { validity, ..FolderMark::default() });
        mark.modseq = opened.highest_modseq.filter(|_| self.counts);
        Ok((opened.exists, mark))
    }

    /// Reads what is new in the open folder, the oldest first; how many mails that were.
    async fn read_new(
        &mut self,
        talk: &Talk<'_>,
        session: &mut Session<Stream>,
        name: &str,
        exists: Option<u32>,
        resolver: &Resolver,
        tell: &mut Tell<'_>,
    ) -> Result<usize, Problem> {
        debug_assert_eq!(self.selected.as_deref(), Some(name));
        let mut mark = self.marks.get(name).cloned().unwrap_or_default();
        let fresh = mark.next == 0;
        if exists == Some(0) {
            return Ok(0);
        }
        let mut new = match exists {
            Some(exists) if fresh => {
                let from = exists.saturating_sub(MOST_AT_FIRST - 1).max(1);
                outlines(talk, session, &format!("{from}:*"), false).await?
            }
            _ => outlines(talk, session, &format!("{}:*", mark.next.max(1)), true).await?,
        };
        if exists.is_some() && new.is_empty() {
            // Of a folder that is not empty, the last mail at least is told. What was refused, or cut, is told as nothing.
            return Err(talk.odd("nothing of what was asked for"));
        }
        let last = new.keys().next_back().copied().unwrap_or_default();
        new.retain(|uid, _| *uid >= mark.next);
        let count = new.len();
        let due: Vec<Again> = std::mem::take(&mut mark.again);
        for again in &due {
            if let Some(outline) = outlines(talk, session, &again.uid.to_string(), true).await?.remove(&again.uid) {
                new.insert(again.uid, outline);
            }
        }
        for (position, (uid, outline)) in new.into_iter().enumerate() {
            if self.is_read(name, uid, outline)
                && let Some(facts) = fetch(talk, session, name, uid, outline, resolver, tell).await?
            {
                let tries = due.iter().find(|again| again.uid == uid).map_or(0, |again| again.tries);
                if is_unresolved(&facts) && tries < MOST_AGAIN.1 && mark.again.len() < MOST_AGAIN.0 {
                    mark.again.push(Again { uid, tries: tries + 1 });
                }
                tell(News::Mail { facts: Box::new(facts) }).map_err(|error| gone(&error))?;
            }
            mark.next = mark.next.max(uid.saturating_add(1));
            if position % TOLD_AFTER == TOLD_AFTER - 1 {
                self.advance(name, &mark, tell)?;
            }
        }
        mark.next = mark.next.max(last.saturating_add(1));
        if self.marks.get(name) != Some(&mark) || exists.is_some() {
            self.advance(name, &mark, tell)?;
        }
        Ok(count)
    }

    fn is_read(&self, name: &str, uid: u32, outline: Outline) -> bool {
        let passed = self.passed.iter().any(|(folder, other)| folder == name && *other == uid);
        !passed && outline.at >= self.since && outline.size as usize <= LONGEST
    }

    fn advance(&mut self, name: &str, mark: &FolderMark, tell: &mut Tell<'_>) -> Result<(), Problem> {
        self.marks.insert(name.to_owned(), mark.clone());
        tell(News::Mark { folder: name.to_owned(), mark: mark.clone() }).map_err(|error| gone(&error))
    }
}

/// Sizes and times of mails, the newest of too many. `set`: unique numbers (`by_uid`), or positions.
async fn outlines(
    talk: &Talk<'_>,
    session: &mut Session<Stream>,
    set: &str,
    by_uid: bool,
) -> Result<BTreeMap<u32, Outline>, Problem> {
    const ITEMS: &str = "(UID RFC822.SIZE INTERNALDATE)";
    let mut outlines = BTreeMap::new();
    let mut take = |mail: &Fetch| {
        if let (Some(uid), Some(size), Some(at)) = (mail.uid, mail.size, mail.internal_date()) {
            outlines.insert(uid, Outline { size, at: at.to_utc() });
            if outlines.len() > MOST_AT_ONCE {
                outlines.pop_first();
            }
        }
    };
    let asked = async {
        if by_uid {
            let mut mails = session.uid_fetch(set, ITEMS).await?;
            while let Some(mail) = mails.next().await {
                take(&mail?);
            }
        } else {
            let mut mails = session.fetch(set, ITEMS).await?;
            while let Some(mail) = mails.next().await {
                take(&mail?);
            }
        }
        // An answer that was cut looks like one that is whole.
        session.noop().await
    };
    talk.ask(asked).await?;
    Ok(outlines)
}

/// Fetches a mail and finds out about it; `None`: it has gone, or is no mail.
async fn fetch(
    talk: &Talk<'_>,
    session: &mut Session<Stream>,
    name: &str,
    uid: u32,
    outline: Outline,
    resolver: &Resolver,
    tell: &mut Tell<'_>,
) -> Result<Option<Facts>, Problem> {
    tell(News::Begun { folder: name.to_owned(), uid }).map_err(|error| gone(&error))?;
    let fetched = async {
        let mut bytes = None;
        {
            let mut mails = session.uid_fetch(uid.to_string(), "(UID BODY.PEEK[])").await?;
            while let Some(mail) = mails.next().await {
                let mail = mail?;
                if mail.uid == Some(uid) {
                    bytes = mail.body().map(<[u8]>::to_vec).or(bytes);
                }
            }
        }
        if bytes.is_none() {
            session.noop().await?;
        }
        Ok::<_, async_imap::error::Error>(bytes)
    };
    let fetched = timeout(2 * PATIENCE, fetched).await.map_err(|_| talk.late())?;
    let Some(bytes) = fetched.map_err(|error| talk.problem(error))? else { return Ok(None) };
    // Which mail it is and what is wrong with it is nobody's to read but the person's.
    Ok(read(&bytes, outline.at.min(Utc::now()), resolver).await.ok())
}

/// Whether nobody could be asked for what the judgement needs.
fn is_unresolved(facts: &Facts) -> bool {
    facts.dmarc == Dmarc::Unresolved && !facts.signatures.is_empty()
        || facts.signatures.iter().any(|signature| signature.outcome == Outcome::Unresolved)
}
