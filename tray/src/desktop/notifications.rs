//! Notifications on the session's bus (Desktop Notifications Specification 1.2): shown, replaced, withdrawn, and what the
//! person does with them. Knows no items beyond their ids.
//!
//! notify-rust describes them; they travel over our own connection and not over one of its own, because GNOME answers only
//! the connection that asked, lets none but that one replace what it shows, and because the answers are subscribed to before
//! there can be one, from none but the server.

use std::collections::{BTreeMap, HashMap};

use futures_util::StreamExt;
use notify_rust::{Notification, Timeout, Urgency};
use obnova_api::Level;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tracing::{debug, warn};
use zbus::fdo::DBusProxy;
use zbus::names::UniqueName;
use zbus::zvariant::Value;
use zbus::{Connection, MatchRule, Message, MessageStream};

use super::{Response, picture};
use crate::news::{News, Reply};

const NAME: &str = "org.freedesktop.Notifications";
const PATH: &str = "/org/freedesktop/Notifications";

/// The keys of the two buttons.
const STEP: &str = "step";
const LATER: &str = "later";

/// Reasons of `NotificationClosed`, as the specification numbers them.
const CLOSED_BY_PERSON: u32 = 2;

/// Answers that may wait while a call is under way. Only the server's own get this far.
const QUEUE: usize = 256;

/// An item, and the notification that it is to have, if any.
type Wanted = (String, Option<News>);

/// Serves until the orders or the connection end.
pub(super) async fn run(bus: Connection, mut orders: UnboundedReceiver<Wanted>, respond: UnboundedSender<Response>) {
    let mut notifications =
        Notifications { bus, shown: BTreeMap::new(), waiting: BTreeMap::new(), server: None, missed: false };
    if let Err(error) = notifications.serve(&mut orders, &respond).await {
        warn!(error = &error as &dyn std::error::Error, "no notifications");
    }
}

struct Notifications {
    bus: Connection,
    /// The items that have one, by the server's numbers.
    shown: BTreeMap<u32, String>,
    /// What no server was there to show, by item.
    waiting: BTreeMap<String, News>,
    /// The server that showed the last one.
    server: Option<Server>,
    /// Whether it has been said that there is no server.
    missed: bool,
}

struct Server {
    /// The connection that speaks for it.
    owner: String,
    /// It reads the body as markup.
    markup: bool,
}

impl Notifications {
    async fn serve(&mut self, orders: &mut UnboundedReceiver<Wanted>, respond: &UnboundedSender<Response>) -> zbus::Result<()> {
        let rule =
            MatchRule::builder().msg_type(zbus::message::Type::Signal).sender(NAME)?.path(PATH)?.interface(NAME)?.build();
        let mut answers = MessageStream::for_match_rule(rule, &self.bus, Some(QUEUE)).await?;
        let names = DBusProxy::new(&self.bus).await?;
        let mut owners = names.receive_name_owner_changed_with_args(&[(0, NAME)]).await?;
        loop {
            tokio::select! {
                order = orders.recv() => match order {
                    Some((_, Some(news))) => self.show(news).await,
                    Some((item, None)) => self.withdraw(&item).await,
                    None => return Ok(()),
                },
                answer = answers.next() => match answer {
                    Some(Ok(answer)) => {
                        if let Some((item, reply)) = self.take(&answer)
                            && respond.send(Response::News(item, reply)).is_err()
                        {
                            return Ok(());
                        }
                    }
                    Some(Err(error)) => debug!(%error, "an answer that cannot be read"),
                    None => return Ok(()),
                },
                changed = owners.next() => match changed {
                    Some(changed) => {
                        let owner = changed.args()?.new_owner.as_ref().map(UniqueName::to_string);
                        self.server_changed(owner.as_deref()).await;
                    }
                    None => return Ok(()),
                },
            }
        }
    }

    async fn show(&mut self, news: News) {
        let replaced = self.shown.iter().find(|(_, item)| **item == news.item).map(|(number, _)| *number);
        match self.notify(&news, replaced.unwrap_or(0)).await {
            Ok(number) => {
                if let Some(replaced) = replaced {
                    self.shown.remove(&replaced);
                }
                self.shown.insert(number, news.item);
                self.missed = false;
            }
            Err(error) => {
                if !self.missed {
                    warn!(
                        error = &error as &dyn std::error::Error,
                        "nobody shows notifications; they wait until somebody does"
                    );
                }
                self.missed = true;
                self.waiting.insert(news.item.clone(), news);
            }
        }
    }

    /// Asks the server to show it (starting one that the bus can start), and says what number it has there.
    async fn notify(&mut self, news: &News, replaces: u32) -> zbus::Result<u32> {
        let markup = self.reads_markup().await?;
        let notification = described(news, markup);
        let hints: HashMap<&str, Value<'_>> = notification.hints.iter().map(Into::into).chain(image(news.level)).collect();
        let content = (
            &notification.appname,
            replaces,
            &notification.icon,
            &notification.summary,
            &notification.body,
            &notification.actions,
            hints,
            i32::from(notification.timeout),
        );
        let reply = self.bus.call_method(Some(NAME), PATH, Some(NAME), "Notify", &content).await?;
        if let Some(owner) = reply.header().sender() {
            self.server = Some(Server { owner: owner.to_string(), markup });
        }
        reply.body().deserialize()
    }

