//! What a person writes for a file, made into the URI of a place. Whether anything stands there is the daemon's to find out.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use crate::ending::Failure;

/// The URI for a path or URI; relative paths count from `directory`.
///
/// A path that ends in `.p12` or `.pfx` is a `p12:`, any other a `file:`. What looks like a URI of another scheme is left to
/// the daemon, which knows the schemes.
pub(crate) fn uri(written: &OsStr, directory: &Path) -> String {
    if let Some((scheme, rest)) = written.to_str().and_then(|text| text.split_once(':'))
        && !scheme.is_empty()
        && scheme.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit())
    {
        // The rest is percent-encoded already; what is put before it must be so, too.
        let relative = matches!(scheme, "file" | "p12" | "maildir") && !rest.is_empty() && !rest.starts_with('/');
        return if relative {
            format!("{scheme}:{}/{rest}", encoded(directory.as_os_str()))
        } else {
            format!("{scheme}:{rest}")
        };
    }
    let path = absolute(Path::new(written), directory);
    let pkcs12 = path.extension().is_some_and(|end| end.eq_ignore_ascii_case("p12") || end.eq_ignore_ascii_case("pfx"));
    format!("{}:{}", if pkcs12 { "p12" } else { "file" }, encoded(path.as_os_str()))
}

/// The URI for a mailbox as a person writes it: a path is a Maildir's.
pub(crate) fn mailbox(written: &OsStr, directory: &Path) -> String {
    match written.to_str() {
        Some(text) if text.contains(':') => uri(written, directory),
        Some(text) if text.contains('@') && !text.contains('/') => text.to_owned(),
        _ => format!("maildir:{}", encoded(absolute(Path::new(written), directory).as_os_str())),
    }
}

/// The absolute path for `--to`; D-Bus carries only UTF-8.
pub(crate) fn target(path: &Path, directory: &Path) -> Result<String, Failure> {
    let path = absolute(path, directory);
    match path.to_str() {
        Some(text) => Ok(text.to_owned()),
        None => Err(Failure::new("invalid-argument", [("argument", "--to"), ("value", &path.to_string_lossy())])),
    }
}

/// Absolute and without `.`; `..` only where what it leaves is no link.
fn absolute(path: &Path, directory: &Path) -> PathBuf {
    let mut whole = PathBuf::new();
    for component in directory.join(path).components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir if !whole.is_symlink() => {
                whole.pop();
            }
            component => whole.push(component),
        }
    }
    whole
}

/// `%`, control characters and what is not UTF-8 as `%XX`, as the daemon writes places.
fn encoded(path: &OsStr) -> String {
    let mut text = String::with_capacity(path.len());
    for chunk in path.as_bytes().utf8_chunks() {
        for letter in chunk.valid().chars() {
            if letter == '%' || letter.is_control() {
                let mut bytes = [0; 4];
                letter.encode_utf8(&mut bytes).bytes().for_each(|byte| escape(&mut text, byte));
            } else {
                text.push(letter);
            }
        }
        chunk.invalid().iter().for_each(|byte| escape(&mut text, *byte));
    }
    text
}

fn escape(text: &mut String, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    text.push('%');
    text.push(char::from(DIGITS[usize::from(byte >> 4)]));
    text.push(char::from(DIGITS[usize::from(byte & 15)]));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_becomes_a_place() {
        for (written, place) in [
            ("/etc/ssl/mail.pem", "file:/etc/ssl/mail.pem"),
            ("anna.p12", "p12:/home/anna/anna.p12"),
            ("./Anna.PFX", "p12:/home/anna/Anna.PFX"),
            ("../100%.crt", "file:/home/100%25.crt"),
            ("certs/", "file:/home/anna/certs"),
            ("a\tb.pem", "file:/home/anna/a%09b.pem"),
            ("./a:b.pem", "file:/home/anna/a:b.pem"),
            ("p12:anna.p12", "p12:/home/anna/anna.p12"),
            ("p12:/a%25.p12", "p12:/a%25.p12"),
            ("pkcs11:token=x", "pkcs11:token=x"),
            ("p12:", "p12:"),
        ] {
            assert_eq!(uri(OsStr::new(written), Path::new("/home/anna")), place, "{written}");
        }
        assert_eq!(uri(OsStr::from_bytes(b"/a\xff.pem"), Path::new("/")), "file:/a%FF.pem");
    }

    #[test]
    fn a_mailbox_is_a_maildir_or_an_address() {
        for (written, mailbox_) in [
            ("maildir:/var/mail/anna", "maildir:/var/mail/anna"),
            ("maildir:Maildir", "maildir:/home/anna/Maildir"),
            ("./Maildir/", "maildir:/home/anna/Maildir"),
            ("anna@example.org", "anna@example.org"),
            ("a@b/c", "maildir:/home/anna/a@b/c"),
        ] {
            assert_eq!(mailbox(OsStr::new(written), Path::new("/home/anna")), mailbox_, "{written}");
        }
    }

    #[test]
    fn the_new_file_has_an_absolute_path_in_utf8() {
        assert_eq!(target(Path::new("new.p12"), Path::new("/home/anna")).expect("a path"), "/home/anna/new.p12");
        assert!(target(Path::new(OsStr::from_bytes(b"\xff")), Path::new("/")).is_err());
    }
}
