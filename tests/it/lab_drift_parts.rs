//! Drift between `plan -o FILE` and `apply FILE` that a verification rests on: parts that were detached since, or put
//! back, are not what it promises of.

use crate::support::drift::refused;
use crate::support::lab::NODES;
use crate::support::scene::Scene;

fn plan(scene: &Scene, parts: &str) -> String {
    let steps = format!("  - id: look\n    verify: {{ on: destination, databases: ['{{db}}'], parts: {parts} }}\n");
    let runbook = scene.steps(&steps);
    scene.plan(&runbook, &[])
}

#[test]
fn detached_parts_that_moved_since_the_plan_of_a_verification_are_refused_by_name() {
    let scene = Scene::new("detached");
    for node in &NODES[1..] {
        scene.on_node(node, "CREATE DATABASE {db}");
        scene.on_node(node, "CREATE TABLE {db}.notes (id UInt64) ENGINE = MergeTree PARTITION BY id % 3 ORDER BY id");
        scene.on_node(node, "INSERT INTO {db}.notes SELECT number FROM numbers(9)");
        scene.on_node(node, "CREATE DATABASE {db}_other");
        scene.on_node(node, "CREATE TABLE {db}_other.notes AS {db}.notes");
        scene.on_node(node, "INSERT INTO {db}_other.notes SELECT number FROM numbers(9)");
    }
    let _filters = scene.filters();
    let after = |node: &'static str, statement: &'static str| {
        refused(&scene, || plan(&scene, "healthy"), || drop(scene.on_node(node, statement)))
    };
    insta::assert_snapshot!(after("replica1", "ALTER TABLE {db}.notes DETACH PARTITION 0"), @"
    exit 3
    --- stderr
    refused: the world has moved since the plan was made: detached parts of `DB` on DB-r1
      expected  0
      found     1
      see it    on DB-r1: SELECT table, count() FROM system.detached_parts WHERE database = 'DB' GROUP BY table
      do this   nothing was changed; plan again, read what differs, and give consent to the new plan
    ");
    insta::assert_snapshot!(after("replica1", "ALTER TABLE {db}.notes DETACH PARTITION 1"), @"
    exit 3
    --- stderr
    refused: the world has moved since the plan was made: detached parts of `DB` on DB-r1
      expected  1
      found     2
      see it    on DB-r1: SELECT table, count() FROM system.detached_parts WHERE database = 'DB' GROUP BY table
      do this   nothing was changed; plan again, read what differs, and give consent to the new plan
    ");
    insta::assert_snapshot!(after("replica1", "ALTER TABLE {db}.notes ATTACH PARTITION 0"), @"
    exit 3
    --- stderr
    refused: the world has moved since the plan was made: detached parts of `DB` on DB-r1
      expected  2
      found     1
      see it    on DB-r1: SELECT table, count() FROM system.detached_parts WHERE database = 'DB' GROUP BY table
      do this   nothing was changed; plan again, read what differs, and give consent to the new plan
    ");
    insta::assert_snapshot!(after("replica2", "ALTER TABLE {db}.notes DETACH PARTITION 1"), @"
    exit 3
    --- stderr
    refused: the world has moved since the plan was made: detached parts of `DB` on DB-r2
      expected  0
      found     1
      see it    on DB-r2: SELECT table, count() FROM system.detached_parts WHERE database = 'DB' GROUP BY table
      do this   nothing was changed; plan again, read what differs, and give consent to the new plan
    ");
    // What was detached when the plan was made may stay so, and parts of a database that is not looked at may move.
    let applied = |digest: &str, node: &str, statement: &str| {
        scene.on_node(node, statement);
        let done = scene.cli(&["apply", "plan.json", "--consent", digest]);
        assert_eq!(done.code, Some(0), "{done}");
    };
    applied(&plan(&scene, "healthy"), "replica1", "ALTER TABLE {db}_other.notes DETACH PARTITION 0");
    // Where nobody looks at parts, they may move.
    let digest = plan(&scene, "ignore");
    scene.on_node("replica2", "ALTER TABLE {db}.notes DETACH PARTITION 2");
    applied(&digest, "replica1", "ALTER TABLE {db}.notes DETACH PARTITION 2");
    for node in &NODES[1..] {
        scene.on_node(node, "DROP DATABASE {db}_other SYNC");
    }
}
