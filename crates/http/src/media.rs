//! Media types (RFC 9110 section 8.3.1): type, charset, and the file extension of a payload.

use encoding_rs::Encoding;

use harproxy_json::begins_with_text;

/// A parsed `Content-Type`. Parsing never fails.
///
/// ```
/// use harproxy_http::MediaType;
/// let json = MediaType::parse("Application/Problem+JSON; Charset=\"UTF-8\"");
/// assert_eq!(json.essence(), "application/problem+json");
/// assert!(json.is_json() && json.is_text());
/// assert_eq!(json.charset().unwrap().name(), "UTF-8");
/// assert_eq!(MediaType::parse("image/png").extension(), "png");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MediaType {
    essence: String,
    parameters: Vec<(String, String)>,
}

/// Text types other than `text/*`. Sorted.
const TEXT: [&str; 29] = [
    "application/csp-report",
    "application/ecmascript",
    "application/graphql",
    "application/javascript",
    "application/json",
    "application/json-seq",
    "application/json5",
    "application/jsonl",
    "application/jsonlines",
    "application/jsonp",
    "application/jwt",
    "application/mathml",
    "application/ndjson",
    "application/pem-certificate-chain",
    "application/rtf",
    "application/sql",
    "application/toml",
    "application/vnd.apple.mpegurl",
    "application/x-httpd-php",
    "application/x-javascript",
    "application/x-json",
    "application/x-mpegurl",
    "application/x-ndjson",
    "application/x-sh",
    "application/x-www-form-urlencoded",
    "application/x-yaml",
    "application/xml",
    "application/xml-dtd",
    "application/yaml",
];

impl MediaType {
    /// Parses `type/subtype; name=value` into lower case, except for parameter values. Ignores malformed parameters.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let (essence, mut rest) = text.split_once(';').unwrap_or((text, ""));
        let mut parameters = Vec::new();
        while !rest.is_empty() {
            let (name, after) = match rest.find(['=', ';']) {
                Some(at) if rest.as_bytes()[at] == b'=' => (&rest[..at], &rest[at + 1..]),
                Some(at) => {
                    rest = &rest[at + 1..];
                    continue;
                }
                None => break,
            };
            let (value, after) = parameter_value(after.trim_start());
            parameters.push((name.trim().to_ascii_lowercase(), value));
            rest = after;
        }
        MediaType { essence: essence.trim().to_ascii_lowercase(), parameters }
    }

    /// `type/subtype` in lower case. Empty if it is missing.
    #[must_use]
    pub fn essence(&self) -> &str {
        &self.essence
    }

    /// The first parameter of this (lower-case) name.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The encoding of the `charset` label (Encoding Standard). `None` if it is missing or unknown.
    #[must_use]
    pub fn charset(&self) -> Option<&'static Encoding> {
        self.parameter("charset").and_then(|label| Encoding::for_label(label.trim_matches('\'').as_bytes()))
    }

    /// True for types of a JSON value.
    #[must_use]
    pub fn is_json(&self) -> bool {
        self.essence.ends_with("+json")
            || matches!(
                &*self.essence,
                "application/json" | "text/json" | "application/x-json" | "application/csp-report"
            )
    }

    /// True for `application/x-www-form-urlencoded`.
    #[must_use]
    pub fn is_form(&self) -> bool {
        self.essence == "application/x-www-form-urlencoded"
    }

    /// True if the type is a form and the payload is not JSON. `curl -d` declares all payloads as forms, and a real
    /// form has encoded quotes and braces. The start of the payload is sufficient.
    ///
    /// ```
    /// use harproxy_http::MediaType;
    /// let media = MediaType::parse("application/x-www-form-urlencoded");
    /// assert!(media.is_form_of(b"a=1&b[]=2") && !media.is_form_of(br#"{ "a": 1 }"#));
    /// ```
    #[must_use]
    pub fn is_form_of(&self, payload: &[u8]) -> bool {
        self.is_form() && !begins_with_text(payload)
    }

    #[must_use]
    pub fn is_multipart(&self) -> bool {
        self.essence.starts_with("multipart/")
    }

    /// True for readable types: `text/*`, JSON, XML, scripts, forms and similar.
    #[must_use]
    pub fn is_text(&self) -> bool {
        self.essence.starts_with("text/")
            || ["+json", "+xml", "+yaml"].iter().any(|suffix| self.essence.ends_with(suffix))
            || TEXT.binary_search(&&*self.essence).is_ok()
    }

    /// The extension of a payload file: `txt` for text, else that of the type, else `bin`.
    #[must_use]
    pub fn extension(&self) -> &'static str {
        if self.is_text() { "txt" } else { mime2ext::mime2ext(&self.essence).unwrap_or("bin") }
    }
}

