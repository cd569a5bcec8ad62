//! Fixtures of any size.

use std::fs::File;
use std::io::{BufWriter, Write};

use super::options::Options;
use super::payload;

/// Writes a HAR of `--entries` entries with payloads of `--payload` bytes inside, which is the same one unless `--own` says `yes`; `--scheme` and `--version`
/// say how they came.
pub fn write(options: &Options) {
    let entries: usize = options.get("entries");
    let scheme: String = options.or("scheme", "http".to_owned());
    let version: String = options.or("version", "HTTP/1.1".to_owned());
    let payload = payload::json(options.or("payload", 1024));
    let text = |payload: &[u8]| serde_json::to_string(std::str::from_utf8(payload).unwrap()).unwrap();
    let (any, is_own) = (text(&payload), options.has("own"));
    let mut file = BufWriter::with_capacity(1 << 20, File::create(&options.words[0]).unwrap());
    write!(file, r#"{{"log":{{"version":"1.2","creator":{{"name":"harproxy","version":"0.1.0"}},"_harproxy":{{"version":1,"scope":["{scheme}://{}/**"]}},"entries":["#, payload::HOST).unwrap();
    for n in 0..entries {
        let comma = if n == 0 { "" } else { "," };
        let own = is_own.then(|| text(&payload::of(&payload, &payload::path(n))));
        let text = own.as_ref().unwrap_or(&any);
        write!(file, r#"{comma}
{{"startedDateTime":"2026-11-20T09:30:00.000Z","time":1,"request":{{"method":"GET","url":"{scheme}://{host}{path}","httpVersion":"{version}","headers":[{{"name":"host","value":"{host}"}},{{"name":"accept","value":"application/json"}},{{"name":"accept-language","value":"en-GB"}},{{"name":"user-agent","value":"bench"}}],"cookies":[],"queryString":[],"headersSize":-1,"bodySize":0}},"response":{{"status":200,"statusText":"OK","httpVersion":"{version}","headers":[{{"name":"date","value":"Fri, 20 Nov 2026 {hour:02}:{minute:02}:{second:02} GMT"}},{{"name":"content-type","value":"application/json"}},{{"name":"cache-control","value":"no-store"}},{{"name":"etag","value":"\"5f38532fff643c08\""}}],"cookies":[],"content":{{"size":{size},"mimeType":"application/json","text":{text}}},"redirectURL":"","headersSize":-1,"bodySize":{size}}},"cache":{{}},"timings":{{"send":0,"wait":1,"receive":0}}}}"#,
            host = payload::HOST, path = payload::path(n), size = payload.len(), hour = n / 3600 % 24, minute = n / 60 % 60, second = n % 60).unwrap();
    }
    file.write_all(b"\n]}}\n").unwrap();
    file.flush().unwrap();
}
