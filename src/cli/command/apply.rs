//! `apply`: executes a runbook after consent, or a saved plan exactly as it was saved.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use super::plan::{now_of, plan_of};
use crate::action::runnable;
use crate::cli::args::{ApplyArgs, Common, Format};
use crate::cli::event_lines::EventLines;
use crate::cli::interrupt::listen;
use crate::cli::person::{NoConsent, TerminalPerson, check_no_return};
use crate::cli::printer::Printer;
use crate::cli::progress::ProgressView;
use crate::cli::saved_plan::{is_plan, read_plan, runbook_in};
use crate::cli::session::{Session, absolute, flags, given_parameters, open_for, read_source};
use crate::cli::traces::Traces;
use crate::diag::{Failure, Refusal, SourceFile};
use crate::engine::event::{Happened, Observer, Observers};
use crate::engine::guard::{
    check_budget, check_consent, check_demands, check_start, check_unmoved, consent_text, shown_again,
};
use crate::engine::resume::OperationState;
use crate::engine::run::{Runner, find_run};
use crate::exit_code::Exit;
use crate::model::ids::RunId;
use crate::plan::plan_file::Plan;
use crate::report::matrix::render_matrix;
use crate::report::plan_view::PlanView;

/// Runs the command.
///
/// # Errors
/// Everything [`super::plan`] can fail with, a world that moved, missing consent, and failed operations.
pub async fn run(args: &ApplyArgs, common: &Common, printer: &Printer) -> Result<Exit, Failure> {
    let printer = printer.shared();
    let source = read_source(&args.what)?;
    let is_saved = is_plan(&args.what, &source.text);
    let runbook = if is_saved { runbook_in(&source) } else { Some(Arc::clone(&source)) };
    // The text of a large plan is larger than the plan; it is read again where it is needed.
    drop(source);
    let session = open_for(common, &printer, runbook.as_ref()).await?;
    let interrupts = listen(Arc::clone(&printer));
    let person = TerminalPerson {
        printer: Arc::clone(&printer),
        stop: interrupts.stop.clone(),
        no_return: args.no_return.clone(),
    };
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
    // Locked before anything is looked at: what the plan rests on cannot be moved by another run meanwhile.
    // Whoever presses Ctrl-C twice leaves a lock behind where it was just being taken; it ends with its session.
    let reserved = tokio::select! {
        reserved = runner.reserve() => reserved?,
        () = interrupts.detach.cancelled() => return Err(cancelled()),
    };
    let asked = Asked { args, common, is_saved };
    let agreed = tokio::select! {
        agreed = agreed_plan(&asked, &session, &person, &printer) => agreed,
        () = interrupts.stop.cancelled() => Err(cancelled()),
    };
    let agreed = if interrupts.stop.is_cancelled() { Err(cancelled()) } else { agreed };
    let (plan, consent) = match agreed {
        Ok(agreed) => agreed,
        Err(failure) => {
            reserved.cancel().await;
            return Err(failure);
        }
    };
    interrupts.begin();
    let result = runner.begin(&plan, &consent, reserved).await;
    if let Some(traces) = &traces {
        traces.finish(&printer).await;
    }
    let id = progress.run_id();
    if let Some(id) = taken_back(&result).or_else(|| id.clone()) {
        show_end(&session, &id, lines.as_ref(), &printer).await;
    }
    finish(result.map(|_| ()), id.as_ref(), common, &printer)
}

/// The run that failed and was taken back: its checks are what people want to see, not those of the undo.
pub fn taken_back<T>(result: &Result<T, Failure>) -> Option<RunId> {
    match result {
        Err(Failure::TakenBack { run, .. }) => Some(RunId(run.clone())),
        _ => None,
    }
}

/// What the command line asks for.
struct Asked<'a> {
    args: &'a ApplyArgs,
    common: &'a Common,
    /// Whether it is a saved plan, not a runbook.
    is_saved: bool,
}

