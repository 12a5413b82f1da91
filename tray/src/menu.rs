//! What the tray's menu says of the items: pure, from views to lines and buttons. Knows nothing of how a menu is drawn, nor of
//! any kind of item.

use std::cmp::Reverse;

use chrono::{DateTime, Utc};
use obnova_api::{ItemView, Level, ProblemView, StatusView};
use obnova_text::Text;

/// The most items that a menu shows; what is left over is counted in its last line.
pub const SHOWN: usize = 12;

/// A menu and the icon that it hangs on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Menu {
    /// The worst level of all items: the colour of the icon.
    pub level: Level,
    /// One line beside the icon.
    pub tooltip: String,
    /// From top to bottom.
    pub entries: Vec<Entry>,
}

/// One line of a menu.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Something to read.
    Line(String),
    /// Something to click.
    Button {
        /// What it says.
        label: String,
        /// What it does.
        click: Click,
    },
    /// The line between two items.
    Separator,
}

/// What a click asks the daemon to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Click {
    /// The id of the item.
    pub item: String,
    /// The action, as `Act` takes it.
    pub action: String,
}

/// The menu for the most urgent items and the daemon's own account of all; `None` when there are no items: nothing is to be
/// seen then.
pub fn of_items(items: &[ItemView], status: &StatusView, text: &Text, now: DateTime<Utc>) -> Option<Menu> {
    let mut worst_first: Vec<&ItemView> = items.iter().collect();
    // Stable: within a level the daemon's order of urgency stays.
    worst_first.sort_by_key(|item| Reverse(Level::of(&item.level)));
    let level = Level::of(&worst_first.first()?.level);

    let mut entries = Vec::new();
    for item in worst_first.into_iter().take(SHOWN) {
        let step = step(item, text, now);
        if !entries.is_empty() && step.is_some() {
            entries.push(Entry::Separator);
        }
        entries.push(Entry::Line(line(item, text, now)));
        entries.extend(step);
    }
    let all = status.levels.values().sum::<u64>();
    let left = all.saturating_sub(SHOWN.try_into().unwrap_or(u64::MAX));
    if items.len() > SHOWN && left > 0 {
        entries.push(Entry::Separator);
        entries.push(Entry::Line(text.say("tray-more", &[("count", &left.to_string())])));
    }
    Some(Menu { level, tooltip: text.status_line(status, now), entries })
}

/// The menu while the daemon does not answer.
pub fn of_silence(text: &Text) -> Menu {
    let advice = text.problem(&ProblemView { kind: "unreachable".into(), ..Default::default() });
    Menu {
        level: Level::Notice,
        tooltip: advice.sentence.clone(),
        entries: vec![Entry::Line(advice.sentence), Entry::Line(advice.hint)],
    }
}

/// "Anna Novak — ends soon · renew by 3 Nov · ends 10 Nov".
fn line(item: &ItemView, text: &Text, now: DateTime<Utc>) -> String {
    let state = text.state(item);
    match text.deadline(item, now) {
        Some(deadline) => text.say("tray-item-dated", &[("name", &item.name), ("state", &state), ("deadline", &deadline)]),
        None => text.say("tray-item", &[("name", &item.name), ("state", &state)]),
    }
}

