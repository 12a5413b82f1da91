//! What a person writes for a moment in the past, or for one to come.

use chrono::{DateTime, Days, NaiveDate, SecondsFormat, TimeDelta, TimeZone, Utc};

/// The hour at which a day begins on which somebody wants to be told again: warnings come from then on.
const MORNING: u32 = 8;

use crate::ending::Failure;

/// The moment (RFC 3339, UTC) of a day (`2026-11-22`, its midnight in `zone`), a moment (RFC 3339) or a span before `now`
/// (`30m`, `12h`, `3d`, `2w`), `today` or `yesterday`.
pub(crate) fn since<Z: TimeZone>(written: &str, now: DateTime<Utc>, zone: &Z) -> Result<String, Failure> {
    moment(written, now, zone).map(written_out).ok_or_else(|| Failure::new("not-a-time", [("value", written)]))
}

/// The moment (RFC 3339, UTC) to come of a day (its morning in `zone`), `tomorrow`, a moment (RFC 3339) or a span after `now`.
pub(crate) fn until<Z: TimeZone>(written: &str, now: DateTime<Utc>, zone: &Z) -> Result<String, Failure> {
    let later = coming(written, now, zone).filter(|moment| *moment > now);
    later.map(written_out).ok_or_else(|| Failure::new("not-a-time-to-come", [("value", written)]))
}

fn written_out(moment: DateTime<Utc>) -> String {
    moment.to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn moment<Z: TimeZone>(written: &str, now: DateTime<Utc>, zone: &Z) -> Option<DateTime<Utc>> {
    if let Ok(moment) = DateTime::parse_from_rfc3339(written) {
        return Some(moment.to_utc());
    }
    let today = now.with_timezone(zone).date_naive();
    match written {
        "today" => return beginning(today, 0, zone),
        "yesterday" => return beginning(today.checked_sub_days(Days::new(1))?, 0, zone),
        _ => {}
    }
    if let Ok(day) = written.parse::<NaiveDate>() {
        return beginning(day, 0, zone);
    }
    now.checked_sub_signed(span(written)?)
}

fn coming<Z: TimeZone>(written: &str, now: DateTime<Utc>, zone: &Z) -> Option<DateTime<Utc>> {
    if let Ok(moment) = DateTime::parse_from_rfc3339(written) {
        return Some(moment.to_utc());
    }
    let today = now.with_timezone(zone).date_naive();
    if written == "tomorrow" {
        return beginning(today.checked_add_days(Days::new(1))?, MORNING, zone);
    }
    if let Ok(day) = written.parse::<NaiveDate>() {
        return beginning(day, MORNING, zone);
    }
    now.checked_add_signed(span(written)?)
}

/// `30m`, `12h`, `3d`, `2w`.
fn span(written: &str) -> Option<TimeDelta> {
    let unit = written.chars().last()?;
    let count: i64 = written.strip_suffix(unit)?.parse().ok().filter(|count| *count >= 0)?;
    match unit {
        'm' => TimeDelta::try_minutes(count),
        'h' => TimeDelta::try_hours(count),
        'd' => TimeDelta::try_days(count),
        'w' => TimeDelta::try_weeks(count),
        _ => None,
    }
}

/// This hour of a day, or the first moment after it where the clock is put forward then.
fn beginning<Z: TimeZone>(day: NaiveDate, hour: u32, zone: &Z) -> Option<DateTime<Utc>> {
    (hour..=hour + 3)
        .filter_map(|hour| day.and_hms_opt(hour, 0, 0))
        .find_map(|time| zone.from_local_datetime(&time).earliest())
        .map(|moment| moment.to_utc())
}

#[cfg(test)]
mod tests {
    use chrono::FixedOffset;

    use super::*;

    #[test]
    fn moments_days_and_spans_are_understood() {
        let now = "2026-11-22T08:00:00Z".parse().expect("an instant");
        let prague = FixedOffset::east_opt(3600).expect("an offset");
        for (written, moment) in [
            ("2026-11-20T10:00:00+01:00", "2026-11-20T09:00:00Z"),
            ("2026-11-20", "2026-11-19T23:00:00Z"),
            ("today", "2026-11-21T23:00:00Z"),
            ("yesterday", "2026-11-20T23:00:00Z"),
            ("3d", "2026-11-19T08:00:00Z"),
            ("12h", "2026-11-21T20:00:00Z"),
            ("2w", "2026-11-08T08:00:00Z"),
            ("30m", "2026-11-22T07:30:00Z"),
        ] {
            assert_eq!(since(written, now, &prague).expect("a time"), moment, "{written}");
        }
        for written in ["", "soon", "3y", "-1d", "d", "99999999999999999w", "2026-13-01"] {
            assert!(since(written, now, &prague).is_err(), "{written}");
        }
    }

    #[test]
    fn a_moment_to_come_is_one() {
        let now = "2026-11-22T08:00:00Z".parse().expect("an instant");
        let prague = FixedOffset::east_opt(3600).expect("an offset");
        for (written, moment) in [
            ("tomorrow", "2026-11-23T07:00:00Z"),
            ("2026-12-01", "2026-12-01T07:00:00Z"),
            ("2026-12-01T10:00:00+01:00", "2026-12-01T09:00:00Z"),
            ("3d", "2026-11-25T08:00:00Z"),
        ] {
            assert_eq!(until(written, now, &prague).expect("a time"), moment, "{written}");
        }
        for written in ["", "yesterday", "2026-11-22", "0d", "-1d", "2020-01-01", "99999999999999999w"] {
            assert!(until(written, now, &prague).is_err(), "{written}");
        }
    }
}
