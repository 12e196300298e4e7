//! Questions to a person at the terminal.

use std::io::{BufRead, IsTerminal};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::oneshot::{self, error::TryRecvError};
use tokio_util::sync::CancellationToken;

use super::printer::Printer;
use crate::diag::{Diagnostic, Diagnostics, grouped};
use crate::engine::event::Person;
use crate::engine::guard::CONSENT_LENGTH;
use crate::model::ids::StepId;
use crate::plan::plan_file::Plan;
use crate::report::outline::destroyed_words;

/// Between two looks at whether the person gave up.
const LOOK: Duration = Duration::from_millis(20);

/// The person at this process's terminal, if there is one.
pub struct TerminalPerson {
    /// Where questions are explained.
    pub printer: Arc<Printer>,
    /// Cancelled by Ctrl-C: nobody answers any more.
    pub stop: CancellationToken,
    /// Steps without a way back that were named on the command line.
    pub no_return: Vec<String>,
}

/// Why there is no consent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoConsent {
    /// Ctrl-C.
    Interrupted,
    /// What was answered instead, for the refusal.
    Other(String),
}

impl TerminalPerson {
    /// Whether anybody can answer.
    #[must_use]
    pub fn is_there() -> bool {
        std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
    }

    /// Somebody to ask before anything is begun: Ctrl-C ends the process.
    #[must_use]
    pub fn before_anything(printer: &Printer) -> Self {
        Self { printer: printer.shared(), stop: CancellationToken::new(), no_return: Vec::new() }
    }

    /// Whether somebody at the terminal types exactly this.
    #[must_use]
    pub fn answers(&self, prompt: &str, wanted: &str) -> bool {
        Self::is_there() && self.ask(prompt).is_ok_and(|answer| answer == wanted)
    }

    /// Asks for one line. The terminal stays as it is: it edits the line, and Ctrl-C and Ctrl-D mean what they always do.
    fn ask(&self, prompt: &str) -> Result<String, NoConsent> {
        let mut line = self.read_line(prompt);
        loop {
            match line.try_recv() {
                Ok(line) => return self.answer(Some(line)),
                Err(TryRecvError::Empty) if !self.stop.is_cancelled() => std::thread::sleep(LOOK),
                Err(_) => return self.answer(None),
            }
        }
    }

    /// The same, while other things go on: a request to stop from elsewhere ends the question as Ctrl-C does.
    async fn ask_meanwhile(&self, prompt: &str) -> Result<String, NoConsent> {
        let line = self.read_line(prompt);
        tokio::select! {
            line = line => self.answer(line.ok()),
            () = self.stop.cancelled() => self.answer(None),
        }
    }

    /// Reading cannot be interrupted; the thread ends with the process where nobody answers.
    fn read_line(&self, prompt: &str) -> oneshot::Receiver<Option<String>> {
        self.printer.error(&format!("{prompt}: "));
        let (sender, receiver) = oneshot::channel();
        std::thread::spawn(move || {
            let mut line = String::new();
            let read = std::io::stdin().lock().read_line(&mut line);
            // Nobody waits any more after Ctrl-C.
            let _ = sender.send(read.is_ok().then_some(line));
        });
        receiver
    }

    /// What was read; nothing where nobody waits any more.
    fn answer(&self, line: Option<Option<String>>) -> Result<String, NoConsent> {
        let Some(answer) = line else {
            self.printer.error("\n");
            return Err(NoConsent::Interrupted);
        };
        // A line that was not ended is no answer: the terminal went away, or Ctrl-D was typed.
        match answer.as_deref().and_then(|line| line.strip_suffix('\n')) {
            Some(line) => Ok(line.trim().to_owned()),
            None => {
                self.printer.error("\n");
                Err(NoConsent::Other("no answer: the input ended".to_owned()))
            }
        }
    }

