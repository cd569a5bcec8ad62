//! Command lines as they may be told: their words as they were typed, but for what is known as secret by its name or its looks,
//! in the strings of a shell too. What is secret by neither, as the second word of `-p hunter2`, can't be known.

use std::ffi::{OsStr, OsString};
use std::ops::Range;
use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::view::{Splice, apply, moved};
use super::{Form, Name, Outcome, Policy, Redactor, Telling};

/// A name and what leads to its value: `token=`, `x-api-key: `, `"password":"`.
static NAMED: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"([A-Za-z][\w.-]*)(["'\\]*)\s*([=:]\s*)["'\\]*"#).ok());
/// An option whose value is the next word.
static OPTION: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r#"--([A-Za-z][\w-]*)["']?\s+["']?"#).ok());
/// Credentials as curl takes them: the name of the user stays.
static USER: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r#"(?:^|[\s"'])(?:-u|-U|--user|--proxy-user)(?:=|\s*)(["']?)[^\s:"'=-][^\s:"']*:"#).ok()
});
/// What may stand between a name and its secret.
const SCHEMES: [&str; 5] = ["bearer ", "basic ", "token ", "digest ", "negotiate "];
/// What a password is called that stands behind the name of its user.
const PASSWORD: &str = "password";

impl Telling {
    /// Words as they were typed, quoted for a shell, without what they call secret and what is known by its shape. A header, a
    /// URL, a form or JSON among them is looked into as such.
    ///
    /// ```
    /// use harproxy_redact::{Policy, Telling};
    /// let told = |words: &[&str]| Telling::command(&Policy::default(), words);
    /// assert_eq!(
    ///     told(&["curl", "-H", "Authorization: Bearer abc", "-d", "password=b", "https://a.test/x"]),
    ///     "curl -H 'Authorization: Bearer REDACTED-authorization' -d password=REDACTED-password https://a.test/x"
    /// );
    /// assert_eq!(told(&["npm", "test", "--", "--token", "a b"]), "npm test -- --token REDACTED-token");
    /// assert_eq!(told(&["sh", "-c", "curl -u me:secret $URL"]), "sh -c 'curl -u me:REDACTED-password $URL'");
    /// ```
    #[must_use]
    pub fn command<S: AsRef<OsStr>>(policy: &Policy, words: &[S]) -> String {
        if policy.is_off() {
            return harproxy_support::shell_quote::words(words);
        }
        let mut telling = Telling::of(policy);
        let mut takes = None;
        let mut told = Vec::with_capacity(words.len());
        for word in words {
            let text = word.as_ref().to_string_lossy();
            told.push(match takes.take().filter(|_| !text.starts_with('-')) {
                Some(takes) => telling.taken(&text, takes),
                None => telling.word(&text),
            });
            takes = Takes::of(policy, &text);
        }
        // Only now is all known that one word calls secret and another holds, perhaps one before it.
        harproxy_support::shell_quote::words(words.iter().zip(told).map(|(word, told)| {
            let told = String::from_utf8_lossy(&telling.text(told.as_bytes())).into_owned();
            let was = word.as_ref();
            if was.to_string_lossy() == told { was.to_owned() } else { OsString::from(told) }
        }))
    }
}

/// What the word behind an option is.
enum Takes {
    /// A secret of this name.
    Secret(String),
    /// A user, a colon and a password.
    User,
    /// A line for a shell, in which many words stand.
    Line,
}

impl Takes {
    fn of(policy: &Policy, option: &str) -> Option<Self> {
        if matches!(option, "-u" | "-U" | "--user" | "--proxy-user") {
            return Some(Takes::User);
        }
        match option.strip_prefix("--") {
            Some(name) => is_secret(policy, name).then(|| Takes::Secret(name.to_owned())),
            None => (option.starts_with('-') && option.ends_with('c')).then_some(Takes::Line),
        }
    }
}

