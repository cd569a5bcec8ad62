//! Fixtures of any size.

use std::fs::File;
use std::io::{BufWriter, Write};

use serde_json::{Value, json};

use super::mix::{self, HOST};
use super::options::Options;

/// Writes a HAR with `--entries` entries whose payloads of `--payload` bytes are inside the HAR.
/// `--scheme` and `--version` (of HTTP) are those of the recorded requests.
pub fn write(options: &Options) {
    let scheme: String = options.or("scheme", "http".to_owned());
    let version: String = options.or("version", "HTTP/1.1".to_owned());
    let template = mix::template(options.or("payload", 1024));
    let mut file = BufWriter::with_capacity(1 << 20, File::create(&options.words[0]).unwrap());
    let scope = format!("{scheme}://{HOST}/**");
    write!(file, r#"{{"log":{{"version":"1.2","creator":{{"name":"harproxy","version":"0.1.0"}},"_harproxy":{{"version":1,"scope":["{scope}"]}},"entries":["#).unwrap();
    for n in 0..options.get("entries") {
        let comma = if n == 0 { "" } else { "," };
        let path = mix::path(n);
        let payload = mix::response_payload(&template, &path);
        let entry = json!({
            "startedDateTime": "2026-11-20T09:30:00.000Z",
            "time": 1,
            "request": request(n, &format!("{scheme}://{HOST}{path}"), &version),
            "response": {
                "status": 200,
                "statusText": "OK",
                "httpVersion": version,
                "headers": response_headers(n, payload.len()),
                "cookies": [],
                "content": {
                    "size": payload.len(),
                    "mimeType": "application/json",
                    "text": std::str::from_utf8(&payload).unwrap(),
                },
                "redirectURL": "",
                "headersSize": -1,
                "bodySize": payload.len(),
            },
            "cache": {},
            "timings": {"send": 0, "wait": 1, "receive": 0},
        });
        write!(file, "{comma}\n{entry}").unwrap();
    }
    file.write_all(b"\n]}}\n").unwrap();
    file.flush().unwrap();
}

fn request(n: usize, url: &str, version: &str) -> Value {
    let method = mix::method(n);
    let payload = (method == "POST").then(|| mix::request_payload(n, 0));
    let mut request = json!({
        "method": method,
        "url": url,
        "httpVersion": version,
        "headers": [
            {"name": "host", "value": HOST},
            {"name": "accept", "value": "application/json"},
            {"name": "accept-language", "value": "en-GB"},
            {"name": "user-agent", "value": "bench"},
        ],
        "cookies": [],
        "queryString": [],
        "headersSize": -1,
        "bodySize": payload.as_ref().map_or(0, String::len),
    });
    if let Some(payload) = payload {
        request["postData"] = json!({"mimeType": "application/json", "text": payload});
    }
    request
}

fn response_headers(n: usize, length: usize) -> Vec<Value> {
    let date = format!("Fri, 20 Nov 2026 {:02}:{:02}:{:02} GMT", n / 3600 % 24, n / 60 % 60, n % 60);
    let length = length.to_string();
    let added = [("date", &*date), ("content-length", &*length)];
    mix::HEADERS.into_iter().chain(added).map(|(name, value)| json!({"name": name, "value": value})).collect()
}
