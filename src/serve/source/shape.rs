//! Changes of an answer: patches, templates, and faults of its payload.

use ::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use ::http::{HeaderMap, Method, Response, StatusCode};
use bytes::Bytes;
use serde::de::IgnoredAny;

use super::{RuledSource, fail, is_network};
use crate::pipeline::Exchange;
use crate::serve::facts::RequestFacts;
use crate::serve::fault::{self, Fault};
use crate::serve::patch::patch_payload;
use crate::serve::rule::RouteRule;
use crate::serve::table::RouteDecision;
use crate::serve::{payload, template};
use crate::source::Answer;
use harproxy_http::MediaType;
use harproxy_http::problem::Problem;
use harproxy_proxy::Body;

/// Headers about the bytes of a payload.
const VALIDATORS: [&str; 6] = ["etag", "last-modified", "content-md5", "digest", "content-digest", "repr-digest"];

/// Returns true if an answer never has a payload (RFC 9110 section 6.4.1).
fn has_no_payload(method: &Method, status: StatusCode) -> bool {
    *method == Method::HEAD || status.is_informational() || matches!(status.as_u16(), 204 | 304)
}

impl RuledSource {
    /// Changes an answer by patches, templates and faults.
    pub(super) async fn shape(
        &self,
        decision: &RouteDecision,
        mut response: Response<Body>,
        exchange: &mut Exchange<'_>,
        facts: &RequestFacts,
    ) -> Answer {
        let patches = decision.patches();
        let template = decision.template().filter(|_| !is_network(exchange.outcome().source));
        let changes: Vec<_> = patches.iter().copied().filter(|patch| patch.changes_payload()).collect();
        if !changes.is_empty() || template.is_some() {
            // They are about the payload as it was.
            VALIDATORS.iter().for_each(|name| drop(response.headers_mut().remove(*name)));
        }
        let was_empty = has_no_payload(&facts.method, response.status());
        patches.iter().for_each(|patch| patch.apply_to_head(&mut response));
        let late = decision.fault.as_ref().filter(|(_, fault)| !fault.answers());
        let rate = decision.rate.as_ref().map(|(_, rate)| *rate);
        if patches.len() > changes.len() {
            exchange.outcome().source = exchange.outcome().source.patched();
        }
        if was_empty && has_no_payload(&facts.method, response.status()) {
            if !changes.is_empty() || template.is_some() {
                response.headers_mut().remove(CONTENT_LENGTH);
                response.headers_mut().remove(CONTENT_ENCODING);
            }
            decision.rules.iter().for_each(|rule| take_back(rule, exchange));
            return Answer::Response(response);
        }
        if !changes.is_empty() || template.is_some() {
            exchange.outcome().source = exchange.outcome().source.patched();
        }
        if let Some((_, Fault::Reset)) = late {
            exchange.outcome().source = exchange.outcome().source.patched();
            return Answer::Response(payload::broken_off_at_once(response));
        }
        if changes.is_empty() && late.is_none() && template.is_none() && rate.is_none() {
            return Answer::Response(response);
        }
        let mut whole = match payload::read(response).await {
            Ok(whole) => whole,
            Err(detail) => {
                return fail(&self.rules, exchange, Problem::new(502, "the answer can't be changed", detail));
            }
        };
        if let Some(rule) = template {
            exchange.outcome().answering_rule = Some(rule.id.clone());
            let is_json = is_json(whole.headers());
            let rendered = match std::str::from_utf8(whole.body()) {
                Ok(text) => template::render(text, is_json, facts, rule.path.as_ref(), &decision.variables),
                Err(_) => Err("the answer is not text in UTF-8".to_owned()),
            };
            match rendered {
                Ok(text) if is_json && serde_json::from_str::<IgnoredAny>(&text).is_err() => {
                    let detail = format!(
                        "rule `{}`: the result is not valid JSON; an object or a list needs no quotes around it",
                        rule.id
                    );
                    return fail(&self.rules, exchange, Problem::new(500, "the template fails", detail));
                }
                Ok(text) => *whole.body_mut() = text.into(),
                Err(reason) => {
                    let detail = format!("rule `{}`: {reason}", rule.id);
                    return fail(&self.rules, exchange, Problem::new(500, "the template fails", detail));
                }
            }
        }
        if !changes.is_empty() {
            match patch_payload(whole.body(), &changes) {
                Ok(patched) => *whole.body_mut() = patched.into(),
                Err(error) => return self.refuse_patch(decision, &error.to_string(), exchange),
            }
        }
        let fault = match late {
            Some((rule, Fault::EmptySet)) => match fault::empty_lists(whole.body()) {
                Some(emptied) => {
                    *whole.body_mut() = emptied.into();
                    Some(&Fault::EmptySet)
                }
                None => {
                    take_back(rule, exchange);
                    None
                }
            },
            late => late.map(|(_, fault)| fault),
        };
        if fault.is_some() {
            exchange.outcome().source = exchange.outcome().source.patched();
        }
        Answer::Response(with_fault(whole, fault, rate))
    }

    /// Answers in place of an answer that the patches of the rules do not fit.
    fn refuse_patch(&self, decision: &RouteDecision, reason: &str, exchange: &mut Exchange<'_>) -> Answer {
        let rules: Vec<_> = decision.rules.iter().filter(|rule| !rule.patch.is_empty()).map(|rule| &*rule.id).collect();
        exchange.outcome().answering_rule = rules.first().map(|rule| (*rule).to_owned());
        let detail = format!("rule `{}`: {reason}", rules.join("`, `"));
        fail(&self.rules, exchange, Problem::new(500, "the patch does not fit the answer", detail))
    }
}

/// Takes back that a rule applied, if it changes payloads alone, and this answer has none that it could change.
fn take_back(rule: &RouteRule, exchange: &mut Exchange<'_>) {
    if rule.is_about_payloads() {
        rule.uncount();
        exchange.outcome().rules.retain(|applied| *applied != rule.id);
    }
}

/// Returns an answer with a fault of its payload.
fn with_fault(mut whole: Response<Bytes>, fault: Option<&Fault>, rate: Option<u64>) -> Response<Body> {
    match fault {
        Some(Fault::Truncate) => {
            let kept = whole.body().len() / 2;
            return payload::broken_off(whole, kept);
        }
        Some(Fault::Slow(rate)) => return payload::at_rate(whole, *rate),
        Some(Fault::MalformedJson) => *whole.body_mut() = fault::malformed_json(whole.body()).into(),
        _ => {}
    }
    match rate {
        Some(rate) => payload::at_rate(whole, rate),
        None => payload::with_payload(whole),
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    MediaType::parse(content_type).is_json()
}
