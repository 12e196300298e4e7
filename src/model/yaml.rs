//! The only file that names the YAML crate: text in, a tree of nodes with their places out.

use std::fmt;
use std::sync::Arc;

use serde::de::{self, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_yaml::{Location, Spanned};

use crate::diag::{Diagnostic, Diagnostics, SourceFile, Span};

/// Larger files are refused: a runbook is written by people.
const MAX_BYTES: usize = 1 << 20;

/// A node of a document with its place.
#[derive(Clone, Debug)]
pub struct Node {
    /// What it is.
    pub kind: NodeKind,
    /// Where it stands.
    pub span: Span,
}

/// The kinds of nodes.
#[derive(Clone, Debug)]
pub enum NodeKind {
    /// `null`, `~` or nothing.
    Null,
    /// `true` or `false`; `yes` and `no` are text.
    Bool(bool),
    /// A number, as JSON holds it.
    Number(serde_json::Number),
    /// Text.
    Text(String),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping, in the order of the file.
    Map(Vec<(Key, Node)>),
}

/// A key of a mapping with its place.
#[derive(Clone, Debug)]
pub struct Key {
    /// Text of the key.
    pub name: String,
    /// Where it stands.
    pub span: Span,
}

impl Node {
    /// The child under a key of a mapping.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Self> {
        self.entries().find(|(key, _)| key.name == name).map(|(_, node)| node)
    }

    /// Keys and children of a mapping; empty for everything else.
    pub fn entries(&self) -> impl Iterator<Item = &(Key, Self)> {
        let entries = match &self.kind {
            NodeKind::Map(entries) => entries.as_slice(),
            _ => &[],
        };
        entries.iter()
    }

    /// Members of a sequence; empty for everything else.
    #[must_use]
    pub fn items(&self) -> &[Self] {
        match &self.kind {
            NodeKind::List(items) => items,
            _ => &[],
        }
    }

    /// The text of a text node.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match &self.kind {
            NodeKind::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The same tree as JSON, without places.
    #[must_use]
    pub fn to_json(&self) -> Value {
        match &self.kind {
            NodeKind::Null => Value::Null,
            NodeKind::Bool(flag) => Value::Bool(*flag),
            NodeKind::Number(number) => Value::Number(number.clone()),
            NodeKind::Text(text) => Value::String(text.clone()),
            NodeKind::List(items) => Value::Array(items.iter().map(Self::to_json).collect()),
            NodeKind::Map(entries) => {
                Value::Object(entries.iter().map(|(key, node)| (key.name.clone(), node.to_json())).collect())
            }
        }
    }

    /// What the node is, in words.
    #[must_use]
    pub fn describe(&self) -> &'static str {
        match self.kind {
            NodeKind::Null => "nothing",
            NodeKind::Bool(_) => "true or false",
            NodeKind::Number(_) => "a number",
            NodeKind::Text(_) => "text",
            NodeKind::List(_) => "a list",
            NodeKind::Map(_) => "a mapping",
        }
    }
}

/// A parsed file.
#[derive(Clone, Debug)]
pub struct Document {
    /// The file.
    pub source: Arc<SourceFile>,
    /// Its root node.
    pub root: Node,
}

/// Reads a YAML text into nodes.
///
/// # Errors
/// One diagnostic with the place of the first mistake in the YAML itself (syntax, duplicate key, alias bomb).
pub fn parse(source: &Arc<SourceFile>) -> Result<Document, Diagnostics> {
    if source.text.len() > MAX_BYTES {
        return Err(Diagnostic::new(
            "file-too-large",
            format!("{} has {} bytes; at most {MAX_BYTES} are read", source.name, source.text.len()),
        )
        .into());
    }
    let mut options = serde_yaml::Options::default();
    options.strict_booleans = true;
    options.with_snippet = false;
    match serde_yaml::from_str_with_options::<Spanned<Raw>>(&source.text, options) {
        Ok(raw) => Ok(Document { source: Arc::clone(source), root: to_node(raw, &source.text) }),
        Err(error) => {
            let span = error.location().map_or(Span::default(), |place| span_of(place, &source.text));
            Err(Diagnostic::new("yaml", "this is not valid YAML")
                .at(source, span, plain_message(&error))
                .help("check indentation, quotes and colons near this place; every key may stand only once")
                .into())
        }
    }
}

