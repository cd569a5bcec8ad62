//! Paths with varying segments: templates and simple regular expressions.

/// A path that a pattern accepts, and the template that stands for all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathSample {
    pub path: String,
    /// The path with `{…}` for the segments that vary, as `path` of `[[match]]` has it.
    pub template: String,
    /// The template accepts exactly the paths of the pattern.
    pub is_exact: bool,
}

impl PathSample {
    /// Returns the sample of a template: `/users/{id}`.
    #[must_use]
    pub fn of_template(template: &str) -> Self {
        let sample = |segment: &str| match segment.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
            Some(name) => name.to_owned(),
            None => segment.to_owned(),
        };
        let path: Vec<String> = template.split('/').map(sample).collect();
        PathSample { path: path.join("/"), template: template.to_owned(), is_exact: true }
    }

    /// Returns the sample of a regular expression whose segments are literal, or one class with a repetition. `None`
    /// for others.
    #[must_use]
    pub fn of_regex(pattern: &str) -> Option<Self> {
        let pattern = pattern.strip_prefix('^').unwrap_or(pattern);
        let pattern = pattern.strip_suffix('$').unwrap_or(pattern);
        let (mut path, mut template, mut is_exact, mut varying) = (Vec::new(), Vec::new(), true, 0);
        for segment in split_segments(pattern) {
            if let Some(text) = literal(&segment) {
                path.push(text.clone());
                template.push(text);
                continue;
            }
            let (sample, accepts_all) = segment_class(&segment)?;
            is_exact &= accepts_all;
            path.push(sample.to_owned());
            varying += 1;
            template.push(if varying == 1 { "{id}".to_owned() } else { format!("{{id{varying}}}") });
        }
        let path = path.join("/");
        path.starts_with('/').then(|| PathSample { path, template: template.join("/"), is_exact })
    }
}

/// Splits a pattern at slashes that do not stand in brackets.
fn split_segments(pattern: &str) -> Vec<String> {
    let (mut segments, mut depth, mut is_escaped) = (vec![String::new()], 0_usize, false);
    for c in pattern.chars() {
        match c {
            '/' if depth == 0 => {
                if let Some(last) = segments.last_mut().filter(|last| last.ends_with('\\')) {
                    last.pop();
                }
                segments.push(String::new());
                is_escaped = false;
                continue;
            }
            '[' | '(' if !is_escaped => depth += 1,
            ']' | ')' if !is_escaped => depth = depth.saturating_sub(1),
            _ => {}
        }
        is_escaped = c == '\\' && !is_escaped;
        if let Some(last) = segments.last_mut() {
            last.push(c);
        }
    }
    segments
}

/// Returns the text of a segment without special characters. Escaped ones are literal.
fn literal(segment: &str) -> Option<String> {
    let (mut text, mut chars) = (String::new(), segment.chars());
    while let Some(c) = chars.next() {
        match c {
            '\\' => text.push(chars.next().filter(|c| !c.is_alphanumeric())?),
            '.' | '*' | '+' | '?' | '[' | ']' | '(' | ')' | '{' | '}' | '|' | '^' | '$' => return None,
            c => text.push(c),
        }
    }
    Some(text)
}

/// Returns a sample of a segment that varies as a whole, and whether it accepts every segment.
fn segment_class(segment: &str) -> Option<(&'static str, bool)> {
    let inside = segment.strip_prefix('(').and_then(|inside| inside.strip_suffix(')')).unwrap_or(segment);
    let inside = inside.strip_prefix("?:").unwrap_or(inside);
    let class = inside.trim_end_matches(['+', '*', '?']);
    let class = match class.rsplit_once('{') {
        Some((class, repetition)) if repetition.ends_with('}') => class,
        _ => class,
    };
    match class {
        "[^/]" => Some(("any", true)),
        "." => Some(("any", false)),
        "\\d" | "[0-9]" => Some(("1", false)),
        "\\w" | "[a-zA-Z]" | "[a-z]" | "[a-zA-Z0-9]" | "[a-z0-9]" | "[A-Za-z0-9]" | "[a-zA-Z0-9-]" | "[A-Za-z0-9-]"
        | "[a-z0-9-]" | "[a-zA-Z0-9_-]" | "[A-Za-z0-9_-]" | "[\\w-]" => Some(("a", false)),
        "[a-f0-9-]" | "[0-9a-f-]" | "[a-fA-F0-9-]" => Some(("00000000-0000-4000-8000-000000000000", false)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn simple_patterns_have_samples() {
        for (pattern, path, template, is_exact) in [
            ("/users/[0-9]+", "/users/1", "/users/{id}", false),
            ("/users/[^/]+/orders", "/users/any/orders", "/users/{id}/orders", true),
            ("^/a\\.b/(\\d{1,3})$", "/a.b/1", "/a.b/{id}", false),
            ("/plain", "/plain", "/plain", true),
        ] {
            let sample = PathSample::of_regex(pattern).unwrap();
            assert_eq!((&*sample.path, &*sample.template, sample.is_exact), (path, template, is_exact), "{pattern}");
        }
        for pattern in ["/a.*", "/(a|b)/c", "/a/[xyz]+b", ".*", "/a\\d"] {
            assert_eq!(PathSample::of_regex(pattern), None, "{pattern}");
        }
        let template = PathSample::of_template("/users/{id}/orders/{order}");
        assert_eq!(template.path, "/users/id/orders/order");
    }
}
