//! Rebuilds urlencoded and multipart payloads that a HAR stores only as `postData.params`.

use serde_json::Value;
use url::form_urlencoded;

use crate::model::{Body, Storage};
use harproxy_http::MediaType;

/// The boundary of a multipart payload whose boundary was not recorded. Matching ignores boundaries.
const BOUNDARY: &str = "harproxy-boundary-of-params";

/// One of `postData.params`.
struct Param<'a> {
    name: &'a str,
    value: Option<&'a str>,
    file_name: Option<&'a str>,
    content_type: Option<&'a str>,
}

/// Sets the payload from `params`, if they are complete.
pub(crate) fn from_params(body: &mut Body, notes: &mut Vec<String>) {
    let Some(Value::Array(list)) = body.extras.get("params").cloned() else { return };
    if list.is_empty() {
        return;
    }
    let param = |item| {
        let text = |name| Value::get(item, name).and_then(Value::as_str);
        Param {
            name: text("name").unwrap_or_default(),
            value: text("value"),
            file_name: text("fileName"),
            content_type: text("contentType"),
        }
    };
    let params: Vec<_> = list.iter().map(param).collect();
    if params.iter().any(|param| param.file_name.is_some() && param.value.is_none()) {
        notes
            .push("only the names of the uploaded files were recorded; the body is treated as not recorded".to_owned());
        body.size = Some(1);
        return;
    }
    let media = MediaType::parse(&body.mime_type);
    if media.is_multipart() {
        let boundary = media.parameter("boundary").filter(|boundary| !boundary.is_empty());
        if boundary.is_none() {
            body.mime_type = format!("{}; boundary={BOUNDARY}", media.essence());
        }
        body.stored = Storage::Text(multipart(&params, boundary.unwrap_or(BOUNDARY)));
    } else if media.is_form() || media.essence().is_empty() {
        body.stored = Storage::Text(urlencoded(&params));
    }
    body.is_rebuilt = !matches!(body.stored, Storage::Nowhere);
}

fn urlencoded(params: &[Param<'_>]) -> String {
    let pairs = || params.iter().map(|param| (param.name, param.value.unwrap_or_default()));
    // Chrome stores names and values as sent, other tools decoded.
    let escaped = pairs().any(|(name, value)| has_escape(name) || has_escape(value));
    if escaped && pairs().all(|(name, value)| is_encoded(name) && is_encoded(value)) {
        let joined: Vec<_> = pairs().map(|(name, value)| format!("{name}={value}")).collect();
        return joined.join("&");
    }
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs()).finish()
}

fn has_escape(text: &str) -> bool {
    let hex = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_hexdigit);
    let bytes = text.as_bytes();
    bytes.iter().enumerate().any(|(at, byte)| *byte == b'%' && hex(bytes.get(at + 1)) && hex(bytes.get(at + 2)))
}

fn is_encoded(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"*-._+%~!'()".contains(&byte))
}

fn multipart(params: &[Param<'_>], boundary: &str) -> String {
    let mut text = String::new();
    for param in params {
        let quoted = |text: &str| text.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A");
        text += &format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{}\"", quoted(param.name));
        if let Some(file_name) = param.file_name {
            text += &format!("; filename=\"{}\"", quoted(file_name));
        }
        if let Some(content_type) = param.content_type.filter(|content_type| !content_type.is_empty()) {
            text += &format!("\r\nContent-Type: {content_type}");
        }
        text += &format!("\r\n\r\n{}\r\n", param.value.unwrap_or_default());
    }
    text + &format!("--{boundary}--\r\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rebuilt(mime_type: &str, params: Value) -> Body {
        let mut body = Body { mime_type: mime_type.to_owned(), ..Body::default() };
        body.extras.insert("params".to_owned(), params);
        from_params(&mut body, &mut Vec::new());
        body
    }

    #[test]
    fn form_is_encoded_once_when_params_are_encoded_or_decoded() {
        for (params, text) in [
            (json!([{"name": "a b", "value": "ä&"}, {"name": "c"}]), "a+b=%C3%A4%26&c="),
            (json!([{"name": "a", "value": "x%20y"}, {"name": "b", "value": "1"}]), "a=x%20y&b=1"),
            (json!([{"name": "a", "value": "100% of it"}]), "a=100%25+of+it"),
        ] {
            assert_eq!(rebuilt("", params).stored, Storage::Text(text.to_owned()));
        }
        assert_eq!(rebuilt("application/json", json!([{"name": "a"}])).stored, Storage::Nowhere);
        assert_eq!(rebuilt("", json!([])).stored, Storage::Nowhere);
    }

    #[test]
    fn multipart_gets_a_boundary_and_no_invented_file_content() {
        let params = json!([
            {"name": "a", "value": "1"},
            {"name": "f", "value": "hi", "fileName": "x\".txt", "contentType": "text/plain"},
        ]);
        let body = rebuilt("multipart/form-data; boundary=B", params.clone());
        let expected = "--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n\
            --B\r\nContent-Disposition: form-data; name=\"f\"; filename=\"x%22.txt\"\r\nContent-Type: text/plain\r\n\r\nhi\r\n\
            --B--\r\n";
        assert_eq!(body.stored, Storage::Text(expected.to_owned()));
        assert!(rebuilt("multipart/form-data", params).mime_type.ends_with("; boundary=harproxy-boundary-of-params"));
        let lost = rebuilt("multipart/form-data; boundary=B", json!([{"name": "f", "fileName": "x.png"}]));
        assert_eq!((lost.stored, lost.size), (Storage::Nowhere, Some(1)));
    }
}
