//! A command that is run when a new certificate is in its place, with `OBNOVA_EVENT`, `OBNOVA_NAME`, `OBNOVA_PLACE` and
//! `OBNOVA_FILES` (one to a line) in its environment. One that fails is run again after a moment, three times in all.

use std::time::Duration;

use obnova_core::Problem;

use super::News;
use crate::executables;

/// How long is waited before each further try.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(5)];

pub(super) async fn tell(command: &[String], news: &News) -> Result<(), Problem> {
    let failed = |detail: String| Problem::HookFailed { command: command.join(" "), detail };
    let Some((program, arguments)) = command.split_first() else { return Err(failed(String::new())) };
    let environment = [
        ("OBNOVA_EVENT", "renewed"),
        ("OBNOVA_NAME", news.name.as_str()),
        ("OBNOVA_PLACE", &news.place),
        ("OBNOVA_FILES", &news.files),
    ];
    let mut pauses = PAUSES.into_iter();
    loop {
        match (executables::run(program, arguments, &environment).await, pauses.next()) {
            (Ok(()), _) => return Ok(()),
            (Err(failure), None) => return Err(failed(failure.to_string())),
            (Err(failure), Some(pause)) => {
                tracing::warn!(program, %failure, "a hook is run again");
                tokio::time::sleep(pause).await;
            }
        }
    }
}
