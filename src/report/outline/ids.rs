//! Ids of operations, briefly.

use crate::plan::operation::Operation;

/// `create/1 to 24, 27`: the ids of one step, neighbours as ranges.
#[must_use]
pub fn ranges<'o>(operations: impl IntoIterator<Item = &'o Operation>) -> String {
    let mut out = String::new();
    let mut numbers: Vec<u64> = Vec::new();
    for operation in operations {
        let Some((step, number)) = operation.id.0.rsplit_once('/') else { continue };
        let Ok(number) = number.parse() else { continue };
        if numbers.is_empty() {
            out = format!("{step}/");
        }
        numbers.push(number);
    }
    numbers.sort_unstable();
    let mut words: Vec<String> = Vec::new();
    let mut at = 0;
    while let Some(&first) = numbers.get(at) {
        let mut last = first;
        while numbers.get(at + 1) == Some(&(last + 1)) {
            last += 1;
            at += 1;
        }
        words.push(if first == last { first.to_string() } else { format!("{first} to {last}") });
        at += 1;
    }
    out.push_str(&words.join(", "));
    out
}

#[cfg(test)]
mod tests {
    use super::ranges;
    use crate::model::ids::{OperationId, StepId};
    use crate::plan::operation::{Effect, Operation};

    #[test]
    fn neighbours_are_ranges() {
        let of = |number: u64| {
            let mut operation = Operation::new(&StepId::from("s"), "a", "k", "o", Effect::Read);
            operation.id = OperationId(format!("s/{number}"));
            operation
        };
        let operations: Vec<Operation> = [1, 2, 3, 7, 9, 10].into_iter().map(of).collect();
        assert_eq!(ranges(&operations), "s/1 to 3, 7, 9 to 10");
        assert_eq!(ranges(&operations[..1]), "s/1");
    }
}
