//! One renewal with one mishap, from the click to its end, and what must hold at every standstill.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use obnova_api::ItemView;
use obnova_api::dict::Dictionary;
use obnova_core::{Certificate, Programme};
use obnova_tests::arithmetic::OpenSslKeys;
use obnova_tests::twins::{CardAuthority, Use};
use obnova_tests::{Agent, Answer, Asked, eventually, program};
use obnovad::authorities::simulated::Simulated;
use obnovad::cards::piv::Transmit;
use obnovad::cards::piv::simulated::{FIRST_MADE, Fault, Hang, Kind, SimulatedCard};
use obnovad::cards::readers::Readers;
use obnovad::cards::readers::simulated::SimulatedReader;
use obnovad::helper::Helper;
use tempfile::TempDir;

use super::Mishap;
use crate::inside::{Inside, clock};

const P256: u8 = 0x11;
const VERIFY: u8 = 0x20;
const ONCE: u8 = 2;
const ALWAYS: u8 = 3;

/// Seeds of the keys that lie on the card: the twins', that of the mail, and a stranger's.
const COMMERCIAL: u32 = 1;
const QUALIFIED: u32 = 2;
const MAIL: u32 = 3;
const FOREIGN: u32 = 4;

/// A click that did not help is not repeated more often than this.
const CLICKS: usize = 2;

/// How a run ended: at which problems it stood still, and what state it is in at last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct End {
    stops: Vec<String>,
    state: String,
}

impl fmt::Display for End {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for stop in &self.stops {
            write!(formatter, "{stop}, ")?;
        }
        formatter.write_str(&self.state)
    }
}

impl Mishap {
    fn fault(self, hang: &Hang) -> Fault {
        match self {
            Self::Pulled { after } => Fault::Pulled { after },
            Self::Broken { after } => Fault::Broken { after },
            Self::Says { after, status } => Fault::Says { after, answer: status.to_be_bytes().to_vec() },
            Self::Stopped { after } => Fault::Hangs { after, hang: hang.clone() },
        }
    }
}

/// What every run begins with.
pub(super) struct Scenery {
    card: SimulatedCard,
    /// The authority's directory, with its key.
    authority: TempDir,
    programme: Programme,
}

impl Scenery {
    pub(super) fn set() -> Self {
        let keys = Arc::new(OpenSslKeys::default());
        let issuer = CardAuthority::new();
        let certificate = |seed, usage| {
            let key = keys.public(P256, seed).expect("a key");
            issuer.issue("Anna Novak", &key, usage, 20).to_der().expect("DER")
        };
        let card = SimulatedCard::new(Kind::YubiKey, Arc::<OpenSslKeys>::clone(&keys))
            .with_key(0x9A, P256, ONCE, COMMERCIAL)
            .with_certificate(0x9A, &certificate(COMMERCIAL, Use::Agreeing))
            .with_key(0x9C, P256, ALWAYS, QUALIFIED)
            .with_certificate(0x9C, &certificate(QUALIFIED, Use::Binding))
            .with_key(0x9D, P256, ONCE, MAIL)
            .with_key(0x85, P256, ONCE, FOREIGN);
        let path = format!("{}/fixtures/programmes/card-twins.toml", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(&path).expect("the programme");
        let programme = Programme::parse("card-twins.toml", &text).expect("a programme");
        let authority = scratch();
        let directory = authority.path().join("simulated-authority");
        let ca =
            runtime().block_on(async { Simulated::at(directory, Helper::at(program("obnova-helper"))).ca().await.map(drop) });
        ca.expect("an authority");
        Self { card, authority, programme }
    }

    /// The commands of a renewal at which nothing happens.
    pub(super) fn plain(&self) -> Vec<[u8; 5]> {
        let mut run = Run::new(self);
        let commands = runtime().block_on(async {
            let daemon = run.begin().await;
            let before = run.reader.at_card(|card| card.came.len());
            run.click(&daemon).await;
            let stop = run.stands_still(&daemon).await;
            assert_eq!(stop.state, "done", "{stop:?}");
            run.holds(&stop, &daemon).await.expect("nothing has happened");
            daemon.stop().await;
            run.reader.at_card(|card| card.came.split_off(before))
        });
        drop(run);
        commands
    }

    /// How many APDUs one look at the card takes.
    pub(super) fn look(&self) -> usize {
        let mut run = Run::new(self);
        runtime().block_on(async {
            let daemon = run.begin().await;
            daemon.stop().await;
            run.reader.at_card(|card| card.sent)
        })
    }

    /// The card is seen though it fails once at the APDU of this number after it was inserted.
    pub(super) fn inserted_with(&self, at: usize, mishap: Mishap) {
        let mut run = Run::new(self);
        run.reader.at_card(|card| card.fault = Some((at, mishap.fault(&Hang::default()))));
        runtime().block_on(async {
            let daemon = run.begin().await;
            assert_eq!(daemon.identity().await.certificates.map(|all| all.len()), Some(2), "{at}: {mishap}");
            assert!(run.reader.at_card(|card| card.sent) >= at);
            daemon.stop().await;
        });
    }

    /// A renewal with a mishap at the APDU of this number, of which the first after the click is 1.
    pub(super) fn with(&self, at: usize, mishap: Mishap) -> Result<End, String> {
        let mut run = Run::new(self);
        let runtime = runtime();
        // A panic, too, is an end.
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| runtime.block_on(run.through(at, mishap))));
        runtime.shutdown_background();
        outcome.unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().cloned();
            Err(text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_default())
        })
    }
}

