//! Where that comes from by which one logs in to a mailbox: the person's keyring, a credential, or a command. Asks nobody.

use std::process::Stdio;
use std::time::Duration;

use obnova_core::Problem;
use obnova_core::mailbox::{Imap, SecretSource};
use obnova_secret::Secret;
use tokio::process::Command;
use tokio::time::timeout;

use super::Tools;

/// How long a command may take: it may ask the person.
const PATIENCE: Duration = Duration::from_mins(2);

/// The longest secret, in bytes.
const LONGEST: usize = 4096;

/// The secret of a mailbox.
pub(super) async fn find(tools: &Tools, imap: &Imap, address: &str) -> Result<Secret, Problem> {
    let missing =
        |detail: &str| Problem::MailSecret { host: imap.server(), user: imap.user.clone(), detail: detail.to_owned() };
    match &imap.secret {
        SecretSource::Keyring => tools.keyring.find_at(address, false).await?.ok_or_else(|| missing("keyring")),
        SecretSource::Credential(name) => tools.credentials.read_for(name, address),
        SecretSource::Command(command) => run(command).await.map_err(|detail| missing(&detail)),
    }
}

/// The first line that a command prints, straight into locked memory. It is the person's own, or the administrator's, and runs as
/// the daemon does.
async fn run(command: &str) -> Result<Secret, String> {
    let failed = |error: &dyn std::fmt::Display| error.to_string();
    let (ours, theirs) = obnova_secret::pipe().map_err(|error| failed(&error))?;
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", command]).current_dir("/").stdin(Stdio::null()).stdout(theirs).stderr(Stdio::null()).kill_on_drop(true);
    let mut child = shell.spawn().map_err(|error| failed(&error))?;
    // With it goes the end of the pipe that is open here.
    drop(shell);
    let whole = async {
        let secret = Secret::read_from_pipe(ours, LONGEST).await.map_err(|error| failed(&error))?;
        let status = child.wait().await.map_err(|error| failed(&error))?;
        if status.success() { Ok(secret) } else { Err(status.to_string()) }
    };
    let mut secret = timeout(PATIENCE, whole).await.map_err(|elapsed| failed(&elapsed))??;
    let line = secret.expose().iter().position(|byte| *byte == b'\n').unwrap_or(secret.expose().len());
    secret.truncate(line);
    if secret.is_empty() { Err("no secret".to_owned()) } else { Ok(secret) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_line_counts() {
        let secret = run("printf 'hemmelig\\nsomething else\\n'").await.expect("a secret");
        assert_eq!(secret.expose(), b"hemmelig");
        assert_eq!(run("exit 3").await.expect_err("no secret"), "exit status: 3");
        assert_eq!(run("true").await.expect_err("no secret"), "no secret");
        assert!(run("head -c 10000 /dev/zero").await.is_err(), "longer than any secret");
    }
}
