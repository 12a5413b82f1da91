//! Command lines completed by real shells, and a calendar read by somebody else's parser.

use std::fs;
use std::process::Command;

use obnova_tests::{Recipe, Scene, program};

/// A scene in which two certificates are watched.
async fn two() -> (Scene, obnova_tests::Daemon) {
    let scene = Scene::set().await;
    let daemon = scene.start().await;
    for (file, name) in [("anna.crt", "Anna Nová"), ("berta.crt", "Berta")] {
        let path = scene.write(file, Recipe::new(name).days_left(20).make().pem());
        scene.watch(&path, None).await;
    }
    (scene, daemon)
}

/// What a shell answers that has `obnova` in its path, and nothing else of ours.
fn shell(scene: &Scene, shell: &str, script: &str) -> String {
    let programs = program("obnova").parent().expect("a directory").display().to_string();
    let mut command = Command::new("timeout");
    command.arg("60").arg(shell).args(if shell == "fish" { &["--no-config"][..] } else { &[] }).arg("-c").arg(script);
    command.env_clear().env("PATH", format!("{programs}:/usr/bin:/bin")).env("HOME", scene.home());
    command.env("DBUS_SESSION_BUS_ADDRESS", scene.bus.address()).env("LC_ALL", "C.UTF-8").env("TERM", "dumb");
    let output = command.output().expect("the shell");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{shell}: {said}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[tokio::test]
async fn bash_completes_verbs_options_and_names() {
    let (scene, _daemon) = two().await;
    // As readline does it: the words and where the cursor is, then what the function has left in COMPREPLY.
    let complete = |words: &str, at: usize| {
        let script = format!(
            "source <(obnova completions bash); COMP_WORDS=({words}); COMP_CWORD={at}; COMP_TYPE=9; \
             function=$(complete -p obnova | sed 's/.*-F \\([^ ]*\\) .*/\\1/'); \
             $function obnova \"${{COMP_WORDS[COMP_CWORD]}}\" \"${{COMP_WORDS[COMP_CWORD - 1]}}\"; \
             printf '%s\\n' \"${{COMPREPLY[@]}}\""
        );
        shell(&scene, "bash", &script)
    };
    assert!(complete("obnova sno", 1).lines().any(|word| word.trim_end() == "snooze"));
    assert!(complete("obnova list --al", 2).lines().any(|word| word.trim_end() == "--all"));
    let names = complete("obnova show ''", 2);
    // bash puts in what it is given as it is.
    assert!(names.contains("Anna\\ Nov") && names.contains("Berta"), "{names}");
    let one = complete("obnova show Ber", 2);
    assert!(one.contains("Berta") && !one.contains("Anna"), "{one}");
}

#[tokio::test]
async fn fish_completes_names() {
    let (scene, _daemon) = two().await;
    let names = shell(&scene, "fish", "obnova completions fish | source; complete --do-complete 'obnova renew '");
    assert!(names.lines().any(|line| line.starts_with("Anna Nov")), "{names}");
    assert!(names.lines().any(|line| line.starts_with("Berta")), "{names}");
    let verbs = shell(&scene, "fish", "obnova completions fish | source; complete --do-complete 'obnova sno'");
    assert!(verbs.lines().any(|line| line.starts_with("snooze")), "{verbs}");
}

#[tokio::test]
async fn zsh_takes_the_script_and_asks_by_it() {
    let (scene, _daemon) = two().await;
    // zsh completes only at a terminal: here its function is read, and asked for what it would offer.
    let script = "autoload -Uz compinit; compinit -u -D; source <(obnova completions zsh); \
                  print -r -- ${_comps[obnova]}; functions ${_comps[obnova]} | grep -c COMPLETE";
    let told = shell(&scene, "zsh", script);
    assert!(told.lines().next().is_some_and(|name| name.contains("obnova")), "{told}");
    let offered = "_CLAP_COMPLETE_INDEX=2 _CLAP_IFS=$'\\n' COMPLETE=zsh obnova -- obnova show ''";
    let names = shell(&scene, "zsh", offered);
    assert!(names.contains("Anna Nov") && names.contains("Berta"), "{names}");
}

#[tokio::test]
async fn somebody_elses_parser_reads_the_calendar() {
    let (scene, _daemon) = two().await;
    let exported = scene.obnova(&["export", "ics"]).await.ends(0);
    let path = scene.home().join("deadlines.ics");
    fs::write(&path, &exported.out).expect("written");
    let script = "import sys, icalendar\n\
                  calendar = icalendar.Calendar.from_ical(open(sys.argv[1], 'rb').read())\n\
                  assert calendar['VERSION'] == '2.0' and not calendar.errors\n\
                  for event in calendar.walk('VEVENT'):\n\
                  \x20   assert not event.errors and event['UID'] and event['DTSTAMP'].dt\n\
                  \x20   alarms = [str(alarm['TRIGGER'].dt) for alarm in event.walk('VALARM')]\n\
                  \x20   print(event['SUMMARY'], event['DTSTART'].dt.isoformat(), *alarms, sep='|')\n";
    let output = Command::new("/usr/bin/python3").arg("-c").arg(script).arg(&path).output().expect("Python");
    assert!(output.status.success(), "{}\n{}", String::from_utf8_lossy(&output.stderr), exported.out);
    let told = String::from_utf8(output.stdout).expect("UTF-8");
    let items = scene.items().await;
    let day = |name: &str| {
        let item = items.iter().find(|item| item.name == name).expect("watched");
        item.deadline.as_ref().expect("a deadline")[..10].to_owned()
    };
    let mut lines: Vec<&str> = told.lines().collect();
    lines.sort_unstable();
    let line = |name: &str| format!("Renew {name}|{}|-21 days, 0:00:00|-7 days, 0:00:00", day(name));
    assert_eq!(lines, [line("Anna Nová"), line("Berta")]);
}
