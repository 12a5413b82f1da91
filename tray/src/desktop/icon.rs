//! The icon beside the clock and its menu, on a plain thread: the library underneath brings a runtime of its own, which must
//! not meet ours. Knows menus, not items.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use tokio::sync::mpsc::UnboundedSender;
use tracing::{debug, warn};
use tray_icon::menu::{Menu as Drawn, MenuEvent, MenuItem, PredefinedMenuItem};
use tray_icon::{Icon, TrayIcon, TrayIconBuilder};

use super::{Response, picture};
use crate::menu::{Click, Entry, Menu};

/// What the icon is called on the bus and by panels that remember where it stood.
const NAME: &str = "obnova";

/// Why there is no icon.
#[derive(Debug, thiserror::Error)]
pub enum IconError {
    /// Its thread cannot be started.
    #[error("cannot start the thread of the tray icon")]
    Thread(#[source] std::io::Error),
    /// The picture is not one.
    #[error("the picture of the tray icon is broken")]
    Picture(#[source] png::DecodingError),
    /// The picture has a size that icons cannot have.
    #[error("the picture of the tray icon has the wrong size")]
    Size(#[source] tray_icon::BadIcon),
    /// The menu cannot be made.
    #[error("cannot make the menu of the tray icon")]
    Menu(#[source] tray_icon::menu::Error),
    /// The session's bus or its panel refuses it.
    #[error("cannot show the tray icon")]
    Refused(#[source] tray_icon::Error),
}

/// Where menus go.
pub(super) struct Thread {
    menus: Sender<Option<Menu>>,
}

impl Thread {
    /// Shows this, or nothing.
    pub(super) fn show(&self, menu: Option<Menu>) {
        if self.menus.send(menu).is_err() {
            debug!("the thread of the tray icon has ended");
        }
    }
}

/// Starts the thread; it ends when the returned handle is dropped, and takes the icon with it.
pub(super) fn start(respond: UnboundedSender<Response>) -> Result<Thread, IconError> {
    let (menus, taken) = channel();
    MenuEvent::set_event_handler(Some(move |event: MenuEvent| {
        if let Some(click) = click_of(&event.id.0)
            && respond.send(Response::Menu(click)).is_err()
        {
            debug!("a click came after the end");
        }
    }));
    thread::Builder::new().name("icon".into()).spawn(move || run(&taken)).map_err(IconError::Thread)?;
    Ok(Thread { menus })
}

fn run(menus: &Receiver<Option<Menu>>) {
    let mut icon: Option<(TrayIcon, Menu)> = None;
    while let Ok(mut wanted) = menus.recv() {
        // Only the newest counts.
        while let Ok(newer) = menus.try_recv() {
            wanted = newer;
        }
        match (&mut icon, wanted) {
            (_, None) => icon = None,
            (Some((_, shown)), Some(wanted)) if *shown == wanted => {}
            (Some((icon, shown)), Some(wanted)) => match update(icon, shown, &wanted) {
                Ok(()) => *shown = wanted,
                Err(error) => warn!(error = &error as &dyn std::error::Error, "the tray icon is out of date"),
            },
            (None, Some(wanted)) => match build(&wanted) {
                Ok(built) => icon = Some((built, wanted)),
                Err(error) => warn!(error = &error as &dyn std::error::Error, "no tray icon"),
            },
        }
    }
}

/// Without a panel that shows icons it succeeds, too: the icon appears when one comes.
fn build(menu: &Menu) -> Result<TrayIcon, IconError> {
    TrayIconBuilder::new()
        .with_id(NAME)
        .with_title("Obnova")
        .with_tooltip(&menu.tooltip)
        .with_icon(drawn(menu)?)
        .with_menu(Box::new(entries(menu)?))
        .build()
        .map_err(IconError::Refused)
}

fn update(icon: &mut TrayIcon, shown: &Menu, menu: &Menu) -> Result<(), IconError> {
    if shown.level != menu.level {
        icon.set_icon(Some(drawn(menu)?)).map_err(IconError::Refused)?;
    }
    if shown.tooltip != menu.tooltip {
        icon.set_tooltip(Some(&menu.tooltip)).map_err(IconError::Refused)?;
    }
    // A new menu closes one that is open: only where something has changed.
    if shown.entries != menu.entries {
        icon.set_menu(Some(Box::new(entries(menu)?)));
    }
    Ok(())
}

fn drawn(menu: &Menu) -> Result<Icon, IconError> {
    let picture = picture::of(menu.level).map_err(IconError::Picture)?;
    Icon::from_rgba(picture.rgba, picture.width, picture.height).map_err(IconError::Size)
}

fn entries(menu: &Menu) -> Result<Drawn, IconError> {
    let drawn = Drawn::new();
    for entry in &menu.entries {
        let added = match entry {
            Entry::Line(text) => drawn.append(&MenuItem::new(plain(text), false, None)),
            Entry::Button { label, click } => drawn.append(&MenuItem::with_id(id_of(click), plain(label), true, None)),
            Entry::Separator => drawn.append(&PredefinedMenuItem::separator()),
        };
        added.map_err(IconError::Menu)?;
    }
    Ok(drawn)
}

/// `&` marks a mnemonic; a name that has one means the letter.
fn plain(text: &str) -> String {
    text.replace('&', "&&")
}

/// Actions are single words, so that the first space parts the two.
fn id_of(click: &Click) -> String {
    format!("{} {}", click.action, click.item)
}

fn click_of(id: &str) -> Option<Click> {
    let (action, item) = id.split_once(' ')?;
    Some(Click { item: item.to_owned(), action: action.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_click_comes_back_as_it_was_given() {
        let click = Click { item: "an id with spaces".into(), action: "renew".into() };
        assert_eq!(click_of(&id_of(&click)), Some(click));
        assert_eq!(click_of("13"), None, "a line has an id of the library's");
    }
}
