//! What a plugin's config schema may be. Anybody who pushes a component brings one along, and
//! checking `with` against it must not take long, however it is made.

use serde_json::Value;

/// The most parts of a schema, each counted as often as references lead to it.
const PARTS_MAX: usize = 10_000;
/// How deep parts may lie in each other, references followed.
const DEPTH_MAX: usize = 64;
/// Words that lead elsewhere in ways that are not followed here.
const NOT_FOLLOWED: [&str; 6] =
    ["$dynamicRef", "$recursiveRef", "$id", "$anchor", "$dynamicAnchor", "$recursiveAnchor"];

/// Refuses a schema that is none, or that could take long to check against.
pub(super) fn check(schema: &Value) -> Result<(), String> {
    let mut parts = 0;
    walk(schema, schema, 0, &mut parts)?;
    match jsonschema::validator_for(schema) {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("its config schema is no JSON Schema: {error}")),
    }
}

fn walk(root: &Value, part: &Value, depth: usize, parts: &mut usize) -> Result<(), String> {
    *parts += 1;
    if *parts > PARTS_MAX {
        return Err(format!("its config schema has more than {PARTS_MAX} parts, references followed"));
    }
    if depth > DEPTH_MAX {
        return Err(format!("its config schema is more than {DEPTH_MAX} deep, references followed"));
    }
    match part {
        Value::Object(object) => {
            if let Some(word) = NOT_FOLLOWED.iter().find(|word| object.contains_key(**word)) {
                return Err(format!("its config schema uses `{word}`, which is not supported"));
            }
            if let Some(reference) = object.get("$ref").and_then(Value::as_str) {
                // A cycle ends at the limit of depth.
                walk(root, resolve(root, reference)?, depth + 1, parts)?;
            }
            // Definitions count where they are referred to.
            let inner = object.iter().filter(|(key, _)| depth > 0 || !matches!(key.as_str(), "$defs" | "definitions"));
            inner.map(|(_, inner)| inner).try_for_each(|inner| walk(root, inner, depth + 1, parts))
        }
        Value::Array(list) => list.iter().try_for_each(|inner| walk(root, inner, depth + 1, parts)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
    }
}

fn resolve<'a>(root: &'a Value, reference: &str) -> Result<&'a Value, String> {
    let found = reference.strip_prefix('#').and_then(|pointer| root.pointer(pointer));
    found.ok_or_else(|| format!("its config schema refers to `{}`, which is not in it", reference.escape_debug()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Each definition asks for the next one twice.
    fn doubling(levels: usize) -> Value {
        let mut definitions = serde_json::Map::new();
        for level in 0..levels {
            let next = json!({ "$ref": format!("#/$defs/d{}", level + 1) });
            definitions.insert(format!("d{level}"), json!({ "allOf": [next, next] }));
        }
        definitions.insert(format!("d{levels}"), json!({ "type": "object" }));
        json!({ "$defs": definitions, "$ref": "#/$defs/d0" })
    }

    #[test]
    fn an_ordinary_schema_is_taken() {
        let schema = json!({
            "type": "object",
            "properties": { "package": { "type": ["string", "null"] }, "kind": { "$ref": "#/$defs/Kind" } },
            "required": ["package"],
            "$defs": { "Kind": { "enum": ["a", "b"] } },
        });
        assert_eq!(check(&schema), Ok(()));
        assert_eq!(check(&doubling(8)), Ok(()));
    }

    #[test]
    fn one_that_could_take_for_ever_is_refused() {
        assert!(check(&doubling(12)).unwrap_err().contains("parts"));
        assert!(check(&doubling(40)).unwrap_err().contains("deep"));
        let cycle = json!({ "$defs": { "a": { "allOf": [{ "$ref": "#/$defs/a" }] } }, "$ref": "#/$defs/a" });
        assert!(check(&cycle).unwrap_err().contains("deep"));
        let wide = json!({ "enum": (0..20_000).collect::<Vec<_>>() });
        assert!(check(&wide).unwrap_err().contains("parts"));
    }

    #[test]
    fn what_leads_elsewhere_is_refused() {
        assert!(check(&json!({ "$ref": "http://127.0.0.1/schema" })).unwrap_err().contains("not in it"));
        assert!(check(&json!({ "$ref": "#/$defs/none" })).unwrap_err().contains("not in it"));
        assert!(check(&json!({ "$dynamicRef": "#a" })).unwrap_err().contains("$dynamicRef"));
        assert!(check(&json!({ "type": "nothing" })).unwrap_err().contains("no JSON Schema"));
    }
}
