//! What only a folder has; what every state promises is asked by `tests/it/state_port.rs`.

use std::os::unix::fs::PermissionsExt;

use super::*;

fn holder(run: &str) -> LockHolder {
    LockHolder {
        run: run.to_owned(),
        owner: "me@here".to_owned(),
        pid: 7,
        since: "2026-01-01T00:00:00Z".to_owned(),
        machine: "m".to_owned(),
    }
}

/// A state in a folder that does not exist yet, locked for a run.
async fn state() -> (tempfile::TempDir, StateFolder, RunId, Box<dyn LockGuard>) {
    let folder = tempfile::tempdir().unwrap();
    let state = StateFolder::new(folder.path().join("deep/state"));
    let guard = state.lock(&holder("run-1")).await.unwrap();
    (folder, state, RunId::from("run-1"), guard)
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn files_and_folders_are_private_and_nothing_is_left_over() {
    let (folder, state, run, _guard) = state().await;
    state.create_run(&run).await.unwrap();
    state.put(&run, "plan.json", b"one").await.unwrap();
    state.put(&run, "plan.json", b"two").await.unwrap();
    state.put(&run, "exports/keeper/1.json", b"three").await.unwrap();
    let place = folder.path().join("deep/state/runs/run-1");
    for file in ["plan.json", "exports/keeper/1.json", "journal.jsonl"] {
        assert_eq!(mode(&place.join(file)), 0o600, "{file}");
    }
    for directory in [&place, &place.join("exports/keeper"), &folder.path().join("deep")] {
        assert_eq!(mode(directory), 0o700, "{}", directory.display());
    }
    let left: Vec<_> = std::fs::read_dir(&place).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left.len(), 3, "{left:?}");
}

#[tokio::test]
async fn a_file_among_the_runs_is_no_run() {
    let (folder, state, run, _guard) = state().await;
    state.create_run(&run).await.unwrap();
    std::fs::write(folder.path().join("deep/state/runs/note.txt"), "").unwrap();
    assert_eq!(state.runs().await.unwrap(), [run]);
}

#[tokio::test]
async fn after_a_failed_append_nothing_more_is_appended() {
    let (folder, state, run, _guard) = state().await;
    state.create_run(&run).await.unwrap();
    state.append(&run, 1, b"1\n").await.unwrap();
    let path = folder.path().join("deep/state/runs/run-1/journal.jsonl");
    let copy = std::fs::read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert!(state.append(&run, 2, b"2\n").await.is_err());
    std::fs::write(&path, copy).unwrap();
    let error = state.append(&run, 2, b"2\n").await.unwrap_err().to_string();
    assert!(error.contains("an earlier write failed"), "{error}");
    assert_eq!(state.get(&run, "journal.jsonl").await.unwrap(), b"1\n");
}

#[tokio::test]
async fn what_somebody_else_wrote_into_the_file_is_noticed() {
    let (folder, state, run, _guard) = state().await;
    state.create_run(&run).await.unwrap();
    state.append(&run, 1, b"1\n").await.unwrap();
    let path = folder.path().join("deep/state/runs/run-1/journal.jsonl");
    std::fs::write(&path, "1\nby hand\n").unwrap();
    let error = state.append(&run, 2, b"2\n").await.unwrap_err();
    assert!(matches!(&error, StateError::LockLost { .. }), "{error}");
    assert!(error.to_string().contains("has 10 bytes where this process left 2"), "{error}");
}

#[tokio::test]
async fn a_lock_whose_folder_is_deleted_is_lost() {
    let (folder, state, run, guard) = state().await;
    std::fs::remove_dir_all(folder.path().join("deep")).unwrap();
    assert!(!guard.is_held());
    assert!(matches!(state.create_run(&run).await, Err(StateError::LockLost { .. })));
    let second = state.lock(&holder("second")).await.unwrap();
    assert!(!guard.is_held() && second.is_held());
    guard.release().await;
    let Err(StateError::Locked { holder: found, .. }) = state.lock(&holder("third")).await else { panic!() };
    assert_eq!(found, holder("second"));
}

#[tokio::test]
async fn whoever_asks_does_not_believe_what_a_dead_holder_left() {
    let (folder, state, _, guard) = state().await;
    let told = folder.path().join("deep/state/lock.json");
    let text = std::fs::read(&told).unwrap();
    guard.release().await;
    // As a killed process leaves it.
    std::fs::write(&told, text).unwrap();
    assert_eq!(state.holder().await.unwrap(), None);
    state.remove_lock(&holder("run-1")).await.unwrap();
    assert!(state.lock(&holder("next")).await.is_ok());
}

#[tokio::test]
async fn says_why_it_cannot_write() {
    // A file where the folder should be fails for every user, root included.
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("state"), "").unwrap();
    let state = StateFolder::new(folder.path().join("state"));
    let error = state.lock(&holder("a")).await.err().unwrap().to_string();
    assert!(error.contains("taking the lock failed") && error.contains("state"), "{error}");
    assert!(files::explain(&io::ErrorKind::StorageFull.into()).contains("disk is full"));
    assert!(files::explain(&io::ErrorKind::ReadOnlyFilesystem.into()).contains("writable folder"));
}
