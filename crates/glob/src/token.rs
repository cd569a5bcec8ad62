//! The parser of globs.

/// One element of a glob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// Literal text, never empty.
    Literal(String),
    /// `*`: anything without a `/`.
    Segment,
    /// `**`: anything.
    Anything,
    /// `**/` where no `/` precedes: anything that ends in `/`.
    Folders,
    /// `**/` after a `/`: nothing, or at least one character and then a `/`. So `/**/` also matches `/`.
    MaybeFolders,
    /// `{a,b}`: one of these.
    Alternatives(Vec<Vec<Token>>),
}

/// Error in the braces of a glob, with the position in characters from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BraceError {
    /// `{` inside `{…}`.
    Nested(usize),
    /// `{` that no `}` closes.
    Unclosed(usize),
    /// `}` that no `{` opened.
    Unopened(usize),
}

impl std::fmt::Display for BraceError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            BraceError::Nested(at) => write!(f, "`{{` inside braces at character {at}"),
            BraceError::Unclosed(at) => write!(f, "`{{` at character {at} is never closed"),
            BraceError::Unopened(at) => write!(f, "`}}` at character {at} closes nothing"),
        }
    }
}

/// Parses a glob. `\` escapes the next character; at the end of the glob it is literal.
pub(super) fn tokens(glob: &str) -> Result<Vec<Token>, BraceError> {
    let mut out = Builder::default();
    let mut before = None;
    let mut chars = glob.chars().zip(1..).peekable();
    while let Some((c, at)) = chars.next() {
        let mut last = c;
        match c {
            '\\' => {
                last = chars.next().map_or('\\', |(escaped, _)| escaped);
                out.literal(last);
            }
            '*' => {
                let mut stars = 1;
                while chars.next_if(|(next, _)| *next == '*').is_some() {
                    stars += 1;
                }
                if stars == 1 {
                    out.token(Token::Segment);
                } else if chars.next_if(|(next, _)| *next == '/').is_some() {
                    last = '/';
                    out.token(if before == Some('/') { Token::MaybeFolders } else { Token::Folders });
                } else {
                    out.token(Token::Anything);
                }
            }
            '{' if out.group.is_some() => return Err(BraceError::Nested(at)),
            '{' => out.group = Some(Group { at, finished: Vec::new(), branch: Vec::new() }),
            '}' => out.close().ok_or(BraceError::Unopened(at))?,
            ',' if out.group.is_some() => out.next_branch(),
            _ => out.literal(c),
        }
        before = Some(last);
    }
    match out.group {
        Some(group) => Err(BraceError::Unclosed(group.at)),
        None => Ok(out.tokens),
    }
}

/// The tokens so far, and the group whose braces are open.
#[derive(Default)]
struct Builder {
    tokens: Vec<Token>,
    group: Option<Group>,
}

struct Group {
    at: usize,
    finished: Vec<Vec<Token>>,
    branch: Vec<Token>,
}

impl Builder {
    fn current(&mut self) -> &mut Vec<Token> {
        match &mut self.group {
            Some(group) => &mut group.branch,
            None => &mut self.tokens,
        }
    }

    fn token(&mut self, token: Token) {
        self.current().push(token);
    }

    fn literal(&mut self, c: char) {
        let tokens = self.current();
        match tokens.last_mut() {
            Some(Token::Literal(text)) => text.push(c),
            _ => tokens.push(Token::Literal(c.to_string())),
        }
    }

    fn next_branch(&mut self) {
        if let Some(group) = &mut self.group {
            group.finished.push(std::mem::take(&mut group.branch));
        }
    }

    fn close(&mut self) -> Option<()> {
        self.next_branch();
        let group = self.group.take()?;
        self.tokens.push(Token::Alternatives(group.finished));
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_depend_on_the_slashes_beside_them() {
        let literal = |text: &str| Token::Literal(text.into());
        assert_eq!(tokens("a/**/b").unwrap(), [literal("a/"), Token::MaybeFolders, literal("b")]);
        assert_eq!(tokens("a**/b").unwrap(), [literal("a"), Token::Folders, literal("b")]);
        assert_eq!(tokens("**/**/b").unwrap(), [Token::Folders, Token::MaybeFolders, literal("b")]);
        assert_eq!(tokens("a/***").unwrap(), [literal("a/"), Token::Anything]);
        assert_eq!(tokens(r"\*\{?[").unwrap(), [literal("*{?[")]);
        assert_eq!(tokens(r"a\").unwrap(), [literal(r"a\")]);
    }

    #[test]
    fn braces_neither_nest_nor_dangle() {
        assert_eq!(tokens("é{a,{b}}"), Err(BraceError::Nested(5)));
        assert_eq!(tokens("a{b"), Err(BraceError::Unclosed(2)));
        assert_eq!(tokens("{a}}"), Err(BraceError::Unopened(4)));
        assert_eq!(tokens("{}").unwrap(), [Token::Alternatives(vec![vec![]])]);
    }
}