/// One renewal.
struct Run {
    state: TempDir,
    programme: Programme,
    reader: SimulatedReader,
    clock: obnovad::clock::SimulatedClock,
    /// At which APDU the PIN was asked for.
    asked: Arc<Mutex<Vec<usize>>>,
    old: BTreeMap<u8, Vec<u8>>,
    agent: Option<Agent>,
}

impl Run {
    fn new(scenery: &Scenery) -> Self {
        let state = scratch();
        let (from, to) = (scenery.authority.path().join("simulated-authority"), state.path().join("simulated-authority"));
        std::fs::create_dir(&to).expect("a directory");
        for entry in std::fs::read_dir(from).expect("a directory") {
            let entry = entry.expect("an entry");
            std::fs::copy(entry.path(), to.join(entry.file_name())).expect("copied");
        }
        let old = [0x9A, 0x9C].map(|slot| (slot, scenery.card.certificate(slot).expect("a certificate")));
        Self {
            state,
            programme: scenery.programme.clone(),
            reader: SimulatedReader::new(scenery.card.clone()),
            clock: clock(),
            asked: Arc::default(),
            old: old.into(),
            agent: None,
        }
    }

    /// A daemon with an agent at it.
    async fn start(&mut self) -> Inside {
        let programme = self.programme.clone();
        let readers = Readers::simulated(&self.reader);
        let daemon = Inside::start_with(self.state.path(), &self.clock, |parts| {
            parts.programmes.push(programme);
            parts.readers = Some(readers);
        })
        .await;
        let (reader, asked) = (self.reader.clone(), Arc::clone(&self.asked));
        let agent = Agent::at(daemon.client.clone(), move |kind, question| {
            std::future::ready(match (kind, question.secret.as_deref()) {
                (Asked::Consent, _) => Answer::Yes,
                (_, Some("pin")) => {
                    asked.lock().expect("no panic while held").push(reader.at_card(|card| card.sent));
                    Answer::Secret("123456".to_owned())
                }
                _ => Answer::Refuse,
            })
        })
        .await;
        agent.register(false).await;
        self.agent = Some(agent);
        daemon
    }

    /// A daemon that has seen the card, and taken it up by itself.
    async fn begin(&mut self) -> Inside {
        let daemon = self.start().await;
        let seen = async || daemon.items().await.iter().any(|item| item.kind == "identity").then_some(());
        eventually("the card's certificates", seen).await;
        daemon
    }

    async fn click(&self, daemon: &Inside) {
        let item = daemon.identity().await;
        daemon.act(&item.id, "renew").await;
    }

