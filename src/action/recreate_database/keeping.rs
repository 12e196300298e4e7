//! Planning of `keep_old`: the former database under another name, where that is safe.

use super::plan::NAME;
use super::{Data, KeepOld, SetAsideData};
use crate::action::gate::first_of;
use crate::diag::Refusal;
use crate::engine::context::PlanContext;
use crate::engine::undo::SET_ASIDE;
use crate::model::observed::{HostWorld, Table};
use crate::plan::operation::{Effect, Loss, Operation};
use crate::plan::sql::{identifier, literal};
use crate::plan::statement::Statement;

/// Name of a database that is set aside.
fn aside(database: &str) -> String {
    format!("{database}_old_${{run.label}}")
}

/// The rename, made from the drop that it stands for: the gate is the same.
pub fn set_aside_operation(context: &PlanContext<'_>, drop: Operation, database: &str, keep: &KeepOld) -> Operation {
    let Ok(Data::Drop(former)) = drop.data.read() else { return drop };
    let aside = aside(database);
    let keep_seconds = keep.r#for.duration().map_or(0, |time| i64::try_from(time.as_secs()).unwrap_or(i64::MAX));
    let statement = format!("RENAME DATABASE {} TO {}", identifier(database), identifier(&aside));
    let mut operation = Operation::new(context.step, NAME, SET_ASIDE, drop.object.as_str(), Effect::Write)
        .statement(Statement::late(statement))
        .in_wave(drop.wave)
        .loses(Loss::default())
        .promises(
            drop.before.as_str(),
            format!("called {aside}, with all its tables; `purge` drops it after {}", keep.r#for.as_str()),
            "the very database (by its UUID) has the new name, and every table",
        )
        .with_data(&Data::SetAside(SetAsideData { former, aside, keep_seconds }));
    (operation.target, operation.host, operation.lane) = (drop.target, drop.host, drop.lane);
    operation
}

/// Why a database cannot be set aside on a host. What was tried on 26.7 stands in the design note on undo.
pub fn cannot_be_kept(context: &PlanContext<'_>, host: &HostWorld, database: &str) -> Option<Refusal> {
    let found = host.databases.get(database)?;
    let mut problems: Vec<String> = Vec::new();
    if found.engine != "Atomic" {
        problems.push(format!("the database has engine {}, which cannot be renamed", found.engine));
    }
    if found.uuid.is_empty() || host.tables_of(database).any(|table| table.uuid.is_empty()) {
        problems.push("an earlier step of this plan makes it".to_owned());
    }
    problems.extend(host.tables_of(database).filter_map(|table| Some(format!("`{}` {}", table.name, stays(table)?))));
    if problems.is_empty() {
        return None;
    }
    let mut refusal = context.refuse(
        format!("the database {} on {} cannot be set aside (`keep_old`)", identifier(database), host.name),
        "an Atomic database of tables and views that name nothing outside themselves",
        first_of(&problems, 10, "\n"),
        "leave `keep_old` out and put a `backup` step before this one, or drop these objects in an earlier step",
    );
    refusal.evidence = format!(
        "on {}: SELECT name, engine, create_table_query FROM system.tables WHERE database = {}",
        host.name,
        literal(database)
    );
    Some(refusal)
}

/// What of a table a rename leaves behind, to meet the new tables of its name.
fn stays(table: &Table) -> Option<&'static str> {
    if let Some(path) = &table.zookeeper_path {
        let is_its_own = !table.uuid.is_empty() && path.contains(&table.uuid);
        return (!is_its_own).then_some("keeps its path in Keeper, which a new table of that name would meet (253)");
    }
    match table.engine.as_str() {
        "MaterializedView" | "LiveView" | "WindowView" => Some(
            "is a view that names tables of the former name: after a restart of the server it would be fed by the new \
             ones, and write into them",
        ),
        "Dictionary" => Some("is a dictionary, and the server refuses to rename what it reads (630)"),
        "Buffer" | "Kafka" | "RabbitMQ" | "NATS" | "S3Queue" | "AzureQueue" | "FileLog" | "MaterializedPostgreSQL" => {
            Some("goes on moving rows into tables of the former name, or taking them from elsewhere")
        }
        _ => None,
    }
}

/// The world afterwards: its tables are there under the other name, with their paths in Keeper.
pub fn keep(context: &mut PlanContext<'_>, role: &str, database: &str) {
    let Some(target) = context.world.targets.get_mut(role) else { return };
    for host in &mut target.hosts {
        let Some(found) = host.databases.get(database).cloned() else { continue };
        host.databases.insert(aside(database), found);
        host.tables.change_all(|table| table.database == database, |table| table.database = aside(database));
    }
}
