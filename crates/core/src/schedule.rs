//! When a person is told that a certificate ends. Pure arithmetic on the wall clock.

use std::fmt;

use chrono::{DateTime, Duration, FixedOffset, Timelike, Utc};
use serde::{Deserialize, Serialize};

use crate::Now;
use crate::item::Level;

/// A certificate with less life than this has thresholds of its own.
const SHORT_LIFE: Duration = Duration::days(60);

/// The moments at which a person is told, the mildest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Threshold {
    /// 21 days before expiry.
    ThreeWeeks,
    /// A third of a short life is left.
    Third,
    /// Seven days before expiry.
    OneWeek,
    /// A tenth of a short life is left.
    Tenth,
    /// Three days before the deadline.
    ThreeDays,
    /// Two days before the deadline.
    TwoDays,
    /// One day before the deadline.
    OneDay,
    /// The local day of the deadline has begun.
    Today,
    /// The certificate has ended.
    Expired,
    /// Its issuer has revoked it.
    Revoked,
}

impl Threshold {
    /// The word for it in events and records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ThreeWeeks => "three-weeks",
            Self::Third => "third",
            Self::OneWeek => "one-week",
            Self::Tenth => "tenth",
            Self::ThreeDays => "three-days",
            Self::TwoDays => "two-days",
            Self::OneDay => "one-day",
            Self::Today => "today",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }

    /// How much it matters.
    pub fn level(self) -> Level {
        if self < Self::ThreeDays { Level::Warning } else { Level::Critical }
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A certificate's life as the schedule sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// Start of validity.
    pub not_before: DateTime<Utc>,
    /// End of validity, or of what it stands on.
    pub not_after: DateTime<Utc>,
    /// The last moment at which a renewal helps; at most the end of validity.
    pub deadline: DateTime<Utc>,
    /// Nothing is told before this moment; another tool is expected to renew until then.
    pub silent_until: Option<DateTime<Utc>>,
    /// It counts no more, whatever its dates say: that alone is told.
    pub revoked: bool,
}

impl Life {
    /// Each threshold of this life with its moment, the earliest first. `offset` says when a local day begins.
    pub fn thresholds(&self, offset: FixedOffset) -> impl Iterator<Item = (Threshold, DateTime<Utc>)> + use<> {
        let Self { not_before, not_after, deadline, silent_until, revoked } = *self;
        let length = not_after - not_before;
        let local = deadline.with_timezone(&offset);
        let day_begins = deadline - Duration::seconds(i64::from(local.num_seconds_from_midnight()));
        let (long, short) = if length < SHORT_LIFE {
            (None, Some([(Threshold::Third, not_after - length / 3), (Threshold::Tenth, not_after - length / 10)]))
        } else {
            let long = [
                (Threshold::ThreeWeeks, not_after - Duration::days(21)),
                (Threshold::OneWeek, not_after - Duration::days(7)),
                (Threshold::ThreeDays, deadline - Duration::days(3)),
                (Threshold::TwoDays, deadline - Duration::days(2)),
                (Threshold::OneDay, deadline - Duration::days(1)),
                (Threshold::Today, day_begins),
            ];
            (Some(long), None)
        };
        // `not_after` is the last second that is still valid (RFC 5280 section 4.1.2.5).
        let expired = (Threshold::Expired, not_after + Duration::seconds(1));
        let all = long.into_iter().flatten().chain(short.into_iter().flatten()).chain([expired]);
        let told = all.filter(move |(_, moment)| !revoked && silent_until.is_none_or(|silent| *moment >= silent));
        told.chain(revoked.then_some((Threshold::Revoked, DateTime::<Utc>::MIN_UTC)))
    }

    /// A moment before which no threshold passes: near it, for nearly all lives the first.
    pub fn comes_near(&self) -> DateTime<Utc> {
        if self.revoked {
            return DateTime::<Utc>::MIN_UTC;
        }
        // A third of a short life is less than three weeks, and the day of the deadline begins within the last.
        (self.not_after - Duration::days(21)).min(self.deadline - Duration::days(3))
    }

    /// Whether that moment has passed.
    pub fn is_near(&self, now: Now) -> bool {
        self.comes_near() <= now
    }

    /// The most urgent threshold that has passed.
    pub fn passed(&self, now: Now) -> Option<Threshold> {
        if !self.is_near(now) {
            return None;
        }
        let reached = |(threshold, moment)| (moment <= now).then_some(threshold);
        self.thresholds(*now.offset()).filter_map(reached).max()
    }

    /// The moment of the next threshold that has not passed, among those more urgent than what has.
    pub fn next(&self, now: Now) -> Option<DateTime<Utc>> {
        let passed = self.passed(now);
        self.thresholds(*now.offset())
            .filter(|(threshold, moment)| *moment > now && passed.is_none_or(|passed| *threshold > passed))
            .map(|(_, moment)| moment)
            .min()
    }
}

