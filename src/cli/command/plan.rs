//! `plan`: what an apply would do.

use crate::cli::args::{Common, PlanArgs, View};
use crate::cli::observed::observed;
use crate::cli::printer::Printer;
use crate::cli::session::{Session, compile_for, given_parameters, read_source};
use crate::diag::Failure;
use crate::engine::guard::{Now, check_budget, consent_text, signers_facts};
use crate::engine::look::look;
use crate::engine::planner::make_plan;
use crate::exit_code::Exit;
use crate::plan::plan_file::Plan;
use crate::report::plan_html::render_html;
use crate::report::plan_json::render_json;
use crate::report::plan_markdown::PlanMarkdown;
use crate::report::plan_view::PlanView;

/// Runs the command.
///
/// # Errors
/// Mistakes in the files, unreachable servers, steps that are impossible, a loss beyond the budget.
pub async fn run(args: &PlanArgs, common: &Common, printer: &Printer) -> Result<Exit, Failure> {
    let source = read_source(&args.runbook)?;
    let given = given_parameters(common)?;
    let seen = observed(&source, &given, args.against.as_deref(), common, printer).await?;
    let plan = make_plan(&seen.compiled, &seen.environment, &seen.observations)?;
    if let Some(path) = &args.output {
        std::fs::write(path, render_json(&plan)).map_err(|error| {
            Failure::simple(
                format!("the plan cannot be written to {}: {error}", path.display()),
                "give another file with `-o`",
            )
        })?;
    }
    match common.view {
        View::Json => printer.result(&render_json(&plan)),
        View::Html => printer.result(&render_html(&plan)),
        View::Markdown => {
            let view = PlanMarkdown { summary: args.summary, ..PlanMarkdown::new(again(args, common)) };
            printer.result(&view.render(&plan));
        }
        View::Text => {
            let view = PlanView { width: printer.width(), style: printer.style(), summary: args.summary };
            printer.result(&view.render(&plan));
            if check_budget(&plan).is_ok() {
                printer.result(&next(args, common, &plan));
            }
        }
    }
    check_budget(&plan)?;
    Ok(if plan.changes_something() { Exit::Differs } else { Exit::Done })
}

/// Plans a runbook against the world as it is now.
///
/// # Errors
/// As [`run`], but for the budget.
pub async fn plan_of(
    source: &std::sync::Arc<crate::diag::SourceFile>,
    given: &std::collections::BTreeMap<String, String>,
    session: &Session,
) -> Result<Plan, Failure> {
    now_of(source, given, session).await?.plan
}

/// Looks at the world as it is now and plans a runbook, as far as what is seen allows.
///
/// # Errors
/// Mistakes in the files.
pub async fn now_of(
    source: &std::sync::Arc<crate::diag::SourceFile>,
    given: &std::collections::BTreeMap<String, String>,
    session: &Session,
) -> Result<Now, Failure> {
    let compiled = compile_for(source, given, &session.environment.metadata.name)?;
    let mut looked = look(&compiled, &session.environment, &session.ports).await?;
    looked.observations.local = signers_facts(&compiled.runbook.guards, &session.base);
    Ok(Now::of(&compiled, &session.environment, looked))
}

/// The command that shows the whole plan at a terminal.
fn again(args: &PlanArgs, common: &Common) -> String {
    let environment = common.environment.as_ref().map(|path| format!(" -e {}", path.display())).unwrap_or_default();
    let parameters: String = common.param.iter().map(|text| format!(" -p {text}")).collect();
    format!("clickferry plan {}{environment}{parameters}", args.runbook.display())
}

fn next(args: &PlanArgs, common: &Common, plan: &Plan) -> String {
    if !plan.changes_something() {
        return String::new();
    }
    let environment = common.environment.as_ref().map(|path| format!(" -e {}", path.display())).unwrap_or_default();
    let (what, parameters) = match &args.output {
        Some(file) => (file.display().to_string(), String::new()),
        None => (args.runbook.display().to_string(), common.param.iter().map(|text| format!(" -p {text}")).collect()),
    };
    format!(
        "To apply exactly this:\n  clickferry apply {what}{environment}{parameters} --consent {}\n",
        consent_text(plan)
    )
}
