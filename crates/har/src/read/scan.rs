//! One pass over the JSON of an entry that collects the members which the index needs.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use harproxy_json::text::unquote_lossy;

/// The members of an entry that the index needs. A member of an unexpected type is ignored and does not end the scan.
#[derive(Clone, Debug, Default)]
pub(crate) struct EntryScan {
    pub(crate) is_object: bool,
    /// True if `request` is an object.
    pub(crate) request: bool,
    /// True if `response` is an object with members.
    pub(crate) response: bool,
    pub(crate) method: Option<String>,
    pub(crate) url: Option<String>,
    pub(crate) status: Option<i32>,
    /// True if `status` is neither a status of HTTP nor a number that stands for none (0, -1, `null`).
    pub(crate) has_invalid_status: bool,
    pub(crate) http2: bool,
    pub(crate) post_data: bool,
    pub(crate) websocket: bool,
}

impl<'de> Deserialize<'de> for EntryScan {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut scanned = EntryScan::default();
        deserializer.deserialize_any(ObjectVisitor { scanned: &mut scanned, kind: ObjectKind::Entry })?;
        Ok(scanned)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ObjectKind {
    Entry,
    Request,
    Response,
}

/// Visits one object of the entry. A value that is not an object is skipped.
struct ObjectVisitor<'a> {
    scanned: &'a mut EntryScan,
    kind: ObjectKind,
}

impl<'de> DeserializeSeed<'de> for ObjectVisitor<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ObjectVisitor<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let ObjectVisitor { scanned, kind } = self;
        match kind {
            ObjectKind::Entry => scanned.is_object = true,
            ObjectKind::Request => scanned.request = true,
            ObjectKind::Response => {}
        }
        while let Some(name) = map.next_key()? {
            scanned.response |= kind == ObjectKind::Response;
            match (kind, name) {
                (ObjectKind::Entry, MemberName::Request) => {
                    map.next_value_seed(ObjectVisitor { scanned, kind: ObjectKind::Request })?
                }
                (ObjectKind::Entry, MemberName::Response) => {
                    map.next_value_seed(ObjectVisitor { scanned, kind: ObjectKind::Response })?
                }
                (ObjectKind::Entry, MemberName::WebSocketMessages) => {
                    scanned.websocket |= is_not_null(map.next_value()?)
                }
                (ObjectKind::Entry, MemberName::ResourceType) => {
                    scanned.websocket |= text(map.next_value()?).as_deref() == Some("websocket");
                }
                (ObjectKind::Request, MemberName::Method) => {
                    scanned.method = text(map.next_value()?).filter(|m| !m.is_empty())
                }
                (ObjectKind::Request, MemberName::Url) => {
                    scanned.url = text(map.next_value()?).filter(|url| !url.is_empty())
                }
                (ObjectKind::Request, MemberName::PostData) => scanned.post_data = is_not_null(map.next_value()?),
                (ObjectKind::Response, MemberName::Status) => {
                    let raw = map.next_value()?;
                    scanned.status = number(raw);
                    scanned.has_invalid_status = match scanned.status {
                        Some(status) => (1..100).contains(&status) || status > 999,
                        None => !matches!(raw.get(), "null" | "\"\""),
                    };
                }
                (ObjectKind::Response, MemberName::HttpVersion) => {
                    let version = text(map.next_value()?).unwrap_or_default().to_ascii_lowercase();
                    scanned.http2 = version == "h2" || version.starts_with("http/2");
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }
    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }
    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

/// The name of a member. It is not allocated.
#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
enum MemberName {
    Request,
    Response,
    #[serde(rename = "_webSocketMessages")]
    WebSocketMessages,
    #[serde(rename = "_resourceType")]
    ResourceType,
    Method,
    Url,
    PostData,
    Status,
    HttpVersion,
    #[serde(other)]
    Other,
}

fn is_not_null(raw: &RawValue) -> bool {
    raw.get() != "null"
}

fn text(raw: &RawValue) -> Option<String> {
    unquote_lossy(raw.get()).map(Cow::into_owned)
}

/// An integer in any spelling: `200`, `200.0`, `"200"`.
fn number(raw: &RawValue) -> Option<i32> {
    let text = raw.get().trim_matches('"');
    let number: f64 = text.parse().ok()?;
    #[expect(clippy::cast_possible_truncation, reason = "`as` saturates; an invalid status stays invalid")]
    Some(number as i32)
}
