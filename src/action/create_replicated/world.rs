//! The facts that the plan rests on, and the world as it will be.

use super::Arguments;
use super::plan::Object;
use crate::engine::context::PlanContext;
use crate::model::observed::{HostWorld, Table, TargetWorld};
use crate::model::words::count_of;
use crate::plan::convert::{Created, Ddl, ObjectKind};
use crate::plan::fact::Fact;
use crate::plan::plan_file::sha256;
use crate::plan::sql::literal;

pub fn facts(context: &mut PlanContext<'_>, arguments: &Arguments, source: &HostWorld, target: &TargetWorld) {
    let database = arguments.database.as_str();
    for table in source.tables_of(database).filter(|table| !table.is_inner() && !table.uuid.is_empty()) {
        let digest = sha256(table.create_query.as_bytes());
        context.facts.push(Fact::new(
            &source.name,
            format!("definition of {}", table.full_name()),
            digest[..12].to_owned(),
            format!(
                "SELECT create_table_query FROM system.tables WHERE database = {} AND name = {}",
                literal(database),
                literal(&table.name)
            ),
        ));
    }
    for host in &target.hosts {
        // A database that an earlier step creates is no fact of the world as it is now.
        let Some(uuid) = host.databases.get(database).map(|found| &found.uuid).filter(|uuid| !uuid.is_empty()) else {
            continue;
        };
        let mut names: Vec<&str> = host.tables_of(database).map(|table| table.name.as_str()).collect();
        names.sort_unstable();
        let digest = sha256(names.join("\n").as_bytes());
        context.facts.push(Fact::new(
            &host.name,
            format!("database {database} that tables are created in"),
            format!("UUID {uuid}, {} ({})", count_of(names.len(), "table"), &digest[..12]),
            format!("SELECT name FROM system.tables WHERE database = {}", literal(database)),
        ));
    }
}

/// The world afterwards: every object is there on every host, empty.
pub fn create_in_world(context: &mut PlanContext<'_>, role: &str, database: &str, order: &[(&String, &Object, u32)]) {
    let Some(target) = context.world.targets.get_mut(role) else { return };
    for host in &mut target.hosts {
        for (name, object, _) in order {
            if host.table(database, name).is_none() {
                let made = tables_of(host, database, name, &object.created);
                host.tables.extend(made);
            }
        }
        host.tables.sort_by(|a, b| (&a.database, &a.name).cmp(&(&b.database, &b.name)));
    }
}

/// The table an object becomes; a materialized view with an engine has its hidden table besides.
fn tables_of(host: &HostWorld, database: &str, name: &str, created: &Created) -> Vec<Table> {
    let engine = match created.kind {
        ObjectKind::Table => created.engine.as_str(),
        ObjectKind::Dictionary => "Dictionary",
        ObjectKind::View => "View",
        ObjectKind::MaterializedView => "MaterializedView",
    };
    let engine_full = Ddl::parse(&created.text)
        .ok()
        .and_then(|ddl| {
            let end = ddl.select().map_or(created.text.len(), |at| ddl.tokens[at].start);
            created.text.get(ddl.engine()?.span.start..end).map(|text| text.trim().to_owned())
        })
        .unwrap_or_default();
    let new = |name: String, engine: &str| {
        let mut table = Table {
            database: database.to_owned(),
            name,
            engine: engine.to_owned(),
            create_query: created.text.clone(),
            ..Table::default()
        };
        if table.holds_rows() {
            (table.rows, table.bytes) = (Some(0), Some(0));
            table.engine_full.clone_from(&engine_full);
            if let Some((path, replica)) = &created.replicated {
                table.zookeeper_path = Some(host.expand_macros(path));
                table.replica_name = Some(host.expand_macros(replica));
            }
        }
        table
    };
    let mut tables = vec![new(name.to_owned(), engine)];
    if created.kind == ObjectKind::MaterializedView && created.replicated.is_some() {
        // Its real name holds the UUID that the view will get.
        tables.push(new(format!(".inner.{name}"), &created.engine));
    }
    tables
}
