//! How the helper is started, how it ends, and what it is linked with.

use std::fs;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use obnovad::companions::program;
use obnovad::helper::protocol::HelperError;
use obnovad::helper::{Helper, KeyAlgorithm};
use rustix::process::{Pid, Signal, kill_process};

use crate::bench::{Bench, HELPER, comes_true, secret};

#[test]
fn only_the_helper_is_linked_with_openssl() {
    let libraries = |program: &str| {
        let output = Command::new("ldd").arg(program).output().expect("ldd is installed");
        assert!(output.status.success());
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    let (daemon, helper) = (libraries(env!("CARGO_BIN_EXE_obnovad")), libraries(HELPER));
    assert!(daemon.contains("libc.so"), "{daemon}");
    for library in ["libssl", "libcrypto"] {
        assert!(!daemon.contains(library), "obnovad: {daemon}");
    }
    assert!(helper.contains("libcrypto"), "obnova-helper: {helper}");
}

/// PKCS#11 modules are loaded and not linked: a program that can load one names the function that each of them has.
#[test]
fn only_the_helper_can_load_pkcs11_modules() {
    let names_it = |program: &str| {
        let name = b"C_GetFunctionList";
        fs::read(program).expect("a program").windows(name.len()).any(|window| window == name)
    };
    assert!(names_it(HELPER) && !names_it(env!("CARGO_BIN_EXE_obnovad")));
}

#[tokio::test]
async fn a_helper_that_does_not_answer_is_killed_and_reaped() {
    let bench = Bench::new();
    // cat reads the request and answers nothing, for its output is not the socket.
    let (helper, program) = bench.helper_named("silent", "/bin/cat");
    let helper = helper.with_deadline(Duration::from_secs(1));
    let absent = bench.path("absent");
    let (answer, pid) = tokio::join!(helper.digest(&absent), async { started(&program) });
    let error = answer.expect_err("it cannot answer");
    assert!(matches!(error, HelperError::Deadline { after } if after == Duration::from_secs(1)), "{error:?}");
    assert!(!exists(pid), "neither running nor a zombie");
}

#[tokio::test]
async fn a_dropped_operation_takes_its_helper_along() {
    let bench = Bench::new();
    let (helper, program) = bench.helper_named("silent", "/bin/cat");
    let path = bench.path("absent");
    let pid = tokio::select! {
        biased;
        answer = helper.digest(&path) => panic!("{answer:?}"),
        pid = async { started(&program) } => pid,
    };
    assert!(comes_true(|| !is_running(pid)));
}

#[tokio::test]
async fn a_helper_that_ends_early_is_told_with_its_status() {
    let bench = Bench::new();
    let error = Helper::at("/bin/false").digest(&bench.path("absent")).await.expect_err("it answers nothing");
    assert!(matches!(error, HelperError::Crashed { status } if status.code() == Some(1)), "{error:?}");

    let error = Helper::at(bench.path("nowhere")).digest(&bench.path("absent")).await.expect_err("there is none");
    assert!(matches!(&error, HelperError::Start { program, .. } if *program == bench.path("nowhere")), "{error:?}");
}

#[tokio::test]
async fn a_helper_killed_at_work_leaves_nothing_and_betrays_nothing() {
    let bench = Bench::new();
    let (helper, program) = bench.helper_named("worker", HELPER);
    let key = bench.path("key.pem");
    let (answer, ()) = tokio::join!(helper.generate(KeyAlgorithm::Rsa4096, &key, None), async {
        let pid = started(&program);
        let environment = fs::read(format!("/proc/{}/environ", pid.as_raw_pid())).expect("environment");
        assert!(environment.is_empty(), "{environment:?}");
        kill_process(pid, Signal::KILL).expect("kill");
    });
    let error = answer.expect_err("it was killed");
    assert!(matches!(error, HelperError::Crashed { status } if status.signal() == Some(9)), "{error:?}");
    assert_eq!(bench.names(), ["worker"]);
}

#[test]
fn the_helper_dies_with_the_thread_that_started_it() {
    let (mut helper, ours) = std::thread::spawn(waiting_helper).join().expect("thread");
    let status = helper.wait().expect("wait");
    assert_eq!(status.signal(), Some(9), "{status}");
    drop(ours);
}

#[test]
fn the_helper_leaves_no_core() {
    let (mut helper, ours) = waiting_helper();
    let limits = fs::read_to_string(format!("/proc/{}/limits", helper.id())).expect("limits");
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).expect("limit").split_whitespace();
    assert_eq!(core.skip(4).take(2).collect::<Vec<_>>(), ["0", "0"]);
    drop(ours);
    assert_eq!(helper.wait().expect("wait").code(), Some(1), "the daemon hung up");
}

