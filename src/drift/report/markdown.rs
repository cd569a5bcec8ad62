//! Placeholder.

use super::DriftReport;

#[must_use]
pub fn render(_report: &DriftReport) -> String {
    String::new()
}
