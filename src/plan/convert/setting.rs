//! One setting of a definition.

use super::ddl::Ddl;
use crate::plan::sql::TokenKind;

/// The value of a setting under `SETTINGS`, without quotes; `None` where the definition does not name it.
/// A value that is no constant, such as `disk(...)`, is an error.
///
/// # Errors
/// The first word of such a value.
pub fn setting(create_query: &str, name: &str) -> Result<Option<String>, String> {
    // Few definitions name it; the others need not be taken apart.
    if !create_query.contains(name) {
        return Ok(None);
    }
    let Ok(ddl) = Ddl::parse(create_query) else { return Ok(None) };
    let end = ddl.select().unwrap_or(ddl.tokens.len());
    let outline = &ddl.tokens[ddl.body.min(end)..end];
    let Some(from) = outline.iter().position(|token| token.depth == 0 && token.is_word("SETTINGS")) else {
        return Ok(None);
    };
    let found = outline[from..]
        .windows(3)
        .find(|three| three[0].depth == 0 && three[0].is_word(name) && three[1].is_symbol("="))
        .map(|three| three[2]);
    match found {
        None => Ok(None),
        Some(value) if value.kind == TokenKind::Text => Ok(Some(value.text.trim_matches('\'').to_owned())),
        Some(value) => Err(value.text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::setting;

    #[test]
    fn only_the_settings_of_the_table_count() {
        let table = "CREATE TABLE d.t (`storage_policy` String DEFAULT 'storage_policy = x') ENGINE = MergeTree ORDER BY storage_policy SETTINGS index_granularity = 8192, storage_policy = 'hot'";
        assert_eq!(setting(table, "storage_policy"), Ok(Some("hot".to_owned())));
        assert_eq!(setting(table, "disk"), Ok(None));
        let plain = "CREATE TABLE d.t (`storage_policy` String) ENGINE = MergeTree ORDER BY storage_policy";
        assert_eq!(setting(plain, "storage_policy"), Ok(None));
        let view = "CREATE MATERIALIZED VIEW d.v (`a` String) ENGINE = MergeTree ORDER BY a SETTINGS disk = 'cold' AS SELECT a FROM d.t WHERE 1 SETTINGS disk = 'other'";
        assert_eq!(setting(view, "disk"), Ok(Some("cold".to_owned())));
        let made = "CREATE TABLE d.t (`a` String) ENGINE = MergeTree ORDER BY a SETTINGS disk = disk(type = 's3')";
        assert_eq!(setting(made, "disk"), Err("disk".to_owned()));
    }
}
