//! The normal form of URLs.

use harproxy_http::NormalUrl;
use harproxy_http::url::{Parts, normal};

/// The first line is a URL, the second a reference to resolve against it.
pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (url, reference) = text.split_once('\n').unwrap_or((text, ""));
    any_scheme(url);
    match NormalUrl::parse(url) {
        Err(error) => {
            let reason = error.reason();
            let told = url.contains("://") && reason.contains(url);
            assert!(!reason.is_empty() && !told, "the reason tells the URL");
            assert!(NormalUrl::of(url.to_owned()).is_err());
        }
        Ok(parsed) => {
            assert_eq!(NormalUrl::of(url.to_owned()).unwrap(), parsed, "two ways, two forms");
            is_normal(&parsed);
            agrees_with_the_parser(url, &parsed);
            if let Ok(joined) = parsed.join(reference) {
                assert_eq!(NormalUrl::parse_any(joined.as_str()).unwrap(), joined, "joined is not normal");
            }
        }
    }
}

fn any_scheme(url: &str) {
    let parsed = NormalUrl::parse_any(url).ok();
    let parsed = parsed.as_ref().map(NormalUrl::as_str);
    assert_eq!(normal(url).as_deref(), parsed, "a look at the bytes and the parser disagree");
}

/// Normalisation is idempotent, and the parts form the whole URL.
fn is_normal(url: &NormalUrl) {
    assert_eq!(NormalUrl::parse(url.as_str()).unwrap(), *url, "twice is not once");
    assert_eq!(normal(url.as_str()).as_deref(), Some(url.as_str()));
    let Parts { origin, path, query } = url.parts();
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    assert_eq!(format!("{origin}{path}{query}"), url.as_str());
    assert!(!url.as_str().contains('#') && path.starts_with('/'));
}

/// The fast path gives the same result as the parser.
fn agrees_with_the_parser(text: &str, normal: &NormalUrl) {
    let mut parsed = url::Url::parse(text).expect("it is normal");
    parsed.set_fragment(None);
    if matches!(parsed.scheme(), "ws" | "wss") {
        let scheme = parsed.scheme().replacen("ws", "http", 1);
        parsed.set_scheme(&scheme).expect("both are web schemes");
    }
    assert_eq!(parsed.as_str(), normal.as_str());
    let parts = normal.parts();
    assert_eq!(Some(parts.host()), parsed.host_str());
    assert_eq!(parts.port(), parsed.port());
    assert_eq!((parts.path, parts.query), (parsed.path(), parsed.query()));
    assert_eq!(parts.site(), parsed.origin().ascii_serialization());
    assert_eq!(parts.is_https(), parsed.scheme() == "https");
    assert_eq!(parts.segments().count(), parsed.path_segments().expect("it is a web URL").count());
}
