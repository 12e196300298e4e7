//! Planning of `sql`: one operation per statement and host, each with what it takes away.

use serde::{Deserialize, Serialize};

use super::arguments::{DeclaredLoss, Parsed, SqlArguments, one_query};
use super::charged::{Charged, Fed, Whole};
use super::first_line;
use super::simulate::{Impossible, Simulated, inserts_twice, simulate};
use crate::action::facts;
use crate::action::select::{Scalar, select};
use crate::diag::Refusal;
use crate::engine::context::PlanContext;
use crate::model::ids::HostName;
use crate::model::observed::HostWorld;
use crate::plan::classify::{Change, Losing, Name};
use crate::plan::fact::Fact;
use crate::plan::operation::{Effect, Loss, Operation};
use crate::plan::statement::Statement;

/// A query whose single value is compared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Question {
    /// The query.
    pub query: String,
    /// The value.
    pub equals: Scalar,
}

/// What an operation of `sql` needs at run time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SqlData {
    /// Current database.
    pub database: Option<String>,
    /// Whether an "unknown", "exists already" or "not allowed" answer proves that nothing happened.
    pub all_or_nothing: bool,
    /// The author's probe.
    pub probe: Option<Question>,
    /// What the catalogue of the server says afterwards, for statements on whole objects.
    pub promise: Option<Question>,
    /// Whether another value of `promise` means that nothing happened. Not so for an emptied table, which may
    /// have been filled again.
    pub promise_denies: bool,
    /// The author's post-condition.
    pub expect: Option<Question>,
    /// Whether the post-condition is asked again at resume.
    pub lasting: bool,
    /// Tables that lose rows, as the plan knows them; none that its earlier steps make.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub charged: Vec<Charged>,
    /// The database that is dropped or emptied as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub whole: Option<Whole>,
}

/// Makes the operations and plays them in the world.
pub fn plan(context: &mut PlanContext<'_>) -> Result<Vec<Operation>, Vec<Refusal>> {
    let arguments: SqlArguments = context.arguments()?;
    let role = arguments.on.as_str().to_owned();
    let parsed = arguments.parse().map_err(|errors| {
        errors
            .into_iter()
            .map(|error| context.refuse(error.message, "", "", error.help.unwrap_or_default()))
            .collect::<Vec<_>>()
    })?;
    let target = context.target(&role)?;
    let hosts: Vec<HostName> = select(target, arguments.every).iter().map(|host| host.name.clone()).collect();
    let fed = Fed::of(target);
    let places: Vec<usize> =
        target.hosts.iter().enumerate().filter(|(_, host)| hosts.contains(&host.name)).map(|(at, _)| at).collect();

    let mut operations = Vec::new();
    let mut problems = Vec::new();
    let mut declared_for: Vec<HostName> = Vec::new();
    for (wave, statement) in parsed.iter().enumerate() {
        let last = wave + 1 == parsed.len();
        let mut counted = Vec::new();
        problems.extend(check_insert(context, &role, &places, statement, &arguments));
        for (place, host) in places.iter().zip(&hosts) {
            let database = arguments.database.as_ref().map(|name| name.as_str());
            let Some(target) = context.world.targets.get_mut(&role) else { continue };
            context.facts.extend(object_facts(target.hosts.get(*place), statement, database));
            match simulate(target, *place, statement, database, &mut counted) {
                Err(impossible) => problems.push(refusal(context, host, impossible)),
                Ok(mut simulated) => {
                    if statement.class.losing == Losing::Unclear && !declared_for.contains(host) {
                        declared_for.push(host.clone());
                        simulated.loss = declared(arguments.loss.unwrap_or_default());
                        simulated.before = "what it destroys is declared in the runbook, not observed".to_owned();
                    }
                    context.facts.append(&mut simulated.facts);
                    context.notes.append(&mut simulated.notes);
                    for table in &mut simulated.charged {
                        table.fed = table.name.starts_with(".inner") || fed.names(&table.database, &table.name);
                    }
                    let operation = operation(context, &arguments, statement, simulated, host, last);
                    operations.push(operation.in_wave(u32::try_from(wave).unwrap_or(u32::MAX)));
                }
            }
        }
    }
    if problems.is_empty() { Ok(operations) } else { Err(problems) }
}

