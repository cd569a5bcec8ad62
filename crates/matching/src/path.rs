//! Path patterns with variable segments: `/users/{id}/orders`.

use std::fmt;

use harproxy_http::NormalUrl;

/// A path with variable segments.
///
/// ```
/// use harproxy_matching::PathPattern;
/// assert!(PathPattern::new("/users/{id}/orders").is_ok());
/// assert!(PathPattern::new("/users/{id").is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPattern(Vec<Segment>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    /// A fixed text in normal form.
    Fixed(String),
    /// Any text, with the name of the segment.
    Variable(String),
}

impl PathPattern {
    pub fn new(pattern: &str) -> Result<Self, String> {
        let Some(path) = pattern.strip_prefix('/') else {
            return Err("a path begins with `/`, such as `/users/{id}/orders`".to_owned());
        };
        if path.contains(['?', '#']) {
            return Err("a path has no `?` and no `#`; ignore parameters with `ignore-query`".to_owned());
        }
        let segments = path.split('/').map(segment).collect::<Result<Vec<_>, _>>()?;
        if !segments.iter().any(|segment| matches!(segment, Segment::Variable(_))) {
            return Err("no segment is variable: put a name in braces, such as `/users/{id}/orders`".to_owned());
        }
        Ok(PathPattern(segments))
    }

    /// Returns true if a path in normal form matches.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        let mut segments = path.strip_prefix('/').unwrap_or(path).split('/');
        let fits = |segment: &Segment| match (segment, segments.next()) {
            (Segment::Variable(_), Some(_)) => true,
            (Segment::Fixed(fixed), Some(segment)) => fixed == segment,
            (_, None) => false,
        };
        self.0.iter().all(fits) && segments.next().is_none()
    }

    /// Returns the names of the variable segments with their values in a path in normal form. Nothing if it does not
    /// match.
    #[must_use]
    pub fn values<'p>(&'p self, path: &'p str) -> Vec<(&'p str, &'p str)> {
        if !self.matches(path) {
            return Vec::new();
        }
        let segments = path.strip_prefix('/').unwrap_or(path).split('/');
        let named = self.0.iter().zip(segments).filter_map(|(segment, value)| match segment {
            Segment::Variable(name) => Some((name.as_str(), value)),
            Segment::Fixed(_) => None,
        });
        named.collect()
    }

    /// Returns true if the segment with this index is variable.
    pub(super) fn varies(&self, index: usize) -> bool {
        matches!(self.0.get(index), Some(Segment::Variable(_)))
    }

    /// Returns the index of the variable segment with this name.
    #[must_use]
    pub fn place_of(&self, name: &str) -> Option<usize> {
        self.0.iter().position(|segment| matches!(segment, Segment::Variable(other) if other == name))
    }
}

/// Writes the pattern in normal form.
impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|segment| match segment {
            Segment::Fixed(text) => write!(f, "/{text}"),
            Segment::Variable(name) => write!(f, "/{{{name}}}"),
        })
    }
}

fn segment(text: &str) -> Result<Segment, String> {
    match text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
        Some(name) if !name.contains(['{', '}']) => return Ok(Segment::Variable(name.to_owned())),
        None if !text.contains(['{', '}']) => {}
        _ => return Err(format!("`{text}`: braces must enclose a whole segment, such as `/users/{{id}}/orders`")),
    }
    // Normal form, percent-encoded like a URL.
    let url = NormalUrl::parse(&format!("http://h/{text}"));
    let normal = url.ok().and_then(|url| url.parts().path.strip_prefix('/').map(str::to_owned));
    match normal {
        Some(normal) if !matches!(text, "." | "..") => Ok(Segment::Fixed(normal)),
        _ => Err(format!("`{text}` is not a valid path segment")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_in_braces_are_variable_and_the_others_are_compared_in_normal_form() {
        let path = PathPattern::new("/users/{id}/ä b").unwrap();
        assert!(path.matches("/users/7/%C3%A4%20b"));
        assert!(path.matches("/users//%C3%A4%20b"));
        for other in ["/users/7", "/users/7/x", "/users/7/8/%C3%A4%20b", "/users/7/%C3%A4%20b/", "/Users/7/%C3%A4%20b"]
        {
            assert!(!path.matches(other), "{other}");
        }
        assert!(path.varies(1) && !path.varies(0) && !path.varies(9));
        assert_eq!(path.values("/users/7/%C3%A4%20b"), [("id", "7")]);
        assert_eq!(path.values("/users/7"), []);
    }

    #[test]
    fn invalid_pattern_is_refused_with_a_reason() {
        for (bad, why) in [
            ("users/{id}", "begins with `/`"),
            ("/users/7", "no segment is variable"),
            ("/users/v{id}", "whole segment"),
            ("/users/{a}{b}", "whole segment"),
            ("/users/{id", "whole segment"),
            ("/users/{id}?x=1", "ignore-query"),
            ("/users/../{id}", "not a valid path segment"),
        ] {
            let error = PathPattern::new(bad).unwrap_err();
            assert!(error.contains(why), "{bad}: {error}");
        }
    }
}
