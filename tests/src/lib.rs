//! What the tests from outside stand on: a private bus, the real programs, certificates to watch, a person who answers.
//!
//! Owns the surroundings of a test; what is tested, and what must come of it, stands in `it/`.

#![expect(clippy::missing_panics_doc, reason = "a test ends where its surroundings are not what they should be")]

pub mod agent;
pub mod arithmetic;
pub mod authority;
pub mod bus;
pub mod card;
pub mod fixture;
pub mod letter;
pub mod news;
pub mod post;
pub mod scene;
pub mod system;
pub mod terminal;
pub mod token;
pub mod twins;

use std::path::PathBuf;
use std::time::Duration;

pub use agent::{Agent, Answer, Asked};
pub use bus::Bus;
pub use card::{CardKind, CardReader, VirtualCard};
pub use fixture::{KeyKind, Made, Recipe};
pub use news::{News, Notice};
pub use scene::{Daemon, Outcome, Scene};
pub use terminal::Terminal;
pub use token::SoftToken;

/// How long anything may take on a busy machine before it counts as never.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// How often a condition is looked at that nothing announces.
const GLANCE: Duration = Duration::from_millis(5);

/// Waits until `look` finds something, and gives it; panics with `what` when it never does.
pub async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let looking = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(GLANCE).await;
        }
    };
    tokio::time::timeout(PATIENCE, looking).await.unwrap_or_else(|_| panic!("never came: {what}"))
}

/// One of our programs, as built beside the running test.
pub fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a running program");
    let directories = test.ancestors().skip(1).take(2);
    let found = directories.map(|directory| directory.join(name)).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("{name} is not beside {}: `cargo build --workspace --bins` builds it", test.display()))
}
