//! What the mail server says: as much of RFC 3501, RFC 2177 and RFC 7162 as reading a mailbox takes.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use openssl::base64::decode_block;
use openssl::ssl::{SslAcceptor, SslStream};

use super::{Fault, Folder, Shared, USER};

/// How often it looks whether somebody has put something into its folders.
const GLANCE: Duration = Duration::from_millis(5);

enum Stream {
    Plain(TcpStream),
    Tls(SslStream<TcpStream>),
}

impl Stream {
    fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(tcp) => tcp,
            Self::Tls(tls) => tls.get_ref(),
        }
    }

    fn encrypted(self, acceptor: &SslAcceptor) -> io::Result<Self> {
        match self {
            Self::Plain(tcp) => acceptor.accept(tcp).map(Self::Tls).map_err(io::Error::other),
            tls @ Self::Tls(_) => Ok(tls),
        }
    }

    fn say(&mut self, text: impl AsRef<[u8]>) -> io::Result<()> {
        match self {
            Self::Plain(tcp) => tcp.write_all(text.as_ref()),
            Self::Tls(tls) => tls.write_all(text.as_ref()),
        }
    }

    fn byte(&mut self) -> io::Result<u8> {
        let mut byte = [0];
        match self {
            Self::Plain(tcp) => tcp.read_exact(&mut byte)?,
            Self::Tls(tls) => tls.read_exact(&mut byte)?,
        }
        Ok(byte[0])
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        loop {
            match self.byte()? {
                b'\n' => return Ok(String::from_utf8_lossy(&line).trim_end().to_owned()),
                byte => line.push(byte),
            }
        }
    }
}

/// Serves until the other side goes, or the server is to fail.
pub(super) fn serve(shared: &Shared, tcp: TcpStream) {
    shared.state().connections += 1;
    // Whoever hangs up has heard enough.
    drop(Talk { shared, stream: Some(Stream::Plain(tcp)), folder: String::new() }.run());
}

struct Talk<'shared> {
    shared: &'shared Shared,
    stream: Option<Stream>,
    folder: String,
}

