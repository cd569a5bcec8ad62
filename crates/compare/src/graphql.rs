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

/// Returns a payload with its queries folded, if it is an operation or a batch of operations.
#[must_use]
pub fn folded(payload: &[u8]) -> Option<Value> {
    // Most payloads are rejected without parsing them.
    let name = b"\"query\"";
    memchr::memmem::find(payload, name)?;
    let mut value: Value = serde_json::from_slice(payload).ok()?;
    let is_graphql = match &value {
        Value::Array(batch) => !batch.is_empty() && batch.iter().all(|operation| query(operation).is_some()),
        operation => query(operation).is_some(),
    };
    fold_queries(&mut value);
    is_graphql.then_some(value)
}

/// Folds the queries of a payload, which may be a batch.
pub fn fold_queries(payload: &mut Value) {
    match payload {
        Value::Array(batch) => batch.iter_mut().for_each(fold_queries),
        _ => {
            if let Some(folded) = query(payload).map(|query| sort_definitions(&fold(query))) {
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

/// Sorts the variable definitions of the first operation in a folded query, whose order has no meaning (GraphQL
/// specification, section 2.10).
fn sort_definitions(query: &str) -> String {
    let head = query.find(['{', '(']).filter(|at| query[*at..].starts_with('('));
    let Some(start) = head.map(|at| at + 1) else { return query.to_owned() };
    let (mut definitions, mut begin, mut depth, mut at) = (Vec::new(), start, 0_usize, start);
    loop {
        let rest = &query[at..];
        let Some(c) = rest.chars().next() else { return query.to_owned() };
        match c {
            '"' => {
                at += string_end(rest).max(1);
                continue;
            }
            '(' | '[' | '{' => depth += 1,
            ')' if depth == 0 => break,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            '$' if depth == 0 && at > begin => {
                definitions.push(&query[begin..at]);
                begin = at;
            }
            _ => {}
        }
        at += c.len_utf8();
    }
    definitions.push(&query[begin..at]);
    definitions.sort_unstable();
    format!("{}{}{}", &query[..start], definitions.concat(), &query[at..])
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
    fn order_of_variable_definitions_does_not_count() {
        let folded = |query: &str| {
            let mut payload = json!({ "query": query });
            fold_queries(&mut payload);
            payload["query"].as_str().unwrap().to_owned()
        };
        let one = folded("query Q($id: ID!, $in: In = {a: \"$x)\", b: [1]}, $n: Int @d(x: 1)) { a(id: $id) }");
        assert_eq!(one, folded("query Q($n: Int @d(x: 1), $in: In = {a: \"$x)\", b: [1]} $id: ID!) { a(id: $id) }"));
        assert_ne!(one, folded("query Q($id: ID, $in: In = {a: \"$x)\", b: [1]}, $n: Int @d(x: 1)) { a(id: $id) }"));
        assert_ne!(folded("{ a(x: 1, y: 2) }"), folded("{ a(y: 2, x: 1) }"), "only definitions are sorted");
        for broken in ["query Q(", "query Q($a", "query Q(\"", "query (}", "(", "query Q($ä:ß$a:b){"] {
            folded(&format!("{broken}{{"));
        }
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
