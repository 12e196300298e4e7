//! `plan`: what an apply would do, or what a saved plan says.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use crate::cli::args::{Common, PlanArgs, View};
use crate::cli::observed::observed;
use crate::cli::printer::Printer;
use crate::cli::saved_plan::{is_plan, plan_in};
use crate::cli::session::{Session, compile_for, given_parameters, read_source};
use crate::diag::{Diagnostic, Diagnostics, Failure, SourceFile};
use crate::engine::guard::{Now, check_budget, consent_text, signers_facts};
use crate::engine::look::look;
use crate::engine::planner::make_plan;
use crate::exit_code::Exit;
use crate::plan::plan_file::Plan;
use crate::report::plan_html::render_html;
use crate::report::plan_json::write_json;
use crate::report::plan_markdown::PlanMarkdown;
use crate::report::plan_view::PlanView;
use crate::report::text::shell_word;

/// Runs the command.
///
/// # Errors
/// Mistakes in the files, unreachable servers, steps that are impossible, a loss beyond the budget; a saved plan that
/// was changed.
pub async fn run(args: &PlanArgs, common: &Common, printer: &Printer) -> Result<Exit, Failure> {
    let source = read_source(&args.what)?;
    let is_saved = is_plan(&args.what, &source.text);
    let plan = if is_saved {
        saved(args, common, &source, printer)?
    } else {
        let given = given_parameters(common)?;
        let seen = observed(&source, &given, args.against.as_deref(), common, printer).await?;
        let plan = make_plan(&seen.compiled, &seen.environment, &seen.observations)?;
        let observations = seen.observations;
        // While the plan is drawn.
        rayon::spawn(move || drop(observations));
        plan
    };
    if let Some(path) = &args.output {
        save(&plan, path).map_err(|error| {
            Failure::simple(
                format!("the plan cannot be written to {}: {error}", path.display()),
                "give another file with `-o`",
            )
        })?;
    }
    match common.view {
        View::Json => printer.result_in_lines(|writer| write_json(&plan, writer)),
        View::Html => printer.result(&render_html(&plan)),
        View::Markdown => {
            let view = PlanMarkdown { summary: args.summary, ..PlanMarkdown::new(again(args, common, is_saved)) };
            printer.result(&view.render(&plan));
        }
        View::Text => {
            let view = PlanView { width: printer.width(), style: printer.style(), summary: args.summary };
            printer.result(&view.render(&plan));
            if check_budget(&plan).is_ok() && plan.changes_something() {
                let command = printer.command(&next(args, common, is_saved, &plan), "  ");
                printer.result(&format!("To apply exactly this:\n{command}\n"));
            }
        }
    }
    check_budget(&plan)?;
    // The process ends here; taking a large plan apart piece by piece would only take time.
    let plan = std::mem::ManuallyDrop::new(plan);
    Ok(if plan.changes_something() { Exit::Differs } else { Exit::Done })
}

fn save(plan: &Plan, path: &Path) -> std::io::Result<()> {
    let mut writer = BufWriter::with_capacity(1 << 16, File::create(path)?);
    write_json(plan, &mut writer)?;
    writer.flush()
}

/// A saved plan as it is: nobody is asked whether the world has moved since.
fn saved(args: &PlanArgs, common: &Common, source: &SourceFile, printer: &Printer) -> Result<Plan, Failure> {
    let useless = [
        ("--param", !common.param.is_empty(), "its parameters are those it was made with"),
        ("--against", args.against.is_some(), "it is made already, from the servers or from a snapshot"),
        ("--output", args.output.is_some(), "it is saved already"),
    ];
    let mut found = Diagnostics::default();
    for (option, _, why) in useless.into_iter().filter(|(_, is_given, _)| *is_given) {
        found.push(
            Diagnostic::new(
                "useless-option",
                format!("`{option}` says nothing about {}, which is a saved plan: {why}", source.name),
            )
            .help(format!("leave `{option}` out; to plan anew, give the runbook instead")),
        );
    }
    found.into_result(())?;
    let plan = plan_in(source)?;
    let told = format!(
        "{} as it was saved; no server is contacted. Apply refuses it where anything has moved since.\n",
        source.name
    );
    printer.error(&printer.err_style().notice(&told));
    Ok(plan)
}

/// Plans a runbook against the world as it is now.
///
/// # Errors
/// As [`run`], but for the budget.
pub async fn plan_of(
    source: &std::sync::Arc<SourceFile>,
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
fn again(args: &PlanArgs, common: &Common, is_saved: bool) -> String {
    let mut words = vec!["clickferry".to_owned(), "plan".to_owned(), path_word(&args.what)];
    if !is_saved {
        words.extend(common.environment.iter().flat_map(|path| ["-e".to_owned(), path_word(path)]));
        words.extend(parameters(common));
    }
    words.join(" ")
}

/// The command that applies this plan; a saved one names its environment, but does not know its file.
fn next(args: &PlanArgs, common: &Common, is_saved: bool, plan: &Plan) -> Vec<String> {
    let file = args.output.as_ref().unwrap_or(&args.what);
    let environment = common.environment.as_ref().map_or_else(|| "ENVIRONMENT".to_owned(), |path| path_word(path));
    let mut words = vec!["clickferry".to_owned(), "apply".to_owned(), path_word(file), "-e".to_owned(), environment];
    if !is_saved && args.output.is_none() {
        words.extend(parameters(common));
    }
    words.extend(["--consent".to_owned(), shell_word(&consent_text(plan))]);
    words
}

fn parameters(common: &Common) -> impl Iterator<Item = String> {
    common.param.iter().flat_map(|text| ["-p".to_owned(), shell_word(text)])
}

fn path_word(path: &Path) -> String {
    shell_word(&path.display().to_string())
}
