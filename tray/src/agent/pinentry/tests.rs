//! Against small scripts that speak as pinentries do; the real ones are asked in `tests/it/peers`.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::timeout;

use super::*;

/// A pinentry that answers requests by the `case` branches given, and everything else by OK; what it is asked stands in `log`.
fn script(branches: &str) -> (TempDir, Pinentry) {
    let directory = TempDir::new().expect("a directory");
    let path = directory.path().join("pinentry");
    let log = directory.path().join("log");
    let text = format!(
        "#!/bin/sh\necho 'OK ready'\nwhile IFS= read -r line; do\n  printf '%s\\n' \"$line\" >>'{}'\n  case \"$line\" in\n{branches}\n  *) echo OK ;;\n  esac\ndone\n",
        log.display()
    );
    // Written by another process: one that another test starts meanwhile would keep our file open, and what is open for writing
    // is not run.
    let mut writing = Command::new("/bin/sh");
    writing.args(["-c", "cat >\"$0\" && chmod 700 \"$0\""]).arg(&path).stdin(Stdio::piped());
    let mut writing = writing.spawn().expect("a shell");
    writing.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("a script");
    assert!(writing.wait().expect("its end").success());
    (directory, Pinentry { program: Some(path.into()) })
}

fn asked(directory: &TempDir) -> String {
    fs::read_to_string(directory.path().join("log")).expect("what was asked")
}

fn dialog() -> Dialog {
    Dialog {
        title: "Password of anna.p12".into(),
        body: "100 % sure?\nIt is used once.".into(),
        prompt: "Password".into(),
        yes: "Go_on".into(),
        no: "Not now".into(),
        error: None,
        repeat: None,
    }
}

fn repeated() -> Dialog {
    Dialog { repeat: Some(("Again".into(), "They differ".into())), ..dialog() }
}

#[tokio::test]
async fn a_secret_is_decoded_and_joined() {
    let (directory, pinentry) = script("  GETPIN) printf 'S STATUS\\nD kůň%%25\\nD %%0Aü\\nOK\\n' ;;");
    let secret = pinentry.secret(dialog()).await.expect("a secret");
    assert_eq!(secret.expose(), "kůň%\nü".as_bytes());
    let asked = asked(&directory);
    for line in [
        "SETDESC Password of anna.p12%0A%0A100 %25 sure?%0AIt is used once.",
        "SETPROMPT Password",
        "SETOK Go__on",
        "SETCANCEL Not now",
        "OPTION lc-ctype=C.UTF-8",
    ] {
        assert!(asked.lines().any(|said| said == line), "{line} is missing in\n{asked}");
    }
}

#[tokio::test]
async fn nothing_typed_is_an_empty_secret() {
    let (_directory, pinentry) = script("");
    assert!(pinentry.secret(dialog()).await.expect("a secret").is_empty());
}

#[tokio::test]
async fn a_closed_window_is_a_refusal() {
    let (_directory, pinentry) = script("  GETPIN|CONFIRM) echo 'ERR 83886179 Operation cancelled <Pinentry>' ;;");
    assert!(matches!(pinentry.secret(dialog()).await, Err(DialogError::Refused)));
    assert!(!pinentry.confirm(dialog()).await.expect("an answer"));
}

#[tokio::test]
async fn no_is_no_and_yes_is_yes() {
    let (_directory, pinentry) = script("  CONFIRM) echo 'ERR 83886194 Not confirmed' ;;");
    assert!(!pinentry.confirm(dialog()).await.expect("an answer"));
    let (_directory, pinentry) = script("");
    assert!(pinentry.confirm(dialog()).await.expect("an answer"));
}

