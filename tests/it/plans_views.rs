//! Views of plans: one hand-made plan in all of them, the same facts in all, and large plans that stay readable.

use clickferry::plan::data::Data;
use clickferry::plan::operation::{Effect, Operation};
use clickferry::plan::plan_file::Plan;
use clickferry::report::plan_html::render_html;
use clickferry::report::plan_json::{plan_schema, render_json};
use clickferry::report::plan_markdown::{PAGE_LIMIT, PlanMarkdown};
use clickferry::report::plan_view::PlanView;
use clickferry::report::text::Style;

use crate::support::large_plan::large_plan;
use crate::support::root;

fn plan() -> Plan {
    let text = std::fs::read(root().join("tests/cases/plans/move.json")).unwrap();
    serde_json::from_slice::<Plan>(&text).unwrap().sealed()
}

fn text(plan: &Plan, width: usize, summary: bool, colour: bool) -> String {
    PlanView { width, style: Style { colour }, summary }.render(plan)
}

fn markdown(plan: &Plan) -> String {
    PlanMarkdown::new("clickferry plan move.yaml -e staging.yaml").render(plan)
}

/// Compares with a file under `tests/cases/plans/`; `UPDATE_VIEWS=1` writes it.
fn matches_file(name: &str, found: &str) {
    // The digest changes with the version of the tool and says nothing on the view.
    let digest = plan().digest;
    let found = found.replace(&digest, "DIGEST").replace(&digest[..12], "DIGEST");
    let path = root().join("tests/cases/plans").join(name);
    if std::env::var_os("UPDATE_VIEWS").is_some() {
        std::fs::write(&path, &found).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        expected == found,
        "{name} differs; look at it with `UPDATE_VIEWS=1 cargo test --test it plans_views` and `git diff`:\n{}",
        similar::TextDiff::from_lines(&expected, &found).unified_diff()
    );
}

#[test]
fn a_plan_as_text() {
    for width in [80, 120] {
        matches_file(&format!("move.{width}.summary.txt"), &text(&plan(), width, true, false));
        matches_file(&format!("move.{width}.txt"), &text(&plan(), width, false, false));
    }
}

#[test]
fn a_plan_as_markdown_and_html() {
    matches_file("move.md", &markdown(&plan()));
    matches_file("move.html", &render_html(&plan()));
}

#[test]
fn colours_add_nothing_but_colours() {
    let coloured = text(&plan(), 80, false, true);
    assert!(coloured.contains("\u{1b}[31m"));
    let mut bare = String::new();
    let mut rest = coloured.as_str();
    while let Some(at) = rest.find('\u{1b}') {
        bare.push_str(&rest[..at]);
        rest = &rest[at..];
        rest = &rest[rest.find('m').unwrap() + 1..];
    }
    bare.push_str(rest);
    assert_eq!(bare, text(&plan(), 80, false, false));
}

/// The plan with names as long as they come in life, everything a guard can ask, and a host that is far away.
fn demanding() -> Plan {
    let text = std::fs::read_to_string(root().join("tests/cases/plans/move.json")).unwrap();
    let text = text
        .replace(
            "/clickhouse/tables/01/default",
            "/clickhouse/prod-eu-central-1/tracing/tables/01/langsmith_default_database",
        )
        .replace(
            "http://clickhouse-0:8123",
            "https://clickhouse-replica-0.clickhouse-headless.langsmith.svc.cluster.local:8443",
        );
    let mut plan = serde_json::from_str::<Plan>(&text).unwrap();
    plan.protected = true;
    plan.guards = serde_json::from_value(serde_json::json!({
        "loss": { "tables": 10, "rows": 5000, "replicas": 2 },
        "versions": { "max_distance": 4 },
        "disk": { "headroom": 20 },
        "write_freeze": { "on": ["source"], "databases": ["default"], "for": "30s" },
        "window": { "days": ["sat"], "from": "01:00", "to": "05:00", "timezone": "Europe/Berlin" },
        "approvals": { "count": 2, "signers": "who-may-approve" }
    }))
    .unwrap();
    plan.sealed()
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    for plan in [plan(), demanding(), large_plan(40, 3)] {
        for width in [80, 120] {
            for summary in [true, false] {
                let page = text(&plan, width, summary, false);
                let wide: Vec<&str> = page.lines().filter(|line| line.chars().count() > width).collect();
                assert!(wide.is_empty(), "{width}: {wide:#?}");
            }
        }
    }
}

