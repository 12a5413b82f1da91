//! How one gets into a mail server: encryption first, then the login, both within bounds. Nothing is ever said to it unencrypted but
//! that encryption is wanted.

use std::error::Error as _;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_imap::error::Error;
use async_imap::{Authenticator, Client, Session};
use obnova_core::Problem;
use obnova_core::mailbox::{Login, Security};
use obnova_secret::Secret;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::Talk;
use super::gate::Gate;
use crate::courier::protocol::Server;

/// What is spoken over.
pub(super) type Stream = Gate<TlsStream<TcpStream>>;

/// How long a server may take until it has greeted, and until it has let somebody in: some delay a login on purpose.
const PATIENCE: Duration = Duration::from_secs(30);

/// The longest line in bytes, and the most of them, before somebody is let in.
const MOST: (usize, usize) = (8 * 1024, 64);

/// Connects, and logs in.
pub(super) async fn log_in(server: &Server, secret: &Secret) -> Result<Session<Stream>, Problem> {
    let host = server.name();
    let talk = Talk { host: &host };
    let tls = config(server, &talk)?;
    let (stream, capabilities) = timeout(PATIENCE, reach(server, &talk, tls)).await.map_err(|_| talk.late())??;
    timeout(PATIENCE, enter(server, &talk, stream, &capabilities, secret)).await.map_err(|_| talk.late())?
}

/// An encrypted connection to a server that has greeted, and what it can do, in upper case.
async fn reach(server: &Server, talk: &Talk<'_>, config: ClientConfig) -> Result<(TlsStream<TcpStream>, Vec<String>), Problem> {
    let lost = |error: io::Error| talk.input_output(&error);
    let mut tcp = TcpStream::connect((server.host.as_str(), server.port)).await.map_err(lost)?;
    tcp.set_nodelay(true).map_err(lost)?;
    if server.security == Security::StartTls {
        ask_for_tls(&mut tcp, talk).await?;
    }
    let name = ServerName::try_from(server.host.clone()).map_err(|error| talk.lost(&error.to_string()))?;
    let mut tls = TlsConnector::from(Arc::new(config)).connect(name, tcp).await.map_err(|error| untrusted(&error, talk))?;
    if server.security == Security::Tls {
        greeting(&mut tls, talk).await?;
    }
    // What it said before was said by anybody.
    let capabilities = capabilities(&mut tls, talk, "x2").await?;
    Ok((tls, capabilities))
}

/// What is said unencrypted.
async fn ask_for_tls(tcp: &mut TcpStream, talk: &Talk<'_>) -> Result<(), Problem> {
    let bare = || Problem::MailBare { host: talk.host.to_owned() };
    // Whoever is let in without a login is not asked for encryption any more.
    if greeting(tcp, talk).await?.starts_with("* PREAUTH") {
        return Err(bare());
    }
    if !capabilities(tcp, talk, "x0").await?.iter().any(|word| word == "STARTTLS") {
        return Err(bare());
    }
    write(tcp, talk, "x1 STARTTLS\r\n").await?;
    if !answer(tcp, talk, "x1").await?.0.starts_with("OK") {
        return Err(bare());
    }
    // Nothing may follow that was not encrypted: it would count as if it had been.
    match tcp.try_read(&mut [0]) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
        Ok(0) => Err(talk.lost("closed")),
        Ok(_) => Err(bare()),
        Err(error) => Err(talk.input_output(&error)),
    }
}

/// The server's first line.
async fn greeting(stream: &mut (impl AsyncRead + Unpin), talk: &Talk<'_>) -> Result<String, Problem> {
    let line = line(stream, talk).await?;
    let upper = line.to_ascii_uppercase();
    if upper.starts_with("* OK") || upper.starts_with("* PREAUTH") {
        Ok(upper)
    } else if upper.starts_with("* BYE") {
        Err(talk.lost(&line))
    } else {
        Err(talk.odd(&line))
    }
}

async fn capabilities(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    talk: &Talk<'_>,
    tag: &str,
) -> Result<Vec<String>, Problem> {
    write(stream, talk, &format!("{tag} CAPABILITY\r\n")).await?;
    let (done, lines) = answer(stream, talk, tag).await?;
    if !done.starts_with("OK") {
        return Err(talk.odd(&done));
    }
    let told = lines.iter().filter_map(|line| line.strip_prefix("* CAPABILITY "));
    Ok(told.flat_map(|words| words.split(' ').map(str::to_owned)).collect())
}

async fn write(stream: &mut (impl AsyncWrite + Unpin), talk: &Talk<'_>, command: &str) -> Result<(), Problem> {
    let written = async {
        stream.write_all(command.as_bytes()).await?;
        stream.flush().await
    };
    written.await.map_err(|error| talk.input_output(&error))
}

