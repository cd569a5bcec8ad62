//! `state`: collections that requests change: POST adds, GET reads, PUT and PATCH change, DELETE removes.

use std::collections::HashMap;
use std::sync::Mutex;

use ::http::{Method, StatusCode};
use indexmap::IndexMap;
use serde_json::{Map, Value, json};

use super::facts::RequestFacts;
use super::template::new_uuid;
use harproxy_matching::PathPattern;
use harproxy_support::sync::lock;

/// The greatest number of items of a collection.
const MAX_ITEMS: usize = 10_000;
/// The greatest number of collections of all sessions together.
const MAX_COLLECTIONS: usize = 10_000;

/// A collection of a rule.
#[derive(Clone, Debug)]
pub struct StateRule {
    pub collection: String,
    /// The member with the id: `id` for `$.id`.
    pub id: String,
    /// The path of an item: `/orders/{id}`.
    pub path: PathPattern,
    /// The path of the collection: `/orders`.
    pub collection_path: String,
}

impl StateRule {
    /// Returns true for the path of the collection, and for that of an item.
    #[must_use]
    pub fn covers(&self, request: &RequestFacts) -> bool {
        self.item_id(request).is_some() || request.url.parts().path.trim_end_matches('/') == self.collection_path
    }

    /// Returns the id in the path of an item.
    fn item_id(&self, request: &RequestFacts) -> Option<String> {
        request.path_values(&self.path).pop().map(|(_, id)| id).filter(|id| !id.is_empty())
    }
}

/// An answer of a collection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateAnswer {
    pub status: StatusCode,
    /// The payload; of an error, the sentence for the client.
    pub payload: Option<Value>,
    /// The id of a new item.
    pub created: Option<String>,
}

/// The recorded content of a collection.
#[derive(Clone, Debug, Default)]
pub struct Seed {
    pub items: Vec<Value>,
    /// The object around the list, and the member with the list: `{"data":[…],"total":1}` and `data`.
    pub around: Option<(Map<String, Value>, String)>,
}

impl Seed {
    /// Returns the content of a recorded list. In an object it is the first list of items with the member `id`, or
    /// the first list.
    #[must_use]
    pub fn of_list(list: Value, id: &str) -> Self {
        match list {
            Value::Array(items) => Seed { items, around: None },
            Value::Object(members) => {
                let lists =
                    || members.iter().filter_map(|(name, value)| Some((name.clone(), value.as_array()?.clone())));
                let has_items = |(_, items): &(String, Vec<Value>)| items.iter().any(|item| id_of(item, id).is_some());
                match lists().find(has_items).or_else(|| lists().next()) {
                    Some((name, items)) => Seed { items, around: Some((members, name)) },
                    None => Seed::default(),
                }
            }
            _ => Seed::default(),
        }
    }
}

#[derive(Debug, Default)]
struct Collection {
    items: IndexMap<String, Value>,
    /// The greatest number that was an id.
    greatest: u64,
    around: Option<(Map<String, Value>, String)>,
}

impl Collection {
    fn new(seed: Seed, rule: &StateRule) -> Self {
        let mut items = IndexMap::new();
        // An item of the list comes before the same one of an answer of its own.
        for item in seed.items {
            if let Some(id) = id_of(&item, &rule.id) {
                items.entry(id).or_insert(item);
            }
        }
        let greatest = items.values().filter_map(|item| item.get(&rule.id)?.as_u64()).max().unwrap_or_default();
        Collection { items, greatest, around: seed.around }
    }

    fn list(&self) -> Value {
        let items: Value = self.items.values().cloned().collect();
        match &self.around {
            None => items,
            Some((members, name)) => {
                let mut members = members.clone();
                members.insert(name.clone(), items);
                Value::Object(members)
            }
        }
    }
}

/// The collections of all sessions.
#[derive(Debug, Default)]
pub struct StateStore(Mutex<HashMap<(Option<String>, String), Collection>>);

impl StateStore {
    /// Answers a request to a collection. `seed` returns the items of a new session. `None` for a path that is neither
    /// the collection's nor that of an item.
    pub fn answer(&self, rule: &StateRule, request: &RequestFacts, seed: impl FnOnce() -> Seed) -> Option<StateAnswer> {
        if !rule.covers(request) {
            return None;
        }
        let id = rule.item_id(request);
        let mut store = lock(&self.0);
        let key = (request.session.clone(), rule.collection.clone());
        if store.len() >= MAX_COLLECTIONS && !store.contains_key(&key) {
            return Some(error(StatusCode::INSUFFICIENT_STORAGE, "too many sessions have collections: reset them"));
        }
        let collection = store.entry(key).or_insert_with(|| Collection::new(seed(), rule));
        Some(match id {
            None => on_collection(collection, rule, request),
            Some(id) => on_item(&mut collection.items, &id, rule, request),
        })
    }

