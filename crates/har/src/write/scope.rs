//! The recorded scope of a fixture (`log._harproxy.scope`).

/// The union of the globs of two recordings. An exclusion stays only if both have it. A list without a positive glob means `**`.
#[must_use]
pub fn union(old: &[String], new: &[String]) -> Vec<String> {
    let (old, new) = (explicit(old), explicit(new));
    let positive = old.iter().chain(&new).filter(|glob| !glob.starts_with('!'));
    let excluded = old.iter().filter(|glob| glob.starts_with('!') && new.contains(glob));
    let mut union: Vec<String> = Vec::new();
    for glob in positive.chain(excluded) {
        if !union.contains(glob) {
            union.push(glob.clone());
        }
    }
    union
}

/// The globs of one recording, with an explicit `**` if there is no positive glob.
#[must_use]
pub fn explicit(globs: &[String]) -> Vec<String> {
    let everything = globs.iter().all(|glob| glob.starts_with('!'));
    let everything = everything.then(|| "**".to_owned());
    everything.into_iter().chain(globs.iter().cloned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn globs(list: &str) -> Vec<String> {
        list.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn explicit_adds_everything_without_a_positive_glob() {
        assert_eq!(explicit(&[]), globs("**"));
        assert_eq!(explicit(&globs("!**/health")), globs("** !**/health"));
        assert_eq!(explicit(&globs("https://a/**")), globs("https://a/**"));
    }

    #[test]
    fn union_adds_globs_and_keeps_common_exclusions() {
        let union = |old, new| union(&globs(old), &globs(new)).join(" ");
        assert_eq!(union("a/** b/**", "b/** c/**"), "a/** b/** c/**");
        assert_eq!(union("a/** !x !y", "b/** !y !z"), "a/** b/** !y");
        assert_eq!(union("a/**", ""), "a/** **");
        assert_eq!(union("** !x", "!x"), "** !x");
    }
}
