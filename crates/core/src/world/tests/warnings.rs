//! Warnings: each once, the most urgent only, and none forgotten over a whole life.

use chrono::FixedOffset;
use proptest::prelude::*;

use super::*;

/// Anna's certificate, and the moment so many days before its end.
fn anna() -> (Story, Certificate) {
    let anna = own("Anna", 1);
    let mut story = Story::new();
    story.see("p12:/m/a.p12", readable(&[(&anna, true)]));
    (story, anna)
}

fn left(certificate: &Certificate, left: i64) -> Now {
    (certificate.not_after - days(left)).fixed_offset()
}

#[test]
fn each_threshold_is_told_once() {
    let (mut story, anna) = anna();
    for (left_days, threshold) in [
        (30, None),
        (22, None),
        (20, Some(Threshold::ThreeWeeks)),
        (19, None),
        (8, None),
        (6, Some(Threshold::OneWeek)),
        (4, None),
        (3, Some(Threshold::ThreeDays)),
        (2, Some(Threshold::TwoDays)),
        (1, Some(Threshold::OneDay)),
        (0, Some(Threshold::Today)),
        (-1, Some(Threshold::Expired)),
        (-2, None),
        (-400, None),
    ] {
        let now = left(&anna, left_days);
        let expected: Vec<_> = threshold.iter().map(|threshold| (anna.fingerprint, *threshold)).collect();
        assert_eq!(story.announce(now, true), expected, "{left_days} days left");
        assert_eq!(story.world.due(now), [], "a second look finds nothing");
        story.restart();
        assert_eq!(story.world.due(now), [], "nor does one after a restart");
    }
    assert_eq!(story.state(&anna, left(&anna, -2)), "expired");
    assert_eq!(story.world.next_wake(left(&anna, -2)), None);
}

#[test]
fn a_notice_says_what_it_is_about() {
    let (story, anna) = anna();
    let due = story.world.due(left(&anna, 20));
    let expected = Notice {
        item: story.id(&anna),
        certificate: anna.fingerprint,
        name: "Anna".into(),
        threshold: Threshold::ThreeWeeks,
        not_after: anna.not_after,
    };
    assert_eq!(due, [expected]);
}

#[test]
fn after_a_month_asleep_only_the_most_urgent_is_told() {
    let (mut story, anna) = anna();
    assert_eq!(story.announce(left(&anna, 30), true), []);
    assert_eq!(story.announce(left(&anna, 2), true), [(anna.fingerprint, Threshold::TwoDays)]);
    assert_eq!(story.announce(left(&anna, 2), true), [], "the milder ones count as told");
    assert_eq!(story.announce(left(&anna, -30), true), [(anna.fingerprint, Threshold::Expired)]);
}

#[test]
fn a_clock_set_back_tells_nothing_again() {
    let (mut story, anna) = anna();
    assert_eq!(story.announce(left(&anna, 7), true), [(anna.fingerprint, Threshold::OneWeek)]);
    for back in [8, 21, 22, 365] {
        assert_eq!(story.announce(left(&anna, back), true), [], "{back} days left");
    }
    assert_eq!(story.announce(left(&anna, 7), true), []);
    assert_eq!(story.announce(left(&anna, 3), true), [(anna.fingerprint, Threshold::ThreeDays)]);
}

#[test]
fn a_snooze_holds_until_its_end() {
    let (mut story, anna) = anna();
    story.announce(left(&anna, 20), true);
    let until = left(&anna, 5).to_utc();
    let snoozed = Record::Snoozed { certificate: anna.fingerprint, name: "Anna".into(), until };
    story.write(left(&anna, 20).to_utc(), snoozed);
    assert_eq!((story.announce(left(&anna, 7), true), story.world.returning(left(&anna, 7))), (vec![], vec![]));
    assert_eq!(story.world.next_wake(left(&anna, 6)), Some(until));
    assert_eq!(story.announce((until - Duration::seconds(1)).fixed_offset(), true), []);
    story.restart();
    assert_eq!(story.announce(until.fixed_offset(), true), [(anna.fingerprint, Threshold::OneWeek)]);
    assert_eq!(story.announce(left(&anna, 4), true), [], "it ended once");
    assert_eq!(story.announce(left(&anna, 3), true), [(anna.fingerprint, Threshold::ThreeDays)]);
}

