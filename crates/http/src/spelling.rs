//! How the names of a head's fields are spelt. They compare without case (RFC 9110 section 5.1), but a far server may be particular: what a peer
//! wrote goes on as it was.

use std::ops::Range;
use std::sync::Arc;

use memchr::memchr;

/// Of a line whose end has not come, so much is kept, in bytes. A longer name is not spelt.
const LINE: usize = 1024;

/// The same of a first line, and of a line of an interim answer.
const LONG_LINE: usize = 64 * 1024;

/// Bytes of all names of a head together. Beyond, none is spelt.
const NAMES: usize = 64 * 1024;

/// The same for how many there are, and one: no head that is served has more.
const MOST: usize = 2049;

/// Of the heads of interim answers so much is kept, in bytes.
const INTERIM: usize = 64 * 1024;

/// What is kept of memory that a head took, in bytes.
const KEPT: usize = 4 * 1024;

/// So many names are passed by at most while those of a head are looked for. A head that takes more is nobody's who is particular.
const STEPS: usize = 20_000;

/// Of a head that came whole so much is kept behind its first line, in bytes: the next is mostly the same.
const FIELDS: usize = 2 * 1024;

/// What stands behind each name: no name has it.
const END: u8 = b':';

/// The names of a head's fields as they were written, in order. Only a head with a name that is not in lower case has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spelling {
    /// Each with its [`END`].
    names: Arc<[u8]>,
    /// Some name is there more than once.
    repeats: bool,
}

impl Spelling {
    /// Spells the names of the first head in `bytes` as here, but for heads of interim answers (1xx but 101), which are passed by; `false` when there
    /// is no other. A repeated name is spelt as it was each time, and one that is not here stays as it is.
    ///
    /// ```
    /// use crate::spelling::Reader;
    /// let mut reader = Reader::default();
    /// reader.read(b"GET / HTTP/1.1\r\nHost: a\r\nX-ID: 7\r\n\r\n");
    /// let mut head = *b"GET / HTTP/1.1\r\nhost: a\r\nvia: b\r\nx-id: 7\r\n\r\nhost: ";
    /// assert!(reader.spelling().unwrap().apply(&mut head));
    /// assert_eq!(&head, b"GET / HTTP/1.1\r\nHost: a\r\nvia: b\r\nX-ID: 7\r\n\r\nhost: ");
    /// ```
    #[must_use]
    pub fn apply(&self, bytes: &mut [u8]) -> bool {
        let mut place = Place::Start;
        let mut line = 0;
        let mut last = 0..0;
        // Names mostly come in the order in which they did here. Where one is repeated a map has all of it at the first, so that another begins with the
        // first here, and the same goes on behind the last that was found.
        let (mut next, mut steps) = (0, STEPS);
        while let Some(len) = memchr(b'\n', &bytes[line..]) {
            match place.step(&bytes[line..line + len]) {
                Step::Name(len) => {
                    let name = line..line + len;
                    let is_again = bytes[name.clone()].eq_ignore_ascii_case(&bytes[last.clone()]);
                    let from = if self.repeats && !is_again { 0 } else { next };
                    if let Some(spelt) = self.find(from, &bytes[name.clone()], &mut steps) {
                        bytes[name.clone()].copy_from_slice(&self.names[spelt.clone()]);
                        next = spelt.end + 1;
                        last = name;
                    }
                    if steps == 0 {
                        return true;
                    }
                }
                Step::End => return true,
                Step::Nothing if place == Place::End => return false,
                Step::Nothing => {}
            }
            line += len + 1;
        }
        false
    }

    /// Where a name is: from here on, or else before.
    fn find(&self, from: usize, name: &[u8], steps: &mut usize) -> Option<Range<usize>> {
        self.find_within(from..self.names.len(), name, steps).or_else(|| self.find_within(0..from, name, steps))
    }

    fn find_within(
        &self,
        Range { start: mut at, end }: Range<usize>,
        name: &[u8],
        steps: &mut usize,
    ) -> Option<Range<usize>> {
        while at < end && *steps > 0 {
            *steps -= 1;
            let names = &self.names[at..];
            if names.get(name.len()) == Some(&END) && names[..name.len()].eq_ignore_ascii_case(name) {
                return Some(at..at + name.len());
            }
            at += memchr(END, names)? + 1;
        }
        None
    }
}

/// Reads heads, as they come, for how names are spelt in them. Those of interim answers are kept as they are.
#[derive(Debug)]
pub struct Reader {
    place: Place,
    names: Vec<u8>,
    /// The beginning of a line whose end has not come.
    line: Vec<u8>,
    /// Behind its first line, the whole of the head whose the spelling is; empty when it is not known.
    fields: Vec<u8>,
    spelling: Option<Spelling>,
    /// The heads of interim answers before the head.
    interim: Vec<u8>,
}

