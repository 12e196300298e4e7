//! Drift between `plan -o FILE` and `apply FILE`, caused for real in the bucket: the backup that is to be restored was
//! removed or changed, in part or as a whole.

use crate::support::bucket;
use crate::support::drift::{backup, refused};
use crate::support::scene::Scene;

/// A server whose database is to be brought back to a backup that is in the bucket.
fn world(name: &str) -> Scene {
    let scene = Scene::new(name).with_orders();
    backup(&scene, "old");
    scene
}

fn plan(scene: &Scene) -> String {
    let runbook =
        scene.runbook("restore-same-engine", |text| text.replace("tables: 0, rows: 0", "tables: 9, rows: 9000"));
    scene.plan(&runbook, &["-p", "path=old"])
}

#[test]
fn a_backup_that_was_removed_or_changed_is_refused_by_name() {
    let scene = world("backup");
    let _filters = scene.filters();
    let mut settings = insta::Settings::clone_current();
    // Paths in the manifest are as long as the name of the database.
    settings.add_filter(r"objects with \d+ bytes", "objects with BYTES bytes");
    let _more = settings.bind_to_scope();
    let keys = bucket::keys(&scene, "old/data/");
    let key = keys.iter().find(|key| key.ends_with("/data.bin")).unwrap();
    let (manifest, content) = ("old/.backup", bucket::get(&scene, key));
    let whole = bucket::get(&scene, manifest);
    let after = |drift: &dyn Fn()| refused(&scene, || plan(&scene), drift);
    let changed = |content: &[u8]| content.iter().rev().copied().collect::<Vec<u8>>();
    // An object changed, of the same size and of another.
    insta::assert_snapshot!(after(&|| bucket::put(&scene, key, &changed(&content))), @"
    exit 3
    --- stderr
    refused: the world has moved since the plan was made: backup old in storage `backups`
      expected  UUID UUID of WHEN, 55 objects with BYTES bytes, digest of their names, sizes and ETags DIGEST
      found     UUID UUID of WHEN, 55 objects with BYTES bytes, digest of their names, sizes and ETags DIGEST
      see it    the objects below old/ in storage `backups`, and in old/.backup `uuid` and `timestamp`
      do this   nothing was changed; plan again, read what differs, and give consent to the new plan
    ");
    insta::assert_snapshot!(after(&|| bucket::put(&scene, key, b"cut")), @"
    exit 3
    --- stderr
    refused: the world has moved since the plan was made: backup old in storage `backups`
      expected  UUID UUID of WHEN, 55 objects with BYTES bytes, digest of their names, sizes and ETags DIGEST
      found     it cannot be read: 1 object does not fit the manifest: data/DB/customers/all_1_1_1/data.bin has 3 bytes instead of 807
      see it    the objects below old/ in storage `backups`, and in old/.backup `uuid` and `timestamp`
      do this   nothing was changed; plan again, read what differs, and give consent to the new plan
    ");
    bucket::put(&scene, key, &content);
    // One added, one removed.
    insta::assert_snapshot!(after(&|| bucket::put(&scene, "old/data/more", b"more")), @"
    exit 3
    --- stderr
    refused: the world has moved since the plan was made: backup old in storage `backups`
      expected  UUID UUID of WHEN, 55 objects with BYTES bytes, digest of their names, sizes and ETags DIGEST
      found     UUID UUID of WHEN, 56 objects with BYTES bytes, digest of their names, sizes and ETags DIGEST
      see it    the objects below old/ in storage `backups`, and in old/.backup `uuid` and `timestamp`
      do this   nothing was changed; plan again, read what differs, and give consent to the new plan
    ");
    insta::assert_snapshot!(after(&|| bucket::delete(&scene, key)), @"
    exit 3
    --- stderr
    refused: the world has moved since the plan was made: backup old in storage `backups`
      expected  UUID UUID of WHEN, 56 objects with BYTES bytes, digest of their names, sizes and ETags DIGEST
      found     it cannot be read: 1 object does not fit the manifest: data/DB/customers/all_1_1_1/data.bin (807 bytes) is not there
      see it    the objects below old/ in storage `backups`, and in old/.backup `uuid` and `timestamp`
      do this   nothing was changed; plan again, read what differs, and give consent to the new plan
    ");
    bucket::put(&scene, key, &content);
    // Another backup at the same path.
    let text = String::from_utf8(whole.clone()).unwrap();
    let (before, rest) = text.split_once("<uuid>").unwrap();
    let another = format!("{before}<uuid>00000000{}", &rest[8..]);
    insta::assert_snapshot!(after(&|| bucket::put(&scene, manifest, another.as_bytes())), @"
    exit 3
    --- stderr
    refused: the world has moved since the plan was made: backup old in storage `backups`
      expected  UUID UUID of WHEN, 56 objects with BYTES bytes, digest of their names, sizes and ETags DIGEST
      found     UUID UUID of WHEN, 56 objects with BYTES bytes, digest of their names, sizes and ETags DIGEST
      see it    the objects below old/ in storage `backups`, and in old/.backup `uuid` and `timestamp`
      do this   nothing was changed; plan again, read what differs, and give consent to the new plan
    ");
    bucket::put(&scene, manifest, &whole);
    // No backup any longer: without its manifest, and without anything.
    insta::assert_snapshot!(after(&|| bucket::delete(&scene, manifest)), @"
    exit 3
    --- stderr
    refused: the world has moved since the plan was made: backup old in storage `backups`
      expected  UUID UUID of WHEN, 56 objects with BYTES bytes, digest of their names, sizes and ETags DIGEST
      found     it cannot be read: objects without a manifest: a backup that failed or was partly deleted
      see it    the objects below old/ in storage `backups`, and in old/.backup `uuid` and `timestamp`
      do this   nothing was changed; plan again, read what differs, and give consent to the new plan
    ");
    bucket::put(&scene, manifest, &whole);
    insta::assert_snapshot!(after(&|| {
        bucket::keys(&scene, "old/").iter().for_each(|key| bucket::delete(&scene, key));
    }), @"
    exit 3
    --- stderr
    refused: the world has moved since the plan was made: backup old in storage `backups`
      expected  UUID UUID of WHEN, 56 objects with BYTES bytes, digest of their names, sizes and ETags DIGEST
      found     it cannot be read: nothing
      see it    the objects below old/ in storage `backups`, and in old/.backup `uuid` and `timestamp`
      do this   nothing was changed; plan again, read what differs, and give consent to the new plan
    ");
}
