//! GraphQL over HTTP: the name of an operation, and queries without insignificant white space.

use serde_json::Value;

use harproxy_json::scan::StringSpan;

/// Returns the name of the operation in a payload: `operationName`, else the first operation that the query defines,
/// else its kind.
#[must_use]
pub fn operation(payload: &Value) -> Option<String> {
    if let Value::Array(batch) = payload {
        let names: Vec<String> = batch.iter().filter_map(operation).collect();
        return (!names.is_empty()).then(|| names.join(", "));
    }
    if let Some(name) = payload.get("operationName").and_then(Value::as_str).filter(|name| !name.is_empty()) {
        return Some(name.to_owned());
    }
    let query = fold(query(payload)?);
    let (kind, rest) = query.split_once(['{', ' ', '(']).unwrap_or((&query, ""));
    match kind {
        "" => Some("query".to_owned()),
        "query" | "mutation" | "subscription" => {
            let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            Some(if name.is_empty() || !query[kind.len()..].starts_with(' ') { kind.to_owned() } else { name })
        }
        _ => None,
    }
}

/// Folds the queries of a payload, which may be a batch.
pub fn fold_queries(payload: &mut Value) {
    match payload {
        Value::Array(batch) => batch.iter_mut().for_each(fold_queries),
        _ => {
            if let Some(folded) = query(payload).map(fold) {
                payload["query"] = Value::String(folded);
            }
        }
    }
}

/// Returns the `query` of a payload, if it looks like GraphQL.
fn query(payload: &Value) -> Option<&str> {
    payload.get("query").and_then(Value::as_str).filter(|query| query.contains('{'))
}

/// Removes white space, commas and comments (GraphQL specification, section 2.1). One space stays between two words.
/// Strings are copied.
fn fold(query: &str) -> String {
    let mut out = String::with_capacity(query.len());
    let mut rest = query;
    let mut gap = false;
    while let Some(c) = rest.chars().next() {
        let token = match c {
            c if c.is_whitespace() || c == ',' || c == '\u{feff}' => {
                gap = true;
                rest = &rest[c.len_utf8()..];
                continue;
            }
            '#' => {
                gap = true;
                rest = rest.find(['\n', '\r']).map_or("", |end| &rest[end..]);
                continue;
            }
            '"' => &rest[..string_end(rest)],
            _ => &rest[..c.len_utf8()],
        };
        if gap && out.chars().next_back().is_some_and(is_in_word) && token.chars().next().is_some_and(is_in_word) {
            out.push(' ');
        }
        gap = false;
        out.push_str(token);
        rest = &rest[token.len()..];
    }
    out
}

/// Returns true for a character that needs a space between it and another such character.
fn is_in_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '"')
}

/// Returns the end of the string, or block string, that `text` begins with. Plain strings escape as JSON strings do.
fn string_end(text: &str) -> usize {
    const BLOCK: &str = "\"\"\"";
    const ESCAPED: &str = "\\\"\"\"";
    let Some(mut rest) = text.strip_prefix(BLOCK) else { return StringSpan::at(text.as_bytes(), 0).end };
    loop {
        match (rest.find(BLOCK), rest.find(ESCAPED)) {
            (Some(end), Some(escaped)) if escaped < end => rest = &rest[escaped + ESCAPED.len()..],
            (Some(end), _) => return text.len() - rest.len() + end + BLOCK.len(),
            (None, _) => return text.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn insignificant_white_space_is_removed() {
        let one = fold("query Q($id: ID!, $n: Int) {\n  user(id: $id) { name, posts(n: $n) }\n}\n");
        assert_eq!(one, fold("query Q($id:ID!$n:Int){user(id:$id){name posts(n:$n)}} # done"));
        assert_ne!(fold("{ a b }"), fold("{ ab }"));
        assert_ne!(fold("{ a(x: 1 2) }"), fold("{ a(x: 12) }"));
    }

    #[test]
    fn strings_keep_their_white_space() {
        assert_ne!(fold(r#"{ a(x: "b  c") }"#), fold(r#"{ a(x: "b c") }"#));
        assert_ne!(fold(r#"{ a(x: "b # c") }"#), fold(r#"{ a(x: "b") }"#));
        assert_eq!(fold(r#"{ a(x: "\"  ")  b }"#), r#"{a(x:"\"  ")b}"#);
        assert_eq!(fold("{ a(x: \"\"\"  \" , \"\"\") }"), "{a(x:\"\"\"  \" , \"\"\")}");
        assert_eq!(fold("{ a(x: \"\"\" \\\"\"\"  b \"\"\", c) }"), "{a(x:\"\"\" \\\"\"\"  b \"\"\" c)}");
        assert_eq!(fold("{ a(x: \"never closed"), "{a(x:\"never closed");
        assert_eq!(fold("{ a(x: \"\"\"never closed"), "{a(x:\"\"\"never closed");
    }

    #[test]
    fn operations_are_named() {
        let name = |payload| operation(&payload);
        assert_eq!(name(json!({"query": "query A { a }", "operationName": "B"})).as_deref(), Some("B"));
        assert_eq!(name(json!({"query": "# c\nmutation  Save($x: Int) { a }"})).as_deref(), Some("Save"));
        assert_eq!(name(json!({"query": "{ a }"})).as_deref(), Some("query"));
        assert_eq!(name(json!({"query": "query($x: Int) { a }"})).as_deref(), Some("query"));
        assert_eq!(name(json!([{"query": "query A { a }"}, {"query": "query B { a }"}])).as_deref(), Some("A, B"));
        assert_eq!(name(json!({"query": "shoes"})), None);
        assert_eq!(name(json!({"a": 1})), None);
    }
}
