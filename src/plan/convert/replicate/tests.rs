use super::*;

const PLACE: Replication<'static> = Replication {
    path: "/clickhouse/tables/{shard}/{database}/{table}",
    replica: "{replica}",
    log_tables: LogTables::Convert,
};

fn created(text: &str) -> Created {
    match to_replicated(text, &PLACE) {
        Conversion::Create(created) => *created,
        other => panic!("{other:?}"),
    }
}

fn refused(text: &str) -> Reason {
    match to_replicated(text, &PLACE) {
        Conversion::Refuse(reason, _) => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn everything_but_the_engine_stays_as_it_is() {
    let source = "CREATE TABLE d.plain (`id` UInt64, `name` LowCardinality(String) DEFAULT 'x\\'y', `ts` DateTime CODEC(Delta(4), ZSTD(3)), INDEX ix name TYPE bloom_filter GRANULARITY 4, CONSTRAINT c CHECK id >= 0, PROJECTION p (SELECT name, count() GROUP BY name)) ENGINE = MergeTree PARTITION BY toYYYYMM(ts) ORDER BY (id, name) TTL ts + toIntervalYear(90) SETTINGS index_granularity = 1024 COMMENT 'it\\'s ENGINE = Log'";
    let made = created(source);
    assert_eq!(
        made.text,
        source.replace(
            "ENGINE = MergeTree",
            "ENGINE = ReplicatedMergeTree('/clickhouse/tables/{shard}/d/plain', '{replica}')"
        )
    );
    assert_eq!(made.engine, "ReplicatedMergeTree");
    assert!(made.notes.is_empty());
}

#[test]
fn arguments_are_kept_and_old_places_replaced() {
    let engine = |text: &str| {
        let made = created(&format!("CREATE TABLE d.`with-dash` (`id` UInt64) ENGINE = {text} ORDER BY id"));
        let at = made.text.find("ENGINE = ").expect("there") + 9;
        made.text[at..made.text.len() - " ORDER BY id".len()].to_owned()
    };
    let place = "'/clickhouse/tables/{shard}/d/with-dash', '{replica}'";
    for (from, to) in [
        ("ReplacingMergeTree(ver)", format!("ReplicatedReplacingMergeTree({place}, ver)")),
        ("ReplacingMergeTree", format!("ReplicatedReplacingMergeTree({place})")),
        ("VersionedCollapsingMergeTree(s, ver)", format!("ReplicatedVersionedCollapsingMergeTree({place}, s, ver)")),
        ("SummingMergeTree((a, b))", format!("ReplicatedSummingMergeTree({place}, (a, b))")),
        ("GraphiteMergeTree('graphite')", format!("ReplicatedGraphiteMergeTree({place}, 'graphite')")),
        ("ReplicatedReplacingMergeTree('/old/{shard}', 'r', a)", format!("ReplicatedReplacingMergeTree({place}, a)")),
        ("ReplicatedMergeTree", format!("ReplicatedMergeTree({place})")),
        ("ReplicatedReplacingMergeTree(a)", format!("ReplicatedReplacingMergeTree({place}, a)")),
        ("SharedMergeTree('/clickhouse/tables/{uuid}/{shard}', '{replica}')", format!("ReplicatedMergeTree({place})")),
    ] {
        assert_eq!(engine(from), to, "{from}");
    }
}

#[test]
fn uuids_are_taken_out() {
    let made = created("CREATE TABLE d.t UUID '0-1' (`a` UInt8) ENGINE = MergeTree ORDER BY a");
    assert!(made.text.starts_with("CREATE TABLE d.t (`a` UInt8) ENGINE = Replicated"), "{}", made.text);
    let made = created(
        "CREATE MATERIALIZED VIEW d.v UUID '0-1' TO INNER UUID '0-2' (`a` UInt8) ENGINE = MergeTree ORDER BY a AS SELECT 1 AS a",
    );
    assert!(made.text.starts_with("CREATE MATERIALIZED VIEW d.v (`a` UInt8) ENGINE = Replicated"), "{}", made.text);
}

#[test]
fn views_keep_their_query_and_inner_engines_get_a_path() {
    let text = "CREATE MATERIALIZED VIEW d.mv TO d.t (`k` String) AS SELECT k FROM d.plain WHERE engine = 'x'";
    assert_eq!(created(text).text, text);
    let made = created(
        "CREATE MATERIALIZED VIEW d.mv (`n` String, `c` UInt64) ENGINE = SummingMergeTree ORDER BY n SETTINGS index_granularity = 8192 AS SELECT n, count() AS c FROM d.plain GROUP BY n",
    );
    assert!(made.text.contains(
        "ENGINE = ReplicatedSummingMergeTree('/clickhouse/tables/{shard}/d/mv', '{replica}') ORDER BY n SETTINGS"
    ));
    assert_eq!(made.replicated.map(|(path, _)| path).as_deref(), Some("/clickhouse/tables/{shard}/d/mv"));
}

#[test]
fn log_tables_become_replicated_stay_or_go() {
    let text = "CREATE TABLE d.schema_migrations (`version` Int64, `dirty` UInt8, `sequence` UInt64) ENGINE = TinyLog";
    let made = created(text);
    assert!(made.text.ends_with("ReplicatedMergeTree('/clickhouse/tables/{shard}/d/schema_migrations', '{replica}') ORDER BY sequence SETTINGS index_granularity = 8192"));
    assert!(
        created("CREATE TABLE d.l (`a` UInt8) ENGINE = Log COMMENT 'x'")
            .text
            .ends_with("ORDER BY tuple() SETTINGS index_granularity = 8192 COMMENT 'x'")
    );
    let keep = to_replicated(text, &Replication { log_tables: LogTables::Keep, ..PLACE });
    assert!(matches!(keep, Conversion::Create(made) if made.text == text && made.replicated.is_none()));
    let skip = to_replicated(text, &Replication { log_tables: LogTables::Skip, ..PLACE });
    assert!(matches!(skip, Conversion::Skip(_)));
}

#[test]
fn what_cannot_be_replicated_is_refused_or_told() {
    let table = |engine: &str| format!("CREATE TABLE d.t (`a` UInt8) ENGINE = {engine}");
    assert_eq!(refused(&table("Memory")), Reason::Local);
    assert_eq!(refused(&table("Join(ANY, LEFT, a)")), Reason::Local);
    assert_eq!(refused(&table("Kafka('h', 't', 'g', 'JSON')")), Reason::Queue);
    assert_eq!(refused(&table("MySQL('h:1', 'd', 't', 'u', '[HIDDEN]')")), Reason::Secret);
    assert_eq!(refused(&table("MySQL('h:1', 'd', 't', 'u', 'p')")), Reason::Secret);
    assert_eq!(refused(&table("Strange")), Reason::Unknown);
    assert_eq!(refused(&table("MergeTree(d, (a, b), 8192)")), Reason::OldSyntax);
    assert_eq!(refused(&table("ReplicatedMergeTree('/p', 'r', d, k, 8192)")), Reason::OldSyntax);
    assert_eq!(
        refused("CREATE DICTIONARY d.x (`k` UInt64) PRIMARY KEY k SOURCE(CLICKHOUSE(DB 'd' TABLE 't' PASSWORD 'p'))"),
        Reason::Secret
    );
    assert_eq!(
        refused(
            "CREATE MATERIALIZED VIEW d.v REFRESH EVERY 1 DAY (`id` UInt64) ENGINE = MergeTree ORDER BY id AS SELECT 1 AS id"
        ),
        Reason::Refreshable
    );
    assert_eq!(refused("CREATE TABLE d.t (`a` UInt8) AS numbers(5)"), Reason::Unknown);
    for engine in ["`Null`", "Merge('d', '^p')", "Buffer('d', 't', 1, 10)", "Distributed('c', 'd', 't')", "S3(mine)"] {
        let made = created(&table(engine));
        assert_eq!((made.text.as_str(), made.notes.len()), (table(engine).as_str(), 1));
    }
    let made = created(
        "CREATE TABLE d.t (`a` UInt8) ENGINE = MergeTree ORDER BY a SETTINGS storage_policy = 'hot', index_granularity = 8192",
    );
    assert_eq!((made.demands, made.notes), (vec![Demand::Policy("hot".into())], vec![]));
    let made = created(&table("Distributed('c', 'd', 't')"));
    assert_eq!(made.demands, [Demand::Cluster("c".into())]);
}

#[test]
fn names_cannot_leave_their_part_of_the_path() {
    assert_eq!(expand_names("/x/{database}/{table}", "d", "a/{b}%"), "/x/d/a%2F%7Bb%7D%25");
}

#[test]
fn dictionaries_are_told_apart_by_their_source() {
    let dictionary = |source: &str| {
        format!(
            "CREATE DICTIONARY d.x (`k` UInt64) PRIMARY KEY k SOURCE({source}) LIFETIME(MIN 0 MAX 1) LAYOUT(FLAT())"
        )
    };
    for source in ["FILE(PATH '/x' FORMAT 'CSV')", "EXECUTABLE(COMMAND 'x')", "EXECUTABLE_POOL(COMMAND 'x')"] {
        assert_eq!(refused(&dictionary(source)), Reason::Machine, "{source}");
    }
    for (source, note) in [
        ("CLICKHOUSE(DB 'd' TABLE 't')", "from its own server"),
        ("CLICKHOUSE(HOST 'localhost' TABLE 't')", "from its own server"),
        ("CLICKHOUSE(HOST 'other' TABLE 't')", "names the host other, which the new servers must reach"),
        ("HTTP(URL 'http://h/x' FORMAT 'CSV')", "its source HTTP must be there"),
    ] {
        let made = created(&dictionary(source));
        assert!(made.notes.len() == 1 && made.notes[0].contains(note), "{source}: {:?}", made.notes);
    }
}

#[test]
fn array_join_under_a_name_is_told_or_refused() {
    let query = "AS SELECT id, arrayJoin(m) AS kv, kv.1 AS k FROM d.t";
    let view = created(&format!("CREATE VIEW d.v (`id` UInt64, `k` String) {query}"));
    assert!(view.notes[0].contains("ARRAY JOIN mapKeys(m) AS k, mapValues(m) AS v"), "{:?}", view.notes);
    let materialized = format!("CREATE MATERIALIZED VIEW d.v TO d.x (`id` UInt64, `k` String) {query}");
    assert_eq!(refused(&materialized), Reason::ArrayJoin);
}
