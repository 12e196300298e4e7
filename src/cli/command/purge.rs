//! `purge`: drops databases that runs have set aside.

use std::fmt::Write;
use std::path::PathBuf;
use std::sync::Arc;

use super::apply::{consent, event_lines, finish, observers, owner, show_end, with_approvals};
use crate::action::runnable;
use crate::action::undo::purge_operations;
use crate::cli::args::{Common, Format, PurgeArgs};
use crate::cli::interrupt::listen;
use crate::cli::person::TerminalPerson;
use crate::cli::printer::Printer;
use crate::cli::progress::ProgressView;
use crate::cli::session::{Session, absolute, flags, open_for_run, which_run};
use crate::cli::traces::Traces;
use crate::diag::Failure;
use crate::engine::guard::{check_demands, check_start, consent_text, signers_facts};
use crate::engine::run::Runner;
use crate::engine::undo::{Kept, kept_databases, purge_plan};
use crate::exit_code::Exit;
use crate::plan::plan_file::Plan;
use crate::report::plan_view::PlanView;
use serde_json::json;

/// Runs the command.
///
/// # Errors
/// A host that does not answer, missing consent, a database that is not the one that was set aside.
pub async fn run(args: &PurgeArgs, common: &Common, printer: &Printer) -> Result<Exit, Failure> {
    let printer = printer.shared();
    let session = open_for_run(common, &printer, args.run.as_deref()).await?;
    let now = session.ports.clock.now();
    let Found { all, due } = found(args, &session, now).await?;
    if args.list || due.is_empty() {
        list(&all, now, common, &printer);
        return Ok(Exit::Done);
    }
    if args.dry_run {
        return show(args, &planned(&due, &session).await?, common, &printer);
    }
    let interrupts = listen(Arc::clone(&printer));
    let person = TerminalPerson { printer: Arc::clone(&printer), stop: interrupts.stop.clone(), no_return: Vec::new() };
    let progress = ProgressView::new(Arc::clone(&printer));
    let lines = event_lines(common, &session, &printer);
    let traces = Traces::from_environment(&printer);
    let observer = observers(&progress, lines.as_ref(), traces.as_ref());
    let runner = Runner {
        catalogue: runnable(),
        environment: &session.environment,
        environment_text: &session.environment_text,
        ports: &session.ports,
        observer: &observer,
        person: &person,
        stop: interrupts.stop.clone(),
        detach: interrupts.detach.clone(),
        owner: owner(),
    };
    let mut targets: Vec<&str> = due.iter().map(|kept| kept.target.as_str()).collect();
    targets.sort_unstable();
    targets.dedup();
    // Locked before anything is looked at, as at apply.
    let reserved = runner.reserve_targets(&targets).await?;
    let agreed = async {
        // Looked for once more under the locks: another purge may have come first.
        let due = found(args, &session, now).await?.due;
        let plan = planned(&due, &session).await?;
        let consent = agreed(args, &plan, &session, &person, &printer).await?;
        Ok((plan, consent))
    };
    let (plan, consent) = match agreed.await {
        Ok(agreed) => agreed,
        Err(failure) => {
            reserved.cancel().await;
            return Err(failure);
        }
    };
    if plan.operations.is_empty() {
        reserved.cancel().await;
        return Ok(Exit::Done);
    }
    interrupts.begin();
    // Whether they are the very databases is asked once more right before each is dropped.
    let result = runner.begin(&plan, &consent, reserved).await;
    if let Some(traces) = &traces {
        traces.finish(&printer).await;
    }
    let id = progress.run_id();
    if let Some(id) = &id {
        show_end(&session, id, lines.as_ref(), &printer).await;
    }
    finish(result.map(|_| ()), id.as_ref(), common, &printer)
}

/// What is kept, and what of it is to be dropped.
struct Found {
    all: Vec<Kept>,
    due: Vec<Kept>,
}

async fn found(args: &PurgeArgs, session: &Session, now: jiff::Timestamp) -> Result<Found, Failure> {
    let state = &*session.ports.state;
    let all = kept_databases(state).await?;
    let due = match &args.run {
        Some(name) => {
            let id = which_run(state, Some(name), async |_| true).await?;
            all.iter().filter(|kept| kept.past.run == id).cloned().collect()
        }
        None => all.iter().filter(|kept| kept.until <= now).cloned().collect(),
    };
    Ok(Found { all, due })
}

async fn planned(due: &[Kept], session: &Session) -> Result<Plan, Failure> {
    let operations = purge_operations(due, &*session.ports.sql).await?;
    purge_plan(due, operations, &session.environment, |guards| signers_facts(guards, &session.base))
}

/// Guards and consent, as at apply: the window and the signatures are those of the run that kept them.
async fn agreed(
    args: &PurgeArgs,
    plan: &Plan,
    session: &Session,
    person: &TerminalPerson,
    printer: &Printer,
) -> Result<String, Failure> {
    let signatures: Vec<PathBuf> = args.approval.iter().map(|path| absolute(path)).collect::<Result<_, _>>()?;
    let approved = check_demands(plan, &session.base, &signatures, &session.ports).await?;
    let consent = consent(args.consent.as_deref(), false, plan, person, printer)?;
    check_start(plan, &session.ports).await?;
    Ok(with_approvals(consent, &approved))
}

fn list(all: &[Kept], now: jiff::Timestamp, common: &Common, printer: &Printer) {
    if common.format == Format::Json {
        let list: Vec<_> = all
            .iter()
            .map(|kept| {
                json!({
                    "run": kept.past.run, "operation": kept.past.operation, "host": kept.host, "database": kept.database,
                    "aside": kept.aside, "uuid": kept.uuid, "tables": kept.tables.len(), "until": kept.until.to_string(),
                    "expired": kept.until <= now,
                })
            })
            .collect();
        printer.result(&format!("{:#}\n", json!({ "version": 1, "kept": list })));
        return;
    }
    let mut text = String::new();
    for kept in all {
        let until = kept.until.strftime("%Y-%m-%d %H:%M:%S UTC");
        let word = if kept.until <= now { "expired" } else { "kept until" };
        // Writing into a String cannot fail.
        let _ = writeln!(
            text,
            "{}  {} on {}, {} tables  {word} {until}",
            kept.past.run,
            kept.aside,
            kept.host,
            kept.tables.len()
        );
    }
    if all.is_empty() {
        text.push_str("No run of this state has set a database aside.\n");
    }
    printer.result(&text);
}

fn show(args: &PurgeArgs, plan: &Plan, common: &Common, printer: &Printer) -> Result<Exit, Failure> {
    if let Some(path) = &args.output {
        let json = serde_json::to_string_pretty(plan).unwrap_or_default();
        std::fs::write(path, format!("{json}\n")).map_err(|error| {
            Failure::simple(format!("{} cannot be written: {error}", path.display()), "give another path")
        })?;
    }
    match common.format {
        // Plain data with text keys always becomes JSON.
        Format::Json => printer.result(&format!("{}\n", serde_json::to_string_pretty(plan).unwrap_or_default())),
        Format::Text => {
            let view = PlanView { width: printer.width(), style: printer.style(), summary: false };
            printer.result(&view.render(plan));
        }
    }
    let run = args.run.as_ref().map(|run| format!(" {run}")).unwrap_or_default();
    printer.error(&format!("Drop them: clickferry purge{run} --consent {}{}\n", consent_text(plan), flags(common)));
    Ok(Exit::Differs)
}
