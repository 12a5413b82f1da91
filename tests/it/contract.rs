//! The D-Bus contract: what is served stands in the introspection files of `crates/api`; pages, filters, errors, signals and jobs,
//! over a socket pair and over a bus alike.

mod agents;
mod introspection;

use std::collections::BTreeSet;
use std::path::Path;

use chrono::Duration;
use obnova_api::dict::Dictionary;
use obnova_api::{ItemView, JobProxy, PAGE};
use obnova_tests::{Bus, Recipe, eventually};
use tempfile::TempDir;
use zbus::message::Type;
use zbus::zvariant::Value;

use crate::inside::{Inside, clock, pem};

/// More than one page, and less than two.
const MANY: usize = 150;

#[tokio::test]
async fn the_contract_holds_over_a_socket_pair() {
    let scratch = TempDir::new().expect("a directory");
    let daemon = Inside::start(&scratch.path().join("state"), &clock()).await;
    hold(&daemon, scratch.path()).await;
    daemon.stop().await;
}

#[tokio::test]
async fn the_contract_holds_over_a_bus() {
    let scratch = TempDir::new().expect("a directory");
    let bus = Bus::start().await;
    let daemon = Inside::start_on(&bus, &scratch.path().join("state"), &clock()).await;
    hold(&daemon, scratch.path()).await;
    daemon.stop().await;
}

async fn hold(daemon: &Inside, scratch: &Path) {
    errors_have_names(daemon).await;
    let directory = scratch.join("many");
    many(&directory);
    daemon.watch(&format!("file:{}", directory.display())).await;
    pages_are_whole(daemon).await;
    filters_filter(daemon).await;
    changes_come_together(daemon).await;
    a_page_survives_the_item_before_it(daemon, &directory).await;
    a_job_is_there_until_it_ends(daemon, scratch).await;
    signals_carry_ids_only(daemon);
}

/// Certificates of one key: making a key takes longer than all the rest.
fn many(directory: &Path) {
    std::fs::create_dir(directory).expect("a directory");
    let key = obnova_tests::KeyKind::P256.generate();
    for number in 0..MANY {
        let made = Recipe::new(&format!("Holder {number}"))
            .days_left(25 + i64::try_from(number).expect("small"))
            .make_with(key.clone());
        std::fs::write(directory.join(format!("{number}.pem")), [made.pem(), made.key_pem()].concat()).expect("written");
    }
}

async fn errors_have_names(daemon: &Inside) {
    let nobody = "0123456789abcdef";
    let options = Dictionary::new;
    let flag = |key: &str, value: Value<'_>| Dictionary::from([(key.to_owned(), value.try_to_owned().expect("a value"))]);
    let no_such_item = "org.obnova.Error.NoSuchItem";
    let invalid = "org.obnova.Error.InvalidArgument";
    for id in [nobody, "", "no id", "../../etc", "ÿ"] {
        fails(daemon, "Item", &id, no_such_item).await;
        fails(daemon, "Act", &(id, "renew", options()), no_such_item).await;
        fails(daemon, "Unwatch", &id, no_such_item).await;
        for action in ["change-pin", "unblock"] {
            fails(daemon, "Act", &(id, action, options()), no_such_item).await;
        }
        if !id.is_empty() {
            fails(daemon, "Doctor", &id, no_such_item).await;
        }
    }
    let cards = daemon.manager.items(flag("kind", Value::from("card")), "", 10).await.expect("a page");
    assert_eq!(cards, (Vec::new(), String::new()), "no card is no error");
    fails(daemon, "Act", &(nobody, "dance", options()), invalid).await;
    fails(daemon, "Items", &(options(), nobody, 10_u32), no_such_item).await;
    fails(daemon, "Items", &(options(), "no id", 10_u32), no_such_item).await;
    fails(daemon, "Items", &(flag("all", Value::from("yes")), "", 10_u32), invalid).await;
    fails(daemon, "Items", &(flag("kind", Value::from(7_u32)), "", 10_u32), invalid).await;
    fails(daemon, "Log", &(flag("since", Value::from("yesterday")), 0_u64, 10_u32), invalid).await;
    fails(daemon, "Log", &(flag("last", Value::from("three")), 0_u64, 10_u32), invalid).await;
    for place in ["", "anna.p12", "file:anna.pem", "gopher:/anna", "file:/%zz", "file:/%00"] {
        fails(daemon, "Watch", &(place, options()), "org.obnova.Error.InvalidPlace").await;
    }
    fails(daemon, "Watch", &("file:/", flag("to", Value::from("/tmp/x"))), invalid).await;
    fails(daemon, "Watch", &("file:/nonexistent/anna.pem", options()), "org.obnova.Error.PlaceMissing").await;
    assert!(daemon.items().await.is_empty(), "what failed has left nothing");
}

