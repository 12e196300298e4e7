//! `diff`: the servers as they are against what a runbook would leave.

use crate::cli::args::{Common, DiffArgs, Format};
use crate::cli::observed::observed;
use crate::cli::printer::Printer;
use crate::cli::session::{given_parameters, read_source};
use crate::diag::Failure;
use crate::engine::planner::simulate;
use crate::exit_code::Exit;
use crate::plan::world_diff::{backups_made, keeper_diff, untold, world_diff};
use crate::report::diff_view::{DIFF_VERSION, DiffReport, DiffView};

/// Runs the command. Only reads.
///
/// # Errors
/// Mistakes in the files, unreachable servers, steps that are impossible.
pub async fn run(args: &DiffArgs, common: &Common, printer: &Printer) -> Result<Exit, Failure> {
    let source = read_source(&args.runbook)?;
    let given = given_parameters(common)?;
    let seen = observed(&source, &given, args.against.as_deref(), common, printer).await?;
    let simulated = simulate(&seen.compiled, &seen.environment, &seen.observations)?;
    let untold = untold(&simulated.plan, &simulated.after);
    let (now, after) = (&seen.observations.world, &simulated.after);
    let hosts = world_diff(now, after, &untold);
    let keeper = keeper_diff(&simulated.plan, &seen.environment, now, after);
    let backups = backups_made(&simulated.plan);
    let report = DiffReport {
        version: DIFF_VERSION,
        runbook: simulated.plan.runbook,
        environment: simulated.plan.environment,
        differs: !keeper.is_empty() || hosts.iter().any(|host| host.differences() > 0),
        hosts,
        keeper,
        backups,
        untold: untold.notes,
    };
    match common.format {
        Format::Json => printer.result(&format!("{}\n", serde_json::to_string_pretty(&report).unwrap_or_default())),
        Format::Text => {
            let view = DiffView { width: printer.width(), style: printer.style(), full: args.full };
            printer.result(&view.render(&report));
        }
    }
    Ok(if report.differs { Exit::Differs } else { Exit::Done })
}
