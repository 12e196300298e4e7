//! What a run created is dropped again, while it is empty.

use std::collections::BTreeMap;

use super::Data;
use crate::action::gate::field;
use crate::action::undo::table::{Left, TableData, operation};
use crate::engine::undo::{Undo, UndoContext};

pub fn undo(context: &UndoContext<'_>) -> Undo {
    let Ok(Data::Create(data)) = context.operation.data.read() else { return Undo::Nothing };
    let (Some(uuid), Some(host)) =
        (context.outcome().and_then(|outcome| field(outcome, "uuid")), &context.operation.host)
    else {
        return Undo::impossible(
            "the journal does not tell which object was created",
            "look at it, and drop it by hand",
        );
    };
    let noun = noun_of(context.operation.statements.first().map_or("", |statement| statement.text.as_str()));
    let left = Left { uuid: Some(uuid.to_owned()), rows: 0, blocks: None };
    let replica = data.place.map(|place| format!("{}/replicas/{}", place.path, place.replica));
    let data = TableData {
        database: data.database,
        name: data.name,
        drops: true,
        left: BTreeMap::from([(host.clone(), left)]),
        may_be_fewer: false,
        replica,
    };
    Undo::Operations(vec![operation(context, noun, data)])
}

/// What stands behind DROP for an object of a CREATE statement.
pub fn noun_of(create: &str) -> &'static str {
    let mut words = create.split_whitespace().skip(1).map(str::to_ascii_uppercase);
    match words.find(|word| matches!(word.as_str(), "TABLE" | "VIEW" | "DICTIONARY")).as_deref() {
        Some("DICTIONARY") => "DICTIONARY",
        Some("VIEW") => "VIEW",
        _ => "TABLE",
    }
}

#[cfg(test)]
mod tests {
    use super::noun_of;

    #[test]
    fn a_drop_names_the_kind_of_its_object() {
        assert_eq!(noun_of("CREATE TABLE d.view (a UInt8) ENGINE = Log"), "TABLE");
        assert_eq!(noun_of("CREATE MATERIALIZED VIEW d.t ENGINE = MergeTree ORDER BY a AS SELECT 1"), "VIEW");
        assert_eq!(noun_of("CREATE OR REPLACE DICTIONARY d.t (a UInt8)"), "DICTIONARY");
    }
}
