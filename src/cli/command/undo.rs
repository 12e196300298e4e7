//! `undo`: takes a run back, with a plan of its own.

use std::path::PathBuf;
use std::sync::Arc;

use super::apply::{cancelled, consent, event_lines, finish, observers, owner, show_end, with_approvals};
use crate::action::runnable;
use crate::cli::args::{Common, Format, UndoArgs};
use crate::cli::interrupt::listen;
use crate::cli::person::TerminalPerson;
use crate::cli::printer::Printer;
use crate::cli::progress::ProgressView;
use crate::cli::session::{Session, absolute, flags, open_for_run, which_run};
use crate::cli::traces::Traces;
use crate::diag::Failure;
use crate::engine::guard::{check_demands, check_start, consent_text};
use crate::engine::locks::targets_of;
use crate::engine::run::Runner;
use crate::exit_code::Exit;
use crate::model::ids::StepId;
use crate::plan::plan_file::Plan;
use crate::report::plan_view::PlanView;

/// Runs the command.
///
/// # Errors
/// A run that cannot be taken back, with the list of what can and what cannot; missing consent; failed operations.
pub async fn run(args: &UndoArgs, common: &Common, printer: &Printer) -> Result<Exit, Failure> {
    let printer = printer.shared();
    let session = open_for_run(common, &printer, Some(&args.run)).await?;
    let id = which_run(&*session.ports.state, Some(&args.run), async |_| true).await?;
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
    let to = args.to.as_deref().map(StepId::from);
    if args.dry_run {
        let plan = runner.undo_plan(&id, to.as_ref()).await?;
        return show(args, &plan, common, &printer);
    }
    let original = runner.find(&id).await?.plan;
    // Locked before anything is looked at, as at apply.
    let targets = targets_of(&original);
    let reserved = tokio::select! {
        reserved = runner.reserve_targets(&targets) => reserved?,
        () = interrupts.detach.cancelled() => return Err(cancelled()),
    };
    let agreed = async {
        let plan = runner.undo_plan(&id, to.as_ref()).await?;
        if plan.operations.is_empty() {
            return Ok((plan, String::new()));
        }
        let consent = agreed(args, &plan, &session, &person, &printer).await?;
        Ok((plan, consent))
    };
    let agreed = tokio::select! {
        agreed = agreed => agreed,
        () = interrupts.stop.cancelled() => Err(cancelled()),
    };
    // From the first record of the undo on the run cannot be carried on with.
    let agreed = if interrupts.stop.is_cancelled() { Err(cancelled()) } else { agreed };
    let (plan, consent) = match agreed {
        Ok(agreed) => agreed,
        Err(failure) => {
            reserved.cancel().await;
            return Err(failure);
        }
    };
    if plan.operations.is_empty() {
        reserved.cancel().await;
        printer.error(&format!("Run {id}: nothing is left to take back.\n"));
        return Ok(Exit::Done);
    }
    interrupts.begin();
    let result = runner.begin_undo(&plan, &consent, reserved).await;
    if let Some(traces) = &traces {
        traces.finish(&printer).await;
    }
    let undo = progress.run_id();
    if let Some(undo) = &undo {
        show_end(&session, undo, lines.as_ref(), &printer).await;
    }
    finish(result.map(|_| ()), undo.as_ref(), common, &printer)
}

/// Guards and consent, as at apply.
async fn agreed(
    args: &UndoArgs,
    plan: &Plan,
    session: &Session,
    person: &TerminalPerson,
    printer: &Printer,
) -> Result<String, Failure> {
    let signatures: Vec<PathBuf> = args.approval.iter().map(|path| absolute(path)).collect::<Result<_, _>>()?;
    let approved = check_demands(plan, &session.base, &signatures, &session.ports).await?;
    let consent = consent(args.consent.as_deref(), args.summary, plan, person, printer)?;
    for note in check_start(plan, &session.ports).await? {
        printer.error(&printer.err_style().notice(&format!("{note}\n")));
    }
    Ok(with_approvals(consent, &approved))
}

fn show(args: &UndoArgs, plan: &Plan, common: &Common, printer: &Printer) -> Result<Exit, Failure> {
    // Plain data with text keys always becomes JSON.
    let json = serde_json::to_string_pretty(plan).unwrap_or_default();
    if let Some(path) = &args.output {
        std::fs::write(path, format!("{json}\n")).map_err(|error| {
            Failure::simple(format!("{} cannot be written: {error}", path.display()), "give another path")
        })?;
    }
    match common.format {
        Format::Json => printer.result(&format!("{json}\n")),
        Format::Text => {
            let view = PlanView { width: printer.width(), style: printer.style(), summary: args.summary };
            printer.result(&view.render(plan));
        }
    }
    if plan.operations.is_empty() {
        return Ok(Exit::Done);
    }
    let to = args.to.as_ref().map(|to| format!(" --to {to}")).unwrap_or_default();
    let command = format!("clickferry undo {}{to} --consent {}{}", args.run, consent_text(plan), flags(common));
    printer.error(&format!("Take it back: {command}\n"));
    Ok(Exit::Differs)
}
