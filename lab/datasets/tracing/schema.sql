-- The tables of a tracing product. One statement each, closed by a semicolon at the end of a line.
-- {{database}} is filled in by `clickferry-lab seed tracing`; other names are of the current database.

-- Spans of programs: the big table, one partition a month.
CREATE TABLE runs
(
    id UUID,
    tenant_id UInt32,
    session_id UUID,
    parent_id Nullable(UUID),
    name LowCardinality(String),
    run_type Enum8('llm' = 1, 'chain' = 2, 'tool' = 3, 'retriever' = 4),
    status LowCardinality(String),
    start_time DateTime64(6, 'UTC'),
    end_time Nullable(DateTime64(6, 'UTC')),
    prompt_tokens UInt32,
    completion_tokens UInt32,
    cost Decimal(18, 6),
    error Nullable(String),
    tags Array(LowCardinality(String)),
    metadata Map(String, String),
    attributes Array(Tuple(key String, value String)),
    inputs String CODEC(ZSTD(1)),
    INDEX error_words ifNull(error, '') TYPE tokenbf_v1(1024, 2, 0) GRANULARITY 4
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(start_time)
ORDER BY (tenant_id, session_id, start_time, id);

-- One row for each attribute of each run, filled by the view below.
CREATE TABLE runs_key_value
(
    tenant_id UInt32,
    key LowCardinality(String),
    value String,
    start_time DateTime64(6, 'UTC'),
    run_id UUID
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(start_time)
ORDER BY (tenant_id, key, value, start_time, run_id);

CREATE MATERIALIZED VIEW runs_key_value_mv TO runs_key_value AS
SELECT tenant_id, attribute.1 AS key, attribute.2 AS value, start_time, id AS run_id
FROM runs
ARRAY JOIN attributes AS attribute;

-- Hourly sums, as states of aggregate functions.
CREATE TABLE run_stats_hourly
(
    tenant_id UInt32,
    hour DateTime('UTC'),
    runs AggregateFunction(count),
    tokens AggregateFunction(sum, UInt64),
    slowest AggregateFunction(max, Int64),
    sessions AggregateFunction(uniqExact, UUID)
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(hour)
ORDER BY (tenant_id, hour);

CREATE MATERIALIZED VIEW run_stats_hourly_mv TO run_stats_hourly AS
SELECT
    tenant_id,
    toStartOfHour(toDateTime(start_time, 'UTC')) AS hour,
    countState() AS runs,
    sumState(toUInt64(prompt_tokens) + completion_tokens) AS tokens,
    maxState(toInt64(ifNull(dateDiff('millisecond', start_time, end_time), 0))) AS slowest,
    uniqExactState(session_id) AS sessions
FROM runs
GROUP BY tenant_id, hour;

-- A view that keeps its rows in a hidden table of its own.
CREATE MATERIALIZED VIEW errors_daily
ENGINE = SummingMergeTree
PARTITION BY toYYYYMM(day)
ORDER BY (tenant_id, day, name)
AS SELECT tenant_id, toDate(start_time) AS day, name, count() AS errors
FROM runs
WHERE status = 'error'
GROUP BY tenant_id, day, name;

-- What people say about runs; the newest version of a row wins.
CREATE TABLE feedbacks
(
    id UUID,
    tenant_id UInt32,
    run_id UUID,
    key LowCardinality(String),
    score Nullable(Float64),
    comment String,
    created_at DateTime64(6, 'UTC'),
    modified_at DateTime64(6, 'UTC')
)
ENGINE = ReplacingMergeTree(modified_at)
PARTITION BY toYYYYMM(created_at)
ORDER BY (tenant_id, key, id);

-- A conversation; the projection answers by user.
CREATE TABLE sessions
(
    id UUID,
    tenant_id UInt32,
    user_name String,
    started_at DateTime('UTC'),
    turns UInt16,
    PROJECTION by_user (SELECT user_name, count(), max(started_at) GROUP BY user_name)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(started_at)
ORDER BY (tenant_id, id);

-- Bodies of requests, kept for a time that does not end before the laboratory does.
CREATE TABLE payloads
(
    run_id UUID,
    tenant_id UInt32,
    received_at DateTime('UTC'),
    body String CODEC(ZSTD(1)),
    size UInt32 MATERIALIZED length(body)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(received_at)
ORDER BY (tenant_id, run_id)
TTL received_at + INTERVAL 20 YEAR;

-- A name that has to be quoted, and one more inside.
CREATE TABLE `trace-links`
(
    `from-run` UUID,
    `to-run` UUID,
    kind Enum8('parent' = 1, 'cause' = 2, 'retry' = 3),
    linked_on Date
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(linked_on)
ORDER BY (`from-run`, `to-run`);

CREATE TABLE tenants
(
    id UInt64,
    handle String,
    plan LowCardinality(String),
    created_on Date
)
ENGINE = MergeTree
ORDER BY id;

CREATE DICTIONARY tenants_dictionary
(
    id UInt64,
    handle String DEFAULT '?',
    plan String DEFAULT 'none'
)
PRIMARY KEY id
SOURCE(CLICKHOUSE(DB '{{database}}' TABLE 'tenants'))
LAYOUT(HASHED())
LIFETIME(0);

CREATE TABLE model_prices
(
    model LowCardinality(String),
    valid_from Date,
    prompt_price Decimal(18, 9),
    completion_price Decimal(18, 9)
)
ENGINE = ReplacingMergeTree
ORDER BY (model, valid_from);

-- States of a queue, a row and its cancellation.
CREATE TABLE annotation_queue
(
    item_id UInt64,
    tenant_id UInt32,
    state LowCardinality(String),
    sign Int8
)
ENGINE = CollapsingMergeTree(sign)
ORDER BY (tenant_id, item_id);

-- Nothing was ever exported.
CREATE TABLE exports
(
    id UUID,
    tenant_id UInt32,
    requested_at DateTime('UTC'),
    format LowCardinality(String)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(requested_at)
ORDER BY (tenant_id, id);

CREATE VIEW latest_feedback AS
SELECT tenant_id, run_id, key, argMax(score, modified_at) AS score, max(modified_at) AS last_modified
FROM feedbacks
GROUP BY tenant_id, run_id, key;

-- As golang-migrate makes it.
CREATE TABLE schema_migrations
(
    version Int64,
    dirty UInt8,
    sequence UInt64
)
ENGINE = TinyLog;
