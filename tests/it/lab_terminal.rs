//! Consent at a real terminal: what is typed counts, and nothing is sent before it was.

use crate::support::scene::Scene;
use crate::support::terminal::Terminal;

const DROP: &str =
    "  - id: drop\n    recreate_database: { on: destination, every: replica, database: '{{ database }}' }\n";

/// A protected environment whose replicas hold 3 000 rows each, and a plan that destroys them.
struct Protected {
    scene: Scene,
    name: String,
    digest: String,
}

impl Protected {
    fn new(name: &str) -> Self {
        let scene = Scene::new(name);
        for node in ["replica1", "replica2"] {
            scene.on_node(node, "CREATE DATABASE {db}");
            scene.on_node(node, "CREATE TABLE {db}.kept (id UInt64) ENGINE = MergeTree ORDER BY id");
            scene.on_node(node, "INSERT INTO {db}.kept SELECT number FROM numbers(3000)");
        }
        let name = scene.database.clone();
        scene.environment(|text| text.replace("metadata: {", "metadata: { protected: true,"));
        let runbook = scene.steps(DROP);
        let text = std::fs::read_to_string(scene.test.path().join(&runbook)).unwrap();
        scene.test.write(&runbook, &text.replace("steps:\n", "guards: { loss: { tables: 2, rows: 6000 } }\nsteps:\n"));
        let digest = scene.plan(&runbook, &[]);
        scene.mark();
        Self { scene, name, digest }
    }

    /// The apply up to its first question.
    fn asked(&self) -> Terminal {
        let mut terminal = Terminal::start(&self.scene, &["apply", "plan.json"]);
        terminal.shows(&format!("The environment {} is protected.", self.name)).shows("To change it, type its name:");
        terminal
    }

    /// Nothing was sent, no run was begun, and nobody is kept waiting by a lock.
    fn is_untouched(&self) {
        self.scene.nothing_changed();
        assert!(self.scene.runs().is_empty(), "{:?}", self.scene.runs());
        assert!(!self.scene.state().join("lock.json").exists());
        for node in ["replica1", "replica2"] {
            assert_eq!(self.scene.on_node(node, "SELECT count() FROM {db}.kept"), "3000");
        }
    }
}

#[test]
fn the_name_and_the_total_typed_at_the_terminal_are_consent() {
    let protected = Protected::new("typed");
    let mut terminal = protected.asked();
    terminal.types(&format!("{}\n", protected.name));
    terminal.shows("This plan destroys 2 tables, 6 000 rows,").shows("type the number of rows that it destroys:");
    protected.scene.nothing_changed();
    let session = terminal.types("6 000\n").ends();
    session.ended(0, &["✓ drop/1 drop database", "is done."]);
    let journal = std::fs::read_to_string(protected.scene.runs()[0].join("journal.jsonl")).unwrap();
    assert!(journal.contains(&format!("typed 6000 rows at the terminal for {}", protected.digest)), "{journal}");
    for node in ["replica1", "replica2"] {
        assert_eq!(protected.scene.on_node(node, "SELECT count() FROM system.tables WHERE database = '{db}'"), "0");
    }
}

#[test]
fn another_name_or_total_is_refused_and_a_later_answer_is_free_to_be_right() {
    let protected = Protected::new("mistyped");
    let consent =
        format!("--consent {}:{}, or the name of the protected environment", protected.name, protected.digest);
    for name in ["production", "", &protected.name.to_uppercase()] {
        let session = protected.asked().types(&format!("{name}\n")).ends();
        session
            .ended(3, &["refused: no consent was given to this plan", &consent, &format!("the name `{name}`, typed")]);
        assert!(!session.screen.contains("type the number of rows"), "{}", session.screen);
        protected.is_untouched();
    }
    for total in ["3000", "0", "", "yes", "6000 rows", "60000"] {
        let mut terminal = protected.asked();
        terminal.types(&format!("{}\n", protected.name)).shows("type the number of rows that it destroys:");
        let session = terminal.types(&format!("{total}\n")).ends();
        session.ended(
            3,
            &["refused: no consent was given to this plan", &format!("`{total}`, typed at the terminal, not 6 000")],
        );
        protected.is_untouched();
    }
    // No refusal left anything behind that the next one would trip over.
    let mut terminal = protected.asked();
    terminal.types(&format!("{}\n", protected.name)).shows("type the number of rows that it destroys:");
    terminal.types("6000\n").ends().ended(0, &["is done."]);
}

