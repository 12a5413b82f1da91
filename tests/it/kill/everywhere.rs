//! Killed at three instants of every step: after the intent is written, after the act, after the outcome is written.

use std::os::unix::process::ExitStatusExt;

use obnova_tests::Recipe;

use super::Story;

macro_rules! killed_at {
    ($($name:ident: $step:literal $instant:literal;)*) => {
        $(#[tokio::test]
        async fn $name() {
            survives($step, $instant).await;
        })*
    };
}

killed_at! {
    when_preflight_is_intended: "preflight" "intended";
    when_preflight_is_acted: "preflight" "acted";
    when_preflight_is_done: "preflight" "done";
    when_consent_is_intended: "consent" "intended";
    when_consent_is_acted: "consent" "acted";
    when_consent_is_done: "consent" "done";
    when_keys_are_intended: "generate-keys" "intended";
    when_keys_are_acted: "generate-keys" "acted";
    when_keys_are_done: "generate-keys" "done";
    when_request_is_intended: "request" "intended";
    when_request_is_acted: "request" "acted";
    when_request_is_done: "request" "done";
    when_verify_is_intended: "verify" "intended";
    when_verify_is_acted: "verify" "acted";
    when_verify_is_done: "verify" "done";
    when_install_is_intended: "install" "intended";
    when_install_is_acted: "install" "acted";
    when_install_is_done: "install" "done";
    when_retirement_is_intended: "retire-old" "intended";
    when_retirement_is_acted: "retire-old" "acted";
    when_retirement_is_done: "retire-old" "done";
}

async fn survives(step: &str, instant: &str) {
    let story = Story::begins(&Recipe::new("Anna Nová")).await;
    let mut command = story.scene.obnovad();
    command.env("OBNOVA_HALT_AT", format!("{step}:{instant}"));
    let mut daemon = story.scene.start_as(command).await;
    story.agent.register(false).await;
    story.renew().await;
    assert_eq!(daemon.ended().await.signal(), Some(9), "{}", daemon.log());
    assert!(story.agent.secrets_asked() <= 1, "once in one sitting");

    let asked = story.agent.secrets_asked();
    let mut daemon = story.scene.start().await;
    story.sees_it_through().await;
    assert!(story.agent.secrets_asked() - asked <= 1, "at most once after a restart");
    story.ends_well().await;

    // And it stays so.
    assert!(daemon.stop().await.success(), "{}", daemon.log());
    let _daemon = story.scene.start().await;
    story.ends_well().await;
}
