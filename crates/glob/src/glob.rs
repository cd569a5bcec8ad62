//! One glob, compiled.

use globset::{GlobBuilder, GlobMatcher};

use super::origin::Reach;
use super::resolve::resolve;
use super::token::{Token, tokens};

/// A compiled glob: its tokens, and the cheapest thing that matches as they say.
#[derive(Clone, Debug)]
pub(super) struct UrlGlob {
    tokens: Vec<Token>,
    shape: Shape,
}

/// What a glob comes down to. The first five are what people mostly write, and cost no automaton.
#[derive(Clone, Debug)]
enum Shape {
    Everything,
    Exactly(String),
    StartsWith(String),
    EndsWith(String),
    Contains(String),
    Globset(Box<GlobMatcher>),
}

impl UrlGlob {
    /// Compiles a glob (without `!`); the error is in words.
    pub(super) fn new(glob: &str) -> Result<Self, String> {
        let resolved = resolve(glob);
        let tokens = tokens(&resolved).map_err(|error| match self::tokens(glob) {
            Err(as_written) => as_written.to_string(),
            Ok(_) => format!("{error} of `{resolved}`, which it resolves to"),
        })?;
        let shape = Shape::of(glob, &tokens)?;
        Ok(UrlGlob { tokens, shape })
    }

    /// Whether it matches the whole URL.
    pub(super) fn matches(&self, url: &str) -> bool {
        match &self.shape {
            Shape::Everything => true,
            Shape::Exactly(text) => url == text,
            Shape::StartsWith(text) => url.starts_with(text.as_str()),
            Shape::EndsWith(text) => url.ends_with(text.as_str()),
            Shape::Contains(text) => url.contains(text.as_str()),
            Shape::Globset(matcher) => matcher.is_match(url),
        }
    }

    /// How it stands to the URLs that begin with `prefix`.
    pub(super) fn reach(&self, prefix: &str) -> Reach {
        match self.shape {
            Shape::Everything => Reach::All,
            _ => Reach::of(&self.tokens, prefix),
        }
    }
}

impl Shape {
    fn of(glob: &str, tokens: &[Token]) -> Result<Self, String> {
        use Token::{Anything, Folders, Literal};
        Ok(match tokens {
            [] if glob.is_empty() => Shape::Everything,
            [Anything] => Shape::Everything,
            [Literal(text)] => Shape::Exactly(text.clone()),
            [Literal(text), Anything] => Shape::StartsWith(text.clone()),
            [Folders, Literal(text)] => Shape::EndsWith(format!("/{text}")),
            [Anything, Literal(text)] => Shape::EndsWith(text.clone()),
            [Folders, Literal(text), Anything] => Shape::Contains(format!("/{text}")),
            [Anything, Literal(text), Anything] => Shape::Contains(text.clone()),
            _ => Shape::Globset(Box::new(compile(tokens).map_err(|error| error.kind().to_string())?)),
        })
    }
}

/// Says the same to globset. Its own `**` binds to slashes in ways that Playwright's does not, so `.*` is spelt as "no
/// slash, then perhaps a slash and anything".
fn compile(tokens: &[Token]) -> Result<GlobMatcher, globset::Error> {
    let mut pattern = String::new();
    spell(tokens, &mut pattern);
    let glob =
        GlobBuilder::new(&pattern).literal_separator(true).backslash_escape(true).empty_alternates(true).build()?;
    Ok(glob.compile_matcher())
}

const ANYTHING: &str = "*{,/**}";
const ONE_CHARACTER: &str = "{?,/}";

fn spell(tokens: &[Token], pattern: &mut String) {
    for token in tokens {
        match token {
            Token::Literal(text) => {
                for c in text.chars() {
                    if "*?[]{},\\".contains(c) {
                        pattern.push('\\');
                    }
                    pattern.push(c);
                }
            }
            Token::Segment => pattern.push('*'),
            Token::Anything => pattern.push_str(ANYTHING),
            Token::Folders => {
                pattern.push_str(ANYTHING);
                pattern.push('/');
            }
            Token::MaybeFolders => {
                pattern.push_str("{,");
                pattern.push_str(ONE_CHARACTER);
                pattern.push_str(ANYTHING);
                pattern.push_str("/}");
            }
            Token::Alternatives(branches) => {
                for (n, branch) in branches.iter().enumerate() {
                    pattern.push(if n == 0 { '{' } else { ',' });
                    spell(branch, pattern);
                }
                pattern.push('}');
            }
        }
    }
}