/// The unquoted value of a parameter, and the text after its `;`.
fn parameter_value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let (value, rest) = text.split_once(';').unwrap_or((text, ""));
        return (value.trim().to_owned(), rest);
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => {
                let rest = &quoted[at + 1..];
                return (value, rest.split_once(';').map_or("", |(_, rest)| rest));
            }
            '\\' => value.extend(chars.next().map(|(_, c)| c)),
            c => value.push(c),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_reads_quoted_and_malformed_parameters() {
        let form = MediaType::parse("multipart/form-data;charset=latin1 ; boundary=\"a;\\\"b\" ;x;=;y=");
        assert_eq!(form.parameter("boundary"), Some("a;\"b"));
        assert_eq!(form.charset(), Some(encoding_rs::WINDOWS_1252));
        assert_eq!(form.parameter("y"), Some(""));
        assert_eq!(MediaType::parse("text/html; charset='utf-16le'").charset(), Some(encoding_rs::UTF_16LE));
        assert_eq!(MediaType::parse("text/html; charset=klingon").charset(), None);
        assert_eq!(MediaType::parse("a/b; c=\"d").parameter("c"), Some("d"));
        assert_eq!(MediaType::parse(""), MediaType::default());
    }

    #[test]
    fn text_types_are_sorted_for_binary_search() {
        assert!(TEXT.is_sorted());
    }

    /// A change would rename payload files in the repositories of users.
    #[test]
    fn extensions_are_stable() {
        for (media_type, extension) in [
            ("", "bin"),
            ("x-unknown", "bin"),
            ("application/json", "txt"),
            ("application/vnd.api+json; charset=utf-8", "txt"),
            ("application/graphql", "txt"),
            ("application/x-www-form-urlencoded", "txt"),
            ("application/javascript", "txt"),
            ("application/xml", "txt"),
            ("application/soap+xml", "txt"),
            ("application/x-ndjson", "txt"),
            ("text/html", "txt"),
            ("text/css", "txt"),
            ("text/csv", "txt"),
            ("text/plain", "txt"),
            ("text/event-stream", "txt"),
            ("image/svg+xml", "txt"),
            ("image/png", "png"),
            ("image/jpeg", "jpg"),
            ("image/gif", "gif"),
            ("image/webp", "webp"),
            ("image/avif", "avif"),
            ("image/x-icon", "ico"),
            ("image/vnd.microsoft.icon", "ico"),
            ("font/woff2", "woff2"),
            ("font/ttf", "ttf"),
            ("audio/mpeg", "mpga"),
            ("video/mp4", "mp4"),
            ("video/webm", "webm"),
            ("application/pdf", "pdf"),
            ("application/zip", "zip"),
            ("application/gzip", "gz"),
            ("application/wasm", "wasm"),
            ("application/octet-stream", "bin"),
            ("application/grpc", "bin"),
            ("application/x-protobuf", "bin"),
            ("multipart/form-data; boundary=x", "bin"),
        ] {
            assert_eq!(MediaType::parse(media_type).extension(), extension, "{media_type}");
        }
    }
}
