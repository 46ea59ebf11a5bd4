//! The terminal that skiff was called from.

use std::io::IsTerminal;
use std::os::fd::AsFd;

use anyhow::Context;
use kube::api::TerminalSize;
use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};

/// The terminal in raw mode: keys go to the container as they are. Dropping it
/// gives the terminal back as it was.
pub struct Raw {
    before: Termios,
}

impl Raw {
    pub fn enter() -> anyhow::Result<Self> {
        let stdin = std::io::stdin();
        let before = tcgetattr(stdin.as_fd()).context("read the terminal's mode")?;
        let mut raw = before.clone();
        cfmakeraw(&mut raw);
        tcsetattr(stdin.as_fd(), SetArg::TCSANOW, &raw).context("set the terminal's mode")?;
        Ok(Self { before })
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let _ = tcsetattr(std::io::stdin().as_fd(), SetArg::TCSANOW, &self.before);
    }
}

pub fn is_terminal() -> bool {
    std::io::stdin().is_terminal()
}

/// Rows and columns, where there is a terminal.
pub fn size() -> Option<TerminalSize> {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
    Some(TerminalSize {
        width: size.ws_col,
        height: size.ws_row,
    })
}
