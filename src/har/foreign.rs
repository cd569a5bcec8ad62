//! The habits of other tools, undone: after this an entry means what harproxy's own would.

use super::model::{Entry, Stored};
use super::parse::Dialect;

/// Translates an entry; `notes` says what had to be guessed or was lost.
pub(super) fn translate(entry: &mut Entry, dialect: Dialect, notes: &mut Vec<String>) {
    let _ = notes;
    let request = &mut entry.request;
    // Neither text nor file: a payload that was dropped when its size is known, none otherwise.
    if let Some(body) = &mut request.post_data {
        let empty = match &body.stored {
            Stored::Nowhere => true,
            Stored::Text(text) | Stored::Base64(text) => text.is_empty(),
            Stored::File(_) => false,
        };
        if empty {
            body.stored = Stored::Nowhere;
            body.size = Some(request.body_size.max(0));
        }
        if body.size == Some(0) && dialect != Dialect::Own {
            request.post_data = None;
        }
    }
}
