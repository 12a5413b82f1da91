//! The authority issues, at once or after approval and payment. Asking it changes nothing.

use obnova_core::Problem;
use obnova_core::job::Outcome;

use super::Ground;

pub(super) async fn perform(ground: &Ground<'_>) -> Result<Outcome, Problem> {
    let order = ground.order()?;
    if ground.authority().await?.issued(order).await? {
        Ok(Outcome::AwaitIssue {})
    } else {
        Err(Problem::NotYetIssued { order: order.to_owned() })
    }
}
