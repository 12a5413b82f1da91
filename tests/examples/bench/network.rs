//! Authorities in the network: what of a renewal's time is not waiting for them. The key lies in a file that nothing protects, the
//! authority is the tests' own on this machine, and a new key on P-256 is made each time.

use std::fs;
use std::path::Path;

use obnova_api::{ItemView, ManagerProxy, Options};
use obnova_tests::authority::StandIn;
use obnova_tests::twins::Use;
use obnova_tests::{Agent, KeyKind, Made, eventually};
use openssl::pkey::PKey;

use super::Household;
use super::process::Running;
use super::shares::{self, WHOSE};
use super::table::{Row, Table, say};

/// How often each protocol renews.
const RUNS: usize = 5;

/// What each renewal may take besides the authority's time and the person's.
const LIMIT: f64 = 0.1;

/// Renews by each protocol.
pub(crate) async fn report(programs: &Path, table: &mut Table) {
    for protocol in ["signed-request", "est"] {
        say(&format!("renewals by {protocol}"));
        let mut renewals = Vec::new();
        for _ in 0..RUNS {
            renewals.push(renewed(programs, protocol).await);
        }
        let sum = |whose: &[&str]| -> Vec<f64> {
            let columns: Vec<usize> = whose.iter().filter_map(|name| WHOSE.iter().position(|other| other == name)).collect();
            let of_one =
                |steps: &shares::Shares| steps.iter().flat_map(|(_, times)| columns.iter().map(|at| times[*at])).sum::<f64>();
            renewals.iter().map(|steps| of_one(steps) / 1e6).collect()
        };
        table.head(&format!("a renewal by {protocol}"));
        table.add(Row::new("all", "s", sum(&["all"])));
        table.add(Row::new("at the authority", "s", sum(&["authority"])));
        table.add(Row::new("in obnova-helper: keys, signatures, trials", "s", sum(&["helper"])));
        table.add(Row::new("outside of authority and person", "s", sum(&["helper", "own"])).limit(Some(LIMIT)));
    }
}

/// One renewal: microseconds by step.
async fn renewed(programs: &Path, protocol: &str) -> shares::Shares {
    let stand_in = StandIn::start();
    let household = Household::new(programs).await;
    let configuration = household.scratch.path().join("obnova/programmes.d");
    fs::create_dir_all(&configuration).expect("a directory");
    stand_in.write_programme(protocol, &configuration.join(format!("{protocol}.toml")), str::to_owned);
    let key = KeyKind::P256.generate();
    let public = PKey::public_key_from_der(&key.public_key_to_der().expect("DER")).expect("a public key");
    let old = Made { certificate: stand_in.issued("Anna Novak", &public, Use::Signing, 20), key };
    let file = household.scratch.path().join("anna.crt");
    fs::write(&file, old.pem()).expect("written");
    fs::write(file.with_extension("key"), old.key_pem()).expect("written");

    let log = household.scratch.path().join("log");
    let mut command = household.obnovad();
    command.env("OBNOVA_LOG", "warn,obnovad::shares=debug").env("HOME", household.scratch.path());
    command.stderr(fs::File::create(&log).expect("a file"));
    let (_daemon, _) = Running::start(&mut command, &household.connection, "org.obnova.Daemon1").await;
    let manager = ManagerProxy::new(&household.connection).await.expect("a proxy");
    let watched = household.obnova(&["watch", file.to_str().expect("UTF-8")]).status().await.expect("obnova runs");
    assert!(watched.success());
    let agent = Agent::with_secret(&household.bus, "").await;
    agent.register(false).await;
    let filter = [("all".to_owned(), true.into())].into_iter().collect();
    let items: Vec<ItemView> = manager.items(filter, "", 100).await.expect("items").0;
    let identity = items.iter().find(|item| item.kind == "identity").expect("a certificate");
    agent.manager().await.act(&identity.id, "renew", &Options::default()).await.expect("begun");
    eventually("the last share", async || shares::read(&log).last().is_some_and(|(step, _)| step == "end").then_some(())).await;
    assert_eq!(stand_in.counted().certificates, 1);
    agent.leave().await;
    shares::read(&log)
}
