//! The system scope with a real polkitd: who sees what, who may do what, whose agent is asked.

use std::process::Stdio;

use obnova_api::{BUS_NAME, MANAGER_PATH, Options};
use obnova_tests::system::{ACTOR, LOOKER, NOBODY, SystemBus};
use obnova_tests::{Agent, Answer, Asked, Daemon, Made, Outcome, Recipe, eventually};
use tokio::io::{AsyncBufReadExt, BufReader};

/// A daemon in the system scope that watches one certificate with 20 days left.
struct Machine {
    system: SystemBus,
    daemon: Daemon,
    made: Made,
    id: String,
}

impl Machine {
    async fn start() -> Self {
        let system = SystemBus::start().await;
        let made = Recipe::new("Tajuplna").days_left(20).make();
        let path = system.write("skryte.pem", [made.pem(), made.key_pem()].concat());
        let daemon = system.serve(system.obnovad(&["--system"])).await;
        system.obnova_as(0, &["watch", path.to_str().expect("UTF-8")]).await.ends(0);
        let items = system.obnova_as(0, &["list", "--json"]).await.ends(0).json();
        let items: Vec<_> = items.as_array().expect("a list").iter().filter(|item| item["name"] == "Tajuplna").collect();
        let id = items.first().expect("the certificate")["id"].as_str().expect("an id").to_owned();
        Self { system, daemon, made, id }
    }

    /// What only those may see who may look.
    fn hidden(&self) -> Vec<String> {
        let serial = self.made.certificate.serial_number().to_bn().expect("a number").to_hex_str().expect("hex").to_lowercase();
        let names = ["tajuplna", "skryte", "example.org", "kůň", "cn="];
        names.into_iter().map(str::to_owned).chain([serial, self.made.sha256()]).collect()
    }

    fn assert_hidden(&self, what: &str, said: &str) {
        let small = said.to_lowercase();
        for hidden in self.hidden() {
            assert!(!small.contains(&hidden), "{what} shows {hidden}:\n{said}");
        }
    }

    /// A call as it stands on the wire.
    async fn call(&self, uid: u32, path: &str, method: &str, arguments: &[&str]) -> Outcome {
        let (bus, name) = (format!("--bus={}", self.system.address), format!("--dest={BUS_NAME}"));
        let mut all = vec![bus.as_str(), "--print-reply", &name, path, method];
        all.extend(arguments);
        self.system.run_as(uid, "/usr/bin/dbus-send", &all).await
    }

    async fn stop(mut self) {
        assert!(self.daemon.stop().await.success(), "{}", self.daemon.log());
    }
}

