//! Recordings that are cut, unknown or hostile: named with file and line, and the rest is imported.

use super::corpus::sandbox_cassette;
use super::{HAR, corpus, entries, import, lost};
use crate::support::sandbox::Sandbox;

#[test]
fn rest_of_a_cut_cassette_is_imported() {
    let text = std::fs::read_to_string(corpus("vcr/recorded.yml")).unwrap();
    let sandbox = Sandbox::new();
    let second = text.match_indices("- request:").nth(2).unwrap().0;
    sandbox.write("cut.yml", format!("{}  response: \"x", &text[..second + 40]));
    let (object, _) = import(&sandbox, &["cut.yml"], 1);
    let [(line, said)] = lost(&object)[..] else { panic!("{object}") };
    assert!(
        line > 40 && said.contains("not valid YAML") && said.contains("the rest of the file is left out"),
        "{object}"
    );
    assert_eq!(entries(&sandbox).len(), 2);

    let json = std::fs::read_to_string(corpus("betamax/replay_multiple_times.json")).unwrap();
    let cut = json.match_indices("\"recorded_at\"").nth(1).unwrap().0;
    sandbox.write("cut.json", &json[..cut]);
    let (object, _) = import(&sandbox, &["cut.json", "--force"], 1);
    assert!(lost(&object)[0].1.contains("not valid JSON"), "{object}");
    assert_eq!(entries(&sandbox).len(), 1);

    let dump = std::fs::read(corpus("mitmproxy/successful_log.mitm")).unwrap();
    std::fs::write(sandbox.join("cut.mitm"), &dump[..dump.len() - 100]).unwrap();
    let (object, _) = import(&sandbox, &["cut.mitm", "--force"], 1);
    assert!(lost(&object)[0].1.starts_with("flow 2 is cut off or damaged"), "{object}");
    assert_eq!(entries(&sandbox).len(), 1);
}

#[test]
fn interactions_that_cannot_be_read_are_named_with_their_lines() {
    let sandbox = Sandbox::new();
    let one = |method: &str, url: &str, body: &str| {
        format!(
            "- request: {{method: {method}, uri: '{url}', body: null}}\n  response:\n    status: {{code: 200, message: OK}}\n    body: {body}\n"
        )
    };
    let text = [
        "interactions:\n".to_owned(),
        one("GET", "https://api.test/a", "{string: ok}"),
        one("GET", "/relative", "{string: ok}"),
        one("GET", "https://api.test/b", "{base64_string: '!'}"),
        one("GET", "https://api.test/c", "{string: {a: 1}}"),
        "- request: {method: GET}\n".to_owned(),
        one("GET", "https://api.test/d", "&x {string: shared}"),
        one("GET", "https://api.test/e", "*x"),
        one("GET", "https://api.test/f", "{string: !!binary aGVsbG8=}"),
        one("GET", "https://api.test/<%= id %>", "{string: ok}"),
        "version: 1\n".to_owned(),
    ];
    sandbox.write("odd.yaml", text.concat());
    let (object, _) = import(&sandbox, &["odd.yaml"], 1);
    let lost = lost(&object);
    let lines: Vec<u64> = lost.iter().map(|(line, _)| *line).collect();
    assert_eq!(lines, [6, 13, 17, 18, 31], "{object}");
    assert!(lost[0].1.contains("left out") && lost[1].1.contains("base64") && lost[4].1.contains("ERB"), "{object}");
    let bodies: Vec<String> = entries(&sandbox)
        .iter()
        .map(|entry| sandbox.read(&format!("hars/{}", entry["response"]["content"]["_file"].as_str().unwrap())))
        .collect();
    assert_eq!(bodies[1..4], ["shared", "shared", "hello"]);
}

