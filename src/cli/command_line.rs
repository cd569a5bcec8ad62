//! Redaction of command lines, which messages and reports show as they were typed.
//!
//! Secrets are found by name or by shape, also in the scripts that a shell is given. A secret without either, such as
//! the second word of `-p hunter2`, can't be found.

use std::ffi::{OsStr, OsString};
use std::ops::Range;
use std::sync::LazyLock;

use regex::{Captures, Regex};

use harproxy_redact::{
    NameClass, NameLocation, PayloadRedaction, PlaceholderName, Policy, RedactionView, Redactor, Splice, apply_splices,
};
use harproxy_support::shell_quote;

/// A name with the characters before its value: `token=`, `x-api-key: `, `"password":"`.
static NAME: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"([A-Za-z][\w.-]*)(["'\\]*)\s*([=:]\s*)["'\\]*"#).ok());
/// An option whose value is the next word.
static OPTION: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r#"--([A-Za-z][\w-]*)["']?\s+["']?"#).ok());
/// An option of curl for cookies, up to its value.
static COOKIES: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"(?:^|[\s"'])(?:-b|--cookie)(?:=|\s*)["']?"#).ok());
/// An option of curl for credentials, up to the password.
static USER: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r#"(?:^|[\s"'])(?:-u|-U|-E|--user|--proxy-user|--cert)(?:=|\s*)(["']?)[^\s:"'=-][^\s:"']*:"#).ok()
});
/// Schemes that can stand between a name and its secret.
const SCHEMES: [&str; 5] = ["bearer ", "basic ", "token ", "digest ", "negotiate "];
/// The name of a password behind a user name.
const PASSWORD: &str = "password";
/// The name of a user name that is a key.
const USER_NAME: &str = "username";
/// The header of cookies.
const COOKIE: &str = "cookie";

/// Quotes the words of a command for a shell, and redacts them. A word is redacted as a header, a URL, a form, JSON or
/// an assignment if it is one.
pub(super) fn redact<S: AsRef<OsStr>>(view: &RedactionView, words: &[S]) -> String {
    let policy = view.policy();
    if policy.is_off() {
        return shell_quote::words(words);
    }
    let has_curl = words.iter().any(|word| word.as_ref().to_string_lossy().contains("curl"));
    let mut redactor = CommandRedactor { policy, redactor: view.redactor(), has_curl };
    let mut argument = None;
    let mut redacted = Vec::with_capacity(words.len());
    for word in words {
        let text = word.as_ref().to_string_lossy();
        redacted.push(match argument.take().filter(|_| !text.starts_with('-')) {
            Some(argument) => redactor.redact_argument(&text, argument),
            None => redactor.redact_word(&text),
        });
        argument = OptionArgument::of(policy, &text);
    }
    // A secret of one word can occur in another one, also in one before it.
    shell_quote::words(words.iter().zip(redacted).map(|(word, redacted)| {
        let redacted = String::from_utf8_lossy(&redactor.redactor.redact_text(redacted.as_bytes())).into_owned();
        let redacted = view.redact_known(&redacted);
        let word = word.as_ref();
        if word.to_string_lossy() == *redacted { word.to_owned() } else { OsString::from(redacted.into_owned()) }
    }))
}

/// The meaning of the word behind an option.
enum OptionArgument {
    /// A secret with this name.
    Secret(String),
    /// A user (or a file of curl), a colon and a password.
    User,
    /// Cookies, or the name of a file with them.
    Cookies,
    /// A script for a shell.
    Script,
}

impl OptionArgument {
    fn of(policy: &Policy, option: &str) -> Option<Self> {
        match option {
            "-u" | "-U" | "-E" | "--user" | "--proxy-user" | "--cert" | "--auth" => return Some(OptionArgument::User),
            "--oauth2-bearer" => return Some(OptionArgument::Secret("bearer".to_owned())),
            _ => {}
        }
        if matches!(option, "-b" | "--cookie") {
            return Some(OptionArgument::Cookies);
        }
        match option.strip_prefix("--") {
            Some(name) => is_secret(policy, name).then(|| OptionArgument::Secret(name.to_owned())),
            None => (option.starts_with('-') && option.ends_with('c')).then_some(OptionArgument::Script),
        }
    }
}

fn is_secret(policy: &Policy, name: &str) -> bool {
    let locations = [NameLocation::Header, NameLocation::Query, NameLocation::Member];
    locations.iter().any(|&location| policy.classify(location, name.as_bytes()).is_secret())
}

struct CommandRedactor<'p> {
    policy: &'p Policy,
    redactor: Redactor<'p>,
    /// False for commands without curl, in which `-b` does not begin cookies: `go test -bench=Parse`.
    has_curl: bool,
}

