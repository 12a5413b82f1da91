//! Hostile and odd files in watched places.

use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::Instant;

use obnova_api::{Error, Options};
use obnova_tests::{KeyKind, Recipe, Scene, eventually};

use super::{bound_by_permissions, set_mode};

#[tokio::test]
async fn what_is_no_certificate_is_passed_over_and_what_should_be_one_is_told() {
    let scene = Scene::set().await;
    let _daemon = scene.start().await;
    let made = Recipe::new("Anna").make();
    made.write_p12(&scene.file("whole.p12"), "geheim", &[]);
    let whole = std::fs::read(scene.file("whole.p12")).expect("the file");
    std::fs::remove_file(scene.file("whole.p12")).expect("removed");

    scene.write("anna.crt", made.pem());
    scene.write("cut.p12", &whole[..whole.len() / 2]);
    scene.write("garbage.p12", [0x30, 0x82, 0xff, 0xff].repeat(100));
    scene.write("empty.pem", "");
    scene.write("letter.txt", "Dear Anna");
    scene.write("huge.pem", vec![b'A'; 2 << 20]);
    let odd: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(b"od\xffd.crt");
    std::fs::write(scene.files().join(odd), made.pem()).expect("written");
    let fifo = rustix::fs::mknodat(
        rustix::fs::CWD,
        scene.file("fifo.pem"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    );
    fifo.expect("a FIFO");
    let _socket = UnixListener::bind(scene.file("socket.pem")).expect("a socket");
    symlink("loop-b.pem", scene.file("loop-a.pem")).expect("a link");
    symlink("loop-a.pem", scene.file("loop-b.pem")).expect("a link");
    symlink("/dev/zero", scene.file("zero.pem")).expect("a link");
    symlink("nowhere", scene.file("dangling.pem")).expect("a link");
    symlink(".", scene.file("deeper")).expect("a link");

    let begun = Instant::now();
    let manager = scene.manager().await;
    let directory = format!("file:{}", scene.files().display());
    manager.watch(&directory, &Options::default()).await.expect("watched");
    assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
    scene.item("the one certificate", |item| item.kind == "identity" && item.name == "Anna").await;
    let items = scene.items().await;
    let states: std::collections::BTreeMap<String, String> = items
        .iter()
        .filter(|item| item.kind == "place")
        .map(|item| {
            (
                item.place.as_deref().and_then(|place| place.rsplit('/').next()).unwrap_or_default().to_owned(),
                item.state.clone(),
            )
        })
        .collect();
    for broken in ["cut.p12", "garbage.p12"] {
        assert_eq!(states.get(broken).map(String::as_str), Some("broken"), "{broken} in {states:?}");
    }
    for passed_over in ["letter.txt", "deeper"] {
        assert!(!states.contains_key(passed_over), "{passed_over} in {states:?}");
    }

    // The same files, named one by one.
    for (name, kind) in [
        ("cut.p12", "place-broken"),
        ("garbage.p12", "place-broken"),
        ("empty.pem", "place-broken"),
        ("letter.txt", "place-broken"),
        ("huge.pem", "place-too-large"),
        ("fifo.pem", "place-not-regular"),
        ("socket.pem", "place-not-regular"),
        ("zero.pem", "place-not-regular"),
        ("dangling.pem", "place-missing"),
    ] {
        let scheme = if Path::new(name).extension() == Some("p12".as_ref()) { "p12" } else { "file" };
        let place = format!("{scheme}:{}", scene.file(name).display());
        match manager.watch(&place, &Options::default()).await {
            Err(Error::Problem(problem)) => assert_eq!(problem.kind, kind, "{name}: {problem:?}"),
            other => panic!("{name}: {other:?}"),
        }
    }
    let looped = manager.watch(&format!("file:{}", scene.file("loop-a.pem").display()), &Options::default()).await;
    assert!(matches!(looped, Err(Error::Problem(_))), "{looped:?}");
}

#[tokio::test]
async fn a_file_that_may_not_be_read_is_told_with_the_command_that_opens_it() {
    let scene = Scene::set().await;
    let _daemon = scene.start_as(bound_by_permissions(scene.obnovad())).await;
    let path = scene.write("anna.pem", Recipe::new("Anna").make().pem());
    let manager = scene.manager().await;
    let directory = format!("file:{}", scene.files().display());
    set_mode(&path, 0o000);
    manager.watch(&directory, &Options::default()).await.expect("watched");
    let item = scene.item("the closed file", |item| item.state == "unreadable").await;
    let problem = item.problem.expect("a problem");
    let uid = rustix::process::getuid().as_raw();
    assert_eq!(problem.kind, "place-denied");
    assert_eq!(problem.args["command"], format!("sudo setfacl -m u:{uid}:r {}", path.display()));
    let shown = scene.obnova(&["show", &item.id]).await;
    assert!(shown.out.contains(&problem.args["command"]), "{shown:?}");
    set_mode(&path, 0o600);
    scene.item("the certificate, now that it may be read", |item| item.kind == "identity" && item.name == "Anna").await;
}

/// How long the daemon may take over ten thousand certificates, in the development build and on a busy machine.
const LONG: u64 = 60;

#[tokio::test]
async fn ten_thousand_certificates_are_counted() {
    let scene = Scene::set().await;
    let key = KeyKind::P256.generate();
    for number in 0..10_000 {
        let made = Recipe::new(&format!("Holder {number}")).days_left(100).make_with(key.clone());
        scene.write(&format!("{number}.crt"), made.der());
    }
    let mut daemon = scene.start().await;
    let manager = scene.manager().await;
    let begun = Instant::now();
    let place = format!("file:{}", scene.files().display());
    let ids = manager.watch(&place, &Options::default()).await.expect("watched");
    assert!(begun.elapsed().as_secs() < LONG, "{:?}", begun.elapsed());
    assert_eq!(ids.len(), 10_000, "each of them");
    let watched = async || Some(manager.status().await.expect("a status").watched).filter(|count| *count == 10_000);
    eventually("ten thousand", watched).await;
    assert!(daemon.stop().await.success(), "{}", daemon.log());

    // The second start reads none of them again.
    let begun = Instant::now();
    let _daemon = scene.start().await;
    assert_eq!(scene.manager().await.status().await.expect("a status").watched, 10_000);
    assert!(begun.elapsed().as_secs() < LONG / 2, "{:?}", begun.elapsed());
}
