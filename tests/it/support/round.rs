//! One disturbed run of a case: applied, disturbed, carried on with by the printed advice, and compared with an
//! undisturbed one.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;

use clickferry::engine::journal::{Entry, Record, read_journal};

use super::Output;
use super::cases::{Case, Disturbed};
use super::end_state::{Ids, differences, end_state, ids};
use super::node_log::{nothing_was_sent_twice, was_carried_out};
use super::scene::Scene;

/// Commands after which a run must have come to its end.
const MOST_COMMANDS: usize = 8;

/// A case, prepared and planned.
pub struct Round<'a> {
    pub scene: &'a Scene,
    before: Ids,
    command: Vec<String>,
    /// Runs that came to their end before the one that is disturbed.
    runs_before: usize,
}

/// What it took to come to the end.
#[derive(Clone, Debug, Default)]
pub struct Taken {
    /// Processes that were killed.
    pub killed: usize,
    /// Processes that carried on.
    pub resumed: usize,
    /// Runs that ended before their first record and were applied anew.
    pub anew: usize,
    /// Stops for a person.
    pub unknown: usize,
    /// Stops with an error after which nothing had taken effect.
    pub failed: usize,
}

impl<'a> Round<'a> {
    /// Makes the world and the plan.
    pub fn new(scene: &'a Scene, case: &Case) -> Self {
        let (runbook, parameters) = (case.prepare)(scene);
        let before = ids(scene);
        scene.mark();
        let parameters: Vec<&str> = parameters.iter().flat_map(|parameter| ["-p", parameter]).collect();
        let digest = scene.plan(&runbook, &parameters);
        let apply = ["apply", "plan.json", "--consent", &digest, "-e", "environment.yaml"];
        let mut round = Self { scene, before, command: apply.map(str::to_owned).to_vec(), runs_before: 0 };
        if case.command != Disturbed::Apply {
            let ended = round.begin(|_| {});
            assert_eq!(ended.output.code, Some(0), "{}", ended.output);
            round.turn_to(case.command);
        }
        round
    }

    /// What is disturbed is not the run that has just ended, but what is done with it.
    fn turn_to(&mut self, command: Disturbed) {
        let verb = if command == Disturbed::Undo { "undo" } else { "purge" };
        let (run, _) = self.last_run().unwrap();
        let shown = self.scene.cli(&[verb, &run, "--dry-run", "--format", "json"]);
        assert_eq!(shown.code, Some(2), "{shown}");
        let plan: serde_json::Value = serde_json::from_str(&shown.stdout).unwrap();
        let digest = &plan["digest"].as_str().unwrap()[..12];
        self.command = [verb, &run, "--consent", digest, "-e", "environment.yaml"].map(str::to_owned).to_vec();
        self.runs_before = self.scene.runs().len();
        self.scene.mark();
    }

    /// Begins the run, changed as `disturb` wants.
    pub fn begin(&self, disturb: impl FnOnce(&mut Command)) -> Ended {
        let words: Vec<&str> = self.command.iter().map(String::as_str).collect();
        self.run(&words, disturb)
    }