/// Calls the manager without the proxy, which would turn the error's name into a kind.
async fn fails<B>(daemon: &Inside, method: &str, body: &B, name: &str)
where
    B: zbus::export::serde::Serialize + zbus::zvariant::DynamicType + std::fmt::Debug,
{
    let interface = Some("org.obnova.Manager1");
    let called = daemon.client.call_method(Some(obnova_api::BUS_NAME), obnova_api::MANAGER_PATH, interface, method, body).await;
    match called {
        Err(zbus::Error::MethodError(found, ..)) => assert_eq!(found.as_str(), name, "{method} {body:?}"),
        other => panic!("{method} {body:?}: {other:?}"),
    }
}

async fn pages_are_whole(daemon: &Inside) {
    let whole = walk(daemon, PAGE).await;
    let names: BTreeSet<&str> = whole.iter().map(|item| item.name.as_str()).collect();
    // The directory is no item as long as it holds something.
    assert_eq!((whole.len(), names.len()), (MANY, MANY));
    for size in [1000, 7, 1] {
        assert_eq!(walk(daemon, size).await, whole, "pages of {size}");
    }
    let (first, next) = page(daemon, "", 1000).await;
    assert_eq!(first.len(), PAGE as usize, "no page is larger, whatever is asked for");
    assert_eq!((page(daemon, &next, 1000).await.1).as_str(), "", "the last page says so");
    let deadlines: Vec<_> = whole.iter().filter(|item| item.kind == "identity").map(|item| &item.deadline).collect();
    assert!(deadlines.is_sorted(), "the most urgent first");
}

async fn walk(daemon: &Inside, size: u32) -> Vec<ItemView> {
    let (mut all, mut after) = (Vec::new(), String::new());
    loop {
        let (items, next) = page(daemon, &after, size).await;
        all.extend(items);
        if next.is_empty() {
            return all;
        }
        after = next;
    }
}

async fn page(daemon: &Inside, after: &str, size: u32) -> (Vec<ItemView>, String) {
    daemon.manager.items(Dictionary::new(), after, size).await.expect("a page")
}

async fn filters_filter(daemon: &Inside) {
    let kinds = async |kind: &str| {
        let filter = Dictionary::from([("kind".to_owned(), Value::from(kind).try_to_owned().expect("a value"))]);
        let (items, _) = daemon.manager.items(filter, "", 100).await.expect("a page");
        assert!(items.iter().all(|item| item.kind == kind), "{items:?}");
        items.len()
    };
    assert_eq!(kinds("place").await, 0);
    assert_eq!(kinds("identity").await, PAGE as usize);
    assert_eq!(kinds("parcel").await, 0);
    let shown = daemon.items().await;
    let whole = daemon.manager.item(&shown[0].id).await.expect("the item");
    assert_eq!(whole, shown[0], "one item is what the list says of it");
    let dictionary = daemon.manager.item_as_dictionary(&shown[0].id).await.expect("the item");
    let required = ["id", "kind", "name", "owner", "scope", "state", "level"];
    assert!(required.iter().all(|key| dictionary.contains_key(*key)), "{dictionary:?}");
}

async fn changes_come_together(daemon: &Inside) {
    daemon.settle().await;
    let heard = eventually("every item in a signal", async || {
        let signals = daemon.signals("Changed");
        let ids: Vec<Vec<String>> =
            signals.iter().map(|signal| signal.body().deserialize::<(Vec<String>, u64)>().expect("ids, revision").0).collect();
        let all: BTreeSet<&String> = ids.iter().flatten().collect();
        (all.len() >= MANY).then_some(ids.len())
    })
    .await;
    assert!(heard < 10, "{heard} signals for {MANY} certificates that were found at once");
    let revisions: Vec<u64> = daemon
        .signals("Changed")
        .iter()
        .map(|signal| signal.body().deserialize::<(Vec<String>, u64)>().expect("ids, revision").1)
        .collect();
    assert!(revisions.is_sorted_by(|earlier, later| earlier < later), "{revisions:?}");
    assert_eq!(daemon.manager.status().await.expect("a status").revision, *revisions.last().expect("a revision"));
}

/// Somebody reads page by page, and what stood last on the page before is gone when the next one is asked for.
async fn a_page_survives_the_item_before_it(daemon: &Inside, directory: &Path) {
    let whole = walk(daemon, PAGE).await;
    let (first, next) = page(daemon, "", PAGE).await;
    let last = first.last().expect("a hundred items");
    let path = last.place.as_deref().and_then(|place| place.strip_prefix("file:")).expect("a file");
    assert!(Path::new(path).starts_with(directory), "{path}");
    std::fs::remove_file(path).expect("removed");
    let id = last.id.clone();
    eventually("the item has gone", async || daemon.manager.item(&id).await.err()).await;
    let (second, end) = page(daemon, &next, PAGE).await;
    assert_eq!(second, whole[first.len()..], "nothing is left out");
    assert_eq!(end, "");
}

