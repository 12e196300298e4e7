//! `state ls`, `pull`, `push` and `repair`, on runs that are made up.

use std::path::{Path, PathBuf};

use clickferry::engine::journal::{Entry, Record};
use clickferry::engine::resume::statements_digest;
use clickferry::model::ids::RunId;
use clickferry::plan::plan_file::Plan;
use clickferry_lab::{FaultKind, S3Fault};
use jiff::Timestamp;

use crate::support::large_plan::large_plan;
use crate::support::states::BucketPlace;
use crate::support::{Output, TestEnvironment};

const RUN: &str = "20261120-223700-4f2a";
const SECOND: &str = "20261121-090000-aaaa";

/// Files of a test with a state folder, and beside it the laboratory's S3.
struct States {
    test: TestEnvironment,
    place: BucketPlace,
}

impl States {
    /// `bucket.yaml` is an environment whose state is in the bucket.
    fn new() -> Self {
        let (test, place) = (TestEnvironment::new(), BucketPlace::start());
        test.write("key", "key");
        test.write("secret", "secret");
        test.write("bucket.yaml", &environment(&place.binding()));
        test.write("folder.yaml", &environment("{ directory: state }"));
        Self { test, place }
    }

    fn cli(&self, arguments: &[&str]) -> Output {
        self.test.run(arguments)
    }

    fn done(&self, arguments: &[&str]) -> Output {
        let output = self.cli(arguments);
        assert_eq!(output.code, Some(0), "{output}");
        output
    }

    /// A run in a state folder, so many records long.
    fn run(&self, state: &str, run: &str, records: usize) -> PathBuf {
        let folder = self.test.path().join(state).join("runs").join(run);
        std::fs::create_dir_all(folder.join("outputs")).unwrap();
        let plan = plan();
        std::fs::write(folder.join("plan.json"), serde_json::to_vec_pretty(&plan).unwrap()).unwrap();
        std::fs::write(folder.join("environment.yaml"), "# read from /nowhere/environment.yaml\n").unwrap();
        std::fs::write(folder.join("outputs/one.txt"), b"\xffbytes\n").unwrap();
        std::fs::write(folder.join("journal.jsonl"), journal(&plan, run, &entries(&plan, run)[..records])).unwrap();
        folder
    }

