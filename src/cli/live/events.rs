//! The run as events: one JSON object a line, as `docs/reference/events.md` has them.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::Teller;
use crate::cli::event::Event;
use crate::cli::ui::{json_line, write_line};
use crate::verdict::Finding;
use crate::verdict::request::{RequestRow, ResultKind};
use harproxy_proxy::Origin;

/// Tells each thing as an object.
pub(super) struct Events;

impl Teller for Events {
    fn going(&mut self, seen: &RequestRow) {
        tell(Event::Answered, request(seen));
    }

    fn ended(&mut self, seen: &RequestRow) {
        tell(if seen.outcome == ResultKind::Tunnel { Event::Tunnel } else { Event::Request }, request(seen));
    }

    fn tls_refused(&mut self, to: &Origin, reason: &str) {
        tell(Event::TlsRefused, members(&json!({ "host": &*to.host, "port": to.port, "reason": reason })));
    }

    fn found(&mut self, finding: &Finding) {
        tell(Event::Finding, members(finding));
    }

    fn lost(&mut self, number: u64) {
        tell(Event::Dropped, members(&json!({ "number": number })));
    }
}

fn tell(event: Event, members: Map<String, Value>) {
    write_line(&json_line(event, members));
}

/// A request as in the report, and why it was refused.
fn request(seen: &RequestRow) -> Map<String, Value> {
    let mut members = members(seen);
    let why = [("explanation", &seen.explanation), ("remedy", &seen.hint)];
    members.extend(why.into_iter().filter_map(|(name, text)| Some((name.to_owned(), text.clone()?.into()))));
    members
}

fn members(of: &impl Serialize) -> Map<String, Value> {
    // Plain data with string keys: there is nothing in it that JSON can't say.
    match serde_json::to_value(of) {
        Ok(Value::Object(members)) => members,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_has_the_members_of_the_report_and_why_it_was_refused() {
        let seen =
            RequestRow { id: 3, url: "https://api.test/".into(), outcome: ResultKind::Miss, ..RequestRow::default() };
        let plain = request(&seen);
        assert_eq!(Value::Object(plain.clone()), serde_json::to_value(&seen).unwrap());
        let refused = request(&RequestRow { explanation: Some("no entry".into()), hint: None, ..seen });
        assert_eq!(refused["explanation"], "no entry");
        assert_eq!(refused.len(), plain.len() + 1);
    }
}
