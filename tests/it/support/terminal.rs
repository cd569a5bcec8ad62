//! A terminal of so many columns, by a pseudo terminal of the operating system.

use std::fs::File;
use std::io::Read;
use std::process::{Command, Stdio};

use nix::pty::{Winsize, openpty};

/// What a command showed on its terminal, line ends as they are in a file, and its status.
pub fn show(mut command: Command, columns: u16) -> (String, i32) {
    let size = Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    let pty = openpty(Some(&size), None).unwrap();
    let slave = || Stdio::from(pty.slave.try_clone().unwrap());
    let mut child = command.stdin(slave()).stdout(slave()).stderr(slave()).spawn().unwrap();
    // Ours, and those that the command was given.
    drop((pty.slave, command));
    let mut shown = Vec::new();
    // At the end, when nobody has it open any more, Linux says EIO.
    let _ = File::from(pty.master).read_to_end(&mut shown);
    let status = super::sandbox::code(child.wait().unwrap());
    (String::from_utf8(shown).unwrap().replace("\r\n", "\n"), status)
}