#[test]
fn what_nobody_saw_comes_back() {
    let returning =
        |story: &Story, now: Now| story.world.returning(now).iter().map(|notice| notice.threshold).collect::<Vec<_>>();
    let hours = |hours| Duration::hours(hours);
    let (mut story, anna) = anna();
    let shown = left(&anna, 20);
    assert_eq!(returning(&story, shown), [], "nothing was told yet: that is no return");
    story.announce(shown, true);
    assert_eq!(returning(&story, shown + hours(1)), [], "once a day");
    assert_eq!(returning(&story, shown + hours(24)), [Threshold::ThreeWeeks]);
    assert_eq!(returning(&story, shown + hours(24 + 7)), [], "19 o'clock is no time for that");
    assert_eq!(returning(&story, shown + hours(14 * 24)), [Threshold::OneWeek], "as urgent as it is now");

    let seen = Record::Seen { certificate: anna.fingerprint, name: "Anna".into() };
    story.write(shown.to_utc(), seen);
    assert_eq!(returning(&story, shown + hours(24)), []);
    assert_eq!(story.world.told(story.id(&anna)), [anna.fingerprint]);

    // Nobody was there to be shown it: at once, whenever somebody comes.
    story.announce(left(&anna, 7), false);
    assert_eq!(returning(&story, left(&anna, 7) + hours(10)), [Threshold::OneWeek]);
}

#[test]
fn a_successor_withdraws_the_warning() {
    let (mut story, anna) = anna();
    let now = left(&anna, 5);
    story.announce(now, false);
    let next = Certificate { not_before: now.to_utc(), not_after: now.to_utc() + days(365), ..own("Anna", 2) };
    story.see("p12:/m/a2.p12", readable(&[(&next, true)]));
    assert_eq!((story.world.due(now), story.world.returning(now)), (vec![], vec![]));
    assert_eq!(story.world.told(story.id(&anna)), [], "nothing of it is left to be seen");
    assert_eq!(story.state(&next, now), "valid");
    assert_eq!(story.announce(left(&anna, -1), true), []);
    assert_eq!(story.announce(left(&next, 20), true), [(next.fingerprint, Threshold::ThreeWeeks)]);
}

#[test]
fn the_most_urgent_comes_first() {
    let mut story = Story::new();
    let ends = [("Anna", 20), ("Boris", 1), ("Cyril", 6), ("Dana", -3), ("Eva", 15), ("Filip", 300)];
    for (name, left) in ends {
        story.see(&format!("p12:/m/{name}.p12"), readable(&[(&ending(own(name, 1), noon() + days(left)), true)]));
    }
    let due: Vec<_> = story.world.due(noon().fixed_offset()).into_iter().map(|notice| notice.name).collect();
    assert_eq!(due, ["Dana", "Boris", "Cyril", "Eva", "Anna"]);
    let listing = story.world.listing(false, noon().fixed_offset());
    let names: Vec<_> = listing.iter().map(|id| story.world.item(*id, noon().fixed_offset()).expect("listed").name).collect();
    assert_eq!(names, ["Dana", "Boris", "Cyril", "Eva", "Anna", "Filip"]);
}

/// A certificate's life: when it begins and how long it lasts, in hours.
fn lives() -> impl Strategy<Value = Vec<(i64, i64)>> {
    proptest::collection::vec((0_i64..24 * 500, 24_i64..24 * 1100), 1..5)
}

