//! Encodes and decodes content codings (RFC 9110 section 8.4.1): gzip, deflate, br and zstd.
//!
//! Both directions stream. [`decode`] bounds the output; users of [`decoder`] must bound it with [`Read::take`].

use std::io::{self, BufRead, BufReader, Read, Write};

use brotli::{CompressorReader, Decompressor};
use flate2::Compression;
use ruzstd::decoding::StreamingDecoder;
use ruzstd::encoding::{CompressionLevel, FrameCompressor};

/// The buffer between a coder and its source or sink, bytes.
const BUFFER: usize = 32 * 1024;
/// Brotli quality: about the ratio of gzip's default, at similar speed.
const BROTLI_QUALITY: u32 = 4;
/// Brotli window, bits.
const BROTLI_WINDOW: u32 = 20;

/// A content coding that harproxy can encode and decode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Coding {
    /// `gzip`, `x-gzip` (RFC 1952).
    Gzip,
    /// `deflate`: the zlib format (RFC 1950). Raw DEFLATE, which some servers send, is decoded too.
    Deflate,
    /// `br` (RFC 7932).
    Brotli,
    /// `zstd` (RFC 8878).
    Zstd,
}

impl Coding {
    /// The coding of a token, compared case-insensitively.
    #[must_use]
    fn from_token(token: &str) -> Option<Self> {
        let known = [
            ("gzip", Coding::Gzip),
            ("x-gzip", Coding::Gzip),
            ("deflate", Coding::Deflate),
            ("br", Coding::Brotli),
            ("zstd", Coding::Zstd),
        ];
        known.into_iter().find(|(name, _)| token.eq_ignore_ascii_case(name)).map(|(_, coding)| coding)
    }

    /// The token in `Content-Encoding`.
    #[must_use]
    pub fn token(self) -> &'static str {
        match self {
            Coding::Gzip => "gzip",
            Coding::Deflate => "deflate",
            Coding::Brotli => "br",
            Coding::Zstd => "zstd",
        }
    }
}

/// The most codings of a payload that are decoded. Each needs buffers, and servers apply one.
const MAX_CODINGS: usize = 8;

/// The codings in values of `Content-Encoding`, in the order of their application, without `identity`. `None` if one
/// is unknown, or if there are more than eight.
///
/// ```
/// use harproxy_http::coding::{Coding, codings};
/// assert_eq!(codings([&b"gzip, BR"[..]]), Some(vec![Coding::Gzip, Coding::Brotli]));
/// assert_eq!(codings([&b"identity"[..]]), Some(vec![]));
/// assert_eq!(codings([&b"aws-chunked"[..]]), None);
/// assert_eq!(codings([&b"gzip"[..]; 8]).map(|codings| codings.len()), Some(8));
/// assert_eq!(codings([&b"gzip"[..]; 9]), None);
/// ```
#[must_use]
pub fn codings<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> Option<Vec<Coding>> {
    let mut found = Vec::new();
    for value in values {
        for token in std::str::from_utf8(value).ok()?.split(',').map(str::trim) {
            if !token.is_empty() && !token.eq_ignore_ascii_case("identity") {
                found.push(Coding::from_token(token).filter(|_| found.len() < MAX_CODINGS)?);
            }
        }
    }
    Some(found)
}

/// True if values of `Accept-Encoding` accept a coding (RFC 9110 section 12.5.3). Without values no coding is
/// accepted, because such clients rarely decode.
///
/// ```
/// use harproxy_http::coding::{Coding, accepts};
/// assert!(accepts([&b"gzip, br;q=0.5"[..]], Coding::Brotli));
/// assert!(!accepts([&b"*, br;q=0"[..]], Coding::Brotli));
/// ```
#[must_use]
pub fn accepts<'a>(values: impl IntoIterator<Item = &'a [u8]>, coding: Coding) -> bool {
    let mut any = false;
    for value in values {
        for item in String::from_utf8_lossy(value).split(',') {
            let mut parts = item.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default();
            let zero = parts.any(|p| {
                let weight = p.split_once('=').filter(|(q, _)| q.trim().eq_ignore_ascii_case("q"));
                weight.is_some_and(|(_, w)| w.trim().parse() == Ok(0.0_f32))
            });
            if name == "*" {
                any = !zero;
            } else if Coding::from_token(name) == Some(coding) {
                return !zero;
            }
        }
    }
    any
}

