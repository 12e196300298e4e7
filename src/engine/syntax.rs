//! Lets servers parse the statements that the author of a runbook wrote, without executing them: with one question per
//! server for all steps, however many statements there are.

use std::collections::BTreeMap;

use secrecy::SecretString;

use super::ports::{Call, Ports, Sql, SqlError};
use crate::diag::Refusal;
use crate::model::ids::HostName;
use crate::plan::sql::literal;
use crate::plan::statement::{Statement, fill_text, first_line};

/// Bytes of statements in one question: a server reads 262,144 of a query, and quoting makes them more.
const TOGETHER: usize = 100_000;

/// Statements of a server that are looked at one by one, for the place of the mistake.
const CLOSELY: usize = 5;

/// Everything that the servers are asked to parse.
#[derive(Default)]
pub struct Authored {
    by_host: BTreeMap<HostName, Vec<String>>,
}

impl Authored {
    /// Adds statements, each once.
    pub fn add(&mut self, host: &HostName, statements: impl IntoIterator<Item = String>) {
        let all = self.by_host.entry(host.clone()).or_default();
        for statement in statements {
            if !all.contains(&statement) {
                all.push(statement);
            }
        }
    }

    /// Every statement that its server cannot parse, with the place.
    pub async fn problems(self, ports: &Ports) -> Vec<Refusal> {
        let mut problems = Vec::new();
        for (host, statements) in &self.by_host {
            problems.extend(check(ports.sql.as_ref(), host, statements).await);
        }
        problems
    }
}

async fn check(sql: &dyn Sql, host: &HostName, statements: &[String]) -> Vec<Refusal> {
    let mut problems = Vec::new();
    // A single one is not worth a question in front of the one that tells the place.
    let doubtful = if statements.len() > 1 { doubtful(sql, host, statements).await } else { None };
    let (doubtful, most) = match doubtful {
        Some(found) => (found, CLOSELY),
        None => (statements.iter().collect(), usize::MAX),
    };
    for statement in doubtful.into_iter().take(most) {
        // The database `system` always exists; the step's own may be created by an earlier step.
        if let Some(message) = syntax_error(sql, host, &filled(statement)).await {
            let head = first_line(statement);
            problems.push(Refusal {
                what: format!("{host} cannot parse a statement: {head}"),
                expected: "SQL of this server's version".to_owned(),
                found: message,
                evidence: format!("on {host}: EXPLAIN AST {head}"),
                action: "correct the statement in the runbook".to_owned(),
            });
        }
    }
    problems
}

/// Those that may be wrong; nothing where the server has no function that tells (before 23.8).
async fn doubtful<'s>(sql: &dyn Sql, host: &HostName, statements: &'s [String]) -> Option<Vec<&'s String>> {
    let mut found = Vec::new();
    let mut rest = statements;
    while !rest.is_empty() {
        let mut bytes = 0;
        let most = rest.iter().take_while(|statement| {
            bytes += statement.len();
            bytes <= TOGETHER
        });
        let (now, later) = rest.split_at(most.count().max(1));
        let texts: Vec<String> = now.iter().map(|statement| literal(&filled(statement))).collect();
        let query =
            format!("SELECT arrayMap(text -> formatQueryOrNull(text) IS NULL, [{}]) AS wrong", texts.join(", "));
        let answer = sql.call(host, read(query)).await.ok()?;
        let wrong = answer.get(0, "wrong")?.as_array().filter(|wrong| wrong.len() == now.len())?;
        found.extend(now.iter().zip(wrong).filter(|(_, wrong)| wrong.as_u64() != Some(0)).map(|(text, _)| text));
        rest = later;
    }
    Some(found)
}

/// Late values stand in places where any text parses; secrets become whole literals.
fn filled(statement: &str) -> String {
    if Statement::late(statement).late.is_empty() {
        return statement.to_owned();
    }
    let stand_in = |token: &str| Some(if token.starts_with("secret ") { "''" } else { "x" }.to_owned());
    fill_text(statement, &mut { stand_in }).unwrap_or_else(|_| statement.to_owned())
}

fn read(text: String) -> Call {
    Call { text: SecretString::from(text), ..Call::read(String::new()) }
}

/// Whether the server parses a statement, asked without executing it (`EXPLAIN AST`, seen on 26.7 for SELECT, DDL,
/// INSERT, SYSTEM, KILL and BACKUP alike). The text is the server's complaint with its place in the statement.
///
/// Servers that know no `EXPLAIN AST` (before 20.5) tell nothing.
async fn syntax_error(sql: &dyn Sql, host: &HostName, statement: &str) -> Option<String> {
    const PREFIX: &str = "EXPLAIN AST ";
    let Err(SqlError::Server { code: 62, message, .. }) = sql.call(host, read(format!("{PREFIX}{statement}"))).await
    else {
        return None;
    };
    // An old server answers 62 to EXPLAIN AST itself.
    sql.call(host, read(format!("{PREFIX}SELECT 1"))).await.ok()?;
    Some(shift_position(&message, PREFIX.len()))
}

/// Corrects `failed at position N` by the length of what was put before the statement.
fn shift_position(message: &str, by: usize) -> String {
    const MARK: &str = "failed at position ";
    let Some(at) = message.find(MARK) else {
        return message.to_owned();
    };
    let (head, rest) = message.split_at(at + MARK.len());
    let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    match rest[..digits].parse::<usize>() {
        Ok(position) => format!("{head}{}{}", position.saturating_sub(by), &rest[digits..]),
        Err(_) => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_those_of_the_statement() {
        assert_eq!(
            shift_position("Syntax error: failed at position 19 (1): 1.", 12),
            "Syntax error: failed at position 7 (1): 1."
        );
        assert_eq!(shift_position("Syntax error", 12), "Syntax error");
    }
}