impl Talk<'_> {
    fn stream(&mut self) -> &mut Stream {
        self.stream.as_mut().expect("a connection")
    }

    fn say(&mut self, text: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream().say(text)
    }

    fn run(&mut self) -> io::Result<()> {
        self.stream().tcp().set_nodelay(true)?;
        if self.shared.tls {
            self.encrypt()?;
        }
        self.fails("GREETING")?;
        let preauth = self.shared.state().fault == Some(Fault::Preauth);
        self.say(if preauth { "* PREAUTH come in\r\n" } else { "* OK at your service\r\n" })?;
        loop {
            let line = self.stream().line()?;
            let (tag, command) = line.split_once(' ').unwrap_or((&line, ""));
            let (tag, command) = (tag.to_owned(), command.to_owned());
            self.shared.state().said.push(command.clone());
            let word = command.trim_start_matches("UID ").split(' ').next().unwrap_or_default().to_uppercase();
            let word = if command.contains("BODY") { "BODY".to_owned() } else { word };
            self.fails(&word)?;
            self.answer(&tag, &word, &command)?;
        }
    }

    fn encrypt(&mut self) -> io::Result<()> {
        let stream = self.stream.take().ok_or(io::ErrorKind::NotConnected)?;
        self.stream = Some(stream.encrypted(&self.shared.acceptor)?);
        Ok(())
    }

    /// Fails before an answer, if it is to.
    fn fails(&mut self, word: &str) -> io::Result<()> {
        let fault = self.shared.state().fault;
        match fault {
            Some(Fault::Cut(at)) if at == word => {
                self.shared.state().fault = None;
                Err(io::ErrorKind::ConnectionAborted.into())
            }
            Some(Fault::Silent(at)) if at == word => {
                // Until the other side goes.
                self.stream().byte()?;
                Err(io::ErrorKind::ConnectionAborted.into())
            }
            Some(Fault::Literal(at, length)) if at == word => {
                self.say(format!("* 1 FETCH (UID 1 BODY[] {{{length}}}\r\n"))?;
                loop {
                    self.say([b'x'; 4096])?;
                }
            }
            Some(Fault::Garbage(at)) if at == word => self.say("* (((( \r\n\0\0}\r\n"),
            _ => Ok(()),
        }
    }

    /// Hangs up in the middle of an answer, if it is to.
    fn fails_within(&mut self, word: &str, half: &[u8]) -> io::Result<()> {
        if self.shared.state().fault
            != Some(Fault::CutWithin(match word {
                "BODY" => "BODY",
                _ => "FETCH",
            }))
        {
            return Ok(());
        }
        self.shared.state().fault = None;
        self.say(half)?;
        Err(io::ErrorKind::ConnectionAborted.into())
    }

    fn answer(&mut self, tag: &str, word: &str, command: &str) -> io::Result<()> {
        match word {
            "CAPABILITY" => {
                let capabilities = self.shared.state().capabilities;
                let before = !matches!(self.stream, Some(Stream::Tls(_)));
                let starttls = if before { " STARTTLS" } else { "" };
                self.say(format!("* CAPABILITY {capabilities}{starttls}\r\n"))?;
            }
            "STARTTLS" => {
                if self.shared.state().capabilities.contains("NOSTARTTLS") {
                    return self.say(format!("{tag} NO not now\r\n"));
                }
                let injects = self.shared.state().fault == Some(Fault::Injects);
                let more = if injects { "* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n" } else { "" };
                self.say(format!("{tag} OK go on\r\n{more}"))?;
                return self.encrypt();
            }
            "AUTHENTICATE" => return self.log_in(tag),
            "LOGIN" => {
                let expected = format!("LOGIN \"{USER}\" \"{}\"", self.shared.state().password);
                return self.let_in(tag, command == expected);
            }
            "LIST" => {
                let names: Vec<String> = self.shared.state().folders.keys().cloned().collect();
                for name in names {
                    self.say(format!("* LIST (\\HasNoChildren) \"/\" \"{name}\"\r\n"))?;
                }
            }
            "STATUS" => {
                let name = command.split('"').nth(1).unwrap_or_default().to_owned();
                let (next, validity) = self.with(&name, |folder| (folder.next, folder.validity));
                let told = format!("UIDNEXT {next} UIDVALIDITY {validity} HIGHESTMODSEQ {next}");
                self.say(format!("* STATUS \"{name}\" ({told})\r\n"))?;
            }
            "EXAMINE" => {
                command.split('"').nth(1).unwrap_or_default().clone_into(&mut self.folder);
                let (exists, next, validity) =
                    self.with(&self.folder.clone(), |folder| (folder.mails.len(), folder.next, folder.validity));
                self.say(format!(
                    "* FLAGS (\\Seen)\r\n* {exists} EXISTS\r\n* 0 RECENT\r\n* OK [UIDVALIDITY {validity}] x\r\n* OK [UIDNEXT {next}] x\r\n* OK [HIGHESTMODSEQ {next}] x\r\n{tag} OK [READ-ONLY] opened\r\n"
                ))?;
                return Ok(());
            }
            "FETCH" | "BODY" => self.fetch(word, command)?,
            "IDLE" => return self.idle(tag),
            "NOOP" | "LOGOUT" => {}
            _ => return self.say(format!("{tag} BAD what\r\n")),
        }
        self.say(format!("{tag} OK done\r\n"))
    }

    fn with<T>(&self, name: &str, look: impl FnOnce(&Folder) -> T) -> T {
        look(&self.shared.state().folders[name])
    }

    fn log_in(&mut self, tag: &str) -> io::Result<()> {
        self.say("+ \r\n")?;
        let answer = self.stream().line()?;
        let plain = String::from_utf8(decode_block(&answer).unwrap_or_default()).unwrap_or_default();
        let expected = format!("\0{USER}\0{}", self.shared.state().password);
        self.let_in(tag, plain == expected)
    }

    fn let_in(&mut self, tag: &str, right: bool) -> io::Result<()> {
        if let Some(said) = self.shared.state().said.last_mut()
            && said.starts_with("LOGIN")
        {
            "LOGIN".clone_into(said);
        }
        let refuses = self.shared.state().fault == Some(Fault::Refuses);
        if right && !refuses {
            self.say(format!("{tag} OK come in\r\n"))
        } else {
            self.say(format!("{tag} NO [AUTHENTICATIONFAILED] wrong\r\n"))
        }
    }

    fn fetch(&mut self, word: &str, command: &str) -> io::Result<()> {
        let by_uid = command.starts_with("UID ");
        let set = command.trim_start_matches("UID ").split(' ').nth(1).unwrap_or_default();
        let (from, to) = set.split_once(':').unwrap_or((set, set));
        let from: u32 = from.parse().unwrap_or(1);
        let to = if to == "*" { u32::MAX } else { to.parse().unwrap_or(from) };
        let mut wanted: Vec<(usize, u32)> = Vec::new();
        let all: Vec<u32> = self.with(&self.folder.clone(), |folder| folder.mails.keys().copied().collect());
        for (position, uid) in (1..).zip(&all) {
            let number = if by_uid { *uid } else { u32::try_from(position).unwrap_or(u32::MAX) };
            // The last is told, whatever is asked for, where the end is open.
            if (from..=to).contains(&number) || (to == u32::MAX && position == all.len()) {
                wanted.push((position, *uid));
            }
        }
        let (mut answer, folder) = (Vec::new(), self.folder.clone());
        for (position, uid) in wanted {
            let Some(mail) = self.with(&folder, |folder| folder.mails.get(&uid).cloned()) else { continue };
            if word == "BODY" {
                self.shared.state().sent += mail.bytes.len() as u64;
                answer.extend(format!("* {position} FETCH (UID {uid} BODY[] {{{}}}\r\n", mail.bytes.len()).bytes());
                answer.extend(&mail.bytes);
                answer.extend(b")\r\n");
            } else {
                let date = mail.at.format("%d-%b-%Y %H:%M:%S +0000");
                let told = format!("UID {uid} RFC822.SIZE {} INTERNALDATE \"{date}\"", mail.size);
                answer.extend(format!("* {position} FETCH ({told})\r\n").bytes());
            }
        }
        self.fails_within(word, &answer[..answer.len() / 2])?;
        self.say(answer)
    }

    fn idle(&mut self, tag: &str) -> io::Result<()> {
        let known = self.with(&self.folder.clone(), |folder| folder.next);
        self.say("+ idling\r\n")?;
        self.shared.state().idling += 1;
        self.stream().tcp().set_read_timeout(Some(GLANCE))?;
        let mut told = known;
        let ended = loop {
            let (next, exists) = self.with(&self.folder.clone(), |folder| (folder.next, folder.mails.len()));
            if next != told {
                told = next;
                self.say(format!("* {exists} EXISTS\r\n"))?;
            }
            if self.shared.state().fault == Some(Fault::Cut("IDLING")) {
                self.shared.state().fault = None;
                break Err(io::ErrorKind::ConnectionAborted.into());
            }
            match self.stream().line() {
                Ok(_) => break Ok(()),
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
                Err(error) => break Err(error),
            }
        };
        self.shared.state().idling -= 1;
        ended?;
        self.stream().tcp().set_read_timeout(None)?;
        self.say(format!("{tag} OK done\r\n"))
    }
}
