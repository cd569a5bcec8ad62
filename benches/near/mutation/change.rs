//! Changes of requests. A change that is drawn for one request can be applied to another.

use harproxy_http::NormalUrl;
use serde_json::Value;

use super::Operator::{
    self, FormValue, Host, JsonAdd, JsonDrop, JsonValue, Method, Part, PathEncoding, PathPrefix, PayloadAlter,
    PayloadDrop, QueryAdd, QueryDrop, QueryOrder, QueryValue, Scheme, Segment, SegmentCase, SegmentDrop, SegmentTypo,
    TrailingSlash, Two,
};
use super::random::Random;
use super::{OPERATORS, Request};

/// A change with all its values.
#[derive(Clone, Debug)]
pub enum Change {
    SetParameter(usize, String),
    AddParameter(String),
    DropParameter(usize),
    SwapParameters(usize, usize),
    SetSegment(usize, String),
    /// Segment, index of the character, new character.
    SetCharacter(usize, usize, char),
    SwapCase(usize),
    /// Percent-encodes a character: segment and index.
    Encode(usize, usize),
    AddPrefix(String),
    DropSegment(usize),
    ToggleSlash,
    SetOrigin(String),
    SetMethod(String),
    SetMember(String, Value),
    /// JSON pointer of the object, name, value.
    AddMember(String, String, Value),
    DropMember(String),
    SetField(usize, String),
    /// Offset in the payload, and the bytes that replace those from there on.
    SetBytes(usize, Vec<u8>),
    DropPayload,
}

impl Change {
    /// Draws the changes of an operator for a request; `None` if the operator does not apply to it.
    pub fn draw(operator: Operator, request: &Request, random: &mut Random) -> Option<Vec<Change>> {
        if operator == Two {
            let first = *random.choose(&OPERATORS[..OPERATORS.len() - 1])?;
            let first = Change::draw(first, request, random)?;
            let between = first.iter().try_fold(request.clone(), |request, change| change.apply(&request))?;
            let second = *random.choose(&OPERATORS[..OPERATORS.len() - 1])?;
            return Some([first, Change::draw(second, &between, random)?].concat());
        }
        let parts = UrlParts::parse(&request.url);
        let parameter = |random: &mut Random| random.below(parts.query.as_ref().map_or(0, Vec::len));
        let segment = |random: &mut Random| {
            let filled: Vec<usize> = (0..parts.path.len()).filter(|&n| !parts.path[n].is_empty()).collect();
            random.choose(&filled).copied()
        };
        let json = || {
            serde_json::from_slice::<Value>(&request.body).ok().filter(|value| value.is_object() || value.is_array())
        };
        let change = match operator {
            QueryValue => {
                let n = parameter(random)?;
                let value = parts.query.as_ref()?[n].split_once('=').map_or("", |(_, value)| value).to_owned();
                Change::SetParameter(n, random.different_from(&value))
            }
            QueryAdd => Change::AddParameter(format!("{}={}", random.word(), random.word())),
            QueryDrop => Change::DropParameter(parameter(random)?),
            QueryOrder => {
                let (a, b) = (parameter(random)?, parameter(random)?);
                Change::SwapParameters(a, b)
            }
            Segment => Change::SetSegment(segment(random)?, random.word()),
            SegmentTypo => {
                let n = segment(random)?;
                let at = random.below(parts.path[n].chars().count())?;
                Change::SetCharacter(n, at, random.letter())
            }
            SegmentCase => Change::SwapCase(segment(random)?),
            PathEncoding => {
                let n = segment(random)?;
                Change::Encode(n, random.below(parts.path[n].chars().count())?)
            }
            PathPrefix => {
                let word = random.word();
                Change::AddPrefix(random.choose(&["v2".to_owned(), "api".to_owned(), word])?.clone())
            }
            SegmentDrop => Change::DropSegment(segment(random).filter(|_| parts.path.len() > 1)?),
            TrailingSlash => Change::ToggleSlash,
            Host => Change::SetOrigin(format!("https://{}.example", random.word())),
            Scheme => {
                let (scheme, rest) = parts.origin.split_once("://")?;
                let (host, _) = rest.rsplit_once(':').unwrap_or((rest, ""));
                Change::SetOrigin(match random.below(2)? {
                    0 => format!("{}://{rest}", if scheme == "https" { "http" } else { "https" }),
                    _ => format!("{scheme}://{host}:{}", 20_000 + random.below(10_000)?),
                })
            }
            Method => {
                let methods = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"].map(str::to_owned);
                Change::SetMethod(random.choose(&methods)?.clone())
            }
            JsonValue => {
                let json = json()?;
                let pointer = random.choose(&scalars(&json))?.clone();
                let value = match json.pointer(&pointer)? {
                    Value::Number(number) => {
                        Value::from(number.as_i64().unwrap_or_default() + 1 + random.below(100)? as i64)
                    }
                    Value::String(text) => Value::from(random.different_from(text)),
                    Value::Bool(bool) => Value::from(!bool),
                    _ => Value::from(random.word()),
                };
                Change::SetMember(pointer, value)
            }
            JsonAdd => {
                Change::AddMember(random.choose(&objects(&json()?))?.clone(), random.word(), Value::from(random.word()))
            }
            JsonDrop => Change::DropMember(random.choose(&members(&json()?))?.clone()),
            FormValue if request.media_type().starts_with("application/x-www-form-urlencoded") => {
                let fields = String::from_utf8_lossy(&request.body).split('&').map(str::to_owned).collect::<Vec<_>>();
                let n = random.below(fields.len())?;
                let value = fields[n].split_once('=').map_or("", |(_, value)| value).to_owned();
                Change::SetField(n, random.different_from(&value))
            }
            Part if request.media_type().starts_with("multipart/") => {
                // The content of the first part starts after the empty line that ends its headers.
                let start = request.body.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
                Change::SetBytes(start, random.word().into_bytes())
            }
            PayloadAlter => Change::SetBytes(random.below(request.body.len())?, random.word().into_bytes()),
            PayloadDrop if !request.body.is_empty() => Change::DropPayload,
            FormValue | Part | PayloadDrop | Two => return None,
        };
        Some(vec![change])
    }

