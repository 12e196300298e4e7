//! `unlock`: who holds the locks, whether they live, and, with consent, the removal of those of a holder that is gone.

use std::sync::Arc;

use futures_util::future::join_all;

use crate::cli::args::{Common, Format, UnlockArgs};
use crate::cli::person::TerminalPerson;
use crate::cli::printer::Printer;
use crate::cli::session::{Session, flags, open};
use crate::diag::{Diagnostic, Diagnostics, Failure, Refusal};
use crate::engine::unlock::{Finding, Lock, Verdict, locks_of, statements_of};
use crate::exit_code::Exit;
use crate::report::unlock_view::UnlockView;

/// Runs the command.
///
/// # Errors
/// [`Failure::Refused`] where a holder lives, or nobody consented; places that cannot be asked.
pub async fn run(args: &UnlockArgs, common: &Common, printer: &Printer) -> Result<Exit, Failure> {
    let printer = printer.shared();
    let session = open(common, &printer).await?;
    check_target(args, &session)?;
    let target = args.target.as_deref();
    let locks = locks_of(&session.environment, &session.ports, target).await;
    let (mut free, mut held) = (Vec::new(), Vec::new());
    let tell = |text: &str| printer.error(&printer.err_style().dim(&format!("{text}\n")));
    let looks = join_all(locks.iter().map(|lock| lock.look(&session.ports, &tell))).await;
    for (lock, found) in locks.iter().zip(looks) {
        match found? {
            None if lock.is_plain => free.push(lock.name.clone()),
            None => {}
            Some(finding) => held.push((lock, finding)),
        }
    }
    let mut runs: Vec<String> = held.iter().map(|(_, finding)| finding.holder.run.clone()).collect();
    runs.dedup();
    let mut running = Vec::new();
    for run in runs {
        let found = statements_of(&run, &session.environment, &session.ports, target).await;
        running.push((run, found));
    }
    let findings: Vec<Finding> = told(&held).cloned().collect();
    let view = UnlockView { free: &free, findings: &findings, running: &running };
    if common.format == Format::Text {
        printer.result(&view.text(printer.style()));
    }
    let mut removed = Vec::new();
    let result = remove(&held, args, common, &session, &printer, &mut removed).await;
    if common.format == Format::Json {
        printer.result(&format!("{:#}\n", view.json(&removed)));
    }
    result.map(|()| Exit::Done)
}

fn check_target(args: &UnlockArgs, session: &Session) -> Result<(), Failure> {
    let Some(target) = &args.target else { return Ok(()) };
    if session.environment.targets.contains_key(target) {
        return Ok(());
    }
    let known: Vec<&str> = session.environment.targets.keys().map(String::as_str).collect();
    let diagnostic = Diagnostic::new("unknown-reference", format!("the environment has no target `{target}`"));
    Err(Diagnostics::from(diagnostic.help(format!("its targets: {}", known.join(", ")))).into())
}

/// The locks that are worth a word: that of a server goes with its target's, unless somebody else holds it.
fn told<'h>(held: &'h [(&Lock<'_>, Finding)]) -> impl Iterator<Item = &'h Finding> {
    let is_told_of =
        |finding: &Finding| held.iter().any(|(lock, other)| lock.is_plain && other.holder == finding.holder);
    held.iter().filter(move |(lock, finding)| lock.is_plain || !is_told_of(finding)).map(|(_, finding)| finding)
}

/// Removes what may be removed; nothing at all where a holder lives.
async fn remove(
    held: &[(&Lock<'_>, Finding)],
    args: &UnlockArgs,
    common: &Common,
    session: &Session,
    printer: &Arc<Printer>,
    removed: &mut Vec<String>,
) -> Result<(), Failure> {
    let living: Vec<Refusal> = told(held).filter_map(|finding| refusal_for(finding, common)).collect();
    if !living.is_empty() {
        return Err(Failure::Refused(living));
    }
    let mut agreed: Option<&str> = args.run.as_deref();
    for (lock, finding) in held {
        let run = finding.holder.run.as_str();
        if agreed != Some(run) {
            let is_typed = args.run.is_none()
                && common.format == Format::Text
                && TerminalPerson::before_anything(printer).answers("Type the id of the run to remove its locks", run);
            if !is_typed {
                return Err(no_consent(finding, common));
            }
            agreed = Some(run);
        }
        lock.remove(&session.ports, &finding.holder).await?;
        removed.push(lock.name.clone());
        if common.format == Format::Text {
            let told = format!("The lock on {} is removed; run {run} can write nothing more under it.\n", lock.name);
            printer.result(&told);
        }
    }
    Ok(())
}

fn refusal_for(finding: &Finding, common: &Common) -> Option<Refusal> {
    let Verdict::Alive(why) = &finding.verdict else { return None };
    Some(Refusal {
        what: format!("the lock on {} is not removed", finding.lock),
        expected: "a holder that is gone".to_owned(),
        found: format!("alive: {why}"),
        evidence: format!("clickferry status {}{}", finding.holder.run, flags(common)),
        action: "wait for that run, or stop its process; its lock ends with it, and `clickferry resume` carries on"
            .to_owned(),
    })
}

fn no_consent(finding: &Finding, common: &Common) -> Failure {
    let run = &finding.holder.run;
    Failure::refused(Refusal {
        what: format!("the lock on {} was not removed", finding.lock),
        expected: format!("--run {run}, or {run} typed at a terminal"),
        found: "no consent, or consent for another run".to_owned(),
        evidence: format!("clickferry unlock{}", flags(common)),
        action: "read who holds it, then consent; nothing was changed".to_owned(),
    })
}
