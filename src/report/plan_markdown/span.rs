//! Pieces of markdown. What comes from a plan stands in code spans and fences, so that no name in it becomes markup,
//! a mention or a link.

/// A code span.
#[must_use]
pub fn code(text: &str) -> String {
    let text = text.replace('\n', " ");
    let ticks = "`".repeat(longest_run(&text) + 1);
    // A span that begins or ends with a tick needs a blank there; the blanks are not shown.
    if text.starts_with('`') || text.ends_with('`') {
        format!("{ticks} {text} {ticks}")
    } else {
        format!("{ticks}{text}{ticks}")
    }
}

/// A code span in a table, where a bar would end the cell. Empty texts give an empty cell.
#[must_use]
pub fn cell(text: &str) -> String {
    if text.is_empty() { String::new() } else { code(text).replace('|', "\\|") }
}

/// Our own words around names: nothing in them becomes markup.
#[must_use]
pub fn prose(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '<' => out.push_str("&lt;"),
            '&' => out.push_str("&amp;"),
            '*' | '_' | '[' | ']' | '`' | '\\' | '|' | '#' | '~' => {
                out.push('\\');
                out.push(character);
            }
            // A mention would call somebody.
            '@' => out.push_str("&#64;"),
            _ => out.push(character),
        }
    }
    out
}

/// As [`prose`]; what stands between ticks in our own words becomes a code span.
#[must_use]
pub fn prose_with_code(text: &str) -> String {
    if !text.matches('`').count().is_multiple_of(2) {
        return prose(text);
    }
    text.split('`').enumerate().map(|(at, part)| if at % 2 == 0 { prose(part) } else { code(part) }).collect()
}

/// Text in an HTML element of the page, such as a summary.
#[must_use]
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('@', "&#64;").replace('`', "&#96;")
}

/// A fenced block.
#[must_use]
pub fn fence(language: &str, lines: &str) -> String {
    let ticks = "`".repeat((longest_run(lines) + 1).max(3));
    format!("{ticks}{language}\n{}\n{ticks}\n", lines.trim_end_matches('\n'))
}

/// Adds a line.
pub fn line(out: &mut String, text: &str) {
    out.push_str(text);
    out.push('\n');
}

fn longest_run(text: &str) -> usize {
    let (mut longest, mut run) = (0, 0);
    for character in text.chars() {
        run = if character == '`' { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    longest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_gets_out_of_a_span() {
        assert_eq!(code("database `default`"), "`` database `default` ``");
        assert_eq!(code("a"), "`a`");
        assert_eq!(cell("a|b"), "`a\\|b`");
        assert_eq!(prose("@all <b> _x_"), "&#64;all &lt;b> \\_x\\_");
        assert_eq!(prose_with_code("run `a_b` on <x_y>"), "run `a_b` on &lt;x\\_y>");
        assert_eq!(prose_with_code("one ` only_"), "one \\` only\\_");
        assert_eq!(fence("sql", "a ```` b"), "`````sql\na ```` b\n`````\n");
    }
}