    async fn through(&mut self, at: usize, mishap: Mishap) -> Result<End, String> {
        let mut daemon = self.begin().await;
        let hang = Hang::default();
        let fault = mishap.fault(&hang);
        self.reader.at_card(|card| {
            card.sent = 0;
            card.came.clear();
            card.fault = Some((at, fault));
        });
        self.click(&daemon).await;
        let mut stops = Vec::new();
        if let Mishap::Stopped { .. } = mishap {
            tokio::select! {
                () = hang.reached() => {}
                stop = self.stands_still(&daemon) => {
                    demand(self.came_near(at) && stop.state == "done", || format!("never came so far: {stop:?}"))?;
                    return Ok(End { stops: Vec::new(), state: stop.state });
                }
            }
            daemon.stop().await;
            hang.end();
            self.reader.insert();
            daemon = self.start().await;
        }
        let mut clicks = 0;
        let end = loop {
            let stop = self.stands_still(&daemon).await;
            self.holds(&stop, &daemon).await?;
            let Some(problem) = &stop.problem else { break stop };
            let kind = problem.kind.clone();
            if ["internal", "unclear", "quarantined"].contains(&kind.as_str()) {
                return Err(format!("stood still at {problem:?}"));
            }
            stops.push(kind.clone());
            let present = self.reader.at_card(|card| card.present);
            if !present {
                let resumed = resumptions(&daemon).await;
                self.reader.insert();
                if ["card-removed", "card-absent"].contains(&kind.as_str()) {
                    let goes_on = async || (resumptions(&daemon).await > resumed).then_some(());
                    eventually("the renewal goes on by itself", goes_on).await;
                    continue;
                }
            }
            // As it says: insert the card.
            if clicks > 0 && kind == "card-absent" {
                let resumed = resumptions(&daemon).await;
                self.reader.pull();
                self.reader.insert();
                let goes_on = async || (resumptions(&daemon).await > resumed).then_some(());
                eventually("the renewal goes on by itself", goes_on).await;
                continue;
            }
            if clicks == CLICKS {
                break stop;
            }
            clicks += 1;
            daemon.act(&stop.id, "resume").await;
        };
        let mut asked = 1 + resumptions(&daemon).await;
        if let Mishap::Says { status, .. } = mishap {
            self.asked_before_again(at, status)?;
            // A refused PIN is asked for again.
            asked += 1;
        }
        if let Mishap::Stopped { .. } = mishap {
            // The daemon has forgotten it.
            asked += 1;
        }
        let times = self.asked.lock().expect("no panic while held").len();
        demand(times <= asked, || format!("asked for the PIN {times} times"))?;
        demand(self.came_near(at), || "ended before the mishap".to_owned())?;
        daemon.stop().await;
        Ok(End { stops, state: end.state })
    }

    /// The renewal once it does not move any more.
    async fn stands_still(&self, daemon: &Inside) -> ItemView {
        let filter =
            || Dictionary::from([("kind".to_owned(), zbus::zvariant::Value::from("renewal").try_to_owned().expect("a value"))]);
        eventually("a renewal that stands still", async || {
            let (renewals, _) = daemon.manager.items(filter(), "", 100).await.expect("a page");
            assert!(renewals.len() <= 1, "{renewals:?}");
            renewals.into_iter().find(|renewal| renewal.state != "running")
        })
        .await
    }

