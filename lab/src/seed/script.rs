//! SQL scripts in the program: splitting them into statements, and filling in values.

/// The tracing data set: what each script does, and its text.
pub const TRACING: [(&str, &str); 3] = [
    ("creating tables", include_str!("../../datasets/tracing/schema.sql")),
    ("inserting rows", include_str!("../../datasets/tracing/data.sql")),
    ("merging", include_str!("../../datasets/tracing/finish.sql")),
];

/// The statements of a script: comments on lines of their own go, `{{name}}` gets its value.
pub fn statements(script: &str, values: &[(&str, String)]) -> Vec<String> {
    let code: Vec<&str> = script.lines().filter(|line| !line.trim_start().starts_with("--")).collect();
    let mut text = code.join("\n");
    for (name, value) in values {
        text = text.replace(&format!("{{{{{name}}}}}"), value);
    }
    text.split_terminator(";\n").map(|s| s.trim().trim_end_matches(';').to_owned()).filter(|s| !s.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<String> {
        let values = ["database", "rows", "seed", "migrations", "unfinished"].map(|name| (name, "1".to_owned()));
        TRACING.iter().flat_map(|(_, text)| statements(text, &values)).collect()
    }

    #[test]
    fn a_script_is_split_and_filled() {
        let script = "-- first; really\nSELECT\n  '{{seed}}';\n\n-- second\nSELECT 2;";
        assert_eq!(statements(script, &[("seed", "7".to_owned())]), ["SELECT\n  '7'", "SELECT 2"]);
    }

    #[test]
    fn every_value_of_the_data_set_is_filled_in() {
        assert!(all().iter().all(|statement| !statement.contains("{{")));
    }

    #[test]
    fn nothing_in_the_data_set_depends_on_time_or_chance() {
        for word in ["now(", "now64(", "today(", "rand", "generateUUID"] {
            assert!(all().iter().all(|statement| !statement.contains(word)), "{word}");
        }
    }
}
