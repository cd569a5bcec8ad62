//! A change of a request: drawn for one, it can be made to another.

use harproxy_http::NormalUrl;
use serde_json::Value;

use super::Operator::{
    self, FormValue, Host, JsonAdd, JsonDrop, JsonValue, Method, Part, PathEncoding, PathPrefix, PayloadAlter,
    PayloadDrop, QueryAdd, QueryDrop, QueryOrder, QueryValue, Scheme, Segment, SegmentCase, SegmentDrop, SegmentTypo,
    TrailingSlash, Two,
};
use super::dice::Dice;
use super::{OPERATORS, Request};

/// A change in full: what it does to one request, it can do to another.
#[derive(Clone, Debug)]
pub enum Change {
    SetParameter(usize, String),
    AddParameter(String),
    DropParameter(usize),
    SwapParameters(usize, usize),
    SetSegment(usize, String),
    /// The character at this place of this segment.
    SetCharacter(usize, usize, char),
    Case(usize),
    Encode(usize, usize),
    Prefix(String),
    DropSegment(usize),
    Slash,
    Origin(String),
    Method(String),
    SetMember(String, Value),
    AddMember(String, String, Value),
    DropMember(String),
    SetField(usize, String),
    /// Of the payload: so many bytes from this one on.
    SetBytes(usize, Vec<u8>),
    NoPayload,
}

impl Change {
    /// Draws one that the request can take; `None` when it can't.
    pub fn draw(operator: Operator, request: &Request, dice: &mut Dice) -> Option<Vec<Change>> {
        if operator == Two {
            let first = *dice.one_of(&OPERATORS[..OPERATORS.len() - 1])?;
            let first = Change::draw(first, request, dice)?;
            let between = first.iter().try_fold(request.clone(), |request, change| change.apply(&request))?;
            let second = *dice.one_of(&OPERATORS[..OPERATORS.len() - 1])?;
            return Some([first, Change::draw(second, &between, dice)?].concat());
        }
        let parts = Parts::of(&request.url);
        let parameter = |dice: &mut Dice| dice.below(parts.query.as_ref().map_or(0, Vec::len));
        let segment = |dice: &mut Dice| {
            let filled: Vec<usize> = (0..parts.path.len()).filter(|&n| !parts.path[n].is_empty()).collect();
            dice.one_of(&filled).copied()
        };
        let json = || {
            serde_json::from_slice::<Value>(&request.body).ok().filter(|value| value.is_object() || value.is_array())
        };
        let change = match operator {
            QueryValue => {
                let n = parameter(dice)?;
                let value = parts.query.as_ref()?[n].split_once('=').map_or("", |(_, value)| value).to_owned();
                Change::SetParameter(n, dice.other_than(&value))
            }
            QueryAdd => Change::AddParameter(format!("{}={}", dice.word(), dice.word())),
            QueryDrop => Change::DropParameter(parameter(dice)?),
            QueryOrder => {
                let (a, b) = (parameter(dice)?, parameter(dice)?);
                Change::SwapParameters(a, b)
            }
            Segment => Change::SetSegment(segment(dice)?, dice.word()),
            SegmentTypo => {
                let n = segment(dice)?;
                let at = dice.below(parts.path[n].chars().count())?;
                Change::SetCharacter(n, at, dice.letter())
            }
            SegmentCase => Change::Case(segment(dice)?),
            PathEncoding => {
                let n = segment(dice)?;
                Change::Encode(n, dice.below(parts.path[n].chars().count())?)
            }
            PathPrefix => {
                let word = dice.word();
                Change::Prefix(dice.one_of(&["v2".to_owned(), "api".to_owned(), word])?.clone())
            }
            SegmentDrop => Change::DropSegment(segment(dice).filter(|_| parts.path.len() > 1)?),
            TrailingSlash => Change::Slash,
            Host => Change::Origin(format!("https://{}.example", dice.word())),
            Scheme => {
                let (scheme, rest) = parts.origin.split_once("://")?;
                let (host, _) = rest.rsplit_once(':').unwrap_or((rest, ""));
                Change::Origin(match dice.below(2)? {
                    0 => format!("{}://{rest}", if scheme == "https" { "http" } else { "https" }),
                    _ => format!("{scheme}://{host}:{}", 20_000 + dice.below(10_000)?),
                })
            }
            Method => {
                let methods = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"].map(str::to_owned);
                Change::Method(dice.one_of(&methods)?.clone())
            }
            JsonValue => {
                let json = json()?;
                let pointer = dice.one_of(&scalars(&json))?.clone();
                let value = match json.pointer(&pointer)? {
                    Value::Number(number) => {
                        Value::from(number.as_i64().unwrap_or_default() + 1 + dice.below(100)? as i64)
                    }
                    Value::String(text) => Value::from(dice.other_than(text)),
                    Value::Bool(bool) => Value::from(!bool),
                    _ => Value::from(dice.word()),
                };
                Change::SetMember(pointer, value)
            }
            JsonAdd => {
                Change::AddMember(dice.one_of(&objects(&json()?))?.clone(), dice.word(), Value::from(dice.word()))
            }
            JsonDrop => Change::DropMember(dice.one_of(&members(&json()?))?.clone()),
            FormValue if request.media_type().starts_with("application/x-www-form-urlencoded") => {
                let fields = String::from_utf8_lossy(&request.body).split('&').map(str::to_owned).collect::<Vec<_>>();
                let n = dice.below(fields.len())?;
                let value = fields[n].split_once('=').map_or("", |(_, value)| value).to_owned();
                Change::SetField(n, dice.other_than(&value))
            }
            Part if request.media_type().starts_with("multipart/") => {
                // Behind the empty line that ends the first part's headers.
                let start = request.body.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
                Change::SetBytes(start, dice.word().into_bytes())
            }
            PayloadAlter => Change::SetBytes(dice.below(request.body.len())?, dice.word().into_bytes()),
            PayloadDrop if !request.body.is_empty() => Change::NoPayload,
            FormValue | Part | PayloadDrop | Two => return None,
        };
        Some(vec![change])
    }

