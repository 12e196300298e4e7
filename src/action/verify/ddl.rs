//! A definition in the form in which those of two replicas are compared.

use crate::plan::sql::{Token, TokenKind, tokenize};

/// The CREATE statement without what differs between replicas by nature: UUIDs, the name of the replica, blanks.
#[must_use]
pub fn normalised(create: &str, uuid: &str, replica: Option<&str>) -> String {
    let Ok(tokens) = tokenize(create) else { return create.to_owned() };
    let mut words: Vec<String> = Vec::new();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        let after = tokens.get(at + 1);
        // `UUID '...'` of the table and `TO INNER UUID '...'` of a materialized view.
        if token.is_word("UUID") && after.is_some_and(|next| next.kind == TokenKind::Text) {
            at += 2;
            continue;
        }
        if token.is_word("TO") && after.is_some_and(|next| next.is_word("INNER")) {
            at += 2;
            continue;
        }
        words.push(word(token, uuid, replica));
        at += 1;
    }
    words.join(" ")
}

fn word(token: &Token<'_>, uuid: &str, replica: Option<&str>) -> String {
    if token.kind != TokenKind::Text {
        return token.text.to_owned();
    }
    let body = &token.text[1..token.text.len() - 1];
    if replica.is_some_and(|replica| replica == body) {
        return "'{replica}'".to_owned();
    }
    if uuid.is_empty() { token.text.to_owned() } else { token.text.replace(uuid, "{uuid}") }
}

/// The first place where two normalised definitions differ, with a little of what follows.
#[must_use]
pub fn first_difference(one: &str, other: &str) -> String {
    let same = one.split(' ').zip(other.split(' ')).take_while(|(left, right)| left == right).count();
    let rest = |text: &str| -> String { text.split(' ').skip(same).take(8).collect::<Vec<_>>().join(" ") };
    let shown = |text: String| if text.is_empty() { "(end)".to_owned() } else { text };
    format!("`{}` instead of `{}`", shown(rest(one)), shown(rest(other)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replicas_differ_in_uuids_and_names_only() {
        let one =
            "CREATE TABLE d.t UUID 'aaa' (`id` UInt64) ENGINE = ReplicatedMergeTree('/t/aaa/01', 'r1')\nORDER BY id";
        let two = "CREATE TABLE d.t UUID 'bbb' (`id`  UInt64) ENGINE = ReplicatedMergeTree('/t/bbb/01', '{replica}') ORDER BY id";
        assert_eq!(normalised(one, "aaa", Some("r1")), normalised(two, "bbb", Some("r2")));
        let view = "CREATE MATERIALIZED VIEW d.v UUID 'x' TO INNER UUID 'y' (`a` Int8) ENGINE = Log AS SELECT 1";
        assert_eq!(
            normalised(view, "x", None),
            normalised("CREATE MATERIALIZED VIEW d.v (`a` Int8) ENGINE = Log AS SELECT 1", "", None)
        );
    }

    #[test]
    fn other_differences_are_shown() {
        let one = normalised("CREATE TABLE d.t (`a` Int8) ENGINE = Log", "", None);
        let two = normalised("CREATE TABLE d.t (`a` Int16) ENGINE = Log", "", None);
        assert_eq!(first_difference(&one, &two), "`Int8 ) ENGINE = Log` instead of `Int16 ) ENGINE = Log`");
    }
}
