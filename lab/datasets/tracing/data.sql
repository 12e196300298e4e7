-- Data that depends on nothing but {{rows}} and {{seed}}: hashes of numbers, and fixed dates in the first half of 2026.

INSERT INTO tenants
SELECT
    number + 1 AS id,
    concat('tenant-', toString(id)) AS handle,
    ['free', 'plus', 'enterprise'][cityHash64(number, {{seed}}, 'plan') % 3 + 1] AS plan,
    toDate('2024-01-01') + cityHash64(number, {{seed}}, 'created') % 700 AS created_on
FROM numbers(50);

INSERT INTO model_prices
SELECT
    ['small-1', 'medium-1', 'large-1', 'large-2'][number % 4 + 1] AS model,
    toDate('2026-01-01') + intDiv(number, 4) * 31 AS valid_from,
    toDecimal64((1 + cityHash64(number, {{seed}}, 'p') % 900) / 1000000, 9) AS prompt_price,
    prompt_price * 3 AS completion_price
FROM numbers(24);

-- A quarter of all rows; its view writes two more for each.
INSERT INTO runs
WITH
    cityHash64(number, {{seed}}, 'run') AS hash,
    cityHash64(number, {{seed}}, 'time') AS clock,
    hash % 23 = 0 AS failed
SELECT
    reinterpretAsUUID(sipHash128(number, {{seed}}, 'run')) AS id,
    1 + intDiv(hash, 7) % 50 AS tenant_id,
    reinterpretAsUUID(sipHash128(intDiv(number, 8) % greatest(intDiv({{rows}}, 50), 1), {{seed}}, 'session')) AS session_id,
    if(number % 8 = 0, NULL, reinterpretAsUUID(sipHash128(intDiv(number, 8) * 8, {{seed}}, 'run'))) AS parent_id,
    ['plan', 'answer', 'search', 'rank', 'summarise', 'write'][intDiv(hash, 11) % 6 + 1] AS name,
    CAST(1 + intDiv(hash, 13) % 4 AS Enum8('llm' = 1, 'chain' = 2, 'tool' = 3, 'retriever' = 4)) AS run_type,
    if(failed, 'error', 'success') AS status,
    fromUnixTimestamp64Micro(toInt64(1767225600000000 + clock % 15638400000000), 'UTC') AS start_time,
    if(hash % 97 = 0, NULL, addMilliseconds(start_time, intDiv(hash, 17) % 30000)) AS end_time,
    intDiv(hash, 19) % 4000 AS prompt_tokens,
    intDiv(hash, 23) % 1000 AS completion_tokens,
    toDecimal64(prompt_tokens * 3 + completion_tokens * 9, 6) / 1000000 AS cost,
    if(failed, concat('upstream answered ', toString(500 + hash % 5)), NULL) AS error,
    arrayMap(n -> concat('tag-', toString((hash + n) % 12)), range(hash % 4)) AS tags,
    map('model', ['small-1', 'medium-1', 'large-1', 'large-2'][hash % 4 + 1], 'release', toString(intDiv(hash, 29) % 30)) AS metadata,
    [('thread', toString(intDiv(number, 8))), ('region', ['eu', 'us', 'ap'][intDiv(hash, 31) % 3 + 1])] AS attributes,
    concat('{"question":"', hex(sipHash128(hash, 'q')), '","step":', toString(number % 8), '}') AS inputs
FROM numbers(intDiv({{rows}}, 4));

INSERT INTO sessions
SELECT
    reinterpretAsUUID(sipHash128(number, {{seed}}, 'session')) AS id,
    1 + cityHash64(number, {{seed}}, 'st') % 50 AS tenant_id,
    concat('user-', toString(cityHash64(number, {{seed}}, 'user') % 500)) AS user_name,
    toDateTime(1767225600 + cityHash64(number, {{seed}}, 'ss') % 15638400, 'UTC') AS started_at,
    8 AS turns
FROM numbers(intDiv({{rows}}, 50));

-- A tenth of the rows; every tenth of them is written again with a later time, and replaces the first.
INSERT INTO feedbacks
WITH
    toUInt64(number - if(number % 10 = 9, 5, 0)) AS original,
    cityHash64(original, {{seed}}, 'feedback') AS hash
SELECT
    reinterpretAsUUID(sipHash128(original, {{seed}}, 'feedback')) AS id,
    1 + hash % 50 AS tenant_id,
    reinterpretAsUUID(sipHash128(original, {{seed}}, 'run')) AS run_id,
    ['correctness', 'helpful', 'tone'][intDiv(hash, 3) % 3 + 1] AS key,
    if(hash % 29 = 0, NULL, (intDiv(hash, 5) % 101) / 100) AS score,
    if(number = original, '', 'changed my mind') AS comment,
    fromUnixTimestamp64Micro(toInt64(1767225600000000 + intDiv(hash, 7) % 15638400000000), 'UTC') AS created_at,
    addSeconds(created_at, if(number = original, 0, 60)) AS modified_at
FROM numbers(intDiv({{rows}}, 10));

INSERT INTO payloads
WITH cityHash64(number, {{seed}}, 'payload') AS hash
SELECT
    reinterpretAsUUID(sipHash128(number, {{seed}}, 'run')) AS run_id,
    1 + hash % 50 AS tenant_id,
    toDateTime(1767225600 + intDiv(hash, 3) % 15638400, 'UTC') AS received_at,
    concat('{"messages":["', hex(sipHash128(hash, 1)), '","', repeat('lorem ipsum ', 2 + hash % 6), '"]}') AS body
FROM numbers(intDiv({{rows}}, 10));

INSERT INTO `trace-links`
SELECT
    reinterpretAsUUID(sipHash128(number, {{seed}}, 'run')) AS `from-run`,
    reinterpretAsUUID(sipHash128(cityHash64(number, {{seed}}, 'link') % greatest(intDiv({{rows}}, 4), 1), {{seed}}, 'run')) AS `to-run`,
    CAST(1 + number % 3 AS Enum8('parent' = 1, 'cause' = 2, 'retry' = 3)) AS kind,
    toDate('2026-01-01') + cityHash64(number, {{seed}}, 'day') % 181 AS linked_on
FROM numbers(intDiv({{rows}} * 3, 100));

-- Every third item has been taken back.
INSERT INTO annotation_queue
SELECT number % 300 AS item_id, 1 + item_id % 50 AS tenant_id, 'waiting' AS state, if(number < 300, 1, -1) AS sign
FROM numbers(600)
WHERE number < 300 OR number % 3 = 0;

-- Two rows for each migration: begun, and done.
INSERT INTO schema_migrations
SELECT
    intDiv(number, 2) + 1 AS version,
    number % 2 = 0 AS dirty,
    toUInt64(1767225600000000000) + number * 1000000000 AS sequence
FROM numbers(2 * {{migrations}} - {{unfinished}})
ORDER BY number;