/// Whether a warning that nobody has seen may come back now: at most once a day, and between 8 and 18 o'clock local time
/// except on the last day or later.
pub fn may_return(last_shown: DateTime<Utc>, threshold: Threshold, now: Now) -> bool {
    let shown = last_shown.with_timezone(now.offset());
    let another_day = shown.date_naive() != now.date_naive();
    let office_hours = (8..18).contains(&now.hour());
    another_day && (office_hours || threshold >= Threshold::Today)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn life(days: i64) -> Life {
        let not_before = DateTime::from_timestamp(1_700_000_000, 0).expect("a time");
        let not_after = not_before + Duration::days(days);
        Life { not_before, not_after, deadline: not_after, silent_until: None, revoked: false }
    }

    fn before_end(life: &Life, days: i64) -> Now {
        (life.not_after - Duration::days(days)).fixed_offset()
    }

    #[test]
    fn three_weeks_one_week_and_the_last_days() {
        let life = life(365);
        for (days, threshold) in [
            (30, None),
            (22, None),
            (21, Some(Threshold::ThreeWeeks)),
            (20, Some(Threshold::ThreeWeeks)),
            (6, Some(Threshold::OneWeek)),
            (3, Some(Threshold::ThreeDays)),
            (2, Some(Threshold::TwoDays)),
            (1, Some(Threshold::OneDay)),
            (0, Some(Threshold::Today)),
            (-1, Some(Threshold::Expired)),
        ] {
            assert_eq!(life.passed(before_end(&life, days)), threshold, "{days} days left");
        }
    }

    #[test]
    fn a_short_life_is_divided() {
        let life = life(30);
        for (days, threshold) in
            [(11, None), (10, Some(Threshold::Third)), (3, Some(Threshold::Tenth)), (-1, Some(Threshold::Expired))]
        {
            assert_eq!(life.passed(before_end(&life, days)), threshold, "{days} days left");
        }
    }

    #[test]
    fn of_a_revoked_one_nothing_else_is_told() {
        let life = Life { revoked: true, silent_until: Some(life(365).not_after), ..life(365) };
        for days in [364, 30, 6, 0, -1] {
            assert_eq!(life.passed(before_end(&life, days)), Some(Threshold::Revoked), "{days} days left");
            assert_eq!(life.next(before_end(&life, days)), None);
        }
    }

    #[test]
    fn the_last_day_begins_at_local_midnight() {
        let life = life(365);
        let east = FixedOffset::east_opt(2 * 3600).expect("an offset");
        let end = life.not_after.with_timezone(&east);
        let midnight = end - Duration::seconds(i64::from(end.num_seconds_from_midnight()));
        assert_eq!(life.passed(midnight), Some(Threshold::Today));
        assert_eq!(life.passed(midnight - Duration::seconds(1)), Some(Threshold::OneDay));
    }

    #[test]
    fn an_unseen_warning_returns_by_day_and_once() {
        let at = |hour: i64, day: i64| -> Now {
            (DateTime::from_timestamp(1_700_006_400, 0).expect("midnight") + Duration::hours(hour + 24 * day)).fixed_offset()
        };
        let shown = at(9, 0).to_utc();
        assert!(!may_return(shown, Threshold::OneWeek, at(12, 0)), "the same day");
        assert!(may_return(shown, Threshold::OneWeek, at(8, 1)));
        assert!(!may_return(shown, Threshold::OneWeek, at(7, 1)), "too early");
        assert!(!may_return(shown, Threshold::OneWeek, at(18, 1)), "too late");
        assert!(may_return(shown, Threshold::Today, at(22, 1)), "the last day knows no office hours");
    }

    /// The schedule said in the slowest way: walk through a life hour by hour and note each moment at which something changes.
    fn model(life: &Life, now: Now) -> Option<Threshold> {
        let left = life.not_after - now.to_utc();
        let until = life.deadline - now.to_utc();
        if left < Duration::zero() {
            return Some(Threshold::Expired);
        }
        let length = life.not_after - life.not_before;
        if length < Duration::days(60) {
            return if left * 10 <= length {
                Some(Threshold::Tenth)
            } else if left * 3 <= length {
                Some(Threshold::Third)
            } else {
                None
            };
        }
        let mut last = None;
        if left <= Duration::days(21) {
            last = Some(Threshold::ThreeWeeks);
        }
        if left <= Duration::days(7) {
            last = Some(Threshold::OneWeek);
        }
        for (days, threshold) in [(3, Threshold::ThreeDays), (2, Threshold::TwoDays), (1, Threshold::OneDay)] {
            if until <= Duration::days(days) {
                last = last.max(Some(threshold));
            }
        }
        if now.date_naive() >= life.deadline.with_timezone(now.offset()).date_naive() {
            last = Some(Threshold::Today);
        }
        last
    }

    proptest! {
        #[test]
        fn schedule_and_model_agree(days in 1_i64..1200, cliff in 0_i64..20, at in -10_i64..1300, seconds in 0_i64..86_400, offset in -12_i32..=14) {
            let mut life = life(days * 3 / 3);
            life.deadline = life.not_after - Duration::days(cliff.min(days));
            // A third of some lengths is no whole second; the model multiplies where the schedule divides.
            prop_assume!((days * 86_400) % 30 == 0);
            let offset = FixedOffset::east_opt(offset * 3600).expect("an offset");
            let now = (life.not_before + Duration::days(at) + Duration::seconds(seconds)).with_timezone(&offset);
            prop_assert_eq!(life.passed(now), model(&life, now));
        }

        #[test]
        fn sleeping_until_the_next_moment_misses_nothing(days in 1_i64..1200, start in 0_i64..1200, offset in -12_i32..=14) {
            let life = life(days);
            let offset = FixedOffset::east_opt(offset * 3600).expect("an offset");
            let mut now = (life.not_before + Duration::days(start.min(days))).with_timezone(&offset);
            let mut told = life.passed(now);
            for _ in 0..12 {
                let Some(next) = life.next(now) else { break };
                let next = next.with_timezone(&offset);
                prop_assert_eq!(life.passed(next - Duration::seconds(1)), told, "nothing happens in between");
                let passed = life.passed(next);
                prop_assert!(passed > told, "each waking has a reason");
                (now, told) = (next, passed);
            }
            prop_assert_eq!(told, Some(Threshold::Expired));
            prop_assert_eq!(life.next(now), None);
        }
    }
}
