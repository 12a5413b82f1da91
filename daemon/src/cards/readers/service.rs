//! Waiting for the card service where there is none, or none for us: the kernel says when its socket appears, and systemd's
//! files say when another session comes to the front (as sd-login(3) watches them).

use std::io;
use std::mem::MaybeUninit;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::fs::inotify::{self, CreateFlags, Reader, WatchFlags};
use rustix::io::Errno;

/// Where pcscd listens, unless the environment says otherwise (pcsc-lite's own variable).
const SOCKET: &str = "/run/pcscd/pcscd.comm";
const SOCKET_VARIABLE: &str = "PCSCLITE_CSOCK_NAME";

/// Where systemd-logind says which session is in front.
const SEATS: &str = "/run/systemd/seats";

/// After a sign the service is tried at these intervals (its socket appears a moment before it listens), and then no more
/// until the next sign.
const TRIES: [Duration; 5] = [
    Duration::from_millis(20),
    Duration::from_millis(100),
    Duration::from_millis(400),
    Duration::from_secs(2),
    Duration::from_secs(5),
];

/// What speaks for another try.
pub(super) struct Signs {
    socket: PathBuf,
    seats: PathBuf,
    inotify: OwnedFd,
    /// What is watched: the socket's directory, or the nearest one above it that there is.
    nearest: PathBuf,
    tried: usize,
}

impl Signs {
    /// Begins to watch for signs. What came before is found by the first tries.
    pub(super) fn watch() -> io::Result<Self> {
        let socket = std::env::var_os(SOCKET_VARIABLE).map_or_else(|| PathBuf::from(SOCKET), PathBuf::from);
        Self::watch_at(socket, PathBuf::from(SEATS))
    }

    fn watch_at(socket: PathBuf, seats: PathBuf) -> io::Result<Self> {
        let (inotify, nearest) = ask(&socket, &seats)?;
        Ok(Self { socket, seats, inotify, nearest, tried: 0 })
    }

    /// Waits until the service is worth another try, or until `bell` can be read.
    pub(super) fn wait(&mut self, bell: &OwnedFd) -> io::Result<()> {
        loop {
            let patience = TRIES.get(self.tried).copied().map(timespec);
            let mut awaited = [PollFd::new(bell, PollFlags::IN), PollFd::new(&self.inotify, PollFlags::IN)];
            match poll(&mut awaited, patience.as_ref()) {
                Err(Errno::INTR) => continue,
                Err(errno) => return Err(errno.into()),
                Ok(_) => {}
            }
            if awaited[0].revents().contains(PollFlags::IN) {
                return Ok(());
            }
            if !awaited[1].revents().contains(PollFlags::IN) {
                self.tried += 1;
                return Ok(());
            }
            if self.read()? {
                self.tried = 0;
            }
        }
    }

    /// The service was there, and lasted.
    pub(super) fn was_good(&mut self) {
        self.tried = 0;
    }

    /// Takes what the kernel reports, and says whether it is a sign. A directory that came or went is watched anew.
    fn read(&mut self) -> io::Result<bool> {
        let mut of_seats = false;
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = Reader::new(&self.inotify, &mut buffer);
        loop {
            match reader.next() {
                // The seats are asked for second, if at all: watches are numbered from one.
                Ok(event) => of_seats |= event.wd() > 1,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                Err(errno) => return Err(errno.into()),
            }
        }
        let before = std::mem::take(&mut self.nearest);
        (self.inotify, self.nearest) = ask(&self.socket, &self.seats)?;
        // In a directory far above, others come and go as well.
        Ok(of_seats || before != self.nearest || Some(self.nearest.as_path()) == self.socket.parent())
    }
}