    /// What must hold whenever nothing moves.
    async fn holds(&self, stop: &ItemView, daemon: &Inside) -> Result<(), String> {
        let card = self.reader.at_card(|card| card.clone());
        let done = stop.state == "done";
        let seeds: Vec<u32> = card.keys.values().map(|key| key.seed).collect();
        let slot_of = |seed: u32| card.keys.iter().find(|(_, key)| key.seed == seed).map(|(slot, _)| *slot);
        demand(card.harm.is_empty(), || format!("{:?}", card.harm))?;
        for seed in [COMMERCIAL, QUALIFIED, MAIL, FOREIGN] {
            demand(seeds.contains(&seed), || format!("key {seed} is lost: {seeds:?}"))?;
        }
        demand((slot_of(MAIL), slot_of(FOREIGN)) == (Some(0x9D), Some(0x85)), || "others' keys moved".to_owned())?;
        let new: Vec<u32> = seeds.iter().copied().filter(|seed| *seed >= FIRST_MADE).collect();
        demand(new.iter().all(|seed| *seed < FIRST_MADE + 2), || format!("more keys than planned: {new:?}"))?;
        demand(card.pin_left == 3 && card.puk_left == 3, || "tries were used up".to_owned())?;
        demand(!card.is_open(), || "the card is open".to_owned())?;
        for slot in card.keys.keys() {
            let refused = sign_with(&card, *slot);
            demand(refused == [0x69, 0x82], || format!("another process gets from {slot:02x}: {refused:02X?}"))?;
        }

        let counts = counts(self.state.path());
        demand(counts[1] == 0 && counts[0] <= 2 && counts[2] <= 1 && counts[3] <= 2, || format!("counted {counts:?}"))?;
        let in_place = slot_of(COMMERCIAL) == Some(0x9A) && slot_of(QUALIFIED) == Some(0x9C);
        let untouched = in_place && self.old.iter().all(|(slot, der)| card.certificate(*slot).as_ref() == Some(der));
        // A signature for the request, and one to prove the certificate; the one that may decrypt has done so, too.
        let proved = new.len() == 2 && new.iter().all(|seed| card.used.get(seed).is_some_and(|used| *used >= 2));
        demand(untouched || (proved && counts[3] == 2), || "the old pair went before the new one was proved".to_owned())?;
        if !done {
            return demand(stop.state == "waiting", || format!("is {}", stop.state));
        }
        demand(counts == [2, 0, 1, 2], || format!("counted {counts:?}"))?;
        let mut on_card = Vec::new();
        for (slot, pin) in [(0x9A, ONCE), (0x9C, ALWAYS)] {
            let key = card.keys.get(&slot).ok_or_else(|| format!("no key in {slot:02x}"))?;
            demand(key.seed >= FIRST_MADE && key.pin == pin, || format!("{key:?} in {slot:02x}"))?;
            let der = card.certificate(slot).ok_or_else(|| format!("no certificate in {slot:02x}"))?;
            demand(der != self.old[&slot], || format!("the old certificate in {slot:02x}"))?;
            on_card.push(obnova_core::Fingerprint::of(&der).to_string());
            let read = Certificate::from_der(&der).map_err(|error| error.to_string())?;
            demand(read.issuer() == "CN=Obnova simulated authority", || read.issuer().to_owned())?;
            let kept = card
                .keys
                .keys()
                .any(|other| (0x82..=0x95).contains(other) && card.certificate(*other).as_ref() == Some(&self.old[&slot]));
            demand(kept, || format!("the old certificate of {slot:02x} is nowhere"))?;
        }
        let item = daemon.identity().await;
        let mut shown: Vec<String> = item.certificates.unwrap_or_default().into_iter().map(|one| one.sha256).collect();
        shown.sort();
        on_card.sort();
        demand(shown == on_card && item.state == "valid", || format!("{} with {shown:?}, not {on_card:?}", item.state))
    }

    /// Signatures differ in length: of two renewals one may need a few pieces more.
    fn came_near(&self, at: usize) -> bool {
        self.reader.at_card(|card| card.sent) + 8 >= at
    }

    /// A PIN that was refused is not sent again before the person was asked again.
    fn asked_before_again(&self, at: usize, status: u16) -> Result<(), String> {
        let came = self.reader.at_card(|card| card.came.clone());
        let sends_pin = |head: &[u8; 5]| head[1] == VERIFY && head[4] == 8;
        let refuses = status & 0xFFF0 == 0x63C0 || status == 0x6983;
        if !refuses || !came.get(at - 1).is_some_and(sends_pin) {
            return Ok(());
        }
        let Some(again) = came.iter().skip(at).position(sends_pin).map(|later| at + later) else { return Ok(()) };
        let asked = self.asked.lock().expect("no panic while held").iter().any(|asked| (at..=again).contains(asked));
        demand(asked, || "a refused PIN was sent again".to_owned())
    }
}

fn demand(holds: bool, else_: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(else_()) }
}

/// What the card says to another process that wants a signature and has no PIN.
fn sign_with(card: &SimulatedCard, slot: u8) -> Vec<u8> {
    let mut card = card.clone();
    (card.fault, card.present) = (None, true);
    let mut command = vec![0, 0x87, P256, slot, 38, 0x7C, 36, 0x82, 0, 0x81, 32];
    command.extend([7; 32]);
    card.transmit(&command).map(|answer| answer.to_vec()).unwrap_or_default()
}

async fn resumptions(daemon: &Inside) -> usize {
    let log = daemon.manager.log(Dictionary::new(), 0, 1000).await.expect("a log");
    log.iter().filter(|line| line.event == "job-resumed").count()
}

/// What the simulated authority has counted: requests, refused ones, orders, certificates.
fn counts(state: &Path) -> [u64; 4] {
    let ledger = std::fs::read(state.join("simulated-authority/ledger.json")).expect("a ledger");
    let ledger: serde_json::Value = serde_json::from_slice(&ledger).expect("JSON");
    ["requests", "refused", "orders", "certificates"].map(|name| ledger[name].as_u64().expect("a number"))
}

/// In memory, where there is such a place: the disk is not what is tried here.
fn scratch() -> TempDir {
    let memory = PathBuf::from("/dev/shm");
    let made = if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() };
    made.expect("a directory")
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}
