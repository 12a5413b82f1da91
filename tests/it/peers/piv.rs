//! Our readers and our PIV layer against the card in software behind a real pcscd. OpenSSL judges what keys do; what else the card
//! is asked, OpenSC asks.

mod mishaps;
mod pins;
mod presence;
mod renewing;
mod transcripts;

use std::process::Stdio;

use obnova_core::Place;
use obnova_core::card::{Card, Presence, Spot, SpotState};
use obnova_core::certificate::KeyAlgorithm;
use obnova_core::job::Bytes;
use obnova_tests::card::{Algorithm, PinPolicy, Wire};
use obnova_tests::token::issued;
use obnova_tests::{CardKind, CardReader, Made, PATIENCE, Recipe, VirtualCard, program};
use obnovad::cards::step::{CardAnswer, CardError, CardStep};
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Public};
use openssl::sign::Verifier;
use openssl::x509::X509;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

const PIN: &str = "123456";
const MANAGEMENT_KEY: &str = "010203040506070801020304050607080102030405060708";
const READERS: [&str; 2] = ["Yubico YubiKey Virtual 00 00", "Yubico YubiKey Virtual 00 01"];

/// Our readers, in a process of their own among a test's readers.
struct Line {
    process: Child,
    commands: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    events: Vec<(String, Option<String>)>,
}

impl Line {
    fn start(readers: &CardReader) -> Self {
        Self::start_as(readers, &[])
    }

    /// The same program as somebody else, who holds a card until dropped.
    async fn holding(readers: &CardReader, how: &str, reader: &str) -> Self {
        let mut line = Self::start_as(readers, &[how, reader]);
        line.event("held", None).await;
        line
    }

    fn start_as(readers: &CardReader, arguments: &[&str]) -> Self {
        let mut command = readers.command(program("card-line"));
        command.args(arguments);
        Self::run(command)
    }

    fn run(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut process = command.spawn().expect("it runs");
        let commands = process.stdin.take().expect("a pipe");
        let answers = BufReader::new(process.stdout.take().expect("a pipe")).lines();
        Self { process, commands, answers, events: Vec::new() }
    }

    async fn next(&mut self) -> Option<Value> {
        let line = timeout(2 * PATIENCE, self.answers.next_line()).await.expect("in time").expect("read")?;
        let line: Value = serde_json::from_str(&line).expect("JSON");
        if let Some(event) = line["event"].as_str() {
            self.events.push((event.to_owned(), line["reader"].as_str().map(str::to_owned)));
        }
        Some(line)
    }

    /// Waits until this has happened, of late or now, and forgets what came before it.
    async fn event(&mut self, event: &str, reader: Option<&str>) {
        let wanted = (event.to_owned(), reader.map(str::to_owned));
        loop {
            if let Some(at) = self.events.iter().position(|found| *found == wanted) {
                self.events.drain(..=at);
                return;
            }
            assert!(self.next().await.is_some(), "ended before {wanted:?}");
        }
    }

    async fn ask(&mut self, asked: &Value) -> Value {
        self.commands.write_all(format!("{asked}\n").as_bytes()).await.expect("told");
        loop {
            let line = self.next().await.expect("an answer");
            if let Some(answer) = line.get("answer") {
                return answer.clone();
            }
        }
    }

    async fn look(&mut self, reader: &str) -> Result<Card, CardError> {
        let answer = self.ask(&json!({ "look": reader })).await;
        serde_json::from_value::<Result<Card, CardError>>(answer).expect("an outcome")
    }

    /// A step with these secrets: `pin`, `management-key`, …
    async fn step_with(&mut self, place: &Place, step: &CardStep, secrets: &Value) -> Result<CardAnswer, CardError> {
        let mut asked = secrets.clone();
        asked["place"] = json!(place);
        asked["step"] = json!(step);
        let answer = self.ask(&asked).await;
        serde_json::from_value::<Result<CardAnswer, CardError>>(answer).expect("an outcome")
    }

    /// A step with the right PIN and the management key of a new card.
    async fn step(&mut self, place: &Place, step: &CardStep) -> Result<CardAnswer, CardError> {
        self.step_with(place, step, &json!({ "pin": PIN, "management-key": MANAGEMENT_KEY })).await
    }

    async fn readers(&mut self) -> Value {
        self.ask(&json!({ "readers": true })).await
    }

    /// Ends it, and gives how many milliseconds that took.
    async fn end(self) -> u64 {
        let Self { mut process, commands, mut answers, .. } = self;
        drop(commands);
        let mut last = Value::Null;
        while let Some(line) = timeout(PATIENCE, answers.next_line()).await.expect("in time").expect("read") {
            last = serde_json::from_str(&line).expect("JSON");
        }
        assert!(process.wait().await.expect("a status").success());
        assert_eq!(last["event"], "ended", "{last}");
        last["milliseconds"].as_u64().expect("a number")
    }
}

