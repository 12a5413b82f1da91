//! The line to pcscd's driver vpcd: held while the card is inserted, sought again when the driver restarts.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use vpicc::{Connection, VSmartCard};

use crate::card::Ending;
use crate::control::Control;

/// Between two tries to reach the driver.
const PAUSE: Duration = Duration::from_millis(20);

/// What the line ends in.
pub(crate) trait Powered: VSmartCard {
    /// The power is gone.
    fn lose_power(&mut self);

    /// Why it needs its power cut, if it does.
    fn ending(&self) -> Option<Ending>;
}

/// The line, or what is needed to have one.
pub(crate) struct Line<'a> {
    driver: SocketAddr,
    connection: Option<Connection>,
    control: &'a Control,
}

impl<'a> Line<'a> {
    /// To the driver at this port of the loopback interface; not held yet.
    pub(crate) fn to(port: u16, control: &'a Control) -> Self {
        Self { driver: SocketAddr::from((Ipv4Addr::LOCALHOST, port)), connection: None, control }
    }

    /// Lets the driver speak with the card until that needs its power cut; nothing when the program is to end.
    pub(crate) fn serve(&mut self, card: &mut impl Powered) -> Option<Ending> {
        loop {
            let connection = self.connection()?;
            if connection.poll(card).is_err() {
                self.connection = None;
                self.control.release();
                card.lose_power();
            }
            if let Some(ending) = card.ending() {
                return Some(ending);
            }
        }
    }

    fn connection(&mut self) -> Option<&mut Connection> {
        while self.connection.is_none() {
            if !self.control.inserted() {
                return None;
            }
            self.connection = self.connect();
        }
        self.connection.as_mut()
    }

    /// Seeks the driver as long as the card is inserted.
    fn connect(&self) -> Option<Connection> {
        while self.control.is_inserted() {
            if let Ok(line) = TcpStream::connect(self.driver)
                && line.set_nodelay(true).is_ok()
                && let Ok(held) = line.try_clone()
            {
                return self.control.hold(held).then(|| Connection::from(line));
            }
            thread::sleep(PAUSE);
        }
        None
    }
}
