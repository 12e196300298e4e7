//! The columns of a CREATE statement, and how those of two tables differ.

use super::ddl::Ddl;
use super::normalise::normalise_part;

/// A column as others rely on it: name, and type with what keeps it from being written (`MATERIALIZED` and the like).
pub type Column = (String, String);

/// What stands behind the type of a column.
const BEHIND: [&str; 14] = [
    "DEFAULT",
    "MATERIALIZED",
    "EPHEMERAL",
    "ALIAS",
    "CODEC",
    "COMMENT",
    "TTL",
    "STATISTICS",
    "COLLATE",
    "PRIMARY",
    "SETTINGS",
    "AUTO_INCREMENT",
    "NULL",
    "NOT",
];

/// The columns that a statement lists, in order; empty where it lists none.
#[must_use]
pub fn columns(text: &str) -> Vec<Column> {
    let Ok(ddl) = Ddl::parse(text) else { return Vec::new() };
    let column = |part: std::ops::Range<usize>| {
        let name = ddl.tokens[part.start].name()?;
        let depth = ddl.tokens[part.start].depth;
        let is_behind = |at: &usize| {
            let token = &ddl.tokens[*at];
            token.depth == depth && BEHIND.iter().any(|word| token.is_word(word))
        };
        let end = (part.start + 1..part.end).find(is_behind).unwrap_or(part.end);
        let (first, last) = (ddl.tokens.get(part.start + 1)?, ddl.tokens.get(end - 1)?);
        let kind = ddl.tokens.get(end).filter(|_| end < part.end).map(|token| token.text.to_ascii_uppercase());
        Some((name, typed(&normalise_part(text.get(first.start..last.end())?), kind.as_deref().unwrap_or_default())))
    };
    ddl.column_parts().into_iter().filter_map(column).collect()
}

/// A type with the word that keeps the column from being written. A default does not.
#[must_use]
pub fn typed(kind: &str, default: &str) -> String {
    if ["MATERIALIZED", "EPHEMERAL", "ALIAS"].contains(&default) {
        format!("{kind} {default}")
    } else {
        kind.to_owned()
    }
}

/// In what the columns of two tables differ; `names` are what the tables are called.
#[must_use]
pub fn column_differences(names: [&str; 2], one: &[Column], other: &[Column]) -> Vec<String> {
    let find =
        |columns: &[Column], name: &str| columns.iter().find(|(found, _)| found == name).map(|(_, kind)| kind.clone());
    let mut found = Vec::new();
    for (name, kind) in one {
        match find(other, name) {
            None => found.push(format!("`{name}` {kind} is in {} only", names[0])),
            Some(there) if there != *kind => {
                found.push(format!("`{name}` is {kind} in {} and {there} in {}", names[0], names[1]));
            }
            Some(_) => {}
        }
    }
    let more = other.iter().filter(|(name, _)| find(one, name).is_none());
    found.extend(more.map(|(name, kind)| format!("`{name}` {kind} is in {} only", names[1])));
    if found.is_empty() && one != other {
        let order = |columns: &[Column]| columns.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
        found.push(format!("another order: {} in {}, {} in {}", order(one), names[0], order(other), names[1]));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(name: &str, kind: &str) -> Column {
        (name.to_owned(), kind.to_owned())
    }

    #[test]
    fn a_column_is_its_name_and_its_type() {
        let text = "CREATE TABLE d.t UUID '1-2' (`a` UInt8 DEFAULT if(1, 2, 3) CODEC(ZSTD(1)), `b` Nullable(Decimal(12, 2)), \
                    `c` String MATERIALIZED lower('x'), `d` DateTime('UTC') TTL d + toIntervalDay(1), INDEX i a TYPE minmax) \
                    ENGINE = MergeTree ORDER BY a";
        let found = columns(text);
        assert_eq!(found[0], pair("a", "UInt8"));
        assert_eq!(found[2], pair("c", "String MATERIALIZED"));
        assert_eq!(found.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["a", "b", "c", "d"]);
        assert_eq!(columns("CREATE TABLE d.t AS d.u ENGINE = Log"), []);
    }

    #[test]
    fn what_differs_is_told_from_both_sides() {
        let names = ["d.a", "d.b"];
        let one = [pair("a", "UInt8"), pair("b", "String"), pair("c", "Date")];
        assert!(column_differences(names, &one, &one).is_empty());
        let other = [pair("a", "UInt16"), pair("b", "String"), pair("e", "Date")];
        assert_eq!(
            column_differences(names, &one, &other),
            ["`a` is UInt8 in d.a and UInt16 in d.b", "`c` Date is in d.a only", "`e` Date is in d.b only"]
        );
        assert_eq!(
            column_differences(names, &one[..2], &[one[1].clone(), one[0].clone()]),
            ["another order: a, b in d.a, b, a in d.b"]
        );
    }
}