impl CommandRedactor<'_> {
    /// Redacts the word behind an option.
    fn redact_argument(&mut self, word: &str, argument: OptionArgument) -> String {
        let (name, from) = match argument {
            OptionArgument::Secret(name) => (name, 0),
            OptionArgument::Script => return self.redact_script(word).unwrap_or_else(|| word.to_owned()),
            OptionArgument::Cookies if !word.contains('=') => return self.redact_word(word),
            OptionArgument::Cookies => (COOKIE.to_owned(), 0),
            OptionArgument::User => match word.split_once(':') {
                // The placeholder of harproxy's own `--auth`.
                Some((_, "PASS")) => return word.to_owned(),
                // Without a password, the user name is a key.
                Some((user, "")) if !user.is_empty() => {
                    let redacted = self.redact_value(USER_NAME, user);
                    return redacted.map_or_else(|| word.to_owned(), |user| format!("{user}:"));
                }
                Some((user, _)) => (PASSWORD.to_owned(), user.len() + 1),
                None => return word.to_owned(),
            },
        };
        self.redact_value(&name, &word[from..])
            .map_or_else(|| word.to_owned(), |value| format!("{}{value}", &word[..from]))
    }

    /// Redacts a word that is not the argument of an option.
    fn redact_word(&mut self, word: &str) -> String {
        if let Some(cookies) = word.strip_prefix("-b").filter(|cookies| self.has_curl && cookies.contains('=')) {
            return self
                .redact_value(COOKIE, cookies)
                .map_or_else(|| word.to_owned(), |cookies| format!("-b{cookies}"));
        }
        let dashes = word.len() - word.trim_start_matches('-').len();
        // The argument of a short option can follow without a space: `-HCookie: sid=abc`, `-dpassword=abc`.
        let is_short_option = dashes == 1 && word.as_bytes().get(1).is_some_and(u8::is_ascii_alphabetic);
        let starts = [Some(dashes), is_short_option.then_some(2)].into_iter().flatten();
        let redacted =
            starts.filter_map(|at| Some(format!("{}{}", &word[..at], self.redact_format(&word[at..])?))).next();
        let redacted = redacted.unwrap_or_else(|| word.to_owned());
        self.redact_script(&redacted).unwrap_or(redacted)
    }

    /// Redacts a header field, a URL, a payload or an assignment. `None` if the text contains no secret.
    fn redact_format(&mut self, text: &str) -> Option<String> {
        let payload = |redactor: &mut Self| match redactor.redactor.redact_payload("", text.as_bytes()) {
            PayloadRedaction::Redacted(redacted) => Some(String::from_utf8_lossy(&redacted).into_owned()),
            PayloadRedaction::Clean | PayloadRedaction::Opaque => None,
        };
        let field = self.redact_field(text).or_else(|| self.redactor.redact_url(text));
        field.or_else(|| payload(self)).or_else(|| self.redact_assignment(text))
    }

    fn redact_assignment(&mut self, text: &str) -> Option<String> {
        let (name, value) = text.split_once('=').filter(|(name, _)| is_secret(self.policy, name))?;
        Some(format!("{name}={}", self.redact_value(name, value)?))
    }

    fn redact_field(&mut self, text: &str) -> Option<String> {
        let (name, value) = text.split_once(':')?;
        let is_name_byte = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if name.is_empty() || !name.bytes().all(is_name_byte) {
            return None;
        }
        let from = text.len() - value.trim_start().len();
        let redacted = self.redactor.redact_header(name, &text.as_bytes()[from..])?;
        Some(format!("{}{}", &text[..from], String::from_utf8_lossy(&redacted)))
    }

    /// Redacts the values of secret names in any text, such as a script. `None` if there are none.
    fn redact_script(&mut self, text: &str) -> Option<String> {
        let mut values: Vec<(Range<usize>, String)> = Vec::new();
        for found in NAME.iter().flat_map(|regex| regex.captures_iter(text)) {
            values.extend(
                self.secret_name(text, &found).map(|name| (named_value(text, &found, self.policy, &name), name)),
            );
        }
        for found in OPTION.iter().flat_map(|regex| regex.captures_iter(text)) {
            values.extend(self.secret_name(text, &found).map(|name| (value_at(text, end(&found)), name)));
        }
        for found in USER.iter().flat_map(|regex| regex.captures_iter(text)) {
            let start = end(&found);
            let quote = found.get(1).and_then(|quote| quote.as_str().chars().next());
            let range = quote.map_or_else(
                || value_at(text, start),
                |quote| start..start + quoted_len(&text.as_bytes()[start..], quote),
            );
            values.push((range, PASSWORD.to_owned()));
        }
        for found in COOKIES.iter().filter(|_| self.has_curl).flat_map(|regex| regex.find_iter(text)) {
            let range = value_at(text, found.end());
            values.extend(text[range.clone()].contains('=').then(|| (range, COOKIE.to_owned())));
        }
        values.sort_by_key(|(range, _)| range.start);
        let (mut splices, mut free_from) = (Vec::new(), 0);
        for (range, name) in values {
            if range.start >= free_from {
                free_from = range.end;
                let with = match self.is_ambiguous_parameter(&text[..range.start], &name) {
                    true => self.redact_parameter(&name, &text[range.clone()]),
                    false => self.redact_value(&name, &text[range.clone()]),
                };
                splices.extend(with.map(|with| Splice { range, with }));
            }
        }
        let redacted = apply_splices(text.as_bytes(), &splices)?;
        Some(String::from_utf8_lossy(&redacted).into_owned())
    }

    /// Returns the name if it is secret. A name behind a short option can begin with the letter of the option.
    fn secret_name(&self, text: &str, found: &Captures<'_>) -> Option<String> {
        let name = found.get(1)?;
        let before = &text[..name.start()];
        let is_behind_option = before.ends_with('-') && !before.ends_with("--");
        let names = [Some(name.as_str()), is_behind_option.then(|| &name.as_str()[1..])].into_iter().flatten();
        names.into_iter().find(|name| is_secret(self.policy, name)).map(str::to_owned)
    }

    /// Returns true if a text ends with `?name=` or `&name=`, and the name often has another meaning: `code`, `state`.
    fn is_ambiguous_parameter(&self, before: &str, name: &str) -> bool {
        let before = before.strip_suffix('=').and_then(|before| before.strip_suffix(name));
        let is_ambiguous = self.policy.classify(NameLocation::Member, name.as_bytes()) == NameClass::SecretIfOpaque;
        is_ambiguous && before.is_some_and(|before| before.ends_with(['?', '&']))
    }

    /// Redacts the value of a parameter by its name and by its form, as in a recorded URL: `?code=FR` is data. `None`
    /// if it is not secret.
    fn redact_parameter(&mut self, name: &str, value: &str) -> Option<String> {
        let pair = format!("{name}={value}");
        match self.redactor.redact_payload("application/x-www-form-urlencoded", pair.as_bytes()) {
            PayloadRedaction::Redacted(pair) => {
                String::from_utf8_lossy(&pair).split_once('=').map(|(_, v)| v.to_owned())
            }
            PayloadRedaction::Clean | PayloadRedaction::Opaque => None,
        }
    }

    /// Redacts the value of a secret name, whether it looks random or not. `None` if it is empty or already redacted.
    fn redact_value(&mut self, name: &str, value: &str) -> Option<String> {
        let field = self.redactor.redact_header(name, value.as_bytes());
        let field = field.map(|redacted| String::from_utf8_lossy(&redacted).into_owned());
        field.or_else(|| self.redactor.replace_value(value.as_bytes(), &PlaceholderName::new(name)))
    }
}

