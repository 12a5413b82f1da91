//! `a{sv}` as it is, and as JSON: `--json` is this one function.

use std::collections::BTreeMap;

use serde_json::{Map, Number, Value as Json};
use zbus::zvariant::{OwnedValue, Value};

/// Any view, key by key.
pub type Dictionary = BTreeMap<String, OwnedValue>;

/// The JSON of a dictionary: the same keys, the same values.
pub fn to_json(dictionary: &Dictionary) -> Json {
    Json::Object(dictionary.iter().map(|(key, value)| (key.clone(), value_to_json(value))).collect())
}

fn value_to_json(value: &Value<'_>) -> Json {
    match value {
        Value::U8(number) => Json::from(*number),
        Value::Bool(yes) => Json::from(*yes),
        Value::I16(number) => Json::from(*number),
        Value::U16(number) => Json::from(*number),
        Value::I32(number) => Json::from(*number),
        Value::U32(number) => Json::from(*number),
        Value::I64(number) => Json::from(*number),
        Value::U64(number) => Json::from(*number),
        Value::F64(number) => Number::from_f64(*number).map_or(Json::Null, Json::Number),
        Value::Str(text) => Json::from(text.as_str()),
        Value::Signature(signature) => Json::from(signature.to_string()),
        Value::ObjectPath(path) => Json::from(path.as_str()),
        Value::Value(inner) => value_to_json(inner),
        Value::Array(array) => Json::Array(array.iter().map(value_to_json).collect()),
        Value::Dict(dict) => {
            Json::Object(dict.iter().map(|(key, value)| (key_text(key), value_to_json(value))).collect::<Map<_, _>>())
        }
        Value::Structure(fields) => Json::Array(fields.fields().iter().map(value_to_json).collect()),
        // A descriptor has no meaning outside the process that holds it.
        Value::Fd(_) => Json::Null,
    }
}

fn key_text(key: &Value<'_>) -> String {
    match value_to_json(key) {
        Json::String(text) => text,
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use serde_json::json;

    use super::*;

    #[test]
    fn nested_dictionaries_and_arrays_keep_their_shape() {
        let inner = Value::from(HashMap::from([("who", Value::new("you"))]));
        let list = Value::from(vec![HashMap::from([("n", Value::new(7_u64))])]);
        let dictionary: Dictionary = [("next_step", inner), ("list", list), ("flag", Value::new(true))]
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value.try_into().expect("owned")))
            .collect();
        assert_eq!(to_json(&dictionary), json!({"flag": true, "list": [{"n": 7}], "next_step": {"who": "you"}}));
    }
}
