//! Tries again by itself what failed though nobody is needed for it: for jobs that started by themselves, and for hooks.

use std::time::Duration;

use obnova_core::job::{Job, JobEvent, Phase};
use obnova_core::record::Record;
use obnova_core::{Now, Problem};

use super::{Runner, lock};
use crate::bus::agents::Requester;

/// How long is waited before each further try. After the last it is a person's.
const PAUSES: [Duration; 4] =
    [Duration::from_mins(10), Duration::from_hours(1), Duration::from_hours(6), Duration::from_hours(24)];

/// Has the job tried again later, if that may help. The pauses begin anew when the daemon is started anew.
pub(super) async fn later(runner: Runner, number: u64, whom: Requester) {
    let failed = runner.tools.engine.read(move |state| state.world.job(number).is_some_and(may_help));
    // Without the engine there is no later.
    let Ok(true) = failed.await else { return };
    let pause = {
        let mut tried = lock(&runner.tried);
        let tried = tried.entry(number).or_insert(0);
        let pause = PAUSES.get(*tried).copied();
        *tried += 1;
        pause
    };
    let Some(pause) = pause else { return };
    tokio::spawn(async move {
        tokio::time::sleep(pause).await;
        let resume = move |world: &obnova_core::World, _: Now| {
            let still = world.job(number).is_some_and(may_help);
            Ok(if still { vec![Record::Job { job: number, what: JobEvent::Resumed {} }] } else { Vec::new() })
        };
        match runner.tools.engine.write(resume).await {
            Ok(()) => runner.drive(number, whom),
            Err(problem) => tracing::warn!(job = number, %problem, "not tried again"),
        }
    });
}

fn may_help(job: &Job) -> bool {
    let Phase::Waiting(problem, _) = &job.phase else { return false };
    match problem {
        Problem::HookFailed { .. } => true,
        // These ask for a person, or say that only a person can tell.
        Problem::NoAgent {}
        | Problem::Refused {}
        | Problem::ByHand { .. }
        | Problem::ConsentRefused {}
        | Problem::SecretNeeded { .. }
        | Problem::WrongSecret { .. }
        | Problem::WrongCredential { .. }
        | Problem::SecretRules { .. }
        | Problem::Unclear { .. } => false,
        _ => job.start.auto,
    }
}