    async fn reads_markup(&self) -> zbus::Result<bool> {
        if let Some(server) = &self.server {
            return Ok(server.markup);
        }
        let reply = self.bus.call_method(Some(NAME), PATH, Some(NAME), "GetCapabilities", &()).await?;
        let capabilities: Vec<String> = reply.body().deserialize()?;
        Ok(capabilities.iter().any(|capability| capability == "body-markup"))
    }

    async fn withdraw(&mut self, item: &str) {
        self.waiting.remove(item);
        let numbers: Vec<u32> = self.shown.iter().filter(|(_, shown)| *shown == item).map(|(number, _)| *number).collect();
        for number in numbers {
            self.shown.remove(&number);
            let closed = self.bus.call_method(Some(NAME), PATH, Some(NAME), "CloseNotification", &number).await;
            if let Err(error) = closed {
                debug!(%error, number, "a notification had gone already");
            }
        }
    }

    /// What an answer of the server says of one that is shown. An action ends it: what the server tells after that is nothing new.
    fn take(&mut self, answer: &Message) -> Option<(String, Reply)> {
        let header = answer.header();
        let server = self.server.as_ref()?;
        if header.sender().is_none_or(|sender| sender.as_str() != server.owner) {
            debug!("an answer that is not from the server");
            return None;
        }
        let (number, reply) = match header.member()?.as_str() {
            "ActionInvoked" => {
                let (number, key): (u32, String) = answer.body().deserialize().ok()?;
                match key.as_str() {
                    STEP => (number, Reply::Step),
                    LATER => (number, Reply::Later),
                    _ => return None,
                }
            }
            "NotificationClosed" => {
                let (number, reason): (u32, u32) = answer.body().deserialize().ok()?;
                (number, if reason == CLOSED_BY_PERSON { Reply::Dismissed } else { Reply::Gone })
            }
            _ => return None,
        };
        Some((self.shown.remove(&number)?, reply))
    }

    /// Another server knows nothing of what the last one showed; one that comes gets what waited for it.
    async fn server_changed(&mut self, owner: Option<&str>) {
        if self.server.as_ref().is_some_and(|server| owner == Some(server.owner.as_str())) {
            return;
        }
        self.server = None;
        self.shown.clear();
        if owner.is_some() {
            for (_, news) in std::mem::take(&mut self.waiting) {
                self.show(news).await;
            }
        }
    }
}

fn described(news: &News, markup: bool) -> Notification {
    let mut notification = Notification::new();
    let body = if markup { escaped(&news.body) } else { news.body.clone() };
    // Nothing is of low urgency: GNOME would put it away unseen, and good news is waited for.
    let (urgency, timeout) = match news.level {
        Level::Ok | Level::Notice | Level::Warning => (Urgency::Normal, Timeout::Default),
        Level::Critical => (Urgency::Critical, Timeout::Never),
    };
    notification.appname("Obnova").summary(&news.title).body(&body).urgency(urgency).timeout(timeout);
    if let Some(step) = &news.step {
        notification.action(STEP, &step.label);
    }
    if let Some(later) = &news.later {
        notification.action(LATER, later);
    }
    notification
}

/// The icon of the level as the hint `image-data`, which needs nothing to be installed.
fn image(level: Level) -> Option<(&'static str, Value<'static>)> {
    let picture = match picture::of(level) {
        Ok(picture) => picture,
        Err(error) => {
            warn!(error = &error as &dyn std::error::Error, "a notification without its picture");
            return None;
        }
    };
    let (width, height) = (i32::try_from(picture.width).ok()?, i32::try_from(picture.height).ok()?);
    // Width, height, bytes per row, alpha, bits per sample, channels, samples.
    Some(("image-data", Value::from((width, height, width * 4, true, 8_i32, 4_i32, picture.rgba))))
}

/// Text that a reader of markup shows as it is.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::news::Step;

    fn news(level: Level) -> News {
        News {
            item: "i1".into(),
            level,
            title: "R&D <certificate>".into(),
            body: "~/R&D/<new>.p12".into(),
            step: Some(Step { label: "Renew".into(), action: "renew".into() }),
            later: Some("Later".into()),
        }
    }

    #[test]
    fn the_critical_ones_stay_and_all_offer_one_step_and_later() {
        let critical = described(&news(Level::Critical), false);
        assert_eq!(i32::from(critical.timeout), 0, "0: never expires");
        assert_eq!(critical.actions, [STEP, "Renew", LATER, "Later"]);
        let warning = described(&news(Level::Warning), false);
        assert_eq!(i32::from(warning.timeout), -1, "-1: as the server likes");
        let hints: Vec<(&str, Value<'_>)> = critical.hints.iter().map(Into::into).collect();
        assert_eq!(hints, [("urgency", Value::U8(2))]);
    }

    #[test]
    fn markup_in_a_name_is_no_markup() {
        assert_eq!(described(&news(Level::Ok), true).body, "~/R&amp;D/&lt;new&gt;.p12");
        assert_eq!(described(&news(Level::Ok), false).body, "~/R&D/<new>.p12");
        assert_eq!(described(&news(Level::Ok), true).summary, "R&D <certificate>", "the title is never markup");
    }

    #[test]
    fn the_picture_has_the_signature_of_the_specification() {
        let (_, value) = image(Level::Warning).expect("a picture");
        assert_eq!(value.value_signature().to_string(), "(iiibiiay)");
    }
}