/// Decodes a payload in memory. `None` if it does not decode, or has more than `limit` bytes.
///
/// ```
/// use harproxy_http::coding::{Coding, decode, encode};
/// let mut coded = Vec::new();
/// encode(&[Coding::Brotli], &mut &b"text"[..], &mut coded).unwrap();
/// assert_eq!(decode(&[Coding::Brotli], &coded, 4).as_deref(), Some(&b"text"[..]));
/// assert_eq!(decode(&[Coding::Brotli], &coded, 3), None);
/// ```
#[must_use]
pub fn decode(codings: &[Coding], payload: &[u8], limit: u64) -> Option<Vec<u8>> {
    let mut decoded = Vec::new();
    decoder(codings, Box::new(payload)).take(limit.saturating_add(1)).read_to_end(&mut decoded).ok()?;
    (decoded.len() as u64 <= limit).then_some(decoded)
}

/// A reader that removes codings. It fails for a truncated or invalid stream.
#[must_use]
pub fn decoder<'a>(codings: &[Coding], source: Box<dyn Read + Send + 'a>) -> Box<dyn Read + Send + 'a> {
    codings.iter().rev().fold(source, |source, coding| match coding {
        Coding::Gzip => Box::new(flate2::read::MultiGzDecoder::new(source)),
        Coding::Deflate => Box::new(Inflate::Unknown(Some(BufReader::with_capacity(BUFFER, source)))),
        Coding::Brotli => Box::new(Decompressor::new(source, BUFFER)),
        Coding::Zstd => Box::new(ZstdFrames { idle: Some(BufReader::with_capacity(BUFFER, source)), frame: None }),
    })
}

/// Applies codings in order: reads `source` to its end and writes the encoded payload. Returns the number of bytes
/// written.
pub fn encode(codings: &[Coding], source: &mut (dyn Read + Send), sink: &mut dyn Write) -> io::Result<u64> {
    let Some((last, before)) = codings.split_last() else {
        return io::copy(source, sink);
    };
    let mut source: Box<dyn Read + Send + '_> = Box::new(source);
    for coding in before {
        source = match coding {
            Coding::Zstd => {
                // The zstd encoder is not a reader. zstd before another coding is rare, so it is buffered.
                let mut coded = Vec::new();
                zstd(&mut source, &mut coded)?;
                Box::new(io::Cursor::new(coded))
            }
            _ => encoder(*coding, source),
        };
    }
    match last {
        Coding::Zstd => zstd(&mut source, sink),
        _ => io::copy(&mut encoder(*last, source), sink),
    }
}

fn encoder<'a>(coding: Coding, source: Box<dyn Read + Send + 'a>) -> Box<dyn Read + Send + 'a> {
    match coding {
        Coding::Gzip => Box::new(flate2::read::GzEncoder::new(source, Compression::default())),
        Coding::Deflate => Box::new(flate2::read::ZlibEncoder::new(source, Compression::default())),
        Coding::Brotli => Box::new(CompressorReader::new(source, BUFFER, BROTLI_QUALITY, BROTLI_WINDOW)),
        Coding::Zstd => source,
    }
}

/// Encodes one zstd frame. The encoder panics if its source or drain fails, so errors are kept apart and returned at
/// the end.
fn zstd(source: &mut dyn Read, sink: &mut dyn Write) -> io::Result<u64> {
    let (mut from, mut to) = (Infallible::new(source), Infallible::new(sink));
    let mut compressor = FrameCompressor::new(CompressionLevel::Fastest);
    compressor.set_source(&mut from);
    compressor.set_drain(&mut to);
    compressor.compress();
    drop(compressor);
    match from.error.or(to.error) {
        Some(error) => Err(error),
        None => Ok(to.bytes),
    }
}

