//! A statement as a plan shows it: exact text, with `${...}` where a value comes late.
//!
//! Late values are secrets (which a plan must not hold), and facts of the run that does not exist yet while
//! planning (its id, its start, the number of the attempt, the path an earlier step wrote to). Only the tokens
//! a statement declares are replaced, so a `${` in somebody's DDL stays as it is.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::ids::HostName;
use crate::model::text::Text;

/// A statement and the late values in it. It is sent once to the operation's host, unless it says otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Statement {
    /// The text with tokens.
    pub text: Text,
    /// The tokens to replace, each without `${` and `}`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub late: Vec<String>,
    /// Settings sent beside the statement.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub settings: Vec<(String, String)>,
    /// Current database of the session; `system` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// Host it is sent to, where that is another one than the operation's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<HostName>,
    /// The case in which it is sent, as the end of a sentence that begins with `only if`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only_if: Option<String>,
    /// How long it is sent again, as the end of a sentence that begins with `again`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub again: Option<String>,
}

impl Statement {
    /// A statement without late values.
    #[must_use]
    pub fn exact(text: impl Into<Text>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    /// A statement with late values: every recognised token in the text counts.
    #[must_use]
    pub fn late(text: impl Into<Text>) -> Self {
        let text: Text = text.into();
        let late = tokens(&text).into_iter().map(str::to_owned).collect();
        Self { text, late, ..Self::default() }
    }

    /// Adds a setting sent in the URL.
    #[must_use]
    pub fn setting(mut self, name: &str, value: impl Into<String>) -> Self {
        self.settings.push((name.to_owned(), value.into()));
        self
    }

    /// Sets the current database of the session.
    #[must_use]
    pub fn in_database(mut self, database: Option<&str>) -> Self {
        self.database = database.map(str::to_owned);
        self
    }

    /// Sends it to another host than the operation's.
    #[must_use]
    pub fn at(mut self, host: &HostName) -> Self {
        self.host = Some(host.clone());
        self
    }

    /// Says that it is sent in a certain case only: the end of a sentence that begins with `only if`.
    #[must_use]
    pub fn only_if(mut self, case: impl Into<String>) -> Self {
        self.only_if = Some(case.into());
        self
    }

    /// Says that it may be sent several times: the end of a sentence that begins with `again`.
    #[must_use]
    pub fn again(mut self, until: impl Into<String>) -> Self {
        self.again = Some(until.into());
        self
    }

    /// Where and when it is sent, where that is not once and to the operation's host: `on r1, only if ...`.
    #[must_use]
    pub fn sending(&self) -> Option<String> {
        let words: Vec<String> = [
            self.host.as_ref().map(|host| format!("on {host}")),
            self.only_if.as_ref().map(|case| format!("only if {case}")),
            self.again.as_ref().map(|until| format!("again {until}")),
        ]
        .into_iter()
        .flatten()
        .collect();
        (!words.is_empty()).then(|| words.join(", "))
    }

    /// The text with each declared token replaced by what `lookup` says, in one pass.
    ///
    /// # Errors
    /// The first token that `lookup` does not know.
    pub fn fill(&self, mut lookup: impl FnMut(&str) -> Option<String>) -> Result<String, String> {
        fill(&self.text, &self.late, &mut lookup)
    }
}

/// The beginning of a statement, for people.
#[must_use]
pub fn first_line(statement: &str) -> String {
    const LIMIT: usize = 120;
    let mut flat = String::new();
    for word in statement.split_whitespace() {
        if !flat.is_empty() {
            flat.push(' ');
        }
        flat.push_str(word);
        // A statement may be many times as long as what is shown of it.
        if let Some((end, _)) = flat.char_indices().nth(LIMIT) {
            flat.truncate(end);
            flat.push('…');
            break;
        }
    }
    flat
}

/// Prefixes of the tokens that are recognised in a text made by the engine.
const NAMESPACES: [&str; 5] = ["secret ", "run.", "attempt", "operation.", "step "];

fn tokens(text: &str) -> Vec<&str> {
    let mut found: Vec<&str> = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        rest = &rest[at + 2..];
        let Some(end) = rest.find('}') else { break };
        let token = &rest[..end];
        if NAMESPACES.iter().any(|space| token.starts_with(space)) && !found.contains(&token) {
            found.push(token);
        }
    }
    found
}

/// Replaces the declared tokens of a text in one pass, so that a value is never searched for tokens again.
///
/// # Errors
/// The first token that `lookup` does not know.
pub fn fill(text: &str, late: &[String], lookup: &mut dyn FnMut(&str) -> Option<String>) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, after) = rest.split_at(at);
        out.push_str(before);
        let body = &after[2..];
        match body.find('}') {
            Some(end) if late.iter().any(|token| token == &body[..end]) => {
                let token = &body[..end];
                out.push_str(&lookup(token).ok_or_else(|| token.to_owned())?);
                rest = &body[end + 1..];
            }
            _ => {
                out.push_str("${");
                rest = body;
            }
        }
    }
    out.push_str(rest);
    Ok(out)
}

/// Replaces every recognised token of a text (a path, a local command), in one pass.
///
/// # Errors
/// The first token that `lookup` does not know.
pub fn fill_text(text: &str, lookup: &mut dyn FnMut(&str) -> Option<String>) -> Result<String, String> {
    let late: Vec<String> = tokens(text).into_iter().map(str::to_owned).collect();
    fill(text, &late, lookup)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_declared_tokens_are_replaced_and_values_are_not_searched_again() {
        let statement = Statement::late("a ${run.id} ${nothing} ${secret x}");
        assert_eq!(statement.late, ["run.id", "secret x"]);
        let filled = statement.fill(|token| Some(if token == "run.id" { "${secret x}".into() } else { "S".into() }));
        assert_eq!(filled.as_deref(), Ok("a ${secret x} ${nothing} S"));
        assert_eq!(Statement::exact("${run.id}").fill(|_| None).as_deref(), Ok("${run.id}"));
        assert_eq!(Statement::late("${run.id").fill(|_| None).as_deref(), Ok("${run.id"));
    }

    #[test]
    fn what_is_not_sent_once_to_the_operations_host_says_so() {
        let statement = Statement::exact("SELECT 1");
        assert_eq!(statement.sending(), None);
        let told = statement.at(&HostName::from("r1")).only_if("it is late").again("until it is early").sending();
        assert_eq!(told.as_deref(), Some("on r1, only if it is late, again until it is early"));
    }
}
