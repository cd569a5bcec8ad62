//! Whether what was read is a request that may have its answer where it was read.

use std::mem::MaybeUninit;

use httparse::{Header, Status};
use memchr::memchr;

/// A head with more fields goes on to hyper.
const FIELDS: usize = 32;

/// What bytes are that begin where a request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Came<'b> {
    /// A GET of this target, all of it and nothing else, that asks for nothing of the connection but that it stays.
    Get(&'b str),
    /// Another request without a payload, all of it and nothing else.
    Request,
    /// Anything else: a part of a head, several requests, what has or may have a payload, what is not HTTP/1.1, what ends in something else.
    Other,
}

impl<'b> Came<'b> {
    /// As hyper's parser reads it.
    pub(super) fn of(bytes: &'b [u8]) -> Self {
        Came::with(bytes, |_, _| ())
    }

    /// The same; `get` is told the target and the fields of a GET.
    pub(super) fn with(bytes: &'b [u8], get: impl FnOnce(&'b str, &[Header<'b>])) -> Self {
        let mut fields = [const { MaybeUninit::<Header<'_>>::uninit() }; FIELDS];
        let mut request = httparse::Request::new(&mut []);
        match request.parse_with_uninit_headers(bytes, &mut fields) {
            Ok(Status::Complete(len)) if len == bytes.len() => {}
            _ => return Came::Other,
        }
        let (Some(method), Some(target), Some(1)) = (request.method, request.path, request.version) else {
            return Came::Other;
        };
        let mut is_plain = method == "GET";
        for Header { name, value } in request.headers.iter() {
            match Said::of(name, value) {
                Said::Nothing => {}
                Said::Something => is_plain = false,
                Said::More => return Came::Other,
            }
        }
        match is_plain {
            true => {
                get(target, request.headers);
                Came::Get(target)
            }
            false if method == "CONNECT" => Came::Other,
            false => Came::Request,
        }
    }
}

/// The target that bytes begin with, if they are a GET: what is looked for while the rest is read.
pub(super) fn first_target(bytes: &[u8]) -> Option<&str> {
    let target = bytes.strip_prefix(b"GET ")?;
    std::str::from_utf8(&target[..memchr(b' ', target)?]).ok()
}

/// What a field says of the connection, or of what comes behind the head.
enum Said {
    /// That the connection stays, if anything.
    Nothing,
    /// Something that hyper or the engine has to see to.
    Something,
    /// That what comes behind the head belongs to it, or is something else than requests.
    More,
}

impl Said {
    fn of(name: &str, value: &[u8]) -> Self {
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        match name.as_bytes() {
            [b'c' | b'C', ..] if is("connection") => Said::of_connection(value),
            [b'c' | b'C', ..] if is("content-length") => Said::More,
            [b't' | b'T', ..] if is("transfer-encoding") => Said::More,
            [b'u' | b'U', ..] if is("upgrade") => Said::More,
            [b'e' | b'E', ..] if is("expect") => Said::More,
            [b'p' | b'P', ..] if is("proxy-connection") => Said::of_connection(value),
            [b'p' | b'P', ..] if is("proxy-authorization") => Said::Something,
            _ => Said::Nothing,
        }
    }

    fn of_connection(value: &[u8]) -> Self {
        if value.eq_ignore_ascii_case(b"keep-alive") { Said::Nothing } else { Said::Something }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn came(text: &str) -> Came<'_> {
        Came::of(text.as_bytes())
    }

    #[test]
    fn a_get_that_asks_for_nothing_else_is_told_by_its_target() {
        for fields in
            ["", "Host: a\r\n", "CONNECTION: Keep-Alive\r\n", "proxy-connection: keep-alive\r\nTE: trailers\r\n"]
        {
            let text = format!("GET http://a/b?c HTTP/1.1\r\n{fields}\r\n");
            assert_eq!(came(&text), Came::Get("http://a/b?c"), "{text}");
        }
        let most = format!("GET / HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(FIELDS));
        assert_eq!(came(&most), Came::Get("/"));
    }

    #[test]
    fn what_is_one_request_without_a_payload_leaves_the_beginning_of_the_next_behind_it() {
        for text in [
            "HEAD / HTTP/1.1\r\n\r\n",
            "OPTIONS * HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nconnection: close\r\n\r\n",
            "GET / HTTP/1.1\r\nproxy-connection: x\r\n\r\n",
            "GET / HTTP/1.1\r\nproxy-authorization: Basic eDp5\r\n\r\n",
        ] {
            assert_eq!(came(text), Came::Request, "{text}");
        }
    }

    #[test]
    fn behind_anything_else_nobody_knows_where_a_request_begins() {
        let whole = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
        for len in 0..whole.len() {
            assert_eq!(came(&whole[..len]), Came::Other, "{len}");
        }
        for text in [
            "GET / HTTP/1.1\r\n\r\nG",
            "GET / HTTP/1.0\r\n\r\n",
            "GET / HTTP/1.1\r\ncontent-length: 0\r\n\r\n",
            "GET / HTTP/1.1\r\nTransfer-Encoding: x\r\n\r\n",
            "GET / HTTP/1.1\r\nUpgrade: h2c\r\n\r\n",
            "GET / HTTP/1.1\r\nExpect: 100-continue\r\n\r\n",
            "CONNECT a:1 HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nx y: z\r\n\r\n",
            "GET / HTTP/1.1\r\nx: y\r\n z\r\n\r\n",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        ] {
            assert_eq!(came(text), Came::Other, "{text}");
        }
        let more = format!("GET / HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(FIELDS + 1));
        assert_eq!(came(&more), Came::Other);
    }
}