/// The plan as the world is now, and how consent was given to it; every guard has been asked.
async fn agreed_plan(
    Asked { args, common, is_saved }: &Asked<'_>,
    session: &Session,
    person: &TerminalPerson,
    printer: &Printer,
) -> Result<(Plan, String), Failure> {
    let plan =
        if *is_saved { saved_plan(&args.what, session).await? } else { fresh_plan(args, common, session).await? };
    check_no_return(&plan, &args.no_return)?;
    let approved = check_demands(&plan, &session.base, &signatures(args, *is_saved)?, &session.ports).await?;
    let consent = consent(args.consent.as_deref(), args.summary, &plan, person, printer)?;
    let consent = with_approvals(consent, &approved);
    if let Some(guard) = plan.guards.write_freeze.as_ref().filter(|_| plan.changes_something()) {
        let told = format!("Watching for {} that nobody writes.\n", guard.r#for.as_str());
        printer.error(&printer.err_style().dim(&told));
    }
    for note in check_start(&plan, &session.ports).await? {
        printer.error(&printer.err_style().notice(&format!("{note}\n")));
    }
    let took_time = args.consent.is_none() || plan.guards.write_freeze.is_some();
    let plan = if plan.changes_something() && took_time { looked_again(&plan, session).await? } else { plan };
    Ok((plan, consent))
}

/// A person may have read for an hour, and a watch has its time: what consent was given to must still be there right
/// before the first operation.
async fn looked_again(plan: &Plan, session: &Session) -> Result<Plan, Failure> {
    let plan = made_again(plan, session).await?;
    // Bytes may move without another plan, and the budget limits them.
    check_budget(&plan)?;
    Ok(plan)
}

/// How consent was given, and who approved.
pub fn with_approvals(consent: String, approved: &[String]) -> String {
    if approved.is_empty() { consent } else { format!("{consent}; approved by {}", approved.join(", ")) }
}

/// Signatures given; else those beside a saved plan, by name.
fn signatures(args: &ApplyArgs, is_saved: bool) -> Result<Vec<PathBuf>, Failure> {
    if !args.approval.is_empty() || !is_saved {
        return args.approval.iter().map(|path| absolute(path)).collect();
    }
    let plan = absolute(&args.what)?;
    let name = format!("{}.", plan.file_name().unwrap_or_default().to_string_lossy());
    let entries = plan.parent().and_then(|folder| std::fs::read_dir(folder).ok()).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries
        .filter(|entry| {
            let file = entry.file_name();
            let file = file.to_string_lossy();
            file.starts_with(&name) && file.ends_with(".sig")
        })
        .map(|entry| entry.path())
        .collect();
    found.sort();
    Ok(found)
}

async fn fresh_plan(args: &ApplyArgs, common: &Common, session: &Session) -> Result<Plan, Failure> {
    let source = read_source(&args.what)?;
    plan_of(&source, &given_parameters(common)?, session).await
}

/// Reads a saved plan and makes it again from its own runbook: it is applied exactly, or not at all.
async fn saved_plan(path: &Path, session: &Session) -> Result<Plan, Failure> {
    let saved = read_plan(path)?;
    if let Some(run) = &saved.undo_of {
        return Err(Failure::refused(Refusal {
            what: format!("{} is the plan of an undo", path.display()),
            expected: "a plan of a runbook".to_owned(),
            found: format!("the undo of run {run}"),
            evidence: String::new(),
            action: format!("`clickferry undo {run}` makes it again and applies it"),
        }));
    }
    made_again(&saved, session).await
}

/// Makes a plan again from its own runbook, as the world is now.
async fn made_again(saved: &Plan, session: &Session) -> Result<Plan, Failure> {
    let runbook = SourceFile::new(saved.runbook_file.clone(), saved.runbook_text.clone());
    let given: BTreeMap<String, String> = saved
        .parameters
        .iter()
        .map(|(name, value)| (name.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
        .collect();
    check_unmoved(saved, now_of(&runbook, &given, session).await?)
}

/// Consent for exactly this plan, and how it was given.
///
/// # Errors
/// [`Failure::Refused`] where none was given, or to another plan.
pub fn consent(
    given: Option<&str>,
    summary: bool,
    plan: &Plan,
    person: &TerminalPerson,
    printer: &Printer,
) -> Result<String, Failure> {
    if let Some(given) = given {
        check_consent(plan, given)?;
        return Ok(format!("--consent {given}"));
    }
    if !plan.changes_something() {
        return Ok("not needed: the plan only reads".to_owned());
    }
    let view = PlanView { width: printer.width(), style: printer.err_style(), summary };
    printer.error(&view.render(plan));
    if TerminalPerson::is_there() {
        return person.consent(plan).map_err(|why| match why {
            NoConsent::Interrupted => cancelled(),
            NoConsent::Other(found) => no_consent(plan, &found),
        });
    }
    if plan.destroys_something() || plan.protected {
        return Err(no_consent(plan, "no terminal to ask at, and no --consent"));
    }
    Ok("not needed: nothing is destroyed".to_owned())
}

/// Ctrl-C before the run.
pub fn cancelled() -> Failure {
    Failure::Cancelled("stopped before the first operation; nothing was changed".to_owned())
}

fn no_consent(plan: &Plan, found: &str) -> Failure {
    Failure::refused(Refusal {
        what: "no consent was given to this plan".to_owned(),
        expected: format!(
            "--consent {}, or {} typed at a terminal",
            consent_text(plan),
            match (plan.protected, plan.destroys_something()) {
                (true, true) => "the name of the protected environment and the number of destroyed rows",
                (true, false) => "the name of the protected environment",
                (false, _) => "the number of destroyed rows",
            }
        ),
        found: found.to_owned(),
        evidence: shown_again(plan),
        action: "read the plan, then give the consent at its end; nothing was changed".to_owned(),
    })
}

/// User and host of this process.
pub fn owner() -> String {
    let user = std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).unwrap_or_else(|_| "unknown".to_owned());
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map_or_else(|_| "unknown".to_owned(), |name| name.trim().to_owned());
    format!("{user}@{host}")
}

/// The end of a run, from what the journal holds: the matrix of verdicts, or the last of the lines.
pub async fn show_end(session: &Session, id: &RunId, lines: Option<&EventLines>, printer: &Printer) {
    let Ok(found) = find_run(&*session.ports.state, id).await else { return };
    let verify = found.verify_outcomes();
    let Some(lines) = lines else {
        let outcomes: Vec<&Value> = verify.iter().collect();
        if let Some(matrix) = render_matrix(&outcomes, printer.width(), printer.style()) {
            printer.result(&format!("\n{matrix}"));
        }
        return;
    };
    let word = |state: &OperationState| match state {
        OperationState::Done(_) => "done",
        OperationState::Lost { .. } => "unknown",
        OperationState::Outstanding { .. } => "outstanding",
    };
    let operations =
        found.state.operations.iter().map(|(operation, state)| (operation.0.clone(), word(state).to_owned())).collect();
    lines.write(Happened::Summary { verdict: found.state.finished, operations, verify });
}

/// Everybody who is told of a run.
pub fn observers<'a>(
    progress: &'a ProgressView,
    lines: Option<&'a EventLines>,
    traces: Option<&'a Traces>,
) -> Observers<'a> {
    let lines = lines.map(|lines| lines as &dyn Observer);
    let traces = traces.map(|traces| traces as &dyn Observer);
    Observers([Some(progress as &dyn Observer), lines, traces].into_iter().flatten().collect())
}

