//! Runs what an administrator or a person has put there to be run: in an environment of ours, within bounds of time and output.
//! When that is, and what the environment says, is for others.

use std::ffi::OsStr;
use std::io;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use tokio::time::timeout;

/// How long one may run.
const LONGEST: Duration = Duration::from_mins(1);

/// How much of what it says is kept, in bytes; the rest is read and dropped.
const MOST_SAID: usize = 2048;

/// Where programs are looked for that it starts itself.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Why it did not end well.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// It cannot be started.
    #[error("not started: {0}")]
    NotStarted(#[from] io::Error),
    /// It said that it had failed, or was ended.
    #[error("{status}{}{said}", if said.is_empty() { "" } else { ": " })]
    Ended {
        /// How it ended.
        status: std::process::ExitStatus,
        /// The end of what it said.
        said: String,
    },
    /// It took too long, and was ended.
    #[error("not ended in {0:?}")]
    TooLong(Duration),
}

/// Runs a program with nothing but this environment and a search path, with nothing to read, and waits for its end.
pub async fn run(
    program: impl AsRef<OsStr>,
    arguments: &[impl AsRef<OsStr>],
    environment: &[(&str, &str)],
) -> Result<(), Failure> {
    run_reading(program, arguments, environment, Stdio::null()).await
}

/// The same with something to read.
pub async fn run_reading(
    program: impl AsRef<OsStr>,
    arguments: &[impl AsRef<OsStr>],
    environment: &[(&str, &str)],
    input: impl Into<Stdio>,
) -> Result<(), Failure> {
    let mut command = Command::new(program);
    command.args(arguments).env_clear().env("PATH", PATH).envs(environment.iter().copied());
    command.current_dir("/").stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn()?;
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let whole = async {
        let (_, said, status) = tokio::join!(end_of(out), end_of(err), child.wait());
        Ok::<_, Failure>((status?, said))
    };
    let (status, said) = timeout(LONGEST, whole).await.map_err(|_| Failure::TooLong(LONGEST))??;
    if status.success() { Ok(()) } else { Err(Failure::Ended { status, said }) }
}

/// The end of what comes from there.
async fn end_of(pipe: Option<impl AsyncRead + Unpin>) -> String {
    let Some(mut pipe) = pipe else { return String::new() };
    let (mut said, mut chunk) = (Vec::new(), [0; 1024]);
    // What cannot be read any more was not said.
    while let Ok(count @ 1..) = pipe.read(&mut chunk).await {
        said.extend_from_slice(&chunk[..count]);
        let excess = said.len().saturating_sub(MOST_SAID);
        said.drain(..excess);
    }
    let said = String::from_utf8_lossy(&said);
    said.trim().replace(|letter: char| letter.is_control(), " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn shell(script: &str, environment: &[(&str, &str)]) -> Result<(), String> {
        run("/bin/sh", &["-c", script], environment).await.map_err(|failure| failure.to_string())
    }

    #[tokio::test]
    async fn how_it_ends_is_told_with_what_it_said() {
        assert_eq!(shell("exit 0", &[]).await, Ok(()));
        assert_eq!(shell("echo no; echo 'not\nthis' >&2; exit 3", &[]).await, Err("exit status: 3: not this".into()));
        assert_eq!(shell("kill -9 $$", &[]).await, Err("signal: 9 (SIGKILL)".into()));
        assert!(run("/nonexistent", &[""], &[]).await.expect_err("nothing is there").to_string().starts_with("not started"));
    }

    #[tokio::test]
    async fn it_has_this_environment_and_no_other() {
        assert_eq!(shell("test \"$A\" = 'a b' && test -z \"$HOME$CARGO_MANIFEST_DIR\"", &[("A", "a b")]).await, Ok(()));
    }

    #[tokio::test]
    async fn much_output_is_read_and_only_its_end_kept() {
        let said = shell("head -c 300000 /dev/zero | tr '\\0' x >&2; echo the-end >&2; exit 1", &[]).await.expect_err("failed");
        assert!(said.ends_with("xthe-end") && said.len() < MOST_SAID + 100, "{}", said.len());
    }
}
