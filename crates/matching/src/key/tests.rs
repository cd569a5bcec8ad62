use super::*;
use harproxy_glob::Globs;

fn form(ignore: &[&str], same: &[(&str, &str)]) -> Result<KeyForm, Error> {
    let ignore_query = ignore.iter().map(|s| (*s).to_owned()).collect();
    let same_host = same.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
    KeyForm::new(&Options { ignore_query, same_host, ..Options::default() })
}

fn ruled(rules: impl IntoIterator<Item = MatchRule>) -> KeyForm {
    KeyForm::new(&Options { rules: rules.into_iter().collect(), ..Options::default() }).unwrap()
}

fn rule(glob: &str) -> MatchRule {
    MatchRule { glob: Globs::new([glob]).unwrap(), ..MatchRule::default() }
}

fn same(glob: &str, hosts: &[&str]) -> MatchRule {
    let same_host = hosts.iter().map(|host| OriginPattern::new(host).unwrap()).collect();
    MatchRule { same_host, ..rule(glob) }
}

fn path(glob: &str, paths: &[&str]) -> MatchRule {
    MatchRule { paths: paths.iter().map(|path| PathPattern::new(path).unwrap()).collect(), ..rule(glob) }
}

fn ignoring(glob: &str, names: &[&str]) -> MatchRule {
    MatchRule { ignore_query: names.iter().map(|name| (*name).to_owned()).collect(), ..rule(glob) }
}

#[test]
fn key_has_no_ignored_parameters_and_is_otherwise_unchanged() {
    let form = form(&["ts", "a b"], &[]).unwrap();
    assert_eq!(form.key("http://h/s?x=1&ts=2&x=%20"), "http://h/s?x=1&x=%20");
    assert_eq!(form.key("http://h/s?ts=2"), form.key("http://h/s"));
    assert_eq!(form.key("http://h/s?a+b=1&c"), form.key("http://h/s?c&a%20b"));
    assert_eq!(form.key("http://h/s?"), "http://h/s?");
    assert_ne!(form.key("http://h/s?TS=2"), form.key("http://h/s"));
}

#[test]
fn equal_origins_have_one_key() {
    let form =
        form(&[], &[("https://a.test", "http://localhost:*"), ("http://b.test:81", "https://A.test:443")]).unwrap();
    let key = form.key("https://a.test/x");
    assert_eq!(key, form.key("http://localhost:3000/x"));
    assert_eq!(key, form.key("http://localhost/x"));
    assert_eq!(key, form.key("http://b.test:81/x"));
    assert_ne!(key, form.key("http://b.test/x"));
    assert_ne!(key, form.key("http://localhost.evil.test/x"));
    assert_ne!(key, form.key("https://a.test/y"));
}

#[test]
fn invalid_origin_is_refused() {
    for bad in ["localhost", "https://h/x", "https://h?x", "ftp://h", "http://h:1:*", "https://*.h.test"] {
        assert!(form(&[], &[(bad, "https://a.test")]).is_err(), "{bad}");
    }
}

#[test]
fn variable_segment_applies_only_to_urls_of_its_glob() {
    let form = ruled([path("https://a.test/**", &["/users/{id}/orders"])]);
    assert_eq!(form.key("https://a.test/users/7/orders?x"), form.key("https://a.test/users/8/orders?x"));
    assert_ne!(form.key("https://a.test/users/7/orders?x"), form.key("https://a.test/users/8/orders?y"));
    assert_ne!(form.key("https://a.test/users/7"), form.key("https://a.test/users/8"));
    assert_ne!(form.key("https://b.test/users/7/orders"), form.key("https://b.test/users/8/orders"));
    assert_eq!(form.key("https://b.test/users/7/orders"), "https://b.test/users/7/orders");
}

