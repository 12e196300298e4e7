//! What a table holds on one host, and whether anything of it is still under way.

use std::time::Duration;

use crate::engine::context::RunContext;
use crate::engine::ports::SqlError;
use crate::model::ids::HostName;
use crate::model::words::count;
use crate::plan::sql::{literal, qualified};

/// A table on one host, right now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Engine; empty where the table does not exist.
    pub(crate) engine: String,
    /// UUID.
    pub(crate) uuid: String,
    /// Rows: of active parts (as `count.txt` counts them) where there are parts, else what `count()` says.
    pub(crate) rows: u64,
    /// What `count()` says; without rows that are only marked as deleted.
    pub(crate) counted: u64,
    /// Detached parts.
    pub(crate) detached: u64,
    /// Why a replica cannot be trusted yet: read-only, session lost, log not read, parts to fetch or in commit.
    pub(crate) pending: Vec<String>,
    /// Entries in the replication queue.
    pub(crate) queue: u64,
    /// Whether it is replicated.
    pub(crate) replicated: bool,
    /// A digest of the highest block of each partition: merges keep it, a written block changes it. `None` where the
    /// rows are in no parts.
    pub(crate) blocks: Option<String>,
    /// Whether its rows are in parts, each of which is there whole or not at all.
    pub(crate) in_parts: bool,
}

impl Seen {
    /// Whether there is such a table.
    pub(crate) fn exists(&self) -> bool {
        !self.engine.is_empty()
    }

    /// Whether it holds nothing at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows == 0 && self.counted == 0
    }
}

/// Looks at a table on a host. For a materialized view its hidden table is looked at.
///
/// # Errors
/// See [`SqlError`].
pub(crate) async fn see(
    context: &RunContext<'_>,
    host: &HostName,
    database: &str,
    table: &str,
) -> Result<Seen, SqlError> {
    let named = context
        .read(
            host,
            format!(
                "SELECT engine, toString(uuid) AS uuid FROM system.tables WHERE database = {} AND name = {}",
                literal(database),
                literal(table)
            ),
        )
        .await?;
    let Some(engine) = named.text(0, "engine") else { return Ok(Seen::default()) };
    let uuid = named.text(0, "uuid").unwrap_or_default();
    let names = [table.to_owned(), format!(".inner.{table}"), format!(".inner_id.{uuid}")]
        .map(|name| literal(&name))
        .join(", ");
    let mine = format!("database = {} AND table IN ({names})", literal(database));
    // In the order in which a part comes: from the log into the queue, out of the queue when it is there. What is seen in an
    // earlier place cannot be missed in all of them.
    let replica = context
        .read(
            host,
            format!(
                "SELECT is_readonly, is_session_expired, log_max_index, log_pointer FROM system.replicas WHERE {mine}"
            ),
        )
        .await?;
    let queued = context
        .read(
            host,
            format!(
                "SELECT count() AS queue, countIf(type IN ('GET_PART', 'ATTACH_PART', 'DROP_RANGE', 'REPLACE_RANGE', 'DROP_PART')) AS fetches \
                 FROM system.replication_queue WHERE {mine}"
            ),
        )
        .await?;
    let numbers = context
        .read(
            host,
            format!(
                "SELECT (SELECT sum(rows) FROM system.parts WHERE active AND {mine}) AS part_rows, \
                 (SELECT countIf(_state IN ('PreActive', 'Temporary')) FROM system.parts WHERE {mine}) AS committing, \
                 (SELECT toString(groupBitXor(cityHash64(partition_id, highest))) FROM (SELECT table, partition_id, max(max_block_number) AS highest \
                  FROM system.parts WHERE active AND rows > 0 AND {mine} GROUP BY table, partition_id)) AS blocks, \
                 (SELECT count() FROM system.detached_parts WHERE {mine}) AS detached, \
                 (SELECT count() FROM system.tables WHERE database = {} AND name IN ({names}) AND engine LIKE '%MergeTree') AS parted",
                literal(database)
            ),
        )
        .await?;
    let counted = context
        .read(host, format!("SELECT count() AS rows FROM {}", qualified(database, table)))
        .await?
        .number(0, "rows")
        .unwrap_or(0);
    let number = |column: &str| numbers.number(0, column).unwrap_or(0);
    let (queue, fetches) = (queued.number(0, "queue").unwrap_or(0), queued.number(0, "fetches").unwrap_or(0));
    let mut seen = Seen {
        engine,
        uuid,
        rows: if number("parted") > 0 { number("part_rows") } else { counted },
        counted,
        detached: number("detached"),
        pending: Vec::new(),
        queue,
        replicated: !replica.rows.is_empty(),
        blocks: numbers.text(0, "blocks").filter(|_| number("parted") > 0),
        in_parts: number("parted") > 0,
    };
    let mut note = |is: bool, what: String| {
        if is {
            seen.pending.push(what);
        }
    };
    note(number("committing") > 0, format!("{} in commit", count(number("committing"), "part")));
    note(fetches > 0, format!("{} to fetch or drop", count(fetches, "part")));
    for row in 0..replica.rows.len() {
        let flag = |column: &str| replica.number(row, column) == Some(1);
        note(flag("is_readonly"), "read-only".to_owned());
        note(flag("is_session_expired"), "its session with Keeper is lost".to_owned());
        // The pointer stands on the first entry that was not read yet.
        let (last, next) =
            (replica.number(row, "log_max_index").unwrap_or(0), replica.number(row, "log_pointer").unwrap_or(0));
        note(
            next <= last && next > 0,
            format!("{} of the log not read", count((last + 1).saturating_sub(next), "entry")),
        );
    }
    Ok(seen)
}

