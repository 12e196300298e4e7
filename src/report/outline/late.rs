//! Values that are not known yet when a plan is made, each explained once.

use std::collections::BTreeSet;

use crate::plan::plan_file::Plan;

/// A late value that stands in a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LateToken {
    /// As it stands in statements: `${run.id}`.
    pub token: String,
    /// What it will be.
    pub meaning: String,
}

/// The late values of all statements, each once, sorted.
#[must_use]
pub fn late_tokens(plan: &Plan) -> Vec<LateToken> {
    let tokens: BTreeSet<&str> = plan
        .operations
        .iter()
        .flat_map(|operation| &operation.statements)
        .flat_map(|statement| statement.late.iter().map(String::as_str))
        .collect();
    tokens.into_iter().map(|token| LateToken { token: format!("${{{token}}}"), meaning: meaning(token) }).collect()
}

fn meaning(token: &str) -> String {
    if let Some(name) = token.strip_prefix("secret ") {
        return format!("the secret {name} of the environment, read when the statement is sent and kept nowhere");
    }
    if let Some(format) = token.strip_prefix("run.started ") {
        return format!("when the run began, in UTC, as {format}");
    }
    if let Some(rest) = token.strip_prefix("step ") {
        let mut words = rest.split(' ');
        let step = words.next().unwrap_or_default();
        let what = words.next().unwrap_or_default();
        let shard = words.next().filter(|shard| *shard != "-").map(|shard| format!(" for shard {shard}"));
        return format!("the {what} that step {step} really used{}", shard.unwrap_or_default());
    }
    match token {
        "run.id" => "the id of the run".to_owned(),
        "operation.id" => "an id made of the run, the operation and the attempt, the same after a restart".to_owned(),
        "table" => "the name of each table that it is sent for".to_owned(),
        "database" => "the name of each database that the backup holds".to_owned(),
        "attempt" => "nothing at the first attempt of an operation, then .2, .3 and so on".to_owned(),
        _ => "a value that is only known at the run".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::meaning;

    #[test]
    fn every_kind_is_explained() {
        assert_eq!(meaning("step back-up path 01"), "the path that step back-up really used for shard 01");
        assert_eq!(meaning("step back-up path -"), "the path that step back-up really used");
        assert_eq!(meaning("run.started %Y"), "when the run began, in UTC, as %Y");
    }
}
