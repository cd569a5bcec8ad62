//! Where in a payload something stands, in words.

use harproxy_http::MediaType;
use harproxy_json::{CountAll, Node, NodeKind, member_step};

/// `$.access_token` in JSON, `field password` in a form, else the line.
pub(super) fn inside_body(content_type: &str, text: &[u8], at: usize) -> String {
    let start = if text.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
    let json = std::str::from_utf8(&text[start..]).ok().and_then(|text| Node::parse(text, &CountAll));
    if let Some(node) = json {
        let mut path = "$".to_owned();
        descend(&node, at.saturating_sub(start), &mut path);
        return path;
    }
    if MediaType::parse(content_type).is_form() {
        let begin = text[..at].iter().rposition(|byte| *byte == b'&').map_or(0, |at| at + 1);
        let name = text[begin..at].split(|byte| *byte == b'=').next().unwrap_or_default();
        return format!("field {}", String::from_utf8_lossy(name));
    }
    format!("line {}", text[..at].iter().filter(|byte| **byte == b'\n').count() + 1)
}

fn descend(node: &Node<'_>, at: usize, path: &mut String) {
    match &node.kind {
        NodeKind::Scalar => {}
        NodeKind::Array(items) => {
            if let Some((n, item)) = items.iter().enumerate().find(|(_, item)| (item.at..item.end()).contains(&at)) {
                *path += &format!("[{n}]");
                descend(item, at, path);
            }
        }
        NodeKind::Object(members) => {
            if let Some(member) = members.iter().find(|member| (member.at..member.value.end()).contains(&at)) {
                *path += &member_step(&member.name);
                if at >= member.value.at {
                    descend(&member.value, at, path);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(content_type: &str, text: &str) -> String {
        inside_body(content_type, text.as_bytes(), text.find("HERE").unwrap())
    }

    #[test]
    fn paths_fields_and_lines() {
        assert_eq!(at("application/json", r#"{"a": [1, {"b c": "x HERE"}]}"#), "$.a[1]['b c']");
        assert_eq!(at("", "\u{feff}\"HERE\""), "$");
        assert_eq!(at("application/json", r#"{"HERE": 1}"#), "$.HERE");
        assert_eq!(at("application/x-www-form-urlencoded", "a=1&user%5Bpw%5D=HERE"), "field user%5Bpw%5D");
        assert_eq!(at("text/plain", "a\nb HERE"), "line 2");
        assert_eq!(at("application/json", "{\"a\n\": HERE"), "line 2");
    }
}
