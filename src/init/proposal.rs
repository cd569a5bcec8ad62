//! The globs for observed origins, and the text of `harproxy.toml`.

use harproxy_glob::escaped;
use harproxy_http::NormalUrl;
use harproxy_matching::noise;
use toml::Value;

use std::fmt::Write as _;

/// The globs of the origins that a run called, and the origins without one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProposedGlobs {
    pub globs: Vec<String>,
    /// Origins on this machine: servers of the project itself.
    pub local: Vec<String>,
    /// Origins that browsers and package managers call by themselves.
    pub noise: Vec<String>,
}

impl ProposedGlobs {
    /// Returns one glob for each origin (`https://host:port`, without a default port), except those of this machine and
    /// of noise.
    #[must_use]
    pub fn of<'o>(origins: impl IntoIterator<Item = &'o str>) -> Self {
        let mut proposed = ProposedGlobs::default();
        for origin in origins {
            let Ok(url) = NormalUrl::parse(&format!("{origin}/")) else { continue };
            if url.parts().is_loopback() {
                proposed.local.push(origin.to_owned());
            } else if noise::knows(url.parts().host()) {
                proposed.noise.push(origin.to_owned());
            } else {
                proposed.globs.push(format!("{}/**", escaped(origin)));
            }
        }
        proposed
    }
}

/// Returns the text of `harproxy.toml` with these globs, or with an example in a comment if there are none.
#[must_use]
pub fn config_text(globs: &[String]) -> String {
    let mut text =
        "# Settings of harproxy for this project. `harproxy config` shows all of them.\n\n[record]\n".to_owned();
    if globs.is_empty() {
        text += "# The URLs to record; without globs, everything except noise and this machine.\n\
                 # `harproxy init -- CMD` finds those of your tests.\n\
                 # globs = [\"https://api.example.com/**\"]\n";
    } else {
        text += "# The URLs to record; other requests pass through. `!GLOB` excludes.\nglobs = [\n";
        for glob in globs {
            let _ = writeln!(text, "  {},", Value::from(glob.as_str()));
        }
        text += "]\n";
    }
    text + "\n[replay]\n# Report entries that are older.\nmax-age = \"180d\"\n"
}

/// Returns the globs that `[record] globs` of an existing `harproxy.toml` lacks. An invalid file lacks all.
#[must_use]
pub fn missing_globs(existing: &str, globs: &[String]) -> Vec<String> {
    let table: toml::Table = existing.parse().unwrap_or_default();
    let has = match table.get("record").and_then(|record| record.get("globs").or_else(|| record.get("glob"))) {
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).collect(),
        Some(Value::String(one)) => vec![one.as_str()],
        _ => Vec::new(),
    };
    globs.iter().filter(|glob| !has.contains(&glob.as_str())).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_origin_of_an_api_has_one_glob() {
        let proposed = ProposedGlobs::of([
            "https://api.test",
            "http://api.test:8080",
            "http://localhost:3000",
            "https://[::1]:8443",
            "http://127.0.0.2",
            "http://app.localhost",
            "https://accounts.google.com",
            "https://[2001:db8::1]",
        ]);
        assert_eq!(proposed.globs, ["https://api.test/**", "http://api.test:8080/**", "https://[2001:db8::1]/**"]);
        let local = ["http://localhost:3000", "https://[::1]:8443", "http://127.0.0.2", "http://app.localhost"];
        assert_eq!(proposed.local, local);
        assert_eq!(proposed.noise, ["https://accounts.google.com"]);
        for (glob, url) in proposed.globs.iter().zip(["https://api.test/a/b?c", "http://api.test:8080/"]) {
            assert!(harproxy_glob::Globs::new([glob]).unwrap().matches(url), "{glob}");
        }
    }

    #[test]
    fn config_text_is_toml_with_the_globs() {
        let globs = ["https://api.test/**".to_owned(), "http://a\"\\b/**".to_owned()];
        let table: toml::Table = config_text(&globs).parse().unwrap();
        let list: Vec<&str> = table["record"]["globs"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        assert_eq!(list, globs);
        let table: toml::Table = config_text(&[]).parse().unwrap();
        assert!(table["record"].as_table().unwrap().is_empty());
        assert_eq!(table["replay"]["max-age"].as_str(), Some("180d"));
    }

    #[test]
    fn missing_globs_are_those_that_the_file_lacks() {
        let globs = ["https://a.test/**".to_owned(), "https://b.test/**".to_owned()];
        assert_eq!(missing_globs("[record]\nglobs = ['https://a.test/**']", &globs), globs[1..]);
        assert_eq!(missing_globs("[record]\nglobs = 'https://b.test/**'", &globs), globs[..1]);
        for text in ["", "[replay]", "record = 1", "["] {
            assert_eq!(missing_globs(text, &globs), globs, "{text}");
        }
        assert_eq!(missing_globs(&config_text(&globs), &globs), [""; 0]);
    }
}
