//! Signed approvals with real keys: who signed what counts, and nothing else.

use std::path::Path;
use std::process::Command;

use crate::support::Output;
use crate::support::lab::NODES;
use crate::support::scene::Scene;

const STEPS: &str = "  - id: drop\n    recreate_database: { on: destination, database: '{{ database }}' }\n";

fn keygen(folder: &Path, arguments: &[&str]) {
    let output = Command::new("ssh-keygen").args(arguments).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A runbook that two of ann, ben and cleo must approve, its saved plan, and everybody's keys; mallory's does not count.
fn scene(name: &str) -> (Scene, String) {
    let scene = Scene::new(name);
    let mut signers = String::new();
    for who in ["ann", "ann2", "ben", "cleo", "mallory"] {
        keygen(scene.test.path(), &["-q", "-t", "ed25519", "-N", "", "-C", who, "-f", who]);
        let key = std::fs::read_to_string(scene.test.path().join(format!("{who}.pub"))).unwrap();
        if who != "mallory" {
            signers += &format!("{} {key}", who.trim_end_matches('2'));
        }
    }
    scene.test.write("who/signers", &signers);
    for node in &NODES[1..] {
        scene.on_node(node, "CREATE DATABASE {db}");
        scene.on_node(node, "CREATE TABLE {db}.notes (id UInt64) ENGINE = MergeTree ORDER BY id");
    }
    scene.mark();
    scene.test.write("guarded.yaml", &format!(
        "apiVersion: clickferry/v1\nkind: Runbook\nmetadata: {{ name: guarded }}\nparameters:\n  database: {{ type: identifier }}\n\
         targets:\n  destination: {{ topology: replicated }}\nguards: {{ loss: {{ tables: 2 }}, approvals: {{ count: 2, signers: who/signers }} }}\nsteps:\n{STEPS}"
    ));
    let digest = scene.plan("guarded.yaml", &[]);
    (scene, digest)
}

fn approve(scene: &Scene, who: &str) {
    let output = scene.test.run(&["approve", "plan.json", "--key", who, "--identity", who]);
    assert_eq!(output.code, Some(0), "{output}");
    assert!(output.stdout.contains(&format!("plan.json.{who}.sig")), "{output}");
}

fn refused(scene: &Scene, output: &Output, words: &[&str]) {
    assert_eq!(output.code, Some(3), "{output}");
    for word in words {
        assert!(output.stderr.contains(word), "`{word}` is missing:\n{output}");
    }
    scene.nothing_changed();
    assert!(scene.runs().is_empty());
}

#[test]
fn two_people_approve_and_consent_is_still_needed() {
    let (scene, digest) = scene("approved");
    let apply = || scene.cli(&["apply", "plan.json", "--consent", &digest]);
    refused(&scene, &apply(), &["not approved by enough people", "2 of those in who/signers", "no signature"]);
    approve(&scene, "ann");
    approve(&scene, "ann2");
    refused(&scene, &apply(), &["not approved by enough people", "1: ann"]);
    approve(&scene, "ben");
    refused(&scene, &scene.cli(&["apply", "plan.json"]), &["no consent was given to this plan"]);
    let done = apply();
    assert_eq!(done.code, Some(0), "{done}");
    let journal = std::fs::read_to_string(scene.runs()[0].join("journal.jsonl")).unwrap();
    assert!(journal.contains("; approved by ann, ben"), "{journal}");
}

#[test]
fn signatures_of_others_and_over_something_else_are_refused() {
    let (scene, digest) = scene("unapproved");
    approve(&scene, "ann");
    approve(&scene, "ben");
    let apply = |more: &[&str]| scene.cli(&[&["apply", "plan.json", "--consent", &digest], more].concat());
    approve(&scene, "mallory");
    refused(&scene, &apply(&[]), &["plan.json.mallory.sig is not by anybody who may approve"]);
    let path = |name: &str| scene.test.path().join(name);
    std::fs::remove_file(path("plan.json.mallory.sig")).unwrap();
    // Cleo signed another plan, then this one for another purpose.
    scene.test.write("other", &format!("{}\n", "0".repeat(64)));
    keygen(scene.test.path(), &["-q", "-Y", "sign", "-f", "cleo", "-n", "clickferry-plan", "other"]);
    let given = ["--approval", "plan.json.ann.sig", "--approval", "plan.json.ben.sig", "--approval", "other.sig"];
    refused(&scene, &apply(&given), &["other.sig is not for this plan", "a signature of cleo over the digest"]);
    let plan: serde_json::Value = serde_json::from_slice(&std::fs::read(path("plan.json")).unwrap()).unwrap();
    std::fs::remove_file(path("other.sig")).unwrap();
    scene.test.write("other", &format!("{}\n", plan["digest"].as_str().unwrap()));
    keygen(scene.test.path(), &["-q", "-Y", "sign", "-f", "cleo", "-n", "file", "other"]);
    refused(&scene, &apply(&given), &["other.sig is not for this plan"]);
    refused(&scene, &apply(&["--approval", "nothing.sig"]), &["nothing.sig cannot be read"]);
    let done = apply(&given[..4]);
    assert_eq!(done.code, Some(0), "{done}");
}

#[test]
fn what_was_set_aside_under_signatures_is_purged_under_signatures() {
    let (scene, _) = scene("purged");
    let text = std::fs::read_to_string(scene.test.path().join("guarded.yaml")).unwrap();
    // A table in Keeper would not stay apart; these do.
    scene.test.write(
        "guarded.yaml",
        &text
            .replace("'{{ database }}' }", "'{{ database }}', keep_old: { for: 1ms } }")
            .replace("count: 2", "count: 1"),
    );
    let digest = scene.plan("guarded.yaml", &[]);
    approve(&scene, "ann");
    let done = scene.cli(&["apply", "plan.json", "--consent", &digest]);
    assert_eq!(done.code, Some(0), "{done}");
    scene.mark();
    let shown = scene.cli(&["purge", "--dry-run", "-o", "plan.json", "--format", "json"]);
    assert_eq!(shown.code, Some(2), "{shown}");
    let plan: serde_json::Value = serde_json::from_str(&shown.stdout).unwrap();
    let consent = &plan["digest"].as_str().unwrap()[..12];
    let purge = |more: &[&str]| scene.cli(&[&["purge", "--consent", consent], more].concat());
    let unsigned = purge(&[]);
    assert_eq!(unsigned.code, Some(3), "{unsigned}");
    assert!(unsigned.stderr.contains("not approved by enough people"), "{unsigned}");
    // The signature over the plan of the run is none over this one.
    let other = purge(&["--approval", "plan.json.ann.sig"]);
    assert!(other.code == Some(3) && other.stderr.contains("is not for this plan"), "{other}");
    scene.nothing_changed();
    assert_eq!(scene.runs().len(), 1);
    std::fs::remove_file(scene.test.path().join("plan.json.ann.sig")).unwrap();
    approve(&scene, "ann");
    let done = purge(&["--approval", "plan.json.ann.sig"]);
    assert_eq!(done.code, Some(0), "{done}");
    let left = "SELECT count() FROM system.databases WHERE startsWith(name, '{db}_old')";
    assert_eq!(scene.on_node("replica1", left), "0");
}

#[test]
fn who_may_sign_is_a_part_of_what_is_signed() {
    let (scene, digest) = scene("signers");
    approve(&scene, "ann");
    approve(&scene, "mallory");
    let own = std::fs::read_to_string(scene.test.path().join("who/signers")).unwrap();
    let key = std::fs::read_to_string(scene.test.path().join("mallory.pub")).unwrap();
    scene.test.write("who/signers", &format!("{own}mallory {key}"));
    let output = scene.cli(&["apply", "plan.json", "--consent", &digest]);
    refused(&scene, &output, &[]);
    let filters = scene.filters();
    insta::assert_snapshot!(output, @"
    exit 3
    --- stderr
    refused: the world has moved since the plan was made: signers in `who/signers` (`guards.approvals`)
      expected  content with SHA-256 SHA256
      found     content with SHA-256 SHA256
      see it    sha256sum who/signers, in the folder of the environment file
      do this   nothing was changed; plan again, read what differs, and give consent to the new plan
    ");
    drop(filters);
    scene.test.write("who/signers", &own);
    std::fs::remove_file(scene.test.path().join("plan.json.mallory.sig")).unwrap();
    approve(&scene, "ben");
    let done = scene.cli(&["apply", "plan.json", "--consent", &digest]);
    assert_eq!(done.code, Some(0), "{done}");
}

#[test]
fn without_ssh_keygen_or_signers_nothing_is_approved() {
    let (mut scene, digest) = scene("unable");
    approve(&scene, "ann");
    approve(&scene, "ben");
    std::fs::rename(scene.test.path().join("who"), scene.test.path().join("who-not")).unwrap();
    let output = scene.cli(&["apply", "plan.json", "--consent", &digest]);
    refused(&scene, &output, &["the world has moved", "signers in `who/signers`", "found     cannot be read"]);
    std::fs::rename(scene.test.path().join("who-not"), scene.test.path().join("who")).unwrap();
    scene.test.set("PATH", "/nonexistent");
    let output = scene.cli(&["apply", "plan.json", "--consent", &digest]);
    refused(&scene, &output, &["cannot be checked without ssh-keygen", "openssh-client"]);
    let output = scene.test.run(&["approve", "plan.json", "--key", "ann"]);
    assert!(output.code == Some(1) && output.stderr.contains("openssh-client"), "{output}");
}

#[test]
fn only_a_whole_plan_is_signed_and_only_with_a_key() {
    let (scene, _) = scene("signing");
    let approve = |plan: &str, key: &str| scene.test.run(&["approve", plan, "--key", key, "--identity", "x"]);
    let output = approve("plan.json", "signers");
    assert!(output.code == Some(1) && output.stderr.contains("was not signed with signers"), "{output}");
    let text = std::fs::read_to_string(scene.test.path().join("plan.json")).unwrap();
    scene.test.write("changed.json", &text.replace("DROP DATABASE", "DROP DATABASE IF EXISTS"));
    let output = approve("changed.json", "ann");
    assert!(output.code == Some(3) && output.stderr.contains("was changed after it was saved"), "{output}");
    assert!(!scene.test.path().join("changed.json.x.sig").exists());
}
