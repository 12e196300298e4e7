//! What a purge drops, and how much that is now.

use crate::diag::{Failure, Refusal};
use crate::engine::errors::explain_look;
use crate::engine::ports::{Call, Sql};
use crate::engine::undo::Kept;
use crate::plan::operation::{Loss, Operation};
use crate::plan::sql::literal;

use super::database::purge;

/// The operations that drop them, each with what it takes away. Only reads.
///
/// # Errors
/// Every host that does not answer.
pub async fn purge_operations(kept: &[Kept], sql: &dyn Sql) -> Result<Vec<Operation>, Failure> {
    let (mut operations, mut problems) = (Vec::new(), Vec::new());
    for one in kept {
        match loss(one, sql).await {
            Ok(loss) => operations.push(purge(one, loss)),
            Err(refusal) => problems.push(refusal),
        }
    }
    if problems.is_empty() { Ok(operations) } else { Err(Failure::Error(problems)) }
}

async fn loss(kept: &Kept, sql: &dyn Sql) -> Result<Loss, Refusal> {
    let database = literal(&kept.aside);
    let query = format!(
        "SELECT (SELECT count() FROM system.tables WHERE database = {database} AND engine NOT IN ('View')) AS held, \
         (SELECT sum(rows) FROM system.parts WHERE active AND database = {database}) AS part_rows, \
         (SELECT sum(total_rows) FROM system.tables WHERE database = {database} AND engine NOT LIKE '%MergeTree') AS other_rows, \
         (SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND database = {database}) AS bytes"
    );
    let answer = sql
        .call(&kept.host, Call::read(query))
        .await
        .map_err(|error| explain_look(format!("looking at `{}` on {}", kept.aside, kept.host), &error))?;
    let number = |column: &str| answer.number(0, column).unwrap_or(0);
    Ok(Loss {
        tables: number("held"),
        rows: number("part_rows") + number("other_rows"),
        bytes: number("bytes"),
        keeper_nodes: 0,
    })
}
