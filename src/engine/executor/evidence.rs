//! What a person needs who has to say how an operation ended: what was sent, when, to whom, under which id.

use crate::diag::Refusal;
use crate::engine::context::RunContext;
use crate::plan::operation::Operation;

/// So much of a statement is shown.
const LENGTH: usize = 800;

/// The question of a probe that could not tell, with what it was asked for.
pub(super) fn with_evidence(context: &RunContext<'_>, mut refusal: Refusal, before: Option<&Refusal>) -> Refusal {
    if let Some(before) = before {
        refusal.found.push_str(&format!("\nbefore that: {}", before.found));
    }
    refusal.found.push_str(&format!(
        "\nattempt {} began {} {}",
        context.attempt,
        context.intended_at.strftime("%Y-%m-%d %H:%M:%S UTC"),
        sent(context.operation, &context.query_id())
    ));
    refusal
}

/// To whom, under which id, and what: as planned, with late values and secrets by their names.
#[must_use]
pub fn sent(operation: &Operation, query_id: &str) -> String {
    let place = operation
        .host
        .as_ref()
        .map_or_else(|| "on this machine".to_owned(), |host| format!("on {host} under the id {query_id}"));
    let statements: Vec<String> = operation.statements.iter().map(|statement| shown(&statement.text)).collect();
    if statements.is_empty() { place } else { format!("{place}:\n{}", statements.join(";\n")) }
}

fn shown(text: &str) -> String {
    match text.char_indices().nth(LENGTH) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}
