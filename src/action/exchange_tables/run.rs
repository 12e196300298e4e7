//! What is asked besides of an exchange of a runbook: the columns before, and at resume whether it still stands.

use serde::Deserialize;
use serde_json::Value;

use super::swap::{Named, Standing, Swap, gate, names_query, standing, words};
use super::{Data, NAME};
use crate::action::gate::{cannot_tell, first_of, unread};
use crate::engine::action::{Holds, RunError, RunErrorKind};
use crate::engine::context::RunContext;
use crate::engine::ports::SqlError;
use crate::model::ids::HostName;
use crate::plan::convert::{Column, column_differences, typed};
use crate::plan::sql::literal;

/// The gate. The columns are compared here too, for the plan cannot know those of a table that an earlier step makes.
pub async fn prepare(context: &RunContext<'_>, swap: &Swap) -> Result<Value, RunError> {
    let seen = gate(context, swap).await?;
    if swap.any_columns {
        return Ok(seen);
    }
    let host = context.host()?;
    let explain = |error: SqlError| unread(context, "looking at the columns", &error);
    let one = columns(context, host, &swap.names[0]).await.map_err(explain)?;
    let other = columns(context, host, &swap.names[1]).await.map_err(explain)?;
    let names = swap.names.each_ref().map(Named::sql);
    let differences = column_differences(names.each_ref().map(String::as_str), &one, &other);
    if differences.is_empty() {
        return Ok(seen);
    }
    Err(context.fail(
        RunErrorKind::NotSent,
        "the two tables have different columns",
        "the same columns in the same order",
        first_of(&differences, 10, "; "),
        format!("on {host}: {}; {}", columns_query(&swap.names[0]), columns_query(&swap.names[1])),
        "nothing was sent; give both the same columns, or say `allow_different_columns: true`, then plan again",
    ))
}

fn columns_query(named: &Named) -> String {
    format!(
        "SELECT name, type, default_kind FROM system.columns WHERE database = {} AND table = {} ORDER BY position",
        literal(&named.database),
        literal(&named.name)
    )
}

async fn columns(context: &RunContext<'_>, host: &HostName, named: &Named) -> Result<Vec<Column>, SqlError> {
    let answer = context.read(host, columns_query(named)).await?;
    let column = |row: usize| {
        let kind = answer.text(row, "default_kind").unwrap_or_default();
        Some((answer.text(row, "name")?, typed(&answer.text(row, "type")?, &kind)))
    };
    Ok((0..answer.rows.len()).filter_map(column).collect())
}

/// Whether a later exchange of the plan gives one of these names to yet another table: then that one promises, and this
/// one does no longer.
pub fn is_passed_on(context: &RunContext<'_>, host: &HostName, names: &[Named; 2]) -> bool {
    let later = context.plan.operations.iter().skip_while(|other| other.id != context.operation.id).skip(1);
    later.filter(|other| other.action == NAME && other.host.as_ref() == Some(host)).any(|other| {
        matches!(other.data.read(), Ok(Data::Exchange(swap)) if swap.names.iter().any(|name| names.contains(name)))
    })
}

/// The lasting part: the first name stands for the table that it was given. The former one may be dropped since.
pub async fn still_holds(context: &RunContext<'_>, swap: &Swap, outcome: &Value) -> Holds {
    let host = match context.host() {
        Ok(host) => host,
        Err(error) => return Holds::CannotTell(Box::new(error.refusal)),
    };
    if is_passed_on(context, host, &swap.names) {
        return Holds::Yes;
    }
    let left = outcome.get("uuids").and_then(|uuids| Standing::deserialize(uuids).ok()).unwrap_or_default();
    let now = match standing(context, host, &swap.names).await {
        Ok(now) => now,
        Err(error) => return cannot_tell(context, &error),
    };
    if now[0].is_some() && now[0] == left[0] {
        return Holds::Yes;
    }
    let what = if now == [left[1].clone(), left[0].clone()] {
        "somebody has exchanged the tables back"
    } else {
        "the name does not stand any longer for the table that it was given"
    };
    Holds::No(Box::new(context.refusal(
        what,
        words(&swap.names, &left),
        words(&swap.names, &now),
        format!("on {host}: {}", names_query(&swap.names)),
        "find out who did it, on which hosts, and whether rows were written since",
    )))
}
