//! Every bundled runbook, killed at every point where something durable or changing happens. The short form takes
//! points spread evenly; `make torture` takes all.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use crate::support::cases::{BACK, BUNDLED, Case, STEPS, remove};
use crate::support::round::{Round, Taken};
use crate::support::scene::Scene;
use crate::support::{caught, knob, root, write_down};

const POINTS: &str = "CLICKFERRY_TORTURE_POINTS";
const KILL_AT: &str = "CLICKFERRY_TORTURE_KILL_AT";

/// An undisturbed run: its points by name, and its end.
struct Undisturbed {
    points: Vec<String>,
    end: Vec<String>,
}

fn undisturbed(base: &Scene, case: &Case) -> Undisturbed {
    let scene = base.next("calm");
    let round = Round::new(&scene, case);
    let file = scene.test.path().join("points");
    let ended = round.begin(|command| {
        command.env(POINTS, &file);
    });
    assert_eq!(ended.output.code, Some(0), "{}", ended.output);
    let end = round.end();
    round.ended_as(&end);
    assert!(end.len() > 4, "{end:#?}");
    let points = names(&file);
    remove(&scene);
    Undisturbed { points, end }
}

fn names(file: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(file).expect("the program was built without the feature `torture`");
    text.lines().map(|line| line.split_once('\t').unwrap().1.to_owned()).collect()
}

/// Kills at a point, and the first `resume` at another one, where one is given; then lets it come to its end.
fn killed(base: &Scene, case: &Case, calm: &Undisturbed, at: usize, again: Option<usize>) -> (Taken, Vec<String>) {
    let scene = base.next("killed");
    let round = Round::new(&scene, case);
    let file = scene.test.path().join("points");
    let kill = |at: usize| {
        let file = file.clone();
        move |command: &mut Command| {
            command.env(KILL_AT, at.to_string()).env(POINTS, &file);
        }
    };
    let first = round.begin(kill(at));
    let mut points = vec![names(&file).pop().unwrap_or_default()];
    std::fs::remove_file(&file).unwrap();
    let taken = match again {
        Some(again) => round.carry_on(first, kill(again)),
        None => round.carry_on(first, |_| {}),
    };
    if again.is_some() && taken.killed > 1 {
        points.push(names(&file).pop().unwrap_or_default());
    }
    round.ended_as(&calm.end);
    remove(&scene);
    (taken, points)
}

/// Where the first `resume` of a double kill is killed: all of its first records and statements, one after the other.
fn second(at: usize) -> usize {
    at % 17 + 1
}

#[test]
fn runbooks_killed_at_points_spread_evenly_end_as_if_nothing_had_happened() {
    let base = Scene::new("torture");
    // Points per case; the move has ten times as many points as the others.
    let samples = [8, 3, 2, 2, 2, 4, 3, 1, 1, 1, 1];
    for (turn, (case, sample)) in BUNDLED.iter().chain([&STEPS]).chain(&BACK).zip(samples).enumerate() {
        let calm = undisturbed(&base, case);
        let step = calm.points.len() as f64 / f64::from(sample);
        for part in 0..sample {
            // Another offset for every runbook, so that the same kind of point is not hit in all of them.
            let at = ((f64::from(part) + (turn as f64 * 0.37 + 0.21) % 1.0) * step) as usize + 1;
            let again = (part % 2 == 1).then(|| second(at));
            let (taken, points) = killed(&base, case, &calm, at, again);
            assert!(taken.killed > 0, "{} was not killed at {at} {points:?}: {taken:?}", case.name);
        }
    }
}

/// All points of a case; what was found is written down, point by point and in the end.
fn whole(case: &Case) {
    let log = format!("{}.log", case.name);
    let _ = std::fs::remove_file(root().join("target/torture").join(&log));
    let base = Scene::alone("torture");
    let calm = undisturbed(&base, case);
    let (from, every) = (knob("TORTURE_FROM"), knob("TORTURE_EVERY"));
    write_down(&log, &format!("{} points, every {every} from {from} on", calm.points.len()));
    let mut sum = Taken::default();
    let (mut tried, mut doubled) = (0, 0);
    let mut failures: BTreeMap<usize, String> = BTreeMap::new();
    for (turn, at) in (from..=calm.points.len()).step_by(every).enumerate() {
        // A sample of the points is taken once more, with the `resume` killed too.
        let ways = if turn % 5 == 4 { vec![None, Some(second(at))] } else { vec![None] };
        for again in ways {
            tried += 1;
            match caught(|| killed(&base, case, &calm, at, again)) {
                Ok((taken, points)) => {
                    write_down(&log, &format!("{at} {points:?}: {taken:?}"));
                    doubled += usize::from(taken.killed > 1);
                    sum.killed += taken.killed;
                    sum.resumed += taken.resumed;
                    sum.anew += taken.anew;
                    sum.unknown += taken.unknown;
                    sum.failed += taken.failed;
                }
                Err(text) => {
                    write_down(&log, &format!("{at} {:?} then {again:?}: FAILED {text}", calm.points[at - 1]));
                    failures.insert(at, text);
                }
            }
        }
    }
    let Taken { killed, resumed, anew, unknown, failed } = sum;
    write_down(
        "killed.txt",
        &format!(
            "{:<26} {:>6} {tried:>6} {killed:>6} {doubled:>6} {resumed:>7} {anew:>5} {unknown:>7} {failed:>6} {:>6}",
            case.name,
            calm.points.len(),
            failures.len()
        ),
    );
    assert!(failures.is_empty(), "{} of {tried} rounds failed; {failures:#?}", failures.len());
}

#[test]
#[ignore = "the whole torture takes long: make torture"]
fn whole_standalone_to_replicated() {
    whole(&BUNDLED[0]);
}

#[test]
#[ignore = "the whole torture takes long: make torture"]
fn whole_restore_same_engine() {
    whole(&BUNDLED[1]);
}

#[test]
#[ignore = "the whole torture takes long: make torture"]
fn whole_clean_replicas() {
    whole(&BUNDLED[2]);
}

#[test]
#[ignore = "the whole torture takes long: make torture"]
fn whole_mark_migration_clean() {
    whole(&BUNDLED[3]);
}

#[test]
#[ignore = "the whole torture takes long: make torture"]
fn whole_backup() {
    whole(&BUNDLED[4]);
}

#[test]
#[ignore = "the whole torture takes long: make torture"]
fn whole_steps() {
    whole(&STEPS);
}

#[test]
#[ignore = "the whole torture takes long: make torture"]
fn whole_undo_and_purge() {
    BACK.iter().for_each(whole);
}
