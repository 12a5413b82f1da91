//! Mails that a caller hands over: read, judged, and written down where they are to count.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd as Descriptor;

use obnova_api::LetterView;
use obnova_core::mail::{self, Facts, Letters};
use obnova_core::{Problem, Programme};
use zbus::zvariant::OwnedFd;

use super::{Desk, views};
use crate::courier::protocol::Unread;
use crate::mail::LONGEST;
use crate::mailboxes;

impl Desk {
    /// Reads a mail as if it had come now.
    pub(super) async fn read_mail(&self, name: &str, mail: OwnedFd) -> Result<Vec<LetterView>, Problem> {
        let facts = self.facts(name, mail).await?;
        let digest = facts.digest;
        mailboxes::judge(&self.engine, &self.mail_servers, facts).await?;
        // What is told is what is kept: a mail that comes again is what it was.
        let shown = self.engine.read(move |state| {
            let letters = state.world.letters().all_of(&digest);
            letters.map(|letter| views::letter(letter, &state.world)).collect()
        });
        shown.await
    }

    /// What a mail would be by a programme that is only tried out.
    pub(super) async fn judge_mail(
        &self,
        file: &str,
        programme: &str,
        name: &str,
        mail: OwnedFd,
    ) -> Result<Vec<LetterView>, Problem> {
        let mistaken = |error: obnova_core::programme::ProgrammeError| Problem::ProgrammeMistaken { detail: error.to_string() };
        let programme = Programme::parse(file, programme).map_err(mistaken)?;
        if programme.mail.is_none() {
            return Err(Problem::ProgrammeSilent { path: file.to_owned() });
        }
        let facts = self.facts(name, mail).await?;
        let letter = mail::judge(&facts, &programme, &Letters::default(), &self.mail_servers);
        Ok(letter.iter().map(|letter| views::judged(letter, &letter.by_itself())).collect())
    }

    async fn facts(&self, name: &str, mail: OwnedFd) -> Result<Facts, Problem> {
        let path = name.to_owned();
        let bytes = tokio::task::spawn_blocking(move || content(mail.into(), &path)).await;
        let bytes = bytes.map_err(|error| Problem::Internal { detail: error.to_string() })??;
        let now = self.engine.read(|state| state.now().to_utc()).await?;
        match self.courier.read(&bytes, now).await? {
            Ok(facts) => Ok(*facts),
            Err(Unread::NoMail) => Err(Problem::NoMail { path: name.to_owned() }),
            Err(Unread::TooLong(_)) => Err(too_large(name)),
        }
    }
}

/// What is in a file that somebody has opened. Nobody waits for what a pipe may bring.
fn content(mail: Descriptor, path: &str) -> Result<Vec<u8>, Problem> {
    let file = File::from(mail);
    let broken = |error: std::io::Error| Problem::PlaceBroken { path: path.to_owned(), detail: error.to_string() };
    let about = file.metadata().map_err(broken)?;
    if !about.is_file() {
        return Err(Problem::PlaceNotRegular { path: path.to_owned() });
    }
    if about.len() > LONGEST as u64 {
        return Err(too_large(path));
    }
    let mut bytes = Vec::new();
    file.take(LONGEST as u64 + 1).read_to_end(&mut bytes).map_err(broken)?;
    Ok(bytes)
}

fn too_large(path: &str) -> Problem {
    Problem::MailTooLarge { path: path.to_owned(), limit: format!("{} MiB", LONGEST / (1024 * 1024)) }
}
