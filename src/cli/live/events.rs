//! The live list as events: one JSON object per line, documented in `docs/reference/events.md`.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::LiveOutput;
use crate::cli::event::Event;
use crate::cli::ui::{json_line, write_line};
use crate::verdict::Finding;
use crate::verdict::request::{RequestRow, ResultKind};
use harproxy_proxy::Origin;

pub(super) struct Events;

impl LiveOutput for Events {
    fn running(&mut self, seen: &RequestRow) {
        write_event(Event::Answered, request(seen));
    }

    fn ended(&mut self, seen: &RequestRow) {
        write_event(if seen.outcome == ResultKind::Tunnel { Event::Tunnel } else { Event::Request }, request(seen));
    }

    fn tls_refused(&mut self, to: &Origin, reason: &str) {
        write_event(Event::TlsRefused, members(&json!({ "host": &*to.host, "port": to.port, "reason": reason })));
    }

    fn found(&mut self, finding: &Finding) {
        write_event(Event::Finding, members(finding));
    }

    fn lost(&mut self, number: u64) {
        write_event(Event::Dropped, members(&json!({ "number": number })));
    }
}

fn write_event(event: Event, members: Map<String, Value>) {
    write_line(&json_line(event, members));
}

/// Returns a request as in the report, with the reason if it was refused.
fn request(seen: &RequestRow) -> Map<String, Value> {
    let mut members = members(seen);
    let why = [("explanation", &seen.explanation), ("remedy", &seen.hint)];
    members.extend(why.into_iter().filter_map(|(name, text)| Some((name.to_owned(), text.clone()?.into()))));
    members
}

fn members(of: &impl Serialize) -> Map<String, Value> {
    // Plain data with string keys: serialisation cannot fail.
    match serde_json::to_value(of) {
        Ok(Value::Object(members)) => members,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_event_has_the_members_of_the_report_and_the_reason() {
        let seen =
            RequestRow { id: 3, url: "https://api.test/".into(), outcome: ResultKind::Miss, ..RequestRow::default() };
        let plain = request(&seen);
        assert_eq!(Value::Object(plain.clone()), serde_json::to_value(&seen).unwrap());
        let refused = request(&RequestRow { explanation: Some("no entry".into()), hint: None, ..seen });
        assert_eq!(refused["explanation"], "no entry");
        assert_eq!(refused.len(), plain.len() + 1);
    }
}
