//! Where two definitions of one object differ in what matters.

use std::collections::BTreeMap;

use crate::plan::convert::{Ddl, differences, expand, expand_names, normalise, normalise_part};
use crate::plan::sql::tokenize;
use crate::plan::text_diff::{TextChange, TextDiff};

/// The clauses that differ; none where the definitions mean the same, or the expected one is not known.
pub(super) fn definition_change(now: &str, expected: &str, macros: &BTreeMap<String, String>) -> Vec<TextChange> {
    if expected.is_empty() || normalise(now, macros) == normalise(expected, macros) {
        return Vec::new();
    }
    let matters = !differences(expected, now, macros).is_empty() || columns(now) != columns(expected);
    if !matters {
        return Vec::new();
    }
    let (is, will) = (readable(now, macros), readable(expected, macros));
    let mut changes = TextDiff::between_definitions(&is, &will).changes;
    changes.retain(|change| normalise_part(&change.before) != normalise_part(&change.after));
    if changes.is_empty() {
        // Lines hide a difference that the comparison found, e.g. one of order; the whole is shown then.
        changes.push(TextChange { before: is.into(), after: will.into() });
    }
    changes
}

/// The definition without what belongs to one server, and with the Keeper path as this server resolves it.
fn readable(text: &str, macros: &BTreeMap<String, String>) -> String {
    let Ok(ddl) = Ddl::parse(text) else { return text.trim().to_owned() };
    let database = ddl.database.as_deref().unwrap_or_default();
    // Ranges to replace, with what stands there instead.
    let mut pieces: Vec<(std::ops::Range<usize>, String)> =
        ddl.own.iter().map(|range| (range.clone(), String::new())).collect();
    if let Some(engine) = ddl.engine().filter(|engine| engine.name.starts_with("Replicated")) {
        for range in engine.arguments.iter().take(2) {
            let place = expand(&expand_names(&text[range.clone()], database, &ddl.name), macros);
            pieces.push((range.clone(), place));
        }
    }
    pieces.sort_by_key(|(range, _)| range.start);
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for (range, instead) in pieces {
        out.push_str(text.get(at..range.start).unwrap_or_default());
        if instead.is_empty() && out.ends_with(' ') {
            out.pop();
        }
        out.push_str(&instead);
        at = range.end;
    }
    out.push_str(text.get(at..).unwrap_or_default());
    out.trim().to_owned()
}

/// Keeper path and replica name that a definition gives its table on a server; `None` where it leaves them to the server.
pub(super) fn place(text: &str, macros: &BTreeMap<String, String>) -> Option<(String, String)> {
    let ddl = Ddl::parse(text).ok()?;
    let engine = ddl.engine().filter(|engine| engine.name.starts_with("Replicated"))?;
    let [path, replica] = engine.arguments.get(..2)? else { return None };
    let database = ddl.database.as_deref().unwrap_or_default();
    let resolved = |range: &std::ops::Range<usize>| {
        let value = text[range.clone()].trim().strip_prefix('\'')?.strip_suffix('\'')?;
        Some(expand(&expand_names(value, database, &ddl.name), macros))
    };
    Some((resolved(path)?, resolved(replica)?))
}

/// The list of columns in one spelling; empty where there is none.
fn columns(text: &str) -> String {
    let Ok(ddl) = Ddl::parse(text) else { return String::new() };
    let engine = ddl.engine().map_or(ddl.tokens.len(), |engine| engine.at);
    let end = ddl.select().unwrap_or(ddl.tokens.len()).min(engine);
    let open = (ddl.body..end).find(|&at| ddl.tokens[at].depth == 0 && ddl.tokens[at].is_symbol("("));
    let Some(open) = open else { return String::new() };
    let close = (open + 1..end).find(|&at| ddl.tokens[at].depth == 0);
    let Some(close) = close else { return String::new() };
    normalise_part(&text[ddl.tokens[open].start..ddl.tokens[close].end()])
}

/// Whether a materialized view writes into a table that has a name of its own.
pub(super) fn writes_elsewhere(text: &str) -> bool {
    Ddl::parse(text).is_ok_and(|ddl| ddl.target().is_some())
}

/// Whether rows or columns vanish with time.
pub(super) fn has_ttl(text: &str) -> bool {
    tokenize(text).is_ok_and(|tokens| tokens.iter().any(|token| token.is_word("TTL")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVERS: &str = "CREATE TABLE d.t UUID '1-2' (`a` UInt8, `b` String) ENGINE = ReplicatedMergeTree('/x/01/d/t', 'r1') ORDER BY a SETTINGS index_granularity = 8192";

    fn changes(now: &str, expected: &str) -> Vec<(String, String)> {
        let macros = BTreeMap::from([("shard".to_owned(), "01".to_owned()), ("replica".to_owned(), "r1".to_owned())]);
        definition_change(now, expected, &macros)
            .into_iter()
            .map(|change| (change.before.into(), change.after.into()))
            .collect()
    }

    #[test]
    fn what_a_server_fills_in_is_no_difference() {
        let planned = "CREATE TABLE d.t (`a` UInt8, `b` String) ENGINE = ReplicatedMergeTree('/x/{shard}/d/t', '{replica}') ORDER BY a";
        assert_eq!(changes(SERVERS, planned), []);
        assert_eq!(changes(SERVERS, ""), []);
    }

    #[test]
    fn only_the_clauses_that_differ_are_told() {
        let planned = "CREATE TABLE d.t (`a` UInt8, `b` Int64) ENGINE = ReplicatedMergeTree('/x/{shard}/d/u', '{replica}') ORDER BY a SETTINGS index_granularity = 8192";
        let pair = |before: &str, after: &str| (before.to_owned(), after.to_owned());
        assert_eq!(
            changes(SERVERS, planned),
            [pair(
                "`b` String)\nENGINE = ReplicatedMergeTree('/x/01/d/t', 'r1')",
                "`b` Int64)\nENGINE = ReplicatedMergeTree('/x/01/d/u', 'r1')"
            )]
        );
    }

    #[test]
    fn the_place_of_a_table_is_read_from_its_definition() {
        let macros = BTreeMap::from([("shard".to_owned(), "01".to_owned())]);
        let found = place(
            "CREATE TABLE d.t (a Int8) ENGINE = ReplicatedMergeTree('/x/{shard}/{table}', 'r') ORDER BY a",
            &macros,
        );
        assert_eq!(found, Some(("/x/01/t".to_owned(), "r".to_owned())));
        for unknown in ["ReplicatedMergeTree", "ReplicatedMergeTree()", "MergeTree", "CollapsingMergeTree(sign)"] {
            assert_eq!(place(&format!("CREATE TABLE d.t (a Int8) ENGINE = {unknown} ORDER BY a"), &macros), None);
        }
    }

    #[test]
    fn a_view_with_a_target_keeps_no_rows() {
        assert!(writes_elsewhere("CREATE MATERIALIZED VIEW d.v TO d.t (`a` UInt8) AS SELECT a FROM d.s"));
        assert!(!writes_elsewhere(
            "CREATE MATERIALIZED VIEW d.v (`a` UInt8) ENGINE = MergeTree ORDER BY a AS SELECT 1 AS a"
        ));
        assert!(has_ttl("CREATE TABLE t (a Date) ENGINE = MergeTree ORDER BY a TTL a + toIntervalDay(1)"));
        assert!(!has_ttl("CREATE TABLE t (`TTL` Date) ENGINE = MergeTree ORDER BY 'TTL'"));
    }
}
