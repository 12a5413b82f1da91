//! Which notification a notice makes, when it has outlived itself, and what an answer to it asks of the daemon: pure. How it
//! gets onto the screen is not known here.

use chrono::{DateTime, Days, Local, NaiveTime, SecondsFormat, TimeZone, Utc};
use obnova_api::{ItemView, Level, Options, ProblemView};
use obnova_text::Text;

/// "Later" means the next day at this hour, local time.
const LATER: NaiveTime = NaiveTime::from_hms_opt(9, 0, 0).expect("an hour of the day");

/// One notification. An item has at most one: a newer one replaces it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// The id of the item that it is about.
    pub item: String,
    /// How much it matters.
    pub level: Level,
    /// What is the matter, plain text.
    pub title: String,
    /// What to do, plain text.
    pub body: String,
    /// The one button, if the item's next step is done from here.
    pub step: Option<Step>,
    /// The label of the button that puts it off; absent from good news.
    pub later: Option<String>,
}

/// The button of a notification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What it says.
    pub label: String,
    /// The action, as `Act` takes it.
    pub action: String,
}

/// What a person did with a notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The one button.
    Step,
    /// "Later".
    Later,
    /// Closed by hand.
    Dismissed,
    /// Nothing: it went away by itself, or the server took it off.
    Gone,
}

/// A call of `Act`, but for the item.
#[derive(Clone, Debug, PartialEq)]
pub struct Act {
    /// The action.
    pub action: String,
    /// What is said with it.
    pub options: Options,
}

/// The action that undoes what was begun without asking.
const UNDO: &str = "unwatch";

/// The notification for a notice about this item. `None` for a warning that came too late: what it asks for is being done, or
/// was brought to its end while the notice travelled.
pub fn of_notice(event: &str, level: &str, item: &ItemView, text: &Text, now: DateTime<Utc>) -> Option<News> {
    let mut level = Level::of(level);
    if level >= Level::Warning && taken_care_of(item) {
        return None;
    }
    // Told of a thing with which all is well: good news.
    if Level::of(&item.level) == Level::Ok {
        level = Level::Ok;
    }
    let notice = text.notice(event, item, now);
    // What was begun without asking can be undone.
    let undo = (event == "found").then(|| UNDO.to_owned());
    let action = undo.or_else(|| item.next_step.as_ref().and_then(|next| next.action.clone()));
    let step = match (notice.action_label, action) {
        (Some(label), Some(action)) => Some(Step { label, action }),
        _ => None,
    };
    let later = (level > Level::Ok).then_some(notice.later_label);
    Some(News { item: item.id.clone(), level, title: notice.title, body: notice.body, step, later })
}

/// That a click did not do what it said.
pub fn of_failure(item: &str, problem: &ProblemView, text: &Text) -> News {
    let advice = text.problem(problem);
    News { item: item.to_owned(), level: Level::Notice, title: advice.sentence, body: advice.hint, step: None, later: None }
}

/// Whether a notification on the screen still says something, now that its item looks like this (`None`: it is gone). One
/// that offers a step ends with the step, and a warning with what it warns of.
pub fn stands(news: &News, item: Option<&ItemView>) -> bool {
    let Some(item) = item else { return false };
    if news.level >= Level::Warning && taken_care_of(item) {
        return false;
    }
    let action = item.next_step.as_ref().and_then(|next| next.action.as_ref());
    news.step.as_ref().is_none_or(|step| step.action == UNDO || action == Some(&step.action))
}

/// What a reply asks of the daemon, if anything. One that goes unseen asks for nothing, so that it comes back; nor does
/// taking note of good news.
pub fn answer(news: &News, reply: Reply, now: DateTime<Local>) -> Option<Act> {
    let plain = |action: &str| Act { action: action.to_owned(), options: Options::default() };
    match reply {
        Reply::Step => news.step.as_ref().map(|step| plain(&step.action)),
        Reply::Later => {
            Some(Act { action: "snooze".into(), options: Options { until: Some(tomorrow(&now)), ..Options::default() } })
        }
        Reply::Dismissed => news.later.is_some().then(|| plain("dismiss")),
        Reply::Gone => None,
    }
}

/// All is well with it, or we are at work on it.
fn taken_care_of(item: &ItemView) -> bool {
    let ours = item.next_step.as_ref().is_some_and(|next| next.who == "obnova");
    item.problem.is_none() && (ours || Level::of(&item.level) == Level::Ok)
}

/// The next day at nine in the zone of `now`, RFC 3339 in UTC; where a clock change leaves that hour out, the first after it.
fn tomorrow<Z: TimeZone>(now: &DateTime<Z>) -> String {
    let nine = now.naive_local().date().checked_add_days(Days::new(1)).map(|day| day.and_time(LATER));
    let instant = nine.and_then(|nine| {
        (0..24).find_map(|hours| now.timezone().from_local_datetime(&(nine + chrono::Duration::hours(hours))).earliest())
    });
    let instant = instant.map_or_else(|| now.to_utc() + chrono::Duration::days(1), |instant| instant.to_utc());
    instant.to_rfc3339_opts(SecondsFormat::Secs, true)
}

#[cfg(test)]
mod tests {
    use chrono::FixedOffset;
    use obnova_api::NextStepView;

    use super::*;

    fn now() -> DateTime<Utc> {
        Utc.with_ymd_and_hms(2026, 10, 20, 12, 0, 0).single().expect("a date")
    }

    fn text() -> Text {
        Text::for_environment("C").in_zone(FixedOffset::east_opt(0).expect("UTC"))
    }

