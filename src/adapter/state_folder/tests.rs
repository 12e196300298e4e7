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

fn state() -> (tempfile::TempDir, StateFolder, RunId) {
    let folder = tempfile::tempdir().unwrap();
    let state = StateFolder::new(folder.path().join("deep/state"));
    (folder, state, RunId::from("run-1"))
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn documents_are_replaced_and_private() {
    let (folder, state, run) = state();
    assert!(state.runs().await.unwrap().is_empty());
    state.create_run(&run).await.unwrap();
    state.put(&run, "plan.json", b"one").await.unwrap();
    state.put(&run, "plan.json", b"two").await.unwrap();
    state.put(&run, "exports/keeper/1.json", b"three").await.unwrap();
    assert_eq!(state.get(&run, "plan.json").await.unwrap(), b"two");
    assert_eq!(state.get(&run, "exports/keeper/1.json").await.unwrap(), b"three");
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
async fn runs_are_listed_in_order_and_made_once() {
    let (folder, state, _) = state();
    for name in ["b", "a", "c"] {
        state.create_run(&RunId::from(name)).await.unwrap();
    }
    std::fs::write(folder.path().join("deep/state/runs/note.txt"), "").unwrap();
    let names: Vec<_> = state.runs().await.unwrap().into_iter().map(|run| run.0).collect();
    assert_eq!(names, ["a", "b", "c"]);
    let error = state.create_run(&RunId::from("a")).await.unwrap_err();
    assert!(matches!(error, StateError::Io { .. }), "{error}");
    assert!(error.to_string().contains("creating run a"), "{error}");
}

#[tokio::test]
async fn nothing_outside_a_run_can_be_reached() {
    let (_folder, state, run) = state();
    state.create_run(&run).await.unwrap();
    for name in ["", "..", "../x", "a/../../x", "/etc/passwd", "a/", "./a", "a\0b"] {
        let error = state.put(&run, name, b"x").await.unwrap_err();
        assert!(matches!(error, StateError::Io { .. }), "{name:?}: {error}");
        assert!(state.get(&run, name).await.is_err(), "{name:?}");
    }
    for id in ["", "..", ".hidden", "a/b"] {
        assert!(state.create_run(&RunId::from(id)).await.is_err(), "{id:?}");
    }
    assert!(state.put(&run, "journal.jsonl", b"x").await.is_err());
}

#[tokio::test]
async fn missing_things_are_named() {
    let (_folder, state, run) = state();
    let error = state.get(&run, "plan.json").await.unwrap_err();
    assert!(matches!(&error, StateError::Missing { what, .. } if what == "run run-1"), "{error}");
    let error = state.put(&run, "plan.json", b"").await.unwrap_err();
    assert!(matches!(error, StateError::Missing { .. }), "{error}");
    state.create_run(&run).await.unwrap();
    let error = state.get(&run, "plan.json").await.unwrap_err();
    assert!(matches!(&error, StateError::Missing { what, .. } if what == "plan.json of run run-1"), "{error}");
}

#[tokio::test]
async fn a_torn_line_is_cut_and_the_journal_goes_on() {
    let (folder, state, run) = state();
    state.create_run(&run).await.unwrap();
    state.append(&run, b"{\"seq\":1}\n").await.unwrap();
    state.append(&run, b"{\"seq\":2}\n").await.unwrap();
    let path = folder.path().join("deep/state/runs/run-1/journal.jsonl");
    let mut torn = std::fs::read(&path).unwrap();
    torn.extend_from_slice(b"{\"se");
    std::fs::write(&path, &torn).unwrap();
    // Another process carries on.
    let again = StateFolder::new(folder.path().join("deep/state"));
    assert_eq!(again.get(&run, "journal.jsonl").await.unwrap(), torn);
    again.truncate(&run, 20).await.unwrap();
    again.append(&run, b"{\"seq\":3}\n").await.unwrap();
    assert_eq!(again.get(&run, "journal.jsonl").await.unwrap(), b"{\"seq\":1}\n{\"seq\":2}\n{\"seq\":3}\n");
    assert!(again.truncate(&run, 1000).await.is_err());
}

#[tokio::test]
async fn after_a_failed_append_nothing_more_is_appended() {
    let (folder, state, run) = state();
    state.create_run(&run).await.unwrap();
    state.append(&run, b"1\n").await.unwrap();
    let path = folder.path().join("deep/state/runs/run-1/journal.jsonl");
    let copy = std::fs::read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert!(state.append(&run, b"2\n").await.is_err());
    std::fs::write(&path, copy).unwrap();
    let error = state.append(&run, b"2\n").await.unwrap_err().to_string();
    assert!(error.contains("an earlier write failed"), "{error}");
    assert_eq!(state.get(&run, "journal.jsonl").await.unwrap(), b"1\n");
}

#[tokio::test]
async fn appending_to_a_run_that_does_not_exist_fails() {
    let (_folder, state, run) = state();
    assert!(state.append(&run, b"1\n").await.is_err());
}

#[tokio::test]
async fn parallel_appends_do_not_mix() {
    let (_folder, state, run) = state();
    state.create_run(&run).await.unwrap();
    let line = |number: usize| format!("{}\n", number.to_string().repeat(50));
    let appends = (0..20).map(|number| {
        let (state, run) = (state.clone(), run.clone());
        async move { state.append(&run, line(number).as_bytes()).await.unwrap() }
    });
    futures_util::future::join_all(appends).await;
    let text = String::from_utf8(state.get(&run, "journal.jsonl").await.unwrap()).unwrap();
    let mut lines: Vec<_> = text.split_inclusive('\n').map(str::to_owned).collect();
    lines.sort();
    let mut expected: Vec<_> = (0..20).map(line).collect();
    expected.sort();
    assert_eq!(lines, expected);
}

#[tokio::test]
async fn a_second_lock_is_refused_with_its_holder() {
    let (_folder, state, _) = state();
    let guard = state.lock(&holder("first")).await.unwrap();
    assert!(guard.is_held());
    let Err(StateError::Locked { holder: found, .. }) = state.lock(&holder("second")).await else { panic!() };
    assert_eq!(found, holder("first"));
    guard.release().await;
    assert!(!guard.is_held());
    let second = state.lock(&holder("second")).await.unwrap();
    // The guard of the first, released before, must not touch the second's.
    drop(guard);
    assert!(second.is_held());
    let Err(StateError::Locked { holder: found, .. }) = state.lock(&holder("third")).await else { panic!() };
    assert_eq!(found, holder("second"));
    drop(second);
    assert!(state.lock(&holder("third")).await.is_ok());
}

#[tokio::test]
async fn a_lock_whose_folder_is_deleted_is_lost() {
    let (folder, state, _) = state();
    let guard = state.lock(&holder("first")).await.unwrap();
    std::fs::remove_dir_all(folder.path().join("deep")).unwrap();
    assert!(!guard.is_held());
    let second = state.lock(&holder("second")).await.unwrap();
    assert!(!guard.is_held() && second.is_held());
    guard.release().await;
    let Err(StateError::Locked { holder: found, .. }) = state.lock(&holder("third")).await else { panic!() };
    assert_eq!(found, holder("second"));
}

#[tokio::test]
async fn says_why_it_cannot_write() {
    // A file where the folder should be fails for every user, root included.
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("state"), "").unwrap();
    let state = StateFolder::new(folder.path().join("state"));
    let error = state.create_run(&RunId::from("a")).await.unwrap_err().to_string();
    assert!(error.contains("creating run a failed") && error.contains("state"), "{error}");
    assert!(files::explain(&io::ErrorKind::StorageFull.into()).contains("disk is full"));
    assert!(files::explain(&io::ErrorKind::ReadOnlyFilesystem.into()).contains("writable folder"));
}
