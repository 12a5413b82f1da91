//! Whether the network has changed, as the kernel tells it (rtnetlink(7)): an address has come. It needs no other service, and is
//! listened to only while a server is not reached: else the addresses that routers announce anew would wake the daemon all day.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, Protocol, RecvFlags, SocketFlags, SocketType, bind, recv, socket_with};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::sleep;

/// `RTMGRP_IPV4_IFADDR` and `RTMGRP_IPV6_IFADDR` (rtnetlink(7)).
const ADDRESSES: u32 = 0x10 | 0x100;

/// Protocol 0 of its family.
const NETLINK_ROUTE: Option<Protocol> = None;

/// How long a network is given that has just come, for its routes and names.
const SETTLING: Duration = Duration::from_secs(1);

/// Waits until addresses change; for ever where nobody tells.
pub(super) async fn changes() {
    match listen().await {
        Ok(()) => sleep(SETTLING).await,
        Err(error) => {
            tracing::debug!(%error, "nobody tells when the network changes");
            std::future::pending::<()>().await;
        }
    }
}

async fn listen() -> io::Result<()> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket: OwnedFd = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, NETLINK_ROUTE)?;
    bind(&socket, &SocketAddrNetlink::new(0, ADDRESSES))?;
    #[expect(deprecated, reason = "its successor is unsafe for the sake of types that may change their descriptor")]
    let socket = AsyncFd::with_interest(socket, Interest::READABLE)?;
    loop {
        let mut ready = socket.readable().await?;
        match recv(socket.get_ref(), &mut [0_u8; 4096][..], RecvFlags::empty()) {
            Err(rustix::io::Errno::AGAIN) => ready.clear_ready(),
            // Too much to tell is a change, too.
            Ok(_) | Err(rustix::io::Errno::NOBUFS) => return Ok(()),
            Err(errno) => return Err(errno.into()),
        }
    }
}
