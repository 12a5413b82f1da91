//! The certificate databases of the person's programs (NSS): what they are told of a card's new certificates, and what they answer
//! to the question which certificate they will use now. Where they are, and what a program's own settings say, stands in the modules
//! below. A program that runs is left alone. A password of its own is neither needed nor asked for: what it guards is not written.

use std::io::{Seek, Write};

use obnova_core::{Certificate, Problem};
use rusqlite::{Connection, OpenFlags};

use super::{Change, News};
use crate::cards::modules::Module;
use crate::executables::{self, Failure};

mod preferences;
mod profiles;

pub(crate) use preferences::Purpose;
use preferences::{Choice, Named};
use profiles::{Hold, Profile};

/// Which certificate a program will use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Use {
    /// What the person calls the program.
    pub(crate) program: &'static str,
    /// For mail of this address.
    pub(crate) address: String,
    /// To do what.
    pub(crate) purpose: Purpose,
    /// The certificate.
    pub(crate) certificate: Named,
}

/// Tells every program of the person; may be repeated. Who cannot be told keeps nobody else from being told; the first problem is
/// the one that is returned.
pub(super) async fn tell(news: &News) -> Result<(), Problem> {
    let Some(home) = std::env::home_dir().filter(|home| home.is_absolute()) else { return Ok(()) };
    let mut first = Ok(());
    for profile in profiles::all(&home) {
        let told = tell_one(&profile, news).await;
        if let Err(problem) = &told {
            tracing::debug!(database = %profile.directory.display(), %problem, "not told");
        }
        first = first.and(told);
    }
    first
}

/// Whether a program of the person's has not heard of something yet.
pub(super) fn is_news(news: &News) -> bool {
    let Some(home) = std::env::home_dir().filter(|home| home.is_absolute()) else { return false };
    profiles::all(&home).iter().any(|profile| lacks(profile, news).is_ok_and(|lacks| !lacks.nothing()))
}

/// What the programs answer that were asked which certificate they will use now.
pub(crate) fn uses() -> Vec<Use> {
    let home = std::env::home_dir().filter(|home| home.is_absolute());
    let profiles = home.map(|home| profiles::all(&home)).unwrap_or_default();
    let of_profile = |profile: Profile| {
        let choices = profile.preferences().map(|text| preferences::choices(&text)).unwrap_or_default();
        choices.into_iter().map(move |Choice { address, purpose, certificate }| Use {
            program: profile.program,
            address,
            purpose,
            certificate,
        })
    };
    profiles.into_iter().flat_map(of_profile).collect()
}

/// What one of them does not know yet.
struct Lacks<'a> {
    certificates: Vec<&'a [u8]>,
    module: Option<&'a Module>,
    settings: bool,
}

impl Lacks<'_> {
    fn nothing(&self) -> bool {
        self.certificates.is_empty() && self.module.is_none() && !self.settings
    }
}

async fn tell_one(profile: &Profile, news: &News) -> Result<(), Problem> {
    let untold = |detail: String| Problem::ProgramUntold { program: profile.program.to_owned(), detail };
    if !news.on_card {
        return Err(untold("the certificate lies on no card".to_owned()));
    }
    let lacks = lacks(profile, news).map_err(|error| untold(error.to_string()))?;
    if lacks.nothing() {
        return Ok(());
    }
    // Held until all is told: the program does not start meanwhile.
    let hold = profile.hold().map_err(|error| untold(error.to_string()))?;
    if matches!(hold, Hold::Running) {
        return Err(Problem::ProgramRunning { program: profile.program.to_owned() });
    }
    let database = format!("sql:{}", profile.directory.display());
    for certificate in lacks.certificates {
        add_certificate(&database, certificate).await.map_err(|failure| refused(profile, &failure))?;
    }
    if let Some(module) = lacks.module {
        let stem = module.path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let name = format!("Obnova {stem}");
        let path = module.path.to_string_lossy();
        let arguments = ["-force", "-dbdir", &database, "-add", &name, "-libfile", &path];
        let environment: Vec<(&str, &str)> =
            module.environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        executables::run("modutil", &arguments, &environment).await.map_err(|failure| refused(profile, &failure))?;
    }
    if lacks.settings {
        let text = profile.preferences().unwrap_or_default();
        if let Some(new) = preferences::replaced(&text, &renamed(&news.changes)) {
            profile.write_preferences(&new).map_err(|error| untold(error.to_string()))?;
        }
    }
    drop(hold);
    Ok(())
}

