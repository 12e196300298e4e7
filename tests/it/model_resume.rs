//! Resuming against a model: made-up histories, and the real engine killed at every boundary of a world in memory.

use std::collections::BTreeSet;
use std::sync::Arc;

use clickferry::engine::cancel::Cancelled;
use clickferry::engine::journal::read_journal;
use clickferry::engine::resume::{OperationState, RunState, run_state};
use clickferry::model::ids::RunId;
use clickferry::plan::plan_file::Plan;
use proptest::prelude::*;

use crate::support::model::history::{Historian, state_told_by, text_of};
use crate::support::model::process::{End, cancel, process};
use crate::support::model::world::{Disturbance, Fate, World};
use crate::support::model::{Dice, StepShape, plan_of};

fn shapes() -> impl Strategy<Value = Vec<StepShape>> {
    let operations = prop::collection::vec((0..3_u32, 0..3_u8), 0..6);
    let step = (prop::bool::weighted(0.1), prop::bool::weighted(0.2), prop::bool::weighted(0.2), operations);
    let step = step.prop_map(|(skipped, confirm, no_return, operations)| StepShape {
        skipped,
        confirm,
        no_return,
        operations,
    });
    prop::collection::vec(step, 1..4)
}

fn fates() -> impl Strategy<Value = Vec<Fate>> {
    let fate = prop_oneof![
        3 => Just(Fate::Fine),
        1 => Just(Fate::NotSent),
        1 => Just(Fate::LostDone),
        1 => Just(Fate::LostNot),
        1 => (0..3_u8, any::<bool>()).prop_map(|(probes, lands)| Fate::Slow(probes, lands)),
        1 => (0..2_u8, any::<bool>()).prop_map(|(probes, lands)| Fate::Untold(probes, lands)),
        1 => (1..3_u8).prop_map(Fate::Late),
    ];
    // Fewer failures than attempts.
    prop::collection::vec(fate, 0..3)
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

fn read(plan: &Plan, journal: &[u8]) -> RunState {
    run_state(plan, &read_journal(journal, "j").unwrap()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_cut_of_every_history_is_read_as_what_it_proves(shapes in shapes(), seed: u64, most in 2..40_usize) {
        let plan = plan_of("p", &shapes);
        let mut historian = Historian::of(&plan, "run", Dice(seed), most);
        if seed.is_multiple_of(3) {
            historian.take_back();
        }
        let (records, journal) = (&historian.records, historian.journal());
        let mut dice = Dice(seed);
        let mut written = 0;
        for count in 1..=records.len() {
            let (told, begun) = (state_told_by(&plan, &records[..count]), written);
            written = text_of(&records[..count]).len();
            prop_assert_eq!(&read(&plan, &journal[..written]), &told);
            for (operation, state) in &told.operations {
                let is_there = historian.effects[count - 1].contains(operation);
                // Done is never said of what did not happen, nor that nothing did of what did.
                prop_assert!(!matches!(state, OperationState::Done(_)) || is_there);
                let is_outstanding = matches!(state, OperationState::Outstanding { .. });
                prop_assert!(!is_outstanding || !is_there);
            }
            // A torn record says nothing; cut off, the rest of the history fits behind it.
            let torn = &journal[..begun + 1 + dice.below(written - begun - 1)];
            let cut = read_journal(torn, "j").unwrap();
            prop_assert_eq!(cut.records.len(), count - 1);
            prop_assert_eq!(usize::try_from(cut.intact_bytes).unwrap(), begun);
            let mended = [&torn[..begun], &text_of(&records[count - 1..])].concat();
            prop_assert_eq!(&read(&plan, &mended), &read(&plan, &journal));
        }
    }

    #[test]
    fn the_engine_carries_on_from_any_cut_of_any_history(
        shapes in shapes(), fates in prop::collection::vec(fates(), 6), seed: u64, most in 2..40_usize
    ) {
        let plan = plan_of("p", &shapes);
        let historian = Historian::of(&plan, "run", Dice(seed), most);
        let journal = historian.journal();
        let first = text_of(&historian.records[..1]).len();
        let cut = first + Dice(seed).below(journal.len() - first + 1);
        let whole = read_journal(&journal[..cut], "j").unwrap().records.len();
        let world = World::new(plan.clone());
        {
            let mut inner = world.inner();
            let run = RunId::from("run");
            inner.runs.push(run.clone());
            inner.documents.insert((run.clone(), "journal.jsonl".to_owned()), journal[..cut].to_vec());
            inner.documents.insert((run, "plan.json".to_owned()), serde_json::to_vec(&plan).unwrap());
            inner.effects = historian.effects[whole - 1].iter().cloned().collect();
            for (operation, state) in state_told_by(&plan, &historian.records[..whole]).operations {
                inner.owed.insert(operation, matches!(state, OperationState::Lost { .. }));
            }
            for (operation, fates) in plan.operations.iter().zip(fates) {
                inner.fates.insert(operation.id.clone(), fates);
            }
        }
        block_on(to_the_end(&world, Vec::new()));
        check_end(&world, None);
    }

    #[test]
    fn the_engine_killed_and_stopped_at_random_comes_to_the_undisturbed_end(
        shapes in shapes(),
        fates in prop::collection::vec(fates(), 12),
        seed: u64,
        disturbances in prop::collection::vec((1..60_u64, any::<bool>()), 1..6),
    ) {
        let case = Case { plan: plan_of("p", &shapes), fates, seed };
        let undisturbed = case.world();
        block_on(to_the_end(&undisturbed, Vec::new()));
        let end = check_end(&undisturbed, None);
        let world = case.world();
        let kind = |(at, kill)| (at, if kill { Disturbance::Kill } else { Disturbance::Stop });
        block_on(to_the_end(&world, disturbances.into_iter().map(kind).collect()));
        check_end(&world, Some(&end));
    }
}

#[derive(Clone)]
struct Case {
    plan: Plan,
    fates: Vec<Vec<Fate>>,
    seed: u64,
}

impl Case {
    fn world(&self) -> Arc<World> {
        let world = World::new(self.plan.clone());
        let mut inner = world.inner();
        inner.dice = Some(Dice(self.seed));
        for (operation, fates) in self.plan.operations.iter().zip(&self.fates) {
            inner.fates.insert(operation.id.clone(), fates.clone());
        }
        drop(inner);
        world
    }
}

/// Processes, one after the other, each disturbed as listed and then not at all, until the run is over.
async fn to_the_end(world: &Arc<World>, disturbances: Vec<(u64, Disturbance)>) {
    let most = disturbances.len() + 40;
    let mut disturbances = disturbances.into_iter();
    for _ in 0..most {
        match process(world, disturbances.next()).await {
            End::Done => return,
            End::Killed | End::Failed(_) => {}
        }
    }
    panic!("no end after {most} processes: {:#?}", world.records().last());
}

/// What is left in the end: every operation took effect once, and is known to be done with what it proved.
fn check_end(world: &World, undisturbed: Option<&RunState>) -> RunState {
    let records = world.records();
    let inner = world.inner();
    assert_eq!(inner.violations, Vec::<String>::new());
    let planned: BTreeSet<_> = world.plan.operations.iter().map(|operation| operation.id.clone()).collect();
    assert_eq!(inner.effects.len(), planned.len(), "an effect twice, or none: {:?}", inner.effects);
    assert_eq!(inner.effects.iter().cloned().collect::<BTreeSet<_>>(), planned);
    let state = state_told_by(&world.plan, &records);
    assert_eq!(state.finished.as_deref(), Some("done"));
    let journal = read_journal(&text_of(&records), "j").unwrap();
    assert_eq!(run_state(&world.plan, &journal).unwrap(), state);
    if let Some(undisturbed) = undisturbed {
        assert_eq!(state, *undisturbed);
    }
    state
}

/// Plans with everything in them, their statements meeting every fate.
fn cases() -> Vec<Case> {
    let step = |confirm, operations: &[(u32, u8)]| StepShape {
        confirm,
        operations: operations.to_vec(),
        ..StepShape::default()
    };
    let skipped = StepShape { skipped: true, ..StepShape::default() };
    vec![
        Case {
            plan: plan_of("line", &[step(true, &[(0, 0), (0, 0)]), skipped, step(false, &[(0, 0)])]),
            fates: Vec::new(),
            seed: 1,
        },
        Case {
            plan: plan_of("lanes", &[step(false, &[(0, 0), (0, 1), (1, 0), (0, 1)]), step(false, &[(0, 0)])]),
            fates: vec![vec![Fate::LostDone], vec![Fate::Slow(2, true)], vec![Fate::LostNot]],
            seed: 2,
        },
        Case {
            plan: plan_of("trouble", &[step(false, &[(0, 0), (0, 1)]), step(true, &[(0, 0)])]),
            fates: vec![vec![Fate::NotSent, Fate::LostNot], vec![Fate::Untold(1, true)], vec![Fate::Slow(1, false)]],
            seed: 3,
        },
        Case {
            plan: plan_of("late", &[step(false, &[(0, 0), (0, 1)]), step(false, &[(0, 0)])]),
            fates: vec![vec![Fate::Late(1)], vec![Fate::Late(3)], vec![Fate::Late(2)]],
            seed: 4,
        },
    ]
}

/// Boundaries that the undisturbed run passes, and how it ends.
async fn undisturbed(case: &Case) -> (u64, RunState) {
    let world = case.world();
    let mut passed = 0;
    for _ in 0..9 {
        let end = process(&world, None).await;
        passed += world.inner().passed;
        if matches!(end, End::Done) {
            break;
        }
    }
    (passed, check_end(&world, None))
}

#[test]
fn the_engine_killed_at_any_boundary_comes_to_the_undisturbed_end() {
    block_on(async {
        for case in cases() {
            let (boundaries, end) = undisturbed(&case).await;
            assert!(boundaries > 40, "{boundaries}");
            for at in 1..=boundaries {
                for kind in [Disturbance::Kill, Disturbance::Stop] {
                    let world = case.world();
                    to_the_end(&world, vec![(at, kind)]).await;
                    check_end(&world, Some(&end));
                }
            }
        }
    });
}

#[test]
fn the_engine_killed_again_while_it_resumes_comes_to_the_undisturbed_end() {
    block_on(async {
        for case in cases() {
            let (boundaries, end) = undisturbed(&case).await;
            for first in (1..=boundaries).step_by(7) {
                for second in (1..=boundaries).step_by(5) {
                    let world = case.world();
                    to_the_end(&world, vec![(first, Disturbance::Kill), (second, Disturbance::Kill)]).await;
                    check_end(&world, Some(&end));
                }
            }
        }
    });
}

/// A statement on its way when its engine was killed, of the step behind one whose outcomes its probe needs.
#[test]
fn what_a_killed_engine_left_is_found_out_by_cancel_with_what_earlier_steps_proved() {
    block_on(async {
        let step = |operations: &[(u32, u8)]| StepShape { operations: operations.to_vec(), ..StepShape::default() };
        let plan = plan_of("cancelled", &[step(&[(0, 0)]), step(&[(0, 0)])]);
        let case = Case { plan, fates: vec![Vec::new(), vec![Fate::Late(2)]], seed: 1 };
        let (boundaries, _) = undisturbed(&case).await;
        let mut found = 0;
        for at in 1..=boundaries {
            let world = case.world();
            process(&world, Some((at, Disturbance::Kill))).await;
            let is_lost = |world: &World| {
                let state = state_told_by(&world.plan, &world.records());
                state.operations.values().any(|state| matches!(state, OperationState::Lost { .. }))
            };
            if world.records().is_empty() || !is_lost(&world) {
                continue;
            }
            found += 1;
            let ended = cancel(&world).await.unwrap_or_else(|failure| panic!("{at}: {failure:?}"));
            assert!(matches!(ended, Cancelled::Ended(_)), "{ended:?}");
            assert_eq!(world.inner().violations, Vec::<String>::new(), "{at}");
        }
        assert!(found > 3, "{found}");
    });
}