    /// The changed request; `None` if the change does not apply to it.
    pub fn apply(&self, request: &Request) -> Option<Request> {
        let mut changed = request.clone();
        let mut parts = UrlParts::parse(&request.url);
        let json = || serde_json::from_slice::<Value>(&request.body).ok();
        match self {
            Change::SetParameter(n, value) => {
                let parameter = parts.query.as_mut()?.get_mut(*n)?;
                *parameter = format!("{}={value}", parameter.split_once('=').map_or(&**parameter, |(name, _)| name));
            }
            Change::AddParameter(parameter) => parts.query.get_or_insert_default().push(parameter.clone()),
            Change::DropParameter(n) => {
                let query = parts.query.as_mut().filter(|query| *n < query.len())?;
                query.remove(*n);
                if query.is_empty() {
                    parts.query = None;
                }
            }
            Change::SwapParameters(a, b) => {
                let query = parts.query.as_mut()?;
                (a.max(b) < &query.len()).then(|| query.swap(*a, *b))?;
            }
            Change::SetSegment(n, word) => parts.path.get_mut(*n)?.clone_from(word),
            Change::SetCharacter(n, at, to) => {
                let segment = parts.path.get_mut(*n)?;
                segment.chars().nth(*at)?;
                *segment = segment.chars().enumerate().map(|(n, c)| if n == *at { *to } else { c }).collect();
            }
            Change::SwapCase(n) => {
                let segment = parts.path.get_mut(*n).filter(|segment| !segment.contains('%'))?;
                let upper = segment.to_uppercase();
                *segment = if upper == *segment { segment.to_lowercase() } else { upper };
            }
            Change::Encode(n, at) => {
                let segment = parts.path.get_mut(*n).filter(|segment| !segment.contains('%'))?;
                let c = segment.chars().nth(*at).filter(char::is_ascii_alphanumeric)?;
                segment.replace_range(*at..=*at, &format!("%{:02X}", u32::from(c)));
            }
            Change::AddPrefix(word) => parts.path.insert(0, word.clone()),
            Change::DropSegment(n) => {
                (*n < parts.path.len()).then(|| parts.path.remove(*n))?;
            }
            Change::ToggleSlash => {
                if parts.path.last().is_some_and(String::is_empty) && parts.path.len() > 1 {
                    parts.path.pop();
                } else {
                    parts.path.push(String::new());
                }
            }
            Change::SetOrigin(origin) => parts.origin.clone_from(origin),
            Change::SetMethod(method) => changed.method.clone_from(method),
            Change::SetMember(pointer, value) => {
                let mut json = json()?;
                *json.pointer_mut(pointer)? = value.clone();
                changed.body = json.to_string().into_bytes();
            }
            Change::AddMember(pointer, name, value) => {
                let mut json = json()?;
                json.pointer_mut(pointer)?.as_object_mut()?.insert(name.clone(), value.clone());
                changed.body = json.to_string().into_bytes();
            }
            Change::DropMember(pointer) => {
                let mut json = json()?;
                let (parent, name) = pointer.rsplit_once('/')?;
                json.pointer_mut(parent)?.as_object_mut()?.shift_remove(name)?;
                changed.body = json.to_string().into_bytes();
            }
            Change::SetField(n, value) => {
                let text = String::from_utf8_lossy(&request.body).into_owned();
                let mut fields: Vec<String> = text.split('&').map(str::to_owned).collect();
                let field = fields.get_mut(*n)?;
                *field = format!("{}={value}", field.split_once('=').map_or(&**field, |(name, _)| name));
                changed.body = fields.join("&").into_bytes();
            }
            Change::SetBytes(at, bytes) => {
                (*at < request.body.len()).then_some(())?;
                for (old, new) in changed.body[*at..].iter_mut().zip(bytes) {
                    *old = *new;
                }
            }
            Change::DropPayload => {
                changed.body.clear();
                changed.headers.remove("content-type");
            }
        }
        changed.url = NormalUrl::parse(&parts.to_url()).ok()?.as_str().to_owned();
        Some(changed)
    }
}

