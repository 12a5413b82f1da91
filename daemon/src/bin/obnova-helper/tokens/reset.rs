//! Resets a card after a PIN has opened it. Finds the reader by the name that a module gives its slot; talks with no card.

use std::ffi::CStr;

use pcsc::{Context, Disposition, Protocols, Scope, ShareMode};

/// Resets the card in a reader. `C_Logout` and `C_Finalize` are not enough: a module may know no command that undoes VERIFY, and
/// leaves the card open to any other process then.
///
/// It is the last that is done, when what was asked for has happened or failed already. Where there is no card service, no
/// reader of that name, or nobody to share the card with, there is nothing more that could be done from here.
pub(super) fn card_in(reader: &str) {
    let _unreachable = reset(|name| is(name, reader));
}

/// Resets every card, when whoever has opened one of them did not live to close it.
pub(crate) fn all_cards() {
    let _unreachable = reset(|_| true);
}

fn reset(means: impl Fn(&CStr) -> bool) -> Result<(), pcsc::Error> {
    let context = Context::establish(Scope::User)?;
    for name in context.list_readers_owned()?.into_iter().filter(|name| means(name)) {
        // One that is empty, or held by somebody alone, keeps no other from it.
        if let Ok(card) = context.connect(&name, ShareMode::Shared, Protocols::ANY) {
            let _kept = card.disconnect(Disposition::ResetCard);
        }
    }
    Ok(())
}

/// Whether a slot's description is this reader's name, which is cut off at 64 bytes there.
fn is(name: &CStr, description: &str) -> bool {
    let name = name.to_string_lossy();
    name.trim_end() == description || (description.len() >= 60 && name.starts_with(description))
}

#[cfg(test)]
mod tests {
    use std::ffi::CString;

    use super::*;

    #[test]
    fn readers_are_known_by_their_slots() {
        let long = "Gemalto PC Twin Reader (70D7E2EE) with a name that is too long for a slot 00 00";
        let is = |name: &str, description: &str| is(&CString::new(name).expect("a name"), description);
        assert!(is("Reader 00 00", "Reader 00 00") && is(long, &long[..64]));
        assert!(!is("Reader 00 00", "Reader 00 01") && !is("Reader 00 00", "Reader 00") && !is("Reader 00 00", ""));
    }
}
