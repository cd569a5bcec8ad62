//! Values that markup names: texts of elements, attributes, form controls and `meta` elements of XML and HTML.

use std::ops::Range;

use super::named_text::{MAX_NAME, NamedPlace, NamedText, is_name, trimmed};

/// Elements of forms, whose attributes `name` and `value` are a name and a value (HTML Standard, section 4.10), and
/// `meta`.
const CONTROLS: [&[u8]; 5] = [b"input", b"textarea", b"select", b"option", b"meta"];
/// Types of `input` whose value is a label or a choice.
const CHOICES: [&[u8]; 6] = [b"radio", b"checkbox", b"submit", b"button", b"reset", b"image"];
/// Elements that hold the name of the next value, as in XML-RPC and property lists.
const NAMES: [&[u8]; 2] = [b"name", b"key"];
/// Elements that hold the value of the element around them, or of the name before them.
const VALUES: [&[u8]; 2] = [b"value", b"string"];
/// The length of the longest comment or CDATA section of an element that holds a value, bytes.
const MAX_SECTION: usize = 8 << 10;

/// Finds the texts of elements that contain only text, and the values of attributes, with their names.
pub(super) fn find_elements(text: &[u8]) -> Vec<NamedText<'_>> {
    let mut found = Vec::new();
    let (mut around, mut before, mut select) = (Around::default(), None, None);
    let mut at = 0;
    while let Some(open) = memchr::memchr(b'<', &text[at..]).map(|found| at + found) {
        let len = text[open + 1..].iter().take(MAX_NAME).take_while(|byte| is_name(**byte)).count();
        at = open + 1 + len;
        if len == 0 || !text.get(at).is_some_and(|byte| byte.is_ascii_whitespace() || matches!(byte, b'>' | b'/')) {
            continue;
        }
        let element = local_name(&text[open + 1..at]);
        let mut attributes = Attributes { text, at };
        let tag = Tag::read(element, &mut attributes, &mut found);
        at = attributes.at;
        match () {
            () if is_one_of(element, &[b"select"]) => select = tag.name,
            () if !is_one_of(element, &[b"option", b"optgroup"]) => select = None,
            () => {}
        }
        found.extend(tag.pair(select));
        if text.get(at) != Some(&b'>') {
            continue;
        }
        at += 1;
        let parent = std::mem::replace(&mut around, Around { element, tag_end: at });
        let Some(value) = element_text(text, at) else { continue };
        at = value.end;
        let is_value = is_one_of(element, &VALUES);
        let parent = parent.of(text, open).filter(|parent| !is_one_of(parent, &VALUES));
        let outer = parent.or(before.take()).filter(|_| is_value);
        let own = tag.name.filter(|_| !is_one_of(element, &[b"a"]));
        let names = [own, outer, Some(element)].into_iter().flatten();
        found.extend(names.map(|name| NamedText { name, value: value.clone(), place: tag.place }));
        before = is_one_of(element, &NAMES).then(|| &text[value]);
    }
    found
}

/// The element that was opened last.
#[derive(Default)]
struct Around<'t> {
    element: &'t [u8],
    /// The end of its opening tag.
    tag_end: usize,
}

impl<'t> Around<'t> {
    /// Returns the name of the element if only white space stands between its tag and `open`.
    fn of(&self, text: &[u8], open: usize) -> Option<&'t [u8]> {
        (self.tag_end > 0 && text[self.tag_end..open].trim_ascii().is_empty()).then_some(self.element)
    }
}

/// The attributes of a tag that name a value.
struct Tag<'t> {
    name: Option<&'t [u8]>,
    value: Option<Range<usize>>,
    is_choice: bool,
    is_option: bool,
    place: NamedPlace,
}

