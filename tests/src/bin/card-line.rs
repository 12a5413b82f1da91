//! The daemon's readers without the daemon, for tests: takes what is to be done as lines of JSON, and answers each with one;
//! what happens at the readers comes in between. It runs where a test's readers are, which no thread of the test can.
//!
//! With `exclusive READER` or `transaction READER` it is somebody else, who holds a card until its input ends.

use std::io::{self, BufRead, Write};
use std::sync::Arc;

use obnova_core::Place;
use obnova_secret::Secret;
use obnovad::cards::readers::{ReaderEvent, Readers};
use obnovad::cards::secrets::Secrets;
use serde_json::{Value, json};
use tokio::sync::mpsc;

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [how, reader] = arguments.as_slice() {
        return hold(how == "exclusive", reader);
    }
    let (readers, mut events) = Readers::start()?;
    let (lines, mut asked) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            if lines.send(line).is_err() {
                return;
            }
        }
    });
    loop {
        tokio::select! {
            biased;
            Some(event) = events.recv() => say(&told(&event))?,
            line = asked.recv() => match line {
                Some(line) => say(&json!({ "answer": answer(&readers, &line).await }))?,
                None => break,
            },
        }
    }
    let began = std::time::Instant::now();
    drop(readers);
    say(&json!({ "event": "ended", "reader": null, "milliseconds": began.elapsed().as_millis() }))
}

fn hold(exclusively: bool, reader: &str) -> io::Result<()> {
    let context = pcsc::Context::establish(pcsc::Scope::System).expect("a service");
    let mode = if exclusively { pcsc::ShareMode::Exclusive } else { pcsc::ShareMode::Shared };
    let reader = std::ffi::CString::new(reader).expect("a name");
    let mut card = context.connect(&reader, mode, pcsc::Protocols::ANY).expect("a card");
    let transaction = card.transaction().expect("a transaction");
    say(&json!({ "event": "held", "reader": null }))?;
    io::stdin().lock().lines().for_each(drop);
    transaction.end(pcsc::Disposition::LeaveCard).map_err(|(_, error)| io::Error::other(error))
}

async fn answer(readers: &Readers, line: &str) -> Value {
    let asked: Value = serde_json::from_str(line).expect("JSON");
    if let Some(reader) = asked["look"].as_str() {
        return json!(readers.look(reader).await);
    }
    if asked["readers"] == true {
        let shown = readers.readers().into_iter().map(|reader| {
            json!({ "name": reader.name, "inserted": reader.inserted, "place": reader.place, "held": reader.held, "atr": reader.atr })
        });
        return json!({ "service": format!("{:?}", readers.service()), "readers": shown.collect::<Vec<_>>() });
    }
    let secret = |name: &str| {
        asked[name].as_str().map(|text| Arc::new(Secret::from_slice(&mut text.as_bytes().to_vec()).expect("a secret")))
    };
    let secrets = Secrets {
        pin: secret("pin"),
        new_pin: secret("new-pin"),
        puk: secret("puk"),
        management_key: secret("management-key"),
        last_try: asked["last-try"] == true,
    };
    let place: Place = serde_json::from_value(asked["place"].clone()).expect("a place");
    let step = serde_json::from_value(asked["step"].clone()).expect("a step");
    json!(readers.perform(&place, step, secrets).await)
}

fn told(event: &ReaderEvent) -> Value {
    let (event, reader) = match event {
        ReaderEvent::CardInserted { reader } => ("inserted", Some(reader)),
        ReaderEvent::CardRemoved { reader } => ("removed", Some(reader)),
        ReaderEvent::CardReleased { reader } => ("released", Some(reader)),
        ReaderEvent::ServiceCame => ("came", None),
        ReaderEvent::ServiceGone => ("gone", None),
        ReaderEvent::NotInFront => ("not-in-front", None),
    };
    json!({ "event": event, "reader": reader })
}

fn say(line: &Value) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}