fn end(found: &Captures<'_>) -> usize {
    found.get(0).map_or(0, |all| all.end())
}

/// Returns the position of the value behind a name. The value of a header extends to the end of its line or of its
/// quotes.
fn named_value(text: &str, found: &Captures<'_>, policy: &Policy, name: &str) -> Range<usize> {
    let start = end(found);
    let is_quoted = text[..start].ends_with(['"', '\'']);
    let is_field = found.get(2).is_some_and(|quotes| quotes.is_empty())
        && found.get(3).is_some_and(|separator| separator.as_str().starts_with(':') && separator.len() > 1);
    if is_quoted || !is_field || !policy.is_secret_header(name) {
        return value_at(text, start);
    }
    start..start + text[start..].find(['"', '\'', '\\', '\n']).unwrap_or(text.len() - start)
}

/// Returns the position of the value at `start`: a quoted string, or a word without the scheme before it. Both ends are
/// next to ASCII, so they are character boundaries.
fn value_at(text: &str, start: usize) -> Range<usize> {
    let rest = &text[start..];
    let bytes = rest.as_bytes();
    let before = text[..start].trim_end_matches(['"', '\'']);
    if let Some(quote @ ('"' | '\'')) = text[..start].chars().next_back() {
        // The quotes of a string within a string are escaped.
        if before.ends_with('\\') {
            return start..start + rest.find(['\\', quote]).unwrap_or(rest.len());
        }
        return start..start + quoted_len(bytes, quote);
    }
    let scheme = SCHEMES
        .iter()
        .find(|scheme| bytes.get(..scheme.len()).is_some_and(|word| word.eq_ignore_ascii_case(scheme.as_bytes())))
        .map_or(0, |scheme| scheme.len());
    let ends_word = |byte: &u8| byte.is_ascii_whitespace() || b"\"'\\&;|<>)}[{".contains(byte);
    let length = bytes[scheme..].iter().position(ends_word).unwrap_or(bytes.len() - scheme);
    start + scheme..start + scheme + length
}

