//! Quoting: the only ways in which a name or a value gets into SQL.

/// An identifier in backquotes, as ClickHouse writes it.
#[must_use]
pub fn identifier(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 2);
    push_identifier(&mut out, name);
    out
}

fn push_identifier(out: &mut String, name: &str) {
    out.push('`');
    for part in name.split_inclusive(['\\', '`']) {
        match part.strip_suffix(['\\', '`']) {
            Some(plain) => {
                out.push_str(plain);
                out.push('\\');
                out.push_str(&part[plain.len()..]);
            }
            None => out.push_str(part),
        }
    }
    out.push('`');
}

/// `database`.`table` with both parts quoted.
#[must_use]
pub fn qualified(database: &str, table: &str) -> String {
    let mut out = String::with_capacity(database.len() + table.len() + 5);
    push_identifier(&mut out, database);
    out.push('.');
    push_identifier(&mut out, table);
    out
}

/// A string literal in single quotes.
#[must_use]
pub fn literal(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('\'');
    for character in text.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '\'' => out.push_str("\\'"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\0' => out.push_str("\\0"),
            other => out.push(other),
        }
    }
    out.push('\'');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_gets_out_of_its_quotes() {
        assert_eq!(identifier("a`; DROP"), "`a\\`; DROP`");
        assert_eq!([identifier("\\`a\\"), identifier("")], ["`\\\\\\`a\\\\`", "``"]);
        assert_eq!(literal("it's \\ \n"), "'it\\'s \\\\ \\n'");
        assert_eq!(qualified("d", "t"), "`d`.`t`");
    }
}
