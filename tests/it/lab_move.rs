//! The main job: a standalone server's database is moved to a replicated cluster.

use clickferry_lab::SeedSettings;

use crate::support::outside::{applied_exactly, bundled_exactly};
use crate::support::proof::{is_moved, nothing_was_repeated};
use crate::support::scene::Scene;
use crate::support::sent::Run;

const MOVE: &str = "standalone-to-replicated";
const NO_LOSS: &str = "loss: { tables: 0, rows: 0 }";

#[test]
fn a_database_arrives_whole_on_both_replicas_by_the_planned_statements_alone() {
    let mut scene = Scene::new("move");
    // The migration that broke in the middle is what the step `mark-clean` is for.
    scene.seed(&SeedSettings {
        database: scene.database.clone(),
        rows: 10_000,
        dirty: true,
        ..SeedSettings::default()
    });
    let applied = bundled_exactly(&mut scene, "standalone-to-replicated", |text| text, &["-p", "migration=87"]);
    assert!(applied.sent > 50, "{}", applied.sent);
    assert!(applied.removed.is_empty() && applied.objects.len() > 50, "{:?}", applied.objects);
    nothing_was_repeated(&scene, &applied.run);
    let run = Run::new(&scene, &applied.plan, &applied.run);
    assert!(run.reads_as_planned("verify") > 15);
    assert!(run.reads_of_kind_as_planned("create-tables", "check") >= 4);
    is_moved(&scene, "87");
}

#[test]
fn a_filled_destination_is_emptied_only_within_the_budget_and_rows_are_not_doubled() {
    let mut scene = Scene::new("again").with_orders();
    let runbook = scene.runbook(MOVE, |text| text);
    let first = scene.apply(&runbook, &["-p", "migration=2"]);
    assert_eq!(first.code, Some(0), "{first}");
    is_moved(&scene, "2");

    scene.mark();
    let filters = scene.filters();
    let database = format!("database={}", scene.database);
    let refused = scene.cli(&["apply", &runbook, "-p", &database, "-p", "migration=2"]);
    insta::assert_snapshot!(refused, @"
    exit 3
    --- stderr
    refused: the plan destroys more tables than the runbook allows
      expected  at most 0 tables (`guards.loss.tables`), over all replicas
      found     8 tables: 4 of database `DB` on DB-r1; 4 of database `DB` on DB-r2
      see it    clickferry plan shows each operation that destroys, with its host
      do this   if this loss is meant, raise `guards.loss.tables` in the runbook, have it reviewed, and plan again
    refused: the plan destroys more rows than the runbook allows
      expected  at most 0 rows (`guards.loss.rows`), over all replicas
      found     6 388 rows: 3 194 of database `DB` on DB-r1; 3 194 of database `DB` on DB-r2
      see it    clickferry plan shows each operation that destroys, with its host
      do this   if this loss is meant, raise `guards.loss.rows` in the runbook, have it reviewed, and plan again
    ");
    scene.nothing_changed();
    is_moved(&scene, "2");
    assert_eq!(scene.runs().len(), 1);

    let raised = scene.runbook(MOVE, |text| text.replace(NO_LOSS, "loss: { tables: 10, rows: 10000 }"));
    drop(filters);
    let again = applied_exactly(&mut scene, &raised, &["-p", "migration=2"]);
    // The tables took their own nodes along; what stood above them is left for the step.
    assert_eq!(again.removed.len(), 1, "{:?}", again.removed);
    is_moved(&scene, "2");
}
