//! Which programmes there are: those of an administrator or a person, then those that come with Obnova. What they mean is the core's.

use std::path::{Path, PathBuf};

use obnova_core::Programme;
use obnova_core::programme::{self, ProgrammeError};

/// Why programmes cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ProgrammesError {
    /// A directory or file cannot be read.
    #[error("{path}: {source}")]
    Unreadable {
        /// Which.
        path: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A mistake in a file.
    #[error(transparent)]
    Mistake(#[from] ProgrammeError),
    /// Two files say the same name.
    #[error("{file}: a programme of the name `{name}` exists already")]
    Twice {
        /// The later file.
        file: String,
        /// The name.
        name: String,
    },
}

/// The programmes in the files `*.toml` of a directory, in the order of their names, then the built-in ones: who says something of
/// their own is heard first. To each is added what stands in the files `NAME.d/*.toml`. A directory that does not exist holds none.
pub fn load(directory: &Path) -> Result<Vec<Programme>, ProgrammesError> {
    let mut programmes: Vec<Programme> = Vec::new();
    for path in files(directory)? {
        let file = path.display().to_string();
        let programme = Programme::parse(&file, &read(&path)?)?;
        add(&mut programmes, programme, file)?;
    }
    for programme in programme::built_in()? {
        let file = programme.name.clone();
        add(&mut programmes, programme, file)?;
    }
    for programme in &mut programmes {
        for path in files(&directory.join(format!("{}.d", programme.name)))? {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            programme.add(&path.display().to_string(), &name, &read(&path)?)?;
        }
    }
    Ok(programmes)
}

fn read(path: &Path) -> Result<String, ProgrammesError> {
    std::fs::read_to_string(path).map_err(|error| unreadable(path, error))
}

fn unreadable(path: &Path, source: std::io::Error) -> ProgrammesError {
    ProgrammesError::Unreadable { path: path.to_owned(), source }
}

/// The files `*.toml` of a directory, in the order of their names.
fn files(directory: &Path) -> Result<Vec<PathBuf>, ProgrammesError> {
    let mut files = Vec::new();
    match std::fs::read_dir(directory) {
        Ok(entries) => {
            for entry in entries {
                let path = entry.map_err(|error| unreadable(directory, error))?.path();
                if path.extension().is_some_and(|extension| extension == "toml") {
                    files.push(path);
                }
            }
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(unreadable(directory, error)),
    }
    files.sort();
    Ok(files)
}

fn add(programmes: &mut Vec<Programme>, programme: Programme, file: String) -> Result<(), ProgrammesError> {
    if programmes.iter().any(|other| other.name == programme.name) {
        return Err(ProgrammesError::Twice { file, name: programme.name });
    }
    programmes.push(programme);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_programmes_come_before_those_that_are_built_in() {
        let directory = tempfile::tempdir().expect("a directory");
        let built_in = load(&directory.path().join("nowhere")).expect("the built-in ones");
        assert_eq!(built_in, programme::built_in().expect("good"));
        let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).expect("written");
        let text = programme::BUILT_IN[1].1;
        write("b.toml", &text.replace("name = \"self-signed\"", "name = \"b\""));
        write("a.toml", &text.replace("name = \"self-signed\"", "name = \"a\""));
        write("notes.txt", "no programme");
        let names: Vec<String> = load(directory.path()).expect("good").into_iter().map(|programme| programme.name).collect();
        assert_eq!(names, ["a", "b", "vps-postfach", "self-signed"]);
        std::fs::create_dir(directory.path().join("vps-postfach.d")).expect("a directory");
        write("vps-postfach.d/office.toml", "[visiting-card]\nname = \"Anna\"\n");
        let cards = &load(directory.path()).expect("good")[2].visiting_cards;
        assert_eq!((cards.len(), cards[0].mailbox.as_str(), cards[0].name.as_str()), (1, "office", "Anna"));
        write("c.toml", text);
        assert!(matches!(load(directory.path()), Err(ProgrammesError::Twice { name, .. }) if name == "self-signed"));
        write("c.toml", "name = 1");
        let mistake = load(directory.path()).expect_err("no programme").to_string();
        assert!(mistake.contains("c.toml:1:"), "{mistake}");
    }
}