/// What is told of a run: bars or lines on standard error, and with `--format json` every event on standard output.
pub fn event_lines(common: &Common, session: &Session, printer: &Arc<Printer>) -> Option<EventLines> {
    (common.format == Format::Json).then(|| EventLines::new(Arc::clone(printer), Arc::clone(&session.ports.clock)))
}

/// The last line, and the exit code.
///
/// # Errors
/// The failure itself, after telling how to carry on.
pub fn finish(
    result: Result<(), Failure>,
    id: Option<&RunId>,
    common: &Common,
    printer: &Printer,
) -> Result<Exit, Failure> {
    let style = printer.err_style();
    match (result, id) {
        (Ok(()), Some(id)) => {
            printer.error(&style.good(&format!("Run {id} is done.\n")));
            Ok(Exit::Done)
        }
        (Ok(()), None) => Ok(Exit::Done),
        (Err(failure @ Failure::TakenBack { .. }), _) => {
            if let Failure::TakenBack { run, by, .. } = &failure {
                let flags = flags(common);
                printer.error(&style.notice(&format!(
                    "Run {run} failed and was taken back by run {by}. See it: clickferry status {by}{flags}\n"
                )));
            }
            Err(failure)
        }
        // Refused by a lock: somebody else carries on with it.
        (Err(failure @ Failure::Refused(_)), Some(_)) => Err(failure),
        (Err(failure), Some(id)) => {
            let flags = flags(common);
            printer.error(&style.notice(&format!(
                "Run {id} is not complete. See it: clickferry status {id}{flags}. Carry on: clickferry resume {id}{flags}\n"
            )));
            Err(failure)
        }
        (Err(failure), None) => Err(failure),
    }
}