/// Asks the kernel to report, and says what it watches of the way to the socket.
fn ask(socket: &Path, seats: &Path) -> io::Result<(OwnedFd, PathBuf)> {
    let inotify = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
    let appears = WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::ONLYDIR;
    let itself = WatchFlags::DELETE_SELF | WatchFlags::MOVE_SELF;
    let parent = socket.parent().unwrap_or(Path::new("/"));
    for directory in parent.ancestors() {
        // The socket's rights are set once it listens.
        let listens = if directory == parent { WatchFlags::ATTRIB } else { WatchFlags::empty() };
        match inotify::add_watch(&inotify, directory, appears | itself | listens) {
            Ok(_) => {
                if seats.is_dir() {
                    inotify::add_watch(&inotify, seats, WatchFlags::MOVED_TO | WatchFlags::DELETE | WatchFlags::ONLYDIR)?;
                }
                return Ok((inotify, directory.to_owned()));
            }
            Err(Errno::NOENT | Errno::NOTDIR | Errno::ACCESS) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Err(Errno::NOENT.into())
}

fn timespec(time: Duration) -> Timespec {
    Timespec { tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX), tv_nsec: i64::from(time.subsec_nanos()) }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::mpsc::{Receiver, channel};
    use std::time::Instant;

    use rustix::event::{EventfdFlags, eventfd};

    use super::*;

    const BOUND: Duration = Duration::from_secs(20);

    /// Waits on a thread of its own, all tries used up, and says when each wait is over.
    fn waits(mut signs: Signs) -> (OwnedFd, Receiver<usize>) {
        let bell = eventfd(0, EventfdFlags::CLOEXEC).expect("a descriptor");
        let ours = bell.try_clone().expect("a descriptor");
        let (over, waits) = channel();
        std::thread::spawn(move || {
            signs.tried = TRIES.len();
            while signs.wait(&bell).is_ok() && over.send(signs.tried).is_ok() {}
        });
        (ours, waits)
    }

    #[test]
    fn a_socket_is_noticed_wherever_its_way_begins() {
        let root = tempfile::tempdir().expect("a directory");
        let socket = root.path().join("run/pcscd/pcscd.comm");
        let watch = || Signs::watch_at(socket.clone(), root.path().join("none")).expect("watched");
        let (_bell, waits_above) = waits(watch());
        fs::create_dir(root.path().join("other")).expect("made");
        fs::create_dir_all(socket.parent().expect("a parent")).expect("made");
        assert!(waits_above.recv_timeout(BOUND).expect("the way is noticed") < TRIES.len());
        let (_bell, waits_beside) = waits(watch());
        fs::write(&socket, "").expect("made");
        assert!(waits_beside.recv_timeout(BOUND).expect("the socket is noticed") < TRIES.len());
    }

    #[test]
    fn the_front_is_noticed_and_strangers_are_not() {
        let root = tempfile::tempdir().expect("a directory");
        let seats = root.path().join("seats");
        fs::create_dir(&seats).expect("made");
        let socket = root.path().join("run/pcscd/pcscd.comm");
        let (_bell, waits) = waits(Signs::watch_at(socket, seats.clone()).expect("watched"));
        fs::create_dir(root.path().join("stranger")).expect("made");
        assert!(waits.recv_timeout(Duration::from_millis(300)).is_err(), "nothing has come");
        fs::write(seats.join(".seat0"), "").and_then(|()| fs::rename(seats.join(".seat0"), seats.join("seat0"))).expect("made");
        waits.recv_timeout(BOUND).expect("the seat is noticed");
    }

    #[test]
    fn tries_are_few_and_the_end_is_heard() {
        let root = tempfile::tempdir().expect("a directory");
        let mut signs = Signs::watch_at(root.path().join("pcscd.comm"), root.path().join("none")).expect("watched");
        let bell = eventfd(0, EventfdFlags::CLOEXEC).expect("a descriptor");
        let began = Instant::now();
        for tried in 1..=3 {
            signs.wait(&bell).expect("waited");
            assert_eq!(signs.tried, tried);
        }
        assert!(began.elapsed() >= TRIES[..3].iter().sum::<Duration>());
        rustix::io::write(&bell, &1_u64.to_ne_bytes()).expect("rung");
        signs.tried = TRIES.len();
        signs.wait(&bell).expect("heard");
        assert!(began.elapsed() < BOUND);
    }
}
