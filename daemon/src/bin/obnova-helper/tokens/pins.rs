//! Opens a token with a PIN, tries one, replaces one. Sends each PIN once and none that breaks the token's rules. Where it comes
//! from, and who is asked again, is the daemon's.

use cryptoki::error::{Error, RvError};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::TokenInfo;
use cryptoki::types::AuthPin;
use obnova_core::card::Tries;
use obnova_secret::Secret;
use obnovad::cards::step::{CardAnswer, CardError};

use super::Given;
use super::failure::{failed, of_module, unsupported};
use super::module::Token;

/// The longest PIN that is sent, in bytes, whatever a token says.
const LONGEST: usize = 255;

/// A token with a session in which the person is logged in, where the token has logins.
pub(super) struct Open<'a> {
    pub(super) token: &'a Token,
    pub(super) session: &'a Session,
    opener: Option<Opener>,
    last_try: bool,
}

impl Open<'_> {
    /// Gives the PIN once more, for the operation that has just been begun with an always-authenticate key.
    pub(super) fn again(&self) -> Result<(), CardError> {
        let opener = self.opener.as_ref().ok_or(CardError::PinNeeded {})?;
        login(self.token, self.session, UserType::ContextSpecific, opener, self.last_try)
    }
}

enum Opener {
    Pin(AuthPin),
    /// The reader asks for it.
    Pad,
}

/// Does something with an opened token, and closes it again.
pub(super) fn opened<T>(
    token: &Token,
    given: &Given<'_>,
    write: bool,
    work: impl FnOnce(&Open<'_>) -> Result<T, CardError>,
) -> Result<T, CardError> {
    let opener = match given.opens {
        Some(pin) => Some(Opener::Pin(checked(pin, &token.info)?)),
        None if token.info.protected_authentication_path() => Some(Opener::Pad),
        None if token.info.login_required() => return Err(CardError::PinNeeded {}),
        None => None,
    };
    let session = token.session(write)?;
    if let Some(opener) = &opener {
        login(token, &session, UserType::User, opener, given.last_try)?;
    }
    let open = Open { token, session: &session, opener, last_try: given.last_try };
    let outcome = match work(&open) {
        // It has it. To ask the person again would never end.
        Err(CardError::PinNeeded {}) if given.opens.is_some() => Err(failed("the token wants the PIN at another moment")),
        outcome => outcome,
    };
    close(session);
    outcome
}

/// Tries the PIN.
pub(super) fn verify(token: &Token, given: &Given<'_>) -> Result<CardAnswer, CardError> {
    if given.opens.is_none() && !token.info.protected_authentication_path() {
        return Err(CardError::PinNeeded {});
    }
    opened(token, given, false, |_| Ok(CardAnswer::Done {}))
}

/// Replaces the PIN. The token compares the old one itself.
pub(super) fn change(token: &Token, given: &Given<'_>) -> Result<CardAnswer, CardError> {
    let (pin, new) = both(token, given)?;
    let (pin, new) = (checked(pin, &token.info)?, checked(new, &token.info)?);
    guarded(&token.info, UserType::User, given.last_try)?;
    let session = token.session(true)?;
    let outcome = session.set_pin(&pin, &new).map_err(|error| of_pin(token, UserType::User, error));
    close(session);
    outcome.map(|()| CardAnswer::Done {})
}

/// Sets a new PIN with the PUK, which is what cards call the security officer's PIN.
pub(super) fn unblock(token: &Token, given: &Given<'_>) -> Result<CardAnswer, CardError> {
    let (puk, new) = both(token, given)?;
    // The rules that a token tells are those of the PIN. Of the PUK it is only sure that it is not empty.
    let (puk, new) = (sendable(puk, 1, LONGEST, &token.info)?, checked(new, &token.info)?);
    let session = token.session(true)?;
    login(token, &session, UserType::So, &Opener::Pin(puk), given.last_try)?;
    let outcome = session.init_pin(&new).map_err(|error| of_pin(token, UserType::So, error));
    close(session);
    outcome.map(|()| CardAnswer::Done {})
}

/// What a token's flags say of the tries left. They never tell of a full counter.
pub(super) fn tries(locked: bool, last: bool) -> Tries {
    match (locked, last) {
        (true, _) => Tries::Blocked,
        (false, true) => Tries::Left(1),
        (false, false) => Tries::Unknown,
    }
}

/// The fewest and the most bytes of a PIN.
pub(super) fn lengths(info: &TokenInfo) -> (u8, u8) {
    let narrow = |length: usize| u8::try_from(length.clamp(1, LONGEST)).unwrap_or(u8::MAX);
    let most = narrow(if info.max_pin_length() == 0 { LONGEST } else { info.max_pin_length() });
    (narrow(info.min_pin_length()).min(most), most)
}

fn both<'a>(token: &Token, given: &Given<'a>) -> Result<(&'a Secret, &'a Secret), CardError> {
    match (given.opens, given.new) {
        (Some(old), Some(new)) => Ok((old, new)),
        _ if token.info.protected_authentication_path() => Err(unsupported("replace a PIN that is typed on the reader")),
        _ => Err(CardError::PinNeeded {}),
    }
}

