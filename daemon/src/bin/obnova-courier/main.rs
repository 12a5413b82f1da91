//! obnova-courier: the process that alone speaks with the network and opens mails. It reads one errand from the socket on its standard
//! input, brings what it was sent for, and exits. It holds no key, and knows of no certificate but those that it is told to trust.

use std::io;
use std::process::ExitCode;

use obnovad::companions;
use obnovad::courier::protocol::{Errand, Report};
use obnovad::mail::{self, Resolver};
use obnovad::network;
use tokio::net::UnixStream;

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
    let socket = companions::daemon()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let served = runtime.block_on(async {
        socket.set_nonblocking(true)?;
        let mut socket = UnixStream::from_std(socket)?;
        let report = match serde_json::from_slice(&companions::receive(&mut socket).await?) {
            Ok(errand) => run(errand, &mut socket).await?,
            Err(error) => Report::Refused(error.to_string()),
        };
        companions::send(&mut socket, &serde_json::to_vec(&report)?).await
    });
    // A name that is still being looked up keeps nobody.
    runtime.shutdown_background();
    served
}

async fn run(errand: Errand, socket: &mut UnixStream) -> io::Result<Report> {
    Ok(match errand {
        Errand::Ask { call } => Report::Answered(network::ask(call).await),
        Errand::Read { arrived, names } => {
            let bytes = companions::receive(socket).await?;
            Report::Read(mail::read(&bytes, arrived, &Resolver::new(names)).await.map(Box::new))
        }
    })
}