    fn expiring() -> ItemView {
        ItemView {
            id: "i1".into(),
            kind: "identity".into(),
            name: "Anna Novak".into(),
            state: "expiring".into(),
            level: "warning".into(),
            not_after: Some("2026-11-10T12:00:00Z".into()),
            next_step: Some(NextStepView { who: "you".into(), what: "renew".into(), by: None, action: Some("renew".into()) }),
            ..Default::default()
        }
    }

    fn with_step(who: &str, action: Option<&str>) -> ItemView {
        let next = NextStepView { who: who.into(), what: "wait".into(), by: None, action: action.map(Into::into) };
        ItemView { next_step: Some(next), ..expiring() }
    }

    fn warning() -> News {
        of_notice("three-weeks", "warning", &expiring(), &text(), now()).expect("a notification")
    }

    #[test]
    fn a_warning_has_one_action_and_later() {
        let news = warning();
        assert_eq!(news.item, "i1");
        assert_eq!(news.level, Level::Warning);
        assert_eq!(news.step, Some(Step { label: "Renew".into(), action: "renew".into() }));
        assert_eq!(news.later.as_deref(), Some("Later"));
        assert!(news.title.contains("Anna Novak"), "{}", news.title);
    }

    #[test]
    fn a_warning_that_a_renewal_has_overtaken_is_not_shown() {
        assert_eq!(of_notice("one-week", "warning", &with_step("obnova", None), &text(), now()), None);
        let renewed = ItemView { level: "ok".into(), next_step: None, ..expiring() };
        assert_eq!(of_notice("today", "critical", &renewed, &text(), now()), None);
        let mut stuck = with_step("obnova", None);
        stuck.problem = Some(ProblemView { kind: "disk-full".into(), who: "you".into(), ..Default::default() });
        assert!(of_notice("problem", "warning", &stuck, &text(), now()).is_some(), "trouble is told");
    }

    #[test]
    fn good_news_asks_for_nothing() {
        let renewed = ItemView { state: "valid".into(), level: "ok".into(), next_step: None, ..expiring() };
        let news = of_notice("renewed", "notice", &renewed, &text(), now()).expect("a notification");
        assert_eq!((news.level, &news.step, &news.later), (Level::Ok, &None, &None));
        let now = now().with_timezone(&Local);
        assert_eq!(answer(&news, Reply::Dismissed, now), None);
    }

    #[test]
    fn what_was_begun_without_asking_can_be_undone() {
        let found = ItemView { state: "valid".into(), level: "ok".into(), next_step: None, ..expiring() };
        let news = of_notice("found", "notice", &found, &text(), now()).expect("a notification");
        assert_eq!(news.step.as_ref().map(|step| step.action.as_str()), Some("unwatch"));
        assert!(stands(&news, Some(&found)) && !stands(&news, None));
        assert_eq!(answer(&news, Reply::Step, Local::now()).map(|act| act.action).as_deref(), Some("unwatch"));
    }

    #[test]
    fn an_unknown_event_of_an_unknown_kind_is_told_all_the_same() {
        let parcel =
            ItemView { kind: "parcel".into(), name: "Parcel 7".into(), not_after: None, ..with_step("you", Some("collect")) };
        let news = of_notice("at-the-door", "notice", &parcel, &text(), now()).expect("a notification");
        assert_eq!(news.title, "Parcel 7");
        assert_eq!(news.step.expect("a step").action, "collect");
    }

    #[test]
    fn it_stands_as_long_as_its_step_does() {
        let news = warning();
        assert!(stands(&news, Some(&expiring())));
        assert!(!stands(&news, Some(&with_step("obnova", None))), "a renewal runs");
        assert!(!stands(&news, Some(&with_step("you", Some("unlock")))), "another step has taken its place");
        assert!(!stands(&news, Some(&ItemView { next_step: None, ..expiring() })), "renewed elsewhere");
        assert!(!stands(&news, None), "the item is gone");
        let silent = News { step: None, ..news };
        assert!(stands(&silent, Some(&ItemView { next_step: None, ..expiring() })), "it offered nothing that could end");
        let well = ItemView { level: "ok".into(), next_step: None, ..expiring() };
        assert!(!stands(&silent, Some(&well)), "what it warned of is over");
        assert!(stands(&News { level: Level::Ok, ..silent }, Some(&well)), "good news is not overtaken by being true");
    }

    #[test]
    fn each_reply_asks_for_what_it_means() {
        let now = now().with_timezone(&Local);
        let action = |reply| answer(&warning(), reply, now).map(|act| act.action);
        assert_eq!(action(Reply::Step).as_deref(), Some("renew"));
        assert_eq!(action(Reply::Later).as_deref(), Some("snooze"));
        assert_eq!(action(Reply::Dismissed).as_deref(), Some("dismiss"));
        assert_eq!(action(Reply::Gone), None);
        let until = answer(&warning(), Reply::Later, now).and_then(|act| act.options.until).expect("until when");
        let until = DateTime::parse_from_rfc3339(&until).expect("RFC 3339").with_timezone(&Local);
        assert_eq!(until.time(), LATER);
        assert_eq!(until.date_naive(), now.date_naive() + Days::new(1));
    }

    #[test]
    fn tomorrow_is_counted_where_the_person_is() {
        let east = FixedOffset::east_opt(3 * 3600).expect("an offset");
        let late = east.with_ymd_and_hms(2026, 12, 31, 23, 30, 0).single().expect("a date");
        assert_eq!(tomorrow(&late), "2027-01-01T06:00:00Z");
    }

    #[test]
    fn a_click_that_failed_says_why() {
        let problem = ProblemView { kind: "already-renewing".into(), who: "you".into(), ..Default::default() };
        let news = of_failure("i1", &problem, &text());
        assert!(!news.title.is_empty() && !news.body.is_empty());
        assert_eq!(news.step, None);
    }
}
