//! The verbs: a module per family. Each asks the daemon, writes data to `out` and talk to `err`, and says how it ended.

mod act;
mod card;
mod doctor;
mod log;
mod look;
mod mail;
mod mailbox;
pub(crate) mod outward;
mod programme;
pub(crate) mod rehearse;
mod remember;
mod renew;
mod watch;

use obnova_api::MailboxOptions;

use crate::arguments::{CardVerb, Form, MailVerb, ProgrammeVerb, Verb};
use crate::ending::{Ending, Failure};
use crate::session::Session;

/// Does what the command line says.
pub(crate) async fn run(session: &mut Session<'_>, verb: Verb) -> Result<Ending, Failure> {
    match verb {
        Verb::Status => look::status(session).await,
        Verb::List { all } => look::list(session, all).await,
        Verb::Show { id } => look::show(session, &id).await,
        Verb::Renewals { all } => look::renewals(session, all).await,
        Verb::Watch { places } => watch::watch(session, &places).await,
        Verb::Unwatch { id } => watch::unwatch(session, &id).await,
        Verb::Renew { id, to, dry_run: true, .. } => renew::plan(session, id.as_deref(), to.as_deref()).await,
        Verb::Renew { id, to, wait, .. } => renew::renew(session, id.as_deref(), to.as_deref(), wait).await,
        Verb::Done { renewal, wait } => renew::go_on(session, &renewal, "done", wait).await,
        Verb::Resume { renewal, wait } => renew::go_on(session, &renewal, "resume", wait).await,
        Verb::Cancel { renewal } => renew::cancel(session, &renewal).await,
        Verb::Card { verb: CardVerb::List } => card::list(session).await,
        Verb::Card { verb: CardVerb::Show { id } } => card::show(session, id.as_deref()).await,
        Verb::Card { verb: CardVerb::Unblock { id } } => card::unblock(session, id.as_deref()).await,
        Verb::Card { verb: CardVerb::ChangePin { id } } => card::change_pin(session, id.as_deref()).await,
        Verb::Mail { verb: MailVerb::Add { mailbox, login, command, credential, authority } } => {
            let authority = authority.map(|path| mailbox::file(&path)).transpose()?;
            let options = MailboxOptions { login, command, credential, authority };
            mailbox::add(session, &mailbox, &options).await
        }
        Verb::Mail { verb: MailVerb::List } => mailbox::list(session).await,
        Verb::Mail { verb: MailVerb::Test { id } } => mailbox::test(session, id.as_deref()).await,
        Verb::Mail { verb: MailVerb::Remove { id } } => mailbox::remove(session, &id).await,
        Verb::Mail { verb: MailVerb::Read { file } } => mail::read(session, &file).await,
        Verb::Programme { verb: ProgrammeVerb::Test { file, mail } } => mail::test(session, &file, &mail).await,
        Verb::Discover => watch::discover(session).await,
        Verb::Adopt { id, place } => renew::adopt(session, &id, &place).await,
        Verb::Backup { id, to } => renew::backup(session, &id, &to).await,
        Verb::Programme { verb: ProgrammeVerb::List } => programme::list(session).await,
        Verb::Programme { verb: ProgrammeVerb::Show { name } } => programme::show(session, &name).await,
        Verb::Programme { verb: ProgrammeVerb::Check { file } } => programme::check(session, &file).await,
        Verb::Open { id } => outward::open(session, id.as_deref()).await,
        Verb::Snooze { id, until } => watch::snooze(session, &id, &until).await,
        Verb::Rehearse { programme } => rehearse::play(session, &programme).await,
        Verb::Export { form: Form::Ics } => outward::calendar_of_deadlines(session).await,
        Verb::Check => outward::check(session).await,
        Verb::Completions { shell } => outward::register_completions(session.out, shell),
        Verb::Doctor { id } => doctor::doctor(session, id.as_deref()).await,
        Verb::Remember { id } => remember::remember(session, &id).await,
        Verb::Forget { id } => remember::forget(session, &id).await,
        Verb::Log { follow, number, since } => log::log(session, follow, number, since.as_deref()).await,
    }
}