#[tokio::test]
async fn an_unprivileged_caller_sees_counts_states_and_dates() {
    let machine = Machine::start().await;
    let mut monitor = machine.system.command_as(NOBODY, "/usr/bin/dbus-monitor".as_ref());
    monitor.args(["--address", &machine.system.address, &format!("type='signal',path_namespace='{MANAGER_PATH}'")]);
    let mut monitor = monitor.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("dbus-monitor runs");
    let mut heard = BufReader::new(monitor.stdout.take().expect("a pipe")).lines();
    // Its first line comes once it listens.
    heard.next_line().await.expect("read").expect("a line");

    // A job and signals of it: it waits, for there is nobody to ask.
    machine.system.obnova_as(0, &["renew", "Tajuplna"]).await.ends(0);
    let (manager, id) = (machine.system.manager().await, machine.id.clone());
    let waiting = async || manager.item(&id).await.expect("an item").problem.map(|_| ());
    eventually("a renewal that waits", waiting).await;

    let interface = "org.obnova.Manager1";
    let id = format!("string:{}", machine.id);
    // dbus-send cannot write variants: with filters the command line asks, below.
    let calls: [(String, Vec<&str>); 2] = [(format!("{interface}.Item"), vec![&id]), (format!("{interface}.Status"), vec![])];
    for (method, arguments) in calls {
        let plain = machine.call(NOBODY, MANAGER_PATH, &method, &arguments).await.ends(0);
        machine.assert_hidden(&method, &plain.out);
        // The same for one who may look: what was hidden was there to be seen.
        if method.ends_with(".Item") {
            let whole = machine.call(LOOKER, MANAGER_PATH, &method, &arguments).await.ends(0);
            let small = whole.out.to_lowercase();
            // An address is in the certificate and in no view.
            for hidden in machine.hidden().iter().filter(|hidden| *hidden != "example.org") {
                assert!(small.contains(hidden.as_str()), "{hidden} in {}", whole.out);
            }
            for seen in [machine.id.as_str(), "renewing", "not_after", "deadline"] {
                assert!(plain.out.contains(seen), "{seen} in {}", plain.out);
            }
        }
    }
    for path in ["/", "/org/obnova", "/org/obnova/job", "/org/obnova/job/1"] {
        let told = machine.call(NOBODY, path, "org.freedesktop.DBus.Introspectable.Introspect", &[]).await.ends(0);
        machine.assert_hidden(path, &told.out);
    }
    let job = machine.call(NOBODY, "/org/obnova/job/1", "org.obnova.Job1.Status", &[]).await.ends(0);
    machine.assert_hidden("the job", &job.out);
    assert!(job.out.contains("waiting"), "{}", job.out);

    for verb in [
        vec!["status"],
        vec!["status", "--json"],
        vec!["list", "--json"],
        vec!["list", "--all"],
        vec!["renewals", "--json"],
        vec!["show", &machine.id],
        vec!["card", "list", "--json"],
    ] {
        let told = machine.system.obnova_as(NOBODY, &verb).await;
        machine.assert_hidden(&verb.join(" "), &(told.out + &told.err));
    }
    let listed = machine.system.obnova_as(NOBODY, &["list", "--json"]).await.ends(0).json();
    let listed = listed.as_array().expect("a list");
    assert_eq!(listed.len(), 1, "counts are seen: {listed:?}");
    let end = listed[0]["not_after"].as_str().expect("a date");
    assert_eq!((listed[0]["id"].as_str(), listed[0]["state"].as_str()), (Some(machine.id.as_str()), Some("renewing")));
    let whole = machine.system.obnova_as(LOOKER, &["list", "--json"]).await.ends(0).json();
    assert_eq!((whole[0]["name"].as_str(), whole[0]["not_after"].as_str()), (Some("Tajuplna"), Some(end)));

    // A signal of the end, then all that was heard is judged.
    machine.system.obnova_as(0, &["cancel", "1"]).await.ends(0);
    let mut said = String::new();
    let all = async {
        while !(said.contains("member=Changed") && said.matches("/org/obnova/job/1").count() > 0) {
            said += &heard.next_line().await.expect("read").expect("more");
            said.push('\n');
        }
    };
    tokio::time::timeout(obnova_tests::PATIENCE, all).await.expect("signals");
    machine.assert_hidden("a signal", &said);
    monitor.kill().await.expect("killed");
    machine.stop().await;
}

#[tokio::test]
async fn an_unprivileged_caller_needs_polkit_to_act() {
    let machine = Machine::start().await;
    let path = machine.system.write("jine.pem", Recipe::new("Jina").days_left(40).make().pem());
    let path = path.to_str().expect("UTF-8");
    let id = machine.id.as_str();
    let may_not = async |uid: u32, verb: &[&str]| {
        let told = machine.system.obnova_as(uid, verb).await.ends(1);
        assert!(told.err.contains("You are not allowed to do this."), "{verb:?}: {}", told.err);
    };
    for uid in [NOBODY, LOOKER] {
        for verb in [vec!["renew", id], vec!["watch", path], vec!["unwatch", id], vec!["renew", id, "--dry-run"]] {
            may_not(uid, &verb).await;
        }
        // What no verb says by itself.
        let place = format!("file:{path}");
        for call in [
            vec!["Act", "ssa{sv}", id, "dismiss", "0"],
            vec!["Act", "ssa{sv}", id, "unlock", "0"],
            vec!["Unwatch", "s", id],
            vec!["RegisterAgent", "oa{sv}", "/agent", "0"],
            vec!["Watch", "sa{sv}", &place, "0"],
        ] {
            let bus = format!("--address={}", machine.system.address);
            let all = [vec![bus.as_str(), "call", BUS_NAME, MANAGER_PATH, "org.obnova.Manager1"], call].concat();
            let told = machine.system.run_as(uid, "/usr/bin/busctl", &all).await.ends(1);
            assert!(told.err.contains("not-authorized"), "{all:?}: {told:?}");
        }
    }
    may_not(NOBODY, &["log"]).await;
    may_not(NOBODY, &["doctor"]).await;
    assert!(machine.system.obnova_as(LOOKER, &["log"]).await.ends(0).out.contains("skryte"));
    assert!(machine.system.obnova_as(0, &["renewals", "--json"]).await.ends(0).json().as_array().expect("a list").is_empty());

    // Who may act may renew; what is watched is for others to say.
    machine.system.obnova_as(ACTOR, &["renew", id]).await.ends(0);
    for verb in [["watch", path], ["unwatch", id]] {
        may_not(ACTOR, &verb).await;
    }
    may_not(NOBODY, &["cancel", "1"]).await;
    machine.system.obnova_as(ACTOR, &["cancel", "1"]).await.ends(0);
    machine.stop().await;
}

