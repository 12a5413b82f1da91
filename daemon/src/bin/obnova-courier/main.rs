//! obnova-courier: the process that alone speaks with the network and opens mails. It reads one errand from the socket on its standard
//! input, brings what it was sent for, and exits. It holds no key, and knows of no certificate but those that it is told of.

use std::io;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use chrono::{DateTime, Utc};
use obnova_secret::WipingAllocator;
use obnovad::companions::{self, MAX_FRAME};
use obnovad::courier::protocol::{Errand, News, Report};
use obnovad::mail::{self, Resolver, imap, servers};
use obnovad::network;

/// The libraries for mail servers copy passwords to the heap; this leaves none behind.
#[global_allocator]
static ALLOCATOR: WipingAllocator = WipingAllocator;

#[expect(clippy::print_stderr, reason = "whoever started this sees else only that it ended")]
fn main() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("obnova-courier: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve() -> io::Result<()> {
    obnova_secret::process::harden()?;
    let mut socket = companions::daemon()?;
    let report = match serde_json::from_slice(&companions::receive(&mut socket, MAX_FRAME)?) {
        Ok(errand) => run(errand, &mut socket)?,
        Err(error) => Some(Report::Refused(error.to_string())),
    };
    report.map_or(Ok(()), |report| tell(&mut socket, &report))
}

/// Does what it was sent for; what is still to be brought.
fn run(errand: Errand, socket: &mut UnixStream) -> io::Result<Option<Report>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = match errand {
        Errand::Ask { call } => {
            let asked = socket.try_clone()?;
            let sign = move |message: &[u8]| {
                let mut socket = &asked;
                tell(&mut socket, &Report::Sign(message.into()))?;
                companions::receive(&mut socket, MAX_FRAME)
            };
            Some(Report::Answered(runtime.block_on(network::ask(call, sign))))
        }
        Errand::Fetch { source } => Some(Report::Fetched(runtime.block_on(network::fetch(source)).map(Into::into))),
        Errand::Find { domain, names } => Some(Report::Found(runtime.block_on(servers::of(&domain, &Resolver::new(names))))),
        Errand::Keep { post } => {
            let secret = companions::receive_secret(socket).map_err(io::Error::other)?;
            let told = socket.try_clone()?;
            let tell = move |news: News| tell(&mut &told, &Report::News(news));
            let problem = runtime.block_on(imap::keep(*post, secret, tell));
            Some(Report::News(News::Over(problem)))
        }
        Errand::Dispatch { dispatch } => {
            let password = companions::receive_secret(socket).map_err(io::Error::other)?;
            Some(Report::Dispatched(runtime.block_on(network::dispatch(dispatch, password.expose()))))
        }
        Errand::Read { names } => {
            let resolver = Resolver::new(names);
            while let Some(arrived) = next(socket)? {
                let arrived: DateTime<Utc> = serde_json::from_slice(&arrived)?;
                let bytes = companions::receive(socket, MAX_FRAME)?;
                let facts = runtime.block_on(mail::read(&bytes, arrived, &resolver));
                tell(socket, &Report::Read(facts.map(Box::new)))?;
            }
            None
        }
    };
    // A name that is still being looked up keeps nobody.
    runtime.shutdown_background();
    Ok(report)
}

/// The next frame; `None`: the daemon has hung up.
fn next(socket: &mut UnixStream) -> io::Result<Option<Vec<u8>>> {
    match companions::receive(socket, MAX_FRAME) {
        Ok(frame) => Ok(Some(frame)),
        Err(error) if companions::is_hang_up(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

fn tell(socket: &mut impl io::Write, report: &Report) -> io::Result<()> {
    companions::send(socket, &serde_json::to_vec(report)?)
}
