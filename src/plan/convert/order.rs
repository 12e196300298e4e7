//! In which order the objects of a database can be created.

use std::collections::{BTreeMap, BTreeSet};

use super::ddl::{Ddl, ObjectKind};
use super::sources::{DictionarySource, dictionary_source, sources};
use crate::plan::sql::{Token, TokenKind};

/// What one definition names, as database and table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dependencies {
    /// Must exist before it.
    pub needed: BTreeSet<(String, String)>,
    /// Better exists before it: what an engine or a dictionary's source names is looked up when it is used.
    pub wished: BTreeSet<(String, String)>,
    /// Tables of its own server that a dictionary is filled from, those that the source does not have either.
    pub filled_from: BTreeSet<(String, String)>,
}

/// Where an object stands in the order of creation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Objects of a level depend only on levels below.
    pub level: u32,
    /// Within a level: tables, dictionaries, views, materialized views.
    pub kind: ObjectKind,
}

/// What a definition names among `known`, without itself: `database.table` in its text, the texts in the arguments
/// of its engine or its source, and the dictionaries it asks (`dictGet('d.x', ...)`).
#[must_use]
pub fn dependencies(ddl: &Ddl<'_>, known: &BTreeSet<(String, String)>) -> Dependencies {
    let home = ddl.database.clone().unwrap_or_default();
    let mut found = Dependencies::default();
    let tokens = &ddl.tokens[ddl.body.min(ddl.tokens.len())..];
    for three in tokens.windows(3) {
        if let (Some(database), true, Some(table)) = (three[0].name(), three[1].is_symbol("."), three[2].name()) {
            let pair = (database, table);
            if known.contains(&pair) {
                found.needed.insert(pair);
            }
        }
    }
    // What a query reads is needed also where nobody knows it: the view was broken on the source, too.
    if let Some(select) = ddl.select() {
        let own = ["system", "information_schema", "INFORMATION_SCHEMA"];
        found
            .needed
            .extend(sources(&ddl.tokens[select..]).into_iter().filter(|(home, _)| !own.contains(&home.as_str())));
    }
    for three in tokens.windows(3) {
        if three[1].is_symbol("(") && asks_by_name(&three[0]) {
            found.needed.extend(named(&three[2], &home, known));
        }
    }
    for token in lookups(ddl) {
        found.wished.extend(named(token, &home, known));
    }
    if let Some(DictionarySource::OwnServer(tables)) = dictionary_source(ddl) {
        found
            .filled_from
            .extend(tables.into_iter().map(|(database, table)| (database.unwrap_or_else(|| home.clone()), table)));
        found.wished.extend(found.filled_from.iter().cloned());
    }
    found.wished.extend(pair_of(ddl));
    let own = (home, ddl.name.clone());
    found.needed.remove(&own);
    found.wished.retain(|pair| *pair != own && !found.needed.contains(pair));
    found
}

/// Levels of creation: tables, dictionaries, views and materialized views by what they need.
///
/// # Errors
/// Names of the objects that need each other in a circle.
pub fn levels(
    database: &str,
    objects: &BTreeMap<String, (ObjectKind, Dependencies)>,
) -> Result<BTreeMap<String, Place>, Vec<String>> {
    let among = |pairs: &BTreeSet<(String, String)>| -> Vec<String> {
        pairs
            .iter()
            .filter(|(home, name)| home == database && objects.contains_key(name))
            .map(|(_, name)| name.clone())
            .collect()
    };
    let mut places: BTreeMap<String, Place> = BTreeMap::new();
    while places.len() < objects.len() {
        let level_of = |names: &[String], places: &BTreeMap<String, Place>| -> Option<u32> {
            names.iter().try_fold(0, |level, name| Some(level.max(places.get(name)?.level + 1)))
        };
        let ready = |with_wishes: bool| -> Vec<(String, Place)> {
            objects
                .iter()
                .filter(|(name, _)| !places.contains_key(*name))
                .filter_map(|(name, (kind, dependencies))| {
                    let mut names = among(&dependencies.needed);
                    if with_wishes {
                        names.extend(among(&dependencies.wished));
                    }
                    Some((name.clone(), Place { level: level_of(&names, &places)?, kind: *kind }))
                })
                .collect()
        };
        let mut next = ready(true);
        if next.is_empty() {
            // A wish in a circle is given up, one object at a time.
            next = ready(false).into_iter().take(1).collect();
        }
        if next.is_empty() {
            return Err(objects.keys().filter(|name| !places.contains_key(*name)).cloned().collect());
        }
        places.extend(next);
    }
    Ok(places)
}

/// Functions whose first argument names a dictionary or a Join table.
fn asks_by_name(token: &Token<'_>) -> bool {
    token.kind == TokenKind::Word
        && ["dictGet", "dictHas", "dictIsIn", "joinGet"].iter().any(|head| token.text.starts_with(head))
}

