use std::env::var;
use std::path::Path;

use reqwest::blocking::{Client, RequestBuilder};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (base, out) = (var("BASE")?, var("OUT")?);
    let client = Client::new();
    let keep = |name: &str, request: RequestBuilder| -> Result<(), Box<dyn std::error::Error>> {
        let body = request.send()?.error_for_status()?.bytes()?;
        Ok(std::fs::write(Path::new(&out).join(name), body)?)
    };
    keep("json", client.get(format!("{base}/api/json?page=2")))?;
    keep("gzip", client.get(format!("{base}/api/gzip")))?;
    let post = client.post(format!("{base}/api/items")).header("content-type", "application/json");
    keep("post", post.body(r#"{"name":"Ada"}"#))?;
    keep("redirect", client.get(format!("{base}/api/redirect")))?;
    keep("image", client.get(format!("{base}/api/image.png")))
}
