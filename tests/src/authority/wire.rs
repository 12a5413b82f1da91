//! As much of HTTP/1.1 (RFC 9112) as the stand-in speaks: one request, one answer, and the end of the connection.

use std::io::Read;

/// What was asked.
pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    /// Names in lower case.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Request {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(header, _)| header == name).map_or("", |(_, value)| value)
    }
}

/// What is answered, byte for byte.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) bytes: Vec<u8>,
    pub(super) late: bool,
    pub(super) endless: bool,
}

impl Answer {
    /// With this status, these further headers and this content.
    pub(super) fn of(status: u16, headers: &[(&str, &str)], content: &[u8]) -> Self {
        let mut head = format!("HTTP/1.1 {status} .\r\nConnection: close\r\nContent-Length: {}\r\n", content.len());
        for (name, value) in headers {
            head.extend([name, ": ", value, "\r\n"]);
        }
        let bytes = [head.as_bytes(), b"\r\n", content].concat();
        Self { bytes, late: false, endless: false }
    }
}

/// Reads one request; `None` if the other side leaves before its end.
pub(super) fn read(stream: &mut impl Read) -> Option<Request> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        head.extend(byte);
        assert!(head.len() < 16 * 1024, "a head without an end");
    }
    let head = String::from_utf8(head).expect("text");
    let mut lines = head.split("\r\n");
    let mut first = lines.next()?.split(' ');
    let (method, path) = (first.next()?.to_owned(), first.next()?.to_owned());
    assert_eq!(first.next(), Some("HTTP/1.1"));
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let mut request = Request { method, path, headers, body: Vec::new() };
    let length: usize = request.header("content-length").parse().unwrap_or(0);
    request.body = vec![0; length];
    stream.read_exact(&mut request.body).ok()?;
    Some(request)
}