impl Default for Reader {
    fn default() -> Self {
        let (names, line, fields, interim) = Default::default();
        Reader { place: Place::Start, names, line, fields, spelling: None, interim }
    }
}

impl Reader {
    /// A head begins with the next byte.
    pub fn begin(&mut self) {
        self.place = Place::Start;
        for memory in [&mut self.names, &mut self.line, &mut self.interim] {
            memory.clear();
            memory.shrink_to(KEPT);
        }
    }

    /// Reads on. What comes behind the end of a head is not looked at; what comes behind that of an interim answer is the next.
    pub fn read(&mut self, mut bytes: &[u8]) {
        let is_first = self.place == Place::Start && self.line.is_empty();
        // Empty lines before a head are passed over (RFC 9112 section 2.2).
        while let [b'\r' | b'\n', rest @ ..] = bytes
            && is_first
        {
            bytes = rest;
        }
        let Some(first) = memchr(b'\n', bytes).filter(|_| is_first) else {
            self.read_lines(bytes);
            return;
        };
        let fields = &bytes[first + 1..];
        if !self.fields.is_empty() && fields.starts_with(&self.fields) && is_start(bytes) && !is_interim(bytes) {
            self.place = Place::End;
            return;
        }
        let behind = self.read_lines(bytes);
        if let Some(fields) = fields.len().checked_sub(behind).map(|len| &fields[..len])
            && self.place == Place::End
            && fields.len() <= FIELDS
            && is_start(bytes)
            && !is_interim(bytes)
        {
            self.fields.extend_from_slice(fields);
        }
    }

    /// Reads lines up to the end of a head; how many bytes are left behind it.
    fn read_lines(&mut self, mut bytes: &[u8]) -> usize {
        while self.place != Place::End {
            let Some(len) = memchr(b'\n', bytes) else {
                let room = self.most().saturating_sub(self.line.len());
                self.line.extend_from_slice(&bytes[..bytes.len().min(room)]);
                return 0;
            };
            let line;
            (line, bytes) = (&bytes[..len], &bytes[len + 1..]);
            if self.line.is_empty() {
                self.read_line(line);
            } else {
                let mut whole = std::mem::take(&mut self.line);
                whole.extend_from_slice(&line[..len.min(self.most())]);
                self.read_line(&whole);
            }
        }
        bytes.len()
    }

    /// Of a line that comes in pieces so much is kept.
    fn most(&self) -> usize {
        if matches!(self.place, Place::Start | INTERIM_FIELDS) { LONG_LINE } else { LINE }
    }

    /// The heads of the interim answers before the head, one behind the other as they came.
    #[must_use]
    pub fn interim(&self) -> &[u8] {
        &self.interim
    }

    /// Whether the end of the head that was begun last has come.
    #[must_use]
    pub fn is_through(&self) -> bool {
        self.place == Place::End
    }

    /// How the names of the last whole head are spelt; `None` when all are in lower case.
    #[must_use]
    pub fn spelling(&self) -> Option<&Spelling> {
        self.spelling.as_ref()
    }

    fn read_line(&mut self, line: &[u8]) {
        let was_interim = self.place == INTERIM_FIELDS;
        let step = self.place.step(line);
        if was_interim || self.place == INTERIM_FIELDS {
            if self.interim.len() + line.len() < INTERIM {
                self.interim.extend_from_slice(line);
                self.interim.push(b'\n');
            }
            return;
        }
        match step {
            Step::Name(len) if self.names.len() + len >= NAMES => {
                self.names.clear();
                self.end();
            }
            Step::Name(len @ 1..) => {
                self.names.extend_from_slice(&line[..len]);
                self.names.push(END);
            }
            Step::End => self.end(),
            Step::Name(0) | Step::Nothing => {}
        }
    }

    fn end(&mut self) {
        self.place = Place::End;
        self.fields.clear();
        // All of them, so that the compiler can look at many at a time.
        let has_upper = self.names.iter().fold(false, |has, byte| has | byte.is_ascii_uppercase());
        if !has_upper {
            self.spelling = None;
        } else if self.spelling.as_ref().is_none_or(|spelling| *spelling.names != *self.names) {
            let list: Vec<&[u8]> = self.names.split(|byte| *byte == END).collect();
            let spelling = || Spelling { names: self.names.as_slice().into(), repeats: repeats(&list) };
            self.spelling = (list.len() <= MOST).then(spelling);
        }
    }
}

