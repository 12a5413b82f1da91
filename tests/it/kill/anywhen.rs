//! Killed at any moment, again and again, until it is through.

use std::time::Duration;

use obnova_api::Options;
use obnova_tests::{Daemon, KeyKind, Recipe};
use tokio::time::timeout;

use super::Story;

/// How often one renewal is killed before it may finish.
const KILLS: usize = 6;

/// The longest that a daemon lives between two kills: a renewal takes about as long.
const LONGEST: u64 = 700;

macro_rules! with_seed {
    ($($name:ident: $seed:literal $key:expr;)*) => {
        $(#[tokio::test]
        async fn $name() {
            survives($seed, &Recipe::new("Anna Nová").key($key)).await;
        })*
    };
}

with_seed! {
    a_quick_key_by_seed_1: 1 KeyKind::P256;
    a_quick_key_by_seed_2: 2 KeyKind::P256;
    a_quick_key_by_seed_3: 3 KeyKind::P256;
    a_quick_key_by_seed_4: 4 KeyKind::P256;
    a_slow_key_by_seed_11: 11 KeyKind::Rsa(3072);
    a_slow_key_by_seed_12: 12 KeyKind::Rsa(3072);
    a_slow_key_by_seed_13: 13 KeyKind::Rsa(3072);
}

async fn survives(seed: u64, recipe: &Recipe) {
    let mut random = Random::new(seed);
    let story = Story::begins(recipe).await;
    for kill in 0..KILLS {
        let mut daemon = story.scene.start().await;
        story.agent.register(false).await;
        if kill == 0 {
            story.renew().await;
        } else {
            go_on(&story).await;
        }
        alive_for(&mut daemon, Duration::from_millis(random.below(LONGEST))).await;
        daemon.kill().await;
    }
    let _daemon = story.scene.start().await;
    story.sees_it_through().await;
    story.ends_well().await;
}

/// Says "go on" if it waits now. It may have gone on by itself meanwhile.
async fn go_on(story: &Story) {
    if let Some(renewal) = story.renewal().await.filter(|renewal| renewal.state == "waiting") {
        match story.agent.manager().await.act(&renewal.id, "resume", &Options::default()).await {
            Ok(_) | Err(_) => {}
        }
    }
}

async fn alive_for(daemon: &mut Daemon, life: Duration) {
    if let Ok(status) = timeout(life, daemon.ended()).await {
        panic!("obnovad ended by itself: {status}\n{}", daemon.log());
    }
}

/// Xorshift (Marsaglia 2003): as random as a moment must be, and the same for the same seed.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        // Small seeds would begin with small numbers.
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}
