//! The scope that a fixture says it was recorded with.

/// The union of the globs of two recordings; an exclusion stays only if both had it. A list without a plain glob means
/// everything, `**`.
#[must_use]
pub fn union(old: &[String], new: &[String]) -> Vec<String> {
    let (old, new) = (explicit(old), explicit(new));
    let plain = old.iter().chain(&new).filter(|glob| !glob.starts_with('!'));
    let excluded = old.iter().filter(|glob| glob.starts_with('!') && new.contains(glob));
    let mut union: Vec<String> = Vec::new();
    for glob in plain.chain(excluded) {
        if !union.contains(glob) {
            union.push(glob.clone());
        }
    }
    union
}

/// What a single recording's globs say, `**` spelt out.
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
    fn none_given_is_everything() {
        assert_eq!(explicit(&[]), globs("**"));
        assert_eq!(explicit(&globs("!**/health")), globs("** !**/health"));
        assert_eq!(explicit(&globs("https://a/**")), globs("https://a/**"));
    }

    #[test]
    fn plain_globs_add_up_and_exclusions_have_to_agree() {
        let union = |old, new| union(&globs(old), &globs(new)).join(" ");
        assert_eq!(union("a/** b/**", "b/** c/**"), "a/** b/** c/**");
        assert_eq!(union("a/** !x !y", "b/** !y !z"), "a/** b/** !y");
        assert_eq!(union("a/**", ""), "a/** **");
        assert_eq!(union("** !x", "!x"), "** !x");
    }
}