#[test]
fn lists_of_several_rules_are_joined() {
    let form = ruled([
        ignoring("**", &["ts"]),
        ignoring("**/search*", &["page"]),
        path("**", &["/{tenant}/search"]),
        path("https://a.test/**", &["/{tenant}/x/{what}"]),
    ]);
    assert_eq!(form.key("https://a.test/acme/x/7"), form.key("https://a.test/other/x/8"));
    assert_eq!(form.key("https://a.test/acme/search?ts=1&page=2"), form.key("https://a.test/other/search"));
    assert_eq!(form.key("https://b.test/x?ts=1"), form.key("https://b.test/x"));
    assert_ne!(form.key("https://b.test/x?page=1"), form.key("https://b.test/x"));
}

#[test]
fn origin_of_a_rule_equals_that_of_its_glob_for_urls_of_the_glob() {
    let form = ruled([same("https://api.test/v1/**", &["https://staging.test", "http://localhost:*"])]);
    let key = form.key("https://api.test/v1/x?q");
    assert_eq!(key, form.key("https://staging.test/v1/x?q"));
    assert_eq!(key, form.key("http://localhost:3000/v1/x?q"));
    assert_ne!(form.key("https://api.test/v2/x"), form.key("https://staging.test/v2/x"));
    assert_ne!(key, form.key("https://other.test/v1/x?q"));
}

#[test]
fn origins_of_a_rule_are_equal_when_its_glob_names_none() {
    let form = ruled([same("**/api/**", &["https://a.test", "http://127.0.0.1:*"])]);
    assert_eq!(form.key("https://a.test/api/x"), form.key("http://127.0.0.1:81/api/x"));
    assert_ne!(form.key("https://a.test/api/x"), form.key("https://cdn.test/api/x"));
    assert_ne!(form.key("https://a.test/x"), form.key("http://127.0.0.1:81/x"));
    let any_port = ruled([same("**", &["http://127.0.0.1:*"])]);
    assert_eq!(any_port.key("http://127.0.0.1:1/x"), any_port.key("http://127.0.0.1:2/x"));
    assert_ne!(any_port.key("http://127.0.0.1:1/x"), any_port.key("https://a.test/x"));
}

#[test]
fn single_origin_of_a_rule_equals_any_origin_of_the_glob() {
    let form = ruled([same("**/api/**", &["https://staging.test"])]);
    assert_eq!(form.key("https://staging.test/api/x"), form.key("http://anywhere.test:81/api/x"));
    assert_ne!(form.key("https://staging.test/x"), form.key("http://anywhere.test:81/x"));
}

#[test]
fn rules_for_an_origin_apply_to_equal_origins() {
    let form =
        ruled([same("https://api.test/**", &["https://staging.test"]), ignoring("https://api.test/s*", &["ts"])]);
    assert_eq!(form.key("https://api.test/s"), form.key("https://staging.test/s?ts=1"));
}

proptest::proptest! {
    #[test]
    fn paths_have_one_key_when_only_variable_segments_differ(
        a in "(/[ab]){1,4}", b in "(/[ab]){1,4}", pattern in "(/([ab]|\\{x\\})){1,4}",
    ) {
        proptest::prop_assume!(pattern.contains('{'));
        let form = ruled([path("**", &[&pattern])]);
        let fits = |url: &str| PathPattern::new(&pattern).unwrap().matches(url);
        let one = a == b || (fits(&a) && fits(&b));
        let [key_a, key_b] = [&a, &b].map(|path| form.key(&format!("http://h{path}")).into_owned());
        proptest::prop_assert_eq!(key_a == key_b, one);
    }

    #[test]
    fn key_does_not_depend_on_the_order_of_rules(url in "https://[ab]\\.test(/[ab]){1,3}\\?[xy]=1&[xy]=2") {
        let rules = || [
            path("**", &["/a/{x}"]),
            path("https://a.test/**", &["/{y}/a"]),
            ignoring("**/a*", &["x"]),
            ignoring("https://b.test/**", &["y"]),
        ];
        let reversed = ruled(rules().into_iter().rev());
        proptest::prop_assert_eq!(ruled(rules()).key(&url), reversed.key(&url));
    }
}