#[test]
fn files_in_no_known_format_are_errors() {
    let sandbox = Sandbox::new();
    for (name, text) in
        [("a.json", "{}"), ("a.yaml", "a: b\n"), ("a.txt", "hello"), ("a.har", "{\"log\": {}}"), ("empty.yaml", "")]
    {
        sandbox.write(name, text);
        sandbox
            .run(["import", name])
            .expect(2)
            .says("no file in a format that can be imported: vcr, wiremock")
            .says("--format");
    }
    std::fs::create_dir(sandbox.join("folder")).unwrap();
    sandbox.run(["import", "folder"]).expect(2).says("no file in a format");
    sandbox.run(["import", "missing.yaml"]).expect(2).says("missing.yaml");
    sandbox.write("c.yaml", sandbox_cassette("https://api.test/"));
    sandbox.run(["import", "c.yaml", "--format", "postman"]).expect(2).says("no file in a format");
    sandbox.run(["import", "c.yaml", "--format", "vhs"]).expect(2).says("vcr");
    assert!(!sandbox.join("hars").exists());
}

#[test]
fn damaged_file_without_a_recognised_format_is_named() {
    let sandbox = Sandbox::new();
    sandbox.write("folder/good.yaml", sandbox_cassette("https://api.test/"));
    sandbox.write("folder/cut.json", "{\"request\": {\"method\": \"GET\",\n \"url\":");
    sandbox.write("folder/other.json", "{}");
    let (object, _) = import(&sandbox, &["folder"], 1);
    assert_eq!((&object["entries"], object["skipped"].as_array().unwrap().len()), (&1.into(), 1));
    let lost = lost(&object);
    assert_eq!(lost.len(), 1, "{object}");
    assert_eq!(object["lost"][0]["file"], "folder/cut.json");
    assert!(lost[0].1.contains("not valid JSON") && lost[0].1.ends_with("the file is left out"), "{object}");
    sandbox
        .run(["import", "folder", "--force"])
        .expect(1)
        .says("folder/cut.json:2: ")
        .says("1 file is in no known format (`--json` lists them)");
}

#[test]
fn existing_fixture_is_replaced_by_force_alone() {
    let sandbox = Sandbox::new();
    sandbox.write("c.yaml", sandbox_cassette("https://api.test/"));
    sandbox.run(["import", "c.yaml", "--dry-run"]).expect(0).says("hars/imported.har: would have 1 entry from 1 file");
    assert!(!sandbox.join(HAR).exists());
    sandbox
        .run(["import", "c.yaml"])
        .expect(0)
        .says("git add hars/imported.har")
        .says("harproxy replay hars/imported.har -- CMD");
    let before = sandbox.read(HAR);
    sandbox.run(["import", "c.yaml"]).expect(2).says("hars/imported.har exists").says("--force");
    sandbox.run(["import", "c.yaml", "--force"]).expect(0);
    assert_eq!(sandbox.read(HAR), before, "the same recording gives the same bytes");
    sandbox.run(["import", "c.yaml", "-o", "hars/packed.zip"]).expect(0).says("hars/packed.zip: 1 entry");
    sandbox.run(["check", "hars/packed.zip"]).expect(0);
}

#[test]
fn hostile_documents_end_with_an_error() {
    let sandbox = Sandbox::new();
    let laughs: String = (1..40).map(|n| format!("a{n}: &a{n} [*a{p}, *a{p}, *a{p}]\n", p = n - 1)).collect();
    sandbox.write("laughs.yaml", format!("a0: &a0 x\n{laughs}{}", sandbox_cassette("https://api.test/")));
    import(&sandbox, &["laughs.yaml"], 0);
    sandbox.write("deep.json", "[".repeat(1_000_000));
    sandbox.run(["import", "deep.json"]).expect(2);
    let folders = "{\"name\": \"f\", \"item\": [".repeat(50);
    let text = format!(
        "{{\"info\": {{\"schema\": \"https://x/collection/v2.1.0/\"}}, \"item\": [{folders}{}]}}",
        "]}".repeat(50)
    );
    sandbox.write("folders.json", text);
    import(&sandbox, &["folders.json", "--force"], 0);
}