impl<'t> Tag<'t> {
    /// Reads the attributes of a tag. Adds each of them to `found`.
    fn read(element: &[u8], attributes: &mut Attributes<'t>, found: &mut Vec<NamedText<'t>>) -> Self {
        let text = attributes.text;
        let is_control = is_one_of(element, &CONTROLS);
        let (mut name, mut key, mut id) = (None, None, None);
        let (mut value, mut is_choice, mut is_password) = (None, false, false);
        for (attribute, range) in attributes.filter(|(_, range)| !range.is_empty()) {
            let inside = &text[range.clone()];
            match () {
                () if is_one_of(attribute, &[b"name"]) => name = Some(inside),
                () if is_one_of(attribute, &[b"key"]) => key = Some(inside),
                () if is_one_of(attribute, &[b"id"]) => id = Some(inside),
                () if is_one_of(attribute, &[b"value", b"content"]) => value = Some(range.clone()),
                () if is_one_of(attribute, &[b"type"]) => {
                    is_choice = is_one_of(inside, &CHOICES);
                    is_password = is_one_of(inside, &[b"password"]);
                }
                () => {}
            }
            found.push(NamedText { name: attribute, value: range, place: NamedPlace::Element });
        }
        let name = name.or(key).or(id.filter(|_| is_control));
        let name = if is_control && is_password { Some(&b"password"[..]) } else { name };
        let is_option = is_one_of(element, &[b"option"]);
        let place = if is_control && !is_option { NamedPlace::Control } else { NamedPlace::Element };
        Tag { name, value, is_choice, is_option, place }
    }

