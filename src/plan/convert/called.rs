//! A CREATE statement with another name in it.

use super::ddl::Ddl;
use crate::plan::sql::{Token, qualified};

/// The statement that makes the same object under another name; as it is where it is not understood.
#[must_use]
pub fn called(text: &str, database: &str, name: &str) -> String {
    let Ok(ddl) = Ddl::parse(text) else { return text.to_owned() };
    let is_own = |token: &Token<'_>| ddl.own.iter().any(|range| range.contains(&token.start));
    let is_name = |at: &usize| {
        let token = &ddl.tokens[*at];
        !is_own(token) && token.name().as_deref() == Some(ddl.name.as_str())
    };
    let Some(last) = (0..ddl.body.min(ddl.tokens.len())).rev().find(is_name) else { return text.to_owned() };
    let first = if ddl.database.is_some() { last.saturating_sub(2) } else { last };
    let (before, behind) = (&text[..ddl.tokens[first].start], &text[ddl.tokens[last].end()..]);
    format!("{before}{}{behind}", qualified(database, name))
}

#[cfg(test)]
mod tests {
    use super::called;

    #[test]
    fn only_the_name_is_another_one() {
        assert_eq!(
            called("CREATE TABLE d.t UUID '1-2' (`t` UInt8) ENGINE = Merge(d, 't') ORDER BY t", "e", "u v"),
            "CREATE TABLE `e`.`u v` UUID '1-2' (`t` UInt8) ENGINE = Merge(d, 't') ORDER BY t"
        );
        assert_eq!(
            called("CREATE TABLE IF NOT EXISTS t (a UInt8) ENGINE = Log", "e", "u"),
            "CREATE TABLE IF NOT EXISTS `e`.`u` (a UInt8) ENGINE = Log"
        );
        assert_eq!(called("ATTACH", "e", "u"), "ATTACH");
    }
}
