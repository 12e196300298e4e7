//! Plans and journals of every earlier format are read as they were meant; newer ones are refused, and told from damage.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clickferry::action::CATALOGUE;
use clickferry::engine::journal::{Entry, JOURNAL_VERSION, OutcomeKind, read_journal};
use clickferry::engine::resume::{OperationState, run_state};
use clickferry::plan::data::Data;
use clickferry::plan::plan_file::{PLAN_VERSION, Plan, sha256};
use clickferry::plan::read::parse_plan;

use crate::support::{TestEnvironment, root};

pub fn fixtures() -> Vec<(String, PathBuf)> {
    let entries = std::fs::read_dir(root().join("tests/fixtures")).unwrap().map(|entry| entry.unwrap().path());
    let named = |path: PathBuf| Some((path.file_name()?.to_str()?.strip_prefix("format-v")?.to_owned(), path.clone()));
    let mut found: Vec<_> = entries.filter_map(named).collect();
    found.sort();
    found
}

fn plan_text(folder: &std::path::Path) -> String {
    std::fs::read_to_string(folder.join("plan.json")).unwrap()
}

fn kind(entry: &Entry) -> &'static str {
    // No `_`: a kind that is added has to be added to a fixture, too.
    match entry {
        Entry::Started { .. } => "started",
        Entry::Resumed { .. } => "resumed",
        Entry::Confirmed { .. } => "confirmed",
        Entry::Intent { .. } => "intent",
        Entry::Outcome { kind: OutcomeKind::Done, .. } => "outcome done",
        Entry::Outcome { kind: OutcomeKind::NotDone, .. } => "outcome not_done",
        Entry::Outcome { kind: OutcomeKind::Failed, .. } => "outcome failed",
        Entry::Probed { .. } => "probed",
        Entry::Resolved { .. } => "resolved",
        Entry::Reproved { .. } => "reproved",
        Entry::Redone { .. } => "redone",
        Entry::NoReturn { .. } => "no_return",
        Entry::Undone { .. } => "undone",
        Entry::Stopped { .. } => "stopped",
        Entry::Finished { .. } => "finished",
    }
}

#[test]
fn every_version_of_the_formats_has_its_fixture() {
    let number = |version: &str| version.trim_end_matches(char::is_alphabetic).parse().unwrap();
    let versions: BTreeSet<u32> = fixtures().iter().map(|(version, _)| number(version)).collect();
    assert_eq!(versions, (1..=PLAN_VERSION.max(JOURNAL_VERSION)).collect());
}

#[test]
fn plans_and_journals_of_every_version_are_read() {
    for (version, folder) in fixtures() {
        let plan = parse_plan(plan_text(&folder).as_bytes(), "p").unwrap();
        // A field that was added later must not change what consent was given to.
        assert!(plan.is_intact(), "the digest of the plan of format {version} is another one now");
        assert_eq!(sha256(plan.runbook_text.as_bytes()), plan.runbook_digest);
        let journal = read_journal(&std::fs::read(folder.join("journal.jsonl")).unwrap(), "j").unwrap();
        let state = run_state(&plan, &journal).unwrap();
        assert_eq!(state.finished.as_deref(), Some("done"));
        assert!(state.operations.values().all(|state| matches!(state, OperationState::Done(_))));
        // Cut anywhere it is a run that can be carried on.
        for count in 1..journal.records.len() {
            let mut part = journal.clone();
            part.records.truncate(count);
            run_state(&plan, &part).unwrap();
        }
    }
}

