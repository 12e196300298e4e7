//! Wrong keys, missing buckets, servers that do not answer: told before anything is touched.

use crate::support::Output;
use crate::support::scene::Scene;

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
    insta::assert_snapshot!(fails_untouched(&scene, |text| text.replace(&key, "wrong-key")), @"
    exit 1
    --- stderr
    error: looking at the storage `backups` (s3://backups/DB at http://S3)
      expected  the keys may read and list the bucket
      found     http://S3 refused the keys for bucket backups: SignatureDoesNotMatch
      do this   correct `credentials` of the storage in the environment, or the rights of these keys
    ");
}

#[test]
fn a_bucket_that_does_not_exist_is_told_before_anything_is_touched() {
    let scene = Scene::new("no_bucket").with_orders();
    let _filters = scene.filters();
    insta::assert_snapshot!(fails_untouched(&scene, |text| text.replace("bucket: backups", "bucket: elsewhere")), @"
    exit 1
    --- stderr
    error: looking at the storage `backups` (s3://elsewhere/DB at http://S3)
      expected  the bucket exists
      found     the bucket elsewhere does not exist at http://S3
      do this   create the bucket, or correct `bucket` or `endpoint` of the storage in the environment
    ");
}

#[test]
fn a_server_that_does_not_answer_is_told_before_anything_is_touched() {
    let scene = Scene::new("no_server").with_orders();
    let url = scene.lab.node("replica2").unwrap().url;
    let _filters = scene.filters();
    insta::assert_snapshot!(fails_untouched(&scene, |text| text.replace(&url, "http://127.0.0.1:9")), @"
    exit 1
    --- stderr
    error: looking at DB-r2
      expected  DB-r2 answers at http://127.0.0.1:9
      found     tcp connect error: Connection refused (os error 111)
      see it    curl http://127.0.0.1:9/ping
      do this   start the server or correct its `url` in the environment; nothing was sent to it
    ");
}

#[test]
fn a_wrong_password_is_told_before_anything_is_touched() {
    let scene = Scene::new("wrong_password").with_orders();
    scene.test.write("wrong-password", "not-the-password");
    let password = scene.lab.dir().join("secrets/clickhouse-password").display().to_string();
    let _filters = scene.filters();
    insta::assert_snapshot!(fails_untouched(&scene, |text| text.replace(&password, "wrong-password")), @"
    exit 1
    --- stderr
    error: looking at DB-r1
      expected  the statement succeeds
      found     DB-r1 answered 516 AUTHENTICATION_FAILED: default: Authentication failed: password is incorrect, or there is no user with such name.
      see it    on DB-r1: SELECT currentUser(), hostName()
      do this   the server refused user or password: correct `credentials` in the environment
                clickferry explain 516
    error: looking at DB-r2
      expected  the statement succeeds
      found     DB-r2 answered 516 AUTHENTICATION_FAILED: default: Authentication failed: password is incorrect, or there is no user with such name.
      see it    on DB-r2: SELECT currentUser(), hostName()
      do this   the server refused user or password: correct `credentials` in the environment
                clickferry explain 516
    error: looking at DB-sa
      expected  the statement succeeds
      found     DB-sa answered 516 AUTHENTICATION_FAILED: default: Authentication failed: password is incorrect, or there is no user with such name.
      see it    on DB-sa: SELECT currentUser(), hostName()
      do this   the server refused user or password: correct `credentials` in the environment
                clickferry explain 516
    ");
}

#[test]
fn a_keeper_that_is_down_is_told_before_anything_is_touched() {
    let scene = Scene::alone("no_keeper").with_orders();
    scene.lab.kill("keeper").unwrap();
    let _filters = scene.filters();
    insta::assert_snapshot!(fails_untouched(&scene, |text| text), @"
    exit 1
    --- stderr
    error: the target `destination` cannot be locked
      expected  Keeper answers
      found     Keeper at KEEPER cannot be reached: KEEPER: Connection refused (os error 111)
      see it    the node /clickferry/locks/DB-r1,DB-r2 in Keeper
      do this   start Keeper or correct `keeper` in the environment; nothing was changed
    ");
}