#[test]
fn what_moves_while_the_question_waits_is_refused_after_the_answer() {
    let protected = Protected::new("waited");
    let scene = &protected.scene;
    let mut terminal = protected.asked();
    terminal.types(&format!("{}\n", protected.name)).shows("type the number of rows that it destroys:");
    scene.on_node("replica2", "INSERT INTO {db}.kept VALUES (9000)");
    scene.mark();
    let moved = format!("moved since the plan was made: table {0}.kept that is dropped on {0}-r2", scene.database);
    terminal.types("6000\n").ends().ended(3, &[&moved, "expected 3000 rows", "found 3001 rows"]);
    scene.nothing_changed();
    assert!(scene.runs().is_empty(), "{:?}", scene.runs());
    assert!(!scene.state().join("lock.json").exists());
    // The same where no plan was saved before.
    scene.on_node("replica2", "TRUNCATE TABLE {db}.kept");
    scene.mark();
    let mut fresh = Terminal::start(scene, &["apply", "steps.yaml", "-p", &format!("database={}", scene.database)]);
    fresh.shows("type its name:").types(&format!("{}\n", protected.name));
    fresh.shows("type the number of rows that it destroys:");
    scene.on_node("replica2", "INSERT INTO {db}.kept VALUES (1)");
    scene.mark();
    fresh.types("3000\n").ends().ended(3, &[&moved, "expected 0 rows", "found 1 row"]);
    scene.nothing_changed();
    assert!(scene.runs().is_empty(), "{:?}", scene.runs());
}

#[test]
fn control_c_at_either_question_ends_before_anything_was_sent() {
    let protected = Protected::new("ctrlc");
    let session = protected.asked().types("\x03").ends();
    session.ended(130, &["cancelled: stopped before the first operation; nothing was changed"]);
    protected.is_untouched();

    let mut terminal = protected.asked();
    terminal.types(&format!("{}\n", protected.name)).shows("type the number of rows that it destroys:");
    let session = terminal.types("60\x03").ends();
    session.ended(130, &["cancelled: stopped before the first operation; nothing was changed"]);
    assert!(!session.screen.contains("stopping at the next safe point"), "{}", session.screen);
    protected.is_untouched();
}

#[test]
fn the_end_of_the_input_is_refused_and_told_how_to_consent() {
    let protected = Protected::new("ctrld");
    let consent =
        format!("--consent {}:{}, or the name of the protected environment", protected.name, protected.digest);
    for keys in ["\x04", "x\x04\x04"] {
        let session = protected.asked().types(keys).ends();
        session.ended(3, &["no answer: the input ended", &consent]);
        protected.is_untouched();
    }
    // A terminal that shows, and no keyboard.
    let session = Terminal::start(&protected.scene, &["apply", "plan.json", "</dev/null"]).ends();
    session.ended(3, &["no terminal to ask at, and no --consent", &consent]);
    protected.is_untouched();
}

#[test]
fn what_destroys_nothing_is_applied_after_a_yes() {
    let scene = Scene::new("saysyes");
    let runbook = scene.steps("  - id: make\n    sql: { on: source, statements: ['CREATE DATABASE {db}'], probe: { query: \"SELECT count() FROM system.databases WHERE name = '{db}'\", done_when: 1 } }\n");
    scene.plan(&runbook, &[]);
    scene.mark();
    let question = "Nothing is destroyed. To apply this plan, type yes:";
    for other in ["y\n", "YES\n", "\n"] {
        Terminal::start(&scene, &["apply", "plan.json"]).shows(question).types(other).ends().ended(3, &["no consent"]);
        scene.nothing_changed();
    }
    Terminal::start(&scene, &["apply", "plan.json"]).shows(question).types("yes\n").ends().ended(0, &["is done."]);
    assert_eq!(scene.on_node("standalone", "SELECT count() FROM system.databases WHERE name = '{db}'"), "1");
}

