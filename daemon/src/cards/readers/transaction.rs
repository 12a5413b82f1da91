//! One step as one transaction: connect, begin, take the step, leave. Runs on the thread of its reader.

use std::cell::OnceCell;
use std::ffi::CString;
use std::sync::mpsc::Receiver;

use pcsc::{Card, Context, Disposition, Error, Protocol, Protocols, Scope, ShareMode, Transaction};
use tokio::sync::mpsc::UnboundedSender;
use zeroize::Zeroizing;

use super::pad::Pad;
use super::watcher::Control;
use super::{Job, ReaderEvent, holder};
use crate::cards::piv::{self, Transmit, TransportError};
use crate::cards::step::{CardAnswer, CardError};

/// How often a card is connected to anew because others reset it while we waited for it.
const RECONNECTIONS: usize = 5;

/// Cards with contacts speak one of the two.
const PROTOCOLS: Protocols = Protocols::ANY;

/// Takes the steps that come, until nobody can send any more.
pub(super) fn serve(reader: &str, jobs: &Receiver<Job>, control: &Control, events: &UnboundedSender<ReaderEvent>) {
    while let Ok(job) = jobs.recv() {
        let answer = transact(reader, &job);
        if let Some(Err(CardError::Busy { .. })) = answer {
            control.doubt(reader);
        }
        let Some(answer) = answer else {
            // Whoever wanted it has been told that it was busy, and may want it again.
            if events.send(ReaderEvent::CardReleased { reader: reader.to_owned() }).is_err() {
                tracing::debug!("nobody listens to the readers any more");
            }
            continue;
        };
        if job.answer.send(answer).is_err() {
            tracing::debug!("nobody waits for a card's answer any more");
        }
    }
}

/// `None` if the step was given up before the card was had.
fn transact(reader: &str, job: &Job) -> Option<Result<CardAnswer, CardError>> {
    match connect(reader) {
        Err(error) => Some(Err(error)),
        Ok(mut card) => {
            let outcome = hold(&mut card, job);
            // A connection that is only dropped resets the card, which would throw others out for nothing.
            let disposition = match &outcome {
                Some((_, Held::Closed)) | None => Disposition::LeaveCard,
                Some((_, Held::Unknown)) => Disposition::ResetCard,
            };
            if let Err((_, error)) = card.disconnect(disposition) {
                tracing::debug!(%error, "the card was not disconnected");
            }
            outcome.map(|(answer, _)| answer)
        }
    }
}

/// What a step leaves behind.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Held {
    /// Nothing that is open.
    Closed,
    /// That is not sure.
    Unknown,
}

fn connect(reader: &str) -> Result<Card, CardError> {
    let name = CString::new(reader).map_err(|_| CardError::Absent {})?;
    let context = Context::establish(Scope::System).map_err(before)?;
    context.connect(&name, ShareMode::Shared, PROTOCOLS).map_err(before)
}

fn hold(card: &mut Card, job: &Job) -> Option<(Result<CardAnswer, CardError>, Held)> {
    for _ in 0..RECONNECTIONS {
        match card.transaction2() {
            Ok(transaction) => return take(transaction, job),
            Err((card, Error::ResetCard)) => {
                if let Err(error) = card.reconnect(ShareMode::Shared, PROTOCOLS, Disposition::LeaveCard) {
                    return Some((Err(before(error)), Held::Closed));
                }
            }
            Err((_, error)) => return Some((Err(before(error)), Held::Closed)),
        }
    }
    Some((Err(CardError::Busy { program: holder::name() }), Held::Closed))
}

fn take(transaction: Transaction<'_>, job: &Job) -> Option<(Result<CardAnswer, CardError>, Held)> {
    if !job.claim.begin() {
        return None;
    }
    let mut held = Connection { without_le: speaks_t0(&transaction), transaction, pad: OnceCell::new(), sound: true };
    let answer = piv::perform(&mut held, job.place.as_ref(), &job.step, &job.secrets);
    let Connection { transaction, sound, .. } = held;
    let left = if sound { Held::Closed } else { Held::Unknown };
    let disposition = if sound { Disposition::LeaveCard } else { Disposition::ResetCard };
    match transaction.end(disposition) {
        Ok(()) => Some((answer, left)),
        Err((_, error)) => {
            tracing::debug!(%error, "the transaction was not ended");
            Some((answer, Held::Unknown))
        }
    }
}

