//! Fetches what an address leads to that a stranger has written into a certificate: bounded in size and time, with nothing of the
//! person's, no further than to where it may lead, and to nowhere else. Runs in obnova-courier.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use obnova_core::revocation::Why;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, Method, Url, redirect, retry};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::{CallError, read, trusting};
use crate::courier::protocol::{Source, Within};

/// Where the certificates lie that the machine trusts: Debian, Fedora, openSUSE.
const TRUSTED: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/var/lib/ca-certificates/ca-bundle.pem"];

/// Ports below this are other services', but for those of the web.
const FIRST_FREE_PORT: u16 = 1024;

/// Fetches it, or says why there is nothing.
pub async fn fetch(source: Source) -> Result<Vec<u8>, Why> {
    let url = Url::parse(&source.from).map_err(|_| Why::Forbidden)?;
    let deadline = Duration::from_secs(source.seconds.into());
    tokio::time::timeout(deadline, go(url, source)).await.unwrap_or(Err(Why::Late))
}

async fn go(url: Url, source: Source) -> Result<Vec<u8>, Why> {
    let to = destination(&url)?;
    let looked_up = tokio::net::lookup_host((to.0.as_str(), to.1)).await.map_err(|_| Why::Unreachable)?;
    let all: Vec<SocketAddr> = looked_up.collect();
    let allowed: Vec<SocketAddr> = all.iter().copied().filter(|address| place(address.ip()) <= source.within).collect();
    if allowed.is_empty() {
        return Err(if all.is_empty() { Why::Unreachable } else { Why::Forbidden });
    }
    // Only for them is the machine's word on who is who worth its time: what is fetched proves itself.
    let roots = if url.scheme() == "https" { machines_roots() } else { RootCertStore::empty() };
    let client = Client::builder()
        .tls_backend_preconfigured(trusting(roots, None).map_err(|_| Why::Unreachable)?)
        .resolve_to_addrs(&to.0, &allowed)
        .no_proxy()
        .http1_only()
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .pool_max_idle_per_host(0)
        .build()
        .map_err(|_| Why::Unreachable)?;
    let request = match source.body {
        Some((media_type, body)) => client.request(Method::POST, url).header(CONTENT_TYPE, media_type).body(body.0),
        None => client.request(Method::GET, url),
    };
    let mut response = request.send().await.map_err(|error| of_http(&error))?;
    match response.status().as_u16() {
        200 => {}
        300..400 => return Err(Why::Redirected),
        _ => return Err(Why::Refused),
    }
    read(&mut response, source.longest).await.map_err(|error| match error {
        CallError::TooLong(_) => Why::TooLong,
        CallError::Http(error) => of_http(&error),
    })
}

/// Host and port, where it is an address of the web.
fn destination(url: &Url) -> Result<(String, u16), Why> {
    let plain = matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none();
    let port = url.port_or_known_default().filter(|port| matches!(port, 80 | 443) || *port >= FIRST_FREE_PORT);
    // Addresses of the sixth version stand in brackets.
    let host = url.host_str().map(|host| host.trim_matches(['[', ']']).to_owned()).filter(|host| !host.is_empty());
    host.zip(port).filter(|_| plain).ok_or(Why::Forbidden)
}

fn of_http(error: &reqwest::Error) -> Why {
    if error.is_connect() { Why::Unreachable } else { Why::Malformed }
}

/// The certificates that the machine trusts; none where it has no list of them.
pub(super) fn machines_certificates() -> impl Iterator<Item = CertificateDer<'static>> {
    let lists = TRUSTED.iter().filter(|path| Path::new(path).exists()).take(1);
    lists.filter_map(|path| CertificateDer::pem_file_iter(path).ok()).flatten().flatten()
}

fn machines_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    for certificate in machines_certificates() {
        // One that cannot be used is one that nobody chains to.
        drop(roots.add(certificate));
    }
    roots
}

/// How far away an address is. What stands for no one machine counts as this one.
fn place(address: IpAddr) -> Within {
    match address {
        IpAddr::V4(address) => place_of_4(address),
        IpAddr::V6(address) => place_of_6(address),
    }
}

fn place_of_4(address: Ipv4Addr) -> Within {
    let [first, second, third, _] = address.octets();
    let shared = first == 100 && (64..128).contains(&second);
    if address.is_private() || shared {
        return Within::Network;
    }
    let assigned_for_protocols = (first, second, third) == (192, 0, 0);
    let for_measuring = first == 198 && matches!(second, 18 | 19);
    let none = first == 0 || first >= 224 || address.is_loopback() || address.is_link_local() || address.is_documentation();
    if none || assigned_for_protocols || for_measuring { Within::Machine } else { Within::Internet }
}

fn place_of_6(address: Ipv6Addr) -> Within {
    let segments = address.segments();
    let embedded = |high: u16, low: u16| {
        let ([first, second], [third, fourth]) = (high.to_be_bytes(), low.to_be_bytes());
        place_of_4(Ipv4Addr::new(first, second, third, fourth))
    };
    match segments {
        // Mapped (RFC 4291 section 2.5.5.2), translated (RFC 6052), 6to4 (RFC 3056).
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => {
            embedded(high, low)
        }
        [first, ..] if first & 0xfe00 == 0xfc00 => Within::Network,
        // Of what is assigned, only this is for everybody (RFC 4291 section 2.4); Teredo hides others (RFC 4380).
        [0x2001, 0 | 0xdb8, ..] => Within::Machine,
        [first, ..] if first & 0xe000 == 0x2000 => Within::Internet,
        _ => Within::Machine,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_address_is_where_it_is() {
        let place = |text: &str| place(text.parse().expect("an address"));
        for far in ["193.0.6.139", "8.8.8.8", "2a02:6b8::2", "64:ff9b::808:808", "2002:808:808::1", "::ffff:8.8.8.8"] {
            assert_eq!(place(far), Within::Internet, "{far}");
        }
        for near in ["10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1", "fd00::1", "::ffff:10.0.0.1", "2002:a00:1::"] {
            assert_eq!(place(near), Within::Network, "{near}");
        }
        for here in [
            "127.0.0.1",
            "127.9.9.9",
            "0.0.0.0",
            "0.1.2.3",
            "169.254.169.254",
            "224.0.0.1",
            "255.255.255.255",
            "198.18.0.1",
            "192.0.0.1",
            "::",
            "::1",
            "fe80::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "64:ff9b::7f00:1",
            "2001::1",
            "::127.0.0.1",
        ] {
            assert_eq!(place(here), Within::Machine, "{here}");
        }
    }

    #[test]
    fn only_the_web_is_a_destination() {
        let destination = |text: &str| destination(&Url::parse(text).expect("an address"));
        assert_eq!(destination("http://ocsp.example"), Ok(("ocsp.example".into(), 80)));
        assert_eq!(destination("https://[2001:db8::1]:8443/x"), Ok(("2001:db8::1".into(), 8443)));
        for bad in
            ["ftp://a.example", "http://a.example:25/", "http://anna@a.example/", "file:///etc/passwd", "http://a.example:0"]
        {
            assert_eq!(destination(bad), Err(Why::Forbidden), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_otherwise_is_no_further_away(bits in any::<u32>()) {
            let address = Ipv4Addr::from(bits);
            prop_assert_eq!(place(address.to_ipv6_mapped().into()), place(address.into()));
        }
    }
}
