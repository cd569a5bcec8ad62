//! A glob that does not start with `*` is read as a URL first, so that `HTTPS://Example.com:443/a/../b*` means what a
//! browser would ask for: scheme and host in lower case, default port dropped, dot segments gone, text percent-encoded.
//!
//! Only whole components without glob characters go through the URL parser; the others are kept as they are, behind a
//! stand-in that the parser lets pass.

use std::borrow::Cow;

use url::Url;

/// Schemes whose URLs are not hierarchical in a way that could be resolved.
const TAKEN_AS_WRITTEN: [&str; 5] = ["about:", "data:", "chrome:", "edge:", "file:"];

/// The characters that mean something in a glob.
const GLOB_CHARACTERS: [char; 5] = ['*', '{', '}', '\\', '?'];

/// The glob with the parts of a URL that it spells out in normal form. What does not parse is taken as it is written.
pub(super) fn resolve(glob: &str) -> Cow<'_, str> {
    if glob.starts_with('*') || TAKEN_AS_WRITTEN.iter().any(|scheme| glob.starts_with(scheme)) {
        return Cow::Borrowed(glob);
    }
    let mut kept = Kept::new(glob);
    let components: Vec<String> = glob.split('/').enumerate().map(|(n, text)| kept.component(n, text)).collect();
    match Url::parse(&components.join("/")) {
        Ok(url) => Cow::Owned(kept.put_back(&url)),
        Err(_) => Cow::Borrowed(glob),
    }
}

/// The texts that the URL parser must not see, and their stand-ins.
struct Kept<'a> {
    /// Letters that the glob does not contain: no stand-in can be taken for a part of the glob.
    mark: String,
    texts: Vec<(String, &'a str)>,
}

impl<'a> Kept<'a> {
    fn new(glob: &str) -> Self {
        let lower = glob.to_ascii_lowercase();
        let mut mark = "q".to_owned();
        while lower.contains(&mark) {
            mark.push('q');
        }
        Kept { mark, texts: Vec::new() }
    }

    /// What the URL parser gets to see of one `/`-separated component.
    fn component(&mut self, index: usize, text: &'a str) -> String {
        if !text.contains(GLOB_CHARACTERS) {
            return text.to_owned();
        }
        if index == 0 && text.ends_with(':') {
            // A scheme with a wildcard: any of HTTP's will do to make the parser treat the rest as it does for these.
            self.texts.push(("http:".to_owned(), text));
            return "http:".to_owned();
        }
        match text.find('?') {
            None => self.keep(text, ""),
            Some(at) => {
                let (path, query) = text.split_at(at);
                self.keep(path, "") + &self.keep(query, "?")
            }
        }
    }

    fn keep(&mut self, text: &'a str, lead: &str) -> String {
        if !text.contains(GLOB_CHARACTERS) {
            return text.to_owned();
        }
        let stand_in = format!("{lead}{mark}{n}{mark}", mark = self.mark, n = self.texts.len());
        self.texts.push((stand_in.clone(), text));
        stand_in
    }

    /// The resolved URL with the kept texts in their places, in lower case where the URL has scheme and host. A text that
    /// a `..` took away stays away.
    fn put_back(&self, url: &Url) -> String {
        let mut resolved = url.as_str().to_owned();
        let origin = url.origin().ascii_serialization();
        for (stand_in, text) in &self.texts {
            let text = if origin.contains(stand_in.as_str()) {
                // A user name keeps its case.
                let (user, host) = text.split_at(text.rfind('@').map_or(0, |at| at + 1));
                Cow::Owned(user.to_owned() + &host.to_lowercase())
            } else {
                Cow::Borrowed(*text)
            };
            resolved = resolved.replacen(stand_in.as_str(), &text, 1);
        }
        resolved
    }
}
