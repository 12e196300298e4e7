//! State in a bucket: locks that time out, answers that are lost, a store that ignores conditions.

use std::sync::Arc;
use std::time::Duration;

use clickferry::engine::ports::{Life, StateError, StateStore};
use clickferry::model::ids::RunId;
use clickferry_lab::{FaultKind, S3Fault};

use crate::support::states::{BucketPlace, Place, holder};

/// Short enough to wait for, long enough for a busy machine to renew it.
const SHORT: Duration = Duration::from_secs(3);

fn run() -> RunId {
    RunId::from("run-1")
}

/// Asks for the lock until it is given, or until its holder was seen to live.
async fn insist(state: &dyn StateStore, run: &str) -> Result<Box<dyn clickferry::engine::ports::LockGuard>, String> {
    loop {
        match state.lock(&holder(run)).await {
            Ok(guard) => return Ok(guard),
            Err(StateError::Locked { is_alive: false, .. }) => tokio::time::sleep(Duration::from_millis(100)).await,
            Err(StateError::Locked { holder, is_alive: true, .. }) => return Err(holder.run),
            Err(other) => panic!("{other}"),
        }
    }
}

async fn journal(state: &dyn StateStore) -> String {
    String::from_utf8(state.get(&run(), "journal.jsonl").await.unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_living_holder_keeps_its_lock_for_longer_than_the_lock_lives() {
    let place = BucketPlace::start();
    let state = place.open_with(SHORT);
    let guard = state.lock(&holder("run-1")).await.unwrap();
    assert_eq!(insist(&place.open_with(SHORT), "run-2").await.err().unwrap(), "run-1");
    tokio::time::sleep(SHORT * 2).await;
    assert!(guard.is_held());
    state.create_run(&run()).await.unwrap();
    state.append(&run(), 1, b"1\n").await.unwrap();
    assert_eq!(insist(&place.open_with(SHORT), "run-2").await.err().unwrap(), "run-1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_that_slept_through_the_life_of_its_lock_wakes_up_to_a_journal_it_cannot_write() {
    let place = BucketPlace::start();
    let sleeper = Arc::new(place.open_with(SHORT));
    // Its heartbeat ends with its runtime, as that of a stopped process does.
    let (own, runtime) = (Arc::clone(&sleeper), tokio::runtime::Runtime::new().unwrap());
    let work = async move {
        let guard = own.lock(&holder("run-1")).await.unwrap();
        own.create_run(&run()).await.unwrap();
        own.append(&run(), 1, b"1\n").await.unwrap();
        guard
    };
    let guard = runtime.spawn(work).await.unwrap();
    runtime.shutdown_background();
    let other: Arc<dyn StateStore> = Arc::new(place.open_with(SHORT));
    let _new = insist(&*other, "run-2").await.ok().unwrap();
    let Err(StateError::LockLost { reason, .. }) = sleeper.append(&run(), 2, b"2\n").await else { panic!() };
    assert!(reason.contains("was not renewed for"), "{reason}");
    assert!(!guard.is_held());
    assert_eq!(journal(&*other).await, "1\n");
}

#[tokio::test]
async fn the_fence_holds_back_a_writer_that_still_believes_in_its_lock_whoever_comes_next() {
    let place = BucketPlace::start();
    let believer = place.open();
    let guard = believer.lock(&holder("run-1")).await.unwrap();
    believer.create_run(&run()).await.unwrap();
    believer.append(&run(), 1, b"1\n").await.unwrap();
    // Three others take the lock in turn, for runs of their own; none of them writes to this one.
    for other in ["run-1", "run-2", "run-3"] {
        let state = place.open();
        place.take_away(&holder(other)).await;
        let next = format!("run-{}", other[4..].parse::<u32>().unwrap() + 1);
        let _left = state.lock(&holder(&next)).await.unwrap();
    }
    assert!(guard.is_held(), "its clock tells it nothing");
    let Err(StateError::LockLost { reason, .. }) = believer.append(&run(), 2, b"2\n").await else { panic!() };
    assert!(reason.contains("the lock was taken over by run run-4"), "{reason}");
    assert!(!guard.is_held(), "now it knows");
    // The run can be carried on by whoever gets the lock properly.
    place.take_away(&holder("run-4")).await;
    let last = place.open();
    let _guard = last.lock(&holder("run-1")).await.unwrap();
    assert_eq!(journal(&*last).await, "1\n");
    last.append(&run(), 2, b"two\n").await.unwrap();
    assert_eq!(journal(&*place.open()).await, "1\ntwo\n");
}

#[tokio::test]
async fn an_engine_that_has_not_begun_its_run_is_fenced_too() {
    let place = BucketPlace::start();
    let late = place.open();
    let _late = late.lock(&holder("run-1")).await.unwrap();
    place.take_away(&holder("run-1")).await;
    // No run has begun, so none is listed.
    assert!(place.open().runs().await.unwrap().is_empty());
    // It does not know yet, and makes its run; but the run never begins.
    late.create_run(&run()).await.unwrap();
    let error = late.append(&run(), 1, b"1\n").await.unwrap_err();
    assert!(matches!(error, StateError::LockLost { .. }), "{error}");
    assert_eq!(journal(&*place.open()).await, "");
}

#[tokio::test]
async fn a_record_whose_answer_is_lost_is_there_once() {
    let place = BucketPlace::start();
    let state = place.open();
    let _guard = state.lock(&holder("run-1")).await.unwrap();
    state.create_run(&run()).await.unwrap();
    for (number, kind) in (1..).zip([
        FaultKind::LoseAnswer,
        FaultKind::Cut,
        FaultKind::Status(503),
        FaultKind::Status(500),
        FaultKind::LoseAnswer,
    ]) {
        place.store.set_fault(Some(S3Fault::new(kind).method("PUT").path("/journal/").times(1)));
        state.append(&run(), number, format!("{number}\n").as_bytes()).await.unwrap();
        assert_eq!(place.store.observe().0, None, "the fault was met");
    }
    // Also where the question for it is lost.
    place.store.set_fault(Some(S3Fault::new(FaultKind::LoseAnswer).path("/journal/").times(2)));
    state.append(&run(), 6, b"6\n").await.unwrap();
    assert_eq!(journal(&*place.open()).await, "1\n2\n3\n4\n5\n6\n");
}

#[tokio::test]
async fn a_lock_whose_answers_are_lost_is_taken_and_given_back() {
    let place = BucketPlace::start();
    let state = place.open();
    for kind in [FaultKind::LoseAnswer, FaultKind::Cut] {
        place.store.set_fault(Some(S3Fault::new(kind).method("PUT").path("production/lock").times(1)));
        let guard = state.lock(&holder("run-1")).await.unwrap();
        assert_eq!(place.store.observe().0, None);
        place.store.set_fault(Some(S3Fault::new(kind).method("PUT").path("production/lock").times(1)));
        guard.release().await;
        assert_eq!(place.store.observe().0, None);
        assert_eq!(place.open().holder().await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_record_that_may_still_arrive_is_fenced_off_by_the_next_holder() {
    let place = BucketPlace::start();
    let state = place.open();
    let guard = state.lock(&holder("run-1")).await.unwrap();
    state.create_run(&run()).await.unwrap();
    state.append(&run(), 1, b"1\n").await.unwrap();
    place.store.set_fault(Some(S3Fault::new(FaultKind::Cut).path("/journal/")));
    let error = state.append(&run(), 2, b"2\n").await.unwrap_err();
    assert!(matches!(error, StateError::Io { .. }), "{error}");
    place.store.set_fault(None);
    // It cannot be told whether it will arrive: nothing more is written, and the lock says whom to fence.
    assert!(matches!(state.append(&run(), 2, b"2\n").await, Err(StateError::LockLost { .. })));
    guard.release().await;
    let other = place.open();
    let _guard = other.lock(&holder("run-2")).await.unwrap();
    // The late record finds its number taken.
    assert!(place.object("runs/run-1/journal/0000000002").exists());
    assert_eq!(journal(&*other).await, "1\n");
}

#[tokio::test]
async fn a_store_that_ignores_conditions_is_refused_and_nothing_is_locked() {
    let place = BucketPlace::start();
    place.store.set_fault(Some(S3Fault::new(FaultKind::IgnoreConditions)));
    for _ in 0..2 {
        let Err(StateError::Unfit { expected, found, .. }) = place.open().lock(&holder("run-1")).await else {
            panic!()
        };
        assert!(expected.contains("If-None-Match"), "{expected}");
        assert!(found.contains("created twice"), "{found}");
    }
    assert!(!place.object("lock").exists());
    assert!(matches!(place.open().remove_lock(&holder("run-1")).await, Err(StateError::Unfit { .. })));
    place.store.set_fault(Some(S3Fault::new(FaultKind::Status(501)).method("PUT")));
    assert!(matches!(place.open().lock(&holder("run-1")).await, Err(StateError::Io { .. } | StateError::Unfit { .. })));
    // The same store, honest again.
    place.store.set_fault(None);
    assert!(place.open().lock(&holder("run-1")).await.is_ok());
}

#[tokio::test]
async fn records_are_fetched_once_and_many_at_a_time() {
    let place = BucketPlace::start();
    let state = place.open();
    let _guard = state.lock(&holder("run-1")).await.unwrap();
    state.create_run(&run()).await.unwrap();
    let mut expected = String::new();
    for number in 1..=1200 {
        let line = format!("{{\"seq\":{number}}}\n");
        state.append(&run(), number, line.as_bytes()).await.unwrap();
        expected += &line;
    }
    let reader = place.open();
    let requests = || place.store.observe().1;
    let before = requests();
    assert_eq!(journal(&*reader).await, expected);
    // Two pages of the listing, and every record.
    assert_eq!(requests() - before, 1202);
    let before = requests();
    assert_eq!(journal(&*reader).await, expected);
    assert_eq!(requests() - before, 2);
}

#[tokio::test]
async fn a_lock_of_another_kind_is_left_alone() {
    let place = BucketPlace::start();
    let state = place.open();
    state.lock(&holder("run-1")).await.unwrap().release().await;
    for (content, told) in [("not a lock", "not a lock of clickferry"), ("{\"version\":2", "not a lock of clickferry")]
    {
        std::fs::write(place.object("lock"), content).unwrap();
        let error = state.lock(&holder("run-2")).await.err().unwrap().to_string();
        assert!(error.contains(told), "{error}");
        assert_eq!(std::fs::read_to_string(place.object("lock")).unwrap(), content);
    }
}

#[tokio::test]
async fn the_sign_of_life_is_the_store_s_own_clock() {
    let place = BucketPlace::start();
    let state = place.open_with(SHORT);
    let _guard = state.lock(&holder("run-1")).await.unwrap();
    let Some(held) = place.open().holder().await.unwrap() else { panic!() };
    let Life::Renewed { life, at, mark } = held.life else { panic!() };
    assert_eq!((life, at.is_some()), (SHORT, true));
    assert!(!mark.is_empty());
}
