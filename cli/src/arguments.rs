//! What may be written on the command line. The help is in `crates/text`; here stand only names and shapes.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Arg, Args, Command, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use obnova_text::Text;

use crate::completions;

/// A parsed command line.
#[derive(Debug, Parser)]
#[command(name = "obnova", version)]
pub struct Cli {
    /// Options that every verb takes.
    #[command(flatten)]
    pub global: Global,
    /// What to do; `status` if nothing is said.
    #[command(subcommand)]
    pub verb: Option<Verb>,
}

/// Options that every verb takes.
#[derive(Debug, Default, Args)]
pub struct Global {
    /// Data as JSON.
    #[arg(long, global = true)]
    pub json: bool,
    /// The system bus instead of the session bus.
    #[arg(long, global = true, conflicts_with = "bus")]
    pub system: bool,
    /// The address of another bus.
    #[arg(long, global = true, value_name = "ADDRESS")]
    pub bus: Option<String>,
    /// An inherited descriptor with answers.
    #[arg(long, global = true, value_name = "N")]
    pub secret_fd: Option<u32>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// How everything stands.
    Status,
    /// All items.
    List {
        /// Ended ones too.
        #[arg(long)]
        all: bool,
    },
    /// One item.
    Show {
        /// Name, prefix or id.
        id: String,
    },
    /// Watches places.
    Watch {
        /// Paths or URIs.
        #[arg(required = true, value_name = "FILE")]
        places: Vec<OsString>,
    },
    /// Watches the place of an item no longer.
    Unwatch {
        /// Name, prefix or id.
        id: String,
    },
    /// Renews an item.
    Renew {
        /// Name, prefix or id; the one that is due, if absent.
        id: Option<String>,
        /// Path of the new file.
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
        /// Only says what would happen.
        #[arg(long, conflicts_with = "wait")]
        dry_run: bool,
        /// Stays until the end.
        #[arg(long)]
        wait: bool,
    },
    /// Looks for certificates that nobody looks after.
    Discover,
    /// Takes over a certificate that was made elsewhere.
    Adopt {
        /// Name, prefix or id.
        id: String,
        /// Path or URI.
        #[arg(value_name = "FILE")]
        place: OsString,
    },
    /// Copies a certificate and its key.
    Backup {
        /// Name, prefix or id.
        id: String,
        /// Path of the copy.
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
    },
    /// How certificates are renewed.
    #[command(subcommand_required = true, arg_required_else_help = true)]
    Programme {
        /// What about it.
        #[command(subcommand)]
        verb: ProgrammeVerb,
    },
    /// Opens the window.
    Open {
        /// Name, prefix or id; everything, if absent.
        id: Option<String>,
    },
    /// Puts the warning off.
    Snooze {
        /// Name, prefix or id.
        id: String,
        /// `tomorrow`, a span, a day or a moment.
        #[arg(long, value_name = "WHEN")]
        until: String,
    },
    /// Unfinished renewals.
    Renewals {
        /// Ended ones too.
        #[arg(long)]
        all: bool,
    },
    /// Says that what a renewal waits for was done by hand.
    Done {
        /// Name, prefix, id or number of the job.
        renewal: String,
        /// Stays until the end.
        #[arg(long)]
        wait: bool,
    },
    /// Goes on with a renewal.
    Resume {
        /// Name, prefix, id or number of the job.
        renewal: String,
        /// Stays until the end.
        #[arg(long)]
        wait: bool,
    },
    /// Ends a renewal.
    Cancel {
        /// Name, prefix, id or number of the job.
        renewal: String,
    },
    /// Smart cards.
    #[command(subcommand_required = true, arg_required_else_help = true)]
    Card {
        /// What about them.
        #[command(subcommand)]
        verb: CardVerb,
    },
    /// Mails of authorities.
    #[command(subcommand_required = true, arg_required_else_help = true)]
    Mail {
        /// What about them.
        #[command(subcommand)]
        verb: MailVerb,
    },
    /// Keeps the password of a file in the keyring.
    Remember {
        /// Name, prefix or id.
        id: String,
    },
    /// Takes it out of the keyring.
    Forget {
        /// Name, prefix or id.
        id: String,
    },
    /// Whether renewals can succeed.
    Doctor {
        /// Name, prefix or id; all that is due, if absent.
        id: Option<String>,
    },
    /// Plays a renewal through.
    Rehearse {
        /// Its name.
        programme: String,
    },
    /// Data for other programs.
    Export {
        /// In which form.
        form: Form,
    },
    /// A monitoring plugin's answer.
    Check,
    /// What completes command lines in a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// The log.
    Log {
        /// Stays and shows what is added.
        #[arg(short, long)]
        follow: bool,
        /// Only so many of the newest.
        #[arg(short = 'n', long, value_name = "N")]
        number: Option<u32>,
        /// Only from then on.
        #[arg(long, value_name = "WHEN")]
        since: Option<String>,
    },
}

/// A form in which data leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// iCalendar (RFC 5545).
    Ics,
}

/// A shell whose command lines can be completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// GNU Bash.
    Bash,
    /// Z shell.
    Zsh,
    /// The friendly interactive shell.
    Fish,
}

