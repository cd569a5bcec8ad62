//! The last guard of all output: nothing that a terminal or a CI system obeys leaves the process.

use std::io::{self, Read, Write};

use harproxy_support::printable;

/// Bytes of a payload that are shown at a time.
const PIECE: u64 = 64 << 10;

/// Guards text with harproxy's own styles and line ends.
pub fn text(text: &str) -> String {
    printable::output(text).into_owned()
}

/// Guards a text that is one line.
pub fn line(line: &str) -> String {
    text(&line.replace('\n', "\\n").replace('\t', "\\t"))
}

/// Guards JSON. The document stays the same.
pub fn json(text: &str) -> String {
    printable::json(text).into_owned()
}

/// Guards annotations, whose lines are commands of GitHub's runner.
pub fn annotations(text: &str) -> String {
    printable::annotations(text)
}

/// Writes a payload to a terminal: its text, without anything that a terminal obeys.
pub fn copy_shown(from: &mut dyn Read, to: &mut dyn Write) -> io::Result<()> {
    let mut piece = Vec::new();
    loop {
        let read = from.take(PIECE).read_to_end(&mut piece)?;
        // A character may continue in the next piece.
        let cut = match std::str::from_utf8(&piece) {
            Err(error) if error.error_len().is_none() && read > 0 => error.valid_up_to(),
            _ => piece.len(),
        };
        to.write_all(printable::output(&printable::lines(&String::from_utf8_lossy(&piece[..cut]))).as_bytes())?;
        piece.drain(..cut);
        if read == 0 {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payload_is_shown_on_a_terminal_without_commands() {
        let payload = format!("{}é\u{1b}]0;t\u{7}\n::error::x\n", "x".repeat((PIECE - 1) as usize));
        let mut shown = Vec::new();
        copy_shown(&mut payload.as_bytes(), &mut shown).unwrap();
        let shown = String::from_utf8(shown).unwrap();
        assert!(shown.ends_with("xé\\u{1b}]0;t\\u{7}\n|::error::x\n"), "{}", &shown[shown.len() - 50..]);
    }
}
