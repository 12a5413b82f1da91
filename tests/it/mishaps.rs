//! Twins renewed at a card that fails at every single command, in every way that can be told apart. Whatever happens, the renewal ends
//! well or stands still at a problem that says what to do, no key is lost, and nothing is asked for or made twice.
//!
//! Every command fails once in each of four ways; with `OBNOVA_SOAK` set, in all ways; with `OBNOVA_MISHAPS_AT` (`17,230`), only those
//! commands. What came of it is printed as a table.

mod run;
mod table;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use run::{End, Scenery};
use table::Table;

/// What goes wrong at a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Mishap {
    /// The card is pulled, and inserted again once the renewal stands still.
    Pulled { after: bool },
    /// The reader fails once.
    Broken { after: bool },
    /// The card says this.
    Says { after: bool, status: u16 },
    /// The daemon is stopped there, and started again.
    Stopped { after: bool },
}

/// What cards say when they do not want to: no precise diagnosis, security status, wrong data, key not found, PIN wrong, PIN blocked,
/// wrong length, unknown instruction, object not found.
const STATUSES: [u16; 9] = [0x6F00, 0x6982, 0x6A80, 0x6A88, 0x63C2, 0x6983, 0x6700, 0x6D00, 0x6A82];

impl Mishap {
    /// All.
    fn all() -> Vec<Self> {
        let twice = |make: fn(bool) -> Self| [make(false), make(true)];
        let mut all = twice(|after| Self::Pulled { after }).to_vec();
        all.extend(twice(|after| Self::Broken { after }));
        all.extend(twice(|after| Self::Stopped { after }));
        all.extend(STATUSES.map(|status| Self::Says { after: false, status }));
        all.push(Self::Says { after: true, status: 0x6F00 });
        all
    }

    /// Of which sort it is.
    fn sort(self) -> &'static str {
        match self {
            Self::Pulled { .. } => "pulled",
            Self::Broken { .. } => "no answer",
            Self::Says { .. } => "says",
            Self::Stopped { .. } => "stopped",
        }
    }

    /// One of each sort, others for each command.
    fn some(at: usize) -> Vec<Self> {
        let (after, status) = (at % 2 == 1, STATUSES[at % STATUSES.len()]);
        vec![
            Self::Pulled { after },
            Self::Broken { after: !after },
            Self::Stopped { after },
            Self::Says { after: false, status },
        ]
    }
}

impl std::fmt::Display for Mishap {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Self::Pulled { after } | Self::Broken { after } | Self::Says { after, .. } | Self::Stopped { after }) = self;
        formatter.write_str(self.sort())?;
        if let Self::Says { status, .. } = self {
            write!(formatter, " {status:04X}")?;
        }
        formatter.write_str(if *after { " after it" } else { "" })
    }
}

#[test]
fn twins_outlive_whatever_happens_at_any_command() {
    let scenery = Scenery::set();
    let commands = scenery.plain();
    let soak = std::env::var_os("OBNOVA_SOAK").is_some();
    let few =
        std::env::var("OBNOVA_MISHAPS_AT").ok().map(|list| list.split(',').map(|at| at.parse().expect("a number")).collect());
    let indexes: Vec<usize> = few.unwrap_or_else(|| (1..=commands.len()).collect());
    let mishaps = |at: usize| if soak { Mishap::all() } else { Mishap::some(at) };
    let planned: Vec<(usize, Mishap)> =
        indexes.iter().flat_map(|at| mishaps(*at).into_iter().map(|mishap| (*at, mishap))).collect();
    let (next, ends) = (AtomicUsize::new(0), Mutex::new(Vec::<(usize, Mishap, Result<End, String>)>::new()));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, |cores| cores.get() + 1) {
            scope.spawn(|| {
                while let Some((at, mishap)) = planned.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let end = scenery.with(*at, *mishap);
                    ends.lock().expect("no panic while held").push((*at, *mishap, end));
                }
            });
        }
    });
    let mut ends = ends.into_inner().expect("no panic while held");
    ends.sort_by_key(|(at, mishap, _)| (*at, *mishap));
    Table::of(&commands, &ends).print();
    let wrong: Vec<String> =
        ends.iter().filter_map(|(at, mishap, end)| Some(format!("{at} {mishap}: {}", end.as_ref().err()?))).collect();
    assert!(wrong.is_empty(), "{} of {} went wrong:\n{}", wrong.len(), ends.len(), wrong.join("\n"));
}

#[test]
fn a_card_that_fails_once_when_it_is_inserted_is_seen_all_the_same() {
    let scenery = Scenery::set();
    let commands = scenery.look();
    for at in 1..=commands {
        for mishap in
            [Mishap::Broken { after: false }, Mishap::Broken { after: true }, Mishap::Says { after: false, status: 0x6F00 }]
        {
            scenery.inserted_with(at, mishap);
        }
    }
}