    /// Returns the value with its name. `select`: the name of the `select` element around an option.
    fn pair(&self, select: Option<&'t [u8]>) -> Option<NamedText<'t>> {
        let name = self.name.or(select.filter(|_| self.is_option))?;
        let value = self.value.clone().filter(|_| !self.is_choice)?;
        Some(NamedText { name, value, place: self.place })
    }
}

/// Returns the text of an element whose opening tag ends at `at`, without comments before it and without the marks of a
/// CDATA section. `None` if it is empty, or if the element has other elements.
fn element_text(text: &[u8], at: usize) -> Option<Range<usize>> {
    let section = |at: usize, begin: &[u8], end: &[u8]| {
        let inside = text[at..].strip_prefix(begin)?;
        let len = memchr::memmem::find(&inside[..inside.len().min(MAX_SECTION)], end)?;
        Some(at + begin.len()..at + begin.len() + len)
    };
    let skip_space = |at: usize| at + text[at..].len() - text[at..].trim_ascii_start().len();
    let mut start = at;
    while let Some(comment) = section(skip_space(start), b"<!--", b"-->") {
        start = comment.end + 3;
    }
    if let Some(inside) = section(skip_space(start), b"<![CDATA[", b"]]>") {
        let is_last = text[skip_space(inside.end + 3)..].starts_with(b"</");
        return Some(inside).filter(|inside| is_last && !inside.is_empty());
    }
    let end = start + memchr::memchr(b'<', &text[start..])?;
    let is_last = text[end..].starts_with(b"</");
    (is_last && !text[start..end].trim_ascii().is_empty()).then(|| trimmed(text, start..end))
}

fn is_one_of(name: &[u8], names: &[&[u8]]) -> bool {
    names.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// Returns a name without its namespace prefix.
fn local_name(name: &[u8]) -> &[u8] {
    name.rsplit(|byte| *byte == b':').next().unwrap_or(name)
}

/// The attributes of a tag with the positions of their values (HTML Standard, section 13.1.2.3).
struct Attributes<'t> {
    text: &'t [u8],
    at: usize,
}

impl<'t> Attributes<'t> {
    /// Skips the bytes for which `is_skipped` is true. Returns their range.
    fn skip(&mut self, is_skipped: impl Fn(u8) -> bool) -> Range<usize> {
        let start = self.at;
        self.at += self.text[start..].iter().take_while(|byte| is_skipped(**byte)).count();
        start..self.at
    }
}

impl<'t> Iterator for Attributes<'t> {
    type Item = (&'t [u8], Range<usize>);

    fn next(&mut self) -> Option<Self::Item> {
        self.skip(|byte| byte.is_ascii_whitespace() || byte == b'/');
        let name = self.skip(|byte| !byte.is_ascii_whitespace() && !matches!(byte, b'=' | b'>' | b'/' | b'<'));
        if name.is_empty() {
            return None;
        }
        let name = &self.text[name];
        self.skip(|byte| byte.is_ascii_whitespace());
        if self.text.get(self.at) != Some(&b'=') {
            return Some((name, self.at..self.at));
        }
        self.at += 1;
        self.skip(|byte| byte.is_ascii_whitespace());
        let value = match self.text.get(self.at) {
            Some(&quote @ (b'"' | b'\'')) => {
                self.at += 1;
                let value = self.skip(|byte| byte != quote);
                self.at = (self.at + 1).min(self.text.len());
                value
            }
            _ => self.skip(|byte| !byte.is_ascii_whitespace() && byte != b'>'),
        };
        Some((name, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str, place: NamedPlace) -> Vec<(&str, &str)> {
        let found = find_elements(text.as_bytes()).into_iter().filter(|found| found.place == place);
        found.map(|found| (std::str::from_utf8(found.name).unwrap(), &text[found.value])).collect()
    }

    #[test]
    fn values_of_controls_and_meta_elements_are_found() {
        for (text, name, value) in [
            ("<input type=\"hidden\" name=\"a\" value=\"b c\"/>", "a", "b c"),
            ("<INPUT\n value='b' data-x NAME=a>", "a", "b"),
            ("<input disabled name = a value = b>", "a", "b"),
            ("<input id=a value=b>", "a", "b"),
            ("<input type=password name=a value=b>", "password", "b"),
            ("<meta name=\"csrf-token\" content=\"b\" />", "csrf-token", "b"),
            ("<meta content=b name=a>", "a", "b"),
            ("<input name=\"a\" value=\"b", "a", "b"),
        ] {
            assert_eq!(found(&format!("<p>{text}"), NamedPlace::Control), [(name, value)], "{text}");
        }
        let textarea = found("<textarea name=a>b</textarea>", NamedPlace::Control);
        assert_eq!(textarea, [("a", "b"), ("textarea", "b")]);
        for text in ["<inputs name=a value=b>", "<input type=radio name=a value=b>", "<meta name=a>", "<input"] {
            assert_eq!(found(text, NamedPlace::Control), [], "{text}");
        }
    }

    #[test]
    fn texts_of_elements_and_values_of_attributes_are_found() {
        for (text, expected) in [
            ("<a><b:Name x='1'> v w </b:Name></a>", vec![("x", "1"), ("Name", "v w")]),
            ("<user pw='p'/>", vec![("pw", "p")]),
            ("<a>text<b/></a><c></c><d> </d>", vec![]),
            ("1 < 2 && a<b>c", vec![]),
            ("<a>cut", vec![]),
            ("<?xml version=\"1.0\"?><a>b</a>", vec![("a", "b")]),
            ("<a><!-- c --> <![CDATA[b<]]></a>", vec![("a", "b<")]),
            ("<!-- <a>b</a> -->", vec![("a", "b")]),
            ("<a> <value>b</value></a>", vec![("a", "b"), ("value", "b")]),
            ("<b><name>a</name><value><string>c</string>", vec![("name", "a"), ("a", "c"), ("string", "c")]),
            ("<key>a</key> <string>c</string>", vec![("key", "a"), ("a", "c"), ("string", "c")]),
            ("<key>a</key><x>b</x><string>c</string>", vec![("key", "a"), ("x", "b"), ("string", "c")]),
        ] {
            assert_eq!(found(text, NamedPlace::Element), expected, "{text}");
        }
        for (text, pair) in [
            ("<param name='a'>b</param>", ("a", "b")),
            ("<add key=a value=b />", ("a", "b")),
            ("<select name=a><option value=b>c</option></select>", ("a", "b")),
        ] {
            assert!(found(text, NamedPlace::Element).contains(&pair), "{text}");
        }
        assert!(!found("<a name=password>b</a>", NamedPlace::Element).contains(&("password", "b")));
    }

    /// The search takes linear time even if every byte begins a tag.
    #[test]
    fn search_is_linear_in_tags() {
        for unit in ["<", "<a ", "<a>", "<a b='", "</a>", "<a b=c", "<a><!--", "<a><![CDATA[", "<input \"", "<key>a"] {
            let _ = find_elements(unit.repeat(100_000).as_bytes());
        }
    }
}
