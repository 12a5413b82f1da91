//! `card` and `doctor`: what is shown of cards, which one is meant, what is asked about their PINs, and how it ends.

use obnova::Ending;
use obnova_api::{CardView, CheckView, ItemView, ProblemView, QuestionView, RulesView, SpotView};
use zbus::Connection;

use super::daemon::{Daemon, anna, locked, mail, next, problem};
use super::renewing::answers;
use super::run;

/// Snapshots of what these command lines write, with three cards: one that is there, one that is busy, one that is away.
macro_rules! shown {
    ($($test:ident: $line:expr;)+) => {$(
        #[tokio::test]
        async fn $test() {
            let (_daemon, connection) = cards().await;
            insta::assert_snapshot!(run(&connection, $line).await.shown());
        }
    )+};
}

shown! {
    card_list: "card list";
    card_list_as_json: "card list --json";
    card_show: "card show yubi";
    card_show_by_the_number: "card show --json 3141";
    card_show_one_that_is_away: "card show '6b7a'";
    card_show_one_that_is_busy: "card show Staff";
    card_show_of_several: "card show";
    no_such_card: "card unblock berta";
    doctor: "doctor";
    doctor_as_json: "doctor --json";
}

#[tokio::test]
async fn cards_stand_in_their_own_listing_alone() {
    let (_daemon, connection) = cards().await;
    let shown = run(&connection, "list --all").await.out;
    assert!(shown.contains("Anna Novak") && !shown.contains("YubiKey"), "{shown}");
}

#[tokio::test]
async fn without_a_word_the_card_that_is_there_is_meant() {
    let (_daemon, connection) = Daemon::with(vec![away(), blocked()]).await;
    insta::assert_snapshot!(run(&connection, "card show").await.shown());
    let (_daemon, connection) = Daemon::with(vec![away()]).await;
    assert_eq!(run(&connection, "card show").await.ending, Ending::Done, "the only one is meant though it is away");
    let (_daemon, connection) = Daemon::with(vec![]).await;
    insta::assert_snapshot!(run(&connection, "card unblock").await.shown());
    insta::assert_snapshot!(run(&connection, "card list").await.shown());
}

#[tokio::test]
async fn a_pin_is_changed_by_the_answers_of_a_script() {
    let (daemon, connection) = Daemon::with(vec![yubikey(), away()]).await;
    daemon.plays(|run| async move {
        run.notes(run.asks(pin("change-pin"), false).await.expect("a PIN"));
        run.notes(run.asks(new_pin(), true).await.expect("a new PIN"));
    });
    let outcome = answering(&connection, "new-pin=314159\npin=271828\n", "card change-pin").await;
    assert_eq!(daemon.state().calls, ["register an agent", "change-pin c7c7c7c7c7c7c7c7", "271828", "314159"]);
    insta::assert_snapshot!(outcome.shown());
}

#[tokio::test]
async fn a_blocked_card_is_opened_with_the_puk() {
    let (daemon, connection) = Daemon::with(vec![blocked()]).await;
    daemon.plays(|run| async move {
        let puk = QuestionView { secret: Some("puk".into()), rules: None, ..pin("unblock") };
        run.notes(run.asks(puk, false).await.expect("a PUK"));
        run.notes(run.asks(new_pin(), true).await.expect("a new PIN"));
    });
    let outcome = answering(&connection, "puk=12345678\nnew-pin=314159\n", "card unblock --json").await;
    assert_eq!(daemon.state().calls[1..], ["unblock c8c8c8c8c8c8c8c8", "12345678", "314159"]);
    insta::assert_snapshot!(outcome.shown());
}

#[tokio::test]
async fn what_goes_wrong_with_a_card_names_the_command_that_begins_anew() {
    let refusals = [
        problem("refused", &[]),
        problem("no-agent", &[]),
        problem("wrong-pin", &[("card", "YubiKey 5.7.1 31415926"), ("left", "2")]),
        problem("wrong-puk", &[("card", "YubiKey 5.7.1 31415926"), ("left", "1")]),
        problem("card-busy", &[("card", "YubiKey 5.7.1 31415926"), ("program", "firefox")]),
        problem("already-renewing", &[("job", "7")]),
    ];
    let mut shown = Vec::new();
    for refusal in refusals {
        let (daemon, connection) = Daemon::with(vec![yubikey()]).await;
        daemon.state().refuses = Some(refusal);
        let outcome = run(&connection, "card change-pin").await;
        assert_eq!(outcome.ending, Ending::Failed);
        assert!(!outcome.err.contains("obnova resume"), "{}", outcome.err);
        shown.push(outcome.err);
    }
    insta::assert_snapshot!(shown.join("\n"));
}

