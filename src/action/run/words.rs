//! A command as people read it, and the end of its output.

use std::collections::BTreeMap;

use super::arguments::Variable;

/// The command as one would type it: variables first, secrets only by their source.
#[must_use]
pub fn render(words: &[String], environment: &BTreeMap<String, Variable>, directory: Option<&str>) -> String {
    let mut parts = Vec::new();
    if let Some(directory) = directory {
        parts.push(format!("cd {} &&", quoted(directory)));
    }
    for (name, value) in environment {
        parts.push(match value {
            Variable::Plain(text) => format!("{name}={}", quoted(text)),
            Variable::Secret(reference) => format!("{name}=({})", reference.describe()),
        });
    }
    parts.extend(words.iter().map(|word| quoted(word)));
    parts.join(" ")
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,${}".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

/// The last lines of a text.
#[must_use]
pub fn tail(text: &str, most: usize) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    let from = lines.len().saturating_sub(most);
    let cut: Vec<String> = lines[from..].iter().map(|line| line.chars().take(500).collect()).collect();
    cut.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::secret::SecretRef;

    #[test]
    fn secrets_are_shown_by_their_source_only() {
        let environment = BTreeMap::from([
            ("TOKEN".to_owned(), Variable::Secret(SecretRef::Env("MY_TOKEN".to_owned()))),
            ("MODE".to_owned(), Variable::Plain("a b".to_owned())),
        ]);
        let words = ["helm".to_owned(), "upgrade".to_owned(), "it's".to_owned(), String::new()];
        assert_eq!(
            render(&words, &environment, Some("/tmp")),
            "cd /tmp && MODE='a b' TOKEN=(environment variable MY_TOKEN) helm upgrade 'it'\\''s' ''"
        );
    }

    #[test]
    fn the_end_of_an_output_is_shown() {
        assert_eq!(tail("a\nb\nc\n", 2), "b\nc");
    }
}