fn is_secret(policy: &Policy, name: &str) -> bool {
    policy.is_secret_header(name) || policy.is_secret_parameter(name) || policy.is_secret_member(name)
}

impl Redactor<'_, Telling> {
    /// The word behind an option.
    fn taken(&mut self, word: &str, takes: Takes) -> String {
        let (name, from) = match takes {
            Takes::Secret(name) => (name, 0),
            Takes::Line => return self.within(word).unwrap_or_else(|| word.to_owned()),
            Takes::User => (PASSWORD.to_owned(), word.find(':').map_or(word.len(), |colon| colon + 1)),
        };
        spliced(word, moved(self.value(&name, &word[from..]), from).collect()).unwrap_or_else(|| word.to_owned())
    }

    /// A word that stands for itself, whatever option it is of.
    fn word(&mut self, word: &str) -> String {
        let dashes = word.len() - word.trim_start_matches('-').len();
        // `-HCookie: sid=abc`, `-dpassword=abc`: what an option of one letter takes may be glued to it.
        let has_letter = dashes == 1 && word.as_bytes().get(1).is_some_and(u8::is_ascii_alphabetic);
        let starts = [Some(dashes), has_letter.then_some(2)].into_iter().flatten();
        let told = starts.filter_map(|at| Some(format!("{}{}", &word[..at], self.known_form(&word[at..])?))).next();
        let told = told.unwrap_or_else(|| word.to_owned());
        self.within(&told).unwrap_or(told)
    }

    /// A text that is a header field as curl takes it, a URL, a payload or the assignment of a variable; `None` where nothing
    /// was taken out of it.
    fn known_form(&mut self, text: &str) -> Option<String> {
        let payload = |telling: &mut Self| match telling.payload("", text.as_bytes()) {
            Outcome::Redacted(told) => Some(String::from_utf8_lossy(&told).into_owned()),
            Outcome::Clean | Outcome::Opaque => None,
        };
        self.field(text).or_else(|| self.url(text)).or_else(|| payload(self)).or_else(|| self.assignment(text))
    }

    fn assignment(&mut self, text: &str) -> Option<String> {
        let (name, value) = text.split_once('=').filter(|(name, _)| is_secret(self.policy, name))?;
        spliced(text, moved(self.value(name, value), name.len() + 1).collect())
    }

    fn field(&mut self, text: &str) -> Option<String> {
        let (name, value) = text.split_once(':')?;
        let is_name =
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
        let from = text.len() - value.trim_start().len();
        let splices = is_name.then(|| self.header_value(name, &text.as_bytes()[from..]))?;
        spliced(text, moved(splices, from).collect())
    }

    /// A text that holds anything, a line for a shell perhaps: what stands behind the name of a secret.
    fn within(&mut self, text: &str) -> Option<String> {
        let mut values: Vec<(Range<usize>, String)> = Vec::new();
        for found in NAMED.iter().flat_map(|regex| regex.captures_iter(text)) {
            values.extend(self.name(text, &found).map(|name| (value_of_name(text, &found, self.policy, &name), name)));
        }
        for found in OPTION.iter().flat_map(|regex| regex.captures_iter(text)) {
            values.extend(self.name(text, &found).map(|name| (value_at(text, end(&found)), name)));
        }
        for found in USER.iter().flat_map(|regex| regex.captures_iter(text)) {
            let start = end(&found);
            let quote = found.get(1).and_then(|quote| quote.as_str().chars().next());
            let range = quote.map_or_else(
                || value_at(text, start),
                |quote| start..start + closing(&text.as_bytes()[start..], quote),
            );
            values.push((range, PASSWORD.to_owned()));
        }
        values.sort_by_key(|(range, _)| range.start);
        let (mut splices, mut free_from) = (Vec::new(), 0);
        for (range, name) in values {
            if range.start >= free_from {
                free_from = range.end;
                splices.extend(moved(self.value(&name, &text[range.clone()]), range.start));
            }
        }
        spliced(text, splices)
    }

    /// The name that was found, if it is one of a secret; without the letter of an option that it is glued to.
    fn name(&self, text: &str, found: &Captures<'_>) -> Option<String> {
        let name = found.get(1)?;
        let before = &text[..name.start()];
        let is_glued = before.ends_with('-') && !before.ends_with("--");
        let names = [Some(name.as_str()), is_glued.then(|| &name.as_str()[1..])].into_iter().flatten();
        names.into_iter().find(|name| is_secret(self.policy, name)).map(str::to_owned)
    }

    /// What is taken out of the value of a secret's name.
    fn value(&mut self, name: &str, value: &str) -> Vec<Splice> {
        if self.policy.is_secret_header(name) {
            return self.header_value(name, value.as_bytes());
        }
        let with = self.named(value.as_bytes(), &Name::new(name), Form::Text);
        with.map(|with| Splice { range: 0..value.len(), with }).into_iter().collect()
    }
}