/// What to do about cards.
#[derive(Debug, Subcommand)]
pub enum CardVerb {
    /// All cards.
    List,
    /// One card.
    Show {
        /// Name, number, prefix or id; the one that is there, if absent.
        id: Option<String>,
    },
    /// Sets a new PIN with the PUK.
    Unblock {
        /// Name, number, prefix or id; the one that is there, if absent.
        id: Option<String>,
    },
    /// Changes the PIN.
    ChangePin {
        /// Name, number, prefix or id; the one that is there, if absent.
        id: Option<String>,
    },
}

/// What to do about mails.
#[derive(Debug, Subcommand)]
pub enum MailVerb {
    /// Reads a mailbox from now on.
    Add {
        /// An address with its server, or a Maildir.
        #[arg(value_name = "MAILBOX")]
        mailbox: OsString,
        /// How one logs in.
        #[arg(long, value_name = "HOW")]
        login: Option<String>,
        /// What prints the secret.
        #[arg(long, value_name = "COMMAND", conflicts_with = "credential")]
        command: Option<String>,
        /// The credential that is the secret.
        #[arg(long, value_name = "NAME")]
        credential: Option<String>,
        /// Who may have signed the server's certificate.
        #[arg(long, value_name = "FILE")]
        authority: Option<PathBuf>,
    },
    /// The mailboxes that are read.
    List,
    /// Looks whether one can be read.
    Test {
        /// Name, prefix or id; the only one, if absent.
        id: Option<String>,
    },
    /// Reads a mailbox no longer.
    Remove {
        /// Name, prefix or id.
        id: String,
    },
    /// Reads one from a file.
    Read {
        /// The mail.
        file: PathBuf,
    },
}

/// What to do about programmes.
#[derive(Debug, Subcommand)]
pub enum ProgrammeVerb {
    /// All programmes.
    List,
    /// One programme.
    Show {
        /// Its name.
        name: String,
    },
    /// Whether a file is right.
    Check {
        /// The file.
        file: PathBuf,
    },
    /// Tries a programme's rules with a mail.
    Test {
        /// The programme.
        file: PathBuf,
        /// The mail.
        mail: PathBuf,
    },
}

impl Cli {
    /// Reads a command line, the program's name included. The error is a request for help, too.
    pub fn read(words: impl IntoIterator<Item = OsString>, text: &Text) -> Result<Self, clap::Error> {
        let matches = Self::explained(text).try_get_matches_from(words)?;
        Self::from_arg_matches(&matches)
    }

    /// The definition of the command line, with the help in the reader's language.
    pub fn explained(text: &Text) -> Command {
        let command =
            explain(Self::command(), text, "global", "obnova").after_help(text.help("exit-codes").unwrap_or_default());
        explain_verbs(command, text, "")
    }
}

/// Puts in the help for the verbs of a command, and for theirs.
fn explain_verbs(command: Command, text: &Text, above: &str) -> Command {
    let verbs: Vec<_> = command.get_subcommands().map(|verb| verb.get_name().to_owned()).collect();
    verbs.into_iter().fold(command, |command, name| {
        let key = format!("{above}{name}");
        command.mut_subcommand(name, |verb| explain_verbs(explain(verb, text, &key, &key), text, &format!("{key}-")))
    })
}

/// Puts the help for a command and its arguments in the place of the notes for developers above.
fn explain(command: Command, text: &Text, prefix: &str, key: &str) -> Command {
    let command = command.about(text.help(key).unwrap_or_default()).long_about(None::<&str>);
    command.mut_args(|arg: Arg| {
        let help = text.help(&format!("{prefix}-{}", arg.get_id().as_str().replace('_', "-")));
        let arg = arg.help(help.unwrap_or_default()).long_help(None::<&str>);
        completions::completed(arg, prefix)
    })
}

#[cfg(test)]
mod tests {
    use clap::builder::StyledStr;

    use super::*;

    #[test]
    fn every_part_of_the_command_line_has_help_and_all_help_is_used() {
        let text = Text::for_environment("en");
        let source = include_str!("../../crates/text/i18n/en/cli.ftl");
        let mut written: Vec<_> =
            source.lines().filter_map(|line| line.strip_prefix("cli-help-")?.split(" =").next()).collect();
        let command = Cli::explained(&text);
        let said = |help: Option<&StyledStr>| help.is_some_and(|help| !help.to_string().is_empty());
        let mut parts =
            vec![("obnova".to_owned(), said(command.get_about())), ("exit-codes".to_owned(), said(command.get_after_help()))];
        let mut add = |prefix: &str, command: &Command| {
            for arg in command.get_arguments().filter(|arg| !arg.is_global_set() || prefix == "global") {
                let id = arg.get_id().as_str().replace('_', "-");
                parts.push((format!("{prefix}-{id}"), said(arg.get_help())));
            }
        };
        add("global", &command);
        let verbs = command.get_subcommands().flat_map(|verb| {
            let name = verb.get_name().to_owned();
            let below = verb.get_subcommands().map(move |below| (format!("{name}-{}", below.get_name()), below));
            std::iter::once((verb.get_name().to_owned(), verb)).chain(below)
        });
        let verbs: Vec<(String, &Command)> = verbs.collect();
        for (key, verb) in &verbs {
            add(key, verb);
        }
        parts.extend(verbs.iter().map(|(key, verb)| (key.clone(), said(verb.get_about()))));
        for (part, explained) in parts {
            assert!(explained, "{part} has no help");
            written.retain(|key| *key != part);
        }
        assert!(written.is_empty(), "help for nothing: {written:?}");
    }

    #[test]
    fn the_definition_holds_together() {
        Cli::explained(&Text::for_environment("en")).debug_assert();
    }
}
