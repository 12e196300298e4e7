//! What an action needs to know to run an operation, as the plan keeps it.
//!
//! A tree of JSON values takes ten times the memory of its text, and a plan of thousands of tables holds one for every
//! table and host; so the text is kept, and read where it is needed.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

/// Data in a form of the action's own. To serde and in schemas it is any value.
#[derive(Clone)]
pub struct Data(Arc<RawValue>);

impl Data {
    /// Keeps a value.
    #[must_use]
    pub fn of<T: Serialize>(value: &T) -> Self {
        // Plain data with text keys always becomes JSON.
        Self(to_raw_value(value).unwrap_or_default().into())
    }

    /// Reads it as the action's own type.
    ///
    /// # Errors
    /// Data of another form.
    pub fn read<'d, T: Deserialize<'d>>(&'d self) -> serde_json::Result<T> {
        serde_json::from_str(self.0.get())
    }

    /// As its text.
    #[must_use]
    pub fn raw(&self) -> &RawValue {
        &self.0
    }

    /// As a tree of values, for those who look for a part of it.
    #[must_use]
    pub fn value(&self) -> Value {
        self.read().unwrap_or_default()
    }
}

impl Default for Data {
    fn default() -> Self {
        Self(Box::<RawValue>::default().into())
    }
}

impl PartialEq for Data {
    fn eq(&self, other: &Self) -> bool {
        self.0.get() == other.0.get()
    }
}

impl Eq for Data {}

impl fmt::Debug for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.get())
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
}
