//! Detects duplex exchanges: client and server answer each other while the request is still being sent.
//!
//! A server may also answer early without reading the rest of an upload, or begin its response while the last bytes
//! arrive. Clients send such uploads whatever the response is, so these are not duplex.

use std::sync::Mutex;

use harproxy_support::sync::lock;

/// The order of the data of one exchange.
#[derive(Debug, Default)]
pub struct DuplexDetector(Mutex<DuplexState>);

#[derive(Debug, Default)]
struct DuplexState {
    /// The payload of the request has not ended.
    is_uploading: bool,
    /// The same, if its length is undeclared.
    is_sending: bool,
    /// Response data arrived meanwhile.
    is_answered: bool,
    /// Request data was sent after that.
    is_continued: bool,
    is_duplex: bool,
}

impl DuplexDetector {
    /// The request has a payload; `has_length`: its length is declared.
    pub fn begin_upload(&self, has_length: bool) {
        let mut state = lock(&self.0);
        (state.is_uploading, state.is_sending) = (true, !has_length);
    }

    pub fn end_upload(&self) {
        let mut state = lock(&self.0);
        (state.is_uploading, state.is_sending) = (false, false);
    }

    /// Returns true if the payload of the request has not ended.
    #[must_use]
    pub fn is_uploading(&self) -> bool {
        lock(&self.0).is_uploading
    }

    /// Notes request data on its way upstream.
    pub fn add_request_data(&self) {
        let mut state = lock(&self.0);
        state.is_continued |= state.is_answered;
    }

    /// Notes data of a successful response of undeclared length. `is_message`: it is a gRPC message, which a server
    /// sends before the end of the request only in a duplex exchange.
    pub fn add_response_data(&self, is_message: bool) {
        let mut state = lock(&self.0);
        state.is_duplex |= state.is_continued || (is_message && state.is_sending);
        state.is_answered |= state.is_sending;
    }

    #[must_use]
    pub fn is_duplex(&self) -> bool {
        lock(&self.0).is_duplex
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_duplex(events: &str, is_message: bool) -> bool {
        let detector = DuplexDetector::default();
        for event in events.chars() {
            match event {
                '{' => detector.begin_upload(false),
                '[' => detector.begin_upload(true),
                '}' => detector.end_upload(),
                '>' => detector.add_request_data(),
                _ => detector.add_response_data(is_message),
            }
        }
        detector.is_duplex()
    }

    #[test]
    fn response_that_goes_on_after_more_of_the_request_is_duplex() {
        assert!(is_duplex("{><><}", false));
        assert!(is_duplex("{><>}<", false));
    }

    #[test]
    fn early_response_and_ordinary_upload_are_not_duplex() {
        assert!(!is_duplex("{>>}<<", false));
        assert!(!is_duplex("{><<>>}", false), "a complete early response");
        assert!(!is_duplex("{>>>}<", false), "the head alone came early");
        assert!(!is_duplex("[>><><}<", false), "the length of the request is declared");
    }

    #[test]
    fn message_before_the_end_of_the_request_is_duplex() {
        assert!(is_duplex("{><}", true));
        assert!(!is_duplex("{>}<", true));
    }
}