/// Whether a name is among these more than once. Most differ in length from most.
fn repeats(names: &[&[u8]]) -> bool {
    (1..names.len()).any(|at| names[..at].iter().any(|name| name.eq_ignore_ascii_case(names[at])))
}

/// Where in a head one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Before its first line.
    Start,
    /// Among its fields.
    Fields {
        /// It is an interim answer's.
        interim: bool,
    },
    /// Behind it.
    End,
}

/// Among the fields of an interim answer.
const INTERIM_FIELDS: Place = Place::Fields { interim: true };

/// What a line is.
enum Step {
    /// A field, whose name has so many bytes.
    Name(usize),
    /// The empty line at the end of a head that is no interim answer's.
    End,
    /// Something else.
    Nothing,
}

impl Place {
    /// Goes on by a line without its line feed.
    fn step(&mut self, line: &[u8]) -> Step {
        let is_empty = matches!(line, [] | b"\r");
        match *self {
            Place::Start if is_empty => {}
            Place::Start if !is_start(line) => *self = Place::End,
            Place::Start => *self = Place::Fields { interim: is_interim(line) },
            INTERIM_FIELDS if is_empty => *self = Place::Start,
            Place::Fields { interim: false } if is_empty => {
                *self = Place::End;
                return Step::End;
            }
            // A line that begins with white space goes on with the one before.
            Place::Fields { .. } if !matches!(line[0], b' ' | b'\t') => {
                let Some(len) = memchr(END, line) else { return Step::Nothing };
                return Step::Name(line[..len].trim_ascii_end().len());
            }
            Place::Fields { .. } | Place::End => {}
        }
        Step::Nothing
    }
}

/// Whether bytes begin with the first line of a head (RFC 9112 sections 3 and 4).
#[must_use]
pub fn is_start(bytes: &[u8]) -> bool {
    bytes.starts_with(b"HTTP/1.")
        || bytes[..memchr(b'\n', bytes).unwrap_or(bytes.len())]
            .trim_ascii_end()
            .split_last_chunk::<9>()
            .is_some_and(|(_, version)| version.starts_with(b" HTTP/1."))
}

