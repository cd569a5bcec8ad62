//! Brotli without compression (RFC 7932): a stream that any decoder takes, and a little longer than what it carries.
//!
//! What is encoded here goes to a client on the same machine or in the same network; that it is shorter helps nobody. An encoder
//! that compresses has tables and code of 0.9 MB.

use std::io::{self, Read};

/// What one meta-block carries, bytes: as much as four digits of 4 bits tell (section 9.2, MLEN).
const BLOCK: usize = 1 << 16;
/// Bytes of a meta-block's header.
const HEADER: usize = 3;
/// ISLAST and ISLASTEMPTY.
const END: u8 = 0b11;

/// Reads what is stored in one stream.
pub(super) struct Stored<R> {
    source: R,
    /// What goes out next, a block with its header or the end.
    block: Vec<u8>,
    at: usize,
    /// Whether the stream's own header, one bit, is still to be written: WBITS, 0 for the window of 16 bits (section 9.1).
    is_new: bool,
    is_over: bool,
}

impl<R: Read> Stored<R> {
    pub(super) fn new(source: R) -> Self {
        Stored { source, block: Vec::new(), at: 0, is_new: true, is_over: false }
    }

    fn fill(&mut self) -> io::Result<()> {
        // Should reading fail, nothing more goes out.
        (self.at, self.is_over) = (0, true);
        let mut block = std::mem::take(&mut self.block);
        block.clear();
        block.resize(HEADER, 0);
        let length = (&mut self.source).take(BLOCK as u64).read_to_end(&mut block)?;
        let new = usize::from(std::mem::take(&mut self.is_new));
        if length == 0 {
            block.clear();
            block.push(END << new);
        } else {
            // From the lowest bit: ISLAST 0, MNIBBLES 0 (four), MLEN - 1, ISUNCOMPRESSED 1, and zeros up to the next byte.
            let header = ((length - 1) << 3 | 1 << 19) << new;
            block[..HEADER].copy_from_slice(&header.to_le_bytes()[..HEADER]);
        }
        (self.block, self.is_over) = (block, length == 0);
        Ok(())
    }
}

impl<R: Read> Read for Stored<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.at == self.block.len() && !self.is_over && !buf.is_empty() {
            self.fill()?;
        }
        let read = (&self.block[self.at..]).read(buf)?;
        self.at += read;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(bytes: &[u8]) -> Vec<u8> {
        let mut coded = Vec::new();
        Stored::new(bytes).read_to_end(&mut coded).unwrap();
        coded
    }

    #[test]
    fn what_is_stored_is_decoded_and_three_bytes_a_block_longer() {
        for length in [0, 1, 2, 255, 256, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK, 1_000_003] {
            let plain: Vec<u8> = (0..length).map(|n| (n * 7 % 251) as u8).collect();
            let coded = stored(&plain);
            assert_eq!(coded.len(), length + HEADER * length.div_ceil(BLOCK) + 1);
            let mut decoded = Vec::new();
            brotli_decompressor::Decompressor::new(&coded[..], 4096).read_to_end(&mut decoded).unwrap();
            assert!(decoded == plain, "{length}");
        }
    }

    #[test]
    fn it_is_the_same_however_little_is_asked_for() {
        let plain = vec![b'x'; BLOCK + 10];
        let (mut coded, mut source) = (Vec::new(), Stored::new(&plain[..]));
        let mut byte = [0; 7];
        while let Ok(read @ 1..) = source.read(&mut byte) {
            coded.extend_from_slice(&byte[..read]);
        }
        assert!(coded == stored(&plain));
    }

    #[test]
    fn an_empty_stream_is_one_byte() {
        assert_eq!(stored(b""), [0b110]);
    }
}
