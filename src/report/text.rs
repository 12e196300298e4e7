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

/// Wraps a text at blanks to a width, each line behind an indent; a word that is wider than the page is broken where
/// it reads best.
#[must_use]
pub fn wrap(text: &str, width: usize, indent: &str) -> String {
    let room = width.saturating_sub(indent.chars().count()).max(20);
    let mut out = String::new();
    for line in text.lines() {
        let mut used = 0;
        for word in words(line) {
            for (at, piece) in pieces(&word, room, used).into_iter().enumerate() {
                let length = piece.chars().count();
                if at > 0 || (used > 0 && used + 1 + length > room) {
                    out.push('\n');
                    used = 0;
                }
                if used == 0 {
                    out.push_str(indent);
                } else {
                    out.push(' ');
                    used += 1;
                }
                out.push_str(piece);
                used += length;
            }
        }
        out.push('\n');
    }
    out
}

/// The words of a line: a late value such as `${run.started %Y}` is one, and so is a number with what it counts, such
/// as `2 000 000 rows`.
fn words(line: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut is_open = false;
    for piece in line.split(' ') {
        match words.last_mut() {
            Some(last) if is_open || goes_on(last, piece) => {
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

/// Whether a number goes on in the next piece, or is followed by what it counts.
fn goes_on(word: &str, next: &str) -> bool {
    let number = word.trim_start_matches('(');
    let is_number = number.starts_with(|c: char| c.is_ascii_digit())
        && number.chars().all(|c| c.is_ascii_digit() || matches!(c, ' ' | '.' | '×'));
    let digits = next.chars().take_while(char::is_ascii_digit).count();
    is_number && (digits == 3 || (digits == 0 && next.starts_with(|c: char| c.is_ascii_alphabetic() || c == '×')))
}

/// A word in pieces that fit: as it is, or broken behind a bracket or comma, else behind a slash, else anywhere between
/// the parts of a name. `used` columns of the first line are taken.
fn pieces(word: &str, room: usize, used: usize) -> Vec<&str> {
    let mut rest = word;
    let mut out = Vec::new();
    // Its beginning stays on the line that was begun: `ENGINE = ReplicatedMergeTree(`.
    if used > 0 && rest.chars().count() > room {
        let fits = room.saturating_sub(used + 1);
        let bracket = rest
            .find('(')
            .map(|at| at + 1)
            .filter(|end| rest[..*end].chars().count() <= fits && rest[*end..].chars().count() <= room);
        let slash = || (fits > room / 2).then(|| break_behind(rest, fits, &['/'])).flatten();
        if let Some(end) = bracket.or_else(slash) {
            out.push(&rest[..end]);
            rest = &rest[end..];
        }
    }
    while rest.chars().count() > room {
        let end = break_at(rest, room);
        out.push(&rest[..end]);
        rest = &rest[end..];
    }
    out.push(rest);
    out
}

/// Where a word that is too wide is broken, in bytes.
fn break_at(word: &str, room: usize) -> usize {
    let good = [&['(', ','][..], &['/'], &['.', '_', '-', '=', ':', '}', ' ']];
    let found = good.into_iter().find_map(|good| break_behind(word, room, good));
    found.unwrap_or_else(|| word.char_indices().nth(room).map_or(word.len(), |(at, _)| at))
}

/// The last place behind one of these characters, not too near the beginning and not within a late value.
fn break_behind(word: &str, room: usize, good: &[char]) -> Option<usize> {
    let is_within = |end: usize| word[..end].rfind("${").is_some_and(|at| !word[at..end].contains('}'));
    let ends: Vec<(usize, char)> = word.char_indices().map(|(at, c)| (at + c.len_utf8(), c)).take(room).collect();
    ends.iter().skip(room / 4).rev().find(|(end, c)| good.contains(c) && !is_within(*end)).map(|(end, _)| *end)
}

/// A word of a command line as a shell reads it back.
#[must_use]
pub fn shell_word(text: &str) -> String {
    let is_plain =
        |c: char| c.is_alphanumeric() || matches!(c, '/' | '.' | '-' | '_' | ':' | '=' | ',' | '@' | '+' | '%');
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// A command in lines of a width that can be copied as they are: broken between words, with `\` at the ends.
#[must_use]
pub fn command(words: &[String], width: usize, indent: &str) -> String {
    let room = width.saturating_sub(indent.chars().count() + 2);
    let mut lines = vec![String::new()];
    for (at, word) in words.iter().enumerate() {
        // An option and its value stay together.
        let next = if word.starts_with('-') { words.get(at + 1).map_or(0, |next| next.chars().count() + 1) } else { 0 };
        let is_value = at > 0 && words[at - 1].starts_with('-');
        let Some(line) = lines.last_mut() else { break };
        if line.is_empty() {
            line.push_str(word);
        } else if is_value || line.chars().count() + 1 + word.chars().count() + next <= room {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(format!("  {word}"));
        }
    }
    lines.iter().map(|line| format!("{indent}{line}")).collect::<Vec<_>>().join(" \\\n")
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

    #[test]
    fn a_number_stays_with_what_it_counts() {
        assert_eq!(wrap("there are about 2 175 531 rows", 26, ""), "there are about\n2 175 531 rows\n");
        assert_eq!(wrap("holds payloads (200 000 rows)", 24, ""), "holds payloads\n(200 000 rows)\n");
        assert_eq!(wrap("a a a a a a a a 103.4 MiB", 20, ""), "a a a a a a a a\n103.4 MiB\n");
        assert_eq!(wrap("moved: 3 × version, 17 × definition", 27, ""), "moved: 3 × version,\n17 × definition\n");
    }

    #[test]
    fn commands_can_be_copied() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<String>>();
        let long = words("clickferry apply plan.json -e environments/lab.yaml --consent 0123456789ab");
        assert_eq!(
            command(&long, 40, "  "),
            "  clickferry apply plan.json \\\n    -e environments/lab.yaml \\\n    --consent 0123456789ab"
        );
        assert_eq!(command(&long, 200, "  "), format!("  {}", long.join(" ")));
        assert_eq!(shell_word("a b's"), "'a b'\\''s'");
        assert_eq!(shell_word("/var/x-1.yaml"), "/var/x-1.yaml");
        assert_eq!(shell_word("database=app"), "database=app");
    }

    #[test]
    fn words_wider_than_the_page_are_broken_where_they_read_best() {
        let engine = "ENGINE = ReplicatedMergeTree('/clickhouse/tables/{shard}/app/runs', '{replica}')";
        assert_eq!(
            wrap(engine, 48, "  "),
            "  ENGINE = ReplicatedMergeTree(\n  '/clickhouse/tables/{shard}/app/runs',\n  '{replica}')\n"
        );
        let path = "at /clickhouse/tables/01/a_long_database/and_a_table_name_longer_than_all_of_it";
        assert_eq!(
            wrap(path, 40, ""),
            "at /clickhouse/tables/01/\na_long_database/\nand_a_table_name_longer_than_all_of_it\n"
        );
        assert_eq!(
            wrap(
                "TO S3('http://s3.example/backups/${run.started %Y-%m-%d_%H%M%S}${attempt}', ${secret a.b.key})",
                46,
                "  "
            ),
            "  TO S3('http://s3.example/backups/\n  ${run.started %Y-%m-%d_%H%M%S}${attempt}',\n  ${secret a.b.key})\n"
        );
        assert_eq!(wrap(&"x".repeat(45), 20, ""), format!("{0}\n{0}\nxxxxx\n", "x".repeat(20)));
        for width in 20..90 {
            for line in wrap(engine, width, "  ").lines() {
                assert!(line.chars().count() <= width.max(22), "{width}: {line}");
            }
        }
    }
}