#[test]
fn what_is_asked_of_people_stands_in_every_view() {
    let plan = demanding();
    let asked = clickferry::report::asked::asked(&plan);
    let words: Vec<&str> = asked.iter().map(|line| line.split(':').next().unwrap()).collect();
    assert_eq!(
        words,
        [
            "signatures of 2 people named in who-may-approve",
            "an apply within the window",
            "that nobody writes to default on source",
            "consent at apply",
            "during the run, before step recreate, an answer to",
            "to know that there is no way back after step recreate",
        ]
    );
    for (name, view) in [
        ("text", text(&plan, 80, false, false)),
        ("summary", text(&plan, 120, true, false)),
        ("markdown", markdown(&plan).replace("\\_", "_")),
        ("html", render_html(&plan).replace("<code>", "`").replace("</code>", "`")),
    ] {
        let view = bare(&view);
        for line in &asked {
            assert!(view.contains(&blankless(line)), "{name} lacks: {line}");
        }
        for limit in ["4 releases apart", "20 percent more", "on 2 hosts"] {
            assert!(view.contains(&blankless(limit)), "{name} lacks: {limit}");
        }
    }
}

#[test]
fn what_replicas_hold_alike_is_told_once_and_with_its_rows() {
    let mut plan = plan();
    for operation in plan.operations.iter_mut().filter(|operation| operation.kind == "drop_database") {
        let mut data = operation.data.value();
        data["tables"] = serde_json::json!([
            { "name": ".inner_id.5ba-1", "uuid": "7", "rows": 12 },
            { "name": "daily", "uuid": "5ba-1", "rows": null },
            { "name": "runs", "uuid": "8", "rows": 1000 },
            { "name": "latest", "uuid": "9", "rows": null },
        ]);
        operation.data = Data::of(&data);
    }
    let plan = plan.sealed();
    for (name, view) in [
        ("text", text(&plan, 80, false, false)),
        ("markdown", markdown(&plan)),
        (
            "html",
            render_html(&plan)
                .replace("<span class=\"nw\">", "")
                .replace("</span>", "")
                .replace("<code>", "")
                .replace("</code>", ""),
        ),
    ] {
        let view = bare(&view);
        let words = blankless("runs (1 000 rows), daily (12 rows); without rows of their own: latest");
        assert_eq!(view.matches(&words).count(), 1, "{name}");
        assert!(!view.contains("inner_id"), "{name}");
    }
}

/// A view without what a browser or a page adds: tags, entities, marks of differences and all blanks.
fn bare(view: &str) -> String {
    let mut out = String::new();
    for line in view.lines() {
        let mut line = line.to_owned();
        while let (Some(from), Some(to)) = (line.find("<del>"), line.find("</del>")) {
            line.replace_range(from..to + "</del>".len(), "");
        }
        let trimmed = line.trim();
        let removed = trimmed.starts_with("- ENGINE");
        let kept = trimmed.strip_prefix("+ ").unwrap_or(trimmed);
        if !removed {
            out.push_str(&kept.replace("<ins>", "").replace("</ins>", "").replace("<pre>", "").replace("</pre>", ""));
        }
    }
    let out = out
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&#39;", "'")
        .replace("&amp;", "&");
    out.chars().filter(|character| !character.is_whitespace()).collect()
}

fn blankless(text: &str) -> String {
    text.chars().filter(|character| !character.is_whitespace()).collect()
}

fn lacks<'p>(view: &str, operations: &'p [Operation]) -> Vec<(&'p str, &'p str)> {
    let view = bare(view);
    let mut missing = Vec::new();
    for operation in operations {
        let host = operation.host.as_ref().map_or("", |host| host.as_str());
        let texts = operation.statements.iter().map(|statement| statement.text.as_str());
        for text in texts.chain([operation.id.as_str(), host]) {
            if !view.contains(&blankless(text)) {
                missing.push((operation.id.as_str(), text));
            }
        }
    }
    missing
}

