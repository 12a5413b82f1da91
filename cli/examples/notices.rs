//! Prints every notification as a person is to read it, where no tray shows it. `make demo` runs it.
//!
//! Says `listening` on standard error once none can be missed any more; ends with the bus.

use std::error::Error;
use std::io::{Write, stderr, stdout};

use chrono::{Local, Utc};
use futures_util::StreamExt as _;
use obnova_api::ManagerProxy;
use obnova_text::Text;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let text = Text::for_environment("");
    let manager = ManagerProxy::new(&zbus::Connection::session().await?).await?;
    let mut signals = manager.receive_noticed().await?;
    writeln!(stderr(), "listening")?;
    while let Some(signal) = signals.next().await {
        let noticed = signal.args()?;
        let notice = text.notice(&noticed.event, &manager.item(&noticed.id).await?, Utc::now());
        let buttons: Vec<String> =
            notice.action_label.iter().chain([&notice.later_label]).map(|label| format!("[ {label} ]")).collect();
        let lines = [notice.title.as_str()].into_iter().chain(notice.body.lines()).filter(|line| !line.is_empty());
        let mut out = stdout().lock();
        writeln!(out, "{}", Local::now().format("%H:%M:%S"))?;
        for line in lines.chain([buttons.join("  ").as_str()]) {
            writeln!(out, "  │ {line}")?;
        }
    }
    Ok(())
}
