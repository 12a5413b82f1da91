//! What is noticed later.

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, symlink};

use std::time::Instant;

use crate::*;

#[tokio::test]
async fn a_replaced_file_is_noticed_within_a_second() {
    let directory = scratch();
    let path = write(directory.path(), "a.pem", Made::new("old").pem());
    let mut watch = Watch::start();
    watch.file(&path).await;
    let new = write(directory.path(), "a.pem.new", Made::new("new").pem());
    let begun = Instant::now();
    std::fs::rename(new, &path).expect("renamed");
    let news = watch.soon().await;
    assert!(begun.elapsed() < Duration::from_secs(1), "noticed after {:?}", begun.elapsed());
    assert_eq!(places(&news), [file(&path)]);
    assert_eq!(names(&news[0]), ["new"]);
    // In place, with the same length.
    let content = std::fs::read_to_string(&path).expect("text");
    write(directory.path(), "a.pem", content.replace("CERTIFICATE", "CERTIFICATF"));
    assert_eq!(trouble(&watch.soon().await[0]), "place-broken");
    write(directory.path(), "unrelated.pem", Made::new("x").pem());
    watch.nothing().await;
}

#[tokio::test]
async fn a_burst_is_few_pieces_of_news() {
    let directory = scratch();
    let mut watch = Watch::start();
    watch.file(directory.path()).await;
    let pem = Made::new("anna").pem();
    for number in 0..50 {
        let name = format!("{number:02}.pem");
        write(directory.path(), &name, "");
        write(directory.path(), &name, &pem);
        tokio::task::yield_now().await;
    }
    let (mut pieces, mut places) = (0, 0);
    while places < 50 {
        pieces += 1;
        places += watch.soon().await.len();
    }
    assert!(pieces <= 5, "a hundred changes to fifty places came in {pieces} pieces");
    watch.nothing().await;
}

#[tokio::test]
async fn a_restless_directory_is_looked_at_all_the_same() {
    let directory = scratch();
    let mut watch = Watch::start();
    watch.file(directory.path()).await;
    write(directory.path(), "a.pem", Made::new("anna").pem());
    let mut restlessness = tokio::time::interval(Duration::from_millis(20));
    let restless = async {
        loop {
            restlessness.tick().await;
            write(directory.path(), "restless", "x");
        }
    };
    tokio::select! {
        news = watch.soon() => assert_eq!(names(&news[0]), ["anna"]),
        () = restless => {}
    }
}

#[tokio::test]
async fn what_goes_is_gone() {
    let directory = scratch();
    let sub = directory.path().join("sub");
    std::fs::create_dir(&sub).expect("directory");
    let pem = Made::new("anna").pem();
    let (one, two) = (write(directory.path(), "one.pem", &pem), write(&sub, "two.pem", &pem));
    let mut watch = Watch::start();
    watch.file(directory.path()).await;
    write(directory.path(), "one.pem", "no longer a certificate");
    let news = watch.soon().await;
    assert_eq!((places(&news), &news[0].sight), (vec![file(&one)], &None));
    std::fs::remove_dir_all(&sub).expect("removed");
    let news = watch.soon().await;
    assert_eq!((places(&news), &news[0].sight), (vec![file(&two)], &None));
}

#[tokio::test]
async fn directories_come_move_and_change() {
    let directory = scratch();
    let outside = scratch();
    let mut watch = Watch::start();
    watch.file(directory.path()).await;
    let sub = directory.path().join("sub");
    std::fs::create_dir_all(sub.join("deeper")).expect("directory");
    write(&sub.join("deeper"), "a.pem", Made::new("anna").pem());
    assert_eq!(places(&watch.soon().await), [file(&sub.join("deeper/a.pem"))]);
    write(&sub.join("deeper"), "b.pem", Made::new("berta").pem());
    assert_eq!(places(&watch.soon().await), [file(&sub.join("deeper/b.pem"))]);

    let moved = directory.path().join("moved");
    std::fs::rename(&sub, &moved).expect("moved");
    let news = watch.soon().await;
    let there: Vec<bool> = news.iter().map(|sighting| sighting.sight.is_some()).collect();
    assert_eq!(there, [true, true, false, false], "{news:?}");
    write(&moved.join("deeper"), "c.pem", Made::new("carla").pem());
    assert_eq!(places(&watch.soon().await), [file(&moved.join("deeper/c.pem"))], "under its new name");

    std::fs::rename(&moved, outside.path().join("away")).expect("moved");
    assert!(watch.soon().await.iter().all(|sighting| sighting.sight.is_none()));
    write(&outside.path().join("away/deeper"), "d.pem", Made::new("dora").pem());
    watch.nothing().await;
}

#[tokio::test]
async fn a_directory_that_returns_is_watched_again() {
    let above = scratch();
    let directory = above.path().join("some/where");
    let mut watch = Watch::start();
    assert_eq!(trouble(&watch.one(file(&directory)).await), "place-missing");
    let pem = Made::new("anna").pem();
    for _ in 0..2 {
        std::fs::create_dir_all(&directory).expect("directory");
        let path = write(&directory, "a.pem", &pem);
        let news = watch.soon().await;
        assert_eq!(places(&news), [file(&directory), file(&path)]);
        write(&directory, "b.pem", &pem);
        assert_eq!(places(&watch.soon().await), [file(&directory.join("b.pem"))]);
        std::fs::remove_dir_all(above.path().join("some")).expect("removed");
        let news = watch.soon().await;
        assert_eq!(trouble(&news[0]), "place-missing");
        assert!(news[1].sight.is_none() && news[2].sight.is_none());
    }
    // Moved away far above.
    std::fs::create_dir_all(&directory).expect("directory");
    write(&directory, "a.pem", &pem);
    assert_eq!(watch.soon().await.len(), 2);
    std::fs::rename(above.path().join("some"), above.path().join("other")).expect("moved");
    assert_eq!(trouble(&watch.soon().await[0]), "place-missing");
}