/// The statement that shows it, for people.
pub(crate) fn evidence(hosts: &[HostName], database: &str, table: &str) -> String {
    let names: Vec<&str> = hosts.iter().map(|host| host.as_str()).collect();
    format!("on {}: SELECT count() FROM {}", names.join(", "), qualified(database, table))
}

/// Looks at the table on every host.
///
/// # Errors
/// The first host that does not answer.
pub(crate) async fn see_all(
    context: &RunContext<'_>,
    hosts: &[HostName],
    database: &str,
    table: &str,
) -> Result<Vec<Seen>, SqlError> {
    let asked = hosts.iter().map(|host| see(context, host, database, table));
    futures_util::future::join_all(asked).await.into_iter().collect()
}

/// How long a host may be silent before the wait for its rows is given up; `resume` asks it again later.
const SILENCE: Duration = Duration::from_secs(60);

/// Looks until `enough` is content or the time is over; tells the last look either way.
///
/// # Errors
/// A host that does not answer for [`SILENCE`], or until the end of the time.
pub(crate) async fn see_until(
    context: &RunContext<'_>,
    hosts: &[HostName],
    (database, table): (&str, &str),
    limit: Duration,
    enough: impl Fn(&[Seen]) -> bool,
) -> Result<Vec<Seen>, SqlError> {
    let began = context.ports.clock.ticks();
    let mut heard = began;
    let mut pause = Duration::from_millis(100);
    loop {
        let looked = see_all(context, hosts, database, table).await;
        let now = context.ports.clock.ticks();
        let since = |then: Duration| now.saturating_sub(then);
        let is_over = since(began) >= limit || context.cancel.is_cancelled();
        match &looked {
            Ok(seen) if enough(seen) => return looked,
            Err(_) if since(heard) >= SILENCE => return looked,
            _ if is_over => return looked,
            Ok(seen) => {
                heard = now;
                context.progress.progress(&context.operation.id, 0, None, &format!("waiting: {}", words(hosts, seen)));
            }
            Err(error) => context.progress.progress(&context.operation.id, 0, None, &format!("waiting: {error}")),
        }
        tokio::select! {
            () = context.ports.clock.sleep(pause) => {}
            () = context.cancel.cancelled() => {}
        }
        pause = (pause * 2).min(Duration::from_secs(1));
    }
}

/// Whether nothing is under way on any host.
pub(crate) fn is_settled(seen: &[Seen]) -> bool {
    seen.iter().all(|seen| seen.pending.is_empty())
}

/// `r1: 5 rows, r2: 3 rows (1 part to fetch or drop)`.
pub(crate) fn words(hosts: &[HostName], seen: &[Seen]) -> String {
    hosts
        .iter()
        .zip(seen)
        .map(|(host, seen)| {
            let pending =
                if seen.pending.is_empty() { String::new() } else { format!(" ({})", seen.pending.join(", ")) };
            if seen.exists() {
                format!("{host}: {}{pending}", count(seen.rows, "row"))
            } else {
                format!("{host}: no such table")
            }
        })
        .collect::<Vec<_>>()
        .join(", ")
}
