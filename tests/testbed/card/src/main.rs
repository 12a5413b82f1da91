//! A PIV card in software, that pcscd takes for a real one by way of vpcd: for tests of what speaks with cards.
//!
//! `virtual-card --state DIRECTORY [--port N] [--control SOCKET] [--move-key | --strict | --replay FILE]`
//!
//! Without a switch it generates keys in every slot but cannot move them (as a Nitrokey 3); with `--move-key` it is a YubiKey 5.7;
//! with `--strict` it knows the standard's commands alone; with `--replay FILE` it is a transcript. Its keys, PINs and objects
//! stay in the directory. It is inserted when it starts, and pulled when it ends; in between `control` says how to pull it and
//! what else may happen to it.

mod apdu;
mod applet;
mod backends;
mod card;
mod control;
mod faults;
mod line;
mod management;
mod memory;
mod replay;
mod tlv;
mod transcript;
mod yubikey;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::{env, fs, io};

use card::{Card, Ending, Kind, Session};
use control::Control;
use line::Line;
use memory::Memory;
use replay::Replay;

/// vpcd's own port.
const PORT: u16 = 0x8C7B;

struct Options {
    kind: Kind,
    state: PathBuf,
    port: u16,
    control: Option<PathBuf>,
    replay: Option<PathBuf>,
}

fn main() -> ExitCode {
    let Some(options) = options() else {
        eprintln!(
            "usage: virtual-card --state DIRECTORY [--port N] [--control SOCKET] [--move-key | --strict | --replay FILE]"
        );
        return ExitCode::from(2);
    };
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("virtual-card: {error}");
            ExitCode::FAILURE
        }
    }
}

fn options() -> Option<Options> {
    let (mut kind, mut state, mut port, mut control, mut replay) = (Kind::Generates, None, PORT, None, None);
    let mut arguments = env::args_os().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.to_str()? {
            "--move-key" => kind = Kind::Moves,
            "--strict" => kind = Kind::Strict,
            "--replay" => replay = Some(PathBuf::from(arguments.next()?)),
            "--state" => state = Some(PathBuf::from(arguments.next()?)),
            "--port" => port = arguments.next()?.to_str()?.parse().ok()?,
            "--control" => control = Some(PathBuf::from(arguments.next()?)),
            _ => return None,
        }
    }
    Some(Options { kind, state: state?, port, control, replay })
}

fn run(options: &Options) -> io::Result<()> {
    fs::create_dir_all(&options.state)?;
    let control = Arc::new(Control::new(&options.state, options.kind.atr()));
    if let Some(path) = &options.control {
        control.serve(path)?;
    }
    let mut line = Line::to(options.port, &control);
    if let Some(file) = &options.replay {
        line.serve(&mut Replay::open(file, &control)?);
        return Ok(());
    }
    let mut memory = Memory::open(&options.state);
    let mut session = Session::default();
    loop {
        let ending = applet::power(&options.state, options.kind.label(), |applet| {
            let mut card = Card::new(options.kind, applet, &mut memory, &mut session, &control);
            line.serve(&mut card)
        });
        match ending {
            Some(Ending::Power) => session = Session::default(),
            Some(Ending::Files) => {}
            None => return Ok(()),
        }
    }
}
