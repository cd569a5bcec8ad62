//! The environment of a process: whether harproxy's variables reached it.

use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;

use procfs::process::Process;

/// A program uses the proxy if it has one of these variables.
const PROXIES: [&str; 4] = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"];
/// The variable that names the harproxy of an environment.
const RUN_PROXY: &str = "HARPROXY_RUN_PROXY";

/// Returns true if a process was started without the proxy variables. `None` if it belongs to another user, has
/// overwritten its environment with a title, has ended, or runs below another harproxy.
pub(super) fn is_cleared(process: &Process, proxy: &str) -> Option<bool> {
    let mut environment = Vec::new();
    process.open_relative("environ").ok()?.read_to_end(&mut environment).ok()?;
    process.exe().ok()?;
    cleared(&environment, proxy)
}

/// Returns true if a line is `NAME=value`. The title of a process, such as `chromium --type=gpu-process`, is not.
fn is_variable(line: &[u8]) -> bool {
    line.iter().position(|byte| *byte == b'=').is_some_and(|end| !line[..end].iter().any(u8::is_ascii_whitespace))
}

fn cleared(environment: &[u8], proxy: &str) -> Option<bool> {
    let lines = || environment.split(|byte| *byte == 0).filter(|line| !line.is_empty());
    if (lines().next().is_none() && !environment.is_empty()) || !lines().all(is_variable) {
        return None;
    }
    let value = |name: &str| lines().find_map(|line| line.strip_prefix(name.as_bytes())?.strip_prefix(b"="));
    let is_own = |value: &[u8]| OsStr::from_bytes(value) == proxy;
    if value(RUN_PROXY).is_some_and(|value| !is_own(value)) {
        return None;
    }
    Some(!PROXIES.iter().any(|name| value(name).is_some_and(is_own)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROXY: &str = "http://127.0.0.1:8899";

    #[test]
    fn environment_without_the_proxy_is_cleared() {
        for (environment, expected) in [
            ("HTTPS_PROXY=http://127.0.0.1:8899\0A=b\0", Some(false)),
            ("http_proxy=http://127.0.0.1:8899\0", Some(false)),
            ("A=b\0", Some(true)),
            ("", Some(true)),
            ("HTTPS_PROXY=http://corp:3128\0", Some(true)),
            ("HTTPS_PROXY=http://127.0.0.1:7\0HARPROXY_RUN_PROXY=http://127.0.0.1:7\0", None),
            ("postgres: writer process\0\0\0", None),
            ("/usr/lib/chromium/chromium --type=gpu-process --lang=en\0\0\0", None),
            ("\0\0\0", None),
        ] {
            assert_eq!(cleared(environment.as_bytes(), PROXY), expected, "{environment:?}");
        }
    }
}