#[tokio::test]
async fn the_doctor_is_asked_about_what_is_meant() {
    let (daemon, connection) = cards().await;
    daemon.state().checks = vec![check("clock", "ok", &[("now", "2026-10-21T08:00:00Z")])];
    for (line, ending) in [
        ("doctor", Ending::Done),
        ("doctor anna", Ending::Done),
        ("doctor 'old key.p12'", Ending::Done),
        ("doctor 3141", Ending::Done),
        ("doctor nobody", Ending::Failed),
    ] {
        assert_eq!(run(&connection, line).await.ending, ending, "{line}");
    }
    let asked = ["doctor ", "doctor a1a1a1a1a1a1a1a1", "doctor c3c3c3c3c3c3c3c3", "doctor c7c7c7c7c7c7c7c7"];
    assert_eq!(daemon.state().calls, asked);
}

#[tokio::test]
async fn the_doctor_ends_well_unless_something_needs_attention() {
    for (state, ending) in
        [("ok", Ending::Done), ("notice", Ending::Done), ("warning", Ending::Failed), ("critical", Ending::Failed)]
    {
        let (daemon, connection) = Daemon::with(vec![]).await;
        daemon.state().checks = vec![check("something-new", state, &[("weather", "fair")])];
        let outcome = run(&connection, "doctor").await;
        assert_eq!(outcome.ending, ending, "{state}");
        assert!(outcome.out.contains("Something new, weather: fair"), "{}", outcome.out);
    }
}

/// Runs a command line with these lines as the answers of `--secret-fd`.
async fn answering(connection: &Connection, lines: &str, line: &str) -> super::Outcome {
    let answers = answers(lines);
    run(connection, &format!("{line} --secret-fd {}", std::os::fd::AsRawFd::as_raw_fd(&answers))).await
}

async fn cards() -> (Daemon, Connection) {
    let (daemon, connection) = Daemon::with(vec![anna(), locked(), mail(), yubikey(), busy(), away()]).await;
    daemon.state().checks = checks();
    (daemon, connection)
}

fn yubikey() -> ItemView {
    let spot = |spot: &str, key: &str| SpotView { spot: spot.into(), key: key.into(), known: true, ..SpotView::default() };
    let certified = |at: &str, algorithm: &str, always: bool| SpotView {
        subject: Some("CN=Anna Novak,O=Žluťoučký kůň".into()),
        not_after: Some("2026-11-10T11:00:00Z".into()),
        sha256: Some("5f".repeat(32)),
        algorithm: Some(algorithm.into()),
        always: Some(always),
        ..spot(at, "key")
    };
    let card = CardView {
        place: "piv:31415926".into(),
        label: "YubiKey 5.7.1 31415926".into(),
        model: "YubiKey 5.7.1".into(),
        serial: "31415926".into(),
        reader: "Yubico YubiKey OTP+FIDO+CCID 00 00".into(),
        kind: "moves".into(),
        watched: true,
        algorithms: ["RSA-2048", "P-256"].map(Into::into).to_vec(),
        spots: vec![
            certified("9a", "RSA-2048", false),
            certified("9c", "P-256", true),
            spot("9d", "free"),
            SpotView { known: false, ..spot("82", "key") },
            SpotView { known: false, ..spot("83", "unknown") },
            spot("84", "free"),
        ],
        pin_tries: Some(3),
        free: Some(18),
        ..CardView::default()
    };
    ItemView {
        id: "c7c7c7c7c7c7c7c7".into(),
        kind: "card".into(),
        name: card.label.clone(),
        state: "present".into(),
        level: "ok".into(),
        deadline: None,
        not_after: None,
        next_step: None,
        programme: None,
        place: Some(card.place.clone()),
        card: Some(card),
        ..anna()
    }
}

/// A token whose PIN is blocked.
fn blocked() -> ItemView {
    let card = CardView {
        place: "pkcs11:serial=42;token=Firma".into(),
        label: "Firma".into(),
        model: "Token".into(),
        serial: "42".into(),
        kind: "token".into(),
        pin_blocked: true,
        pin_tries: Some(0),
        puk_tries: Some(1),
        pin_pad: true,
        algorithms: vec!["RSA-4096".into()],
        ..CardView::default()
    };
    ItemView {
        id: "c8c8c8c8c8c8c8c8".into(),
        name: card.label.clone(),
        state: "blocked".into(),
        level: "warning".into(),
        next_step: Some(next("unblock", Some("unblock"), None)),
        place: Some(card.place.clone()),
        card: Some(card),
        certificates: Some(vec![]),
        ..yubikey()
    }
}