    /// While it lives, snapshots hold names for what differs from run to run.
    fn filters(&self) -> insta::internals::SettingsBindDropGuard {
        let mut settings = insta::Settings::clone_current();
        settings.add_filter(&self.test.path().display().to_string(), "FOLDER");
        settings.add_filter(r"\S+:FOLDER", "HOST:FOLDER");
        settings.add_filter(r"by \S+@\S+", "by USER@HOST");
        settings.add_filter(r#""by": "[^"]+""#, r#""by": "USER@HOST""#);
        settings.add_filter(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", "WHEN");
        settings.add_filter(r"\d{4}-\d\d-\d\dT[0-9:.]+Z", "WHEN");
        settings.add_filter(r"\b[0-9.]+ KiB", "SIZE");
        settings.add_filter(r#""bytes": \d+"#, r#""bytes": SIZE"#);
        settings.bind_to_scope()
    }
}

fn environment(state: &str) -> String {
    format!(
        "apiVersion: clickferry/v1\nkind: Environment\nmetadata: {{ name: staging }}\n\
         targets: {{ server: {{ hosts: [{{ url: \"http://127.0.0.1:9\" }}] }} }}\nstate: {state}\n"
    )
}

fn plan() -> Plan {
    large_plan(2, 2)
}

/// A run that has begun three of its operations.
fn entries(plan: &Plan, run: &str) -> Vec<Entry> {
    let mut entries = vec![Entry::Started {
        version: 1,
        run: RunId::from(run),
        plan: plan.digest.clone(),
        tool: "0.0.0".to_owned(),
        owner: "me@here".to_owned(),
        consent: "typed".to_owned(),
    }];
    for operation in &plan.operations[..3] {
        entries.push(Entry::Intent {
            operation: operation.id.clone(),
            attempt: 1,
            query_id: "q".to_owned(),
            statements: statements_digest(operation),
            data: serde_json::Value::Null,
        });
        entries.push(Entry::Outcome {
            operation: operation.id.clone(),
            attempt: 1,
            kind: clickferry::engine::journal::OutcomeKind::Done,
            data: serde_json::Value::Null.into(),
            error: None,
        });
    }
    entries.push(Entry::Stopped { reason: format!("the end of {}", plan.runbook) });
    entries
}

fn journal(plan: &Plan, run: &str, entries: &[Entry]) -> Vec<u8> {
    let (mut text, mut prev) = (Vec::new(), String::new());
    for (entry, seq) in entries.iter().zip(1..) {
        let record = Record::new(seq, Timestamp::UNIX_EPOCH, entry.clone(), &prev);
        prev.clone_from(&record.sum);
        text.extend(serde_json::to_vec(&record).unwrap());
        text.push(b'\n');
    }
    assert!(!plan.operations.is_empty() && !run.is_empty());
    text
}

/// Everything below a folder but the marks and locks, with its content.
fn content(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = crate::support::lab::files_below(folder);
    files.sort();
    let is_document = |file: &PathBuf| !file.ends_with("elsewhere.json");
    let named = |file: PathBuf| (file.strip_prefix(folder).unwrap().to_owned(), std::fs::read(&file).unwrap());
    files.into_iter().filter(is_document).map(named).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_of_a_folder_move_to_a_bucket_and_a_copy_comes_back() {
    let states = States::new();
    let folder = states.run("state", RUN, 7);
    states.run("state", SECOND, 3);
    let before = content(&folder);
    let _filters = states.filters();
    insta::assert_snapshot!(states.cli(&["state", "ls", "-e", "folder.yaml"]), @"
    exit 0
    --- stdout
    State FOLDER/state
      nobody holds the lock

      20261120-223700-4f2a  open        7 records  SIZE in 4 documents  many-tables on staging
      20261121-090000-aaaa  open        3 records  SIZE in 4 documents  many-tables on staging
    ");
    insta::assert_snapshot!(states.cli(&["state", "push", "state", "-e", "bucket.yaml"]), @"
    exit 0
    --- stdout
    Run 20261120-223700-4f2a lives in s3://states/team/production now: 7 records, 3 documents.
    Run 20261121-090000-aaaa lives in s3://states/team/production now: 3 records, 3 documents.
    ");
    insta::assert_snapshot!(states.cli(&["state", "ls", "-e", "bucket.yaml"]), @"
    exit 0
    --- stdout
    State s3://states/team/production
      nobody holds the lock

      20261120-223700-4f2a  open        7 records  SIZE in 5 documents  many-tables on staging
      20261121-090000-aaaa  open        3 records  SIZE in 5 documents  many-tables on staging
    ");
    insta::assert_snapshot!(states.cli(&["state", "ls", "-e", "folder.yaml"]), @"
    exit 0
    --- stdout
    State FOLDER/state
      nobody holds the lock

      20261120-223700-4f2a  open        7 records  SIZE in 5 documents  many-tables on staging
        moved to s3://states/team/production
      20261121-090000-aaaa  open        3 records  SIZE in 5 documents  many-tables on staging
        moved to s3://states/team/production
    ");
    insta::assert_snapshot!(states.cli(&["state", "pull", RUN, "copy", "-e", "bucket.yaml"]), @"
    exit 0
    --- stdout
    Run 20261120-223700-4f2a is copied to FOLDER/copy: 7 records, 3 documents.
    It lives where it lived; look at the copy with `--state copy`.
    ");
    assert_eq!(content(&states.test.path().join("copy/runs").join(RUN)), before);
    insta::assert_snapshot!(states.cli(&["state", "ls", "--state", "copy", "--format", "json"]), @r#"
    exit 0
    --- stdout
    {
      "version": 1,
      "place": "FOLDER/copy",
      "lock": null,
      "runs": [
        {
          "run": "20261120-223700-4f2a",
          "state": "open",
          "records": 7,
          "bytes": SIZE,
          "documents": 5,
          "runbook": "many-tables",
          "environment": "staging",
          "elsewhere": {
            "version": 1,
            "why": "copied",
            "lives": "s3://states/team/production",
            "at": "WHEN",
            "by": "USER@HOST"
          }
        }
      ]
    }
    "#);
    // The same again changes nothing.
    insta::assert_snapshot!(states.cli(&["state", "pull", RUN, "copy", "-e", "bucket.yaml"]), @"
    exit 0
    --- stdout
    Run 20261120-223700-4f2a is copied to FOLDER/copy: all 7 records were there already.
    It lives where it lived; look at the copy with `--state copy`.
    ");
    // And back: it lives in the folder again.
    insta::assert_snapshot!(states.cli(&["state", "push", "bucket.yaml", "--run", RUN, "-e", "folder.yaml"]), @"
    exit 0
    --- stdout
    Run 20261120-223700-4f2a lives in FOLDER/state now: all 7 records were there already.
    ");
    insta::assert_snapshot!(states.cli(&["state", "ls", "-e", "folder.yaml"]), @"
    exit 0
    --- stdout
    State FOLDER/state
      nobody holds the lock

      20261120-223700-4f2a  open        7 records  SIZE in 5 documents  many-tables on staging
      20261121-090000-aaaa  open        3 records  SIZE in 5 documents  many-tables on staging
        moved to s3://states/team/production
    ");
    insta::assert_snapshot!(states.cli(&["state", "ls", "-e", "bucket.yaml"]), @"
    exit 0
    --- stdout
    State s3://states/team/production
      nobody holds the lock

      20261120-223700-4f2a  open        7 records  SIZE in 5 documents  many-tables on staging
        moved to HOST:FOLDER/state
      20261121-090000-aaaa  open        3 records  SIZE in 5 documents  many-tables on staging
    ");
    insta::assert_snapshot!(states.cli(&["status", RUN, "-e", "bucket.yaml"]), @"
    exit 0
    --- stdout
    Run 20261120-223700-4f2a of many-tables on staging: open
      began WHEN, 7 records in its journal

      ✓ recreate                 recreate_database      2 of 2 done
      … create-tables            create_replicated      1 of 4 done
        restore                  restore                0 of 2 done
        verify                   verify                 0 of 2 done

      Next: clickferry resume 20261120-223700-4f2a -e bucket.yaml
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_later_is_added_and_no_history_is_written_over_another() {
    let states = States::new();
    states.run("early", RUN, 3);
    states.done(&["state", "push", "early", "-e", "bucket.yaml"]);
    // More of the same history, for example after the move back and a resume.
    states.run("late", RUN, 6);
    let _filters = states.filters();
    insta::assert_snapshot!(states.cli(&["state", "push", "late", "-e", "bucket.yaml", "--format", "json"]), @r#"
    exit 0
    --- stdout
    {
      "version": 1,
      "from": "FOLDER/late",
      "to": "s3://states/team/production",
      "runs": [
        {
          "run": "20261120-223700-4f2a",
          "records": 6,
          "records_there_before": 3,
          "documents": 3,
          "torn_bytes": 0,
          "was_ahead": false
        }
      ]
    }
    "#);
    // Less of it.
    states.run("stale", RUN, 2);
    insta::assert_snapshot!(states.cli(&["state", "push", "stale", "-e", "bucket.yaml"]), @"
    exit 0
    --- stdout
    Run 20261120-223700-4f2a lives in s3://states/team/production now: 6 records are there already, 2 here; nothing was copied.
    ");
    // Another one from record 5 on.
    let other = states.run("other", RUN, 4);
    let mut entries = entries(&plan(), RUN)[..4].to_vec();
    entries.push(Entry::Stopped { reason: "another end".to_owned() });
    std::fs::write(other.join("journal.jsonl"), journal(&plan(), RUN, &entries)).unwrap();
    insta::assert_snapshot!(states.cli(&["state", "push", "other", "-e", "bucket.yaml"]), @"
    exit 3
    --- stderr
    refused: run 20261120-223700-4f2a in s3://states/team/production has another history
      expected  the beginning of the run in FOLDER/other, or nothing
      found     another record 5 under the same run id
      see it    clickferry status 20261120-223700-4f2a, at both places
      do this   find out which of them went on with the servers; no history is written over another
    ");
    // Another plan.
    let other = states.run("planned", RUN, 3);
    let another = large_plan(3, 2);
    std::fs::write(other.join("plan.json"), serde_json::to_vec(&another).unwrap()).unwrap();
    std::fs::write(other.join("journal.jsonl"), journal(&another, RUN, &self::entries(&another, RUN)[..3])).unwrap();
    let refused = states.cli(&["state", "push", "planned", "-e", "bucket.yaml"]);
    assert_eq!(refused.code, Some(3), "{refused}");
    assert!(refused.stderr.contains("another plan under the same run id"), "{refused}");
    // A pull is no way around it.
    let refused = states.cli(&["state", "pull", RUN, "other", "-e", "bucket.yaml"]);
    assert_eq!(refused.code, Some(3), "{refused}");
    states.done(&["state", "pull", RUN, "copy", "-e", "bucket.yaml"]);
    let kept = std::fs::read(states.test.path().join("copy/runs").join(RUN).join("journal.jsonl")).unwrap();
    assert_eq!(kept, journal(&plan(), RUN, &self::entries(&plan(), RUN)[..6]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_goes_through_one_file_and_a_copy_needs_a_word_to_become_the_run() {
    let states = States::new();
    states.run("state", RUN, 5);
    states.done(&["state", "push", "state", "-e", "bucket.yaml"]);
    let _filters = states.filters();
    insta::assert_snapshot!(states.cli(&["state", "pull", RUN, "run.json", "-e", "bucket.yaml"]), @"
    exit 0
    --- stdout
    Run 20261120-223700-4f2a is copied to FOLDER/run.json: 5 records, 3 documents.
    It lives where it lived; `clickferry state push run.json` brings the copy into a state.
    ");
    insta::assert_snapshot!(states.cli(&["state", "pull", RUN, "run.json", "-e", "bucket.yaml"]), @"
    exit 3
    --- stderr
    refused: FOLDER/run.json is there already
      expected  a file that does not exist
      found     a file
      see it    ls -l FOLDER/run.json
      do this   name another file; nothing is written over
    ");
    // To a third place, while the run lives in the bucket.
    insta::assert_snapshot!(states.cli(&["state", "push", "run.json", "--state", "third"]), @"
    exit 3
    --- stderr
    refused: run 20261120-223700-4f2a in FOLDER/run.json is not the one to move
      expected  a run that lives there, or in FOLDER/third
      found     a copy of s3://states/team/production
      see it    clickferry state ls, with the state s3://states/team/production
      do this   push it from s3://states/team/production; where that place is gone for good, add `--instead-of s3://states/team/production`: then nobody may ever carry on with it there
    ");
    let wrong = states.cli(&["state", "push", "run.json", "--state", "third", "--instead-of", "s3://elsewhere"]);
    assert_eq!(wrong.code, Some(3), "{wrong}");
    assert!(!states.test.path().join("third/runs").exists());
    let place = "s3://states/team/production";
    insta::assert_snapshot!(states.cli(&["state", "push", "run.json", "--state", "third", "--instead-of", place]), @"
    exit 0
    --- stdout
    Run 20261120-223700-4f2a lives in FOLDER/third now: 5 records, 3 documents.
    ");
    let text = std::fs::read_to_string(states.test.path().join("run.json")).unwrap();
    states.test.write("changed.json", &text.replacen("typed", "Typed", 1));
    insta::assert_snapshot!(states.cli(&["state", "push", "changed.json", "--state", "fourth"]), @"
    exit 1
    --- stderr
    error: FOLDER/changed.json cannot be read: journal.jsonl was changed: its digest does not fit
      do this   name a file made by `state pull`
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_copy_is_completed_and_taken_for_nothing_else() {
    let states = States::new();
    states.run("state", RUN, 7);
    // The store fails in the middle of the journal.
    states.place.store.set_fault(Some(S3Fault::new(FaultKind::Status(403)).method("PUT").path("/journal/").after(3)));
    let failed = states.cli(&["state", "push", "state", "-e", "bucket.yaml"]);
    assert_eq!(failed.code, Some(1), "{failed}");
    states.place.store.set_fault(None);
    let _filters = states.filters();
    insta::assert_snapshot!(states.cli(&["state", "ls", "-e", "bucket.yaml"]), @"
    exit 0
    --- stdout
    State s3://states/team/production
      nobody holds the lock

      20261120-223700-4f2a  unreadable  -  SIZE in 2 documents
        not complete: it is being copied from HOST:FOLDER/state
    ");
    insta::assert_snapshot!(states.cli(&["status", RUN, "-e", "bucket.yaml"]), @"
    exit 1
    --- stderr
    error: plan.json of run 20261120-223700-4f2a is not in the state s3://states/team/production
      see it    clickferry runs
      do this   `clickferry runs` lists what is there
    ");
    // Still where it was.
    assert!(!states.done(&["state", "ls", "-e", "folder.yaml"]).stdout.contains("moved"));
    insta::assert_snapshot!(states.cli(&["state", "push", "state", "-e", "bucket.yaml"]), @"
    exit 0
    --- stdout
    Run 20261120-223700-4f2a lives in s3://states/team/production now: 7 records, of which 3 were there already.
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_last_record_is_cut_off_with_consent_for_its_bytes_and_nothing_else_is() {
    let states = States::new();
    let path = states.run("state", RUN, 4).join("journal.jsonl");
    let whole = std::fs::read(&path).unwrap();
    let repair = ["state", "repair", RUN, "-e", "folder.yaml"];
    let _filters = states.filters();
    insta::assert_snapshot!(states.cli(&repair), @"
    exit 0
    --- stdout
    Run 20261120-223700-4f2a is whole: 4 whole records. There is nothing to repair.
    ");
    std::fs::write(&path, [&whole[..], b"{\"seq\":5,\"at\":\"20"].concat()).unwrap();
    insta::assert_snapshot!(states.cli(&repair), @r#"
    exit 3
    --- stdout
    Run 20261120-223700-4f2a has 4 whole records, and behind them 17 bytes of a record that was being written when its process died:
      {"seq":5,"at":"20
    Nothing was started on its account.
    --- stderr
    refused: the torn last record of run 20261120-223700-4f2a was not cut off
      expected  --cut-torn 17, or 17 typed at a terminal
      found     no consent
      see it    clickferry state repair 20261120-223700-4f2a -e folder.yaml
      do this   `clickferry resume` cuts it off by itself, too; nothing was changed
    "#);
    insta::assert_snapshot!(states.cli(&[&repair[..], &["--format", "json"]].concat()), @r#"
    exit 3
    --- stdout
    {
      "version": 1,
      "run": "20261120-223700-4f2a",
      "records": 4,
      "torn_bytes": 17,
      "cut_bytes": null,
      "damage": []
    }
    --- stderr
    refused: the torn last record of run 20261120-223700-4f2a was not cut off
      expected  --cut-torn 17, or 17 typed at a terminal
      found     no consent
      see it    clickferry state repair 20261120-223700-4f2a -e folder.yaml
      do this   `clickferry resume` cuts it off by itself, too; nothing was changed
    "#);
    insta::assert_snapshot!(states.cli(&[&repair[..], &["--cut-torn", "16"]].concat()), @r#"
    exit 3
    --- stdout
    Run 20261120-223700-4f2a has 4 whole records, and behind them 17 bytes of a record that was being written when its process died:
      {"seq":5,"at":"20
    Nothing was started on its account.
    --- stderr
    refused: the journal of run 20261120-223700-4f2a is not as it was agreed to
      expected  a torn last record of 16 bytes
      found     17 torn bytes
      see it    clickferry state repair 20261120-223700-4f2a
      do this   look at it again; nothing was cut
    "#);
    insta::assert_snapshot!(states.cli(&[&repair[..], &["--cut-torn", "17"]].concat()), @r#"
    exit 0
    --- stdout
    Run 20261120-223700-4f2a has 4 whole records, and behind them 17 bytes of a record that was being written when its process died:
      {"seq":5,"at":"20
    Nothing was started on its account.
    17 torn bytes are cut off. Run 20261120-223700-4f2a is whole: 4 whole records.
    "#);
    assert_eq!(std::fs::read(&path).unwrap(), whole);
    let mut damaged = whole.clone();
    damaged[whole.len() / 2] ^= 1;
    std::fs::write(&path, &damaged).unwrap();
    let refused = states.cli(&[&repair[..], &["--cut-torn", "0"]].concat());
    assert_eq!(refused.code, Some(1), "{refused}");
    assert!(refused.stderr.contains("the journal is damaged"), "{refused}");
    assert_eq!(std::fs::read(&path).unwrap(), damaged);
    std::fs::write(&path, &whole).unwrap();
    std::fs::remove_file(path.with_file_name("plan.json")).unwrap();
    insta::assert_snapshot!(states.cli(&repair), @"
    exit 1
    --- stdout
    Run 20261120-223700-4f2a is damaged.
    --- stderr
    error: the plan of run 20261120-223700-4f2a cannot be read
      expected  the plan that the journal was written for
      found     there is none
      see it    FOLDER/state/runs/20261120-223700-4f2a/plan.json
      do this   where the run was being copied, copy it again; else bring back an undamaged copy, or look at the servers and plan anew
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_record_in_a_bucket_is_cut_off_too() {
    let states = States::new();
    states.run("state", RUN, 4);
    states.done(&["state", "push", "state", "-e", "bucket.yaml"]);
    std::fs::write(states.place.object(&format!("runs/{RUN}/journal/0000000005")), "{\"seq\":5").unwrap();
    let repair = ["state", "repair", RUN, "-e", "bucket.yaml"];
    let told = states.cli(&repair);
    assert_eq!(told.code, Some(3), "{told}");
    let repaired = states.done(&[&repair[..], &["--cut-torn", "8"]].concat());
    assert!(repaired.stdout.contains("8 torn bytes are cut off"), "{repaired}");
    assert!(states.done(&repair).stdout.contains("nothing to repair"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_that_cannot_be_reached_or_used_is_told() {
    let states = States::new();
    states.run("state", RUN, 3);
    let _filters = states.filters();
    states.place.store.set_fault(Some(S3Fault::new(FaultKind::IgnoreConditions)));
    insta::assert_snapshot!(states.cli(&["state", "push", "state", "-e", "bucket.yaml"]), @"
    exit 3
    --- stderr
    refused: the state s3://states/team/production cannot be locked
      expected  it refuses to create an object that exists (If-None-Match: *), with status 412
      found     the same object was created twice, the second over the first
      do this   two engines could not be kept apart here; keep the state in a store that honours conditional writes, or in a folder (`state: { directory: ... }`)
    ");
    states.place.store.set_fault(None);
    states.test.write("secret", "another");
    let denied = states.cli(&["state", "ls", "-e", "bucket.yaml"]);
    assert_eq!(denied.code, Some(1), "{denied}");
    assert!(denied.stderr.contains("refused the keys for bucket states"), "{denied}");
    std::fs::remove_file(states.test.path().join("secret")).unwrap();
    insta::assert_snapshot!(states.cli(&["state", "ls", "-e", "bucket.yaml"]), @"
    exit 1
    --- stderr
    error: the secret key of the state cannot be read
      expected  a value in file secret
      found     FOLDER/secret: No such file or directory (os error 2)
      see it    ls -l secret
      do this   provide the secret there, or name another source in the environment file
    ");
    let both = states.test.write("both.yaml", &environment("{ directory: a, s3: {} }"));
    assert_eq!(states.cli(&["validate", both.to_str().unwrap()]).code, Some(1));
}