    /// Removes the collections of some sessions: the next request seeds them again.
    pub fn reset(&self, is_reset: impl Fn(Option<&str>) -> bool) {
        lock(&self.0).retain(|(session, _), _| !is_reset(session.as_deref()));
    }
}

fn id_of(item: &Value, member: &str) -> Option<String> {
    match item.get(member)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn answer(status: StatusCode, payload: Option<Value>) -> StateAnswer {
    StateAnswer { status, payload, created: None }
}

fn error(status: StatusCode, detail: &str) -> StateAnswer {
    answer(status, Some(detail.into()))
}

fn on_collection(collection: &mut Collection, rule: &StateRule, request: &RequestFacts) -> StateAnswer {
    if matches!(request.method, Method::GET | Method::HEAD) {
        return answer(StatusCode::OK, Some(collection.list()));
    }
    let Collection { items, greatest, .. } = collection;
    match request.method {
        Method::POST => {
            let Some(Value::Object(mut item)) = request.json().cloned() else {
                return error(StatusCode::BAD_REQUEST, "the payload is not a JSON object");
            };
            if items.len() >= MAX_ITEMS {
                return error(StatusCode::INSUFFICIENT_STORAGE, "the collection is full");
            }
            let given = id_of(&Value::Object(item.clone()), &rule.id);
            let (id, value) = match given {
                Some(id) if items.contains_key(&id) => {
                    return error(StatusCode::CONFLICT, "the collection has an item with this id");
                }
                Some(id) => (id, None),
                None if item.get(&rule.id).is_some_and(|id| !id.is_null()) => {
                    return error(StatusCode::BAD_REQUEST, "the id of the item is neither a string nor a number");
                }
                None => next_id(items, *greatest, &rule.id),
            };
            if let Some(value) = value {
                let rest = std::mem::take(&mut item);
                item.insert(rule.id.clone(), value);
                item.extend(rest.into_iter().filter(|(name, _)| *name != rule.id));
            }
            *greatest = item.get(&rule.id).and_then(Value::as_u64).map_or(*greatest, |id| id.max(*greatest));
            items.insert(id.clone(), Value::Object(item.clone()));
            StateAnswer { created: Some(id), ..answer(StatusCode::CREATED, Some(Value::Object(item))) }
        }
        Method::DELETE => {
            items.clear();
            answer(StatusCode::NO_CONTENT, None)
        }
        _ => error(StatusCode::METHOD_NOT_ALLOWED, "a collection has GET, POST and DELETE"),
    }
}

/// Returns the next number if all ids are numbers and there is one, else a UUID. The id of a removed item is not used
/// again.
fn next_id(items: &IndexMap<String, Value>, greatest: u64, member: &str) -> (String, Option<Value>) {
    let are_numbers = items.values().all(|item| item.get(member).is_some_and(Value::is_u64));
    match greatest.checked_add(1).filter(|_| are_numbers) {
        Some(next) => (next.to_string(), Some(json!(next))),
        None => {
            let id = new_uuid();
            (id.clone(), Some(Value::from(id)))
        }
    }
}

fn on_item(items: &mut IndexMap<String, Value>, id: &str, rule: &StateRule, request: &RequestFacts) -> StateAnswer {
    let Some(item) = items.get_mut(id) else {
        return error(StatusCode::NOT_FOUND, "the collection has no item with this id");
    };
    match request.method {
        Method::GET | Method::HEAD => answer(StatusCode::OK, Some(item.clone())),
        Method::DELETE => {
            items.shift_remove(id);
            answer(StatusCode::NO_CONTENT, None)
        }
        Method::PUT | Method::PATCH => {
            let Some(Value::Object(new)) = request.json().cloned() else {
                return error(StatusCode::BAD_REQUEST, "the payload is not a JSON object");
            };
            let id = item.get(&rule.id).cloned().unwrap_or_default();
            let mut members = match item.as_object() {
                Some(old) if request.method == Method::PATCH => old.clone(),
                _ => Map::from_iter([(rule.id.clone(), id.clone())]),
            };
            match request.method {
                Method::PATCH => merge(&mut members, new),
                _ => members.extend(new),
            }
            // The id is that of the URL.
            members.insert(rule.id.clone(), id);
            *item = Value::Object(members);
            answer(StatusCode::OK, Some(item.clone()))
        }
        _ => error(StatusCode::METHOD_NOT_ALLOWED, "an item has GET, PUT, PATCH and DELETE"),
    }
}

/// Merges members (RFC 7396): null removes one.
fn merge(members: &mut Map<String, Value>, new: Map<String, Value>) {
    for (name, value) in new {
        match (value, members.get_mut(&name)) {
            (Value::Null, _) => drop(members.shift_remove(&name)),
            (Value::Object(new), Some(Value::Object(old))) => merge(old, new),
            (value, _) => drop(members.insert(name, value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use harproxy_http::NormalUrl;

    fn rule() -> StateRule {
        StateRule {
            collection: "orders".into(),
            id: "id".into(),
            path: PathPattern::new("/orders/{id}").unwrap(),
            collection_path: "/orders".into(),
        }
    }

    fn ask(
        store: &StateStore,
        session: Option<&str>,
        method: &str,
        path: &str,
        body: &'static str,
    ) -> Option<(u16, Value)> {
        let url = NormalUrl::parse(&format!("https://a.test{path}")).unwrap();
        let (method, session) = (method.parse().unwrap(), session.map(str::to_owned));
        let request = RequestFacts::new(method, url, Default::default(), Bytes::from_static(body.as_bytes()), session);
        let seed = || Seed::of_list(json!([{ "id": 1, "item": "tea" }]), "id");
        let answer = store.answer(&rule(), &request, seed)?;
        Some((answer.status.as_u16(), answer.payload.unwrap_or_default()))
    }

    #[test]
    fn items_are_added_read_changed_and_removed() {
        let store = StateStore::default();
        let ask = |method, path, body| ask(&store, None, method, path, body).unwrap();
        assert_eq!(ask("GET", "/orders", ""), (200, json!([{ "id": 1, "item": "tea" }])));
        assert_eq!(ask("POST", "/orders", r#"{"item":"cake"}"#), (201, json!({ "id": 2, "item": "cake" })));
        assert_eq!(ask("GET", "/orders/2", ""), (200, json!({ "id": 2, "item": "cake" })));
        assert_eq!(ask("PATCH", "/orders/2", r#"{"n":3}"#), (200, json!({ "id": 2, "item": "cake", "n": 3 })));
        assert_eq!(ask("PUT", "/orders/2", r#"{"id":9,"item":"pie"}"#), (200, json!({ "id": 2, "item": "pie" })));
        let cleared = json!({ "id": 2, "item": null });
        assert_eq!(ask("PUT", "/orders/2", r#"{"item":null}"#), (200, cleared), "a null of PUT is a value");
        assert_eq!(ask("PATCH", "/orders/2", r#"{"item":null}"#), (200, json!({ "id": 2 })));
        assert_eq!(ask("DELETE", "/orders/2", ""), (204, Value::Null));
        assert_eq!(ask("GET", "/orders/2", "").0, 404);
        assert_eq!(ask("POST", "/orders", r#"{"id":1}"#).0, 409);
        assert_eq!(ask("POST", "/orders", "[]").0, 400);
        assert_eq!(ask("POST", "/orders", r#"{"id":{}}"#).0, 400);
        assert_eq!(ask("GET", "/orders/", "").1, json!([{ "id": 1, "item": "tea" }]));
        assert_eq!(
            ask("POST", "/orders", "{}"),
            (201, json!({ "id": 3 })),
            "the id of a removed item is not used again"
        );
        assert_eq!(ask("PUT", "/orders", "{}").0, 405);
    }

    #[test]
    fn list_keeps_the_object_around_it() {
        let seed = Seed::of_list(json!({ "errors": [], "total": 1, "data": [{ "id": 1 }] }), "id");
        let mut collection = Collection::new(seed, &rule());
        collection.items.insert("2".into(), json!({ "id": 2 }));
        assert_eq!(collection.list(), json!({ "errors": [], "total": 1, "data": [{ "id": 1 }, { "id": 2 }] }));
        assert_eq!(Collection::new(Seed::of_list(json!("x"), "id"), &rule()).list(), json!([]));
    }

    #[test]
    fn sessions_are_independent_and_can_be_reset() {
        let store = StateStore::default();
        ask(&store, Some("a"), "POST", "/orders", "{}").unwrap();
        assert_eq!(ask(&store, Some("b"), "GET", "/orders/2", "").unwrap().0, 404);
        assert_eq!(ask(&store, Some("a"), "GET", "/orders/2", "").unwrap().0, 200);
        store.reset(|session| session == Some("b"));
        assert_eq!(ask(&store, Some("a"), "GET", "/orders/2", "").unwrap().0, 200);
        store.reset(|session| session == Some("a"));
        assert_eq!(ask(&store, Some("a"), "GET", "/orders/2", "").unwrap().0, 404);
        assert_eq!(ask(&store, None, "GET", "/elsewhere", ""), None);
    }
}