#[test]
fn every_view_tells_the_same_facts() {
    let plan = plan();
    let json = serde_json::from_str::<serde_json::Value>(&render_json(&plan)).unwrap();
    for operation in &plan.operations {
        let found = json["operations"].as_array().unwrap().iter().find(|other| other["id"] == operation.id.0).unwrap();
        assert_eq!(*found, serde_json::to_value(operation).unwrap());
    }
    assert_eq!(json["digest"], plan.digest);
    assert_eq!(
        json["totals"]["loss"],
        serde_json::json!({ "tables": 4, "rows": 2380, "bytes": 10256, "keeper_nodes": 7 })
    );
    // Of what only reads, pages leave the lesser statements out and say how many; of what changes something, nothing.
    let changing: Vec<Operation> =
        plan.operations.iter().filter(|operation| operation.effect != Effect::Read).cloned().collect();
    assert_eq!(lacks(&render_html(&plan), &plan.operations), []);
    assert_eq!(lacks(&markdown(&plan), &changing), []);
    for view in [markdown(&plan), render_html(&plan)] {
        assert!(view.contains(&plan.digest), "{view}");
    }
    for view in [markdown(&plan), text(&plan, 80, false, false)] {
        assert!(view.contains("and 5 statements more that only read; `--format json` shows them"), "{view}");
        assert!(view.contains("-- and 4 lines more; --format json shows them"), "{view}");
    }
    // Text tells neighbouring operations as a range, and the part of the digest that consent needs.
    let full = text(&plan, 80, false, false);
    let without_ids: Vec<Operation> = changing
        .iter()
        .cloned()
        .map(|mut operation| {
            operation.id.0 = operation.step.0.clone();
            operation
        })
        .collect();
    assert_eq!(lacks(&full, &without_ids), []);
    assert!(full.contains("create-tables/1 to 6") && full.contains(&plan.digest[..12]));
    // What the plan rests on.
    for fact in &plan.facts {
        for (name, view) in [("text", full.clone()), ("markdown", markdown(&plan)), ("html", render_html(&plan))] {
            for words in [&*fact.subject, fact.value.as_str(), fact.host.as_str()] {
                assert!(bare(&view).contains(&blankless(words)), "{name}: {fact:?}");
            }
        }
    }
    let rests_on = |plan: &Plan| text(plan, 80, false, false).split_once("RESTS ON").unwrap().1.to_owned();
    assert!(rests_on(&large_plan(100, 2)).contains("table default.events_0099 that is dropped on replica1, replica2:"));
    assert!(rests_on(&large_plan(150, 2)).contains("- and 50 more; --format json shows them"));
    for (name, view) in [
        ("text", full),
        ("summary", text(&plan, 80, true, false)),
        ("markdown", markdown(&plan)),
        ("html", render_html(&plan)),
    ] {
        assert!(view.contains("4 tables, 2 380 rows, 10.0 KiB, 7 Keeper nodes"), "{name}");
        for left in ["queue", "scratch (40 rows stay behind)"] {
            assert!(bare(&view).contains(&blankless(left)), "{name}: {left}");
        }
        assert!(view.contains("10 tables, 5 000 rows") || view.contains("the runbook allows at most"), "{name}");
        for late in [
            "run.started %Y-%m-%d",
            "attempt",
            "operation.id",
            "secret storage.backups.access_key",
            "step back-up path -",
        ] {
            let explained = view.matches(&format!("${{{late}}}")).count();
            assert!(explained >= 1, "{name}: {late}");
        }
        assert_eq!(view.matches("nothing at the first attempt of an operation").count(), 1, "{name}");
    }
}

#[test]
fn names_do_not_become_markup() {
    let html = render_html(&plan());
    assert!(!html.contains("<b>notes") && html.contains("old|&lt;b&gt;notes&lt;/b&gt;"));
    assert!(
        !html.contains("http-equiv=\"refresh\"")
            && !html.contains(" src=")
            && !html.contains("@import")
            && !html.contains("url(")
    );
    let markdown = markdown(&plan());
    for line in markdown.lines().filter(|line| line.contains("<b>notes")) {
        assert!(
            line.contains("`old_runs (1 000 rows), old|<b>notes</b> (200 rows)`")
                || line.contains("`old_runs (980 rows), old|<b>notes</b> (200 rows)`"),
            "{line}"
        );
    }
}

#[test]
fn a_plan_beyond_its_limit_says_so_first() {
    let mut plan = plan();
    plan.guards.loss.rows = 2379;
    let plan = plan.sealed();
    for view in [text(&plan, 80, true, false), markdown(&plan), render_html(&plan)] {
        assert!(view.to_lowercase().contains("beyond what the runbook allows"));
    }
}

#[test]
fn a_plan_that_only_reads_says_so() {
    let mut plan = plan();
    plan.operations.retain(|operation| operation.step.as_str() == "verify");
    let plan = plan.sealed();
    for view in [text(&plan, 80, true, false), markdown(&plan), render_html(&plan)] {
        assert!(view.contains("only reads") || view.contains("it only reads"), "{view}");
    }
}

#[test]
fn large_plans_stay_readable() {
    let plan = large_plan(500, 2);
    let page = markdown(&plan);
    assert!(page.len() < PAGE_LIMIT, "{} bytes", page.len());
    assert!(page.contains("are left out here") && page.contains("clickferry plan move.yaml -e staging.yaml"));
    // What differs is told even where statements are not.
    assert!(page.contains("+ ENGINE = ReplicatedMergeTree('/clickhouse/tables/{shard}/default/<name>', '{replica}')"));
    let summary = text(&plan, 80, true, false);
    assert!(summary.lines().count() < 150, "{} lines", summary.lines().count());
    assert!(summary.contains("create 500 tables on replica1, replica2"));
    // The 500 counts of each replica are in the plan, and not in the way.
    let full = text(&plan, 80, false, false);
    assert!(full.contains("-- and 95 lines more; --format json shows them"));
    assert!(!full.contains("count() AS counted FROM `default`.`events_0050`"));
    assert!(render_json(&plan).contains("count() AS counted FROM `default`.`events_0050`"));
    // The page for a browser leaves nothing out.
    assert_eq!(lacks(&render_html(&plan), &plan.operations[..300]), []);
}