    fn run(&self, words: &[&str], disturb: impl FnOnce(&mut Command)) -> Ended {
        let mut command = self.scene.test.command(words);
        disturb(&mut command);
        let output = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let ended = Ended {
            killed: output.status.signal() == Some(9),
            output: Output { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) },
        };
        self.scene.holds_no_secret("the output", &ended.output.to_string());
        ended
    }

    /// Carries on as the program says, until the run is over. `disturb` may disturb the first `resume`.
    pub fn carry_on(&self, first: Ended, disturb: impl FnOnce(&mut Command)) -> Taken {
        let mut taken = Taken::default();
        let mut disturb = Some(disturb);
        let mut last = first;
        for _ in 0..MOST_COMMANDS {
            taken.killed += usize::from(last.killed);
            match last.output.code {
                Some(0) => return taken,
                None if last.killed => {}
                Some(4) => {
                    taken.unknown += 1;
                    self.answer(&last.output);
                }
                // Proven to have changed nothing, or a server that was not asked in time.
                Some(1) if last.output.stderr.contains("Carry on: clickferry resume") => taken.failed += 1,
                _ => panic!("an end that no torture may bring about:\n{}", last.output),
            }
            last = match self.last_run() {
                // Also where all is done and only the locks were not given back: nobody sees that from outside.
                Some((run, _)) => {
                    taken.resumed += 1;
                    let words = ["resume", &run, "-e", "environment.yaml"];
                    match disturb.take() {
                        Some(disturb) => self.run(&words, disturb),
                        None => self.run(&words, |_| {}),
                    }
                }
                None => {
                    taken.anew += 1;
                    let refused = self.run(&["resume", "-e", "environment.yaml"], |_| {});
                    assert_eq!(refused.output.code, Some(1), "nothing was begun:\n{}", refused.output);
                    self.begin(|_| {})
                }
            };
        }
        panic!("it does not come to its end:\n{}", last.output);
    }

    /// The latest run that has begun, with its records; one that was killed before its first record never began.
    fn last_run(&self) -> Option<(String, Vec<Record>)> {
        let mut begun =
            self.scene.runs().into_iter().skip(self.runs_before).map(|folder| (records_of(&folder), folder));
        let (records, folder) = begun.rfind(|(records, _)| !records.is_empty())?;
        Some((folder.file_name().unwrap().to_str().unwrap().to_owned(), records))
    }

    /// Does what a person would do who was told that an outcome is unknown: looks, and says how it ended.
    fn answer(&self, output: &Output) {
        let text = &output.stderr;
        for told in text.split("outcome unknown: ").skip(1) {
            let operation = told.split_whitespace().next().unwrap();
            if !operation.contains('/') {
                continue;
            }
            let (run, records) = self.last_run().unwrap();
            let id = records.iter().rev().find_map(|record| match &record.entry {
                Entry::Intent { operation: of, query_id, .. } if of.as_str() == operation => Some(query_id.clone()),
                _ => None,
            });
            let id = id.unwrap_or_else(|| panic!("{operation} is told to be unknown and has no intent:\n{output}"));
            for word in ["expected  ", "found     ", "see it    ", "do this   "] {
                assert!(told.contains(word), "without `{}`:\n{output}", word.trim());
            }
            assert!(told.contains("clickferry resolve"), "it is not said how to answer:\n{output}");
            let is_done = match operation.split('/').next().unwrap() {
                "command-unasked" => self.scene.test.path().join("made/unasked.txt").exists(),
                _ => {
                    assert!(told.contains(&id), "the evidence does not name {id}:\n{output}");
                    was_carried_out(self.scene, &id).unwrap_or(false)
                }
            };
            let verdict = if is_done { "--done" } else { "--not-done" };
            let words = ["resolve", &run, operation, verdict, "--reason", "looked", "-e", "environment.yaml"];
            let resolved = self.run(&words, |_| {});
            assert_eq!(resolved.output.code, Some(0), "{output}\n{}", resolved.output);
        }
    }

    /// The end is that of the undisturbed run, and nothing was sent twice to get there.
    pub fn ended_as(&self, undisturbed: &[String]) {
        let (_, records) = self.last_run().unwrap();
        let verdicts: Vec<&Entry> = records
            .iter()
            .map(|record| &record.entry)
            .filter(|entry| matches!(entry, Entry::Finished { .. }))
            .collect();
        assert!(
            matches!(verdicts[..], [Entry::Finished { verdict }] if verdict == "done"),
            "the journal does not end well: {verdicts:?}"
        );
        nothing_was_sent_twice(self.scene, &records);
        let differences = differences(undisturbed, &self.end());
        assert!(differences.is_empty(), "the end differs from that of an undisturbed run:\n{}", differences.join("\n"));
    }

    /// The end, for others to be compared with.
    pub fn end(&self) -> Vec<String> {
        end_state(self.scene, &self.before)
    }
}

/// How a command ended.
pub struct Ended {
    pub killed: bool,
    pub output: Output,
}

/// The whole records of a journal that may be torn or not there.
fn records_of(folder: &Path) -> Vec<Record> {
    std::fs::read(folder.join("journal.jsonl"))
        .ok()
        .and_then(|bytes| read_journal(&bytes, "").ok())
        .unwrap_or_default()
        .records
}
