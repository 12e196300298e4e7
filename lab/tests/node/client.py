"""clickhouse-connect against one node: select, insert, parameters, streams and errors, with each compression."""

import datetime
import os
import sys

import clickhouse_connect
from clickhouse_connect.driver.exceptions import ClickHouseError

COLUMNS = ["id", "name", "at", "tags", "value"]


def check(compress):
    client = clickhouse_connect.get_client(
        host="127.0.0.1",
        port=int(sys.argv[1]),
        username=os.environ["LAB_USER"],
        password=os.environ["LAB_PASSWORD"],
        compress=compress,
    )
    client.command("DROP TABLE IF EXISTS python SYNC")
    client.command(
        "CREATE TABLE python (id UInt64, name String, at DateTime, tags Array(String), value Nullable(Float64)) "
        "ENGINE = MergeTree ORDER BY id"
    )
    start = datetime.datetime(2026, 1, 1)
    rows = [(i, f"n'{i}\\\n\n;", start, ["a", "b"], None if i % 2 else i / 2) for i in range(5000)]
    assert client.insert("python", rows, column_names=COLUMNS).written_rows == 5000
    read = client.query("SELECT * FROM python ORDER BY id").result_rows
    assert [row[1] for row in read] == [row[1] for row in rows]
    assert (read[7][4], read[8][4]) == (None, 4.0)
    values = client.query("SELECT {a:UInt8} + 1, {s:String}", parameters={"a": 4, "s": "it's"}).result_rows
    assert values == [(5, "it's")], values
    with client.query_row_block_stream("SELECT number, toString(number) FROM numbers(1500000)") as stream:
        assert sum(len(block) for block in stream) == 1500000
    fails(client, "SELECT * FROM nope", "60")
    # The second fails after its result began.
    fails(client, "SELECT throwIf(number = 3000000), toString(number) FROM numbers(4000000)", "395")
    assert client.raw_query("SELECT 1", fmt="CSV") == b"1\n"
    client.command("DROP TABLE python SYNC")
    client.close()


def fails(client, sql, code):
    try:
        client.query(sql)
    except ClickHouseError as error:
        assert code in str(error), error
    else:
        raise AssertionError(f"{sql} succeeded")


for method in (False, True, "lz4", "zstd", "gzip"):
    check(method)
print("ok")