fn checked(pin: &Secret, info: &TokenInfo) -> Result<AuthPin, CardError> {
    let (least, most) = lengths(info);
    sendable(pin, least.into(), most.into(), info)
}

/// A PIN in the form in which modules take it: text, whose copy is wiped when it is dropped.
fn sendable(pin: &Secret, least: usize, most: usize, info: &TokenInfo) -> Result<AuthPin, CardError> {
    let text = std::str::from_utf8(pin.expose()).map_err(|_| format_of(info))?;
    if (least..=most).contains(&text.len()) { Ok(AuthPin::new(text.into())) } else { Err(format_of(info)) }
}

fn format_of(info: &TokenInfo) -> CardError {
    let (min, max) = lengths(info);
    CardError::PinFormat { min, max }
}

fn login(token: &Token, session: &Session, user: UserType, opener: &Opener, last_try: bool) -> Result<(), CardError> {
    guarded(&token.info, user, last_try)?;
    let pin = match opener {
        Opener::Pin(pin) => Some(pin),
        Opener::Pad => None,
    };
    session.login(user, pin).map_err(|error| of_pin(token, user, error))
}

/// Refuses what is blocked, and what a wrong PIN would block, unless the person has agreed to that.
fn guarded(info: &TokenInfo, user: UserType, last_try: bool) -> Result<(), CardError> {
    match tries_of(info, user) {
        Tries::Blocked => Err(CardError::Blocked {}),
        Tries::Left(0 | 1) if !last_try => Err(CardError::LastTry {}),
        Tries::Left(_) | Tries::Unknown => Ok(()),
    }
}

/// Why a PIN was not taken.
fn of_pin(token: &Token, user: UserType, error: Error) -> CardError {
    let Error::Pkcs11(code, _) = &error else { return of_module(error) };
    match code {
        RvError::PinIncorrect => match token.info_now().map(|info| tries_of(&info, user)) {
            Ok(Tries::Blocked) => CardError::Blocked {},
            Ok(Tries::Left(left)) => CardError::WrongPin { left: Some(left) },
            Ok(Tries::Unknown) | Err(_) => CardError::WrongPin { left: None },
        },
        RvError::PinLenRange | RvError::PinInvalid | RvError::PinTooWeak => format_of(&token.info),
        // In a process that has just begun, nobody but another program can have done so.
        RvError::UserAlreadyLoggedIn | RvError::UserAnotherAlreadyLoggedIn => CardError::OpenedElsewhere {},
        _ => of_module(error),
    }
}

fn tries_of(info: &TokenInfo, user: UserType) -> Tries {
    match user {
        UserType::So => tries(info.so_pin_locked(), info.so_pin_final_try()),
        _ => tries(info.user_pin_locked(), info.user_pin_final_try()),
    }
}

/// Nobody else may use what the PIN has opened. Each of these alone resets a card; and after them comes `C_Finalize`.
fn close(session: Session) {
    let _logged_out = session.logout();
    let _closed = session.close();
}
