//! A page on a code, and the list of all codes, for a terminal.

use super::text::{Style, pad, wrap};
use crate::engine::error_pages::Page;

/// Widest text that is easy to read.
const WIDEST: usize = 100;

/// Draws a page: its Markdown, with headings and labels set off and paragraphs wrapped.
#[must_use]
pub fn render_page(page: &Page, width: usize, style: Style) -> String {
    let width = width.min(WIDEST);
    let mut out = String::new();
    let mut is_code = false;
    for line in joined(page.text).iter().map(String::as_str) {
        if line.starts_with("```") {
            is_code = !is_code;
        } else if is_code {
            out.push_str(&format!("    {line}\n"));
        } else if let Some(title) = line.strip_prefix("# ") {
            out.push_str(&format!("{}\n", style.heading(title)));
        } else if let Some(label) = line.strip_prefix("## ") {
            let label = if label.starts_with("Do not") { style.bad(label) } else { style.heading(label) };
            out.push_str(&format!("{label}\n"));
        } else if let Some(item) = line.strip_prefix("- ") {
            let wrapped = wrap(item, width, "    ");
            out.push_str(&wrapped.replacen("    ", "  - ", 1));
        } else if line.is_empty() {
            out.push('\n');
        } else {
            out.push_str(&wrap(line, width, "  "));
        }
    }
    out
}

/// The lines of a page; an item that goes on in the next line is one.
fn joined(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines() {
        match lines.last_mut() {
            Some(last) if line.starts_with("  ") && last.starts_with("- ") => {
                last.push(' ');
                last.push_str(line.trim_start());
            }
            _ => lines.push(line.to_owned()),
        }
    }
    lines
}

/// Draws the list of all codes.
#[must_use]
pub fn render_list(pages: &[Page], width: usize, style: Style) -> String {
    let titles: Vec<String> = pages.iter().map(Page::title).collect();
    let room = titles.iter().map(|title| title.chars().count()).filter(|length| *length <= 40).max().unwrap_or(0);
    let mut out = String::new();
    for (page, title) in pages.iter().zip(titles) {
        let indent = " ".repeat(room + 2);
        let text = wrap(page.summary, width.max(room + 40), &indent);
        if title.chars().count() > room {
            out.push_str(&format!("{}\n{text}", style.heading(&title)));
        } else {
            out.push_str(&text.replacen(&indent, &style.heading(&pad(&title, room + 2)), 1));
        }
    }
    out
}