/// The end of the answer to a command, without its tag, and the lines before; all in upper case.
async fn answer(stream: &mut (impl AsyncRead + Unpin), talk: &Talk<'_>, tag: &str) -> Result<(String, Vec<String>), Problem> {
    let mut lines = Vec::new();
    while lines.len() < MOST.1 {
        let line = line(stream, talk).await?;
        if let Some(done) = line.strip_prefix(tag).and_then(|rest| rest.strip_prefix(' ')) {
            return Ok((done.to_ascii_uppercase(), lines));
        }
        if !line.starts_with('*') {
            return Err(talk.odd(&line));
        }
        lines.push(line.to_ascii_uppercase());
    }
    Err(talk.odd("too many lines"))
}

/// A line, and not a byte more: what follows may be for somebody else.
async fn line(stream: &mut (impl AsyncRead + Unpin), talk: &Talk<'_>) -> Result<String, Problem> {
    let mut line = Vec::new();
    loop {
        match stream.read_u8().await {
            Ok(b'\n') => break,
            Ok(_) if line.len() >= MOST.0 => return Err(talk.odd("too long a line")),
            Ok(byte) => line.push(byte),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Err(talk.lost("closed")),
            Err(error) => return Err(talk.input_output(&error)),
        }
    }
    Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
}

async fn enter(
    server: &Server,
    talk: &Talk<'_>,
    stream: TlsStream<TcpStream>,
    capabilities: &[String],
    secret: &Secret,
) -> Result<Session<Stream>, Problem> {
    let refused = |detail: &str| Problem::MailRefused {
        host: talk.host.to_owned(),
        user: server.user.clone(),
        detail: super::short(detail),
    };
    let can = |word: &str| capabilities.iter().any(|capability| capability == word);
    let text = std::str::from_utf8(secret.expose()).map_err(|_| refused("not UTF-8"))?;
    let client = Client::new(Gate::new(stream));
    let entered = match server.login {
        Login::Password if can("AUTH=PLAIN") => {
            let plain = format!("\0{}\0{text}", server.user).into_bytes();
            client.authenticate("PLAIN", Answers(plain, b"")).await
        }
        Login::Password if can("LOGINDISABLED") => return Err(refused("LOGINDISABLED")),
        Login::Password => client.login(&server.user, text).await,
        Login::Xoauth2 => {
            let bearer = format!("user={}\x01auth=Bearer {text}\x01\x01", server.user).into_bytes();
            client.authenticate("XOAUTH2", Answers(bearer, b"")).await
        }
        Login::Oauthbearer => {
            let (user, host, port) = (&server.user, &server.host, server.port);
            let bearer = format!("n,a={user},\x01host={host}\x01port={port}\x01auth=Bearer {text}\x01\x01").into_bytes();
            client.authenticate("OAUTHBEARER", Answers(bearer, b"\x01")).await
        }
    };
    entered.map_err(|(error, _)| match error {
        // The server has a trouble of its own (RFC 5530), or too many are there already.
        Error::No(said)
            if ["UNAVAILABLE", "INUSE", "LIMIT", "SERVERBUG"].iter().any(|code| said.to_ascii_uppercase().contains(code)) =>
        {
            talk.lost(super::information(&said))
        }
        Error::No(said) => refused(super::information(&said)),
        other => talk.problem(other),
    })
}

/// What is answered to the server's first challenge and, where it then says why it refuses, to that (RFC 7628 section 3.2.3).
struct Answers(Vec<u8>, &'static [u8]);

impl Authenticator for Answers {
    type Response = Vec<u8>;

    fn process(&mut self, _challenge: &[u8]) -> Vec<u8> {
        std::mem::replace(&mut self.0, self.1.to_vec())
    }
}

fn config(server: &Server, talk: &Talk<'_>) -> Result<ClientConfig, Problem> {
    let internal = |error: rustls::Error| Problem::Internal { detail: error.to_string() };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(internal)?;
    let builder = match &server.anchors {
        None => builder.with_platform_verifier().map_err(internal)?,
        Some(pem) => {
            let mut roots = RootCertStore::empty();
            let wrong = |detail: String| Problem::MailUntrusted { host: talk.host.to_owned(), detail };
            for anchor in CertificateDer::pem_slice_iter(pem) {
                let anchor = anchor.map_err(|error| wrong(error.to_string()))?;
                roots.add(anchor).map_err(|error| wrong(error.to_string()))?;
            }
            builder.with_root_certificates(roots)
        }
    };
    Ok(builder.with_no_client_auth())
}

/// Why no encryption came about.
fn untrusted(error: &io::Error, talk: &Talk<'_>) -> Problem {
    let inside = error.get_ref().and_then(|inside| inside.downcast_ref::<rustls::Error>());
    match inside {
        Some(rustls::Error::InvalidCertificate(why)) => {
            Problem::MailUntrusted { host: talk.host.to_owned(), detail: super::short(&why.to_string()) }
        }
        Some(other) => talk.odd(&other.to_string()),
        None => match error.source() {
            Some(source) => talk.lost(&source.to_string()),
            None => talk.input_output(error),
        },
    }
}
