//! Wrong keys, missing buckets, servers that do not answer: told before anything is touched.

use crate::support::Output;
use crate::support::lab::Scene;

/// Tries the move with a changed environment: an error, and no trace of it anywhere.
fn fails_untouched(scene: &Scene, change: impl FnOnce(String) -> String) -> Output {
    scene.environment(change);
    let runbook = scene.runbook("standalone-to-replicated", |text| text);
    let database = format!("database={}", scene.database);
    let output = scene.cli(&["apply", &runbook, "-p", &database, "-p", "migration=2"]);
    assert_eq!(output.code, Some(1), "{output}");
    scene.nothing_changed();
    assert!(scene.runs().is_empty());
    output
}

#[test]
fn wrong_keys_of_the_bucket_are_told_before_anything_is_touched() {
    let scene = Scene::new("wrong_keys").with_orders();
    scene.test.write("wrong-key", "not-the-secret-key-of-the-bucket");
    let key = scene.lab.dir().join("secrets/s3-secret-key").display().to_string();
    let _filters = scene.filters();
    insta::assert_snapshot!(fails_untouched(&scene, |text| text.replace(&key, "wrong-key")), @r"");
}

#[test]
fn a_bucket_that_does_not_exist_is_told_before_anything_is_touched() {
    let scene = Scene::new("no_bucket").with_orders();
    let _filters = scene.filters();
    insta::assert_snapshot!(fails_untouched(&scene, |text| text.replace("bucket: backups", "bucket: elsewhere")), @r"");
}

#[test]
fn a_server_that_does_not_answer_is_told_before_anything_is_touched() {
    let scene = Scene::new("no_server").with_orders();
    let url = scene.lab.node("replica2").unwrap().url;
    let _filters = scene.filters();
    insta::assert_snapshot!(fails_untouched(&scene, |text| text.replace(&url, "http://127.0.0.1:9")), @r"");
}

#[test]
fn a_wrong_password_is_told_before_anything_is_touched() {
    let scene = Scene::new("wrong_password").with_orders();
    scene.test.write("wrong-password", "not-the-password");
    let password = scene.lab.dir().join("secrets/clickhouse-password").display().to_string();
    let _filters = scene.filters();
    insta::assert_snapshot!(fails_untouched(&scene, |text| text.replace(&password, "wrong-password")), @r"");
}

#[test]
fn a_keeper_that_is_down_is_told_before_anything_is_touched() {
    let scene = Scene::alone("no_keeper").with_orders();
    scene.lab.kill("keeper").unwrap();
    let _filters = scene.filters();
    insta::assert_snapshot!(fails_untouched(&scene, |text| text), @r"");
}
