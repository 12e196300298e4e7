//! `state repair`: what is wrong with a run, and the one thing that may be done about it.

use serde_json::json;

use crate::adapter::clock::SystemClock;
use crate::cli::args::{Common, Format, RepairArgs};
use crate::cli::command::apply::owner;
use crate::cli::person::TerminalPerson;
use crate::cli::printer::Printer;
use crate::cli::session::{flags, open_state_by_full_name, which_run};
use crate::diag::{Failure, Refusal};
use crate::engine::repair::{Health, cut, look};
use crate::exit_code::Exit;
use crate::model::ids::RunId;
use crate::report::text::count;

/// Runs the command.
///
/// # Errors
/// Damage that cannot be repaired; a torn record that nobody consented to cut off.
pub async fn run(args: &RepairArgs, common: &Common, printer: &Printer) -> Result<Exit, Failure> {
    let state = open_state_by_full_name(common, printer).await?;
    let id = which_run(&*state, Some(&args.run), async |_| true).await?;
    let health = look(&*state, &id).await?;
    show(&id, &health, None, common, printer);
    if !health.damage.is_empty() {
        return Err(Failure::Error(health.damage));
    }
    let agreed = match (health.torn_bytes, args.cut_torn) {
        (0, None) => return Ok(Exit::Done),
        (_, Some(bytes)) => bytes,
        (bytes, None) if asks(bytes, common, printer) => bytes,
        (bytes, None) => return Err(no_consent(&id, bytes, common)),
    };
    let tell = |text: &str| printer.error(&format!("{text}\n"));
    let after = cut(&*state, &id, agreed, &owner(), &SystemClock, &tell).await?;
    show(&id, &after, Some(agreed), common, printer);
    Ok(Exit::Done)
}

fn asks(bytes: u64, common: &Common, printer: &Printer) -> bool {
    let prompt = "Type the number of torn bytes to cut them off";
    common.format == Format::Text && TerminalPerson::before_anything(printer).answers(prompt, &bytes.to_string())
}

/// What was found, or, after a cut, what is left. Programs get one document: what was found where nothing is done, else
/// what is left.
fn show(id: &RunId, health: &Health, cut: Option<u64>, common: &Common, printer: &Printer) {
    let records = count(health.records as u64, "whole record");
    match common.format {
        Format::Text => {
            let text = match cut {
                Some(bytes) => format!("{bytes} torn bytes are cut off. Run {id} is whole: {records}.\n"),
                None if health.is_whole() => format!("Run {id} is whole: {records}. There is nothing to repair.\n"),
                None if !health.damage.is_empty() => format!("Run {id} is damaged.\n"),
                None => format!(
                    "Run {id} has {records}, and behind them {} bytes of a record that was being written when its \
                     process died:\n  {}\nNothing was started on its account.\n",
                    health.torn_bytes, health.torn_text
                ),
            };
            printer.result(&text);
        }
        Format::Json => {
            let found = health.damage.iter().map(|refusal| json!({ "what": refusal.what, "found": refusal.found }));
            let json = json!({
                "version": 1, "run": id, "records": health.records, "torn_bytes": health.torn_bytes,
                "cut_bytes": cut, "damage": found.collect::<Vec<_>>(),
            });
            printer.result(&format!("{json:#}\n"));
        }
    }
}

fn no_consent(id: &RunId, bytes: u64, common: &Common) -> Failure {
    Failure::refused(Refusal {
        what: format!("the torn last record of run {id} was not cut off"),
        expected: format!("--cut-torn {bytes}, or {bytes} typed at a terminal"),
        found: "no consent".to_owned(),
        evidence: format!("clickferry state repair {id}{}", flags(common)),
        action: "`clickferry resume` cuts it off by itself, too; nothing was changed".to_owned(),
    })
}
