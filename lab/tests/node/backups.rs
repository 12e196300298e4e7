//! Backups and restores, running and killed.

use crate::nodes::{Node, shared};

fn status(node: &Node, id: &str) -> String {
    node.run(&format!("SELECT status FROM system.backups WHERE id = '{id}'")).trim().to_owned()
}

#[test]
fn a_backup_to_a_folder_can_be_restored() {
    let node = &shared().one;
    node.run("CREATE DATABASE kept");
    node.run("CREATE TABLE kept.t (a UInt64, s String) ENGINE = MergeTree ORDER BY a");
    node.run("INSERT INTO kept.t SELECT number, toString(number) FROM numbers(5000)");
    let reply = node.run("BACKUP DATABASE kept TO File('kept') SETTINGS id = 'kept'");
    assert_eq!(reply, "kept\tBACKUP_CREATED\n");
    assert_eq!(node.fails("BACKUP DATABASE kept TO File('kept')").code(), 598);
    node.run("RESTORE DATABASE kept AS restored FROM File('kept')");
    let sum = |table: &str| node.run(&format!("SELECT count(), sum(cityHash64(*)) FROM {table}"));
    assert_eq!(sum("restored.t"), sum("kept.t"));
    assert_eq!(node.fails("RESTORE DATABASE kept AS restored FROM File('kept')").code(), 608);
    assert_eq!(node.fails("RESTORE DATABASE kept FROM File('missing')").code(), 599);
    node.run("DROP DATABASE kept SYNC");
    node.run("DROP DATABASE restored SYNC");
}

#[test]
fn a_running_backup_is_killed_by_the_id_of_its_client() {
    let node = &shared().one;
    // Many parts: a backup looks whether it was killed between files.
    node.run("CREATE TABLE slow (a UInt64, s String) ENGINE = MergeTree PARTITION BY a % 50 ORDER BY a");
    node.run("INSERT INTO slow SELECT number, randomPrintableASCII(100) FROM numbers(60000)");
    let started = node
        .request()
        .url("query_id", "slow-backup")
        .url("max_backup_bandwidth", "500000")
        .body("BACKUP TABLE slow TO File('slow') SETTINGS id = 'slow' ASYNC")
        .send();
    assert_eq!(started.text(), "slow\tCREATING_BACKUP\n");
    assert_eq!(status(node, "slow"), "CREATING_BACKUP");
    let query_id = node.run("SELECT query_id FROM system.backups WHERE id = 'slow'");
    assert_eq!(query_id, "slow-backup\n");
    let again = node.request().url("query_id", "slow-backup").body("BACKUP TABLE slow TO File('other') ASYNC").send();
    assert_eq!(again.code(), 216, "{}", again.text());
    let killed = node.run(&format!("KILL QUERY WHERE query_id = '{}' SYNC", query_id.trim()));
    assert!(killed.starts_with("waiting\tslow-backup\t"), "{killed}");
    node.until("SELECT status FROM system.backups WHERE id = 'slow'", "BACKUP_CANCELLED");
    node.run("DROP TABLE slow SYNC");
}
