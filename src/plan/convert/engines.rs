//! Which engines replicate, which may be created as they are, and which must not be created silently.

/// What becomes of an engine on a replicated target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Of the MergeTree family: becomes its replicated form.
    Replicate,
    /// Of the Log family: no replicated form of its own.
    Log,
    /// Holds no rows of its own: is created as it is, with these words for the reviewer.
    AsItIs(&'static str),
    /// Reaches outside with what may be a password in its arguments.
    Outside,
    /// Holds rows that would stay on one replica.
    Local,
    /// Begins to take rows out of a queue as soon as it exists.
    Queue,
    /// Not known to this version.
    Unknown,
}

/// Engines of the MergeTree family without `Replicated` and `Shared`.
const FAMILY: [&str; 8] = [
    "MergeTree",
    "ReplacingMergeTree",
    "SummingMergeTree",
    "AggregatingMergeTree",
    "CollapsingMergeTree",
    "VersionedCollapsingMergeTree",
    "GraphiteMergeTree",
    "CoalescingMergeTree",
];

/// The plain engine behind a replicated or shared one; `None` outside the family.
pub fn plain_merge_tree(engine: &str) -> Option<&'static str> {
    let bare = engine.strip_prefix("Replicated").or_else(|| engine.strip_prefix("Shared")).unwrap_or(engine);
    FAMILY.iter().copied().find(|known| *known == bare)
}

/// What becomes of an engine.
pub fn fate(engine: &str) -> Fate {
    if plain_merge_tree(engine).is_some() {
        return Fate::Replicate;
    }
    match engine {
        "Log" | "TinyLog" | "StripeLog" => Fate::Log,
        "Null" => Fate::AsItIs("keeps nothing"),
        "Merge" => Fate::AsItIs("only reads other tables of its server"),
        "Distributed" => Fate::AsItIs("names a cluster, which must exist on the new servers under the same name"),
        "Buffer" => Fate::AsItIs("keeps rows in memory until it flushes; rows not flushed on the source are not moved"),
        "Dictionary" => Fate::AsItIs("only reads a dictionary of its server"),
        "Alias" => Fate::AsItIs("only names another table of its server"),
        "URL" | "HDFS" | "Hive" | "GenerateRandom" | "FuzzJSON" | "Loop" => {
            Fate::AsItIs("reads something outside, which the new servers must reach too")
        }
        "S3" | "GCS" | "OSS" | "COSN" | "AzureBlobStorage" | "Iceberg" | "IcebergS3" | "DeltaLake" | "Hudi"
        | "MySQL" | "PostgreSQL" | "MongoDB" | "Redis" | "ODBC" | "JDBC" | "SQLite" | "YTsaurus" | "ArrowFlight" => {
            Fate::Outside
        }
        "Memory" | "Join" | "Set" | "EmbeddedRocksDB" | "KeeperMap" | "File" | "TimeSeries" => Fate::Local,
        "Kafka" | "RabbitMQ" | "NATS" | "S3Queue" | "AzureQueue" | "FileLog" | "MaterializedPostgreSQL" => Fate::Queue,
        _ => Fate::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_reads_elsewhere_is_charged_with_no_rows() {
        let holds_rows = |engine: &str| {
            let table = crate::model::observed::Table { engine: engine.to_owned(), ..Default::default() };
            table.holds_rows()
        };
        for engine in NAMED.split_whitespace() {
            let expected = match fate(engine) {
                Fate::AsItIs(_) | Fate::Outside | Fate::Queue => false,
                // A file that a table names may be anybody's, and is not dropped with it.
                Fate::Local => engine != "File",
                Fate::Replicate | Fate::Log | Fate::Unknown => true,
            };
            assert_eq!(holds_rows(engine), expected || engine == "MaterializedPostgreSQL", "{engine}");
        }
        assert!(holds_rows("OfANewerVersion"));
    }

    const NAMED: &str = "Log TinyLog StripeLog Null Merge Distributed Buffer Dictionary Alias URL HDFS Hive GenerateRandom \
                         FuzzJSON Loop S3 GCS OSS COSN AzureBlobStorage Iceberg IcebergS3 DeltaLake Hudi MySQL PostgreSQL \
                         MongoDB Redis ODBC JDBC SQLite YTsaurus ArrowFlight Memory Join Set EmbeddedRocksDB KeeperMap File \
                         TimeSeries Kafka RabbitMQ NATS S3Queue AzureQueue FileLog MaterializedPostgreSQL MergeTree \
                         ReplicatedReplacingMergeTree SharedMergeTree";

    #[test]
    fn families() {
        assert_eq!(plain_merge_tree("ReplicatedReplacingMergeTree"), Some("ReplacingMergeTree"));
        assert_eq!(plain_merge_tree("SharedMergeTree"), Some("MergeTree"));
        assert_eq!(plain_merge_tree("FancyMergeTree"), None);
        assert_eq!(fate("FancyMergeTree"), Fate::Unknown);
        assert_eq!(fate("TinyLog"), Fate::Log);
        assert_eq!(fate("Kafka"), Fate::Queue);
    }
}