#[test]
fn the_latest_fixture_holds_every_action_and_every_kind_of_record() {
    let (_, folder) = fixtures().pop().unwrap();
    let plan = parse_plan(plan_text(&folder).as_bytes(), "p").unwrap();
    let planned: BTreeSet<&str> = plan.operations.iter().map(|operation| operation.action.as_str()).collect();
    assert_eq!(planned, CATALOGUE.iter().map(|action| action.name()).collect());
    assert!(
        plan.steps.iter().any(|step| step.skipped.is_some()) && plan.steps.iter().any(|step| step.confirm.is_some())
    );
    let journal = read_journal(&std::fs::read(folder.join("journal.jsonl")).unwrap(), "j").unwrap();
    let kinds: BTreeSet<&str> = journal.records.iter().map(|record| kind(&record.entry)).collect();
    assert_eq!(kinds.len(), 15, "{kinds:?}");
}

/// A state folder with the run of a fixture, its documents changed.
pub fn state(
    folder: &std::path::Path,
    plan: impl Fn(String) -> String,
    journal: impl Fn(String) -> String,
) -> (TestEnvironment, String) {
    let test = TestEnvironment::new();
    let text = std::fs::read_to_string(folder.join("journal.jsonl")).unwrap();
    let run = read_journal(text.as_bytes(), "j").unwrap().run().unwrap().to_string();
    test.write(&format!("state/runs/{run}/plan.json"), &plan(plan_text(folder)));
    test.write(&format!("state/runs/{run}/journal.jsonl"), &journal(text));
    (test, run)
}

fn status(plan: impl Fn(String) -> String, journal: impl Fn(String) -> String) -> String {
    let (_, folder) = fixtures().remove(0);
    let (test, run) = state(&folder, plan, journal);
    let output = test.run(&["status", "--state", "state"]).to_string();
    output.replace(&run, "RUN").replace(&test.path().display().to_string(), "FOLDER")
}