/// A card within a transaction.
struct Connection<'card> {
    transaction: Transaction<'card>,
    /// The protocol has no room for both data and Le in one command (T=0, ISO 7816-3, 12.2.4): the card offers what it has by
    /// itself.
    without_le: bool,
    /// Asked for once.
    pad: OnceCell<Option<Pad>>,
    /// No reset has failed.
    sound: bool,
}

impl Connection<'_> {
    fn pad(&self) -> Option<Pad> {
        *self.pad.get_or_init(|| Pad::of(&self.transaction))
    }
}

fn speaks_t0(card: &Card) -> bool {
    card.status2_owned().is_ok_and(|status| status.protocol2() == Some(Protocol::T0))
}

impl Transmit for Connection<'_> {
    fn transmit(&mut self, apdu: &[u8]) -> Result<Zeroizing<Vec<u8>>, TransportError> {
        let has_both = apdu.len() > 5 && apdu.len() == 6 + usize::from(apdu[4]);
        let sent = if self.without_le && has_both { &apdu[..apdu.len() - 1] } else { apdu };
        let mut answer = Zeroizing::new(vec![0; pcsc::MAX_BUFFER_SIZE]);
        let length = self.transaction.transmit(sent, &mut answer).map_err(during)?.len();
        answer.truncate(length);
        // Some drivers have nothing to say of a card that goes while it is asked.
        if length < 2 { Err(TransportError::Removed) } else { Ok(answer) }
    }

    fn reset(&mut self) -> Result<(), TransportError> {
        let reset = self.transaction.reconnect(ShareMode::Shared, PROTOCOLS, Disposition::ResetCard).map_err(during);
        self.sound &= reset.is_ok();
        reset
    }

    fn has_pad(&mut self) -> bool {
        self.pad().is_some()
    }

    fn verify_by_pad(&mut self, verify: &[u8; 13]) -> Result<Zeroizing<Vec<u8>>, TransportError> {
        match self.pad() {
            Some(pad) => pad.verify(&self.transaction, verify),
            None => Err(TransportError::Failed("the reader has no pad".to_owned())),
        }
    }
}

/// What an error means before the card was had.
fn before(error: Error) -> CardError {
    match error {
        Error::NoSmartcard
        | Error::RemovedCard
        | Error::NotTransacted
        | Error::UnknownReader
        | Error::ReaderUnavailable
        | Error::NoReadersAvailable => CardError::Absent {},
        Error::SharingViolation => CardError::Busy { program: holder::name() },
        Error::SecurityViolation => CardError::NotInFront {},
        Error::NoService | Error::ServiceStopped | Error::Shutdown | Error::CommError | Error::InvalidHandle => {
            CardError::NoService { detail: error.to_string() }
        }
        Error::UnresponsiveCard | Error::UnpoweredCard | Error::UnsupportedCard | Error::ProtoMismatch => {
            CardError::Unsupported { what: format!("be spoken to ({error})") }
        }
        error => CardError::Failed { detail: error.to_string() },
    }
}

/// What an error means while the card was had. It was pulled, too, if the first command after that finds no transaction, and
/// if the reader or the service went.
pub(super) fn during(error: Error) -> TransportError {
    match error {
        Error::RemovedCard
        | Error::NoSmartcard
        | Error::NotTransacted
        | Error::UnpoweredCard
        | Error::ReaderUnavailable
        | Error::UnknownReader
        | Error::InvalidHandle
        | Error::NoService
        | Error::ServiceStopped
        | Error::CommError => TransportError::Removed,
        error => TransportError::Failed(error.to_string()),
    }
}
