//! Notifications under a person's mouse, and under a stranger's hands.

use obnova_api::{ItemView, QuestionView};
use zbus::zvariant::OwnedFd;

use super::{BODY, LATER, RENEW, act_after, anna, with_anna};
use crate::tray::manager::World;

#[tokio::test]
async fn a_notification_is_clicked_put_off_and_closed() {
    let (desk, bus, world) = with_anna(&[]).await;
    let notice = async || {
        world.state().acts.clear();
        World::notice(&bus, "a1", "three-weeks", "warning").await;
        desk.appears("xfce4-notifyd").await;
    };

    notice().await;
    desk.keep_picture("notification");
    let (id, action, _) = act_after(&desk, &world, RENEW).await;
    assert_eq!((id.as_str(), action.as_str()), ("a1", "renew"));
    desk.disappears("xfce4-notifyd").await;

    notice().await;
    let (id, action, options) = act_after(&desk, &world, LATER).await;
    assert_eq!((id.as_str(), action.as_str()), ("a1", "snooze"));
    let until = chrono::DateTime::parse_from_rfc3339(&options.until.expect("until when")).expect("RFC 3339");
    let wait = until.to_utc() - chrono::Utc::now();
    assert!(wait > chrono::Duration::hours(8) && wait < chrono::Duration::hours(34), "tomorrow at nine, not in {wait}");
    desk.disappears("xfce4-notifyd").await;

    notice().await;
    let (id, action, _) = act_after(&desk, &world, BODY).await;
    assert_eq!((id.as_str(), action.as_str()), ("a1", "dismiss"));
    desk.disappears("xfce4-notifyd").await;

    // A newer one takes the place of the older, and the end of the step takes it off.
    notice().await;
    World::notice(&bus, "a1", "today", "critical").await;
    let renewed = ItemView { next_step: None, state: "valid".into(), level: "ok".into(), ..anna() };
    desk.keep_picture("critical");
    world.change(&bus, renewed).await;
    desk.disappears("xfce4-notifyd").await;
    assert_eq!(world.state().acts, [], "nobody did anything");
}

#[tokio::test]
async fn nobody_but_the_server_speaks_for_the_person() {
    let (desk, bus, world) = with_anna(&[]).await;
    World::notice(&bus, "a1", "three-weeks", "warning").await;
    desk.appears("xfce4-notifyd").await;
    let stranger = desk.connect().await;
    let tray = world.state().agents[0].0.clone();
    for destination in [None, Some(tray.as_str())] {
        for number in 1..20_u32 {
            let signal = ("/org/freedesktop/Notifications", "org.freedesktop.Notifications");
            stranger.emit_signal(destination, signal.0, signal.1, "ActionInvoked", &(number, "step")).await.expect("sent");
        }
    }
    // The bus keeps the order of what one connection is sent: this answer tells that the forgeries have been there.
    let question = QuestionView { id: "q".into(), ..QuestionView::default() };
    let (_reading, writing) = obnova_secret::pipe().expect("a pipe");
    let asked: zbus::Result<_> = stranger
        .call_method(
            Some(tray.as_str()),
            obnova_api::AGENT_PATH,
            Some("org.obnova.Agent1"),
            "Secret",
            &(question, OwnedFd::from(writing)),
        )
        .await;
    let error = obnova_api::Error::from(asked.expect_err("a stranger asks"));
    assert_eq!(error.kind(), Some("not-authorized"));
    assert_eq!(world.state().acts, []);
    assert_eq!(act_after(&desk, &world, RENEW).await.1, "renew");
}