#[test]
fn status_shows_runs_of_the_first_format() {
    insta::assert_snapshot!(status(|plan| plan, |journal| journal), @r"
    exit 0
    --- stdout
    Run RUN of every-action on lab: done
      began 2026-11-21 02:54:49 UTC, 60 records in its journal

      ✓ look                     assert                 1 of 1 done
      ✓ wait                     wait_for               1 of 1 done
      ✓ announce                 run                    1 of 1 done
      ✓ keep                     sql                    1 of 1 done
      ✓ back-up                  backup                 1 of 1 done
      ✓ recreate                 recreate_database      2 of 2 done
      ✓ clear-keeper             clear_keeper           1 of 1 done
      ✓ create-tables            create_replicated      6 of 6 done
      ✓ restore                  restore                4 of 4 done
      ✓ mark-clean               mark_migrations_clean  1 of 1 done
      ✓ verify                   verify                 2 of 2 done
      ✓ gated                    sql                    1 of 1 done
      ✓ checked                  sql                    1 of 1 done
      ✓ left-out                 run                    left out
    ");
}

#[test]
fn a_newer_plan_is_refused() {
    let newer = |plan: String| plan.replacen("\"format_version\": 1", "\"format_version\": 2", 1);
    insta::assert_snapshot!(status(newer, |journal| journal), @r"
    exit 1
    --- stderr
    error: state/runs/RUN/plan.json was written by a newer clickferry
      expected  plan format 1 or older
      found     format 2
      do this   use the version that made the plan, or plan again
    ");
    // Also where it has another shape altogether.
    insta::assert_snapshot!(status(|_| "{\"format_version\": 3, \"parts\": []}".to_owned(), |journal| journal), @r"
    exit 1
    --- stderr
    error: state/runs/RUN/plan.json was written by a newer clickferry
      expected  plan format 1 or older
      found     format 3
      do this   use the version that made the plan, or plan again
    ");
    // Within the version: what is not known is named, and not called a change by hand.
    let more = |plan: String| {
        plan.replacen("\"wave\": 0,", "\"wave\": 0, \"undo\": [{\"text\": \"x\"}],", 1)
            .replace("\"bafb4e76", "\"00000000")
    };
    insta::assert_snapshot!(status(more, |journal| journal), @r"
    exit 1
    --- stderr
    error: state/runs/RUN/plan.json holds more than this clickferry knows
      expected  a plan as clickferry 0.1.0 makes it
      found     /operations/0/undo, in a plan of clickferry 0.1.0
      do this   use the version that made the plan, or a newer one; or plan again
    ");
    let changed = |plan: String| plan.replacen("\"wave\": 0,", "\"wave\": 7,", 1);
    insta::assert_snapshot!(status(changed, |journal| journal), @r"
    exit 1
    --- stderr
    error: state/runs/RUN/plan.json was changed after it was saved
      expected  a plan whose digest fits its content
      found     another content
      do this   plan again; plans are not edited by hand, runbooks are
    ");
}

#[test]
fn a_newer_journal_is_refused() {
    let newer = |journal: String| journal.replacen("\"version\":1", "\"version\":2", 1);
    insta::assert_snapshot!(status(|plan| plan, newer), @r"
    exit 1
    --- stderr
    error: the journal was written by a newer clickferry
      expected  journal format 1 or older
      found     format 2 in state/runs/RUN/journal.jsonl
      see it    head -n 1 state/runs/RUN/journal.jsonl
      do this   use the version of clickferry that began the run, or a newer one
    ");
    // A kind of record that a later version added, chained as it should be.
    let added = |journal: String| {
        let last: serde_json::Value = serde_json::from_str(journal.lines().last().unwrap()).unwrap();
        let (seq, at, prev) = (last["seq"].as_u64().unwrap() + 1, &last["at"], &last["sum"]);
        let entry = r#"{"abandoned":{"operation":"keep/1"}}"#;
        let sum = sha256(format!("[{seq},{at},{entry},{prev}]").as_bytes());
        format!("{journal}{{\"seq\":{seq},\"at\":{at},\"entry\":{entry},\"prev\":{prev},\"sum\":\"{sum}\"}}\n")
    };
    insta::assert_snapshot!(status(|plan| plan, added), @r"
    exit 1
    --- stderr
    error: the journal holds a record that this clickferry does not know
      expected  records as clickferry 0.1.0 knows them
      found     line 61: unknown variant `abandoned` in state/runs/RUN/journal.jsonl; clickferry 0.1.0 wrote last
      see it    tail -n 5 state/runs/RUN/journal.jsonl
      do this   use the version of clickferry that wrote it, or a newer one
    ");
}

#[test]
fn the_journal_of_another_run_of_the_same_plan_is_refused() {
    let (_, folder) = fixtures().remove(0);
    let (test, run) = state(&folder, |plan| plan, |journal| journal);
    let runs = test.path().join("state/runs");
    std::fs::rename(runs.join(&run), runs.join("20270101-000000-0000")).unwrap();
    let output = test.run(&["status", "--state", "state"]).to_string();
    insta::assert_snapshot!(output.replace(&run, "RUN"), @r"
    exit 1
    --- stderr
    error: the journal is not of this run
      expected  the journal of run 20270101-000000-0000
      found     that of run RUN in state/runs/20270101-000000-0000/journal.jsonl
      see it    head -n 1 state/runs/20270101-000000-0000/journal.jsonl
      do this   bring back the run's own journal; nothing is carried on with another one
    ");
}

#[test]
fn numbers_that_json_easily_bends_do_not_break_a_digest() {
    let (_, folder) = fixtures().remove(0);
    let mut plan = parse_plan(plan_text(&folder).as_bytes(), "p").unwrap();
    let mut bits = 0x9E37_79B9_7F4A_7C15_u64;
    for operation in &mut plan.operations {
        bits = bits.rotate_left(7).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        operation.data = Data::of(&serde_json::json!([f64::from_bits(bits >> 2), 0.1 + 0.2, 5e-324, u64::MAX, -0.0]));
    }
    let plan: Plan = plan.sealed();
    let again = parse_plan(&serde_json::to_vec_pretty(&plan).unwrap(), "p").unwrap();
    assert!(again.is_intact());
}