/// The components of a URL.
struct UrlParts {
    origin: String,
    path: Vec<String>,
    query: Option<Vec<String>>,
}

impl UrlParts {
    fn parse(url: &str) -> Self {
        let start = url.find("://").unwrap() + 3;
        let path = url[start..].find('/').map_or(url.len(), |at| start + at);
        let (path, query) = match url[path..].split_once('?') {
            Some((path, query)) => (path, Some(query.split('&').map(str::to_owned).collect())),
            None => (&url[path..], None),
        };
        let origin = url[..url.len() - url[start..].find('/').map_or(0, |at| url.len() - start - at)].to_owned();
        UrlParts { origin, path: path.trim_start_matches('/').split('/').map(str::to_owned).collect(), query }
    }

    fn to_url(&self) -> String {
        let query = self.query.as_ref().map_or_else(String::new, |query| format!("?{}", query.join("&")));
        format!("{}/{}{query}", self.origin, self.path.join("/"))
    }
}

/// JSON pointers of all scalars.
fn scalars(value: &Value) -> Vec<String> {
    pointers(value, String::new(), &|value| !value.is_object() && !value.is_array())
}

/// JSON pointers of all objects.
fn objects(value: &Value) -> Vec<String> {
    pointers(value, String::new(), &Value::is_object)
}

/// JSON pointers of all members of objects.
fn members(value: &Value) -> Vec<String> {
    objects(value)
        .into_iter()
        .flat_map(|pointer| {
            let object = value.pointer(&pointer).and_then(Value::as_object).unwrap();
            object.keys().map(|name| format!("{pointer}/{name}")).collect::<Vec<_>>()
        })
        .collect()
}

/// JSON pointers of the values that `accepts` selects. `at` is the pointer of `value`.
fn pointers(value: &Value, at: String, accepts: &impl Fn(&Value) -> bool) -> Vec<String> {
    let inner = match value {
        Value::Object(members) => {
            members.iter().flat_map(|(name, value)| pointers(value, format!("{at}/{name}"), accepts)).collect()
        }
        Value::Array(items) => {
            items.iter().enumerate().flat_map(|(n, item)| pointers(item, format!("{at}/{n}"), accepts)).collect()
        }
        _ => Vec::new(),
    };
    accepts(value).then_some(at).into_iter().chain(inner).collect()
}