#[tokio::test]
async fn a_new_secret_is_repeated_in_one_window_or_in_two() {
    let (directory, pinentry) = script("  GETPIN) printf 'S PIN_REPEATED\\nD neu\\nOK\\n' ;;");
    assert_eq!(pinentry.secret(repeated()).await.expect("a secret").expose(), b"neu");
    assert!(asked(&directory).contains("SETREPEAT Again\nSETREPEATERROR They differ\n"));

    // Does not know SETREPEAT; the first two differ, the next two are the same.
    let (directory, pinentry) = script(
        "  SETREPEAT*) echo 'ERR 536871187 Unknown IPC command' ;;\n  GETPIN) n=$((n+1)); [ $n = 2 ] && echo 'D alt' || echo 'D neu'; echo OK ;;",
    );
    assert_eq!(pinentry.secret(repeated()).await.expect("a secret").expose(), b"neu");
    let asked = asked(&directory);
    assert_eq!(asked.matches("GETPIN").count(), 4);
    assert!(asked.contains("SETERROR They differ"));
}

#[tokio::test]
async fn one_for_terminals_and_one_that_is_missing_are_told() {
    let (_directory, pinentry) = script("  'GETINFO flavor') printf 'D gtk2:curses\\nOK\\n' ;;");
    assert!(matches!(pinentry.secret(dialog()).await, Err(DialogError::NoProgram)));
    let missing = Pinentry { program: Some("/nonexistent/pinentry".into()) };
    assert!(matches!(missing.secret(dialog()).await, Err(DialogError::NoProgram)));
}

#[tokio::test]
async fn one_that_dies_or_talks_nonsense_is_an_error() {
    let (_directory, pinentry) = script("  GETPIN) exit 1 ;;");
    assert!(matches!(pinentry.secret(dialog()).await, Err(DialogError::Io(_))));
    let (_directory, pinentry) = script("  GETPIN) echo 'INQUIRE WHAT' ;;");
    assert!(matches!(pinentry.secret(dialog()).await, Err(DialogError::Io(_))));
    let (_directory, pinentry) = script("  GETPIN) head -c 3000 /dev/zero | tr '\\0' a ;;");
    assert!(matches!(pinentry.secret(dialog()).await, Err(DialogError::Memory(_))));
}

/// Dropping the question closes the window: the script, which answers nothing, is gone soon after.
#[tokio::test]
async fn a_question_that_is_dropped_ends_its_process() {
    let (directory, pinentry) = script("  GETPIN) echo $$ >\"$0.pid\"; exec sleep 1000 ;;");
    let process = directory.path().join("pinentry.pid");
    let asking = tokio::spawn(async move { pinentry.secret(dialog()).await.map(|_| ()) });
    let number = until(|| fs::read_to_string(&process).ok().filter(|text| text.ends_with('\n'))).await;
    asking.abort();
    let status = format!("/proc/{}/status", number.trim());
    // It may stay as a zombie until the runtime looks after its children.
    until(|| fs::read_to_string(&status).map_or(Some(()), |text| text.contains("State:\tZ").then_some(()))).await;
}

/// Bounded polling.
async fn until<T>(mut condition: impl FnMut() -> Option<T>) -> T {
    timeout(Duration::from_secs(10), async {
        loop {
            if let Some(value) = condition() {
                return value;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("in time")
}

#[test]
fn a_long_text_is_cut_between_letters() {
    let line = encoded("SETDESC", &"ů%".repeat(600));
    assert!(line.len() <= LINE && line.len() > LINE - 8, "{}", line.len());
    let text = String::from_utf8(line).expect("UTF-8");
    assert!(text.ends_with("…\n"));
    let fits = "a".repeat(LINE - "SETDESC \n".len());
    assert!(encoded("SETDESC", &fits) == format!("SETDESC {fits}\n").into_bytes(), "what fits is not cut");
}

#[test]
fn an_error_tells_its_lower_half() {
    assert!(matches!(reported(b"83886179 cancelled"), DialogError::Refused));
    assert!(matches!(reported(b"536871187 Unknown IPC command"), DialogError::Reported(275)));
}
