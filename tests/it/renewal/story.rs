//! What the log tells of a renewal.

use super::{AGREES, Watched};

#[tokio::test]
async fn the_log_tells_the_story() {
    let watched = Watched::package().await;
    watched.renew("consent=renewal:yes\npassword=wrong\n", &[]).await.ends(3);
    watched.scene.obnova_answering(AGREES, &["resume", "anna", "--wait"]).await.ends(0);
    let log = watched.scene.obnova(&["log"]).await.ends(0);
    // The time stands before the first two spaces.
    let told: Vec<&str> = log.out.lines().map(|line| line.split_once("  ").expect("a time").1).collect();
    let files = watched.scene.files().display().to_string();
    let mut told = told.join("\n").replace(&files, "[files]");
    for name in watched.new_files() {
        let (stem, extension) = name.rsplit_once('.').expect("an extension");
        told = told.replace(&format!("{stem}.{extension}"), &format!("anna-[date].{extension}"));
    }
    let end = watched.old.certificate.not_after().to_string();
    let [month, day, _, year, _] = end.split_whitespace().collect::<Vec<_>>()[..] else { panic!("{end}") };
    told = told.replace(&format!("{day} {month} {year}"), "[end]");
    insta::assert_snapshot!(told, @r"
    Obnova was set up.
    [files]/anna.p12 is watched.
    Anna Nová: warned that it ends on [end] (20 days before).
    Renewal 1: begun for Anna Nová.
    Renewal 1: checking that everything is ready.
    Renewal 1: everything is ready.
    Renewal 1: asking you.
    Renewal 1: you agreed to renew Anna Nová.
    Renewal 1: could not make the new key: No answer was given, so nothing more was done.
    Renewal 1: continued.
    Renewal 1: making the new key.
    Renewal 1: the new key is made.
    Renewal 1: making the new certificate.
    Renewal 1: the new certificate is made.
    Renewal 1: checking the new certificate.
    Renewal 1: the new certificate is checked.
    Renewal 1: installing the new certificate.
    Renewal 1: the new certificate is installed.
    Renewal 1: ending the warnings of the old certificate.
    Renewal 1: done. Anna Nová has a new certificate: [files]/anna-[date].p12, [files]/anna-[date].crt
    ");
    insta::assert_snapshot!(watched.story().await.join("\n"), @r"
    job-started
    step-begun preflight
    step-done preflight
    step-begun consent
    consented
    step-failed generate-keys refused
    job-resumed
    step-begun generate-keys
    step-done generate-keys
    step-begun request
    step-done request
    step-begun verify
    step-done verify
    step-begun install
    step-done install
    step-begun retire-old
    job-done
    ");
}
