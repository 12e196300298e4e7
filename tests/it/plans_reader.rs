//! Looking is safe for a user who may only read: no statement of such a command fails, and none changes anything.

use clickferry_lab::StatementRecord;

use crate::support::lab::NODES;
use crate::support::scene::Scene;

/// What the reader asked since `marks`, starts and ends.
fn asked(scene: &Scene, marks: [usize; 3]) -> Vec<StatementRecord> {
    let of = |(node, mark): (&&str, usize)| scene.lab.statements(node).unwrap().into_iter().skip(mark);
    NODES.iter().zip(marks).flat_map(of).filter(|record| record.user == scene.lab.reader()).collect()
}

fn as_reader(scene: &Scene) {
    let user = format!("user: {}", scene.lab.user());
    let reader = format!("user: {}", scene.lab.reader());
    scene.environment(|text| text.replace(&user, &reader));
}

#[test]
fn every_command_that_only_looks_needs_only_to_read() {
    let scene = Scene::new("reader").with_orders();
    let database = format!("database={}", scene.database);
    let marks = NODES.map(|node| scene.lab.statements(node).unwrap().len());
    as_reader(&scene);
    let runbook = scene.runbook("standalone-to-replicated", |text| text);
    let backup = scene.runbook("backup", |text| text);
    let clean = scene.runbook("clean-replicas", |text| text);
    let p = ["-p", &database, "-p", "migration=2"];
    let ends = |arguments: &[&str], code: i32| {
        let output = scene.cli(arguments);
        assert_eq!(output.code, Some(code), "{arguments:?}: {output}");
    };
    ends(&[&["plan", &runbook, "-o", "plan.json"], &p[..]].concat(), 2);
    ends(&[&["diff", &runbook], &p[..]].concat(), 2);
    ends(&[&["inspect", "--for", &runbook, "-o", "snapshot.json"], &p[..]].concat(), 0);
    ends(&["plan", &backup, "-p", &database], 2);
    ends(&["plan", &clean, "-p", &database], 2);
    ends(&["inspect"], 0);

    scene.environment(|text| text);
    let done = scene.apply(&runbook, &["-p", "migration=2"]);
    assert_eq!(done.code, Some(0), "{done}");
    scene.mark();
    as_reader(&scene);
    ends(&[&["verify", &runbook], &p[..]].concat(), 0);
    ends(&[&["diff", &runbook], &p[..]].concat(), 0);
    ends(&["inspect"], 0);
    scene.nothing_changed();

    let asked = asked(&scene, marks);
    assert!(asked.len() > 100, "{}", asked.len());
    let wrong: Vec<&StatementRecord> =
        asked.iter().filter(|record| record.kind != "read" || record.code.is_some_and(|code| code != 0)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_reader_of_the_laboratory_can_really_change_nothing() {
    let scene = Scene::new("readonly").with_orders();
    let runbook = scene.steps("  - id: drop\n    sql: { on: source, statements: ['TRUNCATE TABLE {db}.orders'] }\n");
    let database = format!("database={}", scene.database);
    let raised = std::fs::read_to_string(scene.test.path().join(&runbook)).unwrap();
    scene.test.write(&runbook, &raised.replace("steps:\n", "guards: { loss: { tables: 1, rows: 3000 } }\nsteps:\n"));
    as_reader(&scene);
    let failed = scene.apply(&runbook, &["-p", &database]);
    assert_eq!(failed.code, Some(1), "{failed}");
    assert!(failed.stderr.contains("164 READONLY"), "{failed}");
    assert!(failed.stderr.contains("clickferry explain 164"), "{failed}");
    assert_eq!(scene.on_node("standalone", "SELECT count() FROM {db}.orders"), "3000");
}
