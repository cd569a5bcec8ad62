//! Options that ignore a part of requests: correct requests keep their own answers, and a guess fails the run.

use crate::support::origin::{Origin, OriginResponse};
use crate::support::sandbox::Sandbox;

/// Records pages 1 to 3 of `/api/list`, whose responses differ.
fn recorded() -> Sandbox {
    let origin = Origin::answering(|request| {
        let body = format!("list of {}", request.path).into_bytes();
        Some(OriginResponse { status: 200, body, ..OriginResponse::default() })
    });
    let sandbox = Sandbox::new();
    let record = ["record", "-o", "hars/api.har"].map(str::to_owned).into_iter().chain(origin.args());
    let urls = [1, 2, 3].map(|page| format!("http://api.test/api/list?page={page}"));
    sandbox.run(record.chain(["--", "curl", "-s"].map(str::to_owned)).chain(urls)).expect(0);
    sandbox
}

#[test]
fn ignored_query_parameter_keeps_the_answers_of_recorded_pages() {
    let sandbox = recorded();
    let urls = [2, 1, 3].map(|page| format!("http://api.test/api/list?page={page}"));
    let args = ["replay", "hars/api.har", "--ignore-query", "page", "--", "curl", "-s"].map(str::to_owned);
    let output = sandbox.run(args.into_iter().chain(urls)).expect(0);
    let pages = ["page=2", "page=1", "page=3"].map(|page| format!("list of /api/list?{page}"));
    assert_eq!(output.stdout, pages.concat());
}

#[test]
fn page_that_was_not_recorded_is_a_guess_and_fails_the_run() {
    let sandbox = recorded();
    let url = "http://api.test/api/list?page=99";
    let args = ["replay", "hars/api.har", "--ignore-query", "page", "--", "curl", "-s", url];
    let output = sandbox.run(args).expect(1);
    output.says("ambiguous").says("query parameter `page`").says("record the request");
}