    pub fn apply(&self, request: &Request) -> Option<Request> {
        let mut changed = request.clone();
        let mut parts = Parts::of(&request.url);
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
            Change::Case(n) => {
                let segment = parts.path.get_mut(*n).filter(|segment| !segment.contains('%'))?;
                let upper = segment.to_uppercase();
                *segment = if upper == *segment { segment.to_lowercase() } else { upper };
            }
            Change::Encode(n, at) => {
                let segment = parts.path.get_mut(*n).filter(|segment| !segment.contains('%'))?;
                let c = segment.chars().nth(*at).filter(char::is_ascii_alphanumeric)?;
                segment.replace_range(*at..=*at, &format!("%{:02X}", u32::from(c)));
            }
            Change::Prefix(word) => parts.path.insert(0, word.clone()),
            Change::DropSegment(n) => {
                (*n < parts.path.len()).then(|| parts.path.remove(*n))?;
            }
            Change::Slash => {
                if parts.path.last().is_some_and(String::is_empty) && parts.path.len() > 1 {
                    parts.path.pop();
                } else {
                    parts.path.push(String::new());
                }
            }
            Change::Origin(origin) => parts.origin.clone_from(origin),
            Change::Method(method) => changed.method.clone_from(method),
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
                for (place, byte) in changed.body[*at..].iter_mut().zip(bytes) {
                    *place = *byte;
                }
            }
            Change::NoPayload => {
                changed.body.clear();
                changed.headers.remove("content-type");
            }
        }
        changed.url = NormalUrl::parse(&parts.written()).ok()?.as_str().to_owned();
        Some(changed)
    }
}

/// A URL in pieces.
struct Parts {
    origin: String,
    path: Vec<String>,
    query: Option<Vec<String>>,
}

impl Parts {
    fn of(url: &str) -> Self {
        let start = url.find("://").unwrap() + 3;
        let path = url[start..].find('/').map_or(url.len(), |at| start + at);
        let (path, query) = match url[path..].split_once('?') {
            Some((path, query)) => (path, Some(query.split('&').map(str::to_owned).collect())),
            None => (&url[path..], None),
        };
        let origin = url[..url.len() - url[start..].find('/').map_or(0, |at| url.len() - start - at)].to_owned();
        Parts { origin, path: path.trim_start_matches('/').split('/').map(str::to_owned).collect(), query }
    }

    fn written(&self) -> String {
        let query = self.query.as_ref().map_or_else(String::new, |query| format!("?{}", query.join("&")));
        format!("{}/{}{query}", self.origin, self.path.join("/"))
    }
}

fn scalars(value: &Value) -> Vec<String> {
    pointers(value, String::new(), &|value| !value.is_object() && !value.is_array())
}

fn objects(value: &Value) -> Vec<String> {
    pointers(value, String::new(), &Value::is_object)
}

/// The members of objects.
fn members(value: &Value) -> Vec<String> {
    objects(value)
        .into_iter()
        .flat_map(|pointer| {
            let object = value.pointer(&pointer).and_then(Value::as_object).unwrap();
            object.keys().map(|name| format!("{pointer}/{name}")).collect::<Vec<_>>()
        })
        .collect()
}

fn pointers(value: &Value, at: String, is: &impl Fn(&Value) -> bool) -> Vec<String> {
    let inner = match value {
        Value::Object(members) => {
            members.iter().flat_map(|(name, value)| pointers(value, format!("{at}/{name}"), is)).collect()
        }
        Value::Array(items) => {
            items.iter().enumerate().flat_map(|(n, item)| pointers(item, format!("{at}/{n}"), is)).collect()
        }
        _ => Vec::new(),
    };
    is(value).then_some(at).into_iter().chain(inner).collect()
}
