//! The statements of an item: where and when each is sent, and which of them a page leaves out.

use super::ids::ranges;
use crate::model::words::{count_of, noun};
use crate::plan::operation::{Effect, Operation};
use crate::plan::statement::Statement;

/// Statements of a reading operation that a page shows.
const SHOWN: usize = 6;

/// A statement of an item.
pub struct Sent<'p> {
    /// An operation that sends it.
    pub operation: &'p Operation,
    /// Its place there.
    pub at: usize,
    /// The statement.
    pub statement: &'p Statement,
    /// Where and when, where it is not sent once to each host of the item.
    pub sending: Option<String>,
}

/// Whether a reading operation sends a statement besides what it asks its own host always, so that another operation
/// of the same kind may do without it.
#[must_use]
pub fn is_besides(operation: &Operation, statement: &Statement) -> bool {
    operation.effect == Effect::Read && (statement.host.is_some() || statement.only_if.is_some())
}

/// The statements of operations that differ only in what they send besides. The one that sends most gives the order.
#[must_use]
pub fn sent<'p>(operations: &[&'p Operation]) -> Vec<Sent<'p>> {
    let mut out: Vec<Sent<'p>> = Vec::new();
    let mut order: Vec<&'p Operation> = operations.to_vec();
    order.sort_by_key(|operation| std::cmp::Reverse(operation.statements.len()));
    for operation in order {
        for (at, statement) in operation.statements.iter().enumerate() {
            if out.iter().any(|known| known.statement == statement) {
                continue;
            }
            let senders: Vec<&Operation> =
                operations.iter().copied().filter(|other| other.statements.contains(statement)).collect();
            let of = (senders.len() < operations.len()).then(|| format!("for {}", ranges(senders)));
            let words: Vec<String> = of.into_iter().chain(statement.sending()).collect();
            let sending = (!words.is_empty()).then(|| words.join(", "));
            out.push(Sent { operation, at, statement, sending });
        }
    }
    out
}

/// Leaves the lesser statements of a long list of reads out and says how many; what changes something always stands
/// there.
#[must_use]
pub fn fold(mut all: Vec<Sent<'_>>) -> (Vec<Sent<'_>>, Option<String>) {
    let only_reads = all.iter().all(|sent| sent.operation.effect == Effect::Read);
    if !only_reads || all.len() <= SHOWN + 1 {
        return (all, None);
    }
    let total = all.len();
    let mut shown = 0;
    all.retain(|sent| {
        shown += usize::from(!is_besides(sent.operation, sent.statement));
        !is_besides(sent.operation, sent.statement) && shown <= SHOWN
    });
    let more = total - all.len();
    if more == 0 {
        return (all, None);
    }
    let words = format!(
        "and {} more that only {}; `--format json` shows {}",
        count_of(more, "statement"),
        if more == 1 { "reads" } else { "read" },
        if more == 1 { "it" } else { "them" },
    );
    (all, Some(words))
}

/// Lines of a long statement that a page leaves out, as a line of its own.
#[must_use]
pub fn left_out(lines: usize) -> String {
    let number = lines as u64;
    format!(
        "-- and {number} {} more; --format json shows {}",
        noun(number, "line"),
        if lines == 1 { "it" } else { "them" }
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ids::{HostName, OperationId, StepId};

    fn verify(number: usize, host: &str, statements: Vec<Statement>) -> Operation {
        let mut operation = Operation::new(&StepId::from("verify"), "verify", "verify", "database d", Effect::Read)
            .on("to", &HostName::from(host))
            .statements(statements);
        operation.id = OperationId(format!("verify/{number}"));
        operation
    }

    #[test]
    fn what_one_of_several_asks_besides_says_for_whom() {
        let own = Statement::exact("SELECT 1");
        let at_first = Statement::exact("SELECT 2").at(&HostName::from("r1"));
        let (one, two) = (verify(1, "r1", vec![own.clone()]), verify(2, "r2", vec![own, at_first]));
        let told: Vec<(String, Option<String>)> =
            sent(&[&one, &two]).into_iter().map(|sent| (sent.statement.text.to_string(), sent.sending)).collect();
        let besides = ("SELECT 2".to_owned(), Some("for verify/2, on r1".to_owned()));
        assert_eq!(told, [("SELECT 1".to_owned(), None), besides]);
    }

    #[test]
    fn long_lists_of_reads_are_folded_and_changes_never() {
        let many: Vec<Statement> = (0..9).map(|at| Statement::exact(format!("SELECT {at}"))).collect();
        let reading = verify(1, "r1", many.clone());
        let (shown, words) = fold(sent(&[&reading]));
        assert_eq!(shown.len(), 6);
        assert_eq!(words.as_deref(), Some("and 3 statements more that only read; `--format json` shows them"));
        let changing = Operation { effect: Effect::Write, ..verify(1, "r1", many) };
        assert!(matches!(fold(sent(&[&changing])), (all, None) if all.len() == 9));
    }
}