/// A card in the first reader with keys and certificates as a person has them: RSA-2048 in 9A, P-256 in 9C, RSA-2048 in 9D.
struct Scene {
    line: Line,
    card: VirtualCard,
    readers: CardReader,
    place: Place,
    authority: Made,
    old: Vec<(&'static str, X509)>,
}

impl Scene {
    async fn new(kind: CardKind) -> Self {
        let readers = CardReader::start().await;
        let (authority, old) = Self::make(&readers, kind).await;
        let card = readers.insert(kind, &readers.state("anna")).await;
        let mut line = Line::start(&readers);
        line.event("inserted", Some(READERS[0])).await;
        let place = line.look(READERS[0]).await.expect("a card").place;
        Self { line, card, readers, place, authority, old }
    }

    async fn make(readers: &CardReader, kind: CardKind) -> (Made, Vec<(&'static str, X509)>) {
        let authority = Recipe::new("Authority").authority().make();
        let mut wire = Wire::open(kind, &readers.state("anna")).await;
        wire.administer().await;
        let mut old = Vec::new();
        for (name, slot, algorithm) in
            [("9a", 0x9A, Algorithm::Rsa2048), ("9c", 0x9C, Algorithm::P256), ("9d", 0x9D, Algorithm::Rsa2048)]
        {
            let key = wire.generate(slot, algorithm, PinPolicy::Usual).await;
            let certificate = issued("Anna Nová", "anna@example.org", &key, &authority, 20);
            wire.write_certificate(slot, &certificate.to_der().expect("DER")).await;
            old.push((name, certificate));
        }
        wire.close().await;
        (authority, old)
    }

    async fn look(&mut self) -> Card {
        self.line.look(READERS[0]).await.expect("a card")
    }

    async fn step(&mut self, step: &CardStep) -> Result<CardAnswer, CardError> {
        self.line.step(&self.place, step).await
    }

    fn old(&self, name: &str) -> &X509 {
        &self.old.iter().find(|(slot, _)| *slot == name).expect("a slot with a certificate").1
    }

    fn issue(&self, key: &PKey<Public>) -> X509 {
        issued("Anna Nová", "anna@example.org", key, &self.authority, 365)
    }

    async fn generate(&mut self, at: &str, algorithm: KeyAlgorithm, like: &str) -> Result<PKey<Public>, CardError> {
        let step = CardStep::Generate { spot: spot(at), algorithm, like: spot(like), label: String::new() };
        match self.step(&step).await? {
            CardAnswer::PublicKey { public_key } => Ok(PKey::public_key_from_der(&public_key.0).expect("a key")),
            other => panic!("{other:?}"),
        }
    }

    /// Has a key sign, and OpenSSL verify.
    async fn signs(&mut self, at: &str, key: &PKey<Public>) -> Result<(), CardError> {
        match self.step(&sign(at, key)).await? {
            CardAnswer::Signature { signature } => {
                let digest = if key.bits() == 384 { MessageDigest::sha384() } else { MessageDigest::sha256() };
                let mut verifier = Verifier::new(digest, key).expect("a verifier");
                assert!(verifier.verify_oneshot(&signature.0, MESSAGE).expect("verified"), "a wrong signature");
                Ok(())
            }
            other => panic!("{other:?}"),
        }
    }

    /// Whether the card still thinks that somebody has verified: what OpenSC's tool gets for an empty VERIFY.
    async fn is_closed(&self) -> bool {
        let select = "00:A4:04:00:05:A0:00:00:03:08";
        let asked = ["--reader", "0", "--card-driver", "default", "--send-apdu", select, "--send-apdu", "00:20:00:80"];
        let said = self.readers.run("opensc-tool", &asked).await.ends(0);
        assert!(said.out.contains("SW1=0x90"), "{}", said.out);
        said.out.contains("SW1=0x63")
    }
}

const MESSAGE: &[u8] = b"what is signed";

fn spot(name: &str) -> Spot {
    Spot(name.to_owned())
}

fn spki(key: &PKey<Public>) -> Bytes {
    Bytes(key.public_key_to_der().expect("DER"))
}

fn der(certificate: &X509) -> Bytes {
    Bytes(certificate.to_der().expect("DER"))
}

fn key_of(certificate: &X509) -> PKey<Public> {
    certificate.public_key().expect("a key")
}

fn sign(at: &str, key: &PKey<Public>) -> CardStep {
    CardStep::Sign { spot: spot(at), public_key: spki(key), message: Bytes(MESSAGE.to_vec()) }
}

fn install(at: &str, certificate: &X509) -> CardStep {
    CardStep::Install { spot: spot(at), certificate: der(certificate), label: String::new() }
}

fn state<'card>(card: &'card Card, name: &str) -> &'card SpotState {
    card.spots.iter().find(|state| state.spot.0 == name).unwrap_or_else(|| panic!("no spot {name}"))
}

const DONE: Result<CardAnswer, CardError> = Ok(CardAnswer::Done {});
