//! Resolves a glob that does not start with `*` as a URL, as Playwright does: `HTTPS://Example.com:443/a/../b*` gets
//! the form in which a browser would request it.
//!
//! Only components without glob characters go through the URL parser. A token that the parser leaves alone replaces the
//! others.

use std::borrow::Cow;

use url::Url;

/// Schemes whose URLs are not resolved.
const TAKEN_AS_WRITTEN: [&str; 5] = ["about:", "data:", "chrome:", "edge:", "file:"];

/// Special characters of globs.
const GLOB_CHARACTERS: [char; 5] = ['*', '{', '}', '\\', '?'];

/// Returns the glob with its literal URL components in normal form, or unchanged if it does not parse as a URL.
pub(super) fn resolve(glob: &str) -> Cow<'_, str> {
    if glob.starts_with('*') || TAKEN_AS_WRITTEN.iter().any(|scheme| glob.starts_with(scheme)) {
        return Cow::Borrowed(glob);
    }
    let mut masked = Masked::new(glob);
    let components: Vec<String> = glob.split('/').enumerate().map(|(n, text)| masked.component(n, text)).collect();
    match Url::parse(&components.join("/")) {
        Ok(url) => Cow::Owned(masked.unmask(&url)),
        Err(_) => Cow::Borrowed(glob),
    }
}

/// The texts that the URL parser must not see, and the tokens that replace them.
struct Masked<'a> {
    /// Letters that the glob does not contain, so that no token equals a part of it.
    mark: String,
    texts: Vec<(String, &'a str)>,
}

impl<'a> Masked<'a> {
    fn new(glob: &str) -> Self {
        let lower = glob.to_ascii_lowercase();
        let mut mark = "q".to_owned();
        while lower.contains(&mark) {
            mark.push('q');
        }
        Masked { mark, texts: Vec::new() }
    }

    /// Returns the form of one `/`-separated component for the URL parser.
    fn component(&mut self, index: usize, text: &'a str) -> String {
        if !text.contains(GLOB_CHARACTERS) {
            return text.to_owned();
        }
        if index == 0 && text.ends_with(':') {
            // A scheme with a wildcard: with `http:` the parser applies the rules of HTTP URLs to the rest.
            self.texts.push(("http:".to_owned(), text));
            return "http:".to_owned();
        }
        match text.find('?') {
            None => self.mask(text, ""),
            Some(at) => {
                let (path, query) = text.split_at(at);
                self.mask(path, "") + &self.mask(query, "?")
            }
        }
    }

    fn mask(&mut self, text: &'a str, lead: &str) -> String {
        if !text.contains(GLOB_CHARACTERS) {
            return text.to_owned();
        }
        let token = format!("{lead}{mark}{n}{mark}", mark = self.mark, n = self.texts.len());
        self.texts.push((token.clone(), text));
        token
    }

    /// Returns the resolved URL with the original texts in place of the tokens, in lower case within scheme and host. A
    /// text that a `..` removed stays removed.
    fn unmask(&self, url: &Url) -> String {
        let mut resolved = url.as_str().to_owned();
        let origin = url.origin().ascii_serialization();
        for (token, text) in &self.texts {
            let text = if origin.contains(token.as_str()) {
                // A user name keeps its case.
                let (user, host) = text.split_at(text.rfind('@').map_or(0, |at| at + 1));
                Cow::Owned(user.to_owned() + &host.to_lowercase())
            } else {
                Cow::Borrowed(*text)
            };
            resolved = resolved.replacen(token.as_str(), &text, 1);
        }
        resolved
    }
}
