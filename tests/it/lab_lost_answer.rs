//! Every changing statement of every runbook, with its answer lost: the connection is cut when the node begins to
//! answer, as soon as it has the statement, or before.

use std::sync::{Arc, Mutex};

use crate::support::cases::{BACK, BUNDLED, Case, STEPS, remove};
use crate::support::cutter::{Cut, Cutter, way_to};
use crate::support::lab::NODES;
use crate::support::round::{Round, Taken};
use crate::support::scene::Scene;
use crate::support::{caught, knob, write_down};

/// Puts the ways to the nodes between the engine and them.
fn through(scene: &Scene, cutter: &Arc<Mutex<Cutter>>) {
    scene.environment(|text| {
        NODES.iter().fold(text, |text, node| {
            let url = scene.lab.node(node).unwrap().url;
            text.replace(&url, &way_to(&url, cutter))
        })
    });
}

/// The end of an undisturbed run, and how many changing statements it sends.
fn undisturbed(base: &Scene, case: &Case) -> (Vec<String>, usize) {
    let scene = base.next("calm");
    let cutter = Cutter::new();
    through(&scene, &cutter);
    let round = Round::new(&scene, case);
    Cutter::aim(&cutter, None);
    let ended = round.begin(|_| {});
    assert_eq!(ended.output.code, Some(0), "{}", ended.output);
    let end = round.end();
    round.ended_as(&end);
    remove(&scene);
    (end, Cutter::passed(&cutter).len())
}

/// Loses the answer to one statement; returns the statement's id and what it took to come to the end.
fn lost(base: &Scene, case: &Case, end: &[String], number: usize, cut: Cut) -> (String, Taken) {
    let scene = base.next("lost");
    let cutter = Cutter::new();
    through(&scene, &cutter);
    let round = Round::new(&scene, case);
    Cutter::aim(&cutter, Some((number, cut)));
    let first = round.begin(|_| {});
    let id = Cutter::passed(&cutter).get(number - 1).cloned().unwrap_or_default();
    if cut != Cut::Swallowed {
        assert!(matches!(first.output.code, Some(0 | 4)), "{id} {cut:?}: {}", first.output);
    }
    let taken = round.carry_on(first, |_| {});
    round.ended_as(end);
    remove(&scene);
    (id, taken)
}

/// Statements of a case, in these ways; `every` of 1 takes all of them.
fn all_of(base: &Scene, case: &Case, every: usize, cuts: &[Cut]) -> Vec<(String, Taken)> {
    let (end, statements) = undisturbed(base, case);
    assert!(statements > 0);
    let mut all = Vec::new();
    for number in (1..=statements).step_by(every) {
        for cut in cuts {
            let (id, taken) = lost(base, case, &end, number, *cut);
            assert!(!id.is_empty(), "{} sent less than {number} statements", case.name);
            all.push((format!("{cut:?} {id}"), taken));
        }
    }
    all
}

/// What is taken back by statements; a backup goes by requests to the bucket.
fn back() -> impl Iterator<Item = &'static Case> {
    BACK.iter().filter(|case| case.name != "undo-backup")
}

#[test]
fn an_answer_that_is_lost_is_asked_for_and_no_statement_is_sent_again() {
    let base = Scene::new("lost");
    for case in &BUNDLED {
        all_of(&base, case, if case.name == "standalone-to-replicated" { 13 } else { 4 }, &[Cut::Answer, Cut::Sent]);
    }
}

#[test]
fn an_answer_that_is_lost_on_the_way_back_is_asked_for_too() {
    let base = Scene::new("lostback");
    for case in back() {
        all_of(&base, case, if case.name == "undo-move" { 8 } else { 3 }, &[Cut::Answer, Cut::Late]);
    }
}

#[test]
fn a_statement_that_the_server_comes_to_late_is_not_sent_again() {
    let base = Scene::new("late");
    for case in [&STEPS, &BUNDLED[4]] {
        all_of(&base, case, 1, &[Cut::Late]);
    }
    all_of(&base, &BUNDLED[0], 11, &[Cut::Late]);
}

#[test]
fn a_statement_without_a_probe_whose_answer_is_lost_stops_for_a_person() {
    let base = Scene::new("unasked");
    let taken = all_of(&base, &STEPS, 1, &[Cut::Answer, Cut::Sent]);
    // One of the statements can be asked for by nothing, in both ways.
    let unknown: Vec<&str> = taken
        .iter()
        .filter(|(_, taken)| taken.unknown > 0)
        .map(|(id, _)| id.rsplit_once("unasked").unwrap().1)
        .collect();
    assert_eq!(unknown, ["-1-1", "-1-1"], "{taken:#?}");
}

#[test]
fn a_statement_that_never_arrived_is_sent_again_after_its_probe_said_so() {
    let base = Scene::new("swallowed");
    all_of(&base, &BUNDLED[0], 17, &[Cut::Swallowed]);
    all_of(&base, &STEPS, 3, &[Cut::Swallowed]);
}

/// All statements of all runbooks, in all ways; what was found is written down.
#[test]
#[ignore = "the whole torture takes long: make torture"]
fn whole_lost_answers() {
    let mut failures = Vec::new();
    for case in [&STEPS].into_iter().chain(BUNDLED.iter().rev()).chain(back()) {
        let base = Scene::alone("lost");
        let (end, statements) = undisturbed(&base, case);
        for cut in [Cut::Answer, Cut::Sent, Cut::Late, Cut::Swallowed] {
            let (mut tried, mut failed, mut sum) = (0, 0, Taken::default());
            for number in (knob("TORTURE_FROM")..=statements).step_by(knob("TORTURE_EVERY")) {
                tried += 1;
                match caught(|| lost(&base, case, &end, number, cut)) {
                    Ok((_, taken)) => {
                        sum.resumed += taken.resumed;
                        sum.unknown += taken.unknown;
                    }
                    Err(text) => {
                        failed += 1;
                        failures.push(format!("{} {number} {cut:?}: {text}", case.name));
                    }
                }
            }
            let (name, cut, Taken { resumed, unknown, .. }) = (case.name, format!("{cut:?}"), sum);
            let line = format!("{name:<26} {cut:<10} {tried:>6} {resumed:>7} {unknown:>7} {failed:>6}");
            write_down("lost.txt", &line);
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}
