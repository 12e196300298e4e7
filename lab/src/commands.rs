//! What each command of the binary does.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command, Dataset, FaultTarget, Format, KeeperAction, Tracing};
use crate::config::NodeConfig;
use crate::control::{self, Request, Response};
use crate::error::LabError;
use crate::layout::Layout;
use crate::options::{PartPaths, Size};
use crate::state::{Claim, LabState, claim};
use crate::status::StatusReport;
use crate::supervisor::{self, report_from_record};
use crate::teardown::{self, Ended};
use crate::{files, install, keeper, launch, node, printer, seed, text};

/// The whole program: reads the command line, does what it says, and gives the exit code.
pub fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            printer::progress(&format!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<(), LabError> {
    let layout = Layout::new(absolute(&cli.dir)?);
    let ask = |request| control::ask(&layout, &request).map(drop);
    match cli.command {
        Command::Up { size, parts, detach: true } => up_detached(&layout, &cli.dir, &size, &parts),
        Command::Up { size, parts, detach: false } => up(&layout, &cli.dir, &size, &parts),
        Command::Supervise { size, parts, bound } => supervise(&layout, &size, &parts, bound),
        Command::Status { format } => status(&layout, format),
        Command::Seed { dataset: Dataset::Tracing(tracing) } => seed_tracing(&layout, &tracing),
        Command::Query { node, sql } => query(&layout, &node, &sql),
        Command::Kill(to) => ask(Request::Kill { node: to.node }),
        Command::Pause(to) => ask(Request::Pause { node: to.node }),
        Command::Resume(to) => ask(Request::Resume { node: to.node }),
        Command::Start(to) => ask(Request::Start { node: to.node }),
        Command::Stop(to) => ask(Request::Stop { node: to.node }),
        Command::Fault { target: FaultTarget::S3(args) } => ask(Request::FaultS3 { fault: args.fault() }),
        Command::Fault { target: FaultTarget::Keeper { action } } => {
            let node = keeper::KEEPER.to_owned();
            ask(match action {
                KeeperAction::Pause => Request::Pause { node },
                KeeperAction::Resume => Request::Resume { node },
            })
        }
        Command::Down => down(&layout),
        Command::Install { engine, parts } => install::install(engine, &parts, &mut printer::progress),
        Command::Node { config } => run_node(&config),
    }
}

fn run_node(path: &Path) -> Result<(), LabError> {
    let text = files::read_text(path)?;
    let config: NodeConfig = serde_json::from_str(&text)
        .map_err(|e| LabError::Invalid(format!("`{}` is no node configuration: {e}", path.display())))?;
    node::run(config).map_err(|error| LabError::Process {
        name: "node".to_owned(),
        what: error.to_string(),
        log: String::new(),
    })
}

/// The folder as an absolute path; it need not exist.
fn absolute(dir: &Path) -> Result<PathBuf, LabError> {
    std::path::absolute(dir).map_err(LabError::io("find", dir))
}

fn up(layout: &Layout, dir: &Path, size: &Size, parts: &PartPaths) -> Result<(), LabError> {
    printer::progress("starting the laboratory ...");
    supervisor::run(layout, size, parts, false, &mut |report| announce(report, dir, false))?;
    printer::progress("the laboratory has ended, nothing is left");
    Ok(())
}

fn up_detached(layout: &Layout, dir: &Path, size: &Size, parts: &PartPaths) -> Result<(), LabError> {
    printer::progress("starting the laboratory ...");
    launch::detached(layout, size, parts)?;
    announce(&ask_status(layout)?, dir, true);
    Ok(())
}

fn announce(report: &StatusReport, dir: &Path, detached: bool) {
    printer::result(&format!("{}\n{}", text::status(report), text::next_steps(report, dir, detached)));
}

/// The supervisor in the background: says on standard output, once, how the start went.
fn supervise(layout: &Layout, size: &Size, parts: &PartPaths, bound: bool) -> Result<(), LabError> {
    let mut started = false;
    let outcome = supervisor::run(layout, size, parts, bound, &mut |_| {
        started = true;
        launch::tell(&Response::Done);
        // From now on nobody reads what this process prints. A failure leaves it where it was.
        let _ = supervisor::redirect_errors(&layout.supervisor_log());
    });
    if let (Err(error), false) = (&outcome, started) {
        launch::tell(&Response::Error { message: error.to_string() });
        return Ok(());
    }
    outcome
}

fn ask_status(layout: &Layout) -> Result<StatusReport, LabError> {
    match control::ask(layout, &Request::Status)? {
        Response::Status(report) => Ok(*report),
        other => Err(LabError::Invalid(format!("expected a status from the supervisor, got {other:?}"))),
    }
}

fn status(layout: &Layout, format: Format) -> Result<(), LabError> {
    let (report, problem) = match ask_status(layout) {
        Ok(report) => (report, None),
        Err(error @ LabError::Dead { .. }) => match LabState::read(layout)? {
            Some(state) => (report_from_record(layout, &state), Some(error)),
            None => return Err(error),
        },
        Err(error) => return Err(error),
    };
    match format {
        Format::Text => printer::result(&text::status(&report)),
        Format::Json => printer::result(&to_json(&report)?),
    }
    problem.map_or(Ok(()), Err)
}

fn to_json(report: &StatusReport) -> Result<String, LabError> {
    serde_json::to_string_pretty(report).map_err(|e| LabError::Invalid(format!("the report has no JSON: {e}")))
}

fn down(layout: &Layout) -> Result<(), LabError> {
    let text = match teardown::down(layout)? {
        Ended::Living => "the laboratory has ended, nothing is left",
        Ended::Dead => "the laboratory was dead; what it left is removed",
        Ended::Nothing => "no laboratory here, nothing to do",
    };
    printer::progress(text);
    Ok(())
}

/// The record of a laboratory that is alive.
fn living(layout: &Layout) -> Result<LabState, LabError> {
    let Some(state) = LabState::read(layout)? else {
        return Err(LabError::NotRunning { dir: layout.dir().to_path_buf() });
    };
    if matches!(claim(layout)?, Claim::Ours(_)) {
        return Err(LabError::Dead { dir: layout.dir().to_path_buf(), pid: state.supervisor.pid });
    }
    Ok(state)
}

fn query(layout: &Layout, node: &str, sql: &str) -> Result<(), LabError> {
    let client = launch::client(layout, &living(layout)?, node)?;
    let answer = client.query(sql).map_err(|error| LabError::Invalid(format!("`{node}`: {error}")))?;
    printer::result(answer.trim_end_matches('\n'));
    Ok(())
}

fn seed_tracing(layout: &Layout, tracing: &Tracing) -> Result<(), LabError> {
    let state = living(layout)?;
    let client = launch::client(layout, &state, &tracing.node)?;
    let settings = seed::Settings {
        database: tracing.database.clone(),
        rows: tracing.rows,
        seed: tracing.seed,
        dirty: tracing.dirty,
    };
    let seeded = seed::tracing(&client, &settings, &mut printer::progress)?;
    printer::result(&seeded.table());
    Ok(())
}
