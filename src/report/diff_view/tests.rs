//! Many tables, both widths, with colours and without.

use super::*;

fn object(number: usize, change: Change) -> ObjectDiff {
    let side = |text: &str| Some(Sides { now: Some(text.to_owned()), expected: Some(format!("Replicated{text}")) });
    ObjectDiff {
        object: ObjectKind::Table,
        database: "default".to_owned(),
        name: Some(format!("events_of_the_tenant_{number:03}")),
        change,
        engine: side("MergeTree"),
        rows: Some(Sides { now: None, expected: Some(1000) }),
        keeper_path: Some(Sides { now: None, expected: Some(format!("/clickhouse/tables/01/{number}")) }),
        definition: Vec::new(),
    }
}

fn report(changes: impl Fn(usize) -> Change) -> DiffReport {
    let changes: Vec<ObjectDiff> = (0..500).map(|number| object(number, changes(number))).collect();
    let host = |name: &str| HostDiff {
        target: "destination".to_owned(),
        host: name.to_owned(),
        shard: "01".to_owned(),
        changes: changes.clone(),
        ..HostDiff::default()
    };
    DiffReport {
        version: DIFF_VERSION,
        runbook: "move".to_owned(),
        environment: "production".to_owned(),
        differs: true,
        hosts: vec![host("replica1"), host("replica2")],
        keeper: Vec::new(),
        backups: Vec::new(),
        untold: Vec::new(),
    }
}

fn render(report: &DiffReport, width: usize, full: bool) -> String {
    DiffView { width, style: Style::default(), full }.render(report)
}

#[test]
fn five_hundred_tables_that_change_alike_are_read_in_a_minute() {
    let report = report(|number| if number < 250 { Change::Created } else { Change::Changed });
    for width in [80, 120] {
        let text = render(&report, width, false);
        let joined = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.lines().count() < 30, "{text}");
        let longest = text.lines().map(|line| line.chars().count()).max();
        assert!(longest <= Some(width), "{longest:?}: {text}");
        assert!(joined.contains("250 tables would be created in default on replica1, replica2"), "{text}");
        assert!(joined.contains("with 250 000 rows on each"), "{text}");
        assert!(text.contains("and 249 alike; `--full` shows them"), "{text}");
        assert!(text.contains("1 000 differences on 2 of 2 hosts"), "{text}");
    }
    let full = render(&report, 120, true);
    assert!((0..500).all(|number| full.contains(&format!("events_of_the_tenant_{number:03}"))));
}

#[test]
fn colours_change_no_word() {
    let report = report(|_| Change::Changed);
    let coloured = DiffView { width: 80, style: Style { colour: true }, full: false }.render(&report);
    let mut plain = String::new();
    let mut rest = coloured.as_str();
    while let Some(at) = rest.find('\u{1b}') {
        plain.push_str(&rest[..at]);
        rest = rest[at..].split_once('m').map_or("", |(_, rest)| rest);
    }
    assert_eq!(plain + rest, render(&report, 80, false));
}