#[test]
fn the_helper_serves_nobody_but_its_parent() {
    let (mut ours, theirs) = UnixStream::pair().expect("pair");
    // The shell stays in between.
    let mut shell = Command::new("/bin/sh")
        .args(["-c", "\"$0\"; exit $?", HELPER])
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stderr(Stdio::null())
        .spawn()
        .expect("sh");
    assert_eq!(shell.wait().expect("wait").code(), Some(1));
    let mut answer = Vec::new();
    ours.read_to_end(&mut answer).expect("the end");
    assert!(answer.is_empty());

    let status = Command::new(HELPER).stdin(Stdio::null()).stderr(Stdio::null()).status().expect("start");
    assert_eq!(status.code(), Some(1), "without a socket");
}

#[test]
fn requests_that_make_no_sense_are_refused() {
    for request in ["", "{", r#"{"operation":"dance"}"#, r#"{"operation":"digest"}"#] {
        let answer = raw_exchange(request.as_bytes(), &[]);
        assert!(answer.starts_with(r#"{"Err":{"failure":"refused""#), "{request}: {answer}");
    }
}

#[test]
fn a_secret_that_is_too_long_or_cut_off_is_refused() {
    let request = br#"{"operation":"open-pkcs12","path":"L2Rldi9udWxs"}"#;
    let too_long = [1025_u32.to_le_bytes().as_slice(), &[b'x'; 1025]].concat();
    let cut_off = [9_u32.to_le_bytes().as_slice(), b"secret"].concat();
    for secret in [&too_long, &cut_off] {
        let answer = raw_exchange(request, secret);
        assert!(answer.starts_with(r#"{"Err":{"failure":"refused""#), "{answer}");
    }
}

#[tokio::test]
async fn without_lockable_memory_no_secret_is_taken() {
    let bench = Bench::new();
    let helper = bench.powerless_helper("ulimit -l 0");
    assert_eq!(helper.digest(&bench.path("absent")).await.expect("this needs no secret"), None);
    let error = helper.open_pkcs12(&bench.path("absent"), &secret("x")).await.expect_err("this does");
    assert!(matches!(error, HelperError::Memory { .. }), "{error:?}");
}

/// Sends a request and what comes after it, byte by byte as they are, and returns the JSON of the answer.
fn raw_exchange(request: &[u8], rest: &[u8]) -> String {
    let (mut ours, theirs) = UnixStream::pair().expect("pair");
    let mut helper = Command::new(HELPER).stdin(Stdio::from(OwnedFd::from(theirs))).spawn().expect("start");
    ours.write_all(&u32::try_from(request.len()).expect("short").to_le_bytes()).expect("write");
    ours.write_all(request).expect("write");
    ours.write_all(rest).expect("write");
    ours.shutdown(std::net::Shutdown::Write).expect("shutdown");
    let mut answer = Vec::new();
    // Bytes that it refused to read may turn the end into a reset: the answer came before.
    let _end = ours.read_to_end(&mut answer);
    helper.wait().expect("wait");
    String::from_utf8(answer.split_off(4)).expect("UTF-8")
}

/// A helper that has read the length of a request, and so is past all precautions, and waits for the request.
fn waiting_helper() -> (Child, UnixStream) {
    let (mut ours, theirs) = UnixStream::pair().expect("pair");
    let unread = theirs.try_clone().expect("second descriptor");
    let helper = Command::new(HELPER).stdin(Stdio::from(OwnedFd::from(theirs))).stderr(Stdio::null()).spawn().expect("start");
    ours.write_all(&100_u32.to_le_bytes()).expect("write");
    assert!(comes_true(|| rustix::io::ioctl_fionread(&unread).expect("ioctl") == 0));
    (helper, ours)
}

/// The process that runs `program`, which has a name of its own.
fn started(program: &Path) -> Pid {
    let mut found = None;
    assert!(comes_true(|| {
        found = processes().find(|pid| {
            let line = fs::read(format!("/proc/{}/cmdline", pid.as_raw_pid())).unwrap_or_default();
            line.strip_suffix(b"\0") == Some(program.as_os_str().as_encoded_bytes())
        });
        found.is_some()
    }));
    found.expect("just found")
}

fn processes() -> impl Iterator<Item = Pid> {
    let entries = fs::read_dir("/proc").expect("/proc");
    entries.filter_map(|entry| Pid::from_raw(entry.ok()?.file_name().to_str()?.parse().ok()?))
}

fn exists(pid: Pid) -> bool {
    Path::new(&format!("/proc/{}", pid.as_raw_pid())).exists()
}

/// Whether a process exists and is no zombie.
fn is_running(pid: Pid) -> bool {
    let status = fs::read_to_string(format!("/proc/{}/status", pid.as_raw_pid())).unwrap_or_default();
    status.contains("State:") && !status.contains("State:\tZ")
}

#[test]
fn a_companion_is_looked_for_beside_the_program_and_where_it_is_installed() {
    let own = std::env::current_exe().expect("path");
    assert_eq!(program(own.file_name().and_then(|name| name.to_str()).expect("a name")).expect("it is there"), own);
    let absent = program("obnova-absent").expect_err("it is nowhere").to_string();
    assert!(absent.contains("libexec/obnova/obnova-absent"), "{absent}");
}
