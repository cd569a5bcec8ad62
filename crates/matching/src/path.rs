//! Paths in which segments vary: `/users/{id}/orders`.

use harproxy_http::NormalUrl;

/// A path of which some segments may be anything.
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
    /// This, in normal form.
    Fixed(String),
    /// Any; by this name.
    Varies(String),
}

impl PathPattern {
    /// Reads one.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn new(pattern: &str) -> Result<Self, String> {
        let Some(path) = pattern.strip_prefix('/') else {
            return Err("a path begins with `/`, such as `/users/{id}/orders`".to_owned());
        };
        if path.contains(['?', '#']) {
            return Err("a path ends before `?` and `#`; parameters are left out with `ignore-query`".to_owned());
        }
        let segments = path.split('/').map(segment).collect::<Result<Vec<_>, _>>()?;
        if !segments.iter().any(|segment| matches!(segment, Segment::Varies(_))) {
            return Err("no segment varies: put braces in the place of one, as in `/users/{id}/orders`".to_owned());
        }
        Ok(PathPattern(segments))
    }

    /// Whether a path in normal form is one of these.
    pub(super) fn matches(&self, path: &str) -> bool {
        let mut segments = path.strip_prefix('/').unwrap_or(path).split('/');
        let fits = |segment: &Segment| match (segment, segments.next()) {
            (Segment::Varies(_), Some(_)) => true,
            (Segment::Fixed(fixed), Some(segment)) => fixed == segment,
            (_, None) => false,
        };
        self.0.iter().all(fits) && segments.next().is_none()
    }

    /// Whether the segment at this place, from 0, may be anything.
    pub(super) fn varies(&self, place: usize) -> bool {
        matches!(self.0.get(place), Some(Segment::Varies(_)))
    }

    /// Which segment, from 0, has this name in its braces.
    #[must_use]
    pub fn place_of(&self, name: &str) -> Option<usize> {
        self.0.iter().position(|segment| matches!(segment, Segment::Varies(other) if other == name))
    }
}

fn segment(text: &str) -> Result<Segment, String> {
    match text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
        Some(name) if !name.contains(['{', '}']) => return Ok(Segment::Varies(name.to_owned())),
        None if !text.contains(['{', '}']) => {}
        _ => return Err(format!("`{text}`: braces stand for a whole segment, as in `/users/{{id}}/orders`")),
    }
    // As browsers spell it: percent-encoded where it must be.
    let url = NormalUrl::parse(&format!("http://h/{text}"));
    let spelt = url.ok().and_then(|url| url.parts().path.strip_prefix('/').map(str::to_owned));
    match spelt {
        Some(spelt) if !matches!(text, "." | "..") => Ok(Segment::Fixed(spelt)),
        _ => Err(format!("`{text}` is no segment of a path")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_in_braces_vary_and_the_others_are_compared_as_browsers_spell_them() {
        let path = PathPattern::new("/users/{id}/ä b").unwrap();
        assert!(path.matches("/users/7/%C3%A4%20b"));
        assert!(path.matches("/users//%C3%A4%20b"));
        for other in ["/users/7", "/users/7/x", "/users/7/8/%C3%A4%20b", "/users/7/%C3%A4%20b/", "/Users/7/%C3%A4%20b"]
        {
            assert!(!path.matches(other), "{other}");
        }
        assert!(path.varies(1) && !path.varies(0) && !path.varies(9));
    }

    #[test]
    fn what_is_no_such_path_says_why() {
        for (bad, why) in [
            ("users/{id}", "begins with `/`"),
            ("/users/7", "no segment varies"),
            ("/users/v{id}", "whole segment"),
            ("/users/{a}{b}", "whole segment"),
            ("/users/{id", "whole segment"),
            ("/users/{id}?x=1", "ignore-query"),
            ("/users/../{id}", "no segment"),
        ] {
            let error = PathPattern::new(bad).unwrap_err();
            assert!(error.contains(why), "{bad}: {error}");
        }
    }
}
