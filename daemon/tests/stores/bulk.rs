//! Many files.

use std::time::Instant;

use obnova_core::Problem;

use crate::*;

#[tokio::test]
async fn ten_thousand_files_are_read_once() {
    let directory = scratch();
    let pem = Made::new("anna").pem();
    for number in 0..10_000 {
        write(directory.path(), &format!("{number}.pem"), &pem);
    }
    let mut watch = Watch::start();
    let begun = Instant::now();
    let sightings = watch.file(directory.path()).await;
    let first = begun.elapsed();
    assert_eq!(sightings.len(), 10_001);

    let restarted = Watch::knowing(stamps(&sightings));
    let begun = Instant::now();
    assert!(restarted.file(directory.path()).await.is_empty());
    let known = begun.elapsed();
    assert!(known < first, "looking at what is known takes {known:?}, reading it {first:?}");

    let path = write(directory.path(), "77.pem", Made::new("berta").pem());
    let news = watch.soon().await;
    assert_eq!(places(&news), [file(&path)]);
}

#[tokio::test]
async fn a_directory_without_end_is_left_with_an_error() {
    let directory = scratch();
    let pem = Made::new("anna").pem();
    let original = write(directory.path(), "0.pem", &pem);
    let sub = directory.path().join("sub");
    std::fs::create_dir(&sub).expect("directory");
    for number in 0..50_000 {
        std::fs::hard_link(&original, sub.join(number.to_string())).expect("link");
    }
    let watch = Watch::start();
    let sightings = watch.file(directory.path()).await;
    assert_eq!(trouble(&sightings[0]), "too-many-files");
    assert!(sightings.len() > 1, "what was read stays");
    assert!(
        matches!(&sight(&sightings[0]).condition, Condition::Failed(Problem::TooManyFiles { limit, .. }) if limit == "50000")
    );
    assert!(watch.file(directory.path()).await.iter().all(|sighting| sighting.sight.is_some()), "nothing counts as gone");
}
