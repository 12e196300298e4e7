#!/usr/bin/env python3
"""Own cost of planning a move of many tables: the program as users have it, against servers that answer at once
(tests/bench/stand_in). Prints figures beside their goals; asserts nothing.

    tests/bench/large_plan.py [TABLES [SHARDS [REPLICAS]]]
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = ROOT / "target" / "release"
TABLES, SHARDS, REPLICAS = (int(text) for text in (sys.argv[1:] + ["5000", "1", "6"][len(sys.argv) - 1:]))
RUNBOOKS = os.environ.get("LARGE_PLAN_RUNBOOKS", "move-without-keeper move").split()
GOALS = "goals: 1 s from start to end, of which the servers take little; resident below 256 MiB, at most 20 statements per host"


def run(command, folder):
    """Wall and CPU seconds, largest resident memory in MiB, exit code and bytes written of one process."""
    with tempfile.TemporaryFile() as out:
        begun = time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, stdout=out, stderr=subprocess.DEVNULL,
                                   env=os.environ | {"STAND_IN_KEY": "k"})
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - begun
        size = out.seek(0, 2)
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, os.waitstatus_to_exitcode(status), size


with tempfile.TemporaryDirectory() as folder:
    stand_in = subprocess.Popen([BIN / "examples" / "stand_in", str(TABLES), str(SHARDS), str(REPLICAS), folder],
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert stand_in.stdout.readline() == "ready\n"

    def counts():
        stand_in.stdin.write("\n")
        stand_in.stdin.flush()
        return json.loads(stand_in.stdout.readline())

    print(f"{TABLES} tables from one server to {SHARDS} shards of {REPLICAS} replicas; {GOALS}")
    print(f"{'':<42}{'CPU':>8}{'wall':>9}{'resident':>13}{'output':>11}   statements per host, Keeper requests")
    for runbook in RUNBOOKS:
        plan = ["plan", f"{runbook}.yaml", "-e", "environment.yaml", "-p", "migration=87"]
        cases = [("text, -o plan.json", plan + ["-o", "plan.json"]), ("text --summary", plan + ["--summary"])]
        if runbook == RUNBOOKS[0]:
            cases += [(view, plan + ["--format", view]) for view in ("markdown", "html", "json")]
            cases += [("saved plan --summary", ["plan", "plan.json", "--summary"])]
            # Looks at all again and compares; without consent it goes no further.
            cases += [("apply plan.json, no consent", ["apply", "plan.json", "-e", "environment.yaml", "--summary"])]
        for name, arguments in cases:
            if arguments[0] == "plan" and name == cases[0][0]:
                run([BIN / "clickferry", *arguments], folder)  # the stand-in prepares its answers
                counts()
            wall, cpu, memory, code, size = run([BIN / "clickferry", *arguments], folder)
            asked = counts()
            keeper = asked.pop("keeper", 0)
            most = max(asked.values(), default=0)
            print(f"{runbook + ' ' + name:<42}{cpu:>6.2f} s{wall:>7.2f} s{memory:>9.0f} MiB{size / 1e6:>8.2f} MB"
                  f"   {most}, {keeper}" + ("" if code in (0, 2, 3) else f"   FAILED: exit {code}"), flush=True)
    stand_in.stdin.close()
    stand_in.terminate()