/// A source or sink for a coder that panics on errors. After an error, it ends or discards the output, and keeps the
/// error.
struct Infallible<T> {
    inner: T,
    error: Option<io::Error>,
    bytes: u64,
}

impl<T> Infallible<T> {
    fn new(inner: T) -> Self {
        Infallible { inner, error: None, bytes: 0 }
    }
}

impl Read for Infallible<&mut dyn Read> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.inner.read(buf) {
                Ok(read) => return Ok(read),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.error.get_or_insert(error);
                    return Ok(0);
                }
            }
        }
    }
}

impl Write for Infallible<&mut dyn Write> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if self.error.is_none() {
            match self.inner.write_all(buf) {
                Ok(()) => self.bytes += buf.len() as u64,
                Err(error) => self.error = Some(error),
            }
        }
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A decoder for `deflate`: the zlib format or raw DEFLATE, detected from the first two bytes.
enum Inflate<R: BufRead> {
    Unknown(Option<R>),
    Zlib(flate2::bufread::ZlibDecoder<R>),
    Raw(flate2::bufread::DeflateDecoder<R>),
}

impl<R: Read> Read for Inflate<BufReader<R>> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Inflate::Zlib(zlib) => zlib.read(buf),
            Inflate::Raw(raw) => raw.read(buf),
            Inflate::Unknown(source) => {
                let Some(mut source) = source.take() else { return Ok(0) };
                // RFC 1950 section 2.2: method 8, and the two bytes are a multiple of 31. The sources (files, memory,
                // frames) never return a single first byte.
                let head = source.fill_buf()?;
                let zlib = matches!(head, [cmf, flg, ..]
                    if cmf & 0x0f == 8 && (u16::from(*cmf) << 8 | u16::from(*flg)) % 31 == 0);
                *self = if zlib {
                    Inflate::Zlib(flate2::bufread::ZlibDecoder::new(source))
                } else {
                    Inflate::Raw(flate2::bufread::DeflateDecoder::new(source))
                };
                self.read(buf)
            }
        }
    }
}

/// Decodes consecutive zstd frames (RFC 8878 section 3). The decoder of the crate reads only one.
struct ZstdFrames<R: Read> {
    idle: Option<R>,
    frame: Option<StreamingDecoder<R, ruzstd::decoding::FrameDecoder>>,
}

