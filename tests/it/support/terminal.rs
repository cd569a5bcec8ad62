//! A pseudo-terminal with a given number of columns.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Command, Stdio};

use nix::pty::{Winsize, openpty};

/// Runs a command in a terminal. Returns its output, with the line ends of a file, and its status.
pub fn show(command: Command, columns: u16) -> (String, i32) {
    answer(command, columns, "")
}

/// Runs a command in a terminal into which `typed` was typed before.
pub fn answer(mut command: Command, columns: u16, typed: &str) -> (String, i32) {
    let size = Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    let pty = openpty(Some(&size), None).unwrap();
    let slave = || Stdio::from(pty.slave.try_clone().unwrap());
    let mut child = command.stdin(slave()).stdout(slave()).stderr(slave()).spawn().unwrap();
    // Closes the program's side of the terminal in this process.
    drop((pty.slave, command));
    let mut shown = Vec::new();
    // When all other descriptors are closed, Linux returns EIO.
    let mut master = File::from(pty.master);
    master.write_all(typed.as_bytes()).unwrap();
    let _ = master.read_to_end(&mut shown);
    let status = super::sandbox::code(child.wait().unwrap());
    (String::from_utf8(shown).unwrap().replace("\r\n", "\n"), status)
}
