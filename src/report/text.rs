//! Small pieces of text views: colours by meaning, numbers for people, wrapping.

pub use crate::model::words::{count, number};

/// Colours by meaning; off gives plain text, which says everything too.
#[derive(Clone, Copy, Debug, Default)]
pub struct Style {
    /// Whether escape sequences are written.
    pub colour: bool,
}

impl Style {
    fn paint(self, code: &str, text: &str) -> String {
        if self.colour && !text.is_empty() { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    /// Nothing but the text.
    #[must_use]
    pub fn plain(self, text: &str) -> String {
        text.to_owned()
    }

    /// A heading.
    #[must_use]
    pub fn heading(self, text: &str) -> String {
        self.paint("1", text)
    }

    /// Something that is taken away, or failed.
    #[must_use]
    pub fn bad(self, text: &str) -> String {
        self.paint("31", text)
    }

    /// Something that is added, or holds.
    #[must_use]
    pub fn good(self, text: &str) -> String {
        self.paint("32", text)
    }

    /// Something to look at.
    #[must_use]
    pub fn notice(self, text: &str) -> String {
        self.paint("33", text)
    }

    /// Something of less weight.
    #[must_use]
    pub fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }
}

/// Bytes in binary units: `1.4 GiB`.
#[must_use]
pub fn bytes(value: u64) -> String {
    const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut unit = 0;
    #[allow(clippy::cast_precision_loss)]
    let mut size = value as f64;
    while size >= 1024.0 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{value} B") } else { format!("{size:.1} {}", UNITS[unit]) }
}

/// Wraps a text at blanks to a width, each line behind an indent; long words stand as they are.
#[must_use]
pub fn wrap(text: &str, width: usize, indent: &str) -> String {
    let room = width.saturating_sub(indent.chars().count()).max(20);
    let mut out = String::new();
    for line in text.lines() {
        let mut used = 0;
        for word in words(line) {
            let word = word.as_str();
            let length = word.chars().count();
            if used > 0 && used + 1 + length > room {
                out.push('\n');
                used = 0;
            }
            if used == 0 {
                out.push_str(indent);
            } else {
                out.push(' ');
                used += 1;
            }
            out.push_str(word);
            used += length;
        }
        out.push('\n');
    }
    out
}

/// The words of a line; a late value such as `${run.started %Y}` is one word.
fn words(line: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut is_open = false;
    for piece in line.split(' ') {
        match words.last_mut() {
            Some(last) if is_open => {
                last.push(' ');
                last.push_str(piece);
            }
            _ => words.push(piece.to_owned()),
        }
        let word = words.last().map(String::as_str).unwrap_or_default();
        is_open = word.rfind("${").is_some_and(|at| !word[at..].contains('}'));
    }
    words
}

/// A duration for people: `0.4 s`, `12 s`, `3 min 20 s`.
#[must_use]
pub fn duration(value: std::time::Duration) -> String {
    let seconds = value.as_secs();
    match seconds {
        0..10 => format!("{:.1} s", value.as_secs_f64()),
        10..120 => format!("{seconds} s"),
        120..7200 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// Pads a text to a width counted in characters.
#[must_use]
pub fn pad(text: &str, width: usize) -> String {
    let missing = width.saturating_sub(text.chars().count());
    format!("{text}{}", " ".repeat(missing))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_for_people() {
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(wrap("a ${run.started %Y %m} b", 20, ""), "a\n${run.started %Y %m}\nb\n");
        assert_eq!(wrap("aaaa bbbb cccc dddd eeee ffff", 24, "    "), "    aaaa bbbb cccc dddd\n    eeee ffff\n");
    }
}
