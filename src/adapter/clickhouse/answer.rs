//! Reads a whole answer: JSONCompact to its end, or nothing at all.

use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, SeqAccess, Visitor};
use serde_json::Value;

use super::exception::{self, Exception};
use crate::engine::ports::Answer;
use crate::model::words;

/// Why a body that came to its end is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// The server wrote an error into the body after it had begun to answer.
    Exception(Exception),
    /// Neither JSONCompact nor an error.
    Other(String),
}

#[derive(Deserialize)]
struct Column {
    name: String,
}

#[derive(Deserialize)]
struct Compact {
    meta: Vec<Column>,
    data: Rows,
    rows: Option<u64>,
    // Since 23.8 the JSON formats carry an error of the middle of the stream as a key of their own, which
    // makes a cut result well-formed.
    exception: Option<String>,
}

/// Rows as lists of values. A row is given the room that the one before it took, for there may be thousands of them.
struct Rows(Vec<Vec<Value>>);

impl<'de> Deserialize<'de> for Rows {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfRows;
        impl<'de> Visitor<'de> for OfRows {
            type Value = Rows;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of rows")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Rows, A::Error> {
                let (mut rows, mut width) = (Vec::new(), 0);
                while let Some(row) = seq.next_element_seed(Row(width))? {
                    width = row.len();
                    rows.push(row);
                }
                Ok(Rows(rows))
            }
        }
        deserializer.deserialize_seq(OfRows)
    }
}

/// A row of so many values, as far as is known.
struct Row(usize);

impl<'de> DeserializeSeed<'de> for Row {
    type Value = Vec<Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<Value>, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Row {
    type Value = Vec<Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a row as a list of values")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<Value>, A::Error> {
        let mut row = Vec::with_capacity(self.0);
        while let Some(value) = seq.next_element()? {
            row.push(value);
        }
        Ok(row)
    }
}

/// The answer in a body. An empty body is a statement without a result.
///
/// # Errors
/// [`Unreadable`]; its text quotes nothing of the body, which may hold what the statement held.
pub fn parse(body: &[u8]) -> Result<Answer, Unreadable> {
    let text = String::from_utf8_lossy(body);
    let text = text.trim();
    if text.is_empty() {
        return Ok(Answer::default());
    }
    let compact: Compact = serde_json::from_str(text).map_err(|error| not_json(text, &error))?;
    if let Some(thrown) = compact.exception {
        return Err(match exception::parse(&thrown) {
            Some(exception) => Unreadable::Exception(exception),
            None => Unreadable::Other("the result holds an error in an unknown form".to_owned()),
        });
    }
    let Rows(rows) = compact.data;
    let count = rows.len() as u64;
    if compact.rows.is_some_and(|told| told != count) {
        return Err(Unreadable::Other(format!(
            "the result says that it has {} and has {count}",
            words::count(compact.rows.unwrap_or_default(), "row")
        )));
    }
    let width = compact.meta.len();
    if rows.iter().any(|row| row.len() != width) {
        return Err(Unreadable::Other(format!(
            "a row of the result does not have {}",
            words::count_of(width, "column")
        )));
    }
    let columns = compact.meta.into_iter().map(|column| column.name).collect();
    Ok(Answer { columns, rows, display_name: None })
}

fn not_json(text: &str, error: &serde_json::Error) -> Unreadable {
    if let Some(exception) = exception::parse(text) {
        return Unreadable::Exception(exception);
    }
    Unreadable::Other(if error.is_eof() {
        "it ended in the middle of the result".to_owned()
    } else {
        format!(
            "it is not JSONCompact (line {}, column {}); a statement must not have a FORMAT of its own",
            error.line(),
            error.column()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"meta":[{"name":"a","type":"UInt64"},{"name":"b","type":"String"}],"data":[[18446744073709551615,"x"]],"rows":1,"statistics":{"elapsed":0.1}}"#;

    #[test]
    fn reads_columns_and_rows() {
        let answer = parse(GOOD.as_bytes()).unwrap();
        assert_eq!(answer.columns, ["a", "b"]);
        assert_eq!(answer.number(0, "a"), Some(u64::MAX));
        assert_eq!(answer.text(0, "b").as_deref(), Some("x"));
        assert_eq!(parse(b"\n").unwrap(), Answer::default());
    }

    #[test]
    fn refuses_whatever_is_not_whole() {
        for cut in [10, GOOD.len() / 2, GOOD.len() - 1] {
            assert!(matches!(parse(&GOOD.as_bytes()[..cut]), Err(Unreadable::Other(_))), "{cut}");
        }
        assert!(parse(format!("{GOOD}{GOOD}").as_bytes()).is_err());
        assert!(parse(b"1\t2\n").is_err());
        assert!(parse(br#"{"meta":[],"data":[],"rows":7}"#).is_err());
        assert!(parse(br#"{"meta":[{"name":"a"}],"data":[[1,2]],"rows":1}"#).is_err());
    }

    #[test]
    fn finds_an_error_behind_the_rows() {
        let body = format!("{}Code: 395. DB::Exception: Oh. (THROWN) (version 23.1)\n", &GOOD[..80]);
        let Err(Unreadable::Exception(exception)) = parse(body.as_bytes()) else { panic!("{body}") };
        assert_eq!((exception.code, exception.name.as_str()), (395, "THROWN"));
        let body =
            br#"{"meta":[],"data":[],"rows":0,"exception":"Code: 395. DB::Exception: Oh. (THROWN) (version 24.1)"}"#;
        assert!(matches!(parse(body), Err(Unreadable::Exception(_))));
    }
}
