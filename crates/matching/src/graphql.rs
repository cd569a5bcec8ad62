//! GraphQL over HTTP: the operation a payload names, and queries compared without the white space that means nothing.

use serde_json::Value;

/// The name of the operation in a payload: `operationName`, else the first one that the query defines, else its kind.
pub(super) fn operation(payload: &Value) -> Option<String> {
    if let Value::Array(batch) = payload {
        let names: Vec<String> = batch.iter().filter_map(operation).collect();
        return (!names.is_empty()).then(|| names.join(", "));
    }
    if let Some(name) = payload.get("operationName").and_then(Value::as_str).filter(|name| !name.is_empty()) {
        return Some(name.to_owned());
    }
    let query = folded(query(payload)?);
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

/// The `query` of a GraphQL request, when the value looks like one.
pub(super) fn query(payload: &Value) -> Option<&str> {
    payload.get("query").and_then(Value::as_str).filter(|query| query.contains('{'))
}

/// The query with white space, commas and comments folded (GraphQL specification, section 2.1): one space where two
/// words would run together, none elsewhere; strings stay as they are.
pub(super) fn folded(query: &str) -> String {
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
        if gap && out.chars().next_back().is_some_and(is_word) && token.chars().next().is_some_and(is_word) {
            out.push(' ');
        }
        gap = false;
        out.push_str(token);
        rest = &rest[token.len()..];
    }
    out
}

/// Whether two such characters beside each other would read as one word.
fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '"')
}

/// Where the string that `text` begins with ends.
fn string_end(text: &str) -> usize {
    let quote = if text.starts_with("\"\"\"") { "\"\"\"" } else { "\"" };
    let mut at = quote.len();
    while at < text.len() {
        let rest = &text[at..];
        if rest.starts_with(quote) {
            return at + quote.len();
        }
        let escaped = if quote.len() == 3 { rest.starts_with("\\\"\"\"") } else { rest.starts_with('\\') };
        at += if escaped { 1 } else { 0 };
        at += text[at..].chars().next().map_or(1, char::len_utf8);
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn white_space_that_means_nothing() {
        let one = folded("query Q($id: ID!, $n: Int) {\n  user(id: $id) { name, posts(n: $n) }\n}\n");
        assert_eq!(one, folded("query Q($id:ID!$n:Int){user(id:$id){name posts(n:$n)}} # done"));
        assert_ne!(folded("{ a b }"), folded("{ ab }"));
        assert_ne!(folded("{ a(x: 1 2) }"), folded("{ a(x: 12) }"));
    }

    #[test]
    fn strings_keep_theirs() {
        assert_ne!(folded(r#"{ a(x: "b  c") }"#), folded(r#"{ a(x: "b c") }"#));
        assert_ne!(folded(r#"{ a(x: "b # c") }"#), folded(r#"{ a(x: "b") }"#));
        assert_eq!(folded(r#"{ a(x: "\"  ")  b }"#), r#"{a(x:"\"  ")b}"#);
        assert_eq!(folded("{ a(x: \"\"\"  \" , \"\"\") }"), "{a(x:\"\"\"  \" , \"\"\")}");
        assert_eq!(folded("{ a(x: \"never closed"), "{a(x:\"never closed");
    }

    #[test]
    fn operations_have_names() {
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