proptest! {
    /// From before the first beginning until nothing comes any more, sleeping from waking to waking: always awake in time,
    /// told in order, each once. Some sleeps are too long, and sometimes the daemon starts anew.
    #[test]
    fn whole_lives_pass_without_a_missed_or_doubled_warning(
        lives in lives(),
        keys in proptest::collection::vec(any::<bool>(), 5),
        nights in proptest::collection::vec((prop_oneof![3 => Just(0_i64), 1 => 0_i64..24 * 60], any::<bool>()), 200),
        sound in any::<bool>(),
        offset in -12_i32..=14,
    ) {
        let offset = FixedOffset::east_opt(offset * 3600).expect("an offset");
        let mut story = Story::new();
        let mut certificates = Vec::new();
        for (number, ((begin, length), key)) in lives.iter().zip(&keys).enumerate() {
            let not_before = noon() + Duration::hours(*begin);
            let certificate = Certificate { not_before, not_after: not_before + Duration::hours(*length), ..own(&format!("Anna {number}"), 1) };
            story.see(&format!("file:/m/{number}.pem"), readable(&[(&certificate, *key)]));
            certificates.push(certificate);
        }
        let life = |one: &Certificate| super::super::notices::life(one);

        let mut told: HashMap<Fingerprint, Vec<Threshold>> = HashMap::new();
        let mut now: Now = (noon() - days(1)).with_timezone(&offset);
        let mut nights = nights.into_iter();
        loop {
            let expected: BTreeSet<(Fingerprint, Threshold)> = certificates
                .iter()
                .filter_map(|one| Some((one.fingerprint, life(one).passed(now)?)))
                .filter(|(one, threshold)| told.get(one).and_then(|told| told.last()).is_none_or(|last| threshold > last))
                .collect();
            let announced = story.announce(now, true);
            prop_assert_eq!(announced.iter().copied().collect::<BTreeSet<_>>(), expected);
            for (fingerprint, threshold) in announced {
                told.entry(fingerprint).or_default().push(threshold);
            }
            prop_assert_eq!(story.world.due(now), vec![], "all is told");
            prop_assert_eq!(story.world.due(now - days(1)), vec![], "a clock set back tells nothing");

            let Some(next) = story.world.next_wake(now) else { break };
            prop_assert!(next > now, "asleep until {} at {}", next, now);
            let before = (next - Duration::seconds(1)).with_timezone(&offset);
            prop_assert_eq!(story.world.due(before), vec![], "nothing comes before the waking");
            let (oversleep, restart) = nights.next().expect("few wakings suffice for five lives");
            let since = now.to_utc();
            now = next.with_timezone(&offset) + if sound { Duration::zero() } else { Duration::hours(oversleep) };
            prop_assert!(!story.world.turned(since, now).is_empty(), "each waking has a reason");
            let turned = story.world.turned(since, now);
            prop_assert!(story.world.due(now).iter().all(|notice| turned.contains(&notice.item)));
            if restart {
                story.restart();
            }
        }
        for one in &certificates {
            let told = told.remove(&one.fingerprint).unwrap_or_default();
            prop_assert!(told.windows(2).all(|pair| pair[0] < pair[1]), "{:?}", told);
            prop_assert_eq!(told.last(), Some(&Threshold::Expired));
            if sound {
                let all: Vec<Threshold> = life(one).thresholds(offset).map(|(threshold, _)| threshold).collect();
                prop_assert_eq!(told, all, "awake in time for each");
            }
        }
    }
}

