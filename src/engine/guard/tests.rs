//! Hand-made guards, worlds and plans for the tests of the guards.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::diag::{Diagnostics, Failure, SourceFile};
use crate::engine::compile::{CompileOptions, compile};
use crate::engine::guard::check_budget;
use crate::model::guards::Guards;
use crate::model::ids::{HostName, StepId};
use crate::model::observed::{HostWorld, Identity, Table, TargetWorld, World};
use crate::model::runbook::Topology;
use crate::model::yaml;
use crate::plan::operation::{Effect, Loss, Operation};
use crate::plan::plan_file::{PLAN_VERSION, Plan, Totals};

/// Guards as they stand in a runbook.
pub(crate) fn guards(text: &str) -> Guards {
    let document = yaml::parse(&SourceFile::new("guards.yaml".to_owned(), text.to_owned())).expect("YAML");
    Guards::deserialize(&document.root.to_json()).expect("guards")
}

/// A host with tables of these sizes.
pub(crate) fn host(name: &str, version: &str, free_bytes: u64, tables: &[u64]) -> HostWorld {
    let table = |(at, bytes): (usize, &u64)| Table {
        database: "d".to_owned(),
        name: format!("t{at}"),
        engine: "MergeTree".to_owned(),
        bytes: Some(*bytes),
        ..Table::default()
    };
    HostWorld {
        name: name.into(),
        version: version.to_owned(),
        identity: Identity { data_path: "/var/lib/clickhouse/".to_owned(), ..Identity::default() },
        tables: tables.iter().enumerate().map(table).collect(),
        free_bytes,
        ..HostWorld::default()
    }
}

/// A world of these targets.
pub(crate) fn world(targets: &[(&str, Vec<HostWorld>)]) -> World {
    let target = |hosts: &Vec<HostWorld>| TargetWorld {
        topology: Topology::Replicated,
        cluster: None,
        keeper: true,
        hosts: hosts.clone(),
    };
    World { targets: targets.iter().map(|(role, hosts)| ((*role).to_owned(), target(hosts))).collect() }
}

/// A plan of these operations on the environment `staging`.
pub(crate) fn plan(operations: Vec<Operation>) -> Plan {
    Plan {
        format_version: PLAN_VERSION,
        tool_version: "0".to_owned(),
        runbook: "move".to_owned(),
        summary: String::new(),
        runbook_digest: "0".repeat(64),
        runbook_text: String::new(),
        runbook_file: "move.yaml".to_owned(),
        environment: "staging".to_owned(),
        protected: false,
        parameters: BTreeMap::new(),
        hosts: Vec::new(),
        steps: Vec::new(),
        operations,
        totals: Totals::default(),
        facts: Vec::new(),
        guards: Guards::default(),
        notes: Vec::new(),
        no_way_back: BTreeMap::new(),
        conversions: Vec::new(),
        undo_of: None,
        digest: String::new(),
    }
    .sealed()
}

/// An operation of a step on a host.
pub(crate) fn operation(step: &str, host: &str, effect: Effect, bytes: Option<u64>) -> Operation {
    let mut operation = Operation::new(&StepId::from(step), "restore", "restore", "table d.t", effect)
        .on("destination", &HostName::from(host));
    operation.estimate_bytes = bytes;
    operation
}

#[test]
fn a_loss_is_compared_with_the_budget_over_all_hosts() {
    let drop = |host, tables, rows, bytes| {
        operation("drop", host, Effect::Destroy, None).loses(Loss { tables, rows, bytes, keeper_nodes: 0 })
    };
    let check = |limits: &str| {
        let mut plan = plan(vec![drop("r1", 1, 100, 1000), drop("r2", 1, 100, 1000), drop("r3", 0, 0, 0)]);
        plan.guards = guards(limits);
        match check_budget(&plan) {
            Err(Failure::Refused(problems)) => problems.into_iter().map(|problem| problem.expected).collect(),
            _ => Vec::new(),
        }
    };
    assert!(check("{ loss: { tables: 2, rows: 200, bytes: 2000, replicas: 2 } }").is_empty());
    assert!(check("{ loss: { tables: 2, rows: 200 } }").is_empty());
    assert_eq!(
        check("{ loss: { tables: 1, rows: 199, bytes: 1999, replicas: 1 } }"),
        [
            "at most 1 table (`guards.loss.tables`), over all replicas",
            "at most 199 rows (`guards.loss.rows`), over all replicas",
            "at most 1 999 bytes (`guards.loss.bytes`), over all replicas",
            "on at most 1 host (`guards.loss.replicas`)",
        ]
    );
    assert_eq!(check("{}").len(), 2);
}

fn compiled(guards: &str) -> Result<Guards, Diagnostics> {
    let text = format!(
        "apiVersion: clickferry/v1\nkind: Runbook\nmetadata: {{ name: x }}\nparameters:\n  database: {{ type: identifier }}\n  rows: {{ type: integer }}\n\
         targets:\n  source: {{ topology: standalone }}\nguards: {guards}\nsteps: []\n"
    );
    let given = BTreeMap::from([("database".to_owned(), "d".to_owned()), ("rows".to_owned(), "9".to_owned())]);
    let source = SourceFile::new("x.yaml".to_owned(), text);
    let options = CompileOptions { catalogue: &[], given: &given, environment: "staging", allow_missing: false };
    compile(&source, &options).map(|compiled| compiled.runbook.guards)
}

#[test]
fn the_command_line_reaches_no_limit() {
    let databases = compiled("{ write_freeze: { on: [source], databases: ['{{ database }}', other] } }");
    let freeze = databases.expect("valid").write_freeze.expect("there");
    assert_eq!(freeze.databases.iter().map(|name| name.as_str()).collect::<Vec<_>>(), ["d", "other"]);
    assert_eq!(freeze.r#for.as_str(), "30s");
    for bad in [
        "{ loss: { rows: '{{ rows }}' } }",
        "{ disk: { headroom: '{{ rows }}' } }",
        "{ window: { from: '{{ database }}', to: '05:00', timezone: UTC } }",
        "{ write_freeze: { on: ['{{ database }}'] } }",
        "{ write_freeze: { on: [nobody] } }",
        "{ write_freeze: { on: [] } }",
        "{ write_freeze: { on: [source], databases: ['{{ nothing }}'] } }",
        "{ write_freeze: { on: [source], databases: ['{{ run.id }}'] } }",
        "{ window: { from: '1am', to: '05:00', timezone: UTC } }",
        "{ window: { from: '01:00', to: '05:00', timezone: Mars } }",
        "{ window: { days: [saturday], from: '01:00', to: '05:00', timezone: UTC } }",
        "{ window: { from: '01:00', to: '05:00', timezone: UTC, rate: fast } }",
        "{ approvals: { count: 0, signers: f } }",
        "{ approvals: { count: 1 } }",
        "{ versions: { max_distance: -1 } }",
        "{ nothing: 1 }",
    ] {
        assert!(compiled(bad).is_err(), "{bad}");
    }
}