/// What a changing statement is about, as it is before: that it is there, and how it is defined. Rows may move where
/// the statement takes none away.
fn object_facts(host: Option<&HostWorld>, statement: &Parsed, database: Option<&str>) -> Vec<Fact> {
    let Some(host) = host.filter(|_| statement.class.effect != Effect::Read) else { return Vec::new() };
    let definition = |name: &Name| {
        let database = name.database.as_deref().or(database)?;
        facts::definition(host, database, &name.name)
    };
    match &statement.class.change {
        Change::DropTables { names, .. } => names.iter().filter_map(definition).collect(),
        Change::DropDatabase { name, .. } | Change::TruncateDatabase { name, .. } => {
            facts::database(host, name).into_iter().chain(facts::tables_of(host, name)).collect()
        }
        Change::CreateDatabase { name, .. } => facts::database(host, name).into_iter().collect(),
        _ => statement.class.object.iter().filter_map(definition).collect(),
    }
}

fn operation(
    context: &PlanContext<'_>,
    arguments: &SqlArguments,
    statement: &Parsed,
    simulated: Simulated,
    host: &HostName,
    last: bool,
) -> Operation {
    let class = &statement.class;
    let database = arguments.database.as_ref().map(|name| name.as_str().to_owned());
    let object = match &class.object {
        Some(name) => match name.database.as_ref().or(database.as_ref()) {
            Some(database) => format!("{database}.{}", name.name),
            None => name.name.clone(),
        },
        None => match &class.change {
            Change::DropDatabase { name, .. }
            | Change::TruncateDatabase { name, .. }
            | Change::CreateDatabase { name, .. } => format!("database {name}"),
            _ => first_line(&statement.text),
        },
    };
    let changes = class.effect != Effect::Read;
    let expect = arguments.expect.as_ref().filter(|_| last);
    let promise = simulated.promise.map(|(query, value)| Question { query, equals: Scalar(value.into()) });
    let data = SqlData {
        database: database.clone(),
        all_or_nothing: class.all_or_nothing,
        probe: arguments
            .probe
            .as_ref()
            .filter(|_| changes)
            .map(|probe| Question { query: one_query(&probe.query), equals: probe.done_when.clone() }),
        promise_denies: class.verb != "TRUNCATE" && class.verb != "TRUNCATE TABLE",
        promise,
        expect: expect.map(|expect| Question { query: one_query(&expect.query), equals: expect.equals.clone() }),
        lasting: expect.is_some_and(|expect| expect.lasting),
        charged: simulated.charged,
        whole: simulated.whole,
    };
    let check = check_words(&data, changes);
    Operation::new(context.step, "sql", &class.verb.to_lowercase().replace(' ', "_"), object, class.effect)
        .on(arguments.on.as_str(), host)
        .statement(Statement::late(statement.text.clone()).in_database(database.as_deref()))
        .loses(simulated.loss)
        .promises(simulated.before, simulated.after, check)
        .with_data(&data)
}

fn check_words(data: &SqlData, changes: bool) -> String {
    let mut words = Vec::new();
    words.extend(data.expect.iter().map(answers));
    words.extend(data.promise.iter().map(answers));
    if words.is_empty() {
        words.extend(data.probe.iter().map(answers));
    }
    match (words.is_empty(), changes) {
        (true, true) => "the server's answer only (no `expect:` is declared)".to_owned(),
        (true, false) => "the rows are shown in the report".to_owned(),
        (false, _) => words.join("; "),
    }
}

fn answers(question: &Question) -> String {
    format!("`{}` answers {}", first_line(&question.query), question.equals)
}

fn check_insert(
    context: &PlanContext<'_>,
    role: &str,
    places: &[usize],
    statement: &Parsed,
    arguments: &SqlArguments,
) -> Option<Refusal> {
    let target = context.world.targets.get(role)?;
    let database = arguments.database.as_ref().map(|name| name.as_str());
    let found = inserts_twice(target, places, &statement.class, database)?;
    Some(context.refuse(
        format!("`{}` would insert the same rows more than once", first_line(&statement.text)),
        "one INSERT per shard of a replicated table",
        found,
        "give the step `every: shard` (or `every: any`)",
    ))
}

fn refusal(context: &PlanContext<'_>, host: &HostName, impossible: Impossible) -> Refusal {
    Refusal {
        what: format!("step `{}`: on {host}, {}", context.step, impossible.what),
        expected: impossible.expected,
        found: impossible.found,
        evidence: format!("on {host}: {}", impossible.evidence),
        action: impossible.action,
    }
}

fn declared(loss: DeclaredLoss) -> Loss {
    Loss { tables: loss.tables, rows: loss.rows, ..Loss::default() }
}
