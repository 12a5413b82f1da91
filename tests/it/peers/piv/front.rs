//! Only the session in front may use readers: polkit says so through pcscd, and here a gatekeeper before a real pcscd does.

use std::path::PathBuf;

use tokio::io::AsyncReadExt;
use tokio::net::{UnixListener, UnixStream};

use super::*;

/// pcsc-lite's commands (`winscard_msg.h`), and how long their answers are; the last four bytes are the result.
const ESTABLISH: (u32, usize) = (0x01, 12);
const CONNECT: (u32, usize) = (0x04, 152);

const SECURITY_VIOLATION: u32 = 0x8010_006A;

/// Where pcscd listens.
const SERVICE: &str = "/run/pcscd/pcscd.comm";

/// Passes everything on to pcscd, but refuses one command in its name, until it is gone.
struct Gatekeeper {
    socket: PathBuf,
    keeping: tokio::task::JoinHandle<()>,
}

impl Gatekeeper {
    fn stand(scene: &Scene, refused: (u32, usize)) -> Self {
        let directory = scene.readers.state("gate");
        std::fs::create_dir(&directory).expect("made");
        let socket = directory.join("pcscd.comm");
        let listener = UnixListener::bind(&socket).expect("bound");
        // As a process sees it that is where the readers are.
        let service = format!("/proc/{}/root{SERVICE}", scene.line.process.id().expect("it runs"));
        let keeping = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let service = UnixStream::connect(&service).await.expect("pcscd serves");
                tokio::spawn(pass(client, service, refused));
            }
        });
        Self { socket, keeping }
    }

    /// The way is free: where the gate was there is pcscd.
    fn leave(self) {
        self.keeping.abort();
        let link = self.socket.with_extension("new");
        std::os::unix::fs::symlink(SERVICE, &link).expect("linked");
        std::fs::rename(link, &self.socket).expect("renamed");
    }

    fn line(&self, readers: &CardReader) -> Line {
        let mut command = readers.command(program("card-line"));
        command.env("PCSCLITE_CSOCK_NAME", &self.socket);
        Line::run(command)
    }
}

/// Each message is its length, its command, and its body; a client sends one and waits for the answer.
async fn pass(mut client: UnixStream, mut service: UnixStream, (refused, length): (u32, usize)) {
    let mut buffer = [0; 4096];
    let mut due = false;
    loop {
        tokio::select! {
            head = client.read_u64_le() => {
                let Ok(head) = head else { return };
                let mut body = vec![0; usize::try_from(head & 0xFFFF_FFFF).expect("a length")];
                client.read_exact(&mut body).await.expect("a body");
                due = (head >> 32) == u64::from(refused);
                service.write_all(&[head.to_le_bytes().as_slice(), &body].concat()).await.expect("passed on");
            }
            read = service.read(&mut buffer) => {
                let Ok(read @ 1..) = read else { return };
                if std::mem::take(&mut due) {
                    assert_eq!(read, length, "the answer comes in one piece");
                    buffer[read - 4..read].copy_from_slice(&SECURITY_VIOLATION.to_le_bytes());
                }
                if client.write_all(&buffer[..read]).await.is_err() {
                    return;
                }
            }
        }
    }
}

async fn is_waited_for(refused: (u32, usize)) {
    let scene = Scene::new(CardKind::Strict).await;
    let gate = Gatekeeper::stand(&scene, refused);
    let mut line = gate.line(&scene.readers);
    if refused == CONNECT {
        line.event("inserted", Some(READERS[0])).await;
        assert_eq!(line.look(READERS[0]).await.map(|card| card.label), Err(CardError::NotInFront {}));
        line.event("removed", Some(READERS[0])).await;
    }
    line.event("not-in-front", None).await;
    assert_eq!(line.step(&scene.place, &CardStep::Verify {}).await, Err(CardError::NotInFront {}));
    gate.leave();
    line.event("came", None).await;
    line.event("inserted", Some(READERS[0])).await;
    assert_eq!(line.step(&scene.place, &CardStep::Verify {}).await, DONE);
    assert!(scene.is_closed().await);
}

#[tokio::test]
async fn a_service_that_is_not_for_us_is_waited_for() {
    is_waited_for(ESTABLISH).await;
}

#[tokio::test]
async fn a_card_that_is_not_for_us_is_waited_for() {
    is_waited_for(CONNECT).await;
}
