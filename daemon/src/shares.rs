//! Whose time a renewal takes, step by step: the card's, obnova-helper's, the authority's, the person's; what remains is our own.
//! Owns the watch of the task that drives a renewal. Says what it shows at debug level, and decides nothing.

use std::cell::RefCell;
use std::time::{Duration, Instant};

tokio::task_local! {
    static WATCH: RefCell<Watch>;
}

/// Who is waited for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Whose {
    /// A card, with its reader and everybody else who uses it.
    Card,
    /// obnova-helper, from its start to its end.
    Helper,
    /// Whoever issues.
    Authority,
    /// Whoever is asked.
    Person,
}

/// Keeps the time of a task.
pub(crate) async fn kept<T>(task: impl Future<Output = T>) -> T {
    WATCH.scope(RefCell::new(Watch::new(Instant::now())), task).await
}

/// The time until this is over, or given up, is somebody else's. Where one needs another, as an authority of ours needs the
/// helper, all of it is the outer one's. Outside of [`kept`] nothing is counted.
pub(crate) async fn spent<T>(whose: Whose, work: impl Future<Output = T>) -> T {
    let _turn = Turn::new(whose);
    work.await
}

/// Says how the time was shared since the task began, or since this was last said: in microseconds, `all` the sum of the others.
pub(crate) fn say(job: u64, step: &str) {
    let now = Instant::now();
    let read = |watch: &RefCell<Watch>| watch.replace(Watch::new(now)).read(now);
    // Nobody keeps the time of what is no renewal.
    let Ok(Shares { all, of: [card, helper, authority, person], own }) = WATCH.try_with(read) else { return };
    tracing::debug!(job, step, all, card, helper, authority, person, own, "shares");
}

struct Watch {
    since: Instant,
    away: bool,
    of: [Duration; 4],
}

/// What a watch shows, in microseconds.
#[derive(Debug, PartialEq, Eq)]
struct Shares {
    all: u64,
    of: [u64; 4],
    own: u64,
}

impl Watch {
    fn new(now: Instant) -> Self {
        Self { since: now, away: false, of: [Duration::ZERO; 4] }
    }

    /// Somebody else begins; `false` if it is somebody else's time already.
    fn go(&mut self) -> bool {
        !std::mem::replace(&mut self.away, true)
    }

    fn come(&mut self, whose: Whose, spent: Duration) {
        self.away = false;
        self.of[whose as usize] += spent;
    }

    fn read(&self, now: Instant) -> Shares {
        let microseconds = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let all = now.saturating_duration_since(self.since);
        let own = all.saturating_sub(self.of.iter().sum());
        Shares { all: microseconds(all), of: self.of.map(microseconds), own: microseconds(own) }
    }
}

/// Somebody else's turn; over when dropped.
struct Turn {
    whose: Whose,
    /// `None`: inside another's.
    since: Option<Instant>,
}

impl Turn {
    fn new(whose: Whose) -> Self {
        let counts = WATCH.try_with(|watch| watch.borrow_mut().go()).unwrap_or(false);
        Self { whose, since: counts.then(Instant::now) }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let Some(since) = self.since else { return };
        // A task that is aborted takes its watch with it.
        let _gone = WATCH.try_with(|watch| watch.borrow_mut().come(self.whose, since.elapsed()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_else_spent_is_our_own() {
        let began = Instant::now();
        let mut watch = Watch::new(began);
        assert!(watch.go(), "the time was ours");
        assert!(!watch.go(), "it is counted once");
        watch.come(Whose::Card, Duration::from_micros(300));
        assert!(watch.go());
        watch.come(Whose::Helper, Duration::from_micros(40));
        assert!(watch.go());
        watch.come(Whose::Card, Duration::from_micros(5));
        let shares = watch.read(began + Duration::from_micros(400));
        assert_eq!(shares, Shares { all: 400, of: [305, 40, 0, 0], own: 55 });
    }

    #[tokio::test]
    async fn the_outer_one_counts_and_what_is_given_up_ends() {
        let shares = kept(async {
            spent(Whose::Authority, spent(Whose::Helper, tokio::task::yield_now())).await;
            tokio::select! {
                biased;
                () = spent(Whose::Person, std::future::pending()) => {}
                () = tokio::task::yield_now() => {}
            }
            WATCH.with(|watch| {
                let watch = watch.borrow();
                assert!(!watch.away, "the time is ours again");
                watch.of.map(|spent| spent > Duration::ZERO)
            })
        });
        assert_eq!(shares.await, [false, false, true, true]);
        spent(Whose::Card, tokio::task::yield_now()).await;
    }
}
