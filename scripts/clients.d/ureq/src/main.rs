use std::env::var;
use std::path::Path;

use ureq::Agent;
use ureq::tls::{RootCerts, TlsConfig};

type Response = ureq::http::Response<ureq::Body>;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (base, out) = (var("BASE")?, var("OUT")?);
    let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build();
    let agent: Agent = Agent::config_builder().tls_config(tls).build().into();
    let keep = |name: &str, response: Result<Response, ureq::Error>| -> Result<(), Box<dyn std::error::Error>> {
        let body = response?.into_body().read_to_vec()?;
        Ok(std::fs::write(Path::new(&out).join(name), body)?)
    };
    keep("json", agent.get(format!("{base}/api/json?page=2")).call())?;
    keep("gzip", agent.get(format!("{base}/api/gzip")).call())?;
    let post = agent.post(format!("{base}/api/items")).header("content-type", "application/json");
    keep("post", post.send(r#"{"name":"Ada"}"#))?;
    keep("redirect", agent.get(format!("{base}/api/redirect")).call())?;
    keep("image", agent.get(format!("{base}/api/image.png")).call())
}