#[tokio::test]
async fn an_agent_serves_only_jobs_of_its_own_user_and_session() {
    let machine = Machine::start().await;
    let logind = machine.system.logind().await;
    let agent = Agent::at(machine.system.connect().await, |asked, _| {
        std::future::ready(if asked == Asked::Consent { Answer::Yes } else { Answer::Refuse })
    })
    .await;
    agent.register(false).await;
    let manager = machine.system.manager().await;
    let nobody_was_asked = async |number: &str| {
        let path = format!("/org/obnova/job/{number}");
        eventually("a renewal that waits", async || {
            let told = machine.call(0, &path, "org.obnova.Job1.Status", &[]).await.ends(0);
            told.out.contains("no-agent").then_some(())
        })
        .await;
        assert_eq!(agent.asked(), [], "the agent of another");
    };

    // Another user starts it.
    machine.system.obnova_as(ACTOR, &["renew", &machine.id]).await.ends(0);
    nobody_was_asked("1").await;
    machine.system.obnova_as(0, &["cancel", "1"]).await.ends(0);
    // The same user starts it in another session.
    machine.system.obnova_as(0, &["renew", &machine.id]).await.ends(0);
    nobody_was_asked("2").await;
    // Moved by hand to that session, the agent that registered in the first is still that one's.
    logind.move_to("others");
    manager.act(&machine.id, "resume", &Options::default()).await.expect("resumed");
    nobody_was_asked("2").await;
    // In its own session it is asked.
    logind.move_to("mine");
    manager.act(&machine.id, "resume", &Options::default()).await.expect("resumed");
    eventually("a question", async || (!agent.asked().is_empty()).then_some(())).await;
    let done = async || {
        let renewals = machine.system.obnova_as(0, &["renewals", "--all", "--json"]).await.ends(0).json();
        renewals.as_array().expect("a list").iter().any(|renewal| renewal["state"] == "done").then_some(())
    };
    eventually("the renewal's end", done).await;
    machine.stop().await;
}

#[tokio::test]
async fn another_users_process_cannot_act_on_a_persons_daemon() {
    let system = SystemBus::start().await;
    let made = Recipe::new("Anna").days_left(20).make();
    let path = system.write("anna.pem", [made.pem(), made.key_pem()].concat());
    let path = path.to_str().expect("UTF-8");
    // A person's daemon, on a bus that others reach: only the name on it is the system's.
    let mut daemon = system.serve(system.obnovad(&["--bus", &system.address])).await;
    system.obnova_as(system.uid, &["watch", path]).await.ends(0);
    let id =
        system.obnova_as(system.uid, &["list", "--json"]).await.ends(0).json()[0]["id"].as_str().expect("an id").to_owned();
    for uid in [NOBODY, ACTOR, 0] {
        for verb in [
            vec!["status"],
            vec!["list"],
            vec!["show", &id],
            vec!["renewals"],
            vec!["log"],
            vec!["doctor"],
            vec!["renew", &id],
            vec!["watch", path],
            vec!["unwatch", &id],
            vec!["card", "list"],
        ] {
            let told = system.obnova_as(uid, &verb).await.ends(1);
            assert!(told.err.contains("You are not allowed to do this.") && told.out.is_empty(), "{uid} {verb:?}: {told:?}");
        }
    }
    assert!(system.obnova_as(system.uid, &["renewals"]).await.ends(0).out.is_empty(), "nothing was started");
    assert!(daemon.stop().await.success());
}
