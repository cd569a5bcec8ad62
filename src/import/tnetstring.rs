//! Typed netstrings, the format of mitmproxy's flow dumps: `LENGTH:DATA` and a byte for the type.

use std::collections::HashMap;

/// A value. Keys of dictionaries are text in all versions.
#[derive(Clone, Debug, PartialEq)]
pub enum TypedNetstring<'t> {
    Bytes(&'t [u8]),
    Number(f64),
    Bool(bool),
    Null,
    List(Vec<TypedNetstring<'t>>),
    Dict(HashMap<String, TypedNetstring<'t>>),
}

/// The deepest nesting.
const MAX_DEPTH: usize = 64;

impl<'t> TypedNetstring<'t> {
    /// Reads the value at the beginning of a text. Returns the rest behind it, too. `None` if it is malformed or cut
    /// off.
    #[must_use]
    pub fn read(text: &'t [u8]) -> Option<(Self, &'t [u8])> {
        Self::read_at(text, 0)
    }

    fn read_at(text: &'t [u8], depth: usize) -> Option<(Self, &'t [u8])> {
        let colon = text.iter().take(12).position(|byte| *byte == b':')?;
        let len: usize = std::str::from_utf8(&text[..colon]).ok()?.parse().ok()?;
        let data = text.get(colon + 1..colon.checked_add(1)?.checked_add(len)?)?;
        let kind = text.get(colon + 1 + len)?;
        let rest = &text[colon + 2 + len..];
        let inside = |depth: usize| (depth < MAX_DEPTH).then_some(depth + 1);
        let value = match kind {
            b',' | b';' => TypedNetstring::Bytes(data),
            b'#' | b'^' => TypedNetstring::Number(std::str::from_utf8(data).ok()?.parse().ok()?),
            b'!' => TypedNetstring::Bool(data == b"true"),
            b'~' => TypedNetstring::Null,
            b']' => {
                let (mut items, mut rest, depth) = (Vec::new(), data, inside(depth)?);
                while !rest.is_empty() {
                    let item;
                    (item, rest) = Self::read_at(rest, depth)?;
                    items.push(item);
                }
                TypedNetstring::List(items)
            }
            b'}' => {
                let (mut members, mut rest, depth) = (HashMap::new(), data, inside(depth)?);
                while !rest.is_empty() {
                    let (name, value);
                    (name, rest) = Self::read_at(rest, depth)?;
                    (value, rest) = Self::read_at(rest, depth)?;
                    members.insert(name.text()?, value);
                }
                TypedNetstring::Dict(members)
            }
            _ => return None,
        };
        Some((value, rest))
    }

    #[must_use]
    pub fn get(&self, name: &str) -> Option<&TypedNetstring<'t>> {
        match self {
            TypedNetstring::Dict(members) => members.get(name).filter(|value| **value != TypedNetstring::Null),
            _ => None,
        }
    }

    #[must_use]
    pub fn bytes(&self) -> Option<&'t [u8]> {
        match self {
            TypedNetstring::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    #[must_use]
    pub fn text(&self) -> Option<String> {
        self.bytes().map(|bytes| String::from_utf8_lossy(bytes).into_owned())
    }

    #[must_use]
    pub fn number(&self) -> Option<f64> {
        match self {
            TypedNetstring::Number(number) => Some(*number),
            _ => None,
        }
    }

    pub fn items(&self) -> impl Iterator<Item = &TypedNetstring<'t>> {
        let items = if let TypedNetstring::List(items) = self { &items[..] } else { &[] };
        items.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_and_malformed_ones_are_not() {
        let (value, rest) = TypedNetstring::read(b"35:1:a,1:1#1:b;9:0:~3:1.5^]1:c;4:true!}x").unwrap();
        assert_eq!(rest, b"x");
        assert_eq!(value.get("a").unwrap().number(), Some(1.0));
        assert_eq!(value.get("b").unwrap().items().count(), 2);
        assert_eq!(value.get("c"), Some(&TypedNetstring::Bool(true)));
        for text in [&b"3:ab,"[..], b"2:ab", b"9999999999999:", b"x", b"", b"1:a}", b"4:1:a,}"] {
            assert!(TypedNetstring::read(text).is_none(), "{text:?}");
        }
        let mut deep = b"0:~".to_vec();
        for _ in 0..1000 {
            deep = [format!("{}:", deep.len()).as_bytes(), &deep, b"]"].concat();
        }
        assert!(TypedNetstring::read(&deep).is_none());
    }
}
