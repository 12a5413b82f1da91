//! What a person gave for one step at a card, and how far that goes. Owns no question and no sitting: both are the runner's.

use std::sync::Arc;

use obnova_secret::Secret;

/// The secrets of one step. They are fetched before its transaction begins: nobody is asked while a card is held. Cloning
/// shares the locked pages.
#[derive(Clone, Debug, Default)]
pub struct Secrets {
    /// The PIN. Without one, and where it is needed, the reader's own pad asks for it, or the step ends with
    /// [`PinNeeded`](super::step::CardError::PinNeeded).
    pub pin: Option<Arc<Secret>>,
    /// The new PIN, for `ChangePin` and `Unblock`.
    pub new_pin: Option<Arc<Secret>>,
    /// The PUK, for `Unblock`.
    pub puk: Option<Arc<Secret>>,
    /// The management key (9B): its bytes, or as a person has it, in hexadecimal digits.
    pub management_key: Option<Arc<Secret>>,
    /// The person has agreed to the last try. Without that, a PIN or PUK that would block the card if it were wrong is not
    /// sent: the counter is read in the very transaction, so nobody can have lowered it since it was shown.
    pub last_try: bool,
}