/// Whether a first line is that of an answer before the answer (RFC 9110 section 15.2). Behind 101 there is no other.
fn is_interim(line: &[u8]) -> bool {
    let Some([_minor, b' ', b'1', status @ ..]) = line.strip_prefix(b"HTTP/1.") else { return false };
    !status.starts_with(b"01")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(head: &str) -> Option<Spelling> {
        let mut reader = Reader::default();
        reader.read(head.as_bytes());
        assert!(reader.is_through(), "{head:?}");
        reader.spelling().cloned()
    }

    /// A head spelt like another.
    fn spelt(like: &str, head: &str) -> String {
        let mut head = head.as_bytes().to_vec();
        assert!(read(like).unwrap().apply(&mut head));
        String::from_utf8(head).unwrap()
    }

    #[test]
    fn names_in_lower_case_need_no_spelling() {
        assert_eq!(read("GET /A HTTP/1.1\r\nhost: A\r\nx-1_!: B\r\n\r\n"), None);
        assert_eq!(read("GET / HTTP/1.1\r\n\r\n"), None);
        assert!(read("GET / HTTP/1.1\r\nhost: a\r\nx-Y: b\r\n\r\n").is_some());
    }

    #[test]
    fn only_names_are_spelt_and_nothing_behind_the_head() {
        assert_eq!(
            spelt(
                "GET / HTTP/1.1\r\nHOST: a\r\nX-Y: host: x-y\r\n\r\n",
                "GET host:x HTTP/1.1\r\nhost: x-y\r\nx-y: x-y: \r\n\r\nhost: 1\r\n\r\n"
            ),
            "GET host:x HTTP/1.1\r\nHOST: x-y\r\nX-Y: x-y: \r\n\r\nhost: 1\r\n\r\n"
        );
        // As hyper takes them.
        let odd = "\r\n\nHTTP/1.1 200 OK\nX-A : 1\nX-B:2\n X-C: 3\nnothing\n\n";
        assert_eq!(
            spelt(odd, "\nHTTP/1.1 200 OK\r\nx-c: 1\r\nx-b: 1\r\nx-a:\r\n\r\n"),
            "\nHTTP/1.1 200 OK\r\nx-c: 1\r\nX-B: 1\r\nX-A:\r\n\r\n"
        );
    }

    #[test]
    fn a_repeated_name_is_spelt_as_it_was_each_time() {
        let like = "GET / HTTP/1.1\r\nA: 1\r\nbB: 1\r\nC: 1\r\na: 2\r\nBb: 2\r\nA: 3\r\n\r\n";
        let grouped = "GET / HTTP/1.1\r\na: 1\r\na: 2\r\na: 3\r\nbb: 1\r\nbb: 2\r\nc: 1\r\n\r\n";
        assert_eq!(spelt(like, grouped), "GET / HTTP/1.1\r\nA: 1\r\na: 2\r\nA: 3\r\nbB: 1\r\nBb: 2\r\nC: 1\r\n\r\n");
        // One that comes more often, one that comes less often, and another order.
        let other = "GET / HTTP/1.1\r\nc: 1\r\nc: 2\r\nx: 1\r\nbb: 1\r\na: 1\r\n\r\n";
        assert_eq!(spelt(like, other), "GET / HTTP/1.1\r\nC: 1\r\nC: 2\r\nx: 1\r\nbB: 1\r\nA: 1\r\n\r\n");
    }

    #[test]
    fn interim_answers_are_passed_by_and_a_change_of_protocol_is_none() {
        let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLINK: </a>\r\n\r\n";
        let answer = "HTTP/1.1 200 OK\r\nX-Link: 1\r\n\r\n";
        assert_eq!(read(&format!("{interim}{answer}")), read(answer));
        for len in [1, 7, 1000] {
            let mut reader = Reader::default();
            format!("{interim}{answer}").as_bytes().chunks(len).for_each(|piece| reader.read(piece));
            assert_eq!(reader.interim(), interim.as_bytes());
            reader.begin();
            assert_eq!(reader.interim(), b"");
        }
        let lower = |text: &str| text.to_ascii_lowercase().replace("http/", "HTTP/");
        let written = format!("{}{}", lower(interim), lower(answer));
        assert_eq!(spelt(answer, &written), format!("{}HTTP/1.1 200 ok\r\nX-Link: 1\r\n\r\n", lower(interim)));
        let mut only_interim = interim.as_bytes().to_vec();
        assert!(!read(answer).unwrap().apply(&mut only_interim));
        assert_eq!(only_interim, interim.as_bytes());
        // Its fields are as those of the answer before.
        let mut reader = Reader::default();
        for text in [answer, &answer.replace("200", "102")] {
            reader.begin();
            reader.read(text.as_bytes());
        }
        assert!(!reader.is_through());
        reader.read(b"HTTP/1.1 200 OK\r\n\r\n");
        assert!(reader.is_through() && reader.spelling().is_none());
        let upgraded = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n";
        assert_eq!(spelt(upgraded, &lower(upgraded)), upgraded.replace("Switching Protocols", "switching protocols"));
    }

    #[test]
    fn each_head_has_its_own_and_one_that_is_not_through_leaves_that_before() {
        let mut reader = Reader::default();
        reader.read(b"GET / HTTP/1.1\r\nHost: a\r\n\r\nX-Body: 1\r\n\r\n");
        let first = reader.spelling().unwrap().clone();
        reader.begin();
        reader.read(b"GET /2 HTTP/1.1\r\nHost: b\r\n");
        assert!(!reader.is_through());
        assert_eq!(reader.spelling(), Some(&first));
        reader.read(b"\r\n");
        assert!(Arc::ptr_eq(&reader.spelling().unwrap().names, &first.names), "the same needs no other memory");
        reader.begin();
        reader.read(b"GET /3 HTTP/1.1\r\nhost: b\r\n\r\n");
        assert_eq!(reader.spelling(), None);
    }

    #[test]
    fn what_is_no_head_says_nothing_of_names() {
        let mut reader = Reader::default();
        reader.read(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        let spelling = reader.spelling().cloned();
        for text in ["X-Body: 1\r\nX: y\r\n\r\n", "{\n\n", "host: a\r\n\r\n", "\r\nHost: a\r\n\r\n"] {
            reader.begin();
            reader.read(text.as_bytes());
            assert!(reader.is_through(), "{text:?}");
            assert_eq!(reader.spelling(), spelling.as_ref(), "{text:?}");
            let mut bytes = text.as_bytes().to_vec();
            assert!(!spelling.as_ref().unwrap().apply(&mut bytes));
            assert_eq!(bytes, text.as_bytes());
        }
        // A head without fields, and an empty line before the next.
        for head in ["GET / HTTP/1.1\r\n\r\n", "\r\nGET / HTTP/1.1\r\nX-a: b\r\n\r\n"] {
            reader.begin();
            reader.read(head.as_bytes());
        }
        assert_eq!(reader.spelling(), read("GET / HTTP/1.1\r\nX-a: b\r\n\r\n").as_ref());
    }

    #[test]
    fn names_that_are_nowhere_are_not_looked_for_without_end() {
        let names = |letter: char| (0..2000).map(|n| format!("{letter}{n}: 1\r\n")).collect::<String>();
        let mut reader = Reader::default();
        reader.read(format!("GET / HTTP/1.1\r\n{}\r\n", names('A')).as_bytes());
        let spelling = reader.spelling().unwrap();
        let mut steps = STEPS;
        assert_eq!((spelling.find(0, b"b0", &mut steps), steps), (None, STEPS - 2000));
        let mut head = format!("GET / HTTP/1.1\r\n{}a0: 1\r\n\r\n", names('b')).into_bytes();
        let before = head.clone();
        assert!(spelling.apply(&mut head));
        assert_eq!(head, before, "it was given up");
        let mut head = format!("GET / HTTP/1.1\r\n{}\r\n", names('a')).into_bytes();
        assert!(spelling.apply(&mut head));
        assert_eq!(head, format!("GET / HTTP/1.1\r\n{}\r\n", names('A')).as_bytes(), "in order nothing is looked for");
    }

    #[test]
    fn what_is_no_head_takes_no_memory_without_end() {
        let mut reader = Reader::default();
        for _ in 0..1000 {
            reader.read(&[b'A'; 10_000]);
        }
        assert!(reader.line.len() <= LONG_LINE);
        reader.begin();
        reader.read(b"GET / HTTP/1.1\r\n");
        for _ in 0..10_000 {
            reader.read(b"A-Name-Of-Some-Length: 1\r\n");
        }
        assert!(reader.names.len() <= NAMES && reader.spelling().is_none());
        reader.begin();
        for _ in 0..10_000 {
            reader.read(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
        }
        assert!(reader.interim().len() <= INTERIM && reader.names.is_empty());
        reader.begin();
        let long = format!("GET /{} HTTP/1.1\r\nX-A: {}\r\nX-B: 1\r\n\r\n", "a".repeat(5_000), "b".repeat(5_000));
        for piece in long.as_bytes().chunks(700) {
            reader.read(piece);
        }
        assert_eq!(reader.spelling(), read("GET / HTTP/1.1\r\nX-A:\r\nX-B:\r\n\r\n").as_ref());
    }

    proptest! {
        #[test]
        fn a_head_is_spelt_as_it_was_however_it_came(
            names in prop::collection::vec("[a-zA-Z0-9_-]{1,12}", 0..12),
            at in prop::collection::vec(0..200_usize, 0..4),
        ) {
            let head = format!("GET / HTTP/1.1\r\n{}\r\n", names.iter().map(|name| format!("{name}: X-Y\r\n")).collect::<String>());
            let mut cuts: Vec<usize> = at.into_iter().map(|at| at.min(head.len())).chain([0, head.len()]).collect();
            cuts.sort_unstable();
            let mut reader = Reader::default();
            cuts.windows(2).for_each(|cut| reader.read(&head.as_bytes()[cut[0]..cut[1]]));
            prop_assert!(reader.is_through());
            // Grouped at the first of each name, as a map has them.
            let mut groups: Vec<(String, Vec<&str>)> = Vec::new();
            for name in &names {
                let lower = name.to_ascii_lowercase();
                match groups.iter_mut().find(|(known, _)| *known == lower) {
                    Some((_, spelt)) => spelt.push(name),
                    None => groups.push((lower, vec![name])),
                }
            }
            let grouped = groups.iter().flat_map(|(_, spelt)| spelt);
            let expected = format!("GET / HTTP/1.1\r\n{}\r\n", grouped.map(|name| format!("{name}: X-Y\r\n")).collect::<String>());
            let mut written = expected.clone().into_bytes();
            for name in groups.iter().flat_map(|(_, spelt)| spelt) {
                let at = written.windows(name.len() + 2).position(|w| w == format!("{name}: ").as_bytes()).unwrap();
                written[at..at + name.len()].make_ascii_lowercase();
            }
            if let Some(spelling) = reader.spelling() {
                prop_assert!(spelling.apply(&mut written));
            }
            prop_assert_eq!(String::from_utf8(written).unwrap(), expected);
            // Whole, and again behind another first line.
            let spelling = reader.spelling().cloned();
            for (first, behind) in [("GET / ", ""), ("POST /b ", "A: b"), ("GET / ", "\r\n")] {
                reader.begin();
                reader.read(format!("{}{behind}", head.replacen("GET / ", first, 1)).as_bytes());
                prop_assert!(reader.is_through());
                prop_assert_eq!(reader.spelling(), spelling.as_ref());
            }
        }
    }
}
