//! The program itself: what only a process has (arguments, exit codes, a closed pipe, a bus that is not there).

use std::io::Read;
use std::process::{Command, Output, Stdio};

#[test]
fn help_is_data_and_a_mistake_is_talk() {
    let help = obnova(&["--help"]);
    assert_eq!((help.status.code(), help.stderr.as_slice()), (Some(0), &b""[..]));
    assert!(String::from_utf8(help.stdout).expect("UTF-8").contains("Usage: obnova"));
    for mistake in [&["frobnicate"][..], &["watch"], &["list", "--no-such-option"], &["--system", "--bus", "x", "list"]] {
        let outcome = obnova(mistake);
        assert_eq!((outcome.status.code(), outcome.stdout.as_slice()), (Some(2), &b""[..]), "{mistake:?}");
        assert!(!outcome.stderr.is_empty());
    }
}

#[test]
fn no_bus_is_an_unreachable_daemon() {
    for (arguments, command) in [
        (&["--bus", "unix:path=/nowhere/bus"][..], "systemctl --user start obnovad"),
        (&["list", "--json", "--bus", "nonsense"], "systemctl --user start obnovad"),
        (&["list"], "systemctl --user start obnovad"),
        (&["list", "--system"], "sudo systemctl start obnovad"),
    ] {
        let outcome = obnova(arguments);
        let told = String::from_utf8(outcome.stderr).expect("UTF-8");
        assert_eq!((outcome.status.code(), outcome.stdout.as_slice()), (Some(4), &b""[..]), "{arguments:?}: {told}");
        assert!(told.lines().nth(1).is_some_and(|hint| hint.starts_with("hint: ") && hint.ends_with(command)), "{told}");
    }
}

#[test]
fn a_reader_that_leaves_early_is_no_crash() {
    let mut process = command(&["--help"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("started");
    drop(process.stdout.take());
    let mut told = String::new();
    process.stderr.take().expect("its errors").read_to_string(&mut told).expect("UTF-8");
    let code = process.wait().expect("its end").code();
    assert!(code.is_some() && !told.contains("panicked"), "{code:?} {told}");
}

fn obnova(arguments: &[&str]) -> Output {
    command(arguments).output().expect("started")
}

/// The program in an environment in which no bus is to be found.
fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_obnova"));
    let nowhere = "unix:path=/nowhere/bus";
    command.args(arguments).env_clear();
    command.env("DBUS_SESSION_BUS_ADDRESS", nowhere).env("DBUS_SYSTEM_BUS_ADDRESS", nowhere);
    command
}
