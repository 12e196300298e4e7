//! What every place for state promises, asked of each of them.

use std::sync::Arc;

use clickferry::engine::ports::{Life, LockGuard, StateError, StateStore};
use clickferry::model::ids::RunId;
use futures_util::future::join_all;

use crate::support::states::{BucketPlace, FolderPlace, Place, holder};

macro_rules! conformance {
    ($($name:ident),* $(,)?) => {
        mod folder {
            use super::*;
            $(#[tokio::test] async fn $name() { super::$name(&FolderPlace::start()).await; })*
        }
        mod s3 {
            use super::*;
            $(#[tokio::test] async fn $name() { super::$name(&BucketPlace::start()).await; })*
        }
    };
}

conformance!(
    runs_are_made_once_and_listed_in_order,
    documents_are_replaced_and_listed,
    nothing_outside_of_a_run_can_be_reached,
    missing_things_are_named,
    records_are_read_back_in_order_by_every_process,
    a_number_is_written_once_and_none_is_left_out,
    a_torn_last_record_is_cut_off_and_the_journal_goes_on,
    nothing_is_cut_off_inside_of_a_record,
    nothing_is_written_without_the_lock_for_this_very_run,
    a_request_is_left_without_the_lock_and_nothing_else_is,
    one_holds_the_lock_and_others_are_told_who,
    of_many_who_want_the_lock_at_once_one_gets_it,
    a_writer_whose_lock_was_taken_away_cannot_append_another_record,
    a_writer_that_read_the_journal_after_its_lock_was_taken_away_cannot_append_behind_it,
    of_two_writers_the_journal_holds_one_history,
);

/// A state with its lock taken for a run that exists.
async fn begun(place: &dyn Place, run: &str) -> (Arc<dyn StateStore>, RunId, Box<dyn LockGuard>) {
    let (state, run) = (place.open(), RunId::from(run));
    let guard = state.lock(&holder(run.as_str())).await.unwrap();
    state.create_run(&run).await.unwrap();
    (state, run, guard)
}

fn line(number: u64) -> Vec<u8> {
    format!("{{\"seq\":{number},\"text\":\"{}\"}}\n", "x".repeat(usize::try_from(number % 40).unwrap())).into_bytes()
}

fn is_lost<T: std::fmt::Debug>(result: Result<T, StateError>) {
    assert!(matches!(&result, Err(StateError::LockLost { .. })), "{result:?}");
}

async fn journal(state: &dyn StateStore, run: &RunId) -> String {
    String::from_utf8(state.get(run, "journal.jsonl").await.unwrap()).unwrap()
}

async fn runs_are_made_once_and_listed_in_order(place: &dyn Place) {
    assert!(place.open().runs().await.unwrap().is_empty());
    for name in ["b", "a", "c"] {
        let (.., guard) = begun(place, name).await;
        guard.release().await;
    }
    let names: Vec<String> = place.open().runs().await.unwrap().into_iter().map(|run| run.0).collect();
    assert_eq!(names, ["a", "b", "c"]);
    let state = place.open();
    let _guard = state.lock(&holder("a")).await.unwrap();
    let error = state.create_run(&RunId::from("a")).await.unwrap_err();
    assert!(matches!(error, StateError::Io { .. }), "{error}");
    assert!(error.to_string().contains("creating run a failed"), "{error}");
    assert_eq!(journal(&*state, &RunId::from("a")).await, "");
}

async fn documents_are_replaced_and_listed(place: &dyn Place) {
    let (state, run, _guard) = begun(place, "run-1").await;
    for (name, content) in [("plan.json", "one"), ("plan.json", "two"), ("exports/keeper/1.json", "three")] {
        state.put(&run, name, content.as_bytes()).await.unwrap();
    }
    state.append(&run, 1, b"12345\n").await.unwrap();
    state.append(&run, 2, b"789\n").await.unwrap();
    let other = place.open();
    assert_eq!(other.get(&run, "plan.json").await.unwrap(), b"two");
    assert_eq!(other.get(&run, "exports/keeper/1.json").await.unwrap(), b"three");
    let listed = other.documents(&run).await.unwrap();
    let listed: Vec<(&str, u64)> = listed.iter().map(|document| (document.name.as_str(), document.size)).collect();
    assert_eq!(listed, [("exports/keeper/1.json", 5), ("journal.jsonl", 10), ("plan.json", 3)]);
}

async fn nothing_outside_of_a_run_can_be_reached(place: &dyn Place) {
    let (state, run, guard) = begun(place, "run-1").await;
    for name in ["", "..", "../x", "a/../../x", "/etc/passwd", "a/", "./a", "a\0b"] {
        let error = state.put(&run, name, b"x").await.unwrap_err();
        assert!(matches!(error, StateError::Io { .. }), "{name:?}: {error}");
        assert!(state.get(&run, name).await.is_err(), "{name:?}");
    }
    let error = state.put(&run, "journal.jsonl", b"x").await.unwrap_err().to_string();
    assert!(error.contains("only ever appended to"), "{error}");
    guard.release().await;
    for id in ["", "..", ".hidden", "a/b"] {
        let guard = state.lock(&holder(id)).await.unwrap();
        let error = state.create_run(&RunId::from(id)).await.unwrap_err().to_string();
        assert!(error.contains("is not a run id"), "{error}");
        guard.release().await;
    }
}

async fn missing_things_are_named(place: &dyn Place) {
    let (state, run) = (place.open(), RunId::from("run-1"));
    let missing = |error: StateError| match error {
        StateError::Missing { what, .. } => what,
        other => panic!("{other}"),
    };
    assert_eq!(missing(state.get(&run, "plan.json").await.unwrap_err()), "run run-1");
    assert_eq!(missing(state.get(&run, "journal.jsonl").await.unwrap_err()), "run run-1");
    assert_eq!(missing(state.documents(&run).await.unwrap_err()), "run run-1");
    let _guard = state.lock(&holder("run-1")).await.unwrap();
    assert_eq!(missing(state.put(&run, "plan.json", b"").await.unwrap_err()), "run run-1");
    state.create_run(&run).await.unwrap();
    assert_eq!(missing(state.get(&run, "plan.json").await.unwrap_err()), "plan.json of run run-1");
    assert_eq!(journal(&*state, &run).await, "");
}

async fn records_are_read_back_in_order_by_every_process(place: &dyn Place) {
    let (state, run, _guard) = begun(place, "run-1").await;
    let mut expected = Vec::new();
    for number in 1..=120 {
        state.append(&run, number, &line(number)).await.unwrap();
        expected.extend(line(number));
        // Durable when it returns: whoever reads now finds it.
        if number % 40 == 0 {
            assert_eq!(place.open().get(&run, "journal.jsonl").await.unwrap(), expected);
        }
    }
    assert_eq!(state.get(&run, "journal.jsonl").await.unwrap(), expected);
}

async fn a_number_is_written_once_and_none_is_left_out(place: &dyn Place) {
    for wrong in [1, 2, 4, 40] {
        let name = format!("run-{wrong}");
        let (state, run, guard) = begun(place, &name).await;
        for number in 1..=2 {
            state.append(&run, number, &line(number)).await.unwrap();
        }
        guard.release().await;
        // A process that has not written here before.
        let state = place.open();
        let guard = state.lock(&holder(&name)).await.unwrap();
        is_lost(state.append(&run, wrong, b"{\"another\":0}\n").await);
        // And after that nothing, not even what would be right.
        assert!(state.append(&run, 3, &line(3)).await.is_err());
        guard.release().await;
        assert_eq!(journal(&*place.open(), &run).await.into_bytes(), [line(1), line(2)].concat());
    }
    let (state, run, _guard) = begun(place, "run-of-its-own").await;
    is_lost(state.append(&run, 2, &line(2)).await);
}

async fn a_torn_last_record_is_cut_off_and_the_journal_goes_on(place: &dyn Place) {
    let (state, run, guard) = begun(place, "run-1").await;
    state.append(&run, 1, b"{\"seq\":1}\n").await.unwrap();
    state.append(&run, 2, b"{\"seq\":2}\n").await.unwrap();
    guard.release().await;
    place.tear(&run, 2, "{\"se");
    // Another process carries on.
    let again = place.open();
    let guard = again.lock(&holder("run-1")).await.unwrap();
    assert_eq!(journal(&*again, &run).await, "{\"seq\":1}\n{\"seq\":2}\n{\"se");
    // Behind half a record nothing is appended: the two would run together.
    is_lost(again.append(&run, 3, b"{\"seq\":3}\n").await);
    guard.release().await;
    let again = place.open();
    let _guard = again.lock(&holder("run-1")).await.unwrap();
    again.truncate(&run, 20).await.unwrap();
    again.append(&run, 3, b"{\"seq\":3}\n").await.unwrap();
    assert_eq!(journal(&*place.open(), &run).await, "{\"seq\":1}\n{\"seq\":2}\n{\"seq\":3}\n");
}

async fn nothing_is_cut_off_inside_of_a_record(place: &dyn Place) {
    let (state, run, _guard) = begun(place, "run-1").await;
    state.append(&run, 1, b"{\"seq\":1}\n").await.unwrap();
    state.append(&run, 2, b"{\"seq\":2}\n").await.unwrap();
    for length in [5, 19, 21, 1000] {
        let error = state.truncate(&run, length).await.unwrap_err();
        assert!(matches!(error, StateError::Io { .. }), "{length}: {error}");
    }
    assert_eq!(journal(&*state, &run).await, "{\"seq\":1}\n{\"seq\":2}\n");
    state.append(&run, 3, b"{\"seq\":3}\n").await.unwrap();
}

async fn nothing_is_written_without_the_lock_for_this_very_run(place: &dyn Place) {
    let (state, run, guard) = begun(place, "run-1").await;
    state.append(&run, 1, &line(1)).await.unwrap();
    let writes = async |state: &dyn StateStore| {
        is_lost(state.create_run(&RunId::from("run-2")).await);
        is_lost(state.put(&run, "plan.json", b"x").await);
        is_lost(state.append(&run, 2, &line(2)).await);
        is_lost(state.truncate(&run, 0).await);
    };
    writes(&*place.open()).await;
    guard.release().await;
    writes(&*state).await;
    let _other = state.lock(&holder("run-3")).await.unwrap();
    writes(&*state).await;
    assert_eq!(state.runs().await.unwrap(), std::slice::from_ref(&run));
    assert_eq!(journal(&*state, &run).await.into_bytes(), line(1));
}

async fn a_request_is_left_without_the_lock_and_nothing_else_is(place: &dyn Place) {
    let (state, run, _guard) = begun(place, "run-1").await;
    let other = place.open();
    for content in ["stop", "stop now"] {
        other.leave(&run, "requests/cancel.json", content.as_bytes()).await.unwrap();
        assert_eq!(state.get(&run, "requests/cancel.json").await.unwrap(), content.as_bytes());
    }
    for name in ["plan.json", "journal.jsonl", "requests/../plan.json", "elsewhere.json"] {
        let error = other.leave(&run, name, b"x").await.unwrap_err();
        assert!(matches!(error, StateError::Io { .. }), "{name}: {error}");
    }
    assert!(matches!(other.leave(&RunId::from("x"), "requests/a", b"").await, Err(StateError::Missing { .. })));
    // The holder takes it back.
    state.put(&run, "requests/cancel.json", b"").await.unwrap();
    assert_eq!(other.get(&run, "requests/cancel.json").await.unwrap(), b"");
}

async fn one_holds_the_lock_and_others_are_told_who(place: &dyn Place) {
    let (state, other) = (place.open(), place.open());
    assert_eq!(other.holder().await.unwrap(), None);
    let guard = state.lock(&holder("first")).await.unwrap();
    assert!(guard.is_held());
    let held = other.holder().await.unwrap().unwrap();
    assert_eq!(held.holder, holder("first"));
    assert!(matches!(held.life, Life::Process | Life::Renewed { at: Some(_), .. }), "{:?}", held.life);
    let Err(StateError::Locked { holder: found, .. }) = other.lock(&holder("second")).await else { panic!() };
    assert_eq!(found, holder("first"));
    // The lock of somebody else is nobody's to remove.
    assert!(matches!(other.remove_lock(&holder("second")).await, Err(StateError::Locked { .. })));
    assert!(guard.is_held());
    guard.release().await;
    assert!(!guard.is_held());
    assert_eq!(other.holder().await.unwrap(), None);
    let second = other.lock(&holder("second")).await.unwrap();
    // What is left of the first must not touch the second's.
    guard.release().await;
    drop(guard);
    assert!(second.is_held());
    let Err(StateError::Locked { holder: found, .. }) = state.lock(&holder("third")).await else { panic!() };
    assert_eq!(found, holder("second"));
}

async fn of_many_who_want_the_lock_at_once_one_gets_it(place: &dyn Place) {
    for _ in 0..5 {
        let tries = (0..8).map(|number| {
            let state = place.open();
            async move { state.lock(&holder(&format!("run-{number}"))).await }
        });
        let (mut got, mut told) = (Vec::new(), Vec::new());
        for result in join_all(tries).await {
            match result {
                Ok(guard) => got.push(guard),
                Err(StateError::Locked { holder, .. }) => told.push(holder.run),
                Err(other) => panic!("{other}"),
            }
        }
        assert_eq!(got.len(), 1);
        let held = place.open().holder().await.unwrap().unwrap().holder.run;
        assert!(told.iter().all(|run| *run == held), "{held}: {told:?}");
        got.remove(0).release().await;
    }
}

async fn a_writer_whose_lock_was_taken_away_cannot_append_another_record(place: &dyn Place) {
    // Before its first record, and in the middle.
    for written in [0, 3] {
        let (state, run, guard) = begun(place, &format!("run-{written}")).await;
        let mut expected = Vec::new();
        for number in 1..=written {
            state.append(&run, number, &line(number)).await.unwrap();
            expected.extend(line(number));
        }
        place.take_away(&holder(run.as_str())).await;
        // Nobody has the lock now, and nobody has written since: there is nothing but the fence in its way.
        is_lost(state.append(&run, written + 1, &line(written + 1)).await);
        assert_eq!(place.open().get(&run, "journal.jsonl").await.unwrap(), expected);
        guard.release().await;
        // Another engine has nothing in its way.
        let next = place.open();
        let guard = next.lock(&holder(run.as_str())).await.unwrap();
        next.append(&run, written + 1, &line(99)).await.unwrap();
        guard.release().await;
    }
}

async fn a_writer_that_read_the_journal_after_its_lock_was_taken_away_cannot_append_behind_it(place: &dyn Place) {
    let (state, run, guard) = begun(place, "run-1").await;
    state.append(&run, 1, &line(1)).await.unwrap();
    guard.release().await;
    // It takes the lock to carry on, and sleeps before it reads.
    let sleeper = place.open();
    let _lost = sleeper.lock(&holder("run-1")).await.unwrap();
    place.take_away(&holder("run-1")).await;
    let other = place.open();
    let guard = other.lock(&holder("run-1")).await.unwrap();
    other.append(&run, 2, &line(2)).await.unwrap();
    other.append(&run, 3, &line(3)).await.unwrap();
    guard.release().await;
    // What it reads is the end, and its number is free. It has no right to it any more.
    assert_eq!(sleeper.get(&run, "journal.jsonl").await.unwrap(), [line(1), line(2), line(3)].concat());
    is_lost(sleeper.append(&run, 4, &line(4)).await);
    assert_eq!(place.open().get(&run, "journal.jsonl").await.unwrap(), [line(1), line(2), line(3)].concat());
}

async fn of_two_writers_the_journal_holds_one_history(place: &dyn Place) {
    let (first, run, _lost) = begun(place, "run-1").await;
    first.append(&run, 1, &line(1)).await.unwrap();
    place.take_away(&holder("run-1")).await;
    let second = place.open();
    let guard = second.lock(&holder("run-1")).await.unwrap();
    let (one, two) =
        tokio::join!(first.append(&run, 2, b"{\"of\":\"first\"}\n"), second.append(&run, 2, b"{\"of\":\"second\"}\n"));
    is_lost(one);
    two.unwrap();
    second.append(&run, 3, b"{\"of\":\"second\"}\n").await.unwrap();
    is_lost(first.append(&run, 3, b"{\"of\":\"first\"}\n").await);
    assert_eq!(
        journal(&*place.open(), &run).await.into_bytes(),
        [line(1), b"{\"of\":\"second\"}\n".to_vec(), b"{\"of\":\"second\"}\n".to_vec()].concat()
    );
    guard.release().await;
}