    /// Asks for consent to a plan: the number of rows it destroys, typed, or `yes` where it destroys nothing; before
    /// that the name of the environment, where it is protected.
    /// Returns how consent was given, for the journal.
    ///
    /// # Errors
    /// Ctrl-C, the end of the input, and every other answer.
    pub fn consent(&self, plan: &Plan) -> Result<String, NoConsent> {
        let digest = plan.digest.get(..CONSENT_LENGTH).unwrap_or_default();
        if plan.protected {
            self.printer.error(&format!("The environment {} is protected.\n", plan.environment));
            let name = self.ask("To change it, type its name")?;
            if name != plan.environment {
                return Err(NoConsent::Other(format!("the name `{name}`, typed at the terminal")));
            }
        }
        if !plan.destroys_something() {
            let answer = self.ask("Nothing is destroyed. To apply this plan, type yes")?;
            return if answer == "yes" {
                Ok("typed yes at the terminal".to_owned())
            } else {
                Err(NoConsent::Other(format!("`{answer}`, typed at the terminal")))
            };
        }
        let loss = plan.loss();
        self.printer.error(&format!("This plan destroys {} on {}.\n", destroyed_words(loss), plan.environment));
        let answer = self.ask("To apply it, type the number of rows that it destroys")?;
        let is_total = number_in(&answer).is_some_and(|number| number == loss.rows);
        if is_total {
            Ok(format!("typed {} rows at the terminal for {digest}", loss.rows))
        } else {
            Err(NoConsent::Other(format!("`{answer}`, typed at the terminal, not {}", grouped(loss.rows))))
        }
    }
}

/// A number as people write it: `4387730`, `4 387 730`, `4,387,730`; nothing else may stand beside it.
fn number_in(text: &str) -> Option<u64> {
    let is_group = |c: char| matches!(c, ' ' | ',' | '.' | '_' | '\'' | '\u{a0}' | '\u{202f}');
    if !text.chars().all(|c| c.is_ascii_digit() || is_group(c)) {
        return None;
    }
    text.chars().filter(char::is_ascii_digit).collect::<String>().parse().ok()
}

/// Every step named with `--no-return` must be one that the plan marks so.
///
/// # Errors
/// All that are not.
pub fn check_no_return(plan: &Plan, named: &[String]) -> Result<(), Diagnostics> {
    let marked: Vec<&str> =
        plan.steps.iter().filter(|step| step.point_of_no_return).map(|step| step.id.as_str()).collect();
    let known = if marked.is_empty() { "no step".to_owned() } else { marked.join(", ") };
    let mut found = Diagnostics::default();
    for other in named.iter().filter(|name| !marked.contains(&name.as_str())) {
        found.push(
            Diagnostic::new("no-such-step", format!("`--no-return {other}` names no point of no return of this plan"))
                .help(format!("the plan marks {known} with `point_of_no_return`")),
        );
    }
    found.into_result(())
}

#[async_trait]
impl Person for TerminalPerson {
    async fn no_return(&self, step: &StepId) -> bool {
        if self.no_return.iter().any(|named| named == step.as_str()) {
            return true;
        }
        if !Self::is_there() {
            return false;
        }
        self.printer.error(&format!("There is no way back after step {step}.\n"));
        let answer = self.ask_meanwhile("To go on, type the name of the step").await;
        answer.is_ok_and(|answer| answer == step.as_str())
    }

    async fn confirm(&self, question: &str) -> bool {
        if !Self::is_there() {
            return false;
        }
        self.ask_meanwhile(&format!("{question} (type yes)")).await.is_ok_and(|answer| answer == "yes")
    }
}

#[cfg(test)]
mod tests {
    use super::number_in;

    #[test]
    fn a_total_is_a_number_and_nothing_else() {
        for good in ["4387730", "4 387 730", "4,387,730", "4'387'730"] {
            assert_eq!(number_in(good), Some(4_387_730), "{good}");
        }
        for bad in ["", "no", "4387730 tables", "-4387730", "0x10", "+1"] {
            assert_eq!(number_in(bad), None, "{bad}");
        }
    }
}