fn spliced(text: &str, splices: Vec<Splice>) -> Option<String> {
    apply(text.as_bytes(), &splices).map(|told| String::from_utf8_lossy(&told).into_owned())
}

fn end(found: &Captures<'_>) -> usize {
    found.get(0).map_or(0, |all| all.end())
}

/// The value behind a name. A header goes on to the end of its line, or of the quotes it began in.
fn value_of_name(text: &str, found: &Captures<'_>, policy: &Policy, name: &str) -> Range<usize> {
    let start = end(found);
    let is_quoted = text[..start].ends_with(['"', '\'']);
    let is_line = found.get(2).is_some_and(|closed| closed.is_empty())
        && found.get(3).is_some_and(|separator| separator.as_str().starts_with(':') && separator.len() > 1);
    if is_quoted || !is_line || !policy.is_secret_header(name) {
        return value_at(text, start);
    }
    start..start + text[start..].find(['"', '\'', '\\', '\n']).unwrap_or(text.len() - start)
}

/// The value that begins here: up to the quote that it began with, else a word, and the one for its scheme before it. All ends
/// are beside ASCII, so at edges of characters.
fn value_at(text: &str, start: usize) -> Range<usize> {
    let rest = &text[start..];
    let bytes = rest.as_bytes();
    let before = text[..start].trim_end_matches(['"', '\'']);
    if let Some(quote @ ('"' | '\'')) = text[..start].chars().next_back() {
        // In a string within a string the quotes are escaped themselves.
        if before.ends_with('\\') {
            return start..start + rest.find(['\\', quote]).unwrap_or(rest.len());
        }
        return start..start + closing(bytes, quote);
    }
    let scheme = SCHEMES
        .iter()
        .find(|scheme| bytes.get(..scheme.len()).is_some_and(|word| word.eq_ignore_ascii_case(scheme.as_bytes())))
        .map_or(0, |scheme| scheme.len());
    let ends = |byte: &u8| byte.is_ascii_whitespace() || b"\"'\\&;|<>)}[{".contains(byte);
    let length = bytes[scheme..].iter().position(ends).unwrap_or(bytes.len() - scheme);
    start + scheme..start + scheme + length
}

