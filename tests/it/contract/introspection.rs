//! The introspection files of `crates/api` against what daemon, command line and tray serve. After a change of the contract
//! `UPDATE=1 cargo test -p obnova-tests --test it introspection` writes them anew.

use std::path::PathBuf;

use obnova_api::{AGENT_PATH, AGENT_XML, BUS_NAME, ItemView, JOB_XML, MANAGER_PATH, MANAGER_XML, NextStepView};
use obnova_text::Text;
use obnova_tray::agent::{Agent, Pinentry};
use tempfile::TempDir;
use tokio::net::UnixStream;
use tokio::sync::Notify;
use zbus::fdo::IntrospectableProxy;
use zbus::{Connection, Guid};

use crate::cli;
use crate::inside::{Inside, clock, pem};

#[tokio::test]
async fn the_daemon_serves_what_stands_in_the_introspection_files() {
    let scratch = TempDir::new().expect("a directory");
    let daemon = Inside::start(&scratch.path().join("state"), &clock()).await;
    let (_, place) = pem(scratch.path(), "Anna", 20);
    daemon.watch(&place).await;
    let job = daemon.act(&daemon.identity().await.id, "renew").await;
    daemon.renewal("waiting").await;
    compare(&daemon.client, MANAGER_PATH, "org.obnova.Manager1", MANAGER_XML).await;
    compare(&daemon.client, &job, "org.obnova.Job1", JOB_XML).await;
    daemon.stop().await;
}

#[tokio::test]
async fn the_tray_serves_the_agent_of_the_introspection_file() {
    let (ours, theirs) = UnixStream::pair().expect("a socket pair");
    let server = zbus::connection::Builder::unix_stream(ours).server(Guid::generate()).expect("a server").p2p();
    let agent = Agent::new(Pinentry::default(), Text::for_environment("C"));
    let tray = zbus::connection::Builder::unix_stream(theirs).p2p().serve_at(AGENT_PATH, agent).expect("a path");
    let (daemon, _tray) = tokio::try_join!(server.build(), tray.build()).expect("a connection");
    compare(&daemon, AGENT_PATH, "org.obnova.Agent1", AGENT_XML).await;
}

#[tokio::test]
async fn the_command_line_serves_the_agent_of_the_introspection_file() {
    let next_step = NextStepView { who: "you".into(), what: "renew".into(), by: None, action: Some("renew".into()) };
    let anna = ItemView {
        id: "a1a1a1a1a1a1a1a1".into(),
        kind: "identity".into(),
        name: "Anna".into(),
        state: "expiring".into(),
        next_step: Some(next_step),
        ..ItemView::default()
    };
    let (daemon, connection) = cli::Daemon::with(vec![anna]).await;
    let (begun, looked) = (std::sync::Arc::new(Notify::new()), std::sync::Arc::new(Notify::new()));
    let (begins, may_end) = (begun.clone(), looked.clone());
    daemon.plays(move |run| {
        let (begun, looked) = (begins.clone(), may_end.clone());
        async move {
            begun.notify_one();
            looked.notified().await;
            run.ends("cancelled", "").await;
        }
    });
    let (answers, _open) = std::io::pipe().expect("a pipe");
    let line = format!("renew Anna --wait --secret-fd {}", std::os::fd::AsRawFd::as_raw_fd(&answers));
    let looking = async {
        begun.notified().await;
        let proxy = daemon.agent_at(BUS_NAME).await;
        compare(proxy.inner().connection(), AGENT_PATH, "org.obnova.Agent1", AGENT_XML).await;
        looked.notify_one();
    };
    tokio::join!(cli::run(&connection, &line), looking);
}

/// Compares one interface of an object with its file; with `UPDATE=1` writes the file.
async fn compare(connection: &Connection, path: &str, interface: &str, expected: &str) {
    let builder = IntrospectableProxy::builder(connection).destination(BUS_NAME).expect("a name").path(path).expect("a path");
    let served = builder.build().await.expect("a proxy").introspect().await.expect("introspection data");
    let served = document(&served, interface);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(file(interface), &served).expect("written");
        return;
    }
    assert_eq!(
        served,
        expected,
        "{} is not what is served at {path}: `UPDATE=1 cargo test -p obnova-tests --test it introspection` writes it anew",
        file(interface).display()
    );
}

fn file(interface: &str) -> PathBuf {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    root.with_file_name("crates").join("api/introspection").join(format!("{interface}.xml"))
}

/// A document with this interface alone, one element to a line, without comments: these differ from server to server.
fn document(served: &str, interface: &str) -> String {
    let start =
        served.find(&format!("<interface name=\"{interface}\">")).unwrap_or_else(|| panic!("no {interface} in {served}"));
    let length = served[start..].find("</interface>").expect("an end") + "</interface>".len();
    let mut text = served[start..start + length].to_owned();
    while let (Some(from), Some(to)) = (text.find("<!--"), text.find("-->")) {
        text.replace_range(from..to + 3, "");
    }
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let mut out = String::from("<!DOCTYPE node PUBLIC \"-//freedesktop//DTD D-BUS Object Introspection 1.0//EN\"\n");
    out.push_str(" \"http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd\">\n<node>\n");
    let mut depth = 1;
    for line in lines {
        if line.starts_with("</") {
            depth -= 1;
        }
        out.push_str(&"  ".repeat(depth));
        out.push_str(line);
        out.push('\n');
        if !line.starts_with("</") && !line.ends_with("/>") {
            depth += 1;
        }
    }
    out.push_str("</node>\n");
    out
}
