//! Questions to a person at the terminal.

use std::io::IsTerminal;
use std::sync::Arc;

use dialoguer::Input;
use dialoguer::theme::SimpleTheme;

use super::printer::Printer;
use crate::engine::event::Person;
use crate::engine::guard::CONSENT_LENGTH;
use crate::plan::plan_file::Plan;
use crate::report::plan_view::loss_words;

/// The person at this process's terminal, if there is one.
pub struct TerminalPerson {
    /// Where questions are explained.
    pub printer: Arc<Printer>,
}

impl TerminalPerson {
    /// Whether anybody can answer.
    #[must_use]
    pub fn is_there() -> bool {
        std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
    }

    /// Whether somebody at the terminal types exactly this.
    #[must_use]
    pub fn answers(prompt: &str, wanted: &str) -> bool {
        Self::is_there() && Self::ask(prompt).is_some_and(|answer| answer.trim() == wanted)
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

impl Person for TerminalPerson {
    fn confirm(&self, question: &str) -> bool {
        Self::is_there() && Self::ask(&format!("{question} (type yes)")).is_some_and(|answer| answer.trim() == "yes")
    }
}