#[test]
fn a_question_of_a_step_can_be_left_with_control_c_and_is_asked_again() {
    let scene = Scene::new("question");
    let step = |id: &str, more: &str| {
        format!(
            "  - id: {id}\n{more}    sql: {{ on: source, statements: ['CREATE DATABASE {{db}}{id}'], probe: {{ query: \"SELECT count() FROM system.databases WHERE name = '{{db}}{id}'\", done_when: 1 }} }}\n"
        )
    };
    let runbook = scene.steps(&format!("{}{}", step("one", ""), step("two", "    confirm: Is one enough?\n")));
    let digest = scene.plan(&runbook, &[]);
    let there = |id: &str| {
        scene.on_node("standalone", &format!("SELECT count() FROM system.databases WHERE name = '{{db}}{id}'"))
    };
    let question = "Is one enough? (type yes):";
    let mut terminal = Terminal::start(&scene, &["apply", "plan.json", "--consent", &digest]);
    let left = terminal.shows(question).types("\x03").ends();
    left.ended(130, &["cancelled: stopped at the question of step `two`", "clickferry resume"]);
    assert_eq!((there("one"), there("two")), ("1".to_owned(), "0".to_owned()));

    let other = Terminal::start(&scene, &["resume"]).shows(question).types("no\n").ends();
    other.ended(3, &["refused: step `two` was not confirmed"]);
    assert_eq!(there("two"), "0");

    let done = Terminal::start(&scene, &["resume"]).shows(question).types("yes\n").ends();
    done.ended(0, &["[-] one: done before", "✓ two/1", "is done."]);
    assert_eq!(there("two"), "1");
}

#[test]
fn a_question_is_left_when_the_run_is_cancelled_from_elsewhere() {
    let scene = Scene::new("elsewhere");
    let step = |id: &str, more: &str| {
        format!(
            "  - id: {id}\n{more}    sql: {{ on: source, statements: ['CREATE DATABASE {{db}}{id}'], probe: {{ query: \"SELECT count() FROM system.databases WHERE name = '{{db}}{id}'\", done_when: 1 }} }}\n"
        )
    };
    let runbook = scene.steps(&format!(
        "{}{}",
        step("one", "    confirm: Shall it begin?\n"),
        step("two", "    point_of_no_return: true\n")
    ));
    let digest = scene.plan(&runbook, &[]);
    let mut terminal = Terminal::start(&scene, &["apply", "plan.json", "--consent", &digest]);
    terminal.shows("Shall it begin? (type yes):");
    let id = scene.runs()[0].file_name().unwrap().to_str().unwrap().to_owned();
    let cancelled = scene.cli(&["cancel", &id]);
    assert_eq!(cancelled.code, Some(0), "{cancelled}");
    terminal.ends().ended(130, &["cancelled: stopped at the question of step `one`"]);

    // Ctrl-C at the last question before there is no way back is no refusal, either.
    let mut terminal = Terminal::start(&scene, &["resume"]);
    terminal.shows("Shall it begin? (type yes):").types("yes\n");
    let left = terminal.shows("To go on, type the name of the step:").types("\x03").ends();
    left.ended(130, &["cancelled: stopped at the question of step `two`", "clickferry resume"]);
    let there = |id: &str| {
        scene.on_node("standalone", &format!("SELECT count() FROM system.databases WHERE name = '{{db}}{id}'"))
    };
    assert_eq!((there("one"), there("two")), ("1".to_owned(), "0".to_owned()));
}