fn lacks<'a>(profile: &Profile, news: &'a News) -> rusqlite::Result<Lacks<'a>> {
    let database = Connection::open_with_flags(profile.directory.join("cert9.db"), OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let mut certificates = Vec::new();
    for change in &news.changes {
        if !knows(&database, &change.new)? {
            certificates.push(change.new.as_slice());
        }
    }
    let text = profile.preferences().unwrap_or_default();
    let settings = preferences::replaced(&text, &renamed(&news.changes)).is_some();
    let module = news.module.as_ref().filter(|module| !profile.has_module(&module.path));
    Ok(Lacks { certificates, module, settings })
}

/// Whether exactly this certificate is in the database: in its table of public objects, `a11` is `CKA_VALUE`.
fn knows(database: &Connection, certificate: &[u8]) -> rusqlite::Result<bool> {
    database.query_row("SELECT count(*) > 0 FROM nssPublic WHERE a11 = ?1", [certificate], |row| row.get(0))
}

/// Which certificate takes whose place, by issuer and serial number.
fn renamed(changes: &[Change]) -> Vec<(Named, Named)> {
    changes.iter().filter_map(|change| Some((Named::of(&change.old)?, Named::of(&change.new)?))).collect()
}

/// Under a nickname with its serial number: one of the same subject would else share the old one's.
async fn add_certificate(database: &str, der: &[u8]) -> Result<(), Failure> {
    let nickname = Certificate::from_der(der)
        .map_or_else(|_| "certificate".to_owned(), |read| format!("{} {}", read.name(), read.serial_hex()));
    let memory = rustix::fs::memfd_create("certificate", rustix::fs::MemfdFlags::CLOEXEC).map_err(std::io::Error::from)?;
    let mut file = std::fs::File::from(memory);
    file.write_all(der)?;
    file.rewind()?;
    // Without anything in the file of passwords, one that is wanted is refused and not asked for.
    let arguments = ["-A", "-d", database, "-n", &nickname, "-t", ",,", "-f", "/dev/null"];
    executables::run_reading("certutil", &arguments, &[], file).await
}

fn refused(profile: &Profile, failure: &Failure) -> Problem {
    let program = profile.program.to_owned();
    match failure {
        Failure::NotStarted(error) if error.kind() == std::io::ErrorKind::NotFound => Problem::NssToolsMissing {},
        Failure::Ended { said, .. } if said.to_lowercase().contains("password") => Problem::PrimaryPassword { program },
        _ => Problem::ProgramUntold { program, detail: failure.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn after(script: &str) -> Problem {
        let profile = Profile::shared(std::path::Path::new("/nonexistent"));
        let failure = executables::run("/bin/sh", &["-c", script], &[]).await.expect_err("it fails");
        refused(&profile, &failure)
    }

    #[tokio::test]
    async fn why_a_tool_failed_is_told_apart() {
        let bad = "echo 'certutil: could not authenticate to token NSS Certificate DB.: SEC_ERROR_BAD_PASSWORD' >&2; exit 255";
        assert!(matches!(after(bad).await, Problem::PrimaryPassword { .. }));
        assert!(
            matches!(after("echo 'SEC_ERROR_READ_ONLY' >&2; exit 255").await, Problem::ProgramUntold { detail, .. } if detail.contains("READ_ONLY"))
        );
        let missing = executables::run("/nonexistent/certutil", &[""], &[]).await.expect_err("nothing is there");
        assert_eq!(refused(&Profile::shared(std::path::Path::new("/nonexistent")), &missing), Problem::NssToolsMissing {});
    }
}
