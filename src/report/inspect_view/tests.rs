use super::*;
use crate::model::observed::{Database, Identity, ReplicationState, Table, TargetWorld};
use crate::model::runbook::Topology;

fn table(name: &str, engine: &str, rows: Option<u64>) -> Table {
    Table {
        database: "shop".into(),
        name: name.into(),
        engine: engine.into(),
        rows,
        bytes: rows.map(|rows| rows * 100),
        ..Table::default()
    }
}

/// A replica of a table that has everything wrong with it that there is.
fn ailing() -> Table {
    Table {
        partitions: 3,
        zookeeper_path: Some("/clickhouse/tables/01/shop/orders".to_owned()),
        is_readonly: true,
        total_replicas: Some(3),
        replication: Some(ReplicationState {
            active_replicas: 1,
            queue_size: 12,
            absolute_delay: 3600,
            is_session_expired: true,
            lost_parts: Some(2),
        }),
        ..table("orders", "ReplicatedMergeTree", Some(1_234_567))
    }
}

fn bare(name: &str) -> HostWorld {
    let identity = Identity { data_path: "/data/".to_owned(), ..Identity::default() };
    HostWorld {
        name: name.into(),
        url: format!("http://{name}:8123"),
        version: "26.7.2.1".to_owned(),
        identity,
        ..HostWorld::default()
    }
}

fn replica() -> HostWorld {
    let mut host = HostWorld {
        shard: "01".to_owned(),
        free_bytes: 3 << 30,
        pending_drops: vec!["shop.gone".to_owned(), "shop.old".to_owned()],
        running_backups: vec!["backup-1".to_owned()],
        mutations: vec!["shop.orders: DELETE WHERE 1".to_owned()],
        ..bare("r1")
    };
    host.identity.macros = [("shard", "01"), ("replica", "r1")].map(|(a, b)| (a.to_owned(), b.to_owned())).into();
    host.storage.disks = [("default", 3 << 30), ("cold", 5 << 20), ("bucket", u64::MAX)]
        .map(|(name, free)| (name.to_owned(), free))
        .into();
    host.settings = [("max_table_size_to_drop", "50000000000"), ("readonly", "0")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    host.detached_parts = [("shop.orders".to_owned(), 2), ("shop.notes".to_owned(), 1)].into();
    host.waiting_files = [("shop.far".to_owned(), 1)].into();
    host.waiting_rows = [("shop.buffer".to_owned(), 4000)].into();
    for (name, engine) in [("default", "Ordinary"), ("shop", "Atomic")] {
        host.databases.insert(name.to_owned(), Database { engine: engine.to_owned(), uuid: String::new() });
    }
    let well = ReplicationState { active_replicas: 2, ..ReplicationState::default() };
    host.tables.add([
        ailing(),
        Table {
            zookeeper_path: Some("/clickhouse/tables/01/shop/notes".to_owned()),
            total_replicas: Some(2),
            replication: Some(well),
            partitions: 1,
            ..table("notes", "ReplicatedMergeTree", Some(10))
        },
        table("jottings", "TinyLog", None),
        table("daily", "MaterializedView", None),
        // The rows of a view are those of its hidden table, which is not shown.
        table(".inner_id.1", "SummingMergeTree", Some(7)),
        // What another server has is not counted here.
        table("far", "Distributed", Some(99)),
    ]);
    host
}

fn world(hosts: Vec<HostWorld>, cluster: Option<&str>) -> World {
    let target =
        TargetWorld { topology: Topology::Replicated, cluster: cluster.map(str::to_owned), keeper: true, hosts };
    World { targets: [("destination".to_owned(), target)].into() }
}

#[test]
fn everything_that_goes_on_at_a_server_is_shown() {
    let world = world(vec![replica()], Some("lab"));
    insta::assert_snapshot!(render_world(&world, 100, Style { colour: false }), @"
    destination: 1 server, cluster lab
      r1  http://r1:8123  ClickHouse 26.7.2.1
        3.0 GiB free in /data/, no limit on the disk bucket, 5.0 MiB on the disk cold, macros replica=r1
        shard=01
        settings max_table_size_to_drop=50000000000 readonly=0
        database default (Ordinary): 0 tables, 0 rows, 0 B
        database shop (Atomic): 5 tables, 1 234 584 rows, 117.7 MiB
          daily     MaterializedView                          -
          far       Distributed                              99
          jottings  TinyLog                                   -
          notes     ReplicatedMergeTree                      10  1 partition
            /clickhouse/tables/01/shop/notes
          orders    ReplicatedMergeTree               1 234 567  3 partitions  read-only
            /clickhouse/tables/01/shop/orders
            replication: 1 of 3 replicas active, queue 12, 3600 s behind, session with Keeper expired,
            2 parts lost
        dropped, data still there: shop.gone
        dropped, data still there: shop.old
        running backup or restore: backup-1
        mutation not done: shop.orders: DELETE WHERE 1
        1 detached part in shop.notes
        2 detached parts in shop.orders
        shop.far has 1 file of rows that it has not sent to other servers yet
        shop.buffer has 4 000 rows that it has not written to its table yet
    ");
}

#[test]
fn a_server_with_nothing_to_tell_is_short() {
    let empty = bare("r2");
    insta::assert_snapshot!(render_world(&world(vec![empty], None), 100, Style { colour: false }), @"
    destination: 1 server
      r2  http://r2:8123  ClickHouse 26.7.2.1
        0 B free in /data/
    ");
}

#[test]
fn what_does_not_fit_on_a_line_goes_on_below_and_what_is_wrong_stands_out() {
    let mut host = bare("r1");
    host.databases.insert("shop".to_owned(), Database { engine: "Atomic".to_owned(), uuid: String::new() });
    host.tables.add([ailing()]);
    host.mutations = vec!["shop.orders: DELETE WHERE 1".to_owned()];
    let world = world(vec![host], None);
    insta::assert_snapshot!(render_world(&world, 60, Style { colour: false }), @"
    destination: 1 server
      r1  http://r1:8123  ClickHouse 26.7.2.1
        0 B free in /data/
        database shop (Atomic): 1 table, 1 234 567 rows, 117.7 MiB
          orders  ReplicatedMergeTree               1 234 567  3 partitions  read-only
            /clickhouse/tables/01/shop/orders
            replication: 1 of 3 replicas active, queue 12,
            3600 s behind, session with Keeper expired, 2 parts
            lost
        mutation not done: shop.orders: DELETE WHERE 1
    ");
    let coloured = render_world(&world, 100, Style { colour: true });
    let painted: Vec<&str> = coloured.lines().filter(|line| line.contains("\u{1b}[3")).collect();
    insta::assert_snapshot!(painted.join("\n").replace('\u{1b}', "ESC"), @"
          orders  ReplicatedMergeTree               1 234 567  3 partitionsESC[31m  read-onlyESC[0m
    ESC[33m        replication: 1 of 3 replicas active, queue 12, 3600 s behind, session with Keeper expired,ESC[0m
    ESC[33m        2 parts lostESC[0m
        ESC[33mmutation not done: shop.orders: DELETE WHERE 1ESC[0m
    ");
}