/// Where the quotes end that were opened before this.
fn closing(bytes: &[u8], quote: char) -> usize {
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'\\' if quote == '"' => at += 1,
            byte if byte == quote as u8 => return at,
            _ => {}
        }
        at += 1;
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(words: &[&str]) -> String {
        Telling::command(&Policy::default(), words)
    }

    #[track_caller]
    fn holds_none(words: &[&str]) {
        let told = told(words);
        assert!(!told.contains("hunter") && !told.contains("s3cr3t"), "{told}");
        assert!(told.contains("REDACTED-"), "{told}");
    }

    #[test]
    fn secrets_in_words_are_left_out() {
        for word in [
            "authorization: Bearer hunter2-hunter2",
            "Authorization:hunter2-hunter2",
            "-HAuthorization: Bearer hunter2-hunter2",
            "--header=Authorization: Digest a=hunter1, b=hunter2",
            "Cookie: sid=hunter2-hunter2; theme=hunter",
            "https://ada:hunter2-hunter2@api.test/",
            "https://api.test/?access_token=hunter2-hunter2",
            "--url=https://api.test/?page=1&access_token=hunter2%20hunter2",
            "user=ada&password=hunter2-hunter2",
            "password=hunter2 hunter2",
            "-dpassword=hunter2-hunter2",
            "--token=hunter2-hunter2",
            "--user=ada:hunter2-hunter2",
            "-uada:hunter2-hunter2",
            r#"{"password":"hunter2\" hunter2"}"#,
            "API_KEY=hunter2-hunter2",
        ] {
            holds_none(&["curl", word]);
        }
        holds_none(&["curl", "-u", "ada:hunter2 hunter2"]);
        holds_none(&["tool", "--token", "hunter2 hunter2", "run"]);
        holds_none(&["tool", "--token", "it's hunter2"]);
        holds_none(&["curl", "-d", "hunter2-hunter2", "password=hunter2-hunter2"]);
        holds_none(&["sh", "-c", "echo hunter2-hunter2", "--token", "hunter2-hunter2"]);
    }

    #[test]
    fn secrets_in_the_strings_of_a_shell_are_left_out() {
        for line in [
            r#"curl -H "x-api-key: s3cr3t-value" https://a.test/"#,
            r#"curl -H 'Cookie: sid=s3cr3t; theme=s3cr3t' https://a.test/"#,
            r#"curl -H"Authorization: Custom s3cr3t s3cr3t" https://a.test/"#,
            "curl -HAuthorization:s3cr3t-value https://a.test/",
            r#"curl "https://a.test/?page=1&token=s3cr3t-value&x=2""#,
            r#"curl -d '{"user":"a","password":"s3cr3t \"value\" s3cr3t"}' https://a.test/"#,
            r#"curl -d "{\"password\": \"s3cr3t value\"}" https://a.test/"#,
            "tool --token=s3cr3t-value run",
            "tool --token s3cr3t-value run",
            "tool --token 's3cr3t s3cr3t' run",
            "TOKEN='s3cr3t s3cr3t' npm test",
            "curl --user me:s3cr3t-value https://a.test/",
            "curl -u 'me:s3cr3t s3cr3t' https://a.test/",
            "curl -ume:s3cr3t-value https://a.test/",
            "curl https://me:s3cr3t-value@a.test/",
            "curl -H 'Authorization: Basic s3cr3t-value=='",
            "cat <<EOF\nAuthorization: Bearer s3cr3t\nEOF",
        ] {
            holds_none(&["sh", "-c", line]);
        }
    }

    #[test]
    fn the_rest_is_as_it_was_typed() {
        assert_eq!(told(&["go", "test", "-count=1", "./...", "a: b"]), "go test -count=1 ./... 'a: b'");
        assert_eq!(told(&["sh", "-c", "npm test -- --x=1"]), "sh -c 'npm test -- --x=1'");
        assert_eq!(told(&["npm", "test", "--", "--grep", "pages: all"]), "npm test -- --grep 'pages: all'");
        assert_eq!(told(&["curl", "https://api.test?page=2&x=%20"]), "curl 'https://api.test?page=2&x=%20'");
        assert_eq!(told(&["pytest", "-k", "größe=ü", "-x", ""]), "pytest -k 'größe=ü' -x ''");
        assert_eq!(told(&["tool", "--token", "--verbose", "x"]), "tool --token --verbose x");
        assert_eq!(
            told(&["sh", "-c", r#"curl -H "Authorization: Bearer abc" -d x https://a.test/?page=2"#]),
            r#"sh -c 'curl -H "Authorization: Bearer REDACTED-authorization" -d x https://a.test/?page=2'"#
        );
        assert_eq!(Telling::command(&Policy::off(), &["x", "--token", "a b"]), "x --token 'a b'");
    }
}