async fn a_job_is_there_until_it_ends(daemon: &Inside, scratch: &Path) {
    let (_, place) = pem(scratch, "Anna", 20);
    daemon.watch(&place).await;
    let anna = daemon.items().await.into_iter().find(|item| item.name == "Anna").expect("an item");
    let path = daemon.act(&anna.id, "renew").await;
    let waiting = daemon.renewal("waiting").await;
    assert_eq!(waiting.job.as_deref(), Some(path.as_str()));
    let job = JobProxy::builder(&daemon.client).path(path.clone()).expect("a path").build().await.expect("a proxy");
    let view = job.status().await.expect("a status");
    assert_eq!((view.state.as_str(), view.subject, view.name.as_str()), ("waiting", anna.id.clone(), "Anna"));
    assert_eq!(view.problem.map(|problem| problem.kind).as_deref(), Some("no-agent"));
    let steps: Vec<_> = view.steps.iter().map(|step| (step.step.as_str(), step.state.as_str())).collect();
    assert_eq!(steps[..3], [("preflight", "done"), ("consent", "active"), ("generate-keys", "pending")]);

    let agent = daemon.willing_agent(false).await;
    job.retry().await.expect("resumed");
    eventually("the job has left", async || match job.status().await {
        Err(obnova_api::Error::Bus(zbus::Error::MethodError(name, ..))) => Some(name),
        Err(obnova_api::Error::Bus(zbus::Error::FDO(_))) => Some("fdo".try_into().expect("a name")),
        _ => None,
    })
    .await;
    let done = daemon.renewal("done").await;
    assert_eq!((done.job, done.item), (None, Some(anna.id)));
    assert!(!daemon.signals("Changed").is_empty());
    assert_eq!(agent.secrets_asked(), 0, "an unprotected key needs no secret");
}

fn signals_carry_ids_only(daemon: &Inside) {
    let signals = daemon.all_signals();
    let members: BTreeSet<String> = signals
        .iter()
        .map(|signal| {
            assert_eq!(signal.message_type(), Type::Signal);
            let (header, body) = (signal.header(), signal.body());
            let member = header.member().expect("a member").to_string();
            let interface = header.interface().expect("an interface").as_str();
            let ids = match (interface, member.as_str()) {
                ("org.obnova.Manager1", "Changed") => body.deserialize::<(Vec<String>, u64)>().expect("ids, revision").0,
                ("org.obnova.Manager1", "Removed") => body.deserialize().expect("ids"),
                ("org.obnova.Manager1", "Noticed") => {
                    let (id, event, level) = body.deserialize::<(String, String, String)>().expect("three words");
                    let word = |text: &str| text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
                    assert!(word(&event) && word(&level), "{event} {level}");
                    vec![id]
                }
                ("org.obnova.Job1", "Changed") => {
                    assert!(body.is_empty(), "a job's signal says nothing");
                    vec![]
                }
                // What the bus and the object server say by themselves.
                (other, _) => panic!("{other}.{member} is not in the contract"),
            };
            let id = |id: &String| id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
            assert!(ids.iter().all(id), "{ids:?}");
            member
        })
        .collect();
    assert_eq!(members.into_iter().collect::<Vec<_>>(), ["Changed", "Noticed", "Removed"]);
}

#[tokio::test]
async fn the_revision_moves_with_time_alone() {
    let scratch = TempDir::new().expect("a directory");
    let daemon = Inside::start(&scratch.path().join("state"), &clock()).await;
    let (_, place) = pem(scratch.path(), "Anna", 25);
    daemon.watch(&place).await;
    daemon.settle().await;
    let before = daemon.manager.status().await.expect("a status").revision;
    daemon.pass(Duration::days(1)).await;
    assert_eq!(daemon.manager.status().await.expect("a status").revision, before, "nothing looks otherwise");
    daemon.pass(Duration::days(4)).await;
    let after = daemon.manager.status().await.expect("a status").revision;
    assert!(after > before);
    eventually("a signal of it", async || {
        let revision = |signal: &zbus::Message| signal.body().deserialize::<(Vec<String>, u64)>().expect("ids, revision").1;
        daemon.signals("Changed").iter().any(|signal| revision(signal) == after).then_some(())
    })
    .await;
    daemon.stop().await;
}
