//! A statement line by line, with what differs from the text it was made from.

use super::sent::left_out;
use crate::plan::layout::lines;
use crate::plan::operation::{Effect, Operation};

/// What a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// The same in both texts.
    Same,
    /// In the former text only: not part of the statement.
    Before,
    /// In the statement only.
    After,
    /// Not part of the statement: how many lines of it are left out here.
    Folded,
}

/// The lines of the statement at a place of an operation.
#[must_use]
pub fn marked_lines(operation: &Operation, at: usize) -> Vec<(Mark, String)> {
    let Some(statement) = operation.statements.get(at) else { return Vec::new() };
    let mut rest = lines(&statement.text);
    let mut out = Vec::new();
    let changes = operation.diff.iter().filter(|_| at == 0).flat_map(|diff| &diff.changes);
    for change in changes {
        let after: Vec<&str> = if change.after.is_empty() { Vec::new() } else { change.after.split('\n').collect() };
        let found = (0..=rest.len().saturating_sub(after.len())).find(|from| {
            rest[*from..].iter().zip(&after).filter(|(line, wanted)| line.trim() == **wanted).count() == after.len()
        });
        let same = found.unwrap_or(0);
        out.extend(rest.drain(..same).map(|line| (Mark::Same, line)));
        if !change.before.is_empty() {
            out.extend(change.before.split('\n').map(|line| (Mark::Before, line.to_owned())));
        }
        let added = if found.is_some() { after.len() } else { 0 };
        out.extend(rest.drain(..added).map(|line| (Mark::After, line)));
    }
    out.extend(rest.into_iter().map(|line| (Mark::Same, line)));
    out
}

/// Lines of a long statement that stand before and behind what is left out.
const HEAD: usize = 5;
const TAIL: usize = 1;

/// As [`marked_lines`]; of a reading operation's long statement the middle is left out.
#[must_use]
pub fn folded_lines(operation: &Operation, at: usize) -> Vec<(Mark, String)> {
    let mut lines = marked_lines(operation, at);
    // One more line is not longer than the words on it.
    if operation.effect != Effect::Read || lines.len() <= HEAD + TAIL + 1 {
        return lines;
    }
    let middle = HEAD..lines.len() - TAIL;
    let words = left_out(middle.len());
    lines.splice(middle, [(Mark::Folded, words)]);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ids::StepId;
    use crate::plan::statement::Statement;
    use crate::plan::text_diff::TextDiff;

    #[test]
    fn former_lines_stand_before_their_successors() {
        let after = "CREATE TABLE t (a Int8) ENGINE = Log SETTINGS x = 1";
        let before = "CREATE TABLE t (a Int8) ENGINE = TinyLog COMMENT 'old' SETTINGS x = 1";
        let operation = Operation::new(&StepId::from("s"), "a", "create_table", "table d.t", Effect::Write)
            .statement(Statement::exact(after))
            .made_from(TextDiff::between("d.t on a", before, after));
        let told: Vec<String> =
            marked_lines(&operation, 0).iter().map(|(mark, line)| format!("{mark:?} {line}")).collect();
        assert_eq!(
            told,
            [
                "Same CREATE TABLE t",
                "Same   (a Int8)",
                "Before ENGINE = TinyLog",
                "Before COMMENT 'old'",
                "After ENGINE = Log",
                "Same SETTINGS x = 1"
            ]
        );
    }

    #[test]
    fn a_long_statement_that_reads_is_folded() {
        let counts: Vec<String> = (0..40).map(|at| format!("SELECT {at} FROM d.t{at}")).collect();
        let text = format!("{} SETTINGS x = 0", counts.join(" UNION ALL "));
        let operation = |effect| {
            Operation::new(&StepId::from("s"), "a", "verify", "database d", effect).statement(Statement::exact(&text))
        };
        let lines: Vec<String> =
            folded_lines(&operation(Effect::Read), 0).iter().map(|(mark, line)| format!("{mark:?} {line}")).collect();
        assert_eq!(
            lines,
            [
                "Same SELECT 0 FROM d.t0",
                "Same UNION ALL SELECT 1 FROM d.t1",
                "Same UNION ALL SELECT 2 FROM d.t2",
                "Same UNION ALL SELECT 3 FROM d.t3",
                "Same UNION ALL SELECT 4 FROM d.t4",
                "Folded -- and 35 lines more; --format json shows them",
                "Same SETTINGS x = 0"
            ]
        );
        assert_eq!(folded_lines(&operation(Effect::Write), 0).len(), 41);
    }
}
