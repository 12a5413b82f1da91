//! The desktop as the tray knows it: orders go to it, and what the person did comes back. Owns the icon's thread and the
//! notifications' task; decides nothing of what is shown.

mod icon;
mod notifications;
mod picture;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use zbus::Connection;

use crate::menu::{Click, Menu};
use crate::news::{News, Reply};

pub use icon::IconError;

/// What the desktop is to show.
#[derive(Clone, Debug, PartialEq)]
pub enum Order {
    /// This icon with this menu; `None`: no icon.
    Menu(Option<Menu>),
    /// This notification, in place of the one that its item has.
    Show(News),
    /// No notification of this item any more.
    Withdraw(String),
}

/// What the person did.
#[derive(Clone, Debug, PartialEq)]
pub enum Response {
    /// Clicked in the menu.
    Menu(Click),
    /// Replied to the notification of an item.
    News(String, Reply),
}

/// The two ends that the rest of the tray holds; a test holds the other two.
pub struct Desktop {
    /// Takes orders. It never blocks: the daemon coalesces what makes them.
    pub orders: UnboundedSender<Order>,
    /// Gives responses.
    pub responses: UnboundedReceiver<Response>,
}

/// Opens the desktop of this session: the icon over a connection of its own, the notifications over `session`.
pub fn open(session: Connection) -> Result<Desktop, IconError> {
    let (orders, mut taken) = unbounded_channel();
    let (respond, responses) = unbounded_channel();
    let icon = icon::start(respond.clone())?;
    let (news, news_taken) = unbounded_channel();
    tokio::spawn(notifications::run(session, news_taken, respond));
    tokio::spawn(async move {
        while let Some(order) = taken.recv().await {
            let wanted = match order {
                Order::Menu(menu) => {
                    icon.show(menu);
                    continue;
                }
                Order::Show(news) => (news.item.clone(), Some(news)),
                Order::Withdraw(item) => (item, None),
            };
            if news.send(wanted).is_err() {
                return;
            }
        }
    });
    Ok(Desktop { orders, responses })
}