#[tokio::test]
async fn links_are_followed_to_what_they_mean() {
    // As certbot does it.
    let root = scratch();
    let (live, archive) = (root.path().join("live"), root.path().join("archive"));
    std::fs::create_dir(&live).expect("directory");
    std::fs::create_dir(&archive).expect("directory");
    let first = write(&archive, "cert1.pem", Made::new("first").pem());
    symlink("../archive/cert1.pem", live.join("cert.pem")).expect("link");
    for place in [live.join("cert.pem"), live.clone()] {
        std::fs::write(&first, Made::new("first").pem()).expect("written");
        let mut watch = Watch::start();
        watch.file(&place).await;
        std::fs::write(&first, Made::new("rewritten").pem()).expect("written");
        assert_eq!(names(&watch.soon().await[0]), ["rewritten"], "{}", place.display());
        write(&archive, "cert2.pem", Made::new("second").pem());
        symlink("../archive/cert2.pem", live.join("new")).expect("link");
        std::fs::rename(live.join("new"), live.join("cert.pem")).expect("renamed");
        assert_eq!(names(&watch.soon().await[0]), ["second"], "{}", place.display());
        std::fs::remove_file(live.join("cert.pem")).expect("removed");
        assert_eq!(watch.soon().await.len(), 1);
        symlink("../archive/cert1.pem", live.join("cert.pem")).expect("link");
        assert_eq!(names(&watch.soon().await[0]), ["rewritten"], "{}", place.display());
    }
}

#[tokio::test]
async fn versions_that_are_switched_at_once_are_noticed() {
    // As Kubernetes does it.
    let root = scratch();
    for version in ["one", "two"] {
        std::fs::create_dir(root.path().join(version)).expect("directory");
        write(&root.path().join(version), "tls.crt", Made::new(version).pem());
    }
    for place in [root.path().join("tls.crt"), root.path().to_owned()] {
        for (link, target) in [("tls.crt", "data/tls.crt"), ("data", "one")] {
            let link = root.path().join(link);
            if link.is_symlink() {
                std::fs::remove_file(&link).expect("removed");
            }
            symlink(target, &link).expect("link");
        }
        let mut watch = Watch::start();
        watch.file(&place).await;
        symlink("two", root.path().join("new")).expect("link");
        std::fs::rename(root.path().join("new"), root.path().join("data")).expect("renamed");
        let news = watch.soon().await;
        assert_eq!(places(&news), [file(&root.path().join("tls.crt"))]);
        assert_eq!(names(&news[0]), ["two"]);
    }
}

#[tokio::test]
async fn a_key_that_comes_later_is_noticed() {
    let root = scratch();
    let certs = root.path().join("certs");
    std::fs::create_dir(&certs).expect("directory");
    std::fs::create_dir(root.path().join("private")).expect("directory");
    let made = Made::new("anna");
    let path = write(&certs, "a.pem", made.pem());
    for place in [&path, &certs] {
        let mut watch = Watch::start();
        watch.file(place).await;
        let key = write(&certs, "a.key", made.key_pem());
        assert_eq!(names(&watch.soon().await[0]), ["anna+"]);
        std::fs::remove_file(key).expect("removed");
        assert_eq!(names(&watch.soon().await[0]), ["anna"]);
    }
    for place in [&path, &root.path().to_owned()] {
        let mut watch = Watch::start();
        watch.file(place).await;
        let key = write(root.path(), "private/a.key", made.key_pem());
        assert_eq!(names(&watch.soon().await[0]), ["anna+"]);
        std::fs::remove_file(key).expect("removed");
        assert_eq!(names(&watch.soon().await[0]), ["anna"]);
    }
}

#[tokio::test]
async fn rights_that_are_given_are_noticed() {
    let directory = scratch();
    let path = write(directory.path(), "a.pem", Made::new("anna").pem());
    let mut watch = Watch::start();
    let before = watch.one(file(&path)).await;
    std::fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("mode");
    let after = watch.soon().await;
    assert_ne!(before.stamp, after[0].stamp);
}

#[tokio::test]
async fn lost_reports_lead_to_a_new_look() {
    let directory = scratch();
    let pem = Made::new("anna").pem();
    let path = write(directory.path(), "a.pem", &pem);
    let mut watch = Watch::start();
    watch.file(directory.path()).await;
    let limit = std::fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").expect("limit");
    let limit: usize = limit.trim().parse().expect("number");
    // Nothing is read meanwhile: this thread is the surveyor's, too.
    for number in 0..=limit / 2 {
        let name = directory.path().join(format!("noise{}", number % 2));
        std::fs::File::create(&name).expect("created");
        std::fs::remove_file(&name).expect("removed");
    }
    std::fs::remove_file(&path).expect("removed");
    let news = watch.soon().await;
    assert_eq!((places(&news), &news[0].sight), (vec![file(&path)], &None));
}

#[tokio::test]
async fn a_look_again_finds_what_nobody_reported() {
    let directory = scratch();
    let path = write(directory.path(), "a.pem", Made::new("anna").pem());
    let mut watch = Watch::start();
    watch.file(directory.path()).await;
    std::fs::remove_file(path).expect("removed");
    watch.surveyor.look_again().await;
    let news = watch.news.try_recv().expect("there already, or next");
    assert!(news[0].sight.is_none());
}
