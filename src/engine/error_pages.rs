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
    "608"
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
