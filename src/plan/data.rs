//! What an action needs to know to run an operation, as the plan keeps it.
//!
//! A tree of JSON values takes ten times the memory of its text, and a plan of thousands of tables holds one for every
//! table and host; so the text is kept, and read where it is needed.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

/// Data in a form of the action's own. To serde and in schemas it is any value.
#[derive(Clone)]
pub struct Data(Kept);

#[derive(Clone)]
enum Kept {
    Whole(Arc<RawValue>),
    /// An object of which all fields but the last are shared with other operations.
    Joined {
        shared: Arc<Shared>,
        last: (&'static str, Arc<RawValue>),
    },
}

/// The first fields of an object, which the data of several operations have in common.
#[derive(Default)]
pub struct Shared(Vec<(&'static str, Box<RawValue>)>);

impl Shared {
    /// As these fields, and one more.
    #[must_use]
    pub fn with<T: Serialize>(mut self, name: &'static str, value: &T) -> Self {
        self.0.push((name, raw(value)));
        self
    }
}

/// Plain data with text keys always becomes JSON.
fn raw<T: Serialize>(value: &T) -> Box<RawValue> {
    to_raw_value(value).unwrap_or_default()
}

impl Data {
    /// Keeps a value.
    #[must_use]
    pub fn of<T: Serialize>(value: &T) -> Self {
        Self(Kept::Whole(raw(value).into()))
    }

    /// Keeps an object of fields that are shared, and a last one of its own.
    #[must_use]
    pub fn joined<T: Serialize>(shared: &Arc<Shared>, name: &'static str, value: &T) -> Self {
        Self(Kept::Joined { shared: Arc::clone(shared), last: (name, raw(value).into()) })
    }

    /// Reads it as the action's own type.
    ///
    /// # Errors
    /// Data of another form.
    pub fn read<T: DeserializeOwned>(&self) -> serde_json::Result<T> {
        serde_json::from_str(&self.text())
    }

    /// Its text.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        match &self.0 {
            Kept::Whole(whole) => whole.get().into(),
            Kept::Joined { .. } => serde_json::to_string(&self.exact()).unwrap_or_default().into(),
        }
    }

    /// To be written byte by byte as it is kept, by a serializer that does not indent.
    #[must_use]
    pub fn exact(&self) -> Exact<'_> {
        Exact(self)
    }

    /// As a tree of values, for those who look for a part of it.
    #[must_use]
    pub fn value(&self) -> Value {
        self.read().unwrap_or_default()
    }
}

/// Data that is written as it is kept.
pub struct Exact<'d>(&'d Data);

impl Serialize for Exact<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0.0 {
            Kept::Whole(whole) => whole.serialize(serializer),
            Kept::Joined { shared, last: (name, value) } => {
                let mut map = serializer.serialize_map(Some(shared.0.len() + 1))?;
                for (name, value) in &shared.0 {
                    map.serialize_entry(name, value)?;
                }
                map.serialize_entry(name, value)?;
                map.end()
            }
        }
    }
}

impl Default for Data {
    fn default() -> Self {
        Self(Kept::Whole(Box::<RawValue>::default().into()))
    }
}

impl PartialEq for Data {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

impl Eq for Data {}

impl fmt::Debug for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

impl Serialize for Data {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // As a value, not as raw text: a serializer that indents has to see what is in it.
        self.value().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Data {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Value::deserialize(deserializer).map(|value| Self::of(&value))
    }
}

impl JsonSchema for Data {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        Value::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Value::json_schema(generator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_written_as_it_was() {
        let value: Value =
            serde_json::from_str(r#"{"z":1,"a":[18446744073709551615,-1,0.1,null],"t":"x\n\"é"}"#).unwrap();
        let data = Data::of(&value);
        assert_eq!(data.value(), value);
        let [pretty, plain] =
            [serde_json::to_string_pretty::<Data>, serde_json::to_string].map(|of| of(&data).unwrap());
        assert_eq!(pretty, serde_json::to_string_pretty(&value).unwrap());
        assert_eq!(plain, serde_json::to_string(&value).unwrap());
        for text in [pretty, plain] {
            assert_eq!(serde_json::from_str::<Data>(&text).unwrap(), data);
        }
        assert_eq!((Data::default().value(), Data::default() == Data::of(&Value::Null)), (Value::Null, true));
    }

    #[test]
    fn fields_that_are_shared_are_written_like_those_of_one_value() {
        let whole: Value = serde_json::from_str(r#"{"kind":"k","columns":["a","b"],"place":{"x":1}}"#).unwrap();
        let shared = Arc::new(Shared::default().with("kind", &"k").with("columns", &["a", "b"]));
        let joined = Data::joined(&shared, "place", &whole["place"]);
        assert_eq!(joined, Data::of(&whole));
        assert_eq!(serde_json::to_string(&joined).unwrap(), whole.to_string());
        assert_eq!(serde_json::to_string(&joined.exact()).unwrap(), whole.to_string());
        assert_eq!(joined.read::<Value>().unwrap(), whole);
    }
}
