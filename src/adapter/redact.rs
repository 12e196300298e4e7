//! Keeps secret values out of texts that servers send back.
//!
//! A server quotes the statement it could not parse, with every literal in it, and cuts the quotation at some
//! length. So a secret is looked for as a literal (after an opening quote) and may be cut short.

use std::sync::{Arc, Mutex, PoisonError};

use secrecy::{ExposeSecret, SecretString};

/// What stands in the place of a secret, as ClickHouse itself writes it.
const HIDDEN: &str = "[HIDDEN]";

/// Values at least this long are hidden outside of quotes as well; shorter ones would garble ordinary words.
const LONG: usize = 12;

/// This many first characters of a secret after a quote are taken for the secret, cut short.
const HEAD: usize = 5;

/// Values at least this long are hidden wherever they stand in the output of a command, which may print its environment.
const WORD: usize = 4;

/// An output this long may have been cut, and begin in the middle of a secret.
const CUT: usize = 60 * 1024;

/// The secrets seen so far in this process, shared by the adapter that reads them and those that show texts.
#[derive(Clone, Default)]
pub struct Redactor {
    known: Arc<Mutex<Vec<SecretString>>>,
}

impl Redactor {
    /// Remembers a secret.
    pub fn learn(&self, secret: &SecretString) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let value = secret.expose_secret();
        if !value.is_empty() && !known.iter().any(|old| old.expose_secret() == value) {
            known.push(secret.clone());
        }
    }

    /// The text without any secret learnt so far.
    #[must_use]
    pub fn scrub(&self, text: &str) -> String {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = text.to_owned();
        for secret in known.iter() {
            let value = secret.expose_secret();
            let escaped = value.replace('\\', "\\\\").replace('\'', "\\'");
            for form in [escaped.as_str(), value] {
                if form.len() >= LONG {
                    text = text.replace(form, HIDDEN);
                }
                text = hide_literals(&text, form);
            }
        }
        text
    }
}

impl Redactor {
    /// The text without any secret learnt so far, wherever it stands; of one with several lines no line, either.
    #[must_use]
    pub fn hide_everywhere(&self, text: &str) -> String {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let values = known.iter().map(|secret| secret.expose_secret());
        let mut needles: Vec<&str> = values.flat_map(|value| std::iter::once(value).chain(value.lines())).collect();
        needles.iter_mut().for_each(|needle| *needle = needle.trim());
        needles.retain(|needle| needle.chars().count() >= WORD);
        // The longest first: a secret may hold another one.
        needles.sort_by_key(|needle| std::cmp::Reverse(needle.len()));
        let mut text = text.to_owned();
        if text.len() >= CUT {
            let ends = needles.iter().flat_map(|needle| needle.char_indices().map(move |(at, _)| &needle[at..]));
            let rest = ends.filter(|end| text.starts_with(end)).map(str::len).max();
            text.replace_range(..rest.unwrap_or_default(), "");
        }
        needles.into_iter().fold(text, |text, needle| text.replace(needle, HIDDEN))
    }
}

/// Hides what follows an opening quote and is the secret, or its beginning where the text is cut.
fn hide_literals(text: &str, secret: &str) -> String {
    let head: String = secret.chars().take(HEAD).collect();
    let needle = format!("'{head}");
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(&needle) {
        let start = at + 1;
        let same = common(&rest[start..], secret);
        let after = rest[start + same..].chars().next();
        let hide = if same == secret.len() {
            // A short secret may begin an ordinary word.
            secret.len() > HEAD || !after.is_some_and(char::is_alphanumeric)
        } else {
            // A literal that ends with a quote of its own is another, shorter one.
            after != Some('\'')
        };
        out.push_str(&rest[..start]);
        out.push_str(if hide { HIDDEN } else { &rest[start..start + same] });
        rest = &rest[start + same..];
    }
    out.push_str(rest);
    out
}

/// Length of the common beginning of two texts.
fn common(left: &str, right: &str) -> usize {
    let pairs = left.chars().zip(right.chars());
    pairs.take_while(|(left, right)| left == right).map(|(left, _)| left.len_utf8()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redactor(values: &[&str]) -> Redactor {
        let redactor = Redactor::default();
        for value in values {
            redactor.learn(&SecretString::from(*value));
        }
        redactor
    }

    #[test]
    fn hides_literals_whole_cut_and_escaped() {
        let redactor = redactor(&["pa'ss\\word-of-mine", "short"]);
        let text = r"near: S3('http://s3/b','k','pa\'ss\\word-of-mine') IDENTIFIED BY 'short' and 'pa\'ss\\wo";
        let scrubbed = redactor.scrub(text);
        assert_eq!(scrubbed, "near: S3('http://s3/b','k','[HIDDEN]') IDENTIFIED BY '[HIDDEN]' and '[HIDDEN]");
    }

    #[test]
    fn nothing_of_a_secret_is_left_in_the_output_of_a_command() {
        let redactor = redactor(&["s3cr3t-value", "line one\nline two", "abc"]);
        assert_eq!(redactor.hide_everywhere("+ x=s3cr3t-value y line two abc"), "+ x=[HIDDEN] y [HIDDEN] abc");
        let cut = format!("r3t-value\n{}", "x".repeat(CUT));
        assert!(redactor.hide_everywhere(&cut).starts_with("\nxx"));
    }

    #[test]
    fn short_secrets_do_not_garble_words() {
        assert_eq!(redactor(&["table"]).scrub("table default.t does not exist"), "table default.t does not exist");
        assert_eq!(redactor(&["key"]).scrub("'keyboard' 'key'"), "'keyboard' '[HIDDEN]'");
        let text = "user 'default' and 'default-pass.";
        assert_eq!(redactor(&["default-password"]).scrub(text), "user 'default' and '[HIDDEN].");
        assert_eq!(redactor(&["0123456789abcdef"]).scrub("x 0123456789abcdef y"), "x [HIDDEN] y");
    }
}