/// What the world says of all its certificates at once, said by looking at each item by itself.
fn by_item(world: &World, since: DateTime<Utc>, now: Now) -> (Vec<Notice>, Option<DateTime<Utc>>, BTreeSet<ItemId>) {
    let (mut due, mut wakes, mut turned) = (Vec::new(), Vec::new(), BTreeSet::new());
    for id in world.sights.identities() {
        let current = world.current(id);
        for (position, member) in current.iter().enumerate() {
            let life = super::super::notices::life(member.certificate);
            let told = world.told.get(&member.certificate.fingerprint);
            wakes.extend([life.next(now), told.and_then(|told| told.snoozed_until), Some(life.not_before)]);
            let moments = life.thresholds(*now.offset()).map(|(_, moment)| moment).chain([life.not_before]);
            let (from, to) = (since.min(now.to_utc()), since.max(now.to_utc()));
            turned.extend(moments.filter(|moment| from < *moment && *moment <= to).map(|_| id));
            let Some(threshold) = life.passed(now).filter(|_| position == 0 && world.renewal_of(id).is_none()) else {
                continue;
            };
            let again = |told: &Told| told.snoozed_until.map_or(threshold > told.threshold, |until| until <= now);
            if told.is_none_or(again) {
                let (certificate, name) = (member.certificate.fingerprint, member.certificate.name().to_owned());
                due.push(Notice { item: id, certificate, name, threshold, not_after: life.not_after });
            }
        }
    }
    due.sort_by_key(|notice| (std::cmp::Reverse(notice.threshold), notice.not_after, notice.item));
    (due, wakes.into_iter().flatten().filter(|moment| *moment > now).min(), turned)
}

proptest! {
    #[test]
    fn all_at_once_and_item_by_item_are_one(
        lives in proptest::collection::vec((0_u8..6, -900_i64..900, 1_i64..90, any::<bool>(), any::<bool>()), 1..12),
        told in proptest::collection::vec((any::<prop::sample::Index>(), 0_usize..3, proptest::option::of(-20_i64..20)), 0..5),
        renewing in any::<bool>(), since in -700_i64..700, offset in -12_i32..=14,
    ) {
        let mut story = Story::new();
        let mut certificates = Vec::new();
        for (number, (who, begins, lasts, key, ca)) in (0..).zip(lives) {
            // Lives of hours to years, around now; some certificates follow each other, and some are an authority's.
            let not_before = noon() + Duration::hours(begins * 7);
            let certificate = Certificate { not_before, not_after: not_before + Duration::hours(lasts * lasts), authority: ca, ..own(&format!("{who}"), number) };
            story.see(&format!("file:/m/{number}.pem"), readable(&[(&certificate, key)]));
            certificates.push(certificate);
        }
        let leaf = Certificate { not_after: noon() + days(900), ..issued("Leaf", 1, "0") };
        story.see("file:/m/leaf.pem", readable(&[(&leaf, false)]));
        for (which, threshold, snooze) in told {
            let certificate = which.get(&certificates);
            let threshold = [Threshold::ThreeWeeks, Threshold::OneDay, Threshold::Expired][threshold];
            let notice = Notice { item: story.id(certificate), certificate: certificate.fingerprint, name: "Anna".into(), threshold, not_after: certificate.not_after };
            story.write(noon(), notice.announced(true));
            if let Some(snooze) = snooze {
                let until = noon() + days(snooze);
                story.write(noon(), Record::Snoozed { certificate: certificate.fingerprint, name: "Anna".into(), until });
            }
        }
        if renewing {
            story.start(1, &certificates[0], "file:/m/0.pem");
        }
        let now = noon().with_timezone(&FixedOffset::east_opt(offset * 3600).expect("an offset"));
        let since = noon() + Duration::hours(since);
        let world = &story.world;
        prop_assert_eq!((world.due(now), world.next_wake(now), world.turned(since, now)), by_item(world, since, now));
        let listed: Vec<_> = world.listing(false, now).into_iter().map(|id| world.item(id, now).expect("listed")).collect();
        let rank = |item: &crate::Item| (std::cmp::Reverse(item.level), item.deadline.unwrap_or(DateTime::<Utc>::MAX_UTC), item.id);
        prop_assert!(listed.is_sorted_by_key(rank), "the listing is in the items' own order");
    }
}
