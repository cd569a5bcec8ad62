//! The answer stage: asks the sources in order.

use super::exchange::Exchange;
use super::scope::SourceList;
use crate::source::Answer;

/// The answer of the first source that has one. Closes the connection if there is none.
pub(super) async fn ask_sources(sources: &SourceList, exchange: &mut Exchange<'_>) -> Answer {
    for source in &**sources {
        match source.answer(exchange).await {
            Answer::Pass => {}
            answer => return answer,
        }
    }
    Answer::Close
}
