//! The pages of `clickferry explain`: what a code means here, how to see it, what is safe and what is not.
//!
//! A page is a file of `docs/errors/`. Its first line names its codes (`# 608 CANNOT_RESTORE_TABLE`, several with
//! commas between them), its first paragraph is the summary that lists show.

use crate::model::schema_check::did_you_mean;

/// A page on one code or several that are alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The codes it is about; each with its name behind it where it has one.
    pub codes: Vec<String>,
    /// What it says in one sentence.
    pub summary: &'static str,
    /// The whole page, in Markdown.
    pub text: &'static str,
}

macro_rules! table {
    ($($name:literal)*) => {
        /// File names (without `.md`) and texts, in the order in which they are listed.
        const TEXTS: &[(&str, &str)] = &[$(($name, include_str!(concat!("../../docs/errors/", $name, ".md")))),*];
    };
}

table! {
    "36" "42" "47" "48" "57" "60" "62" "82" "115" "159" "164" "198" "202" "216" "218" "224" "225" "236" "241"
    "242" "243" "252" "253" "254" "289" "305" "359" "373" "415" "478" "499" "516" "521" "571" "587" "598" "599"
    "600" "601" "602" "606" "608" "627" "630" "647" "655" "663" "669" "697" "733" "774" "999" "1000"
    "unknown-key" "wrong-type" "unknown-reference" "bad-id" "no-action" "template" "bad-parameter"
    "duplicate-name" "yaml" "unreadable" "wrong-file" "environment" "bad-format" "guards" "bad-plan"
    "bad-snapshot" "useless-option" "no-such-step" "unknown-code" "exit-0" "exit-1" "exit-2" "exit-3" "exit-4" "exit-130"
}

impl Page {
    fn of(text: &'static str) -> Self {
        let head = text.lines().next().unwrap_or_default().trim_start_matches("# ");
        let summary = text.lines().skip(1).find(|line| !line.is_empty()).unwrap_or_default();
        Self { codes: head.split(", ").map(str::to_owned).collect(), summary, text }
    }

    /// Its codes as they stand in its first line.
    #[must_use]
    pub fn title(&self) -> String {
        self.codes.join(", ")
    }

    /// The read-only statements under `See it`.
    #[must_use]
    pub fn statements(&self) -> Vec<&'static str> {
        let is_statement = |line: &&str| ["SELECT ", "SHOW ", "EXPLAIN "].iter().any(|word| line.starts_with(word));
        self.section("See it").lines().filter(is_statement).collect()
    }

    /// What it tells to do, one text for each point.
    #[must_use]
    pub fn steps(&self) -> Vec<String> {
        let mut steps: Vec<String> = Vec::new();
        for line in self.section("Do").lines() {
            match (line.strip_prefix("- "), steps.last_mut()) {
                (Some(step), _) => steps.push(step.to_owned()),
                (None, Some(step)) if line.starts_with("  ") => {
                    step.push(' ');
                    step.push_str(line.trim());
                }
                _ => {}
            }
        }
        steps
    }

    fn section(&self, name: &str) -> &'static str {
        let Some((_, rest)) = self.text.split_once(&format!("\n## {name}\n")) else { return "" };
        rest.split("\n## ").next().unwrap_or_default()
    }

    /// Numbers and names under which it is found.
    fn keys(&self) -> impl Iterator<Item = &str> {
        self.codes.iter().flat_map(|code| code.split(' '))
    }
}

/// All pages: ClickHouse's codes by number, clickferry's own by name, exit codes.
#[must_use]
pub fn pages() -> Vec<Page> {
    TEXTS.iter().map(|(_, text)| Page::of(text)).collect()
}

/// Names of the files that are compiled in, without `.md`.
#[must_use]
pub fn file_names() -> Vec<&'static str> {
    TEXTS.iter().map(|(name, _)| *name).collect()
}

/// The page on a number (`608`), a name (`CANNOT_RESTORE_TABLE`, `unknown-key`) or an exit code (`exit-3`), in any
/// case.
#[must_use]
pub fn find(code: &str) -> Option<Page> {
    let code = code.trim();
    pages().into_iter().find(|page| page.keys().any(|key| key.eq_ignore_ascii_case(code)))
}

/// `did you mean ...` for a code that no page is about.
#[must_use]
pub fn nearest(code: &str) -> Option<String> {
    let pages = pages();
    let keys: Vec<String> = pages.iter().flat_map(Page::keys).map(str::to_owned).collect();
    let spelling = if code.contains('_') { code.to_ascii_uppercase() } else { code.to_ascii_lowercase() };
    did_you_mean(&spelling, &keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_found_by_number_and_by_name() {
        for code in ["608", "607", "CANNOT_RESTORE_TABLE", " cannot_restore_table "] {
            assert_eq!(find(code).map(|page| page.codes[1].clone()).as_deref(), Some("608 CANNOT_RESTORE_TABLE"));
        }
        assert!(find("unknown-key").is_some() && find("Missing-Key").is_some() && find("exit-3").is_some());
        assert_eq!(find("60 "), find("UNKNOWN_DATABASE"));
        assert_eq!(find("6"), None);
        assert_eq!(find(""), None);
        assert!(nearest("CANOT_RESTORE_TABLE").is_some_and(|hint| hint.contains("CANNOT_RESTORE_TABLE")));
        assert!(nearest("unknwon-key").is_some_and(|hint| hint.contains("unknown-key")));
        assert_eq!(nearest("%%"), None);
    }

    #[test]
    fn no_code_has_two_pages_and_every_page_is_whole() {
        let pages = pages();
        let mut keys: Vec<&str> = pages.iter().flat_map(Page::keys).collect();
        let all = keys.len();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), all);
        for ((file, text), page) in TEXTS.iter().zip(&pages) {
            assert!(text.starts_with("# ") && page.summary.ends_with('.'), "{file}: {}", page.summary);
            assert!(page.keys().any(|key| key == *file), "{file} is named after none of its codes");
            assert!(text.contains("\n## Why\n") && text.contains("\n## Do\n"), "{file}");
            assert!((10..=40).contains(&text.lines().count()), "{file} has {} lines", text.lines().count());
        }
    }
}
