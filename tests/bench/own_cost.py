#!/usr/bin/env python3
"""Own cost of the engine: 200 steps `SELECT 1` by `clickferry apply` against the same statements sent bare over one
connection; start-up; resident memory. Prints medians of several rounds; asserts nothing."""
import http.client
import os
import pathlib
import re
import statistics
import subprocess
import sys
import time

STEPS, ROUNDS = 200, 5
lab = pathlib.Path(sys.argv[1])
environment = (lab / "environment.yaml").read_text()
host = re.search(r'url: "http://([^"]+)"', environment).group(1)
password = (lab / "secrets" / "clickhouse-password").read_text().strip()

steps = "".join(f'  - id: s{i}\n    sql: {{ on: source, statements: ["SELECT 1"] }}\n' for i in range(STEPS))
runbook = lab / "bench.yaml"
runbook.write_text("apiVersion: clickferry/v1\nkind: Runbook\nmetadata: { name: bench }\n"
                   "targets:\n  source: { topology: standalone }\nsteps:\n" + steps)


def bare():
    connection = http.client.HTTPConnection(host)
    headers = {"X-ClickHouse-User": "default", "X-ClickHouse-Key": password}
    begun = time.perf_counter()
    for _ in range(STEPS):
        connection.request("POST", "/?default_format=JSONCompact&wait_end_of_query=1", b"SELECT 1", headers)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200, answer.status
    return time.perf_counter() - begun


def timed(*command):
    """Wall seconds and the largest resident memory in KiB of one process, from the system's own accounting."""
    begun = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0, command
    return time.perf_counter() - begun, usage.ru_maxrss


apply = ("clickferry", "apply", str(runbook), "-e", str(lab / "environment.yaml"))
plan = ("clickferry", "plan", str(runbook), "-e", str(lab / "environment.yaml"))
bare(), timed(*apply)
rows = [(bare(), *timed(*apply), timed(*plan)[0], timed("clickferry", "--version")[0]) for _ in range(ROUNDS)]
sent, applied, memory, planned, started = (statistics.median(column) for column in zip(*rows))
own = (applied - planned - sent) / STEPS * 1000
print(f"{STEPS} x SELECT 1, medians of {ROUNDS} rounds")
print(f"  bare over one connection   {sent * 1000:8.1f} ms")
print(f"  clickferry apply           {applied * 1000:8.1f} ms   ratio {applied / sent:.2f}")
print(f"  of that planning           {planned * 1000:8.1f} ms")
print(f"  own cost per operation     {own:8.2f} ms   (journal syncs included; goal: at most 5)")
print(f"  resident memory of apply   {memory / 1024:8.1f} MiB  (goal: below 64)")
print(f"  start-up of --version      {started * 1000:8.1f} ms   (goal: below 20)")