/// Database and table that two arguments of an engine name.
fn pair_of(ddl: &Ddl<'_>) -> Option<(String, String)> {
    let engine = ddl.engine()?;
    let from = match engine.name.as_str() {
        "Buffer" => 0,
        "Distributed" => 1,
        _ => return None,
    };
    let text = |at: usize| Some(ddl.text[engine.arguments.get(at)?.clone()].trim_matches(['\'', '`', '"']).to_owned());
    // `currentDatabase()` and the like name what only the server knows.
    Some((text(from)?, text(from + 1)?))
        .filter(|(database, table)| !database.contains('(') && !database.is_empty() && !table.contains('('))
}

/// Tokens that name what is looked up later: arguments of the engine.
fn lookups<'t, 'a>(ddl: &'t Ddl<'a>) -> Vec<&'t Token<'a>> {
    let Some(engine) = ddl.engine() else { return Vec::new() };
    if engine.name.ends_with("MergeTree") || matches!(engine.name.as_str(), "Buffer" | "Distributed") {
        return Vec::new();
    }
    ddl.tokens[engine.at + 1..engine.behind].iter().filter(|token| token.depth > 0).collect()
}

/// The known object that a text stands for: `'name'` or `'database.name'`.
fn named(token: &Token<'_>, home: &str, known: &BTreeSet<(String, String)>) -> Option<(String, String)> {
    let text = match token.kind {
        TokenKind::Text => token.text.get(1..token.text.len().saturating_sub(1))?.to_owned(),
        _ => token.name()?,
    };
    known
        .iter()
        .find(|(database, name)| (database == home && *name == text) || format!("{database}.{name}") == text)
        .cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(statements: &[&str]) -> Result<Vec<Vec<String>>, Vec<String>> {
        let ddls: Vec<Ddl<'_>> = statements.iter().map(|text| Ddl::parse(text).expect("valid")).collect();
        let known: BTreeSet<(String, String)> = ddls.iter().map(|ddl| ("d".to_owned(), ddl.name.clone())).collect();
        let objects = ddls.iter().map(|ddl| (ddl.name.clone(), (ddl.kind, dependencies(ddl, &known)))).collect();
        let mut places: Vec<(Place, String)> =
            levels("d", &objects)?.into_iter().map(|(name, place)| (place, name)).collect();
        places.sort();
        let mut out: Vec<Vec<String>> = Vec::new();
        for (place, name) in places {
            out.resize(out.len().max(place.level as usize + 1), Vec::new());
            out[place.level as usize].push(name);
        }
        Ok(out)
    }

    #[test]
    fn what_is_read_comes_first() {
        let found = order(&[
            "CREATE MATERIALIZED VIEW d.amv TO d.target (`a` UInt8) AS SELECT a FROM d.source",
            "CREATE VIEW d.a_view (`a` UInt8) AS SELECT a FROM d.b_view",
            "CREATE VIEW d.b_view (`a` UInt8) AS SELECT a FROM d.`target`",
            "CREATE TABLE d.target (`a` UInt8, `source` UInt8) ENGINE = MergeTree ORDER BY source",
            "CREATE TABLE d.source (`a` UInt8) ENGINE = MergeTree ORDER BY a",
            "CREATE TABLE d.buf (`a` UInt8) ENGINE = Buffer('d', 'source', 1)",
            "CREATE DICTIONARY d.dict (`a` UInt8) PRIMARY KEY a SOURCE(CLICKHOUSE(DB 'd' TABLE 'source')) LAYOUT(FLAT())",
            "CREATE TABLE d.asks (`a` UInt8 DEFAULT dictGet('d.dict', 'a', 1)) ENGINE = MergeTree ORDER BY a",
        ]);
        assert_eq!(
            found,
            Ok(vec![
                vec!["source".into(), "target".into()],
                vec!["buf".into(), "dict".into(), "b_view".into(), "amv".into()],
                vec!["asks".into(), "a_view".into()],
            ])
        );
    }

    #[test]
    fn a_wish_in_a_circle_is_given_up_and_a_need_is_reported() {
        let dictionary =
            "CREATE DICTIONARY d.dict (`a` UInt8) PRIMARY KEY a SOURCE(CLICKHOUSE(TABLE 't')) LAYOUT(FLAT())";
        let table = "CREATE TABLE d.t (`a` UInt8 DEFAULT dictGet('d.dict', 'a', 1)) ENGINE = MergeTree ORDER BY a";
        assert_eq!(order(&[table, dictionary]), Ok(vec![vec!["dict".into()], vec!["t".into()]]));
        assert_eq!(
            order(&["CREATE VIEW d.a AS SELECT 1 FROM d.b", "CREATE VIEW d.b AS SELECT 1 FROM d.a"]),
            Err(vec!["a".into(), "b".into()])
        );
    }
}
