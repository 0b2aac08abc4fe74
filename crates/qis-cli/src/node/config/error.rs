use std::io;
use std::path::{Path, PathBuf};

/// Why a configuration is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} is larger than the {limit} bytes of a configuration", path.display())]
    TooLarge { path: PathBuf, limit: u64 },
    #[error("{}:{line}:{column}: {message}", path.display())]
    Field { path: PathBuf, line: usize, column: usize, message: String },
}

impl ConfigError {
    /// What TOML finds wrong with a text, in one line that begins with the place, both counted from 1.
    pub(super) fn new(error: &toml::de::Error, text: &str, path: &Path) -> Self {
        let message = error.message().lines().map(str::trim).collect::<Vec<_>>().join(", ");
        Self::at(error.span().map_or(0, |span| span.start), message, text, path)
    }

    /// What is wrong with a text from a byte on.
    pub(super) fn at(start: usize, message: String, text: &str, path: &Path) -> Self {
        let before = text.get(..start).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|&c| c != '\n').count() + 1;
        Self::Field { path: path.to_owned(), line, column, message }
    }
}