fn busy() -> ItemView {
    ItemView {
        id: "c9c9c9c9c9c9c9c9".into(),
        name: "Staff card".into(),
        state: "busy".into(),
        level: "notice".into(),
        problem: Some(problem("card-busy", &[("card", "Staff card"), ("program", "firefox")])),
        place: Some("piv:9a3f".into()),
        card: None,
        ..yubikey()
    }
}

fn away() -> ItemView {
    ItemView {
        id: "6b7a6b7a6b7a6b7a".into(),
        name: "Twins".into(),
        state: "away".into(),
        place: Some("pkcs11:token=Twins".into()),
        card: None,
        ..yubikey()
    }
}

fn pin(about: &str) -> QuestionView {
    QuestionView {
        id: "q7".into(),
        item: yubikey().id,
        name: yubikey().name,
        about: about.into(),
        secret: Some("pin".into()),
        uses: Some(vec![about.into()]),
        tries_left: Some(3),
        rules: Some(RulesView { min: 6, max: 8, digits_only: false }),
        args: Some([("card".to_owned(), yubikey().name)].into()),
        ..QuestionView::default()
    }
}

fn new_pin() -> QuestionView {
    QuestionView { rules: Some(RulesView { min: 6, max: 8, digits_only: true }), uses: None, ..pin("change-pin") }
}

fn check(check: &str, state: &str, args: &[(&str, &str)]) -> CheckView {
    let args = args.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    CheckView { check: check.into(), state: state.into(), args, ..CheckView::default() }
}

/// Something of everything that a doctor can find.
fn checks() -> Vec<CheckView> {
    let key = ("card", "YubiKey 5.7.1 31415926");
    let failed = |view: CheckView, problem: ProblemView| CheckView { problem: Some(problem), ..view };
    vec![
        check("clock", "warning", &[("now", "2026-10-21T08:00:00Z"), ("written", "2026-10-23T08:00:00Z")]),
        check("card-service", "ok", &[("service", "running")]),
        check("card-service", "warning", &[("service", "absent")]),
        check("card-service", "notice", &[("service", "not-in-front")]),
        check("no-reader", "notice", &[]),
        check("reader", "ok", &[("reader", "Reader 00"), ("card", "nothing")]),
        check("reader", "ok", &[("reader", "Reader 01"), key]),
        failed(
            check("reader", "warning", &[("reader", "Reader 02"), ("card", "unknown")]),
            problem("card-busy", &[("card", "Staff card"), ("program", "firefox")]),
        ),
        check("module", "ok", &[("module", "/usr/lib/softhsm/libsofthsm2.so")]),
        check("card", "ok", &[key, ("can", "moves")]),
        check("pin", "warning", &[key, ("left", "1")]),
        check("pin", "ok", &[key, ("left", "3")]),
        check("puk", "ok", &[key, ("left", "unknown")]),
        check("puk", "warning", &[key, ("left", "0")]),
        check("keys", "ok", &[key, ("algorithms", "RSA-2048, P-256")]),
        check("free", "ok", &[key, ("free", "18")]),
        check("unwatched", "notice", &[key, ("path", "pkcs11:serial=42;token=Firma")]),
        check("foreign", "notice", &[key, ("spot", "82"), ("what", "key")]),
        check("foreign", "notice", &[key, ("spot", "83"), ("what", "Somebody Else")]),
        check("places", "ok", &[("count", "2")]),
        failed(
            check("place", "warning", &[("name", "old key.p12"), ("path", "/home/anna/old key.p12")]),
            problem("place-missing", &[("path", "/home/anna/old key.p12")]),
        ),
        check("certificate", "critical", &[("name", "Anna Novak"), ("not_after", "2026-10-10T11:00:00Z")]),
        check("programme", "ok", &[("name", "Anna Novak"), ("programme", "card-twins")]),
        check("twins", "ok", &[("name", "Anna Novak"), ("count", "2")]),
        check("room", "ok", &[("name", "Anna Novak"), key, ("count", "2"), ("moves", "true")]),
        failed(
            check("room", "warning", &[("name", "Anna Novak")]),
            problem("card-full", &[("card", "YubiKey 5.7.1 31415926"), ("needed", "3"), ("free", "1")]),
        ),
    ]
}