/// Returns the length of the text up to the closing quote.
fn quoted_len(bytes: &[u8], quote: char) -> usize {
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

    fn redacted(words: &[&str]) -> String {
        redact(&RedactionView::default(), words)
    }

    #[track_caller]
    fn assert_redacted(words: &[&str]) {
        let redacted = redacted(words);
        assert!(!redacted.contains("hunter") && !redacted.contains("s3cr3t"), "{redacted}");
        assert!(redacted.contains("REDACTED-"), "{redacted}");
    }

    #[test]
    fn secrets_in_words_are_redacted() {
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
            "-bsid=hunter2-hunter2",
            "--cookie=sid=hunter2-hunter2",
        ] {
            assert_redacted(&["curl", word]);
        }
        assert_redacted(&["curl", "-u", "ada:hunter2 hunter2"]);
        assert_redacted(&["curl", "-u", "hunter2hunter2:"]);
        assert_redacted(&["curl", "-b", "sid=hunter2; theme=hunter2"]);
        assert_redacted(&["curl", "--oauth2-bearer", "hunter2hunter2"]);
        assert_redacted(&["curl", "-E", "cert.pem:hunter2"]);
        assert_redacted(&["tool", "--token", "hunter2 hunter2", "run"]);
        assert_redacted(&["tool", "--token", "it's hunter2"]);
        assert_redacted(&["curl", "-d", "hunter2-hunter2", "password=hunter2-hunter2"]);
        assert_redacted(&["sh", "-c", "echo hunter2-hunter2", "--token", "hunter2-hunter2"]);
    }

    #[test]
    fn secrets_in_scripts_are_redacted() {
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
            "curl -b 'sid=s3cr3t; theme=s3cr3t' https://a.test/",
            "curl --cookie sid=s3cr3t https://a.test/",
            "curl -H 'Authorization: Basic s3cr3t-value=='",
            "cat <<EOF\nAuthorization: Bearer s3cr3t\nEOF",
        ] {
            assert_redacted(&["sh", "-c", line]);
        }
    }

    #[test]
    fn redacted_words_keep_their_quotes() {
        let words = ["curl", "-H", "Authorization: Bearer abc", "-d", "password=b", "https://a.test/x"];
        let expected =
            "curl -H 'Authorization: Bearer REDACTED-authorization' -d password=REDACTED-password https://a.test/x";
        assert_eq!(redacted(&words), expected);
        assert_eq!(redacted(&["npm", "test", "--", "--token", "a b"]), "npm test -- --token REDACTED-token");
        assert_eq!(redacted(&["sh", "-c", "curl -u me:secret $URL"]), "sh -c 'curl -u me:REDACTED-password $URL'");
    }

    #[test]
    fn other_words_are_shown_as_they_were_typed() {
        assert_eq!(redacted(&["go", "test", "-count=1", "./...", "a: b"]), "go test -count=1 ./... 'a: b'");
        assert_eq!(redacted(&["sh", "-c", "npm test -- --x=1"]), "sh -c 'npm test -- --x=1'");
        assert_eq!(redacted(&["npm", "test", "--", "--grep", "pages: all"]), "npm test -- --grep 'pages: all'");
        assert_eq!(redacted(&["curl", "https://api.test?page=2&x=%20"]), "curl 'https://api.test?page=2&x=%20'");
        assert_eq!(
            redacted(&["curl", "https://api.test?code=FR&state=NY"]),
            "curl 'https://api.test?code=FR&state=NY'"
        );
        assert_eq!(
            redacted(&["sh", "-c", "curl https://a.test/?code=FR&token=x&code=Zx81kdPq77LmA0Bc"]),
            "sh -c 'curl https://a.test/?code=FR&token=REDACTED-token&code=REDACTED-code'"
        );
        assert_eq!(redacted(&["go", "test", "-bench=Parse", "./..."]), "go test -bench=Parse ./...");
        assert_eq!(redacted(&["sh", "-c", "go test -bench=Parse"]), "sh -c 'go test -bench=Parse'");
        assert_eq!(redacted(&["pytest", "-k", "größe=ü", "-x", ""]), "pytest -k 'größe=ü' -x ''");
        assert_eq!(redacted(&["tool", "--token", "--verbose", "x"]), "tool --token --verbose x");
        assert_eq!(
            redacted(&["sh", "-c", r#"curl -H "Authorization: Bearer abc" -d x https://a.test/?page=2"#]),
            r#"sh -c 'curl -H "Authorization: Bearer REDACTED-authorization" -d x https://a.test/?page=2'"#
        );
        assert_eq!(redact(&RedactionView::new(Policy::off().into(), &[]), &["x", "--token", "a b"]), "x --token 'a b'");
    }
}
