//! The wall clock, as the daemon sleeps by it: real, or moved by whoever tries things out.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use chrono::{DateTime, Duration, FixedOffset, Local, Utc};
use obnova_core::Now;
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime};
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;

/// Where the present moment comes from.
pub trait Clock: Send + Sync {
    /// The present moment, with the person's offset from UTC.
    fn now(&self) -> Now;

    /// Sleeps until a moment of the wall clock (`None`: for ever), or until the clock jumps: because it was set, or because
    /// the machine slept.
    fn sleep(&self, until: Option<DateTime<Utc>>) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;

    /// The same clock for another who sleeps by it: one clock wakes one.
    fn another(&self) -> io::Result<Arc<dyn Clock>>;
}

/// The machine's clock. Costs one descriptor and, while nothing is due, no wake-up.
pub struct SystemClock {
    timer: AsyncFd<rustix::fd::OwnedFd>,
}

impl SystemClock {
    /// Must be made inside the runtime in which it sleeps.
    pub fn new() -> io::Result<Self> {
        let timer = timerfd_create(TimerfdClockId::Realtime, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK)?;
        #[expect(deprecated, reason = "its successor is unsafe; an owned descriptor is what makes this one sound")]
        let timer = AsyncFd::with_interest(timer, tokio::io::Interest::READABLE)?;
        Ok(Self { timer })
    }

    fn arm(&self, until: Option<DateTime<Utc>>) -> io::Result<()> {
        // Far enough away for "never", near enough for the kernel's arithmetic.
        let until = until.unwrap_or(DateTime::UNIX_EPOCH + Duration::days(365_000)).max(DateTime::UNIX_EPOCH);
        let value = Timespec { tv_sec: until.timestamp(), tv_nsec: i64::from(until.timestamp_subsec_nanos()).max(1) };
        let never = Timespec { tv_sec: 0, tv_nsec: 0 };
        let flags = TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET;
        timerfd_settime(self.timer.get_ref(), flags, &Itimerspec { it_interval: never, it_value: value })?;
        Ok(())
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Now {
        Local::now().fixed_offset()
    }

    fn sleep(&self, until: Option<DateTime<Utc>>) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            if let Err(error) = self.arm(until) {
                tracing::error!(%error, "the timer cannot be set; warnings may come late");
                return std::future::pending().await;
            }
            loop {
                let mut ready = match self.timer.readable().await {
                    Ok(ready) => ready,
                    Err(error) => {
                        tracing::error!(%error, "the timer cannot be waited for; warnings may come late");
                        return std::future::pending().await;
                    }
                };
                // ECANCELED: the clock was set. Both are reasons to look at it again.
                let read = rustix::io::read(self.timer.get_ref(), &mut [0_u8; 8]);
                ready.clear_ready();
                if read != Err(rustix::io::Errno::AGAIN) {
                    return;
                }
            }
        })
    }

    fn another(&self) -> io::Result<Arc<dyn Clock>> {
        Ok(Arc::new(Self::new()?))
    }
}

/// A clock that stands still until it is moved. It lets a renewal be tried three weeks before it matters, and a test live
/// years in a moment.
#[derive(Clone, Debug)]
pub struct SimulatedClock {
    now: Arc<watch::Sender<Now>>,
}

impl SimulatedClock {
    /// A clock that shows this moment.
    pub fn at(now: DateTime<FixedOffset>) -> Self {
        Self { now: Arc::new(watch::Sender::new(now)) }
    }

    /// Moves it, forward or back; whoever sleeps past the new moment wakes.
    pub fn move_by(&self, by: Duration) {
        self.now.send_modify(|now| *now += by);
    }
}

impl Clock for SimulatedClock {
    fn now(&self) -> Now {
        *self.now.borrow()
    }

    fn sleep(&self, until: Option<DateTime<Utc>>) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        let mut moved = self.now.subscribe();
        Box::pin(async move {
            // A move is a jump: it wakes like a machine that slept.
            let due = until.is_some_and(|until| *moved.borrow_and_update() >= until);
            if !due && moved.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        })
    }

    fn another(&self) -> io::Result<Arc<dyn Clock>> {
        Ok(Arc::new(self.clone()))
    }
}