impl<R: BufRead> Read for ZstdFrames<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(frame) = &mut self.frame {
                let read = frame.read(buf)?;
                if read > 0 || buf.is_empty() {
                    return Ok(read);
                }
                self.idle = self.frame.take().map(StreamingDecoder::into_inner);
            }
            let Some(mut source) = self.idle.take() else { return Ok(0) };
            if source.fill_buf()?.is_empty() {
                return Ok(0);
            }
            self.frame = Some(StreamingDecoder::new(source).map_err(io::Error::other)?);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Coding; 4] = [Coding::Gzip, Coding::Deflate, Coding::Brotli, Coding::Zstd];

    fn encoded(codings: &[Coding], bytes: &[u8]) -> Vec<u8> {
        let mut coded = Vec::new();
        let written = encode(codings, &mut &bytes[..], &mut coded).unwrap();
        assert_eq!(written, coded.len() as u64);
        coded
    }

    fn decoded(codings: &[Coding], bytes: Vec<u8>) -> io::Result<Vec<u8>> {
        let mut plain = Vec::new();
        decoder(codings, Box::new(io::Cursor::new(bytes))).read_to_end(&mut plain).map(|_| plain)
    }

    fn text() -> Vec<u8> {
        (0..40_000_u32).flat_map(|n| format!("{{\"n\":{}}}", n * n).into_bytes()).collect()
    }

    #[test]
    fn encoded_payload_decodes_to_the_same_bytes_for_every_chain() {
        for codings in [vec![], vec![Coding::Gzip, Coding::Brotli], vec![Coding::Zstd, Coding::Gzip]]
            .into_iter()
            .chain(ALL.map(|coding| vec![coding]))
        {
            for plain in [&b""[..], b"a", &text()] {
                let coded = encoded(&codings, plain);
                assert!(plain.len() < 100 || codings.is_empty() || coded.len() < plain.len() / 2, "{codings:?}");
                assert_eq!(decoded(&codings, coded).unwrap(), plain, "{codings:?}");
            }
        }
    }

    #[test]
    fn consecutive_members_and_frames_are_one_payload() {
        for coding in [Coding::Gzip, Coding::Zstd] {
            let two = [encoded(&[coding], b"one "), encoded(&[coding], b"two")].concat();
            assert_eq!(decoded(&[coding], two).unwrap(), b"one two", "{coding:?}");
        }
    }

    #[test]
    fn truncated_brotli_yields_a_prefix_and_an_error() {
        let (plain, coded) = (text(), encoded(&[Coding::Brotli], &text()));
        assert!(decoded(&[Coding::Brotli], coded.clone()).unwrap() == plain);
        for end in [1, 2, 3, 1000, coded.len() / 2, coded.len() - 1] {
            assert!(decoded(&[Coding::Brotli], coded[..end].to_vec()).is_err(), "{end}");
            let mut read = Vec::new();
            let _ = decoder(&[Coding::Brotli], Box::new(&coded[..end])).read_to_end(&mut read);
            assert!(plain.starts_with(&read), "{end}");
        }
    }

    #[test]
    fn raw_deflate_is_decoded() {
        let mut raw = Vec::new();
        flate2::read::DeflateEncoder::new(&text()[..], Compression::fast()).read_to_end(&mut raw).unwrap();
        assert_eq!(decoded(&[Coding::Deflate], raw).unwrap(), text());
    }

    #[test]
    fn truncated_or_invalid_payload_is_an_error() {
        for coding in ALL {
            let mut cut = encoded(&[coding], &text());
            cut.truncate(cut.len() / 2);
            assert!(decoded(&[coding], cut).is_err(), "{coding:?} cut");
            assert!(decoded(&[coding], b"\xffnot encoded at all".to_vec()).is_err(), "{coding:?} plain");
        }
    }

    #[test]
    fn error_of_source_or_sink_is_returned_without_a_panic() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("broken"))
            }
        }
        impl Write for Broken {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::Error::other("broken"))
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        for coding in ALL {
            assert!(encode(&[coding], &mut Broken, &mut Vec::new()).is_err(), "{coding:?}");
            assert!(encode(&[coding], &mut &text()[..], &mut Broken).is_err(), "{coding:?}");
        }
    }

    #[test]
    fn every_coding_makes_json_smaller() {
        let row =
            |n: usize| format!(r#"{{"id":{n},"name":"Product {n}","price":{}.5,"tags":["new","sale"]}}"#, n * 7 % 100);
        let list = (0..1000).map(row).collect::<Vec<_>>().join(",");
        for coding in ALL {
            let mut coded = Vec::new();
            encode(&[coding], &mut list.as_bytes(), &mut coded).unwrap();
            assert!(coded.len() * 4 < list.len(), "{coding:?}: {} of {} bytes", coded.len(), list.len());
        }
    }

    #[test]
    fn accepts_follows_the_weights_of_accept_encoding() {
        for (value, gzip, zstd) in [
            ("gzip", true, false),
            ("GZIP;q=1.0, zstd", true, true),
            ("x-gzip", true, false),
            ("gzip;q=0, *", false, true),
            ("*;q=0", false, false),
            ("*", true, true),
            ("identity", false, false),
            ("gzip; Q=0.000", false, false),
            ("", false, false),
        ] {
            assert_eq!(accepts([value.as_bytes()], Coding::Gzip), gzip, "{value}");
            assert_eq!(accepts([value.as_bytes()], Coding::Zstd), zstd, "{value}");
        }
        assert!(!accepts([], Coding::Gzip));
        assert!(accepts([&b"br"[..], b"gzip"], Coding::Gzip), "two fields are one list");
    }
}
