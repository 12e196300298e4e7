//! Questions to a person at the terminal.

use std::io::IsTerminal;
use std::sync::Arc;

use dialoguer::Input;
use dialoguer::theme::SimpleTheme;

use super::printer::Printer;
use crate::diag::{Diagnostic, Diagnostics};
use crate::engine::event::Person;
use crate::engine::guard::CONSENT_LENGTH;
use crate::model::ids::StepId;
use crate::plan::plan_file::Plan;
use crate::report::plan_view::loss_words;

/// The person at this process's terminal, if there is one.
pub struct TerminalPerson {
    /// Where questions are explained.
    pub printer: Arc<Printer>,
    /// Steps without a way back that were named on the command line.
    pub no_return: Vec<String>,
}

impl TerminalPerson {
    /// Whether anybody can answer.
    #[must_use]
    pub fn is_there() -> bool {
        std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
    }

    fn ask(prompt: &str) -> Option<String> {
        Input::<String>::with_theme(&SimpleTheme).with_prompt(prompt).allow_empty(true).interact_text().ok()
    }

    /// Asks for consent to a plan: the number of rows it destroys, typed, or `yes` where it destroys nothing; before
    /// that the name of the environment, where it is protected.
    /// Returns how consent was given, for the journal.
    #[must_use]
    pub fn consent(&self, plan: &Plan) -> Option<String> {
        if plan.protected {
            self.printer.error(&format!("The environment {} is protected.\n", plan.environment));
            let name = Self::ask("Type the name of the environment to change it")?;
            if name.trim() != plan.environment {
                return None;
            }
        }
        if !plan.destroys_something() {
            let answer = Self::ask("Nothing is destroyed. Type yes to apply this plan")?;
            return (answer.trim() == "yes").then(|| "typed yes at the terminal".to_owned());
        }
        let loss = plan.loss();
        self.printer.error(&format!("This plan destroys {} on {}.\n", loss_words(loss), plan.environment));
        let total = loss.rows.to_string();
        let answer = Self::ask("Type the number of rows that it destroys to apply it")?;
        let digits: String = answer.chars().filter(char::is_ascii_digit).collect();
        (digits == total).then(|| format!("typed {total} rows at the terminal for {}", &plan.digest[..CONSENT_LENGTH]))
    }
}

/// Every step named with `--no-return` must be one that the plan marks so.
///
/// # Errors
/// The first that is not.
pub fn check_no_return(plan: &Plan, named: &[String]) -> Result<(), Diagnostics> {
    let marked: Vec<&str> =
        plan.steps.iter().filter(|step| step.point_of_no_return).map(|step| step.id.as_str()).collect();
    let Some(other) = named.iter().find(|name| !marked.contains(&name.as_str())) else { return Ok(()) };
    let known = if marked.is_empty() { "no step".to_owned() } else { marked.join(", ") };
    Err(Diagnostic::new("no-such-step", format!("`--no-return {other}` names no point of no return of this plan"))
        .help(format!("the plan marks {known} with `point_of_no_return`"))
        .into())
}

impl Person for TerminalPerson {
    fn no_return(&self, step: &StepId) -> bool {
        if self.no_return.iter().any(|named| named == step.as_str()) {
            return true;
        }
        if !Self::is_there() {
            return false;
        }
        self.printer.error(&format!("There is no way back after step {step}.\n"));
        Self::ask("Type the name of the step to go on").is_some_and(|answer| answer.trim() == step.as_str())
    }

    fn confirm(&self, question: &str) -> bool {
        Self::is_there() && Self::ask(&format!("{question} (type yes)")).is_some_and(|answer| answer.trim() == "yes")
    }
}