fn plain_message(error: &serde_yaml::Error) -> String {
    let text = error.without_snippet().to_string();
    let first = text.lines().next().unwrap_or("syntax error");
    // The place is drawn by the report; its repetition in words is cut off.
    let first = first.split(" at line ").next().unwrap_or(first);
    // Advice to programmers who use the YAML crate means nothing here.
    let first = first.split(", set DuplicateKeyPolicy").next().unwrap_or(first);
    first.strip_prefix("error: ").unwrap_or(first).to_owned()
}

fn span_of(place: Location, text: &str) -> Span {
    let span = place.span();
    match (span.byte_offset(), span.byte_len()) {
        (Some(start), Some(len)) => clamp(start, len, text),
        _ => {
            let line = usize::try_from(place.line()).unwrap_or(1).saturating_sub(1);
            let start: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
            let column = usize::try_from(place.column()).unwrap_or(1).saturating_sub(1);
            clamp((start + column) as u64, 1, text)
        }
    }
}

fn clamp(start: u64, len: u64, text: &str) -> Span {
    let start = usize::try_from(start).unwrap_or(usize::MAX).min(text.len());
    let len = usize::try_from(len).unwrap_or(0).min(text.len() - start);
    let trimmed = text.get(start..start + len).map_or(len, |slice| slice.trim_end().len());
    Span::new(start, trimmed)
}

fn to_node(raw: Spanned<Raw>, text: &str) -> Node {
    let span = span_of(raw.defined, text);
    let kind = match raw.value {
        Raw::Null => NodeKind::Null,
        Raw::Bool(flag) => NodeKind::Bool(flag),
        Raw::Number(number) => NodeKind::Number(number),
        Raw::Text(text) => NodeKind::Text(text),
        Raw::List(items) => NodeKind::List(items.into_iter().map(|item| to_node(item, text)).collect()),
        Raw::Map(entries) => NodeKind::Map(
            entries
                .into_iter()
                .map(|(key, value)| {
                    let key_span = span_of(key.defined, text);
                    (Key { name: key.value, span: key_span }, to_node(value, text))
                })
                .collect(),
        ),
    };
    Node { kind, span }
}

/// The tree as the deserialiser gives it.
enum Raw {
    Null,
    Bool(bool),
    Number(serde_json::Number),
    Text(String),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<String>, Spanned<Raw>)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_none<E: de::Error>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_bool<E: de::Error>(self, flag: bool) -> Result<Raw, E> {
        Ok(Raw::Bool(flag))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Raw, E> {
        Ok(Raw::Number(number.into()))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Raw, E> {
        Ok(Raw::Number(number.into()))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Raw, E> {
        serde_json::Number::from_f64(number)
            .map(Raw::Number)
            .ok_or_else(|| E::custom("infinite and undefined numbers have no meaning here"))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Raw, E> {
        Ok(Raw::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Raw, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Raw::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw, A::Error> {
        let mut entries: Vec<(Spanned<String>, Spanned<Raw>)> = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Raw::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at<'a>(document: &'a Document, node: &Node) -> &'a str {
        &document.source.text[node.span.start..node.span.start + node.span.len]
    }

    #[test]
    fn every_scalar_knows_its_place() {
        let text = "a: [1, \"zwölf\"]\nb:\n  c: no\n  d: |\n    SELECT 1\n";
        let document = parse(&SourceFile::new("t.yaml", text)).expect("valid");
        let list = document.root.get("a").expect("a").items();
        assert_eq!(at(&document, &list[0]), "1");
        assert_eq!(at(&document, &list[1]), "\"zwölf\"");
        let b = document.root.get("b").expect("b");
        assert_eq!(b.get("c").and_then(Node::text), Some("no"));
        assert_eq!(b.get("d").and_then(Node::text), Some("SELECT 1\n"));
        assert!(at(&document, b.get("d").expect("d")).contains("SELECT 1"));
    }

    #[test]
    fn a_key_may_stand_only_once() {
        let found = parse(&SourceFile::new("t.yaml", "a: 1\na: 2\n")).expect_err("duplicate").sorted();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].labels[0].0.start, 5, "{found:?}");
    }
}