/// What becomes of many tables, and what is left out of them.
fn converting(tables: usize) -> Plan {
    let mut plan = large_plan(tables, 2);
    let entry = |name: String, more: serde_json::Value| {
        let mut entry = serde_json::json!({
            "step": "create-tables", "database": "default", "name": name, "engine_before": "MergeTree"
        });
        entry.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(entry).unwrap()
    };
    plan.conversions = (0..tables)
        .map(|at| {
            let name = format!("events_{at:04}");
            let path = format!("/clickhouse/tables/01/default/{name}");
            let keeper: Vec<_> = ["replica1", "replica2"]
                .map(|host| serde_json::json!({ "host": host, "path": path, "replica": host }))
                .to_vec();
            entry(
                name,
                serde_json::json!({ "fate": "converted", "engine_after": "ReplicatedMergeTree", "keeper": keeper }),
            )
        })
        .collect();
    plan.conversions.extend((0..60).map(|at| {
        entry(
            format!("left_{at:02}"),
            serde_json::json!({
                "fate": "left_out", "engine_before": "Memory", "rows_behind": 7,
                "why": ["`except_tables` names it; not converted: its rows would stay on one replica (Memory)"]
            }),
        )
    }));
    plan.notes = (0..500).map(|at| format!("note {at}")).collect();
    plan.sealed()
}

#[test]
fn what_becomes_of_each_object_stands_in_every_view_and_nothing_left_out_is_cut() {
    let plan = converting(500);
    let views = [
        ("text", text(&plan, 80, false, false), true),
        ("summary", text(&plan, 80, true, false), false),
        ("markdown", markdown(&plan), false),
        ("html", render_html(&plan).replace("<code>", "`").replace("</code>", "`"), true),
    ];
    for (name, view, is_whole) in &views {
        let view = bare(view);
        let has = |words: &str| view.contains(&blankless(words));
        for at in 0..60 {
            assert!(has(&format!("left_{at:02} (7 rows stay behind)")), "{name}: left_{at:02}");
        }
        assert!(has("Memory is left out: 60 objects of default"), "{name}");
        assert!(has("its rows would stay on one replica (Memory)"), "{name}");
        assert!(has("MergeTree becomes ReplicatedMergeTree: 500 objects of default"), "{name}");
        assert!(
            has(
                "Keeper path /clickhouse/tables/01/default/<name>, replicas replica1 on replica1, replica2 on replica2"
            ),
            "{name}"
        );
        let listed = has("events_0010, events_0011 and 488 more");
        assert!(if *is_whole { has("events_0498, events_0499") } else { listed }, "{name}");
    }
    assert!(views[2].1.len() < PAGE_LIMIT, "{} bytes", views[2].1.len());
    let json: serde_json::Value = serde_json::from_str(&render_json(&plan)).unwrap();
    assert_eq!(json["conversions"].as_array().unwrap().len(), 560);
    let validator = jsonschema::validator_for(&plan_schema()).unwrap();
    assert!(validator.is_valid(&json));
    // Rows that come to the source meanwhile make no other plan of it.
    let mut later = plan.clone();
    later.conversions[500].rows_behind = Some(8);
    assert_eq!(later.sealed().digest, plan.digest);
}

#[test]
fn a_page_for_thousands_of_tables_on_many_hosts_fits_too() {
    let plan = large_plan(3000, 6);
    assert!(markdown(&plan).len() < PAGE_LIMIT);
    assert!(text(&plan, 120, true, false).lines().count() < 150);
}

#[test]
fn the_published_schema_describes_saved_plans() {
    let validator = jsonschema::validator_for(&plan_schema()).unwrap();
    for plan in [plan(), large_plan(2, 2)] {
        let json = serde_json::from_str(&render_json(&plan)).unwrap();
        let errors: Vec<String> =
            validator.iter_errors(&json).map(|error| format!("{error} at {}", error.instance_path())).collect();
        assert!(errors.is_empty(), "{errors:#?}");
    }
    let mut newer = serde_json::to_value(plan()).unwrap();
    newer["format_version"] = 2.into();
    assert!(!validator.is_valid(&newer));
}
