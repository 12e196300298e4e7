//! Every kind of statement, told from its text.

use super::*;

fn of(statement: &str) -> Classified {
    classify(statement).expect("allowed")
}

fn name(database: &str, name: &str) -> Name {
    Name { database: (!database.is_empty()).then(|| database.to_owned()), name: name.to_owned() }
}

#[test]
fn reading_statements() {
    for statement in [
        "SELECT 1",
        "select 1",
        "/* DROP */ SELECT 1",
        "(SELECT 1) UNION ALL (SELECT 2)",
        "((WITH 1 AS x SELECT x))",
        "WITH t AS (SELECT 1) SELECT * FROM t",
        "FROM t SELECT *",
        "SHOW TABLES",
        "DESC d.t",
        "EXISTS TABLE d.t",
        "EXPLAIN SELECT 1",
        "CHECK TABLE d.t",
    ] {
        assert_eq!(of(statement).effect, Effect::Read, "{statement}");
    }
}

#[test]
fn writing_statements() {
    for statement in [
        "INSERT INTO d.t VALUES (1)",
        "WITH 1 AS x INSERT INTO d.t SELECT x",
        "CREATE TABLE d.t (a Int8) ENGINE = Memory",
        "CREATE USER u",
        "ALTER TABLE d.t ADD COLUMN b Int8",
        "ALTER TABLE d.t UPDATE a = 1 WHERE b = 'DROP PARTITION'",
        "ALTER TABLE d.t ADD COLUMN c Int8 COMMENT 'DELETE WHERE'",
        "ALTER TABLE d.t DROP INDEX i",
        "OPTIMIZE TABLE d.t FINAL",
        "RENAME TABLE a.a TO a.b",
        "SYSTEM SYNC REPLICA d.t",
        "SYSTEM FLUSH LOGS",
        "SYSTEM STOP MERGES",
        "SYSTEM DROP MARK CACHE",
        "DETACH TABLE d.t",
        "GRANT SELECT ON d.* TO u",
    ] {
        let found = of(statement);
        assert_eq!((found.effect, found.losing), (Effect::Write, Losing::Nothing), "{statement}");
    }
}

#[test]
fn destroying_statements_with_a_bound() {
    for (statement, verb) in [
        ("ALTER TABLE d.t DELETE WHERE 1", "ALTER TABLE"),
        ("ALTER TABLE IF EXISTS d.t DROP PARTITION 1", "ALTER TABLE"),
        ("ALTER TABLE d.`t` ADD COLUMN a Int8, DROP COLUMN b", "ALTER TABLE"),
        ("ALTER TABLE d.t CLEAR COLUMN b IN PARTITION 1", "ALTER TABLE"),
        ("ALTER TABLE d.t MODIFY TTL x + INTERVAL 1 DAY", "ALTER TABLE"),
        ("ALTER TABLE d.t REPLACE PARTITION 1 FROM d.u", "ALTER TABLE"),
        ("DELETE FROM d.t WHERE a = 1", "DELETE FROM"),
        ("DETACH TABLE d.t PERMANENTLY", "DETACH TABLE"),
        ("OPTIMIZE TABLE d.t DEDUPLICATE", "OPTIMIZE TABLE"),
        ("REPLACE TABLE d.t (a Int8) ENGINE = Memory", "REPLACE TABLE"),
        ("CREATE OR REPLACE TABLE d.t (a Int8) ENGINE = Memory", "CREATE OR REPLACE TABLE"),
    ] {
        let found = of(statement);
        assert_eq!(found.losing, Losing::AtMost(name("d", "t")), "{statement}");
        assert_eq!((found.effect, found.verb.as_str()), (Effect::Destroy, verb), "{statement}");
    }
}

#[test]
fn what_is_dropped_and_created() {
    assert_eq!(
        of("DROP TABLE IF EXISTS d.a, `b.c` SYNC").change,
        Change::DropTables { names: vec![name("d", "a"), name("", "b.c")], if_exists: true }
    );
    assert_eq!(of("DROP DATABASE d SYNC").change, Change::DropDatabase { name: "d".to_owned(), if_exists: false });
    assert_eq!(of("TRUNCATE d.t").change, Change::Truncate { name: name("d", "t"), if_exists: false });
    assert_eq!(
        of("TRUNCATE ALL TABLES FROM IF EXISTS d").change,
        Change::TruncateDatabase { name: "d".to_owned(), if_exists: true }
    );
    assert_eq!(
        of("CREATE DATABASE IF NOT EXISTS d ENGINE = Atomic").change,
        Change::CreateDatabase { name: "d".to_owned(), if_not_exists: true, engine: "Atomic".to_owned() }
    );
    assert_eq!(
        of("CREATE MATERIALIZED VIEW d.v ENGINE = Log POPULATE AS SELECT 1").change,
        Change::CreateTable {
            name: name("d", "v"),
            if_not_exists: false,
            engine: "MaterializedView".to_owned(),
            filled: true
        }
    );
}

#[test]
fn what_is_not_known_must_be_declared() {
    for statement in ["FROBNICATE d.t", "ALTER TABLE d.t DROP DETACHED PARTITION ALL", "DROP SOMETHING x"] {
        let found = of(statement);
        assert_eq!((found.effect, found.losing), (Effect::Destroy, Losing::Unclear), "{statement}");
    }
}

#[test]
fn what_has_no_place_in_a_runbook() {
    for statement in [
        "BACKUP DATABASE d TO S3('x')",
        "RESTORE TABLE d.t FROM S3('x')",
        "DROP TABLE d.t ON CLUSTER c",
        "SET a = 1",
        "USE d",
        "SELECT 1 FORMAT JSON",
        "SELECT 1 INTO OUTFILE 'x'",
        "DROP TABLE a PARALLEL WITH DROP TABLE b",
        "SELECT 'open",
        "",
    ] {
        assert!(classify(statement).is_err(), "{statement}");
    }
    assert!(classify("SELECT 'ON CLUSTER', `FORMAT` FROM t").is_ok());
}

#[test]
fn only_a_single_object_without_data_fails_as_a_whole() {
    assert!(of("DROP TABLE d.t").all_or_nothing);
    assert!(of("CREATE DATABASE d").all_or_nothing);
    assert!(!of("DROP TABLE d.t, d.u").all_or_nothing);
    assert!(!of("INSERT INTO d.t VALUES (1)").all_or_nothing);
    assert!(!of("RENAME TABLE a TO b, c TO d").all_or_nothing);
}