/// The item's next step below it: to click where it is done from here, to read where another does it.
fn step(item: &ItemView, text: &Text, now: DateTime<Utc>) -> Option<Entry> {
    let next = item.next_step.as_ref()?;
    match &next.action {
        Some(action) => Some(Entry::Button {
            label: text.say("tray-action", &[("action", &text.action(action))]),
            click: Click { item: item.id.clone(), action: action.clone() },
        }),
        None if next.who == "obnova" => None,
        None => text.next_step(item, now).map(|step| Entry::Line(text.say("tray-action", &[("action", &step)]))),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use chrono::{FixedOffset, TimeZone};
    use obnova_api::NextStepView;

    use super::*;

    fn now() -> DateTime<Utc> {
        Utc.with_ymd_and_hms(2026, 10, 20, 12, 0, 0).single().expect("a date")
    }

    fn text() -> Text {
        Text::for_environment("C").in_zone(FixedOffset::east_opt(0).expect("UTC"))
    }

    fn item(id: &str, level: Level, action: Option<&str>) -> ItemView {
        ItemView {
            id: id.into(),
            kind: "parcel".into(),
            name: format!("Parcel {id}"),
            state: "under-way".into(),
            level: level.as_str().into(),
            next_step: action.map(|action| NextStepView {
                who: "you".into(),
                what: "collect".into(),
                by: None,
                action: Some(action.into()),
            }),
            ..Default::default()
        }
    }

    fn status(count: u64) -> StatusView {
        StatusView { watched: count, levels: BTreeMap::from([("ok".to_owned(), count)]), ..Default::default() }
    }

    fn lines(menu: &Menu) -> Vec<&str> {
        menu.entries
            .iter()
            .map(|entry| match entry {
                Entry::Line(line) => line.as_str(),
                Entry::Button { label, .. } => label.as_str(),
                Entry::Separator => "---",
            })
            .collect()
    }

    #[test]
    fn without_items_there_is_nothing_to_see() {
        assert_eq!(of_items(&[], &status(0), &text(), now()), None);
    }

    #[test]
    fn the_worst_stands_first_and_colours_the_icon() {
        let items = [
            item("a", Level::Ok, None),
            item("b", Level::Critical, Some("collect")),
            item("c", Level::Warning, Some("collect")),
            item("d", Level::Critical, None),
        ];
        let menu = of_items(&items, &status(4), &text(), now()).expect("a menu");
        assert_eq!(menu.level, Level::Critical);
        assert_eq!(
            lines(&menu),
            [
                "Parcel b — under way",
                "    Collect",
                "Parcel d — under way",
                "---",
                "Parcel c — under way",
                "    Collect",
                "Parcel a — under way"
            ]
        );
        let Entry::Button { click, .. } = &menu.entries[1] else { panic!("the step is clicked") };
        assert_eq!(click, &Click { item: "b".into(), action: "collect".into() });
        assert_eq!(menu.tooltip.lines().count(), 1);
    }

    #[test]
    fn a_step_of_another_is_read_and_one_of_ours_is_not_shown() {
        let mut asked = item("a", Level::Warning, None);
        asked.next_step = Some(NextStepView { who: "authority".into(), what: "wait".into(), by: None, action: None });
        let mut busy = item("b", Level::Notice, None);
        busy.next_step = Some(NextStepView { who: "obnova".into(), what: "wait".into(), by: None, action: None });
        let menu = of_items(&[asked, busy], &status(2), &text(), now()).expect("a menu");
        assert_eq!(lines(&menu), ["Parcel a — under way", "    The authority is at work", "Parcel b — under way"]);
    }

    #[test]
    fn dates_stand_beside_the_state() {
        let mut dated = item("a", Level::Warning, None);
        dated.state = "expiring".into();
        dated.deadline = Some("2026-11-03T12:00:00Z".into());
        dated.not_after = Some("2026-11-10T12:00:00Z".into());
        let menu = of_items(&[dated], &status(1), &text(), now()).expect("a menu");
        assert_eq!(lines(&menu), ["Parcel a — ends soon · renew by 3 Nov · ends 10 Nov"]);
    }

    #[test]
    fn what_is_left_over_is_counted() {
        let items: Vec<_> = (0..=SHOWN).map(|n| item(&n.to_string(), Level::Ok, None)).collect();
        let menu = of_items(&items, &status(1000), &text(), now()).expect("a menu");
        assert_eq!(menu.entries.len(), SHOWN + 2);
        assert!(lines(&menu).last().expect("a last line").contains("988"));
        let exact = of_items(&items[..SHOWN], &status(SHOWN as u64), &text(), now()).expect("a menu");
        assert_eq!(exact.entries.len(), SHOWN);
    }

    #[test]
    fn silence_is_said_aloud() {
        let menu = of_silence(&text());
        assert_eq!(menu.level, Level::Notice);
        assert!(menu.entries.iter().all(|entry| matches!(entry, Entry::Line(line) if !line.is_empty())));
    }
}
