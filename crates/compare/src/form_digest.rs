//! The fields of a form, urlencoded or multipart, for recordings that have nothing else of a payload.

use harproxy_http::{MediaType, multipart};
use harproxy_json::Digest;
use sha2::{Digest as _, Sha256};
use url::form_urlencoded;

use crate::exchange::update_sized;

/// Returns the digest of the names, file names and values of a form's fields in order. `None` if a multipart payload
/// cannot be split. Types of parts and the encoding of text do not count.
pub(crate) fn form_digest(content_type: &str, bytes: &[u8]) -> Option<Digest> {
    let media = MediaType::parse(content_type);
    let mut digest = Sha256::new_with_prefix(if media.is_multipart() { "parts" } else { "pairs" });
    if media.is_multipart() {
        for part in multipart::parts(bytes, media.parameter("boundary")?)? {
            let disposition = MediaType::parse(part.header("content-disposition").unwrap_or_default());
            for name in ["name", "filename"] {
                update_sized(&mut digest, disposition.parameter(name).unwrap_or_default().as_bytes());
            }
            update_sized(&mut digest, part.body);
        }
    } else {
        for (name, value) in form_urlencoded::parse(bytes) {
            update_sized(&mut digest, name.as_bytes());
            update_sized(&mut digest, value.as_bytes());
        }
    }
    Some(digest.finalize().into())
}
